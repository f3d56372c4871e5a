"""Triple differences against diff-diff, an independent program."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.triple_did import TripleDid
from tests.build_eligible import partly_eligible, request_with

METHODS = {"doubly_robust": "dr", "ipw": "ipw", "regression": "reg"}
# two programs with the same formulas; the logit stops at a step of 1e-10
SAME = 1e-8


def theirs(data: pd.DataFrame, controls: list[str], **options: Any):
    diff_diff = pytest.importorskip("diff_diff", reason="diff-diff is not installed")
    frame = data.assign(
        first=data["first"].replace(np.inf, 0), eligible=data.eligible.astype(int)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # small cells, which are meant here
        return diff_diff.TripleDifference(**options).fit(
            frame,
            outcome="y",
            unit="unit",
            time="time",
            first_treat="first",
            partition="eligible",
            covariates=controls or None,
            aggregate="all",
        )


def ours(
    data: pd.DataFrame, controls: list[str], anticipation: int = 0, **options: Any
):
    return TripleDid(**options).estimate(
        request_with(
            data,
            controls=controls,
            anticipation=anticipation,
            estimand=("by_event_time", "att", "by_cohort"),
        )
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("group", ["never_treated", "not_yet_treated"])
@pytest.mark.parametrize("base", ["universal", "varying"])
def test_cells_event_study_cohorts_and_mean_equal_diff_diff(method, group, base):
    data = partly_eligible(1, trend_in_x=0.3)
    for controls in ([], ["x"]):
        mine = ours(
            data, controls, method=method, control_group=group, base_period=base
        )
        other = theirs(
            data,
            controls,
            estimation_method=METHODS[method],
            control_group=group,
            base_period=base,
        )
        _same_cells(mine, other, len(data.unit.unique()))
        rows = mine.coefficients
        events = rows[rows.estimand == "by_event_time"].set_index("event_time")
        for e, row in events.iterrows():
            known = other.event_study_effects[e]
            assert row.estimate == pytest.approx(known["effect"], abs=SAME)
            assert row.std_error == pytest.approx(known["se"], rel=SAME)
        for g, row in rows[rows.estimand == "by_cohort"].set_index("cohort").iterrows():
            known = other.group_effects[g]
            assert row.estimate == pytest.approx(known["effect"], abs=SAME)
            assert row.std_error == pytest.approx(known["se"], rel=SAME)
        (att,) = rows[rows.estimand == "att"].itertuples()
        assert att.estimate == pytest.approx(other.overall_att, abs=SAME)
        assert att.std_error == pytest.approx(other.overall_se, rel=SAME)


def _same_cells(mine, other, n: int) -> None:
    """Effects, errors and GMM weights of all cells.

    The errors that diff-diff (and R) print for a cell with several comparison cohorts are
    too small by the share of units that the cell uses: the influence functions are
    scaled to these, and their covariance is divided by all. Its averages, which
    use influence functions again, are right.
    """
    cells = mine.frames["group_time"].set_index(["cohort", "period"])
    assert set(cells.index) == set(other.group_time_effects)
    weights = mine.frames["comparisons"].groupby(["cohort", "period"]).weight
    for key, row in cells.iterrows():
        known = other.group_time_effects[key]
        assert row.estimate == pytest.approx(known["effect"], abs=SAME)
        error = known["se"]
        if row.n_comparisons > 1:
            error *= n / (row.n_treated + row.n_control) * np.sqrt((n - 1) / n)
        assert row.std_error == pytest.approx(error, rel=SAME)
        np.testing.assert_allclose(
            sorted(weights.get_group(key)),
            sorted(other.gmm_weights[key].values()),
            rtol=SAME,
        )


def test_two_periods_equal_their_two_period_estimator():
    """Theirs takes rows as repeated cross-sections: the same means, other errors."""
    diff_diff = pytest.importorskip("diff_diff", reason="diff-diff is not installed")
    data = partly_eligible(3, sizes={4.0: 90, np.inf: 110})
    data = data[data.time.isin([3, 4])]
    frame = data.assign(
        group=np.isfinite(data["first"]).astype(int),
        eligible=data.eligible.astype(int),
        post=(data.time == 4).astype(int),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = diff_diff.TripleDifference(estimation_method="reg").fit(
            frame, outcome="y", group="group", partition="eligible", time="post"
        )
    mine = ours(data, []).coefficients
    assert mine.estimate.iloc[-1] == pytest.approx(other.att, abs=SAME)
    # with units told, the same program also gives the panel's errors
    panel = theirs(data, [], base_period="universal")
    assert mine.estimate.iloc[-1] == pytest.approx(panel.overall_att, abs=SAME)
    assert mine.std_error.iloc[-1] == pytest.approx(panel.overall_se, rel=SAME)


def test_errors_of_several_comparisons_are_right_by_resampling():
    """The factor above: which of the two is the standard deviation of the estimate?"""
    rng = np.random.default_rng(3)
    data = partly_eligible(1)
    found = ours(data, []).frames["group_time"].set_index(["cohort", "period"])
    key = (6, 6)  # cohort 4 is treated by then and not part of the cell
    assert found.n_comparisons[key] == 2
    used = found.n_treated[key] + found.n_control[key]
    wide = data.pivot(index="unit", columns="time", values="y")
    of = data.groupby("unit")[["first", "eligible"]].first().loc[wide.index]
    change = (wide[6] - wide[5]).to_numpy()
    group = of.groupby(["first", "eligible"]).ngroup().to_numpy()
    draws = []
    for _ in range(2000):
        units = rng.integers(0, len(change), len(change))
        some = [change[units][group[units] == k] for k in range(2, 8)]
        (a, b, c, d, e, f) = (s.mean() for s in some)
        v1, v2 = (sum(s.var() / len(s) for s in pair) for pair in (some[2:4], some[4:]))
        w = (1 / v1) / (1 / v1 + 1 / v2)
        draws.append((b - a) - w * (d - c) - (1 - w) * (f - e))
    # two standard errors of a standard deviation of 2000 draws are 3.2 %
    assert found.std_error[key] == pytest.approx(np.std(draws), rel=0.05)
    assert used / len(change) < 0.85


def test_anticipation_moves_cells_as_in_diff_diff():
    # their average also takes the cells of anticipation, ours those from 0 on
    data = partly_eligible(2, trend_in_x=0.3)
    mine = ours(data, ["x"], anticipation=1)
    other = theirs(
        data,
        ["x"],
        anticipation=1,
        base_period="universal",
        control_group="not_yet_treated",
    )
    _same_cells(mine, other, len(data.unit.unique()))
