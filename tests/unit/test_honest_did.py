"""Intervals under bounded violations: closed forms, invariances, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.optimize import minimize
from scipy.stats import foldnorm, norm

from estimators._math.honest import (
    Path,
    breakdown,
    excludes_zero,
    folded_quantile,
    largest_curvature,
    lasso_path,
    relative_magnitudes,
    smoothness,
)
from estimators.callaway_santanna import CallawaySantanna
from estimators.event_study import EventStudy
from estimators.honest_did import HonestDid
from estimators.sun_abraham import SunAbraham
from framework.contract import Inference
from framework.errors import EstimandError
from framework.result import influence_variance
from tests.build_cohorts import adoption, request_of


def path(seed: int = 0, before: int = 4, after: int = 3, **fields: Any) -> Path:
    rng = np.random.default_rng(seed)
    n = before + after
    root = rng.normal(size=(n, n + 3)) * 0.1
    beta = np.where(np.arange(n) < before, 0.0, 0.5) + 0.1 * rng.normal(size=n)
    return Path(beta, root @ root.T, before, fields.pop("weights", np.eye(after)[0]))


# -- pieces ---------------------------------------------------------------------------


def test_folded_quantiles_are_scipys() -> None:
    shift = np.array([0.0, 0.3, 1.0, 4.0, 30.0])
    # scipy inverts its distribution function to about eight digits
    assert folded_quantile(0.95, shift) == pytest.approx(
        foldnorm.ppf(0.95, shift), rel=1e-7
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_lasso_path_satisfies_its_first_order_conditions(seed: int) -> None:
    """They are sufficient, the problem being convex."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(6, 12))
    Q, q = root @ root.T, rng.normal(size=6)
    kinks = lasso_path(Q, q)
    # linear systems of condition below 1e3
    assert kinks[-1] == pytest.approx(np.linalg.solve(Q, -q), abs=1e-11)
    for p in [*kinks, *(kinks[1:] + kinks[:-1]) / 2]:
        gradient = Q @ p + q
        penalty = np.abs(gradient).max()
        on = p != 0
        assert gradient[on] == pytest.approx(-penalty * np.sign(p[on]), abs=1e-11)


def test_without_curvature_the_line_is_extrapolated_with_least_variance() -> None:
    """M = 0: generalised least squares of a line through the reference."""
    p = path(1, before=3, after=2)
    (found,) = smoothness(p, np.zeros(1), 0.05)
    t = np.array([-3, -2, -1, 1, 2], dtype=float)
    X = np.column_stack([t, [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]])
    W = np.linalg.inv(p.sigma)
    V = np.linalg.inv(X.T @ W @ X)
    estimate, error = (V @ X.T @ W @ p.beta)[1], np.sqrt(V[1, 1])
    # closed forms on both sides
    assert found.lower == pytest.approx(estimate - norm.ppf(0.975) * error, abs=1e-9)
    assert found.upper == pytest.approx(estimate + norm.ppf(0.975) * error, abs=1e-9)


def test_the_shortest_interval_is_shorter_than_any_other_affine_one() -> None:
    p, M = path(2, before=4, after=2), 0.05
    (found,) = smoothness(p, np.array([M]), 0.05)
    half = (found.upper - found.lower) / 2

    def length(w: np.ndarray) -> float:
        """Half length with weights w before; the last one makes the line harmless."""
        slope = 1.0  # l' t of the first effect
        last = slope - np.array([4, 3, 2]) @ w
        a = np.concatenate([w, [last], p.weights])
        loads = [
            sum(v * (m - j) for m, v in zip((4, 3, 2, 1), a[:4], strict=True) if m > j)
            for j in (1, 2, 3)
        ]
        sd = np.sqrt(a @ p.sigma @ a)
        bias = M * (1.0 + np.abs(loads).sum())
        return float(folded_quantile(0.95, np.array([bias / sd]))[0] * sd)

    best = min(
        minimize(length, start, method="Nelder-Mead", options={"fatol": 1e-12}).fun
        for start in np.random.default_rng(0).normal(size=(8, 3)) * 0.3
    )
    # Nelder-Mead on a kinked function: never below ours, and close to it
    assert half <= best + 1e-9
    assert half == pytest.approx(best, rel=1e-3)


