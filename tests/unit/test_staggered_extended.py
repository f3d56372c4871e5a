"""Extended two-way fixed effects: against the regression with all its dummies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.etwfe import Etwfe
from estimators.imputation import Imputation
from framework.errors import EstimandError
from tests.build_cohorts import adoption, request_of
from tests.build_panel import lsdv

ALL = ("att", "by_event_time", "by_cohort", "by_period")
# dummies by pseudo-inverse
DENSE = 1e-8


def estimate(data: pd.DataFrame, plugin: Any = None, **changes: Any):
    changes.setdefault("estimand", ALL)
    return (plugin or Etwfe()).estimate(request_of(data, **changes))


@pytest.mark.parametrize(
    "case",
    [{}, {"gaps": 0.1}, {"gaps": 0.1, "weights": "w"}, {"cluster": "region"}],
    ids=lambda c: " ".join(c) or "plain",
)
def test_cells_are_the_regression_written_out(case):
    data = adoption(1, gaps=case.get("gaps", 0.0))
    data = data[data.groupby("unit").time.transform("size") > 1]
    weights, cluster = case.get("weights"), case.get("cluster", "unit")
    result = estimate(
        data,
        weights=("analytic", weights) if weights else None,
        clusters=[cluster],
    )
    cells = result.frames["group_time"]
    dummies, names = data.copy(), []
    for c in cells.itertuples():
        names.append(f"c{c.cohort}_{c.period}")
        dummies[names[-1]] = (
            (data["first"] == c.cohort) & (data.time == c.period)
        ).astype(float)
    assert (dummies[names].sum(axis=1) == data.d).all()
    beta, error = lsdv(
        dummies, "y", names, ["unit", "time"], cluster, weights, nested=["unit"]
    )
    np.testing.assert_allclose(cells.estimate, beta, atol=DENSE)
    np.testing.assert_allclose(cells.std_error, error, rtol=1e-7)
    np.testing.assert_allclose(
        np.sqrt((result.influence**2).sum()), result.coefficients.std_error, rtol=1e-12
    )


@pytest.mark.parametrize("controls", [["x"], ["z"], ["x", "z"]])
def test_covariates_are_the_regression_written_out(controls):
    """x does not change within units, z does: by period, by cohort and within cells."""
    data = adoption(1, gaps=0.1, trend_in_x=0.3)
    data = data[data.groupby("unit").time.transform("size") > 1]
    result = estimate(data, controls=controls)
    cells = result.frames["group_time"]
    dummies, names, beside = data.copy(), [], []
    for c in cells.itertuples():
        name = f"c{c.cohort}_{c.period}"
        here = (data["first"] == c.cohort) & (data.time == c.period)
        dummies[name] = here.astype(float)
        names.append(name)
        for x in controls:
            beside.append(f"{name}_{x}")
            dummies[beside[-1]] = here * (data[x] - data.loc[here, x].mean())
    for x in controls:
        for t in sorted(data.time.unique())[1:]:
            beside.append(f"t{t}_{x}")
            dummies[beside[-1]] = data[x] * (data.time == t)
        if x == "z":
            for g in data["first"].unique():
                beside.append(f"g{g}_{x}")
                dummies[beside[-1]] = data[x] * (data["first"] == g)
    beta, error = lsdv(
        dummies, "y", [*names, *beside], ["unit", "time"], "unit", None, nested=["unit"]
    )
    m = len(names)
    np.testing.assert_allclose(cells.estimate, beta[:m], atol=DENSE)
    np.testing.assert_allclose(cells.std_error, error[:m], rtol=1e-7)


def test_trends_that_follow_a_covariate_and_effects_that_do():
    """Nothing random: without the covariate wrong, with it the average in every cell."""
    data = adoption(3, noise=0.0, trend_in_x=0.4)
    data["y"] += 0.7 * data.x * data.d
    data["effect"] += 0.7 * data.x * data.d
    true = data[data.d == 1].groupby(["first", "time"]).effect.mean()
    cells = estimate(data, controls=["x"]).frames["group_time"]
    np.testing.assert_allclose(cells.estimate, true, atol=1e-9)
    plain = estimate(data).frames["group_time"]
    assert np.abs(plain.estimate.to_numpy() - true.to_numpy()).max() > 0.3


def test_units_and_origin_of_a_covariate_move_nothing():
    data = adoption(5, gaps=0.1)
    one = estimate(data, controls=["x", "z"]).coefficients
    far = data.assign(x=1e4 + 100 * data.x, z=-3 * data.z)
    other = estimate(far, controls=["x", "z"]).coefficients
    # digits lost to an origin a hundred spreads away
    pd.testing.assert_frame_equal(other, one, rtol=1e-7)


def test_a_covariate_that_says_nothing_is_named():
    data = adoption(2).assign(same=0.1)
    result = estimate(data, controls=["same", "x"])
    notes = [n for n in result.notes if "'same'" in n]
    assert notes == ["Left out: 'same': unit and period effects explain it."]
    pd.testing.assert_frame_equal(
        result.coefficients, estimate(data, controls=["x"]).coefficients, rtol=1e-9
    )


def test_the_period_as_a_covariate_is_a_trend_of_every_cohort():
    """By cohort it is Wooldridge's cohort trends: they cost what is written out here."""
    data = adoption(6).assign(year=lambda d: 2000.0 + d.time)
    cells = estimate(data, controls=["year"]).frames["group_time"]
    dummies, names, trends = data.copy(), [], []
    for c in cells.itertuples():
        names.append(f"c{c.cohort}_{c.period}")
        here = (data["first"] == c.cohort) & (data.time == c.period)
        dummies[names[-1]] = here.astype(float)
    for g in data["first"].unique()[1:]:
        trends.append(f"t{g}")
        dummies[trends[-1]] = data.time * (data["first"] == g)
    beta, _ = lsdv(
        dummies, "y", [*names, *trends], ["unit", "time"], "unit", None, nested=["unit"]
    )
    np.testing.assert_allclose(cells.estimate, beta[: len(names)], atol=DENSE)


