"""Doses: by hand, beside Callaway and Sant'Anna, influence, weights, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from estimators._math.dose_response import (
    Levels,
    Spline,
    coordinates,
    outside,
    step_weights,
    two_way,
)
from estimators.callaway_santanna import CallawaySantanna
from estimators.continuous_did import ContinuousDid
from estimators.twfe import Twfe
from framework.errors import EstimandError
from framework.result import Result
from tests.build_cohorts import request_of as request_of_cohorts
from tests.build_doses import doses, request_of

ALL = ("att", "acrt", "att_dose", "slope_dose")
#: Another order of the same sums.
SAME = 1e-10


def estimated(data: pd.DataFrame, *estimands: str, **options: Any) -> Result:
    return ContinuousDid(**options).estimate(request_of(data, *estimands))


def rows(result: Result, estimand: str) -> pd.DataFrame:
    return result.coefficients[result.coefficients.estimand == estimand]


def test_named(result: Result, name: str) -> Any:
    return next(t for t in result.tests if t.name == name)


test_named.__test__ = False  # type: ignore[attr-defined]  # pytest: a function of tests


def test_a_covariate_that_others_determine_is_named() -> None:
    data = doses(3)
    data["twice"] = 2 * data["x"]
    with pytest.raises(EstimandError) as caught:
        ContinuousDid().estimate(request_of(data, controls=["x", "twice"]))
    (problem,) = caught.value.problems
    assert (problem.code, "(twice)" in problem.what) == ("I11", True)
    assert problem.fix.startswith("leave out twice: remove.controls: [twice], or")


def refused(code: str, data: pd.DataFrame, *words: str, **options: Any) -> str:
    with pytest.raises(EstimandError) as caught:
        estimated(data, **options)
    found = [p for p in caught.value.problems if p.code == code]
    assert found, str(caught.value)
    text = str(found[0])
    for word in words:
        assert word in text, text
    return text


# --- by hand --------------------------------------------------------------------------


def two_periods(seed: int = 0, n: int = 60) -> pd.DataFrame:
    """Doses 1, 2 and 4, and none, in two periods."""
    data = doses(seed, units=n, starts=(4.0, 4.0, np.inf), levels=(1.0, 2.0, 4.0))
    return data[data.time.isin([3, 4])]


@pytest.mark.parametrize(("residuals", "power"), [("hc0", 0), ("hc2", 1), ("hc3", 2)])
def test_levels_in_two_periods_are_differences_of_means(
    residuals: str, power: int
) -> None:
    data = two_periods()
    wide = data.pivot_table(index="unit", columns="time", values="y")
    dy = (wide[4] - wide[3]).to_numpy()
    d = data.groupby("unit")["size"].first().to_numpy()
    control = dy[d == 0]
    null = ((control - control.mean()) ** 2).sum() / len(control) ** 2
    result = estimated(data, *ALL, basis="levels", residuals=residuals)
    by_dose = rows(result, "att_dose").set_index("dose")
    effects = {}
    for level in (1.0, 2.0, 4.0):
        own = dy[d == level]
        effects[level] = own.mean() - control.mean()
        variance = ((own - own.mean()) ** 2).sum() / len(own) ** 2
        variance = variance / (1 - 1 / len(own)) ** power + null  # leverage 1 / n
        # sums of sixty numbers in another order
        assert by_dose.estimate[level] == pytest.approx(effects[level], abs=SAME)
        assert by_dose.std_error[level] == pytest.approx(np.sqrt(variance), abs=SAME)
    treated = dy[d > 0]
    (att,) = rows(result, "att").estimate
    assert att == pytest.approx(treated.mean() - control.mean(), abs=SAME)
    variance = ((treated - treated.mean()) ** 2).sum() / len(treated) ** 2 + null
    (error,) = rows(result, "att").std_error
    assert error == pytest.approx(np.sqrt(variance), abs=SAME)
    # steps per unit of the dose, the first from no dose
    steps = {
        1.0: effects[1.0],
        2.0: effects[2.0] - effects[1.0],
        4.0: (effects[4.0] - effects[2.0]) / 2,
    }
    slopes = rows(result, "slope_dose").set_index("dose").estimate
    assert slopes.to_dict() == pytest.approx(steps, abs=SAME)
    (acrt,) = rows(result, "acrt").estimate
    assert acrt == pytest.approx(np.mean([steps[x] for x in d[d > 0]]), abs=SAME)


@pytest.mark.parametrize(("residuals", "power"), [("hc0", 0), ("hc2", 0.5), ("hc3", 1)])
def test_a_line_in_two_periods_is_a_regression_on_the_dose(
    residuals: str, power: float
) -> None:
    data = doses(2, units=80, starts=(4.0, np.inf))
    data = data[data.time.isin([3, 4])]
    wide = data.pivot_table(index="unit", columns="time", values="y")
    dy = (wide[4] - wide[3]).to_numpy()
    d = data.groupby("unit")["size"].first().to_numpy()
    X = np.column_stack([np.ones((d > 0).sum()), d[d > 0]])
    b, *_ = np.linalg.lstsq(X, dy[d > 0] - dy[d == 0].mean(), rcond=None)
    B = np.linalg.inv(X.T @ X)
    e = dy[d > 0] - dy[d == 0].mean() - X @ b
    e /= (1 - np.einsum("ij,jk,ik->i", X, B, X)) ** power
    V = B @ (X.T * e**2) @ X @ B
    null = ((dy[d == 0] - dy[d == 0].mean()) ** 2).sum() / (d == 0).sum() ** 2
    result = estimated(data, *ALL, degree=1, doses=[1, 2.5], residuals=residuals)
    effects, slopes = rows(result, "att_dose"), rows(result, "slope_dose")
    for row in effects.itertuples():
        at = np.array([1.0, row.dose])
        assert row.estimate == pytest.approx(at @ b, abs=SAME)
        assert row.std_error == pytest.approx(np.sqrt(at @ V @ at + null), abs=SAME)
    assert slopes.estimate.tolist() == pytest.approx([b[1]] * 2, abs=SAME)
    # the slope owes nothing to the controls
    assert slopes.std_error.tolist() == pytest.approx([np.sqrt(V[1, 1])] * 2, abs=SAME)
    (acrt,) = rows(result, "acrt").itertuples()
    assert acrt.estimate == pytest.approx(b[1], abs=SAME)
    assert acrt.std_error == pytest.approx(np.sqrt(V[1, 1]), abs=SAME)
    line = test_named(result, "linear_dose_response")
    assert "by construction" in line.reason
    flat = test_named(result, "constant_dose_response")
    assert flat.statistic == pytest.approx(b[1] ** 2 / V[1, 1], rel=1e-8)


@pytest.mark.parametrize("overall", ["by_cohort", "simple"])
@pytest.mark.parametrize("controls", [[], ["x"]])
def test_the_mean_effect_is_that_of_a_switch(overall: str, controls: list[str]) -> None:
    """att, event study and pre-trend test of Callaway and Sant'Anna (2021)."""
    data = doses(3, units=75)
    found = ContinuousDid(overall=overall, degree=2).estimate(
        request_of(data, "att", "by_event_time", controls=controls)
    )
    changes = {"treatment": "on", "estimand": ("att", "by_event_time")}
    switch = CallawaySantanna(method="regression", overall=overall).estimate(
        request_of_cohorts(data, controls=controls, **changes)
    )
    numbers = ["estimate", "std_error"]
    np.testing.assert_allclose(
        found.coefficients[numbers], switch.coefficients[numbers], atol=SAME
    )
    ours, theirs = (test_named(r, "joint_pretrend") for r in (found, switch))
    assert ours.p_value == pytest.approx(theirs.p_value, abs=1e-8)
    np.testing.assert_allclose(found.influence, switch.influence, atol=SAME)


