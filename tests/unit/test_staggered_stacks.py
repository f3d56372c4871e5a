"""Stacked and local-projection estimators: against the regressions written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.callaway_santanna import CallawaySantanna
from estimators.lp_did import LpDid
from estimators.stacked import Stacked
from framework.errors import EstimandError
from tests.build_cohorts import adoption, request_of
from tests.build_panel import lsdv

BOTH = ("att", "by_event_time")
# dummies by pseudo-inverse
DENSE = 1e-8


def estimate(data: pd.DataFrame, plugin: Any, **changes: Any):
    changes.setdefault("estimand", BOTH)
    return plugin.estimate(request_of(data, **changes))


def rows(result: Any, estimand: str) -> pd.DataFrame:
    return result.coefficients[result.coefficients.estimand == estimand]


def weighted(data: pd.DataFrame) -> pd.DataFrame:
    """With weights that change within units, `v`, beside those that do not, `w`."""
    return data.assign(v=data.w * (1 + (7 * data.index + 3) % 5))


def stack_by_hand(
    data: pd.DataFrame, low: int, high: int, never: bool, weight: str | None = None
) -> pd.DataFrame:
    """Sub-experiments with their corrective weights `q`, times the unit's weight if any.

    A weight is that of the period before treatment.
    """
    parts = []
    for g in sorted(data["first"][np.isfinite(data["first"])].unique()):
        window = data[(data.time >= g + low) & (data.time <= g + high)]
        if window.time.nunique() < high - low + 1:
            continue
        clean = np.isinf(window["first"]) if never else window["first"] > g + high
        part = window[(window["first"] == g) | clean].copy()
        part = part[part.groupby("unit").time.transform("size") == high - low + 1]
        part["treated"] = (part["first"] == g).astype(float)
        part["event"] = (part.time - g).astype(int)
        part["stack_unit"] = [f"{g}|{u}" for u in part.unit]
        part["stack_time"] = [f"{g}|{t}" for t in part.time]
        part["sub"] = g
        parts.append(part)
    stack = pd.concat(parts, ignore_index=True)
    base = stack[stack.event == -1].set_index("stack_unit")
    stack["own"] = stack.stack_unit.map(base[weight]) if weight else 1.0
    sizes = stack[stack.event == -1].groupby(["sub", "treated"]).own.sum().unstack()
    total = sizes.sum()
    ratio = (sizes[1.0] / total[1.0]) / (sizes[0.0] / total[0.0])
    stack["q"] = stack.own * np.where(stack.treated == 1, 1.0, stack["sub"].map(ratio))
    return stack


@pytest.mark.parametrize("weighting", ["treated", "variance"])
@pytest.mark.parametrize("never", [True, False])
@pytest.mark.parametrize(
    ("gaps", "cluster", "weight"),
    [
        (0.0, "unit", None),
        (0.05, "region", None),
        (0.0, "unit", "w"),
        (0.05, "unit", "v"),
    ],
)
def test_the_stacked_regression_written_out(weighting, never, gaps, cluster, weight):
    data = weighted(adoption(1, gaps=gaps, periods=9))
    low, high = -2, 2
    plugin = Stacked(
        window=(low, high),
        weighting=weighting,
        controls_are="never_treated" if never else "not_yet_treated",
    )
    weights = ("probability", weight) if weight else None
    result = estimate(data, plugin, clusters=[cluster], weights=weights)
    stack = stack_by_hand(data, low, high, never, weight)
    names = []
    for k in (-2, 0, 1, 2):
        names.append(f"e{k + 9}")
        stack[names[-1]] = stack.treated * (stack.event == k)
    beta, error = lsdv(
        stack,
        "y",
        names,
        ["stack_unit", "stack_time"],
        cluster,
        "q" if weighting == "treated" else "own",
        nested=["stack_unit"],
    )
    events = rows(result, "by_event_time")
    np.testing.assert_allclose(events.estimate, beta, atol=DENSE)
    np.testing.assert_allclose(events.std_error, error, rtol=1e-7)
    assert rows(result, "att").estimate.iloc[0] == pytest.approx(beta[1:].mean())
    assert result.scalars["n_obs"] == stack.drop_duplicates(["unit", "time"]).shape[0]
    assert len(result.frames["stacks"]) == stack["sub"].nunique()


@pytest.mark.parametrize("weighting", ["treated", "variance"])
@pytest.mark.parametrize(
    ("gaps", "weight"), [(0.0, None), (0.08, None), (0.0, "w"), (0.08, "v")]
)
def test_every_horizon_is_its_regression(weighting, gaps, weight):
    """With weights as Stata's `lpdid, rw`: they are in the reweighting factor, too."""
    data = weighted(adoption(2, gaps=gaps))
    weights = ("probability", weight) if weight else None
    result = estimate(data, LpDid(weighting=weighting), weights=weights)
    wide = data.pivot(index="unit", columns="time", values="y")
    own = data.assign(one=1.0).pivot(
        index="unit", columns="time", values=weight or "one"
    )
    first = data.groupby("unit")["first"].first()
    seen = 0
    for row in rows(result, "by_event_time").itertuples():
        h, parts = int(row.event_time), []
        for t in wide.columns:
            if t + h not in wide or t - 1 not in wide:
                continue
            part = pd.DataFrame(
                {"dy": wide[t + h] - wide[t - 1], "first": first, "own": own[t - 1]}
            )
            part["start"] = (part["first"] == t).astype(float)
            clean = part["first"] > t + max(h, 0)
            part = part[(part.start == 1) | clean].dropna(subset="dy")
            if len(part):
                n1 = (part.own * part.start).sum()
                n0 = (part.own * (1 - part.start)).sum()
                part["p"] = part.own * ((n1 + n0) / n0 if n1 and n0 else 1.0)
                parts.append(part.assign(t=t).reset_index())
        stack = pd.concat(parts, ignore_index=True)
        product = "p" if weighting == "treated" else "own"
        beta, error = lsdv(stack, "dy", ["start"], ["t"], "unit", product)
        assert row.estimate == pytest.approx(beta[0], abs=DENSE)
        assert row.std_error == pytest.approx(error[0], rel=1e-7)
        seen += 1
    assert seen > 7


