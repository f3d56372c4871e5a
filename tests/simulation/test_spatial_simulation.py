"""Spatial models where the truth is known: bias, coverage, size."""

from __future__ import annotations

import numpy as np
import pytest

from estimators._math.spatial_inference import (
    clustered_middle,
    covariance,
    hetero_middle,
    multipliers,
    sandwich,
)
from estimators._math.spatial_ml import Lag, Problem, lagged, maximise
from estimators._math.spatial_tests import lagrange
from tests.build_spatial import some_weights

RHO, BETA, THETA = 0.4, 1.0, 0.5
#: Replications; bands below are four standard errors of what is averaged.
TIMES = 400


def drawn(W, t, seed, *, rho=RHO, theta=THETA, lam=0.0, serial=0.0):
    """y, x (N, T): one covariate, both fixed effects, errors AR(1) within units."""
    rng = np.random.default_rng([7, seed])
    n = W.shape[0]
    dense = W.toarray()
    a, b = rng.normal(size=(n, 1)), rng.normal(size=(1, t))
    x = np.zeros((n, t))
    e = np.zeros((n, t))
    for period in range(t):
        carried = serial if period else 0.0
        scale = np.sqrt(1 - carried**2)
        x[:, period] = carried * x[:, period - 1] + scale * rng.normal(size=n)
        e[:, period] = carried * e[:, period - 1] + scale * rng.normal(size=n)
    x = x + 0.5 * a
    u = np.linalg.solve(np.eye(n) - lam * dense, e)
    mean = BETA * x + theta * (dense @ x) + a + b + u
    return np.linalg.solve(np.eye(n) - rho * dense, mean), x


def durbin(W, lag, t, seed, correction, **truth):
    y, x = drawn(W, t, seed, **truth)
    X = x[None]
    problem = Problem(
        y, np.concatenate([X, lagged(W, X)]), lag, None, True, True, correction
    )
    return problem, maximise(problem)


def indirect(fit, V, W, lag):
    m = multipliers(W.shape[0], fit.A, lag, W)
    a = m.all - m.own
    beta, theta = fit.b
    gradient = np.array([a[0], a[1], beta * a[2] + theta * a[3], 0, 0])
    return beta * a[0] + theta * a[1], float(np.sqrt(gradient @ V @ gradient))


def true_indirect(W, lag):
    m = multipliers(W.shape[0], lag.inverse(RHO), lag, W)
    a = m.all - m.own
    return BETA * a[0] + THETA * a[1]


@pytest.mark.slow
@pytest.mark.parametrize(("n", "t"), [(46, 5), (30, 20)])
def test_lee_and_yu_take_the_bias_and_intervals_cover(n, t):
    W = some_weights(n, 1)
    lag, found = Lag.of(W), {"lee_yu": [], "elhorst": [], "none": []}
    truth, covered = true_indirect(W, Lag.of(W)), []
    for seed in range(TIMES):
        for correction, rows in found.items():
            _, fit = durbin(W, lag, t, seed, correction)
            rows.append((fit.rho, fit.sigma2, *fit.b))
            if correction == "lee_yu":
                value, error = indirect(fit, covariance(fit), W, lag)
                covered.append(abs(value - truth) <= 1.959964 * error)
    means = {k: np.mean(v, axis=0) for k, v in found.items()}
    errors = {k: np.std(v, axis=0) / np.sqrt(TIMES) for k, v in found.items()}
    target = np.array([RHO, 1.0, BETA, THETA])
    off = (means["lee_yu"] - target) / errors["lee_yu"]
    # What is left in rho is of the order 1 / (N T), some standard errors at 400 draws.
    assert np.abs(off).max() < 6
    # Dummies bias sigma2 by (1 - 1/T)(1 - 1/N) and rho downwards: the correction shows.
    assert means["none"][1] == pytest.approx((1 - 1 / t) * (1 - 1 / n), abs=0.03)
    assert means["none"][0] < means["lee_yu"][0] - 0.01
    # The formula comes near the transformation.
    assert means["elhorst"][:2] == pytest.approx(means["lee_yu"][:2], abs=0.02)
    # 400 draws: 0.95 +- 4 * 0.011.
    assert np.mean(covered) == pytest.approx(0.95, abs=0.044)