def test_a_dose_of_one_is_a_switch() -> None:
    data = doses(4, levels=(1.0,))
    result = estimated(data, *ALL, basis="levels", residuals="hc0")
    # one effect, and per unit of the dose the same
    for name in ("estimate", "std_error"):
        column = result.coefficients[name].to_numpy()
        np.testing.assert_allclose(column, column[0], atol=SAME)


# --- influence and the curve ----------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"degree": 2, "knots": [2.0], "doses": [1.5, 3.0], "overall": "simple"},
        {"degree": 1, "doses": [1.5], "control_group": "never_treated"},
    ],
)
def test_influence_functions_are_derivatives_by_the_weight_of_a_unit(
    options: dict[str, Any],
) -> None:
    """Infinitesimal jackknife: the whole estimator, one unit's weight moved."""
    data = doses(5, units=45)
    asked = (*ALL, "by_event_time")

    def moved(unit: str | None, step: float) -> Result:
        held = data.assign(w=1.0 + step * (data.unit == unit))
        return ContinuousDid(residuals="hc0", **options).estimate(
            request_of(held, *asked, controls=["x"], weights=("analytic", "w"))
        )

    psi = moved(None, 0.0).influence
    assert psi is not None
    for unit in ("u000", "u001", "u002", "u010", "u044"):
        up, down = (moved(unit, s).coefficients.estimate for s in (1e-4, -1e-4))
        slope = (up - down).to_numpy() / 2e-4
        # the third derivative of the estimate times the square of the step
        np.testing.assert_allclose(psi.loc[unit], slope, atol=1e-7)