def test_one_period_after_is_the_truncated_normal_test_by_hand() -> None:
    """T = 1, P = 1: two moments, no nuisance parameter, one step with two signs."""
    beta, sigma = np.array([0.1, 0.6]), np.array([[0.04, 0.01], [0.01, 0.02]])
    p, M, alpha, kappa = Path(beta, sigma, 1, np.ones(1)), 0.7, 0.05, 0.005
    rng = np.random.default_rng(0)
    grid = np.linspace(-1, 2.2, 1601)
    accepted = np.zeros(len(grid), dtype=bool)
    for sign in (1.0, -1.0):
        # moments: +-(b1 - theta) - M v <= 0, v = sign (0 - b_{-1})
        A = np.array([[sign * M, 1.0], [sign * M, -1.0]])
        V = A @ sigma @ A.T
        sd = np.sqrt(np.diag(V))
        R = V / np.outer(sd, sd)
        draws = rng.multivariate_normal([0, 0], R, 400_000).max(axis=1)
        critical = np.quantile(draws, 1 - kappa)
        for i, theta in enumerate(grid):
            y = (A @ (beta - [0, theta])) / sd
            j = int(y.argmax())
            low = (y[1 - j] - R[0, 1] * y[j]) / (1 - R[0, 1])
            if y[j] > critical:
                continue
            size = (alpha - kappa) / (1 - kappa)
            tail = (norm.sf(y[j]) - norm.sf(critical)) / (
                norm.sf(low) - norm.sf(critical)
            )
            accepted[i] |= y[j] <= 0 or tail >= size
    (found,) = relative_magnitudes(p, np.array([M]), alpha)
    # half a step of this grid, and the error of the simulated critical value
    assert found.lower == pytest.approx(grid[accepted].min(), abs=3e-3)
    assert found.upper == pytest.approx(grid[accepted].max(), abs=3e-3)


# -- properties -----------------------------------------------------------------------

METHODS = [relative_magnitudes, smoothness]
M = np.array([0.0, 0.5, 1.0, 2.0])


@pytest.mark.parametrize("make", METHODS)
def test_intervals_grow_with_the_violation(make: Any) -> None:
    for seed in range(4):
        found = make(path(seed), M, 0.05)
        assert all(np.diff([i.upper - i.lower for i in found]) > 0)


@pytest.mark.parametrize("make", METHODS)
def test_another_unit_of_the_outcome_scales_the_interval(make: Any) -> None:
    p, factor = path(3), 1000.0
    sizes = M * factor if make is smoothness else M
    larger = Path(p.beta * factor, p.sigma * factor**2, p.before, p.weights)
    for a, b in zip(make(p, M, 0.05), make(larger, sizes, 0.05), strict=True):
        # the search for the shortest interval stops at rounding of its length
        assert b.lower / factor == pytest.approx(a.lower, abs=1e-6)
        assert b.upper / factor == pytest.approx(a.upper, abs=1e-6)


@pytest.mark.parametrize("make", METHODS)
def test_the_sign_of_the_outcome_mirrors_the_interval(make: Any) -> None:
    p = path(4, weights=np.array([0.5, -0.2, 0.7]))
    for a, b in zip(
        make(p, M, 0.05), make(replace(p, beta=-p.beta), M, 0.05), strict=True
    ):
        # as above
        assert b.lower == pytest.approx(-a.upper, abs=1e-6)
        assert b.upper == pytest.approx(-a.lower, abs=1e-6)


@pytest.mark.parametrize("make", METHODS)
def test_an_interval_follows_the_effect(make: Any) -> None:
    """Adding an effect after treatment moves the interval and nothing else."""
    p = path(5)
    moved = replace(p, beta=p.beta + np.where(np.arange(7) >= 4, 10.0, 0.0))
    for a, b in zip(make(p, M, 0.05), make(moved, M, 0.05), strict=True):
        if make is smoothness or a.lower > -np.inf:
            # rounding of numbers of size ten
            assert b.lower - a.lower == pytest.approx(10.0, abs=1e-6)


def test_the_breakdown_value_is_where_the_interval_reaches_zero() -> None:
    p = replace(path(6), beta=path(6).beta + np.where(np.arange(7) >= 4, 1.0, 0.0))
    at = breakdown(lambda m: excludes_zero(p, m, 0.05), 1.0)
    assert at is not None
    assert at > 0
    (below, above) = relative_magnitudes(p, np.array([at - 1e-3, at + 1e-3]), 0.05)
    assert below.excludes_zero
    assert not above.excludes_zero


def test_an_insignificant_effect_has_nothing_to_break_down() -> None:
    p = replace(path(6), beta=np.zeros(7))
    assert breakdown(lambda m: excludes_zero(p, m, 0.05), 1.0) == 0.0


def test_the_largest_curvature_needs_two_periods_before() -> None:
    assert largest_curvature(path(0, before=1, after=1), 0.05) == 0.0
    assert largest_curvature(path(0), 0.05) > 0


