"""The likelihood, its maximum and its information against dense algebra by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from estimators._math.neighbours import eigenvalues, extreme_eigenvalues
from estimators._math.spatial_inference import covariance
from estimators._math.spatial_ml import Lag, Problem, lagged, maximise
from estimators._math.spatial_tests import lagrange
from tests.build_spatial import dense_likelihood, dummies, some_weights, spatial_panel

N, T = 12, 5
MODELS = {
    "SAR": (True, False, False),
    "SEM": (False, False, True),
    "SDM": (True, True, False),
    "SDEM": (False, True, True),
    "SAC": (True, False, True),
}
EFFECTS = {
    "two-way": (True, True),
    "unit": (True, False),
    "time": (False, True),
    "none": (False, False),
}


def data(W, seed):
    frame = spatial_panel(W, T, seed, rho=0.3, lam=0.2, theta=(0.5, 0.2))
    return [frame[c].to_numpy().reshape(N, T) for c in ("y", "x1", "x2")]


def fitted(model, effects, correction, W, M, seed=3):
    y, x1, x2 = data(W, seed)
    outcome, covariates, errors = MODELS[model]
    unit, time = EFFECTS[effects]
    Z = np.stack([x1, x2])
    if covariates:
        Z = np.concatenate([Z, lagged(W, Z)])
    full = Z if unit or time else np.concatenate([Z, np.ones((1, N, T))])
    problem = Problem(
        y=y,
        Z=full,
        outcome=Lag.of(W) if outcome else None,
        errors=Lag.of(M) if errors else None,
        unit=unit,
        time=time,
        correction=correction,
    )
    return maximise(problem), y, Z, outcome, errors


def compare(fit, k, value, information):
    """The maximum is the brute-force one's, and so are the standard errors."""
    at = (fit.rho, fit.lam)
    lags = [bool(fit.rho), bool(fit.lam)]
    best = minimize(
        lambda p: -value(tuple(np.where(lags, p, 0.0))),
        at,
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-13},
    )
    assert -best.fun == pytest.approx(fit.log_likelihood, abs=1e-8)  # rounding of logs
    # A search without derivatives finds the top of a hill to the root of rounding.
    assert np.where(lags, best.x, 0.0) == pytest.approx(np.array(at), abs=2e-6)
    b, sigma2, errors = information(at)
    assert fit.b[:k] == pytest.approx(b, abs=1e-9)  # one regression, two algebras
    assert fit.sigma2 == pytest.approx(sigma2, rel=1e-9)
    ours = np.sqrt(np.diag(covariance(fit)))
    kept = [*range(k), *np.flatnonzero([*lags, True]) + len(fit.b)]
    theirs = [*range(k), *np.flatnonzero([*lags, True]) + k]
    # Inverses of matrices of some hundred rows.
    assert ours[kept] == pytest.approx(errors[theirs], rel=1e-7)


@pytest.mark.parametrize("transform", ["row", "spectral", "none"])
@pytest.mark.parametrize("effects", EFFECTS)
@pytest.mark.parametrize("model", MODELS)
def test_dummy_variables_by_brute_force(model, effects, transform):
    W = some_weights(N, 1, transform=transform)
    M = some_weights(N, 2, transform=transform, k=3)
    fit, y, Z, outcome, errors = fitted(model, effects, "none", W, M)
    unit, time = EFFECTS[effects]
    value, information = dense_likelihood(
        y.T.ravel(),
        Z.transpose(2, 1, 0).reshape(N * T, -1),
        dummies(N, T, unit=unit, time=time),
        np.kron(np.eye(T), W.toarray()) if outcome else None,
        np.kron(np.eye(T), M.toarray()) if errors else None,
    )
    compare(fit, len(Z), value, information)


def deviations(n):
    """Orthonormal basis (n, n - 1) of the deviations from a mean."""
    values, vectors = np.linalg.eigh(np.eye(n) - 1.0 / n)
    return vectors[:, values > 0.5]


@pytest.mark.parametrize("effects", ["two-way", "unit", "time"])
@pytest.mark.parametrize("model", MODELS)
def test_the_transformation_of_lee_and_yu_by_brute_force(model, effects):
    W, M = some_weights(N, 1), some_weights(N, 2, k=3)
    fit, y, Z, outcome, errors = fitted(model, effects, "lee_yu", W, M)
    unit, time = EFFECTS[effects]
    F_N = deviations(N) if time else np.eye(N)
    F_T = deviations(T) if unit else np.eye(T)
    small = [F_N.T @ matrix.toarray() @ F_N for matrix in (W, M)]
    eye = np.eye(F_T.shape[1])

    def moved(x):
        return (F_N.T @ x @ F_T).T.ravel()

    value, information = dense_likelihood(
        moved(y),
        np.column_stack([moved(z) for z in Z]),
        np.zeros((F_N.shape[1] * F_T.shape[1], 0)),
        np.kron(eye, small[0]) if outcome else None,
        np.kron(eye, small[1]) if errors else None,
    )
    compare(fit, len(Z), value, information)