def test_coarser_clusters_add_up_units() -> None:
    data = doses(6)
    by_unit = estimated(data, *ALL).influence
    by_place = (
        ContinuousDid().estimate(request_of(data, *ALL, clusters=["place"])).influence
    )
    assert by_unit is not None
    assert by_place is not None
    place = data.groupby("unit")["place"].first()
    summed = by_unit.groupby(place.loc[by_unit.index].to_numpy()).sum()
    np.testing.assert_allclose(by_place, summed, atol=SAME)


def test_the_curve_is_what_the_rows_are_cut_from() -> None:
    result = estimated(doses(7), "dose_response", "att_dose", "slope_dose", knots=1)
    curve = result.frames["dose_response"]
    along = rows(result, "dose_response")
    same = curve[curve.estimand == "att_dose"]
    assert len(same) == len(along) > 80
    for name in ("dose", "estimate", "std_error", "conf_low", "conf_high"):
        np.testing.assert_allclose(same[name], along[name], atol=SAME)
    # the slope is the derivative: the curve's own differences
    slope = curve[curve.estimand == "slope_dose"].estimate.to_numpy()
    d, effect = same.dose.to_numpy(), same.estimate.to_numpy()
    steps = np.diff(effect) / np.diff(d)
    near = np.diff(d) < 0.06
    assert near.sum() > 70
    # cubic pieces: the error of the trapezoid is a twelfth of step^2 f'''
    mean = (slope[1:] + slope[:-1]) / 2
    np.testing.assert_allclose(steps[near], mean[near], atol=3e-3)


@pytest.mark.parametrize("knots", [(), (1.2,), (1.0, 2.5)])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_a_spline_has_its_lines_and_its_slopes(
    degree: int, knots: tuple[float, ...]
) -> None:
    basis = Spline(degree, knots, 0.5, 4.0)
    d = np.linspace(0.5, 4.0, 40)
    b = coordinates(basis, np.column_stack([np.ones(40), d]), d)
    np.testing.assert_allclose(basis.values(d) @ b[:, 1], d, atol=1e-12)
    np.testing.assert_allclose(
        basis.slopes(d) @ b, np.tile([0, 1], (40, 1)), atol=1e-12
    )
    C = outside(b)
    assert C.shape == (basis.size - 2, basis.size)
    np.testing.assert_allclose(C @ b, 0, atol=1e-12)
    inside = d[1:-1][np.min(np.abs(d[1:-1, None] - np.array([9.0, *knots])), 1) > 1e-3]
    h = 1e-6
    steps = (basis.values(inside + h) - basis.values(inside - h)) / (2 * h)
    # rounding over the step
    np.testing.assert_allclose(basis.slopes(inside), steps, atol=1e-8)


def test_equal_effects_of_levels_are_tested_by_hand() -> None:
    data = two_periods(8, n=90)
    result = estimated(data, "att_dose", basis="levels")
    b = result.coefficients.estimate.to_numpy()
    assert result.influence is not None
    V = (result.influence.T @ result.influence).to_numpy()
    R = np.array([[1.0, -1, 0], [0, 1, -1]])
    found = test_named(result, "constant_dose_response")
    by_hand = (R @ b) @ np.linalg.solve(R @ V @ R.T, R @ b)
    assert found.statistic == pytest.approx(by_hand, rel=1e-8)
    line = np.array([[1.0, -1.5, 0.5]])  # (e2 - e1) / 1 = (e4 - e2) / 2
    found = test_named(result, "linear_dose_response")
    by_hand = float((line @ b)[0] ** 2 / (line @ V @ line.T)[0, 0])
    assert found.statistic == pytest.approx(by_hand, rel=1e-8)


