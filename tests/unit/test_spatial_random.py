"""Random unit effects: the likelihood by brute force, spreg, and Hausman's cases."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize

from estimators._math.spatial_ml import Lag, Problem
from estimators._math.spatial_random import hausman, random_effects
from estimators.spatial_selection import SpatialSelection
from tests.build_spatial import some_weights, spatial_panel, spatial_request

N, T = 14, 5


def made(*, unit_effects=1.0, related=0.0, seed=1, n=N, t=T, rho=0.35):
    rng = np.random.default_rng(seed)
    W = some_weights(n, 1)
    mu = unit_effects * rng.normal(size=(n, 1))
    x = rng.normal(size=(2, n, t)) + related * mu
    e = rng.normal(size=(n, t))
    y = np.linalg.solve(np.eye(n) - rho * W.toarray(), x[0] - 0.5 * x[1] + mu + 1.0 + e)
    return y, x, W


def brute(y, Z, W, *, basis):
    """The maximum of the likelihood with the whole covariance matrix, in basis F_N."""
    n, t = basis.shape[1], y.shape[1]
    small = basis.T @ W @ basis
    target = (basis.T @ y).T.ravel()
    lagged = (small @ (basis.T @ y)).T.ravel()
    X = np.column_stack([(basis.T @ z).T.ravel() for z in Z])

    def negative(p):
        rho, log_s2, log_mu = p
        s2, mu = np.exp(log_s2), np.exp(log_mu)
        omega = np.kron(s2 * np.eye(t) + mu * np.ones((t, t)), np.eye(n))
        inverse = np.linalg.inv(omega)
        u = target - rho * lagged
        b = np.linalg.solve(X.T @ inverse @ X, X.T @ inverse @ u)
        e = u - X @ b
        value = (
            -0.5 * n * t * np.log(2 * np.pi)
            - 0.5 * np.linalg.slogdet(omega)[1]
            + t * np.linalg.slogdet(np.eye(n) - rho * small)[1]
            - 0.5 * e @ inverse @ e
        )
        return -value, b

    best = minimize(
        lambda p: negative(p)[0],
        [0.2, 0.0, 0.0],
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 5000},
    )
    return (
        best.x[0],
        np.exp(best.x[1]),
        np.exp(best.x[2]),
        negative(best.x)[1],
        -best.fun,
    )


@pytest.mark.parametrize("time", [False, True])
def test_the_likelihood_by_brute_force(time):
    y, x, W = made()
    Z = x if time else np.concatenate([x, np.ones((1, N, T))])
    basis = np.eye(N)
    if time:
        values, vectors = np.linalg.eigh(np.eye(N) - 1.0 / N)
        basis = vectors[:, values > 0.5]
    rho, s2, mu, b, value = brute(y, Z, W.toarray(), basis=basis)
    fit = random_effects(Problem(y, Z, Lag.of(W), None, True, time, "lee_yu"))
    assert fit.log_likelihood == pytest.approx(value, abs=1e-7)  # a flat top
    # A search without derivatives: the root of rounding.
    assert fit.rho == pytest.approx(rho, abs=1e-5)
    assert fit.b == pytest.approx(b, abs=1e-5)
    assert fit.sigma2 == pytest.approx(s2, rel=1e-5)
    assert (fit.sigma2 / fit.phi**2 - fit.sigma2) / T == pytest.approx(mu, rel=1e-4)


def test_spreg_s_random_effects():
    spreg = pytest.importorskip("spreg")
    from libpysal.weights.util import full2W

    y, x, W = made(n=25, t=6)
    Z = np.concatenate([x, np.ones((1, 25, 6))])
    fit = random_effects(Problem(y, Z, Lag.of(W), None, True, False, "none"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = spreg.ML_LagRE(
            y.T.reshape(-1, 1),
            x.transpose(2, 1, 0).reshape(-1, 2),
            full2W(W.toarray(), silence_warnings=True),
        )
    constant, one, two, rho = np.ravel(theirs.betas)[:4]
    # Their search stops at 1e-5 or so.
    assert fit.b == pytest.approx([one, two, constant], abs=2e-4)
    assert fit.rho == pytest.approx(rho, abs=2e-4)


def test_variances_are_the_spread_of_the_estimates():
    lag, found, said = Lag.of(some_weights(N, 1)), [], []
    for seed in range(100):
        y, x, _ = made(seed=seed)
        Z = np.concatenate([x, np.ones((1, N, T))])
        fit = random_effects(Problem(y, Z, lag, None, True, False, "none"))
        found.append(fit.b[:2])
        said.append(np.sqrt(np.diag(fit.V)[:2]))
    # 100 draws know a spread to seven percent: four of these.
    ratio = np.mean(said, axis=0) / np.std(found, axis=0)
    assert ratio == pytest.approx([1, 1], abs=0.28)


def test_hausman_by_hand_and_undefined():
    b, other = np.array([1.0, 2.0]), np.array([0.5, 2.5])
    V, small = np.diag([1.0, 4.0]), np.diag([0.5, 1.0])
    assert hausman(b, V, other, small).statistic == pytest.approx(
        0.25 / 0.5 + 0.25 / 3.0
    )
    found = hausman(b, V, other, np.diag([0.5, 5.0]))
    assert found.statistic is None
    assert found.smallest == pytest.approx(-0.25)


def selection(related, effects=("unit", "time")):
    W = some_weights(60, 2)
    y, x, _ = made(n=60, t=6, related=related, seed=3)
    data = spatial_panel(some_weights(60, 1), 6, 3)
    data[["y", "x1", "x2"]] = np.stack([y, *x], axis=-1).reshape(-1, 3)
    req = spatial_request(
        data, dict.fromkeys(("outcome", "covariates"), W), effects=effects
    )
    return {t.name: t for t in SpatialSelection().estimate(req).tests}


def test_related_unit_effects_are_found_and_others_not():
    assert selection(0.8)["mundlak"].p_value < 0.001
    assert selection(0.0)["mundlak"].p_value > 0.01
    test = selection(0.8)["hausman"]
    assert (test.p_value or 0.0) < 0.001


def test_the_undefined_case_is_said_in_words():
    # Unit effects that are everything: quasi-demeaning is demeaning, both are as precise.
    reasons = [
        test.reason
        for seed in range(8)
        for test in [_hausman_of(seed)]
        if test.p_value is None
    ]
    assert reasons
    assert all("not positive definite" in reason for reason in reasons)


def _hausman_of(seed):
    from estimators._spatial.panel import arrays_of
    from estimators._spatial.selection import unit_effects

    y, x, W = made(n=12, t=4, seed=seed, unit_effects=0.2)
    data = spatial_panel(W, 4, 1)
    data[["y", "x1", "x2"]] = np.stack([y, *x], axis=-1).reshape(-1, 3)
    req = spatial_request(data, {"outcome": W})
    return unit_effects(arrays_of(req), Lag.of(W))[0]


def test_without_unit_effects_there_is_nothing_to_compare():
    test = selection(0.0, effects=("time",))["hausman"]
    assert test.reason == "no unit effects are in the model"
