"""Callaway-Sant'Anna: against means and loops by hand, invariances, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._math.multiplier import simultaneous
from estimators._math.two_period import NotFitted, att
from estimators.callaway_santanna import CallawaySantanna
from estimators.etwfe import Etwfe
from estimators.sun_abraham import SunAbraham
from framework.errors import EstimandError
from framework.result import Result
from tests.build_cohorts import SIZES, adoption, request_of

ALL = ("att", "by_event_time", "by_cohort", "by_period")
# sums of a few thousand numbers near one
EXACT = 1e-11


def estimate(data: pd.DataFrame, options: dict[str, Any] | None = None, **changes):
    changes.setdefault("estimand", ALL)
    return CallawaySantanna(**(options or {})).estimate(request_of(data, **changes))


def rows(result: Result, estimand: str) -> pd.DataFrame:
    return result.coefficients[result.coefficients.estimand == estimand]


def cell_by_hand(data: pd.DataFrame, g, t, base, group, anticipation=0) -> float:
    wide = data.pivot(index="unit", columns="time", values="y")
    first = data.groupby("unit")["first"].first()
    change = (wide[t] - wide[base]).dropna()
    first = first[change.index]
    later = max(t, base)
    control = np.isinf(first)
    if group == "not_yet_treated":
        control |= (first > later + anticipation) & (first != g)
    return change[first == g].mean() - change[control].mean()


@pytest.mark.parametrize("group", ["never_treated", "not_yet_treated"])
@pytest.mark.parametrize("base", ["universal", "varying"])
@pytest.mark.parametrize("anticipation", [0, 1])
@pytest.mark.parametrize("gaps", [0.0, 0.1])
def test_every_cell_is_a_difference_of_means(group, base, anticipation, gaps):
    data = adoption(1, gaps=gaps)
    found = estimate(
        data,
        {"control_group": group, "base_period": base},
        anticipation=anticipation,
    ).frames["group_time"]
    assert len(found) > 15
    for c in found.itertuples():
        long = base == "universal" or c.event_time >= -anticipation
        assert c.base_period == (c.cohort - anticipation - 1 if long else c.period - 1)
        assert c.estimate == pytest.approx(
            cell_by_hand(data, c.cohort, c.period, c.base_period, group, anticipation),
            abs=EXACT,
        )


def test_averages_by_hand():
    data = adoption(2)
    result = estimate(data)
    cells = result.frames["group_time"].assign(n=lambda d: d.cohort.map(SIZES))
    post = cells[cells.event_time >= 0]

    def mean(some: pd.DataFrame) -> float:
        return float(np.average(some.estimate, weights=some.n))

    for e, some in cells.groupby("event_time"):
        row = rows(result, "by_event_time").set_index("event_time").loc[e]
        assert row.estimate == pytest.approx(mean(some), abs=EXACT)
    for t, some in post.groupby("period"):
        row = rows(result, "by_period").set_index("period").loc[t]
        assert row.estimate == pytest.approx(mean(some), abs=EXACT)
    by_cohort = post.groupby("cohort").estimate.mean()
    got = rows(result, "by_cohort").set_index("cohort").estimate
    np.testing.assert_allclose(got, by_cohort, atol=EXACT)
    averages = result.frames["averages"].set_index("average").estimate
    assert rows(result, "att").estimate.iloc[0] == averages["simple"]
    assert averages["simple"] == pytest.approx(mean(post), abs=EXACT)
    weights = [SIZES[g] for g in by_cohort.index]
    assert averages["by_cohort"] == pytest.approx(
        np.average(by_cohort, weights=weights), abs=EXACT
    )
    assert averages["by_event_time"] == pytest.approx(
        rows(result, "by_event_time").query("event_time >= 0").estimate.mean(),
        abs=EXACT,
    )


def test_the_overall_average_asked_for():
    data = adoption(2)
    for overall in ("simple", "by_cohort", "by_period", "by_event_time"):
        result = estimate(data, {"overall": overall})
        averages = result.frames["averages"].set_index("average")
        row = rows(result, "att").iloc[0]
        assert row.estimate == averages.estimate[overall]
        assert row.std_error == averages.std_error[overall]


def test_influence_gives_the_errors_and_is_the_jackknife_to_first_order():
    data = adoption(3)
    result = estimate(data)
    psi = result.influence
    np.testing.assert_allclose(
        np.sqrt((psi**2).sum()), result.coefficients.std_error, rtol=1e-12
    )
    # influence functions of an average sum to zero
    np.testing.assert_allclose(psi.sum(), 0, atol=1e-12)
    full = result.coefficients.estimate
    for unit in ("u0003", "u0020", "u0045"):
        without = estimate(data[data.unit != unit]).coefficients.estimate
        # leaving one unit of n out moves the estimate by psi n/(n-1), up to second
        # order in 1/(units of the cohort), of which there are at least seven
        np.testing.assert_allclose(full - without, psi.loc[unit], atol=0.05)
        assert np.corrcoef(full - without, psi.loc[unit])[0, 1] > 0.98


def test_one_by_one_equals_means_where_both_apply():
    data = adoption(4)
    weights = ("analytic", "w")
    plain = estimate(data, weights=weights).coefficients
    # a constant covariate adds nothing to the constant, but takes the other way
    from estimators._staggered import group_time as module

    panel_means = module._by_means
    module._by_means = module._one_by_one
    try:
        other = estimate(data, weights=weights).coefficients
    finally:
        module._by_means = panel_means
    pd.testing.assert_frame_equal(plain, other, rtol=1e-10)


def test_frequency_of_units_as_weights_equals_copies():
    data = adoption(5)
    copies = pd.concat(
        [
            data[data.w > k].assign(copy=lambda d, k=k: d.unit + f"_{k}")
            for k in range(3)
        ]
    )
    copied = estimate(
        copies.assign(original=copies.unit, unit=copies["copy"]),
        clusters=["original"],
        fixed_effects=["unit", "time"],
    ).coefficients
    weighted = estimate(data, weights=("analytic", "w")).coefficients
    pd.testing.assert_frame_equal(copied, weighted, rtol=1e-10)


def test_weights_that_change_are_those_of_the_base_period():
    data = adoption(5).assign(changing=lambda d: 1.0 + d.index % 3)
    result = estimate(data, weights=("analytic", "changing"))
    wide = data.pivot(index="unit", columns="time", values="y")
    w = data.pivot(index="unit", columns="time", values="changing")
    first = data.groupby("unit")["first"].first()
    for c in result.frames["group_time"].itertuples():
        change = wide[c.period] - wide[c.base_period]
        later = max(c.period, c.base_period)
        control = (first > later) & (first != c.cohort)
        own = first == c.cohort
        expected = np.average(change[own], weights=w[c.base_period][own])
        expected -= np.average(change[control], weights=w[c.base_period][control])
        assert c.estimate == pytest.approx(expected, abs=EXACT)
    assert any("base period, cohort shares" in n for n in result.notes)


def test_coarser_clusters_are_sums():
    data = adoption(6)
    fine, coarse = estimate(data), estimate(data, clusters=["region"])
    region = data.groupby("unit").region.first()
    summed = fine.influence.groupby(region.to_dict()).sum()
    np.testing.assert_allclose(
        coarse.influence.sort_index(), summed.sort_index(), atol=1e-12
    )


@pytest.mark.parametrize("method", ["doubly_robust", "ipw", "regression"])
def test_covariate_adjustment_against_the_formula(method):
    data = adoption(7, trend_in_x=0.4)
    found = estimate(
        data, {"method": method, "control_group": "never_treated"}, controls=["x"]
    )
    assert np.sqrt((found.influence**2).sum()).to_numpy() == pytest.approx(
        found.coefficients.std_error.to_numpy()
    )
    cell = found.frames["group_time"].query("cohort == 6 and period == 7").iloc[0]
    wide = data.pivot(index="unit", columns="time", values="y")
    one = data.groupby("unit")[["x", "first"]].first()
    one = one[(one["first"] == 6) | np.isinf(one["first"])]
    dy = (wide[7] - wide[5])[one.index].to_numpy()
    d = (one["first"] == 6).to_numpy(float)
    X = np.column_stack([np.ones(len(one)), one.x])
    beta = np.linalg.lstsq(X[d == 0], dy[d == 0], rcond=None)[0]
    if method == "regression":
        expected = (dy - X @ beta)[d == 1].mean()
    else:
        import scipy.optimize

        def loss(b):
            return np.sum(np.logaddexp(0, X @ b) - d * (X @ b))

        b = scipy.optimize.minimize(loss, np.zeros(2), tol=1e-12).x
        odds = np.exp(X @ b)[d == 0]
        left = dy - X @ beta if method == "doubly_robust" else dy
        expected = left[d == 1].mean() - np.average(left[d == 0], weights=odds)
    # the optimiser above stops at a gradient of 1e-6 or so
    assert cell.estimate == pytest.approx(expected, abs=1e-5)


def test_influence_with_covariates_is_the_jackknife_to_first_order():
    rng = np.random.default_rng(0)
    n = 400
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    d = (rng.random(n) < 1 / (1 + np.exp(-X[:, 1]))).astype(float)
    dy = X @ [1, 1, 0.5] + 0.3 * X[:, 1] ** 2 + d + rng.normal(size=n)
    w = rng.uniform(0.5, 2, n)
    for method in ("regression", "ipw", "doubly_robust"):
        full = att(dy, d, X, w, method)
        assert full.psi.sum() == pytest.approx(0, abs=1e-8)
        moved = []
        for i in range(0, n, 10):
            keep = np.arange(n) != i
            less = att(dy[keep], d[keep], X[keep], w[keep], method)
            moved.append(full.estimate - less.estimate)
        # second order: one unit of 400
        np.testing.assert_allclose(moved, full.psi[::10], atol=1.5e-3)
        assert np.corrcoef(moved, full.psi[::10])[0, 1] > 0.995


def test_a_trend_of_the_covariate_is_removed():
    data = adoption(8, trend_in_x=1.0, noise=0.0, effects=True)
    for method in ("doubly_robust", "regression"):
        found = estimate(data, {"method": method}, controls=["x"])
        cells = found.frames["group_time"].query("event_time >= 0")
        true = data[data.d == 1].groupby(["first", "time"]).effect.mean()
        # the outcome is exactly linear in x, so the regression is exact
        np.testing.assert_allclose(cells.estimate, true, atol=1e-9)
        before = found.frames["group_time"].query("event_time < 0")
        np.testing.assert_allclose(before.estimate, 0, atol=1e-9)


def test_universal_base_leaves_the_reference_out_and_says_so():
    universal = estimate(adoption())
    varying = estimate(adoption(), {"base_period": "varying"})
    assert -1 not in set(rows(universal, "by_event_time").event_time)
    assert -1 in set(rows(varying, "by_event_time").event_time)
    assert universal.plots[0].options["reference"] == -1
    assert "reference" not in varying.plots[0].options
    assert universal.notes[0].startswith("Event time -1 is the reference")
    early = estimate(adoption(), anticipation=1)
    assert early.plots[0].options["reference"] == -2
    assert -1 in set(rows(early, "by_event_time").event_time)


def spaced(data: pd.DataFrame, years: dict[int, int]) -> pd.DataFrame:
    """The same panel with other names of its periods."""
    first = [years[int(g)] if np.isfinite(g) else np.inf for g in data["first"]]
    return data.assign(time=[years[t] for t in data.time], first=first)


@pytest.mark.parametrize("plugin", [CallawaySantanna(), SunAbraham()])
def test_the_reference_is_the_last_period_that_there_is(plugin):
    data = adoption()
    request = request_of(
        spaced(data, {t: 1950 + 5 * t for t in range(1, 9)}),
        estimand=("by_event_time",),
    )
    five = plugin.estimate(request)
    assert five.plots[0].options["reference"] == -5
    assert five.notes[0].startswith("Event time -5 is the reference")
    assert -5 not in set(five.coefficients.event_time)
    # cohorts of period 4, 6 and 7: the period before is 3, 1 and 2 years away
    years = dict(zip(range(1, 9), (1, 2, 3, 6, 9, 10, 12, 15), strict=True))
    uneven = plugin.estimate(
        request_of(spaced(data, years), estimand=("by_event_time",))
    )
    assert "reference" not in uneven.plots[0].options
    assert "event time -3, -2 or -1:" in uneven.notes[0]
    early = replace(request, treatment=replace(request.treatment, anticipation=1))
    assert plugin.estimate(early).notes[0].startswith("Event time -5 is the reference")


def test_the_window_limits_rows_and_test():
    whole, cut = estimate(adoption()), estimate(adoption(), {"window": (-3, 1)})
    assert list(rows(cut, "by_event_time").event_time) == [-3, -2, 0, 1]
    assert cut.tests[0].df == "2"
    assert rows(cut, "att").estimate.iloc[0] == rows(whole, "att").estimate.iloc[0]


def test_simultaneous_bands():
    result = estimate(adoption(), {"bootstrap": 999}, seed=3)
    bands = result.frames["bands"]
    assert len(bands) == len(result.coefficients)
    joined = bands[bands.estimand == "by_event_time"]
    own = rows(result, "by_event_time")
    assert (joined.conf_low.to_numpy() < own.conf_low.to_numpy()).all()
    again = estimate(adoption(), {"bootstrap": 999}, seed=3)
    pd.testing.assert_frame_equal(bands, again.frames["bands"])
    # one estimate alone: the normal quantile, up to 999 draws of 50 units
    single = bands[bands.estimand == "att"].critical.iloc[0]
    assert single == pytest.approx(1.96, abs=0.25)


def test_the_critical_value_of_independent_rows():
    psi = np.random.default_rng(0).normal(size=(800, 20))
    # the maximum of 20 independent normals has its 95 % quantile at 3.02; 0.1 covers
    # 4,000 draws and the chance correlations of 800 clusters
    assert simultaneous(psi, 0.95, 4000, 1) == pytest.approx(3.02, abs=0.1)


def test_scale_shift_order_and_names():
    data = adoption(9)
    one = estimate(data).coefficients
    other = estimate(data.assign(y=1e6 * data.y + 7)).coefficients
    # adding 7e0 to numbers near 1e6 loses nothing; differences of means cancel it
    np.testing.assert_allclose(other.estimate, 1e6 * one.estimate, rtol=1e-8)
    np.testing.assert_allclose(other.std_error, 1e6 * one.std_error, rtol=1e-8)
    shuffled = data.sample(frac=1, random_state=0)
    shuffled["unit"] = [f"n{(37 * int(u[1:])) % 50:02d}" for u in shuffled.unit]
    pd.testing.assert_frame_equal(estimate(shuffled).coefficients, one, rtol=1e-10)


def test_support_counts():
    result = estimate(adoption())
    support = result.frames["support"].set_index("event_time")
    assert support.n_units[0] == 28
    assert support.n_cohorts[0] == 3
    assert support.n_units[4] == 9
    assert result.scalars["n_treated_units"] == 28
    assert result.scalars["n_clusters"] == 50


def refusal(data: pd.DataFrame, options: dict[str, Any] | None = None, **changes):
    with pytest.raises(EstimandError) as caught:
        estimate(data, options, **changes)
    return {p.code for p in caught.value.problems}, str(caught.value)


def test_no_never_treated():
    data = adoption(sizes={4.0: 10, 6.0: 12, 7.0: 9})
    codes, text = refusal(data, {"control_group": "never_treated"})
    assert codes == {"E04"}
    assert "not_yet_treated" in text
    result = estimate(data, {"control_group": "not_yet_treated"})
    cells = result.frames["group_time"]
    assert set(cells.cohort) == {4, 6}
    assert cells.period.max() == 6
    assert any("no control left" in n for n in result.notes)
    assert any("cohort 7" in n for n in result.notes)


def test_always_treated():
    data = adoption(sizes={1.0: 5, 4.0: 10, 6.0: 12, np.inf: 9})
    codes, text = refusal(data)
    assert codes == {"E05"}
    assert "5 units are treated in all" in text
    dropped = estimate(data, {"always_treated": "drop"})
    without = estimate(data[data["first"] != 1])
    pd.testing.assert_frame_equal(dropped.coefficients, without.coefficients)
    assert dropped.scalars["n_obs"] == len(data) - 5 * 8


def test_units_treated_after_the_end_are_controls():
    data = adoption(sizes={4.0: 10, 6.0: 12, 30.0: 6, np.inf: 9})
    same = data.assign(first=data["first"].replace(30.0, np.inf))
    pd.testing.assert_frame_equal(
        estimate(data, {"control_group": "never_treated"}).coefficients,
        estimate(same, {"control_group": "never_treated"}).coefficients,
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"fixed_effects": ["unit", "time", "odd"]}, "E11"),
        ({"slopes": [("time", "unit")]}, "E11"),
        ({"clusters": ["unit", "time"]}, "I09"),
        ({"clusters": ["odd"]}, "I09"),
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
    codes, _ = refusal(data, **change)
    assert code in codes


def test_few_treated_units_are_refused_unless_acknowledged():
    data = adoption(sizes={4.0: 2, 6.0: 1, np.inf: 20})
    assert refusal(data)[0] == {"I08"}
    estimate(data, acknowledge=frozenset({"few_treated"}))


@pytest.mark.parametrize("plugin", [CallawaySantanna, SunAbraham, Etwfe])
def test_a_cohort_of_one_cluster_and_thin_leads_are_told_where_att_is_asked(plugin):
    """The p value of the pre-trends stands under `att`, so what it rests on does too."""
    data = adoption(sizes={4.0: 9, 7.0: 1, np.inf: 20})
    request = request_of(data, estimand=("att",))
    result = plugin().estimate(request)
    cohorts = [n for n in result.notes if n.startswith("Cohorts of one cluster (7)")]
    thin = [n for n in result.notes if "takes in event times -6, -5, -4" in n]
    assert len(cohorts) == 1
    assert len(thin) == (plugin is not Etwfe)  # it has no effects before treatment
    plain = plugin().estimate(request_of(adoption(), estimand=("att",)))
    told = " ".join(plain.notes)
    assert "one cluster" not in told
    assert "takes in event times" not in told


def test_no_overlap_is_said_for_all_cells_at_once():
    data = adoption()
    data["far"] = data.x + 100.0 * np.isfinite(data["first"])
    codes, text = refusal(data, controls=["far"])
    assert codes == {"I11"}
    assert "more" in text
    with pytest.raises(NotFitted, match="constant or collinear"):
        att(np.ones(4), np.array([1.0, 1, 0, 0]), np.ones((4, 3)), np.ones(4), "ipw")


@pytest.mark.parametrize("method", ["doubly_robust", "ipw", "regression"])
def test_a_covariate_that_others_determine_is_named_and_left_out(method):
    data = adoption()
    data["one"], data["z"] = 7.0, data.unit.str[1:].astype(int) % 7.0
    data["both"] = 2 * data.x - data.z + 5
    codes, text = refusal(data, {"method": method}, controls=["x", "one", "z", "both"])
    assert codes == {"I11"}
    assert "constant or collinear" in text
    assert "separate" not in text
    assert "(one, both)" in text
    # A regression can't tell them apart either.
    assert "Fix: leave out one, both: remove.controls: [one, both], or controls" in text
    estimate(data, {"method": method}, controls=["x", "z"])


def test_a_covariate_that_separates_is_no_collinear_one():
    data = adoption()
    data["far"] = data.x + 100.0 * np.isfinite(data["first"])
    _, text = refusal(data, controls=["far"])
    assert "Fix: estimator.method: regression, or fewer controls" in text
    assert "leave out" not in text


def test_nothing_to_compare():
    data = adoption(sizes={4.0: 10, np.inf: 12})
    late = data[data.time >= 4]
    assert refusal(late)[0] == {"E05"}


def test_the_test_of_cells_before_treatment_has_no_treated_cell():
    found = estimate(adoption(), {"base_period": "varying"})
    (test,) = [t for t in found.tests if t.name == "joint_pretrend_cells"]
    # Cohorts of periods 4, 6 and 7: every period from the second up to the one before.
    assert test.df.split(",")[0] == str(2 + 4 + 5)