# -- covariates -----------------------------------------------------------------------


@pytest.mark.parametrize("weighting", ["treated", "variance"])
@pytest.mark.parametrize("weight", [None, "v"])
def test_the_stacked_regression_with_covariates_written_out(weighting, weight):
    """Values at the reference, with an effect of their own at every event time."""
    data = weighted(adoption(1, periods=9, trend_in_x=0.3))
    result = estimate(
        data,
        Stacked(window=(-2, 2), weighting=weighting),
        controls=["x", "z"],
        weights=("analytic", weight) if weight else None,
    )
    stack = stack_by_hand(data, -2, 2, False, weight)
    base = stack[stack.event == -1].set_index("stack_unit")
    names, beside = [], []
    for k in (-2, 0, 1, 2):
        names.append(f"e{k + 9}")
        stack[names[-1]] = stack.treated * (stack.event == k)
        for x in ("x", "z"):
            beside.append(f"{x}{k + 9}")
            stack[beside[-1]] = stack.stack_unit.map(base[x]) * (stack.event == k)
    beta, error = lsdv(
        stack,
        "y",
        [*names, *beside],
        ["stack_unit", "stack_time"],
        "unit",
        "q" if weighting == "treated" else "own",
        nested=["stack_unit"],
    )
    events = rows(result, "by_event_time")
    np.testing.assert_allclose(events.estimate, beta[:4], atol=DENSE)
    np.testing.assert_allclose(events.std_error, error[:4], rtol=1e-7)


