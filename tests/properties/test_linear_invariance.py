"""What must not change a linear estimate: units, order, names, redundant columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimators.event_study import EventStudy
from estimators.twfe import Twfe
from framework.result import Result, influence_variance
from tests.build_panel import lsdv, staggered
from tests.build_request import build_request

PANEL: dict[str, Any] = {
    "outcome": "y",
    "treatment": "d",
    "kind": "dose",
    "controls": ["x1", "x2"],
    "fixed_effects": ["unit", "time"],
    "inference": "cluster",
    "clusters": ["unit"],
    "unit": "unit",
    "time": "time",
}
QUICK = settings(max_examples=15)
# Rounding of a well-conditioned regression, with room for the engine's iterations.
EXACT = 1e-10


def run(data: pd.DataFrame, plugin: Any = None, **changes: Any) -> Result:
    return (plugin or Twfe()).estimate(build_request(data, **(PANEL | changes)))


def numbers(result: Result) -> np.ndarray:
    return result.coefficients[["estimate", "std_error"]].to_numpy().copy()


@pytest.mark.parametrize("unbalanced", [0.0, 0.25])
@QUICK
@given(
    column=st.sampled_from(["y", "d", "x1", "x2"]),
    power=st.floats(-12, 12, allow_nan=False),
)
def test_units_of_measurement(unbalanced, column, power):
    data = staggered(unbalanced=unbalanced)
    factor = 10.0**power
    plain, scaled = run(data), run(data.assign(**{column: data[column] * factor}))
    expected = numbers(plain)
    at = {"d": [0], "x1": [1], "x2": [2], "y": [0, 1, 2]}[column]
    expected[at] *= factor if column == "y" else 1 / factor
    assert numbers(scaled) == pytest.approx(expected, rel=EXACT, abs=0)
    for name in ("r2", "r2_within", "treatment_residual_share", "effective_clusters"):
        assert scaled.scalars[name] == pytest.approx(plain.scalars[name], rel=1e-9)


@QUICK
@given(shift=st.floats(-1e6, 1e6, allow_nan=False))
def test_a_constant_added_to_the_outcome_changes_nothing(shift):
    data = staggered(unbalanced=0.2)
    moved = run(data.assign(y=data["y"] + shift))
    # adding 1e6 to values near one leaves ten of their digits
    assert numbers(moved) == pytest.approx(numbers(run(data)), rel=1e-8)


def test_scaling_the_variable_of_slopes():
    data = staggered().assign(trend=lambda f: f["time"] - 2000.0)
    plain = run(data, slopes=[("trend", "unit")])
    for factor in (1e-12, 1e12):
        scaled = run(
            data.assign(trend=data["trend"] * factor), slopes=[("trend", "unit")]
        )
        assert numbers(scaled) == pytest.approx(numbers(plain), rel=EXACT)


@QUICK
@given(seed=st.integers(0, 10_000))
def test_order_of_rows_and_names_of_units(seed):
    rng = np.random.default_rng(seed)
    data = staggered(unbalanced=0.15)
    plain = run(data)
    names = data["unit"].unique()
    renamed = dict(zip(names, rng.permutation(names), strict=True))
    other = data.assign(unit=data["unit"].map(renamed)).sample(
        frac=1.0, random_state=seed
    )
    assert numbers(run(other)) == pytest.approx(numbers(plain), rel=EXACT)


@pytest.mark.parametrize("effects", [["unit", "time"], ["time", "unit"]])
@pytest.mark.parametrize("controls", [["x1", "x2"], ["x2", "x1"]])
def test_order_of_fixed_effects_and_controls(effects, controls):
    data = staggered(unbalanced=0.15)
    plain = run(data).coefficients.set_index("term")["std_error"]
    other = run(data, fixed_effects=effects, controls=controls)
    other_ = other.coefficients.set_index("term")["std_error"]
    assert other_[plain.index].to_numpy() == pytest.approx(plain.to_numpy(), rel=EXACT)


@QUICK
@given(a=st.floats(0.1, 10), b=st.floats(0.1, 10))
def test_a_control_inside_the_fixed_effects_changes_nothing(a, b):
    data = staggered(unbalanced=0.1)
    data["z"] = a * data["unit"].str[1:].astype(float) + b * data["time"]
    with_z, plain = run(data, controls=["x1", "z"]), run(data, controls=["x1"])
    assert list(with_z.coefficients.term) == ["d", "x1"]
    assert numbers(with_z) == pytest.approx(numbers(plain), rel=EXACT)


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("unbalanced", [0.0, 0.25])
@pytest.mark.parametrize("cluster", ["unit", "region"])
def test_dummies_by_hand(weights, unbalanced, cluster):
    data = staggered(unbalanced=unbalanced)
    b, se = lsdv(
        data,
        "y",
        ["d", "x1", "x2"],
        ["unit", "time"],
        cluster,
        weights,
        nested=["unit"],
    )
    result = run(
        data,
        clusters=[cluster],
        weights=("analytic", weights) if weights else None,
    )
    # the pseudo-inverse by hand loses a few digits
    assert result.coefficients.estimate.to_numpy() == pytest.approx(b, rel=1e-8)
    assert result.coefficients.std_error.to_numpy() == pytest.approx(se, rel=1e-8)


@pytest.mark.parametrize("unbalanced", [0.0, 0.2])
def test_unit_trends_by_hand(unbalanced):
    data = staggered(unbalanced=unbalanced)
    dummies = pd.get_dummies(data["unit"]).to_numpy(float)
    trends = dummies * (data["time"].to_numpy(float) - 2003)[:, None]
    b, se = lsdv(
        data, "y", ["d", "x1"], ["unit", "time"], "unit", extra=trends, nested=["unit"]
    )
    result = run(data, controls=["x1"], slopes=[("time", "unit")])
    assert result.coefficients.estimate.to_numpy() == pytest.approx(b, rel=1e-8)
    assert result.coefficients.std_error.to_numpy() == pytest.approx(se, rel=1e-8)


def test_copies_are_frequency_weights():
    data = staggered(units=15)
    many = data.loc[data.index.repeat(data["w"].astype(int))]
    for inference, clusters in (("iid", []), ("hetero", []), ("cluster", ["unit"])):
        changes = {"inference": inference, "clusters": clusters, "unit": None}
        weighted = run(data, weights=("frequency", "w"), **changes)
        copied = run(many, **changes)
        assert numbers(weighted) == pytest.approx(numbers(copied), rel=EXACT)
        assert weighted.scalars["r2"] == pytest.approx(copied.scalars["r2"])
        assert weighted.scalars["rmse"] == pytest.approx(copied.scalars["rmse"])


@pytest.mark.parametrize("factor", [1e-6, 7.0, 1e6])
def test_scale_of_analytic_weights(factor):
    data = staggered()
    plain = run(data, weights=("analytic", "w"))
    scaled = run(data.assign(w=data["w"] * factor), weights=("analytic", "w"))
    assert numbers(scaled) == pytest.approx(numbers(plain), rel=EXACT)
    assert scaled.scalars["rmse"] == pytest.approx(plain.scalars["rmse"])


@pytest.mark.parametrize("plugin", [Twfe(leads=(1,), lags=(1,)), EventStudy()])
@pytest.mark.parametrize(
    ("inference", "clusters", "options"),
    [
        ("iid", [], {}),
        ("hetero", [], {}),
        ("cluster", ["unit"], {}),
        ("cluster", ["unit", "region"], {}),
        ("newey_west", [], {"lags": 2}),
        ("driscoll_kraay", [], {}),
    ],
)
@pytest.mark.parametrize("two_way", ["min", "conventional"])
def test_influence_functions_give_the_covariance(
    plugin, inference, clusters, options, two_way
):
    data = staggered(unbalanced=0.1, periods=12)
    plugin = plugin.model_copy(
        update={
            "small_sample": plugin.small_sample.model_copy(update={"two_way": two_way})
        }
    )
    result = run(
        data,
        plugin,
        kind="absorbing",
        cohort="first",
        inference=inference,
        clusters=clusters,
        options=options,
        estimand=("att", "by_event_time"),
    )
    V = influence_variance(result.influence)
    error = result.coefficients.loc[V.index, "std_error"]
    assert np.sqrt(np.diag(V)) == pytest.approx(error.to_numpy(), rel=EXACT)
    if isinstance(plugin, EventStudy):
        at = [i for i in V.index if result.coefficients.estimand[i] == "by_event_time"]
        post = [i for i in at if result.coefficients.event_time[i] >= 0]
        # the average's variance is that of the average of influence functions
        average = V.loc[post, post].to_numpy().mean()
        assert average == pytest.approx(V.loc[0, 0], rel=1e-9)


def test_influence_of_clusters_carries_the_users_ids():
    data = staggered()
    one = run(data)
    assert set(one.influence.index) == set(data["unit"])
    two = run(data, clusters=["unit", "region"])
    assert two.influence.index.names == ["unit", "region"]
    pairs = set(zip(data["unit"], data["region"], strict=True))
    assert set(two.influence.index) == pairs


def test_saturated_two_by_two_is_the_difference_in_differences():
    data = staggered(units=60, periods=2, never=0.5)
    data["first"] = np.where(data["first"] < np.inf, 2001.0, np.inf)
    data["d"] = (data["time"] >= data["first"]).astype(float)
    means = data.groupby([data["first"] < np.inf, "time"])["y"].mean().unstack()
    did = (means[2001] - means[2000]).diff().iloc[-1]
    result = run(data, controls=[], kind="absorbing", cohort="first")
    event = run(data, EventStudy(), controls=[], kind="absorbing", cohort="first")
    assert result.coefficients.estimate[0] == pytest.approx(did, rel=1e-12)
    assert event.coefficients.estimate[0] == pytest.approx(did, rel=1e-12)
