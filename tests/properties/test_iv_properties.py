"""What must hold of two-stage least squares whatever the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.result import Result, influence_variance
from tests.build_instruments import (
    PLAIN,
    estimate_iv,
    instruments_panel,
    named_test,
)

QUICK = settings(max_examples=8)
# Rounding of a well-conditioned regression, with room for the engine's iterations.
EXACT = 1e-9


def statistics(result: Result) -> np.ndarray:
    """What does not depend on units: F statistics, tests, t values."""
    names = [n for n in result.scalars if n.endswith("_f") or n.startswith("effective")]
    tests = [t.statistic for t in result.tests if t.statistic is not None]
    t = result.coefficients["statistic"].abs()
    return np.array([*(result.scalars[n] for n in names), *tests, *t])


@pytest.mark.parametrize("inference", ["iid", "hetero", "cluster"])
@pytest.mark.parametrize("weights", [None, ("analytic", "w"), ("frequency", "w")])
def test_one_instrument_is_reduced_form_over_first_stage(inference, weights):
    clusters = ["unit"] if inference == "cluster" else []
    result = estimate_iv(
        instruments_panel(), inference=inference, clusters=clusters, weights=weights
    )
    by = result.coefficients.set_index("equation").estimate
    ratio = by["reduced_form"] / by["first_stage"]
    assert by["main"].iloc[0] == pytest.approx(ratio, rel=EXACT)


@QUICK
@given(
    column=st.sampled_from(["y", "d", "z1", "z2", "x"]),
    power=st.floats(-6, 6, allow_nan=False),
)
def test_units_of_measurement(column, power):
    data, factor = instruments_panel(), 10.0**power
    given_: dict[str, Any] = {"instruments": ["z1", "z2"]}
    plain = estimate_iv(data, **given_)
    scaled = estimate_iv(data.assign(**{column: data[column] * factor}), **given_)
    assert statistics(scaled) == pytest.approx(statistics(plain), rel=1e-7)
    effect = {"y": factor, "d": 1 / factor}.get(column, 1.0)
    row, before = scaled.coefficients.iloc[0], plain.coefficients.iloc[0]
    assert row.estimate == pytest.approx(before.estimate * effect, rel=EXACT)
    ends = scaled.frames["anderson_rubin"].to_numpy()
    assert ends == pytest.approx(
        plain.frames["anderson_rubin"].to_numpy() * effect, rel=1e-6
    )


@QUICK
@given(seed=st.integers(0, 1000), strength=st.sampled_from([0.05, 0.2, 1.0]))
def test_the_robust_set_holds_zero_where_the_test_accepts(seed, strength):
    data = instruments_panel(seed, strength=strength)
    data["y"] -= data["d"]
    result = estimate_iv(data, instruments=["z1", "z2"])
    inside = any(
        low <= 0 <= high for low, high in result.frames["anderson_rubin"].to_numpy()
    )
    assert inside == (named_test(result, "anderson_rubin").p_value >= 0.05)


@pytest.mark.parametrize("inference", ["iid", "hetero", "cluster"])
def test_frequency_weights_are_repeated_rows(inference):
    data = instruments_panel()
    many = data.loc[data.index.repeat(data["w"].astype(int))].reset_index(drop=True)
    given_: dict[str, Any] = {
        "instruments": ["z1", "z2"],
        "inference": inference,
        "clusters": ["unit"] if inference == "cluster" else [],
        "unit": None,
        "time": None,
    }
    weighted = estimate_iv(data, weights=("frequency", "w"), **given_)
    repeated = estimate_iv(many, **given_)
    assert statistics(weighted) == pytest.approx(statistics(repeated), rel=1e-8)
    assert weighted.coefficients.std_error.to_numpy() == pytest.approx(
        repeated.coefficients.std_error.to_numpy(), rel=EXACT
    )


@pytest.mark.parametrize("inference", ["iid", "hetero"])
def test_absorbed_effects_are_dummies(inference):
    data = instruments_panel(units=12)
    dummies = pd.get_dummies(data[["unit", "time"]], columns=["unit", "time"])
    dummies = dummies.drop(columns=["unit_u000", "time_2001"]).astype(float)
    given_: dict[str, Any] = {"instruments": ["z1", "z2"], "inference": inference}
    absorbed = estimate_iv(
        data, **(PLAIN | given_ | {"fixed_effects": ["unit", "time"]})
    )
    written = estimate_iv(
        pd.concat([data, dummies], axis=1),
        controls=["x", *dummies.columns],
        **(PLAIN | given_),
    )
    of = [
        (r.coefficients.query("term in ['d', 'x', 'z1', 'z2']"), r)
        for r in (absorbed, written)
    ]
    for column in ("estimate", "std_error"):
        assert of[0][0][column].to_numpy() == pytest.approx(
            of[1][0][column].to_numpy(), rel=EXACT
        )
    for name in ("first_stage_f", "kleibergen_paap_f", "cragg_donald_f", "effective_f"):
        assert absorbed.scalars[name] == pytest.approx(written.scalars[name], rel=EXACT)
    for test in absorbed.tests:
        other = named_test(written, test.name).statistic
        assert test.statistic == pytest.approx(other, rel=1e-8)


@pytest.mark.parametrize(
    ("inference", "clusters"),
    [("iid", []), ("hetero", []), ("cluster", ["unit"]), ("cluster", ["unit", "g"])],
)
def test_influence_functions_give_the_covariance(inference, clusters):
    result = estimate_iv(
        instruments_panel(),
        treatment=["d", "e"],
        instruments=["z1", "z2", "z3"],
        inference=inference,
        clusters=clusters,
    )
    assert result.influence is not None
    V = influence_variance(result.influence).to_numpy()
    errors = result.coefficients.std_error[:2].to_numpy()
    assert np.sqrt(np.diag(V)) == pytest.approx(errors, rel=EXACT)
    joint = named_test(result, "joint_treatment")
    b = result.coefficients.estimate[:2].to_numpy()
    assert b @ np.linalg.solve(V, b) / 2 == pytest.approx(joint.statistic, rel=1e-7)