def horizon_by_hand(data: pd.DataFrame, h: int) -> pd.DataFrame:
    """Starters and clean controls of every period, with `x`, `z`, `v` of the one before."""
    wide = data.pivot(index="unit", columns="time", values=["y", "x", "z", "v"])
    first = data.groupby("unit")["first"].first()
    parts = []
    for t in sorted(data.time.unique()):
        if t + h not in wide["y"] or t - 1 not in wide["y"]:
            continue
        part = pd.DataFrame(
            {
                "dy": wide["y"][t + h] - wide["y"][t - 1],
                "x": wide["x"][t - 1],
                "z": wide["z"][t - 1],
                "own": wide["v"][t - 1],
                "start": (first == t).astype(float),
            }
        )
        clean = first > t + max(h, 0)
        parts.append(part[(part.start == 1) | clean].assign(t=t).dropna().reset_index())
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(("gaps", "weight"), [(0.0, None), (0.08, None), (0.08, "v")])
def test_every_horizon_with_covariates_is_its_regression(gaps, weight):
    data = weighted(adoption(2, gaps=gaps, trend_in_x=0.3))
    result = estimate(
        data,
        LpDid(weighting="variance"),
        controls=["x", "z"],
        weights=("analytic", weight) if weight else None,
    )
    seen = 0
    for row in rows(result, "by_event_time").itertuples():
        stack = horizon_by_hand(data, int(row.event_time))
        product = "own" if weight else None
        beta, error = lsdv(stack, "dy", ["start", "x", "z"], ["t"], "unit", product)
        assert row.estimate == pytest.approx(beta[0], abs=DENSE)
        assert row.std_error == pytest.approx(error[0], rel=1e-7)
        seen += 1
    assert seen > 7


def adjusted_by_hand(stack: pd.DataFrame, weight: pd.Series) -> float:
    """Controls' regression on periods and covariates, what it leaves of the treated."""
    X = np.column_stack([pd.get_dummies(stack.t, dtype=float), stack[["x", "z"]]])
    w = weight[stack.unit].to_numpy()
    control = w * (stack.start == 0).to_numpy()
    root = np.sqrt(control)[:, None]
    gamma = np.linalg.lstsq(X * root, stack.dy.to_numpy() * root[:, 0], rcond=None)[0]
    treated = w * stack.start.to_numpy()
    return float(treated @ (stack.dy - X @ gamma) / treated.sum())


@pytest.mark.parametrize("weight", [None, "w"])
def test_reweighted_projections_with_covariates_adjust_by_the_controls(weight):
    """Estimate by hand; its error from how it moves with the weight of each unit."""
    data = weighted(adoption(3, trend_in_x=0.3))
    result = estimate(
        data,
        LpDid(window=(-2, 2)),
        controls=["x", "z"],
        weights=("analytic", weight) if weight else None,
    )
    units = sorted(data.unit.unique())
    even = data.assign(one=1.0).groupby("unit")[weight or "one"].first()
    for row in rows(result, "by_event_time").query("event_time != -1").itertuples():
        stack = horizon_by_hand(data, int(row.event_time))
        estimate_ = adjusted_by_hand(stack, even)
        assert row.estimate == pytest.approx(estimate_, abs=DENSE)
        step, moved = 1e-4, []
        for unit in units:
            up, down = even.copy(), even.copy()
            up[unit] *= 1 + step
            down[unit] *= 1 - step
            moved.append(adjusted_by_hand(stack, up) - adjusted_by_hand(stack, down))
        psi = np.array(moved) / (2 * step)
        G, n = len(units), len(stack)
        factor = G / (G - 1) * (n - 1) / (n - 3 - stack.t.nunique())
        by_hand = np.sqrt(psi @ psi * factor)
        # a derivative by differences
        assert row.std_error == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize(
    "plugin", [Stacked(window=(-2, 1)), LpDid(window=(-2, 1))], ids=["s", "lp"]
)
def test_trends_that_follow_a_covariate_are_taken_out(plugin):
    """Nothing random: without the covariate wrong, with it the effects."""
    data = adoption(
        4, noise=0.0, periods=9, trend_in_x=0.5, sizes={4.0: 15, np.inf: 25}
    )
    true = data[data.d == 1].groupby(data.time - data["first"]).effect.mean()

    def found(**changes):
        events = rows(estimate(data, plugin, **changes), "by_event_time")
        return events.set_index("event_time").estimate

    assert np.abs(found()[[0, 1]] - true[[0, 1]]).max() > 0.1
    with_x = found(controls=["x"])
    np.testing.assert_allclose(with_x[[0, 1]], true[[0, 1]], atol=1e-9)
    assert with_x[-2] == pytest.approx(0.0, abs=1e-9)


