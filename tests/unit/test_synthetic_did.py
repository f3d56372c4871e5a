"""Synthetic difference-in-differences: by hand, other programs, invariances, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from estimators._math.simplex import simplex_least_squares
from estimators.synthetic_did import SyntheticDid
from framework.errors import EstimandError
from framework.result import Result
from tests.build_cohorts import adoption, request_of

ALL = ("att", "by_event_time", "by_cohort")
#: Few treated, so that placebos exist.
FEW = {5.0: 5, 6.0: 4, np.inf: 21}
# sums of a few thousand numbers near one
EXACT = 1e-10


def estimate(data: pd.DataFrame, options: dict[str, Any] | None = None, **changes):
    changes.setdefault("estimand", ALL)
    changes.setdefault("inference", "iid")
    changes.setdefault("clusters", [])
    chosen = {"replications": 20} | (options or {})
    return SyntheticDid(**chosen).estimate(request_of(data, **changes))


def rows(result: Result, estimand: str) -> pd.DataFrame:
    return result.coefficients[result.coefficients.estimand == estimand]


def refused(data: pd.DataFrame, options: dict[str, Any] | None = None, **changes):
    with pytest.raises(EstimandError) as caught:
        estimate(data, options, **changes)
    return {p.code: p for p in caught.value.problems}


# --- weights -----------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 3), (4, 9), (30, 12), (8, 60)])
@pytest.mark.parametrize("ridge", [0.0, 1e-9, 0.5, 50.0])
def test_simplex_weights_satisfy_the_conditions_of_an_optimum(shape, ridge):
    rng = np.random.default_rng(3)
    A, b = rng.normal(size=shape).cumsum(axis=0), rng.normal(size=shape[0]).cumsum()
    w = simplex_least_squares(A, b, ridge)
    assert w.min() >= 0
    assert w.sum() == pytest.approx(1, abs=1e-12)
    gradient = A.T @ (A @ w - b) + ridge * w
    size = np.abs(A).max() ** 2 * len(b)
    # equal gradients where the weight is positive, none lower elsewhere
    assert gradient.min() >= w @ gradient - 1e-10 * size
    assert np.ptp(gradient[w > 1e-9]) <= 1e-10 * size


def test_simplex_weights_are_those_of_a_general_solver():
    rng = np.random.default_rng(4)
    A, b = rng.normal(size=(12, 5)), rng.normal(size=12)
    found = minimize(
        lambda w: ((A @ w - b) ** 2).sum() + 0.3 * (w**2).sum(),
        np.full(5, 0.2),
        bounds=[(0, 1)] * 5,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    # where SLSQP stops
    np.testing.assert_allclose(simplex_least_squares(A, b, 0.3), found.x, atol=1e-6)


def test_weights_do_not_depend_on_the_unit_of_measure():
    rng = np.random.default_rng(5)
    A, b = rng.normal(size=(12, 40)), rng.normal(size=12)
    plain = simplex_least_squares(A, b, 0.1)
    scaled = simplex_least_squares(1e6 * A, 1e6 * b, 0.1e12)
    np.testing.assert_allclose(scaled, plain, atol=1e-9)


# --- the estimate ------------------------------------------------------------------


def test_effects_by_hand_from_the_weights():
    data = adoption(1, sizes=FEW)
    result = estimate(data)
    wide = data.pivot(index="unit", columns="time", values="y")
    first = data.groupby("unit")["first"].first()
    effects = {}
    for g in (5, 6):
        omega = result.frames["unit_weights"].query("cohort == @g")
        lam = result.frames["time_weights"].query("cohort == @g")
        controls = omega.set_index("unit").weight @ wide.loc[omega.unit]
        gap = wide[first == g].mean() - controls
        before = lam.set_index("period").weight @ gap[gap.index < g]
        effects[g] = gap - before
        found = rows(result, "by_cohort").set_index("cohort").estimate[g]
        assert found == pytest.approx((gap[gap.index >= g] - before).mean(), abs=EXACT)
    taus = rows(result, "by_cohort").set_index("cohort").estimate
    # treated unit-periods: 5 units x 4 periods, 4 units x 3 periods
    assert rows(result, "att").estimate.iloc[0] == pytest.approx(
        (20 * taus[5] + 12 * taus[6]) / 32, abs=EXACT
    )
    at = rows(result, "by_event_time").set_index("event_time").estimate
    assert at[2] == pytest.approx(
        (5 * effects[5][7] + 4 * effects[6][8]) / 9, abs=EXACT
    )
    assert at[3] == pytest.approx(effects[5][8], abs=EXACT)


def test_another_program_finds_the_same_effect_and_jackknife():
    diff_diff = pytest.importorskip("diff_diff")
    data = adoption(2, sizes={5.0: 6, np.inf: 24})
    data["ever"] = np.isfinite(data["first"]).astype(int)
    theirs = diff_diff.SyntheticDiD(variance_method="jackknife").fit(
        data,
        outcome="y",
        treatment="ever",
        unit="unit",
        time="time",
        post_periods=[5, 6, 7, 8],
    )
    short = estimate(data, {"errors": "jackknife", "solver": "frank_wolfe"})
    # both stop where a step gains less than 1e-5 of the noise
    assert short.coefficients.estimate[0] == pytest.approx(theirs.att, abs=1e-4)
    assert short.coefficients.std_error[0] == pytest.approx(theirs.se, rel=1e-3)


@pytest.mark.parametrize("covariates", ["projected", "optimized"])
def test_a_covariate_that_explains_all_noise_leaves_the_effect(covariates):
    data = adoption(3, sizes=FEW, noise=0.0, effects=False)
    data["y"] += 2.0 * data.z + 3.0 * data.d
    result = estimate(data, {"covariates": covariates}, controls=["z"])
    assert result.coefficients.estimate[0] == pytest.approx(3.0, abs=1e-6)
    np.testing.assert_allclose(result.frames["covariates"].coefficient, 2.0, atol=1e-6)


def test_optimized_covariates_are_at_a_stationary_point():
    from estimators._math import synthetic_did as math

    rng = np.random.default_rng(6)
    Y0, X0 = rng.normal(size=(15, 9)).cumsum(axis=1), rng.normal(size=(2, 15, 9))
    y1, x1 = rng.normal(size=9).cumsum(), rng.normal(size=(2, 9))
    span = math.Span(6, 6)
    zeta = math.regularisation(Y0, span, 1)
    found = math.cohort(Y0, y1, span, zeta, X0=X0, x1=x1).weights

    def value(beta):
        left0, left1 = Y0 - np.tensordot(beta, X0, 1), y1 - beta @ x1
        w = math.cohort(left0, left1, span, zeta).weights
        return math._objective(left0, left1, span, zeta, w)

    at = value(found.beta)
    for step in np.vstack([np.eye(2), -np.eye(2)]) * 1e-2:
        assert value(found.beta + step) > at


def test_anticipated_periods_are_on_neither_side():
    data = adoption(4, sizes=FEW)
    jumps = data.copy()
    jumps.loc[jumps["first"] - jumps.time == 1, "y"] += 100.0
    plain = estimate(data, anticipation=1)
    moved = estimate(jumps, anticipation=1)
    assert moved.coefficients.estimate[0] == pytest.approx(
        plain.coefficients.estimate[0], abs=EXACT
    )
    times = plain.frames["time_weights"]
    assert (times.period < times.cohort - 1).all()


# --- errors ------------------------------------------------------------------------


def test_with_one_treated_unit_every_control_is_a_placebo():
    data = adoption(5, sizes={5.0: 1, np.inf: 12})
    result = estimate(data)
    draws = result.frames["replicates"].att
    assert len(draws) == 12
    assert result.coefficients.std_error[0] == pytest.approx(draws.std(ddof=0))
    first = np.sort(data.unit[np.isinf(data["first"])].unique())[0]
    alone = data[np.isinf(data["first"])].copy()
    alone.loc[alone.unit == first, "first"] = 5.0
    alone["d"] = (alone.time >= alone["first"]).astype(float)
    by_hand = estimate(alone).frames["cohorts"].estimate[0]
    # the regularisation is kept from the estimate: a few percent of the noise
    assert draws[0] == pytest.approx(by_hand, abs=0.05)


def test_jackknife_by_hand():
    data = adoption(6, sizes={5.0: 5, np.inf: 15})
    result = estimate(data, {"errors": "jackknife"})
    draws = result.frames["replicates"].att
    n = len(draws)
    assert n == 20
    by_hand = np.sqrt((n - 1) / n * ((draws - draws.mean()) ** 2).sum())
    assert result.coefficients.std_error[0] == pytest.approx(by_hand, rel=1e-12)
    psi = result.influence[0]
    assert psi @ psi == pytest.approx(by_hand**2, rel=1e-10)


def test_the_seed_moves_random_errors_only():
    data = adoption(7, sizes=FEW)
    for errors in ("placebo", "bootstrap"):
        one, same, other = (
            estimate(data, {"errors": errors}, seed=s).coefficients for s in (1, 1, 2)
        )
        pd.testing.assert_frame_equal(one, same)
        np.testing.assert_array_equal(one.estimate, other.estimate)
        assert one.std_error[0] != other.std_error[0]


# --- refusals ----------------------------------------------------------------------


def test_what_can_not_be_estimated_is_refused_with_the_way_out():
    data = adoption(8, sizes=FEW)
    assert "P02" in refused(data.drop(index=5))
    assert "Fix: sample" in str(refused(data.drop(index=[5, 9]))["P02"])
    assert "E04" in refused(data[np.isfinite(data["first"])])
    assert "I01" in refused(data[np.isinf(data["first"])])
    assert "E05" in refused(data[data.time >= 4])
    assert "D08" in refused(data.assign(y=data.y.where(data.index != 3)))
    assert "D06" in refused(data.assign(y=1.0))
    data["cell"] = data.region + data.time.astype(str)
    assert "E11" in refused(data, fixed_effects=["unit", "cell"])


def test_errors_that_need_more_units_are_refused():
    crowded = adoption(9, sizes={5.0: 12, np.inf: 10})
    assert refused(crowded)["I08"].fix == "estimator.errors: bootstrap or jackknife"
    one = adoption(9, sizes={5.0: 1, np.inf: 10})
    for errors in ("jackknife", "bootstrap"):
        problem = refused(one, {"errors": errors})["I08"]
        assert problem.fix == "estimator.errors: placebo"
        assert not problem.acknowledge
    few = adoption(9, sizes={5.0: 3, np.inf: 10})
    assert refused(few, {"errors": "bootstrap"})["I08"].acknowledge == "few_treated"
    known = estimate(
        few, {"errors": "bootstrap"}, acknowledge=frozenset({"few_treated"})
    )
    assert any("too small with few" in note for note in known.notes)


@pytest.mark.parametrize(
    ("sizes", "errors", "works"),
    [
        ({5.0: 12, 6.0: 1, np.inf: 10}, "placebo", ["bootstrap"]),
        ({5.0: 12, 6.0: 1, np.inf: 10}, "jackknife", ["bootstrap"]),
        ({5.0: 5, 6.0: 1, np.inf: 10}, "jackknife", ["placebo", "bootstrap"]),
        ({5.0: 12, np.inf: 10}, "placebo", ["bootstrap", "jackknife"]),
        ({5.0: 3, np.inf: 2}, "bootstrap", []),
        ({5.0: 3, np.inf: 10}, "jackknife", ["placebo"]),
    ],
)
def test_a_refusal_names_all_errors_that_would_work_and_no_other(sizes, errors, works):
    """What the fix names is estimated, what it leaves out is refused, too."""
    data = adoption(9, sizes=sizes)
    fix = refused(data, {"errors": errors})["I08"].fix
    named = fix.removeprefix("estimator.errors: ").split(" or ")
    assert (named if "more untreated" not in fix else []) == works
    for other in ("placebo", "bootstrap", "jackknife"):
        options = {"errors": other, "replications": 20}
        if other in works:
            assert estimate(data, options).coefficients.std_error[0] > 0
        else:
            assert "I08" in refused(data, options)


def test_the_window_is_in_order():
    with pytest.raises(ValueError, match="low to high"):
        SyntheticDid(window=(2, -2))


def test_an_earlier_date_on_untreated_rows_is_a_placebo_in_time():
    data = adoption(11, sizes={6.0: 1, np.inf: 14})
    before = data[data.d == 0].copy()
    before["first"] = before["first"].where(np.isinf(before["first"]), 4.0)
    before["d"] = (before.time >= before["first"]).astype(float)
    result = estimate(before)
    whole = estimate(before[before.time < 6])
    pd.testing.assert_frame_equal(result.coefficients, whole.coefficients)
    assert any("3 periods without a row of any treated" in n for n in result.notes)