def test_bands_reach_further_and_repeat_themselves() -> None:
    data = doses(9)
    first = estimated(data, "att_dose", bootstrap=299)
    again = estimated(data, "att_dose", bootstrap=299)
    curve = first.frames["dose_response"]
    assert (curve.band_low < curve.conf_low).all()
    assert (curve.band_high > curve.conf_high).all()
    pd.testing.assert_frame_equal(curve, again.frames["dose_response"])
    assert {"estimand", "dose", "critical"} <= {*first.frames["bands"].columns}
    (plot,) = first.plots
    assert (plot.kind, plot.frame) == ("dose_response", "dose_response")


# --- the two-way coefficient ----------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_steps_and_their_weights_make_the_two_way_coefficient(weighted: bool) -> None:
    rng = np.random.default_rng(10)
    n = 200
    d = np.where(rng.random(n) < 0.3, 0.0, rng.integers(1, 9, n) / 2)
    w = rng.uniform(0.5, 2, n) if weighted else np.ones(n)
    before = rng.normal(size=n)
    after = before + att_of(d) + rng.normal(size=n)
    steps = step_weights(d, w)
    assert steps.weight.sum() == pytest.approx(1, abs=1e-12)
    assert (steps.weight > 0).all()
    levels = np.concatenate([[0.0], steps.doses])
    m = [np.average((after - before)[d == x], weights=w[d == x]) for x in levels]
    found = two_way(np.column_stack([before, after]), np.column_stack([0 * d, d]), w)
    by_steps = steps.weight @ (np.diff(m) / np.diff(levels))
    assert found == pytest.approx(by_steps, abs=1e-12)
    share = [w[d == x].sum() / w[d > 0].sum() for x in steps.doses]
    assert steps.share == pytest.approx(share, abs=1e-12)


def att_of(d: np.ndarray) -> np.ndarray:
    return np.sqrt(d)


def test_the_two_way_coefficient_is_that_of_twfe() -> None:
    data = doses(11)
    result = estimated(data)
    plain = Twfe().estimate(request_of(data, "coefficient"))
    assert result.scalars["two_way_estimate"] == pytest.approx(
        plain.coefficients.estimate[0], abs=SAME
    )
    assert "two_way_weights" not in result.frames  # two cohorts: no such weights
    one = estimated(doses(11, starts=(4.0, np.inf)))
    shares = one.frames["two_way_weights"]
    assert shares[["two_way", "acrt"]].sum().tolist() == pytest.approx([1, 1])
    (note,) = (n for n in one.notes if "two_way_weights" in n)
    assert f"{one.scalars['two_way_estimate']:.6g}" in note
    adjusted = ContinuousDid().estimate(request_of(data, controls=["x"]))
    assert "two_way_estimate" not in adjusted.scalars


# --- invariances and conventions ------------------------------------------------------


def test_another_unit_of_the_dose_scales_slopes_alone() -> None:
    data = doses(12)
    per_mille = data.assign(dose=data.dose * 1000)
    one = estimated(data, *ALL, knots=1, doses=[1, 2, 3])
    other = estimated(per_mille, *ALL, knots=1, doses=[1000, 2000, 3000])
    for estimand, factor in (
        ("att", 1),
        ("acrt", 1e-3),
        ("att_dose", 1),
        ("slope_dose", 1e-3),
    ):
        for name in ("estimate", "std_error"):
            np.testing.assert_allclose(
                rows(other, estimand)[name],
                factor * rows(one, estimand)[name],
                rtol=1e-9,  # a regression on other numbers
            )
    for ours, theirs in zip(one.tests, other.tests, strict=True):
        assert ours.p_value == pytest.approx(theirs.p_value, abs=1e-8)


def test_other_names_of_periods_change_no_number() -> None:
    data = doses(13)
    moved = data.assign(time=1900 + data.time, first=1900 + data["first"])
    pd.testing.assert_frame_equal(
        estimated(data, *ALL).coefficients, estimated(moved, *ALL).coefficients
    )
    biennial = data.assign(time=2 * data.time, first=2 * data["first"])
    found = estimated(biennial, "att", "by_event_time").coefficients
    plain = estimated(data, "att", "by_event_time").coefficients
    np.testing.assert_allclose(found.estimate, plain.estimate, atol=SAME)
    assert (
        found.event_time.dropna().tolist() == (plain.event_time.dropna() * 2).tolist()
    )