def test_covariates_that_tell_treated_from_controls_are_refused():
    data = adoption(5)
    data["ever"] = np.isfinite(data["first"]).astype(float)
    with pytest.raises(EstimandError) as caught:
        estimate(
            data,
            Stacked(window=(-2, 1), controls_are="never_treated"),
            controls=["ever"],
        )
    assert caught.value.problems[0].code == "I03"


@pytest.mark.parametrize(
    "plugin",
    [
        Stacked(window=(-2, 1)),
        LpDid(window=(-2, 1)),
        LpDid(window=(-2, 1), weighting="variance"),
    ],
    ids=["stacked", "lp", "lp_variance"],
)
def test_controls_that_add_nothing_are_named_and_not_counted(plugin):
    data = adoption(5)
    data["one"], data["twice"] = 7.0, 2 * data.x + 1
    plain = estimate(data, plugin)
    one = estimate(data, plugin, controls=["one"])
    x = estimate(data, plugin, controls=["x"])
    twice = estimate(data, plugin, controls=["x", "one", "twice"])
    # Adjusted errors count how effects differ between cohorts, regressed ones do not.
    adjusted = isinstance(plugin, LpDid) and plugin.weighting == "treated"
    for less, more in ((x, twice), (plain, one)):
        both = ("estimate", "std_error")
        for column in both[:1] if adjusted and less is plain else both:
            np.testing.assert_allclose(
                more.coefficients[column],
                less.coefficients[column],
                rtol=1e-8,  # collinear columns leave rounding
            )
    assert any("Left out: 'one'" in note for note in one.notes)
    assert any("Left out: 'twice'" in note for note in twice.notes)
    assert not any("Left out" in note for note in x.notes)


def test_a_cohort_without_its_base_period_is_named():
    data = adoption(5)
    cohort = int(data["first"][np.isfinite(data["first"])].min())
    result = estimate(data[data.time != cohort - 1], LpDid(window=(-2, 1)))
    assert any(
        note.startswith(f"Cohorts {cohort} have no rows 1 periods before")
        for note in result.notes
    )
    assert cohort not in set(result.frames["stacks"].cohort)
    whole = estimate(data, LpDid(window=(-2, 1)))
    assert not any("part of any effect" in note for note in whole.notes)


@pytest.mark.parametrize("plugin", [LpDid(), Stacked(window=(-2, 1))])
def test_periods_two_apart_are_told_from_a_short_panel(plugin):
    data = adoption(5)
    for name in ("time", "first"):
        data[name] = 2 * data[name]
    with pytest.raises(EstimandError) as caught:
        estimate(data, plugin)
    (problem,) = caught.value.problems
    assert problem.code == "E10"
    assert "2 apart" in problem.why


def test_as_many_controls_as_clean_units_are_refused():
    data = adoption(5, sizes={4.0: 12, np.inf: 3})
    draw = np.random.default_rng(1)
    names = [f"x{j}" for j in range(40)]  # 3 clean controls in at most 12 periods
    for name in names:
        data[name] = draw.normal(size=len(data))
    with pytest.raises(EstimandError) as caught:
        estimate(data, LpDid(window=(-2, 1)), controls=names)
    assert "I11" in {p.code for p in caught.value.problems}


@pytest.mark.parametrize("weight", [None, "w"])
def test_reweighted_projections_are_the_not_yet_treated_group_time_effects(weight):
    data = adoption(3)
    weights = ("analytic", weight) if weight else None
    one = rows(estimate(data, LpDid(), weights=weights), "by_event_time").set_index(
        "event_time"
    )
    other = rows(
        estimate(
            data, CallawaySantanna(control_group="not_yet_treated"), weights=weights
        ),
        "by_event_time",
    ).set_index("event_time")
    shared = [e for e in one.index if e in other.index]
    assert len(shared) > 7
    np.testing.assert_allclose(one.estimate[shared], other.estimate[shared], atol=1e-11)


