"""Sun-Abraham: against the regression with all its dummies, and Callaway-Sant'Anna."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.callaway_santanna import CallawaySantanna
from estimators.sun_abraham import SunAbraham
from framework.errors import EstimandError
from tests.build_cohorts import adoption, request_of
from tests.build_panel import lsdv

ALL = ("att", "by_event_time", "by_cohort", "by_period")
# dummies by pseudo-inverse
DENSE = 1e-8


def estimate(data: pd.DataFrame, plugin: Any = None, **changes: Any):
    changes.setdefault("estimand", ALL)
    return (plugin or SunAbraham()).estimate(request_of(data, **changes))


def rows(result: Any, estimand: str) -> pd.DataFrame:
    return result.coefficients[result.coefficients.estimand == estimand]


@pytest.mark.parametrize(
    "case",
    [
        {},
        {"gaps": 0.1},
        {"gaps": 0.1, "controls": ["z"], "weights": "w"},
        {"controls": ["z", "x"], "cluster": "region"},
        {"anticipation": 1},
    ],
    ids=lambda c: " ".join(c) or "plain",
)
def test_cells_are_the_saturated_regression(case):
    data = adoption(1, gaps=case.get("gaps", 0.0))
    controls, weights = case.get("controls", []), case.get("weights")
    cluster, anticipation = case.get("cluster", "unit"), case.get("anticipation", 0)
    data = data[data.groupby("unit").time.transform("size") > 1]
    result = estimate(
        data,
        controls=controls,
        weights=("analytic", weights) if weights else None,
        clusters=[cluster],
        anticipation=anticipation,
    )
    cells = result.frames["group_time"]
    dummies = data.copy()
    names = []
    for c in cells.itertuples():
        names.append(f"c{c.cohort}_{c.period}")
        dummies[names[-1]] = (
            (data["first"] == c.cohort) & (data.time == c.period)
        ).astype(float)
    varying = [c for c in controls if c != "x"]  # x is constant within units
    beta, error = lsdv(
        dummies,
        "y",
        [*names, *varying],
        ["unit", "time"],
        cluster,
        weights,
        nested=["unit"],
    )
    m = len(names)
    np.testing.assert_allclose(cells.estimate, beta[:m], atol=DENSE)
    np.testing.assert_allclose(cells.std_error, error[:m], rtol=1e-7)
    if "x" in controls:
        assert any("'x'" in n for n in result.notes)


def test_estimates_of_callaway_santanna_and_their_errors_times_the_factor():
    data = adoption(2)
    ours = estimate(data)
    theirs = estimate(data, CallawaySantanna(control_group="never_treated"))
    np.testing.assert_allclose(
        ours.coefficients.estimate, theirs.coefficients.estimate, atol=1e-11
    )
    n, G = len(data), 50
    K = len(ours.frames["group_time"]) + 8
    factor = np.sqrt(G / (G - 1) * (n - 1) / (n - K))
    np.testing.assert_allclose(
        ours.frames["group_time"].std_error,
        factor * theirs.frames["group_time"].std_error,
        rtol=1e-9,
    )
    # the part of the shares has no factor
    np.testing.assert_allclose(
        ours.coefficients.std_error, factor * theirs.coefficients.std_error, rtol=0.05
    )
    fixed = estimate(data, SunAbraham(share_variance=False))
    assert not np.allclose(fixed.coefficients.std_error, ours.coefficients.std_error)
    np.testing.assert_array_equal(
        fixed.coefficients.estimate, ours.coefficients.estimate
    )


def test_influence_gives_the_errors():
    result = estimate(adoption(3, gaps=0.1), controls=["z"])
    np.testing.assert_allclose(
        np.sqrt((result.influence**2).sum()), result.coefficients.std_error, rtol=1e-12
    )


def test_the_last_treated_cohort_as_controls():
    data = adoption(4, sizes={4.0: 12, 6.0: 14, 7.0: 11})
    with pytest.raises(EstimandError) as caught:
        estimate(data)
    assert {p.code for p in caught.value.problems} == {"E04"}
    plugin = SunAbraham(control_cohort="last_treated")
    result = estimate(data, plugin)
    cut = data[data.time < 7].assign(first=data["first"].replace(7.0, np.inf))
    cut["d"] = (cut.time >= cut["first"]).astype(float)
    pd.testing.assert_frame_equal(
        result.coefficients, estimate(cut).coefficients, rtol=1e-10
    )
    assert result.scalars["n_obs"] == len(cut)
    assert any("last treated cohort (7)" in n for n in result.notes)
    with_never = adoption(4)
    three = estimate(with_never, plugin)
    assert three.scalars["n_units"] == 28


def test_exact_without_errors():
    data = adoption(5, noise=0.0, gaps=0.1)
    data["y"] += 0.7 * data.z
    cells = estimate(data, controls=["z"]).frames["group_time"]
    true = data[data.d == 1].groupby(["first", "time"]).effect.mean()
    np.testing.assert_allclose(cells.query("event_time >= 0").estimate, true, atol=1e-9)


def test_scale_order_and_names():
    data = adoption(6, gaps=0.1)
    one = estimate(data, controls=["z"]).coefficients
    other = estimate(
        data.assign(y=1e6 * data.y, z=1e-5 * data.z), controls=["z"]
    ).coefficients
    np.testing.assert_allclose(other.estimate, 1e6 * one.estimate, rtol=1e-7)
    np.testing.assert_allclose(other.std_error, 1e6 * one.std_error, rtol=1e-7)
    shuffled = data.sample(frac=1, random_state=0)
    shuffled["unit"] = [f"n{(37 * int(u[1:])) % 50:02d}" for u in shuffled.unit]
    pd.testing.assert_frame_equal(
        estimate(shuffled, controls=["z"]).coefficients, one, rtol=1e-9
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"fixed_effects": ["unit", "time", "odd"]}, "E11"),
        ({"clusters": ["unit", "time"]}, "I09"),
        ({"clusters": ["half"]}, "I05"),
        ({"cohort": None}, "E01"),
        ({"outcome": "constant"}, "D06"),
        ({"outcome": "holes"}, "D08"),
    ],
)
def test_bad_inputs(change, code):
    data = adoption()
    data["odd"] = data.index % 17
    data["half"] = [int(u[1:]) % 2 for u in data.unit]
    data["constant"] = 4.0
    data["holes"] = data.y.where(data.index != 5)
    with pytest.raises(EstimandError) as caught:
        estimate(data, **change)
    assert code in {p.code for p in caught.value.problems}