def test_in_a_balanced_panel_the_estimates_are_imputations():
    data = adoption(2)
    ours = estimate(data).frames["group_time"]
    theirs = estimate(data, Imputation()).frames["imputed"]
    theirs = theirs.set_index(["cohort", "period"]).estimate
    np.testing.assert_allclose(
        ours.set_index(["cohort", "period"]).estimate, theirs, atol=1e-10
    )


def test_no_errors_exact_effects_and_no_pretrends():
    data = adoption(3, noise=0.0, gaps=0.1)
    result = estimate(data)
    cells = result.frames["group_time"].set_index(["cohort", "period"])
    true = data[data.d == 1].groupby(["first", "time"]).effect.mean()
    np.testing.assert_allclose(cells.estimate, true, atol=1e-9)
    assert result.tests[0].reason == "no such coefficient in this estimation"


def test_without_never_treated_the_last_cohort_is_the_control():
    data = adoption(4, sizes={4.0: 12, 6.0: 14, 7.0: 11})
    result = estimate(data)
    cut = data[data.time < 7].assign(first=data["first"].replace(7.0, np.inf))
    cut["d"] = (cut.time >= cut["first"]).astype(float)
    pd.testing.assert_frame_equal(
        result.coefficients, estimate(cut).coefficients, rtol=1e-9
    )


def test_scale_order_and_names():
    data = adoption(5, gaps=0.1)
    one = estimate(data).coefficients
    other = estimate(data.assign(y=1e6 * data.y)).coefficients
    np.testing.assert_allclose(other.estimate, 1e6 * one.estimate, rtol=1e-7)
    shuffled = data.sample(frac=1, random_state=0)
    shuffled["unit"] = [f"n{(37 * int(u[1:])) % 50:02d}" for u in shuffled.unit]
    pd.testing.assert_frame_equal(estimate(shuffled).coefficients, one, rtol=1e-8)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"fixed_effects": ["unit", "time", "odd"]}, "E11"),
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