def test_exact_without_errors_where_all_cohorts_are_shown():
    data = adoption(4, noise=0.0, periods=9)
    for plugin in (Stacked(window=(-2, 2)), LpDid(window=(-2, 2))):
        events = rows(estimate(data, plugin), "by_event_time").set_index("event_time")
        for k in (0, 1, 2):
            on = (data.time - data["first"]) == k
            assert events.estimate[k] == pytest.approx(
                data.effect[on].mean(), abs=1e-10
            )
        assert events.estimate[-2] == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("plugin", [Stacked(window=(-2, 2)), LpDid(window=(-2, 2))])
def test_without_errors_the_effects_weigh_by_the_treated_units_weights(plugin):
    """Corrective weights from counts of units would give another average."""
    data = adoption(4, noise=0.0, periods=9)
    data["w"] = 1.0 + (data["first"] == 4) * 5 + (data.unit.str[1:].astype(int) % 4)
    found = rows(
        estimate(data, plugin, weights=("probability", "w")), "by_event_time"
    ).set_index("event_time")
    for k in (0, 1, 2):
        on = (data.time - data["first"]) == k
        true = np.average(data.effect[on], weights=data.w[on])
        assert found.estimate[k] == pytest.approx(true, abs=1e-10)
        assert abs(true - data.effect[on].mean()) > 0.01
    cohorts = data[data.time == 1].groupby("first").w.sum()
    share = estimate(data, plugin, weights=("probability", "w")).frames["stacks"]
    if "event_time" in share:
        share = share[share.event_time == 0]
    expected = cohorts[share.cohort.astype(float)] / cohorts[[4.0, 6.0, 7.0]].sum()
    np.testing.assert_allclose(share.weight, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("plugin", "controls"),
    [
        (Stacked(window=(-2, 2)), []),
        (Stacked(window=(-2, 2), weighting="variance"), ["x"]),
        (LpDid(), []),
        (LpDid(weighting="variance"), ["x"]),
        (LpDid(), ["x"]),
    ],
)
def test_frequency_weights_are_copies_and_no_other_weight_has_a_size(plugin, controls):
    data = adoption(5, periods=9)
    copies = pd.concat(
        [
            data[data.w > k].assign(copy=lambda d, k=k: d.unit + f"_{k}")
            for k in range(3)
        ]
    )
    copied = estimate(
        copies.assign(original=copies.unit, unit=copies["copy"]),
        plugin,
        clusters=["original"],
        controls=controls,
    ).coefficients
    frequency = estimate(data, plugin, weights=("frequency", "w"), controls=controls)
    pd.testing.assert_frame_equal(copied, frequency.coefficients, rtol=1e-10)
    one, other = (
        estimate(data.assign(w=c * data.w), plugin, weights=(kind, "w"))
        for c, kind in ((1.0, "analytic"), (1e-7, "probability"))
    )
    pd.testing.assert_frame_equal(one.coefficients, other.coefficients, rtol=1e-10)


def test_weights_that_change_within_units_are_spoken_of():
    data = weighted(adoption(5, periods=9))
    for plugin in (Stacked(), LpDid()):
        said = estimate(data, plugin, weights=("analytic", "v")).notes
        assert any("is measured from (event time -1)" in note for note in said)
        said = estimate(data, plugin, weights=("analytic", "w")).notes
        assert not any("is measured from" in note for note in said)


@pytest.mark.parametrize("plugin", [Stacked(), LpDid(bootstrap=99)], ids=["s", "lp"])
def test_influence_scale_order_and_names(plugin):
    data = adoption(5, periods=10)
    result = estimate(data, plugin)
    np.testing.assert_allclose(
        np.sqrt((result.influence**2).sum()), result.coefficients.std_error, rtol=1e-12
    )
    one = result.coefficients
    other = estimate(data.assign(y=1e6 * data.y), plugin).coefficients
    np.testing.assert_allclose(other.estimate, 1e6 * one.estimate, rtol=1e-9)
    np.testing.assert_allclose(other.std_error, 1e6 * one.std_error, rtol=1e-9)
    shuffled = data.sample(frac=1, random_state=0)
    shuffled["unit"] = [f"n{(37 * int(u[1:])) % 50:02d}" for u in shuffled.unit]
    pd.testing.assert_frame_equal(
        estimate(shuffled, plugin).coefficients, one, rtol=1e-9
    )


