"""The low-rank fit: conditions of its optimum, and another formulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from estimators._math import low_rank
from estimators._math.low_rank import Completed, complete, largest, shrunk
from estimators._math.two_way_fit import fit

#: Iterations end when nothing moves more than 1e-10.
ZERO = 1e-5


def sample(N=24, T=12, k=1, seed=4):
    rng = np.random.default_rng(seed)
    L = rng.normal(size=(N, 1)) @ rng.normal(size=(1, T))
    X = rng.normal(size=(k, N, T))
    Y = rng.normal(size=(N, 1)) + np.linspace(0, 1, T) + 2 * L + X.sum(axis=0)
    Y = Y + 0.5 * rng.normal(size=(N, T))
    observed = np.ones((N, T), dtype=bool)
    observed[:6, 8:] = False
    observed[rng.random((N, T)) < 0.05] = False
    first = fit(Y, observed.astype(float), X)
    return Y, observed, X, Completed(first.predict(), first.beta, np.zeros_like(Y), 0)


def masked(Y, observed, X, found):
    left = Y - found.fitted - np.tensordot(found.beta, X, axes=1)
    return np.where(observed, left, 0.0)


@pytest.mark.parametrize("how", [{"rank": 1}, {"rank": 2}, {"penalty": 2.0}])
def test_scores_of_effects_and_regressors_are_zero(how) -> None:
    Y, observed, X, start = sample()
    E = masked(Y, observed, X, complete(Y, observed, X, start, **how))
    assert np.abs(E.sum(axis=0)).max() < ZERO
    assert np.abs(E.sum(axis=1)).max() < ZERO
    assert np.abs((E * X).sum()) < ZERO


def test_scores_of_loadings_and_factors_are_zero() -> None:
    Y, observed, X, start = sample()
    found = complete(Y, observed, X, start, rank=2)
    E = masked(Y, observed, X, found)
    U, s, Vt = np.linalg.svd(found.L)
    assert (s[:2] > 0.1).all()
    assert s[2] < 1e-10
    assert np.abs(E @ Vt[:2].T).max() < ZERO
    assert np.abs(E.T @ U[:, :2]).max() < ZERO


@pytest.mark.parametrize("penalty", [1.0, 2.0, 4.0])
def test_the_residual_is_a_subgradient_of_the_nuclear_norm(penalty) -> None:
    """E = lambda (U V' + W) with W orthogonal to L and no singular value above one."""
    Y, observed, X, start = sample()
    found = complete(Y, observed, X, start, penalty=penalty)
    E = masked(Y, observed, X, found)
    U, s, Vt = np.linalg.svd(found.L, full_matrices=False)
    r = int((s > 1e-6).sum())
    assert 0 < r < len(s)
    W = E / penalty - U[:, :r] @ Vt[:r]
    assert np.abs(U[:, :r].T @ W).max() < ZERO
    assert np.abs(W @ Vt[:r].T).max() < ZERO
    assert largest(W) <= 1 + ZERO


def test_one_factor_against_a_general_least_squares_solver() -> None:
    Y, observed, X, start = sample(N=12, T=8)
    N, T = Y.shape
    found = complete(Y, observed, X, start, rank=1)

    def left(theta):
        a, t, u, f = np.split(theta[1:], [N, N + T, 2 * N + T])
        explained = a[:, None] + t + np.outer(u, f) + theta[0] * X[0]
        return (Y - explained)[observed]

    U, s, Vt = np.linalg.svd(found.L)
    begin = np.concatenate([[1.0], Y.mean(axis=1), np.zeros(T), U[:, 0] * s[0], Vt[0]])
    rng = np.random.default_rng(0)
    begin = begin + 0.05 * rng.normal(size=len(begin))
    solved = least_squares(left, begin, xtol=1e-14, ftol=1e-14, gtol=1e-12)
    ours = masked(Y, observed, X, found)
    assert np.square(ours).sum() == pytest.approx(2 * solved.cost, rel=1e-9)
    assert found.beta[0] == pytest.approx(solved.x[0], abs=1e-6)


def test_no_factor_and_a_large_penalty_are_the_two_way_fit() -> None:
    Y, observed, X, start = sample()
    top = largest(masked(Y, observed, X, start))
    for how in ({"rank": 0}, {"penalty": 1.001 * top}):
        found = complete(Y, observed, X, start, **how)
        np.testing.assert_allclose(found.fitted, start.fitted, atol=1e-9)
        assert found.beta[0] == pytest.approx(start.beta[0], abs=1e-9)


@pytest.mark.parametrize("shape", [(9, 5), (5, 9)])
def test_shrinking_is_that_of_singular_values(shape) -> None:
    R = np.random.default_rng(1).normal(size=shape)
    U, s, Vt = np.linalg.svd(R, full_matrices=False)
    np.testing.assert_allclose(
        shrunk(R, 2, 0.0), (U[:, :2] * s[:2]) @ Vt[:2], atol=1e-12
    )
    soft = np.maximum(s - s[2], 0.0)
    np.testing.assert_allclose(shrunk(R, None, s[2]), (U * soft) @ Vt, atol=1e-12)
    assert not shrunk(R, 0, 0.0).any()


def test_an_end_that_is_not_reached_is_told(monkeypatch) -> None:
    monkeypatch.setattr(low_rank, "STEPS", 2)
    Y, observed, X, start = sample()
    assert complete(Y, observed, X, start, rank=1).steps == 3