# -- the estimator --------------------------------------------------------------------


def test_any_event_study_is_taken_with_its_covariance() -> None:
    request = request_of(adoption(1), estimand=("att",))
    for of in (
        EventStudy(window=(-4, 3)),
        SunAbraham(window=(-4, 3)),
        CallawaySantanna(window=(-4, 3)),
    ):
        result = HonestDid(of=of, effect="average").estimate(request)
        inner = of.estimate(replace(request, estimand=("by_event_time",)))
        rows = inner.coefficients.query("estimand == 'by_event_time'")
        after = rows[rows.event_time >= 0]
        assert inner.influence is not None
        V = influence_variance(inner.influence[list(after.index)]).to_numpy()
        row = result.coefficients.iloc[0]
        # means of the same four numbers
        assert row.estimate == pytest.approx(after.estimate.mean(), rel=1e-12)
        assert row.std_error == pytest.approx(np.sqrt(V.mean()), rel=1e-10)
        frame = result.frames["sensitivity"]
        assert list(frame.columns) == ["restriction", "method", "M", "lower", "upper"]
        assert (frame.lower < frame.upper).all()


def test_weights_say_which_effect_is_judged() -> None:
    request = request_of(adoption(1), estimand=("att",))
    of = EventStudy(window=(-4, 3))
    one = HonestDid(of=of, effect=2).estimate(request)
    same = HonestDid(of=of, effect={2: 1.0}).estimate(request)
    several = HonestDid(of=of, effect=(0, 1)).estimate(request)
    events = one.frames["event_study"].set_index("event_time")
    assert one.coefficients.estimate[0] == events.estimate[2]
    assert same.coefficients.estimate[0] == events.estimate[2]
    # a mean of two numbers
    assert several.coefficients.estimate[0] == pytest.approx(
        events.estimate[[0, 1]].mean(), rel=1e-14
    )


def refused(of: Any, **changes: Any) -> list[str]:
    options = changes.pop("options", {})
    request = request_of(adoption(1), estimand=("att",), **changes)
    with pytest.raises(EstimandError) as caught:
        HonestDid(of=of, **options).estimate(request)
    assert {p.code for p in caught.value.problems} == {"E12"}
    assert all(p.fix for p in caught.value.problems)
    return [p.what for p in caught.value.problems]


def test_a_reference_among_the_treated_periods_is_refused() -> None:
    (what,) = refused(EventStudy(window=(-4, 3), reference=0))
    assert "reference of event_study is event time 0, not -1" in what


def test_an_early_reference_and_a_window_without_effects_are_both_named() -> None:
    found = refused(EventStudy(window=(-4, -1), reference=-2))
    assert len(found) == 2


def test_a_varying_base_period_is_refused() -> None:
    (what,) = refused(CallawaySantanna(base_period="varying"))
    assert "no common reference" in what


def test_an_effect_that_does_not_exist_is_refused() -> None:
    (what,) = refused(EventStudy(window=(-4, 3)), options={"effect": 9})
    assert "no effect at event time 9" in what


def test_nothing_before_the_reference_is_refused() -> None:
    (what,) = refused(EventStudy(window=(-1, 3)))
    assert "no coefficient before the reference" in what


def test_two_way_clusters_are_refused() -> None:
    request = request_of(adoption(1), estimand=("att",))
    (cluster,) = request.inference.clusters
    twice = replace(request, inference=Inference("cluster", (cluster, cluster)))
    with pytest.raises(EstimandError, match="two-way clusters"):
        HonestDid(of=EventStudy()).estimate(twice)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"of": "goodman_bacon"}, "does not estimate effects by event time"),
        ({"of": "nothing_like_it"}, "no estimator 'nothing_like_it'"),
        ({"effect": {0: 0.0}}, "all weights of `effect` are zero"),
        ({"effect": (1, 1)}, "each event time once"),
        ({"relative_magnitudes": (-1.0,)}, "greater than or equal to 0"),
        ({"smoothness": (float("inf"),)}, "finite"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises((ValidationError, EstimandError), match=said):
        HonestDid(**options)


@pytest.mark.parametrize("of", [CallawaySantanna(), SunAbraham()])
def test_periods_that_are_years_apart_are_refused_with_what_to_do(of: Any) -> None:
    data = adoption(3)
    data = data.assign(time=1950 + 5 * data.time, first=1950 + 5 * data["first"])
    with pytest.raises(EstimandError, match="are 5 or more apart") as caught:
        HonestDid(of=of).estimate(request_of(data))
    (problem,) = caught.value.problems
    assert problem.code == "E12"
    assert "number the periods 1, 2, 3" in problem.fix