@pytest.mark.slow
def test_the_error_model_finds_lambda():
    W = some_weights(46, 1)
    lag, found = Lag.of(W), []
    for seed in range(TIMES):
        y, x = drawn(W, 6, seed, rho=0.0, theta=0.0, lam=0.5)
        fit = maximise(Problem(y, x[None], None, lag, True, True, "lee_yu"))
        found.append((fit.lam, fit.b[0]))
    means = np.mean(found, axis=0)
    errors = np.std(found, axis=0) / np.sqrt(TIMES)
    # Maximum likelihood is biased by 1 / (N T) in lambda: six standard errors.
    assert np.abs((means - [0.5, BETA]) / errors).max() < 6


@pytest.mark.slow
def test_size_of_the_lagrange_multipliers():
    W = some_weights(46, 1)
    sizes = {"lee_yu": [], "none": []}
    for seed in range(2 * TIMES):
        y, x = drawn(W, 6, seed, rho=0.0, theta=0.0)
        for correction, rows in sizes.items():
            m = lagrange(Problem(y, x[None], None, None, True, True, correction), W)
            values = (m.lag, m.error, m.robust_lag, m.robust_error)
            rows.append([v > 3.841459 for v in values])
    found = {k: np.mean(v, axis=0) for k, v in sizes.items()}
    # 800 draws: 0.05 +- 4 * 0.0077.
    assert found["lee_yu"] == pytest.approx(np.full(4, 0.05), abs=0.031)
    # The printed tests lean: they reject some ten percent of such panels.
    assert (found["none"][:2] > found["lee_yu"][:2] + 0.02).all()


@pytest.mark.slow
def test_clustered_errors_cover_where_errors_last_and_others_do_not():
    W = some_weights(80, 1)
    lag = Lag.of(W)
    plain, robust = [], []
    for seed in range(TIMES):
        problem, fit = durbin(W, lag, 10, seed, "lee_yu", serial=0.8)
        V = covariance(fit)
        middle = clustered_middle(problem, fit, np.arange(80))
        for errors, rows in ((V, plain), (sandwich(V, middle), robust)):
            se = np.sqrt(np.diag(errors))[[0, 2]]
            off = np.abs([fit.b[0] - BETA, fit.rho - RHO]) / se
            rows.append(off <= 1.959964)
    # 400 draws and 80 clusters: 0.95 +- 4 * 0.011.
    assert np.mean(robust, axis=0) == pytest.approx([0.95, 0.95], abs=0.05)
    assert np.mean(plain, axis=0)[0] < 0.85
    assert np.mean(plain, axis=0)[1] < 0.93


@pytest.mark.slow
def test_robust_errors_are_the_spread_where_variances_follow_the_covariate():
    # Known truth for every parameter: the spread of the estimates over draws.
    W = some_weights(60, 1)
    lag, rng = Lag.of(W), np.random.default_rng(5)
    solve = np.linalg.inv(np.eye(60) - RHO * W.toarray())
    x = rng.normal(size=(60, 12))
    found, plain, robust = [], [], []
    for _ in range(TIMES):
        e = rng.normal(size=x.shape) * (0.3 + np.abs(x))
        y = solve @ (BETA * x + e)
        fit = maximise(problem := Problem(y, x[None], lag, None, True, True, "lee_yu"))
        V = covariance(fit)
        found.append((fit.b[0], fit.rho))
        for held, rows in (
            (V, plain),
            (sandwich(V, hetero_middle(problem, fit)), robust),
        ):
            rows.append(np.sqrt(np.diag(held))[:2])
    spread = np.std(found, axis=0)
    # 400 draws know a spread to 3.5 percent: four of these.
    assert np.mean(robust, axis=0) / spread == pytest.approx([1, 1], abs=0.14)
    assert np.mean(plain, axis=0)[0] < 0.75 * spread[0]