@pytest.mark.parametrize("transform", ["row", "spectral", "none"])
def test_eigenvalues_give_the_determinant_of_sparse_lu(transform):
    from scipy.sparse import csc_array, eye_array
    from scipy.sparse.linalg import splu

    for n, symmetric in ((40, True), (40, False)):
        W = some_weights(n, 5, transform=transform)
        if not symmetric:
            W = W.copy()
            W.data = W.data * np.random.default_rng(1).uniform(0.5, 1.5, W.nnz)
        lag = Lag.of(W)
        low, high = lag.range
        for rho in np.linspace(0.9 * max(low, -3), 0.9 * min(high, 3), 7):
            factors = splu(csc_array(eye_array(n) - rho * W))
            by_lu = float(np.log(np.abs(factors.U.diagonal())).sum())
            assert lag.log_det(rho) == pytest.approx(by_lu, abs=1e-10)  # rounding


@pytest.mark.parametrize("model", ["SAR", "SEM", "SDM"])
def test_factorised_determinants_give_the_same_maximum(model):
    W = some_weights(N, 1)
    by_eigenvalues, y, Z, outcome, errors = fitted(model, "two-way", "lee_yu", W, W)
    factorised = Lag.of(W, largest=0)
    assert factorised.omega is None
    unit, time = EFFECTS["two-way"]
    problem = Problem(
        y=y,
        Z=Z,
        outcome=factorised if outcome else None,
        errors=factorised if errors else None,
        unit=unit,
        time=time,
        correction="lee_yu",
    )
    fit = maximise(problem)
    # The slope of the determinant is a difference of five points.
    for name in ("rho", "lam", "sigma2", "log_likelihood"):
        assert getattr(fit, name) == pytest.approx(
            getattr(by_eigenvalues, name), abs=1e-9
        )


@pytest.mark.parametrize("symmetric", [True, False])
def test_ends_of_the_spectrum(symmetric):
    W = some_weights(60, 3)
    if not symmetric:
        W.data = W.data * np.random.default_rng(1).uniform(0.9, 1.1, W.nnz)
    omega = eigenvalues(W)
    low, high = extreme_eigenvalues(W)
    assert high == pytest.approx(omega.real.max(), abs=1e-9)  # Lanczos to rounding
    assert low == pytest.approx(omega.real.min(), abs=1e-9)


def test_the_symmetric_shortcut_finds_the_same_eigenvalues():
    W = some_weights(30, 7)
    general = np.sort(np.linalg.eigvals(W.toarray()).real)
    found = eigenvalues(W)
    assert found.dtype == np.float64  # the shortcut was taken
    assert np.sort(found) == pytest.approx(general, abs=1e-10)  # rounding


def test_lagrange_multipliers_on_explicitly_transformed_data():
    n, t = 15, 5
    W = some_weights(n, 3)
    data = spatial_panel(W, t, 4, rho=0.3)
    y, X = (data[c].to_numpy().reshape(n, t) for c in ("y", "x1"))
    problem = Problem(y, X[None], None, None, True, True, "lee_yu")
    found = lagrange(problem, W)
    F, S = (np.linalg.svd(np.eye(m) - 1 / m)[0][:, : m - 1] for m in (n, t))
    G = F.T @ W.toarray() @ F
    big = np.kron(G, np.eye(t - 1))
    v, x = ((F.T @ a @ S).ravel() for a in (y, X))
    b = x @ v / (x @ x)
    e = v - b * x
    sigma2 = e @ e / len(e)
    one = np.trace(big)
    # Score and information of (rho, lambda, b, sigma2) at rho = lambda = 0.
    d = np.array([e @ big @ v / sigma2 - one, e @ big @ e / sigma2 - one])
    square = np.trace(big @ big + big.T @ big)
    wxb = big @ x * b
    info = np.array(
        [
            [wxb @ wxb / sigma2 + square, square, wxb @ x / sigma2, one / sigma2],
            [square, square, 0, one / sigma2],
            [wxb @ x / sigma2, 0, x @ x / sigma2, 0],
            [one / sigma2, one / sigma2, 0, len(e) / (2 * sigma2**2)],
        ]
    )
    cross = info[:2, 2:]
    left = info[:2, :2] - cross @ np.linalg.solve(info[2:, 2:], cross.T)
    assert found.lag == pytest.approx(d[0] ** 2 / left[0, 0], rel=1e-9)
    assert found.error == pytest.approx(d[1] ** 2 / left[1, 1], rel=1e-9)
    both = float(d @ np.linalg.solve(left, d))
    assert found.error + found.robust_lag == pytest.approx(both, rel=1e-9)
    assert found.lag + found.robust_error == pytest.approx(both, rel=1e-9)
