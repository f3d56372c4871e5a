"""Triple differences: against means and regressions by hand, invariances, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._math.triple_difference import optimal_weights
from estimators._math.two_period import NotFitted, att
from estimators.callaway_santanna import CallawaySantanna
from estimators.compare_estimators import CompareEstimators
from estimators.honest_did import HonestDid
from estimators.triple_did import TripleDid
from framework.errors import EstimandError
from framework.result import Result
from tests.build_eligible import SIZES, partly_eligible, request_with

ALL = ("att", "by_event_time", "by_cohort", "by_period")
# sums of a few thousand numbers near one
EXACT = 1e-11


def estimate(data: pd.DataFrame, options: dict[str, Any] | None = None, **changes):
    changes.setdefault("estimand", ALL)
    return TripleDid(**(options or {})).estimate(request_with(data, **changes))


def rows(result: Result, estimand: str) -> pd.DataFrame:
    return result.coefficients[result.coefficients.estimand == estimand]


def comparisons_test(result: Result):
    return next(t for t in result.tests if t.name == "joint_comparisons")


def triple_by_hand(wide, of, g, t, base) -> dict[float, tuple[float, float]]:
    """Comparison cohort -> triple difference and the variance of its own gap."""
    change = (wide[t] - wide[base]).to_numpy()
    seen = np.isfinite(change)
    first, eligible = of["first"].to_numpy(), of["eligible"].to_numpy()

    def gap(cohort: float) -> tuple[float, float]:
        means, noise = [], 0.0
        for q in (1, 0):
            some = change[seen & (first == cohort) & (eligible == q)]
            means.append(some.mean())
            noise += some.var() / len(some)
        return means[0] - means[1], noise

    own = gap(g)[0]
    return {k: (own - gap(k)[0], gap(k)[1]) for k in np.unique(first)}


@pytest.mark.parametrize("group", ["never_treated", "not_yet_treated"])
@pytest.mark.parametrize("base", ["universal", "varying"])
@pytest.mark.parametrize("anticipation", [0, 1])
@pytest.mark.parametrize("gaps", [0.0, 0.1])
def test_every_cell_is_a_triple_difference_of_means(group, base, anticipation, gaps):
    # a cohort treated after the last period is never treated here, and not pooled
    data = partly_eligible(1, gaps=gaps, sizes={**SIZES, 9.0: 45})
    options = {"control_group": group, "base_period": base, "always_treated": "drop"}
    result = estimate(data, options, anticipation=anticipation)
    wide = data.pivot(index="unit", columns="time", values="y")
    of = data.groupby("unit")[["first", "eligible"]].first().loc[wide.index]
    found = result.frames["group_time"]
    compared = result.frames["comparisons"]
    assert len(found) > 15
    for c in found.itertuples():
        long = base == "universal" or c.event_time >= -anticipation
        assert c.base_period == (c.cohort - anticipation - 1 if long else c.period - 1)
        later = 8 if group == "never_treated" else max(c.period, c.base_period)
        hand = {
            k: v
            for k, v in triple_by_hand(
                wide, of, c.cohort, c.period, c.base_period
            ).items()
            if k > later + anticipation and k != c.cohort
        }
        assert c.n_comparisons == len(hand)
        # comparisons share the cohort's own gap only, so weights go by the others' noise
        weight = {k: 1 / noise for k, (_, noise) in hand.items()}
        total = sum(weight.values())
        mine = compared[(compared.cohort == c.cohort) & (compared.period == c.period)]
        for row in mine.itertuples():
            k = np.inf if row.compared_with == "never treated" else float(row[4])
            assert row.estimate == pytest.approx(hand[k][0], abs=EXACT)
            assert row.weight == pytest.approx(weight[k] / total, rel=1e-9)
        assert c.estimate == pytest.approx(
            sum(weight[k] * hand[k][0] for k in hand) / total, abs=EXACT
        )


def test_averages_weigh_the_treated_or_whole_groups():
    data = partly_eligible(2)
    units = data.groupby("unit")[["first", "eligible"]].first()
    for shares, some in (("treated", units[units.eligible == 1]), ("groups", units)):
        sizes = some.groupby("first").size()
        result = estimate(data, {"cohort_shares": shares})
        cells = result.frames["group_time"].assign(n=lambda d, n=sizes: d.cohort.map(n))
        post = cells[cells.event_time >= 0]
        got = rows(result, "by_event_time").set_index("event_time").estimate
        for e, cell in cells.groupby("event_time"):
            wanted = np.average(cell.estimate, weights=cell.n)
            assert got[e] == pytest.approx(wanted, abs=EXACT)
        assert rows(result, "att").estimate.iloc[0] == pytest.approx(
            np.average(post.estimate, weights=post.n), abs=EXACT
        )
        np.testing.assert_allclose(
            rows(result, "by_cohort").estimate,
            post.groupby("cohort").estimate.mean(),
            atol=EXACT,
        )


def two_periods(seed: int = 3) -> pd.DataFrame:
    data = partly_eligible(seed, sizes={4.0: 90, np.inf: 110})
    return data[data.time.isin([3, 4])]


def test_two_periods_without_covariates_are_the_three_way_regression():
    data = two_periods()
    result = estimate(data, estimand=("att",))
    X = pd.get_dummies(data.unit).to_numpy(float)
    state = (data["first"] == 4).to_numpy(float)
    after = (data.time == 4).to_numpy(float)
    X = np.column_stack(
        [X, after, after * state, after * data.eligible, data["d × eligible"]]
    )
    beta = np.linalg.lstsq(X, data.y.to_numpy(), rcond=None)[0]
    # one solution of the same normal equations
    assert result.coefficients.estimate.iloc[0] == pytest.approx(beta[-1], abs=1e-10)
    # saturated: HC0 errors of differences are the influence functions
    assert result.coefficients.term.iloc[0] == "d × eligible"


def test_standard_errors_of_two_periods_are_those_of_four_means():
    data = two_periods()
    wide = data.pivot(index="unit", columns="time", values="y")
    of = data.groupby("unit")[["first", "eligible"]].first()
    change = wide[4] - wide[3]
    noise = sum(
        some.var(ddof=0) / len(some)
        for _, some in change.groupby([of["first"], of["eligible"]])
    )
    result = estimate(data, estimand=("att",))
    assert result.coefficients.std_error.iloc[0] == pytest.approx(np.sqrt(noise))
    # clusters of units: sums of the same influence functions
    coarse = estimate(data, estimand=("att",), clusters=["region"])
    region = data.groupby("unit").region.first()
    psi = result.influence[0].groupby(region).sum()
    assert coarse.coefficients.std_error.iloc[0] == pytest.approx(
        np.sqrt((psi**2).sum())
    )
    assert coarse.coefficients.estimate.iloc[0] == pytest.approx(
        result.coefficients.estimate.iloc[0], abs=EXACT
    )


@pytest.mark.parametrize("method", ["doubly_robust", "ipw", "regression"])
def test_covariates_enter_three_differences_with_the_same_treated(method):
    data = partly_eligible(4, trend_in_x=0.3)
    found = estimate(data, {"method": method}, controls=["x"])
    compared = found.frames["comparisons"].set_index(
        ["cohort", "period", "compared_with"]
    )
    wide = data.pivot(index="unit", columns="time", values="y")
    of = data.groupby("unit")[["first", "eligible", "x"]].first()

    def beside(cohort: float, q: int) -> float:
        own = (of["first"] == 4) & (of["eligible"] == 1)
        some = own | ((of["first"] == cohort) & (of["eligible"] == q))
        X = np.column_stack([np.ones(some.sum()), of.x[some]])
        change = (wide[5] - wide[3])[some].to_numpy()
        d = own[some].to_numpy(float)
        return att(change, d, X, np.ones(len(d)), method).estimate

    for name, cohort in (("6", 6.0), ("7", 7.0), ("never treated", np.inf)):
        by_hand = beside(4.0, 0) + beside(cohort, 1) - beside(cohort, 0)
        got = compared.estimate[4, 5, name]
        # covariates are standardised first: rounding of the regressions
        assert got == pytest.approx(by_hand, abs=1e-9)


def test_one_by_one_equals_means_where_both_apply(monkeypatch):
    from estimators._staggered import triple as module

    data = partly_eligible(5, sizes={**SIZES, 9.0: 45})
    plain = estimate(data, weights=("analytic", "w"))
    monkeypatch.setattr(module, "_by_means", module._one_by_one)
    other = estimate(data, weights=("analytic", "w"))
    for frame in ("group_time", "comparisons"):
        pd.testing.assert_frame_equal(
            plain.frames[frame], other.frames[frame], rtol=1e-9
        )
    pd.testing.assert_frame_equal(plain.coefficients, other.coefficients, rtol=1e-9)
    one, two = comparisons_test(plain), comparisons_test(other)
    assert (two.statistic, two.df) == (pytest.approx(one.statistic, rel=1e-8), one.df)


def test_influence_gives_the_errors_and_is_the_jackknife_to_first_order():
    data = partly_eligible(6, trend_in_x=0.2)
    result = estimate(data, controls=["x"], estimand=("att", "by_event_time"))
    psi = result.influence
    np.testing.assert_allclose(
        np.sqrt((psi**2).sum()), result.coefficients.std_error, rtol=1e-12
    )
    # influence functions of an average sum to zero
    np.testing.assert_allclose(psi.sum(), 0, atol=1e-10)
    full = result.coefficients.estimate
    for unit in ("u0003", "u0050", "u0200"):
        without = estimate(
            data[data.unit != unit], controls=["x"], estimand=("att", "by_event_time")
        ).coefficients.estimate
        # second order in 1/(units of a group), of which there are at least eleven
        np.testing.assert_allclose(full - without, psi.loc[unit], atol=0.05)


def test_copies_of_units_are_their_weight():
    data = partly_eligible(7)
    copies = pd.concat(
        [
            data[data.w > k].assign(unit=lambda d, k=k: d.unit + f"copy{k}")
            for k in range(3)
        ]
    )
    weighed = estimate(
        data, {"control_group": "never_treated"}, weights=("analytic", "w")
    )
    copied = estimate(copies, {"control_group": "never_treated"})
    np.testing.assert_allclose(
        weighed.coefficients.estimate, copied.coefficients.estimate, atol=EXACT
    )


def test_order_of_rows_names_and_units_of_measure_do_not_matter():
    data = partly_eligible(8, trend_in_x=0.2)
    first = estimate(data, controls=["x"]).coefficients
    other = data.sample(frac=1, random_state=1).assign(
        unit=lambda d: "z" + (999 - d.unit.str[1:].astype(int)).astype(str),
        y=lambda d: 1000 * d.y + 7,
        x=lambda d: d.x / 50 - 3,
    )
    second = estimate(other, controls=["x"]).coefficients
    # another order of sums, and a logit that stops at another last step
    np.testing.assert_allclose(second.estimate, 1000 * first.estimate, rtol=1e-7)
    np.testing.assert_allclose(second.std_error, 1000 * first.std_error, rtol=1e-7)


def test_swapping_who_is_eligible_turns_two_period_means_around():
    data = two_periods()
    swapped = data.assign(eligible=1 - data.eligible)
    swapped["d × eligible"] = swapped.d * swapped.eligible
    one = estimate(data, estimand=("att",)).coefficients
    two = estimate(swapped, estimand=("att",)).coefficients
    assert two.estimate.iloc[0] == pytest.approx(-one.estimate.iloc[0], abs=EXACT)
    assert two.std_error.iloc[0] == pytest.approx(one.std_error.iloc[0])


def test_trends_of_groups_and_of_the_eligible_drop_out():
    data = partly_eligible(9)
    bent = data.assign(
        y=data.y
        + np.sin(data.time) * data["first"].replace(np.inf, 20)
        + data.time**2 * data.eligible
    )
    np.testing.assert_allclose(
        estimate(data).coefficients.estimate,
        estimate(bent).coefficients.estimate,
        atol=1e-9,  # sums of squares a hundred times as large
    )


def test_support_and_scalars_count_the_treated_units_only():
    data = partly_eligible(10)
    result = estimate(data)
    treated = data[data["d × eligible"] == 1]
    assert result.scalars["n_treated_obs"] == len(treated)
    assert result.scalars["n_treated_units"] == treated.unit.nunique()
    assert result.scalars["n_units"] == data.unit.nunique()
    at = result.frames["support"].set_index("event_time")
    assert at.n_units[0] == treated[treated.time == treated["first"]].unit.nunique()


def test_simultaneous_bands_are_wider_and_repeat_with_the_seed():
    data = partly_eligible(11)
    one = estimate(data, {"bootstrap": 400}, estimand=("by_event_time",), seed=5)
    two = estimate(data, {"bootstrap": 400}, estimand=("by_event_time",), seed=5)
    pd.testing.assert_frame_equal(one.frames["bands"], two.frames["bands"])
    assert (one.frames["bands"].critical > 1.96).all()
    assert one.plots[0].options["bands"] == "bands"


def test_comparison_cohorts_are_held_against_the_last_one():
    data = partly_eligible(21, sizes={**SIZES, 9.0: 45})
    found = comparisons_test(estimate(data))
    assert found.null.endswith("the same effects: 6, 7, 9, and never treated")
    wide = data.pivot(index="unit", columns="time", values="y")
    of = data.groupby("unit")[["first", "eligible"]].first().loc[wide.index]
    first, Q = of["first"].to_numpy(), of["eligible"].to_numpy() == 1
    # cells from treatment on by comparison cohort: g, t with g <= t < cohort
    cells = [(g, t) for g in (4, 6, 7) for t in range(g, 9)]
    estimates, columns = [], []
    for cohort in (6, 7, 9):
        some = [(g, t) for g, t in cells if t < cohort and g != cohort]
        psi, mean = np.zeros(len(wide)), 0.0
        for g, t in some:
            change = (wide[t] - wide[g - 1]).to_numpy()
            for k, sign in ((np.inf, 1.0), (cohort, -1.0)):
                for q in (True, False):
                    own = (first == k) & (q == Q)
                    share = sign * (1.0 if q else -1.0) / len(some)
                    mean += share * change[own].mean()
                    psi[own] += share * (change[own] - change[own].mean()) / own.sum()
        estimates.append(mean)
        columns.append(psi)
    V = np.cov(np.array(columns), bias=True) * len(wide)
    wald = np.array(estimates) @ np.linalg.solve(V, estimates)
    assert found.statistic == pytest.approx(wald, rel=1e-8)
    assert found.df == "3"


def test_a_gap_of_its_own_in_one_comparison_cohort_is_seen():
    data = partly_eligible(1)
    assert comparisons_test(estimate(data)).p_value > 0.1
    data["y"] += 0.6 * data.time * data.eligible * (data["first"] == 7)
    assert comparisons_test(estimate(data)).p_value < 0.01
    never = estimate(data, {"control_group": "never_treated"})
    assert "joint_comparisons" not in {t.name for t in never.tests}
    only = estimate(data[data["first"].isin([4, np.inf])])
    assert "more than one cohort" in comparisons_test(only).reason


def test_weights_of_smallest_variance():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(6, 4))
    omega = root.T @ root
    w = optimal_weights(omega)
    assert w.sum() == pytest.approx(1)
    for _ in range(50):
        other = rng.dirichlet(np.ones(4))
        assert w @ omega @ w <= other @ omega @ other
    # units of a comparison do not matter: rounding
    np.testing.assert_allclose(optimal_weights(1e6 * omega), w, rtol=1e-9)
    with pytest.raises(NotFitted, match="singular"):
        optimal_weights(np.ones((2, 2)))
    with pytest.raises(NotFitted, match="does not vary"):
        optimal_weights(np.diag([1.0, 0.0]))


def test_an_event_study_like_any_other():
    """Bounds for violations of parallel gaps, and two settings side by side."""
    data = partly_eligible(20)
    study = rows(estimate(data), "by_event_time").set_index("event_time")
    request = request_with(data, estimand=("att",))
    honest = HonestDid(of=TripleDid(), relative_magnitudes=(0.5,), smoothness=(0.0,))
    (row,) = honest.estimate(request).coefficients.itertuples()
    assert row.term == "d × eligible"
    # One sums a row, the other takes it from a matrix product: another last digit.
    assert row.estimate == pytest.approx(study.estimate[0], rel=1e-12)
    assert row.std_error == pytest.approx(study.std_error[0], rel=1e-12)
    assert "interact" in honest.demands().requires
    never = TripleDid(control_group="never_treated")
    both = CompareEstimators(of=(TripleDid(), never))
    assert "interact" in both.demands().requires
    found = both.estimate(request).frames["comparison"]
    assert found.estimate[1] == never.estimate(request).coefficients.estimate[0]
    assert "cohorts never treated instead of" in found.reason[1]
    with pytest.raises(ValueError, match="no comparison of estimators"):
        CompareEstimators(of=(CallawaySantanna(), TripleDid()))


def refused(data: pd.DataFrame, options: dict[str, Any] | None = None, **changes):
    with pytest.raises(EstimandError) as caught:
        estimate(data, options, **changes)
    return caught.value.problems


def test_eligibility_that_moves_is_refused_with_its_count():
    data = partly_eligible(12)
    moves = data.unit.isin(["u0001", "u0002"]) & (data.time > 5)
    data.loc[moves, "eligible"] = 1 - data.loc[moves, "eligible"]
    (problem,) = refused(data)
    assert problem.code == "E17"
    assert "changes over time in 2 units" in problem.what
    assert "period before treatment" in problem.fix


def test_a_share_or_a_centred_column_is_refused():
    data = partly_eligible(12)
    data["eligible"] -= data["eligible"].mean()
    (problem,) = refused(data)
    assert (problem.code, "not 0 or 1" in problem.what) == ("E17", True)


def test_a_treatment_of_the_eligible_only_is_refused():
    data = partly_eligible(12)
    data["first"] = data["first"].where(data.eligible == 1, np.inf)
    data["d"] = data["d × eligible"]
    (problem,) = refused(data)
    assert problem.code == "E17"
    assert "never on where 'eligible' is 0" in problem.what
    assert "all units of a treated group" in problem.fix


def test_no_moderator_or_several_are_refused():
    data = partly_eligible(12).assign(other=0.0)
    for named in ([], ["eligible", "other"]):
        (problem,) = refused(data, moderators=named)
        assert problem.code == "E17"
        assert "interact" in problem.fix


def test_a_cohort_with_one_kind_of_units_is_refused_or_left_out_aloud():
    data = partly_eligible(13)
    data = data[(data["first"] != 6) | (data.eligible == 1)]
    data = data[(data["first"] != 7) | (data.eligible == 0)]
    (problem,) = refused(data)
    assert problem.code == "E17"
    assert "6 (no ineligible units), 7 (no eligible units)" in problem.what
    assert problem.acknowledge == "empty_cells"
    result = estimate(data, acknowledge=frozenset({"empty_cells"}))
    assert set(result.frames["group_time"].cohort) == {4}
    assert set(result.frames["comparisons"].compared_with) == {"never treated"}
    assert any("as acknowledged (empty_cells)" in note for note in result.notes)


def test_a_comparison_cohort_without_variance_is_not_used_and_named():
    data = partly_eligible(14)
    seven = data[(data["first"] == 7) & (data.eligible == 0)].unit.unique()
    data = data[~data.unit.isin(seven[1:])]
    (problem,) = refused(data)
    assert (problem.code, problem.acknowledge) == ("I08", "few_treated")
    assert "one eligible or one ineligible unit: 7" in problem.what
    result = estimate(data, acknowledge=frozenset({"few_treated"}))
    assert "7" not in set(result.frames["comparisons"].compared_with)
    assert any("fewer than 2 eligible or ineligible units" in n for n in result.notes)
    assert any("Cohorts 7 have fewer than 5 eligible or" in n for n in result.notes)


def test_nothing_to_compare_with_is_refused():
    data = partly_eligible(15, sizes={4.0: 60, 6.0: 60})
    (problem,) = refused(data, {"control_group": "never_treated"})
    assert problem.code == "E04"
    alone = partly_eligible(15)
    alone = alone[np.isfinite(alone["first"]) | (alone.eligible == 1)]
    (problem,) = refused(alone, {"control_group": "never_treated"})
    assert problem.code == "E10"
    # without never-treated units the last cohort is a comparison only
    result = estimate(data)
    assert set(result.frames["group_time"].cohort) == {4}
    assert result.frames["group_time"].period.max() == 5


def test_effects_of_groups_by_period_are_absorbed_and_others_refused():
    data = partly_eligible(16)
    data["group year"] = data["first"].astype(str) + data.time.astype(str)
    data["kind year"] = data.eligible.astype(str) + data.time.astype(str)
    data["region year"] = data.region + data.time.astype(str)
    plain = estimate(data).coefficients.estimate
    more = estimate(data, fixed_effects=["unit", "group year", "kind year"])
    pd.testing.assert_series_equal(more.coefficients.estimate, plain)
    (problem,) = refused(data, fixed_effects=["unit", "region year"])
    assert (problem.code, "region year" in problem.what) == ("E11", True)
    assert "eligibility by period" in problem.why


def test_covariates_that_separate_groups_are_refused_all_at_once():
    data = partly_eligible(17)
    data["x"] = data["x"] + 100 * data.eligible
    (problem,) = refused(data, controls=["x"])
    assert problem.code == "I11"
    assert "beside ineligible units of 4" in problem.what
    assert "more)" in problem.what
    assert "method: regression" in problem.fix
    data["x"], data["twice"] = data.x % 100, 2 * (data.x % 100)
    (problem,) = refused(data, controls=["x", "twice"])
    assert "(twice)" in problem.what
    assert problem.fix == (
        "leave out twice: remove.controls: [twice], or controls: [] on this line"
    )


def test_few_treated_clusters_and_always_treated_groups():
    data = partly_eligible(18)
    some = data[(data["first"] == 4) & (data.eligible == 1)].unit.unique()[:3]
    kept = data.unit.isin(some) | np.isinf(data["first"])
    kept |= (data["first"] == 4) & (data.eligible == 0)
    (problem,) = refused(data[kept])
    assert (problem.code, problem.acknowledge) == ("I08", "few_treated")
    (problem,) = refused(data[data.time >= 4])
    assert problem.code == "E05"
    dropped = estimate(data[data.time >= 4], {"always_treated": "drop"})
    assert set(dropped.frames["group_time"].cohort) == {6, 7}
    assert dropped.scalars["n_units"] == data[data["first"] != 4].unit.nunique()


def test_the_input_is_not_touched():
    request = request_with(partly_eligible(19), controls=["x"])
    before = request.frame.copy()
    TripleDid().estimate(request)
    pd.testing.assert_frame_equal(request.frame, before)