def test_cohorts_without_a_whole_window_are_named():
    data = adoption(6)  # periods 1 to 8, cohorts 4, 6 and 7
    result = estimate(data, Stacked(window=(-3, 2)))
    assert set(result.frames["stacks"].cohort) == {4, 6}
    assert any(n.startswith("Cohorts 7 have no whole") for n in result.notes)
    with pytest.raises(EstimandError) as caught:
        estimate(data, Stacked(window=(-7, 7)))
    assert {p.code for p in caught.value.problems} == {"E10"}
    with pytest.raises(ValueError, match="must hold the reference"):
        Stacked(window=(0, 4))


@pytest.mark.parametrize("plugin", [Stacked(), LpDid()], ids=["stacked", "lp_did"])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"fixed_effects": ["unit", "time", "odd"]}, "E11"),
        ({"clusters": ["unit", "time"]}, "I09"),
        ({"clusters": ["half"]}, "I05"),
        ({"cohort": None}, "E01"),
        ({"outcome": "constant"}, "D06"),
        ({"outcome": "holes"}, "D08"),
        ({"weights": ("analytic", "none")}, "D03"),
        ({"weights": ("frequency", "x")}, "D03"),
    ],
)
def test_bad_inputs(plugin, change, code):
    data = adoption(periods=10)
    data["odd"] = data.index % 17
    data["half"] = [int(u[1:]) % 2 for u in data.unit]
    data["constant"] = 4.0
    data["none"] = (data.time > 1).astype(float)
    data["holes"] = data.y.where(data.index != 5)
    with pytest.raises(EstimandError) as caught:
        estimate(data, plugin, **change)
    assert code in {p.code for p in caught.value.problems}


def test_a_reference_that_anticipates_is_refused():
    with pytest.raises(EstimandError) as caught:
        estimate(adoption(periods=10), Stacked(reference=-1), anticipation=1)
    assert {p.code for p in caught.value.problems} == {"E07"}
    fine = estimate(adoption(periods=10), Stacked(reference=-2), anticipation=1)
    assert -1 in set(rows(fine, "by_event_time").event_time)


def test_effects_are_measured_from_the_period_before_anticipation():
    said = estimate(adoption(periods=10), Stacked(reference=-2), anticipation=1)
    found = estimate(adoption(periods=10), Stacked(), anticipation=1)
    assert found.plots[0].options["reference"] == -2
    assert found.coefficients.equals(said.coefficients)
    with pytest.raises(EstimandError) as caught:
        estimate(adoption(periods=10), Stacked(window=(-1, 2)), anticipation=1)
    (problem,) = caught.value.problems
    assert (problem.code, problem.fix) == ("E02", "estimator.window: [-2, 2]")
    early = estimate(adoption(periods=10), LpDid(), anticipation=1)
    assert early.plots[0].options["reference"] == -2


def test_a_unit_that_anticipates_inside_the_window_is_no_control():
    # The window of cohort 4 ends in period 6, which units of period 7 anticipate.
    data = adoption(sizes={4.0: 9, 7.0: 8, np.inf: 12})
    found, never = (
        estimate(data, Stacked(window=(-2, 2), controls_are=who), anticipation=1)
        for who in ("not_yet_treated", "never_treated")
    )
    pd.testing.assert_frame_equal(rows(found, "att"), rows(never, "att"))
    later = estimate(data, Stacked(window=(-2, 2)))
    only = estimate(data, Stacked(window=(-2, 2), controls_are="never_treated"))
    assert rows(later, "att").estimate.iloc[0] != rows(only, "att").estimate.iloc[0]