def test_anticipation_moves_the_base_period() -> None:
    data = doses(14)
    result = ContinuousDid(degree=1).estimate(request_of(data, anticipation=1))
    cells = result.frames["group_time"]
    first = cells[cells.cohort == 3]
    assert set(first.base_period) == {1}
    assert 2 in set(first.period)  # the period of anticipation has an effect of its own
    # controls of period 5 are untreated in 5 and 6: the never-treated
    assert set(first[first.period == 5].n_control) == {30}
    assert set(first[first.period == 3].n_control) == {60}


def test_gaps_leave_cells_with_the_units_seen_in_both_periods() -> None:
    data = doses(15, units=120, gaps=0.1)
    result = estimated(data, degree=1)
    cells = result.frames["group_time"]
    row = cells[(cells.cohort == 3) & (cells.period == 4)].iloc[0]
    wide = data.pivot_table(index="unit", columns="time", values="y")
    dy = (wide[4] - wide[2]).dropna()
    first = data.groupby("unit")["first"].first().loc[dy.index]
    own, other = dy[first == 3], dy[first > 4]
    assert (row.n_treated, row.n_control) == (len(own), len(other))
    assert row.att == pytest.approx(own.mean() - other.mean(), abs=SAME)
    assert "two_way_estimate" not in result.scalars
    assert any("The panel has gaps" in note for note in result.notes)


def test_a_shorter_sample_moves_no_start() -> None:
    data = doses(15)
    late = data[data.time >= 4]
    request = request_of(late, history=data)
    with pytest.raises(EstimandError, match="30 units are treated in all") as caught:
        ContinuousDid().estimate(request)
    assert caught.value.problems[0].code == "E05"
    found = ContinuousDid(always_treated="drop").estimate(request)
    assert set(found.frames["group_time"].cohort) == {5}


def test_weights_count_units_and_may_change() -> None:
    data = doses(15)
    copies = data.assign(w=1.0 + data.unit.isin(["u000", "u002"]))
    twice = data[data.unit.isin(["u000", "u002"])]
    doubled = pd.concat([data, twice.assign(unit=twice.unit + "b")])
    weighted = ContinuousDid(doses=[2]).estimate(
        request_of(copies, *ALL, weights=("analytic", "w"))
    )
    plain = estimated(doubled, *ALL, doses=[2])
    np.testing.assert_allclose(
        weighted.coefficients.estimate, plain.coefficients.estimate, atol=SAME
    )
    moving = data.assign(w=data.w * (1 + 0.1 * data.time))
    found = ContinuousDid().estimate(request_of(moving, weights=("analytic", "w")))
    assert any("The weights change within units" in note for note in found.notes)


def test_without_gaps_in_support_all_treated_count_and_elsewhere_it_is_said() -> None:
    data = doses(16)
    narrow = (data["first"] == 5) & (data["size"] > 2)
    some = data[~narrow].copy()  # the later cohort has doses up to 2
    result = estimated(some, "att_dose", degree=1)
    assert rows(result, "att_dose").dose.max() <= 2
    assert result.frames["dose_response"].dose.max() <= 2
    assert any("where every cohort has doses" in n for n in result.notes)
    refused("E10", some, "no effect is identified at 'dose' 3", degree=1, doses=[3])
    apart = data[~((data["first"] == 5) & (data["size"] < 2.5))]
    apart = apart[~((apart["first"] == 3) & (apart["size"] > 2))]
    refused("E10", apart, "no range of 'dose' in common", degree=1)


# --- refusals -------------------------------------------------------------------------


def test_a_dose_that_changes_is_refused() -> None:
    data = doses(17)
    grown = data.assign(dose=data.dose * (1 + (data.time == 6)))
    refused("E06", grown, "changes after it has started in 60 units", "u000")
    ended = data.assign(dose=data.dose * (data.time < 6))
    refused("E06", ended, "changes after it has started")


def test_every_problem_of_the_path_is_told_at_once() -> None:
    data = doses(17)
    odd = data.assign(dose=data.dose.where(data.unit != "u000", -data.dose))
    odd["dose"] = odd.dose.where((data.unit != "u001") | (data.time < 6), 9.0)
    with pytest.raises(EstimandError) as caught:
        estimated(odd)
    said = [p.what for p in caught.value.problems]
    assert len(said) == 2
    assert "negative in 1 unit (first: u000)" in said[0]
    assert "changes after it has started in 1 unit (first: u001)" in said[1]


def test_a_dose_in_all_rows_needs_its_start() -> None:
    data = doses(18)
    refused("E05", data.assign(dose=data["size"]), "treatment.first_treated")
    some = data.assign(dose=np.where(data.unit == "u000", data["size"], data.dose))
    refused("E05", some, "estimator.always_treated: drop")
    dropped = estimated(some, always_treated="drop")
    assert any("1 unit treated in all their periods" in n for n in dropped.notes)
    assert dropped.scalars["n_treated_units"] == 59


def test_a_dose_that_starts_in_a_gap_is_refused_unless_acknowledged() -> None:
    data = doses(19)
    hole = data[~((data.unit == "u000") & (data.time == 2))]
    refused("E01", hole, "1 unit has no row just before", "u000")
    request = request_of(hole)
    found = ContinuousDid().estimate(
        replace(request, acknowledge=frozenset({"onset_in_gap"}))
    )
    assert np.isfinite(found.coefficients.estimate).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "absorbing", "treatment": "on"}, "kind absorbing"),
        ({"treatment": ["dose", "x"]}, "'dose', 'x'"),
    ],
)
def test_other_treatments_than_one_dose_are_refused(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(EstimandError) as caught:
        ContinuousDid().estimate(request_of(doses(20), **changes))
    (problem,) = caught.value.problems
    assert problem.code == "E15"
    assert words in problem.what


def test_units_without_a_dose_are_needed() -> None:
    data = doses(21, starts=(3.0, 5.0))
    refused("E04", data, "never_treated", control_group="never_treated")
    result = estimated(data)  # the later cohort is a control until it is treated
    assert any("control only" in n for n in result.notes)
    assert set(result.frames["group_time"].cohort) == {3}
    refused("E10", doses(21, starts=(3.0,)), "no group-time effect")


def test_doses_that_cannot_carry_the_curve_are_refused() -> None:
    few = doses(22, levels=(1.0, 2.0, 3.0))
    refused("I11", few, "3 distinct doses for the 4 columns", "basis: levels")
    refused("I11", few, "knots 7 with doses from 1 to 3", degree=1, knots=[7])
    data = doses(22)
    thin = data[(data["first"] != 5) | (data["size"] > 3.2)]
    text = refused("I11", thin, "cohort 5 has doses from", "off knot 2", knots=[2.0])
    assert "cohort 3" not in text
    ten = data.unit.isin([f"u{u:03d}" for u in range(15)])
    refused("I11", data[ten | np.isinf(data["first"])], "5 units", degree=4)


def test_doses_that_leave_a_column_undetermined_are_refused() -> None:
    # between the two knots nobody has a dose
    data = doses(23)
    hollow = data[(data["size"] < 1.5) | (data["size"] > 3)]
    refused("I11", hollow, "undetermined", degree=1, knots=[1.8, 2.2, 2.6])


def test_levels_need_all_cohorts_and_two_units_each() -> None:
    data = doses(24, levels=(1.0, 2.0))
    lacking = data[~((data["first"] == 5) & (data["size"] == 2))]
    refused(
        "I11", lacking, "cohort 5 has no unit with dose 2", "coarser", basis="levels"
    )
    own = data[(data["first"] == 5) & (data["size"] == 2)].unit.unique()
    alone = data[~data.unit.isin(own[1:])]
    refused("I08", alone, "cohort 5 at 2", "few_treated", basis="levels")
    request = replace(request_of(alone), acknowledge=frozenset({"few_treated"}))
    found = ContinuousDid(basis="levels").estimate(request)
    assert np.isfinite(found.coefficients.std_error).all()


def test_few_treated_units_and_other_effects_are_refused() -> None:
    data = doses(25)
    few = data[np.isinf(data["first"]) | (data.unit < "u004")]
    refused("I08", few, "3 treated", degree=1)
    cells = data.assign(cell=data.place * 10 + data.time)
    with pytest.raises(EstimandError, match="fixed effects beside"):
        ContinuousDid().estimate(request_of(cells, fixed_effects=["unit", "cell"]))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"knots": [2, 1]}, "rise"),
        ({"knots": -1}, "not negative"),
        ({"doses": [0]}, "greater than 0"),
        ({"window": [3, -3]}, "from low to high"),
    ],
)
def test_options_without_a_meaning_are_refused(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        ContinuousDid(**options)


def test_levels_of_the_basis() -> None:
    basis = Levels((1.0, 2.0, 4.0))
    d = np.array([2.0, 4.0])
    np.testing.assert_array_equal(basis.values(d), [[0, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(basis.slopes(d), [[-1, 1, 0], [0, -0.5, 0.5]])
