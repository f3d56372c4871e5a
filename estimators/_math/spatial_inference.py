"""Covariance, scores and effects of a spatial panel model at its maximum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from estimators._math.spatial_ml import Fit, Floats, Lag, Problem
from estimators._math.spatial_operator import Implicit

Codes = NDArray[np.int64]


def covariance(fit: Fit) -> Floats:
    """Inverse information (k + 3, k + 3) of b, rho, lambda, sigma2; 0 where absent."""
    used = np.flatnonzero(np.diag(fit.information))
    V = np.zeros_like(fit.information)
    part = fit.information[np.ix_(used, used)]
    # Parameters in their own units: sigma2 can be 1e-12 where b is 1.
    root = np.sqrt(np.diag(part))
    inverse = np.linalg.inv(part / np.outer(root, root))
    V[np.ix_(used, used)] = inverse / np.outer(root, root)
    return V


def row_scores(problem: Problem, fit: Fit) -> Floats:
    """Scores (N, T, k + 3) row by row; over all rows each adds up to zero."""
    e, s2 = fit.e, fit.sigma2
    n, t = e.shape
    k = len(fit.b)
    found = np.zeros((n, t, k + 3))
    found[..., :k] = np.moveaxis(fit.Z * e / s2, 0, -1)
    for at, A in ((k, fit.G), (k + 1, fit.H)):
        if A is not None:
            ways = (
                A.of(e) + A.transposed(e) if isinstance(A, Implicit) else (A + A.T) @ e
            )
            both = 0.5 * e * ways
            found[..., at] = both / s2 - diagonal(problem, A)[:, None] * (
                problem.periods_left / t
            )
    if fit.G is not None:
        found[..., k] += fit.eta * e / s2
    left = problem.units_left * problem.periods_left / (n * t)
    found[..., k + 2] = (e**2 / s2 - left) / (2 * s2)
    return found


def diagonal(problem: Problem, A: Floats | Implicit) -> Floats:
    """What each unit adds to the trace in the score (n,)."""
    if isinstance(A, Implicit):
        own = A.diagonal
        return own - A.columns / len(own) if problem.shrunk else own
    own = np.diag(A)
    return np.asarray(own - A.sum(axis=0) / len(A) if problem.shrunk else own)


def clustered_middle(problem: Problem, fit: Fit, cluster: Codes) -> Floats:
    """Covariance (k + 3, k + 3) of the score when clusters of units are independent.

    Errors may be related in any way within a cluster. The products of errors of two
    clusters are unrelated but not zero: with P_cd = sum of (g_ij + g_ji) e_i'e_j over
    i in c, j in d they add half the sum of P_cd P_cd over c != d (the covariance of a
    quadratic form), whatever the order of the units.

    Args:
        problem, fit: the model at its maximum.
        cluster: (N,) codes 0..C-1.
    """
    rows = row_scores(problem, fit).sum(axis=1)
    k, count = len(fit.b), int(cluster.max()) + 1
    member = np.zeros((count, len(cluster)))
    member[cluster, np.arange(len(cluster))] = 1.0
    cross = fit.e @ fit.e.T
    middle = np.zeros((k + 3, k + 3))
    halves: dict[int, Floats] = {}
    for at, A in ((k, fit.G), (k + 1, fit.H)):
        if A is not None:
            assert not isinstance(A, Implicit)  # noqa: S101 - the problem said dense
            P = member @ ((A + A.T) * cross) @ member.T / fit.sigma2
            off = P - np.diag(np.diag(P))
            # The products between clusters leave the scores and enter below.
            rows[:, at] -= (
                0.5 * (((A + A.T) * cross) * ~same(cluster)).sum(axis=1) / fit.sigma2
            )
            halves[at] = off
    for i, P in halves.items():
        for j, R in halves.items():
            middle[i, j] += 0.5 * float((P * R).sum())
    summed = member @ rows
    summed -= summed.mean(axis=0)
    return np.asarray(middle + summed.T @ summed * (count / (count - 1)))


def hetero_middle(problem: Problem, fit: Fit) -> Floats:
    """Covariance (k + 3, k + 3) of the score when errors are independent, no more.

    Their variances may differ in any way between rows. A product of two rows' errors
    has variance sigma_i^2 sigma_j^2: it adds half the sum over i != j of
    (g_ij + g_ji)^2 e_i^2 e_j^2 in each period, whatever the order of the units. Squared
    residuals are scaled to their degrees of freedom (HC1).

    Args:
        problem, fit: the model at its maximum.
    """
    n, t = problem.shape
    k = len(fit.b)
    free = (n - problem.time) * (t - problem.unit) - k
    inflated = n * t / free
    rows = row_scores(problem, fit)
    squares = fit.e**2
    cross = (squares @ squares.T) / fit.sigma2**2 * inflated**2
    apart: dict[int, Floats] = {}
    for at, A in ((k, fit.G), (k + 1, fit.H)):
        if A is not None:
            assert not isinstance(A, Implicit)  # noqa: S101 - the problem said dense
            P = A + A.T
            P = P - np.diag(np.diag(P))
            rows[..., at] -= 0.5 * fit.e * (P @ fit.e) / fit.sigma2
            apart[at] = P
    flat = rows.reshape(n * t, -1)
    flat = flat - flat.mean(axis=0)
    middle = flat.T @ flat * inflated
    for i, P in apart.items():
        for j, R in apart.items():
            middle[i, j] += 0.5 * float((P * R * cross).sum())
    return np.asarray(middle)


def same(cluster: Codes) -> NDArray[np.bool_]:
    """Pairs (N, N) of units in one cluster."""
    return np.asarray(cluster[:, None] == cluster)


def sandwich(V: Floats, middle: Floats) -> Floats:
    """V B V for the parameters that the model has."""
    return np.asarray(V @ middle @ V)


def recoloured(scores: Floats, V: Floats, covariance_: Floats) -> Floats | None:
    """Influence functions (rows, p) whose sum of squares is exactly `covariance_`.

    scores @ V, turned as little as possible: an information matrix and the products
    between units are expectations that no sum of rows gives exactly. None where there
    are fewer rows than parameters.
    """
    used = np.flatnonzero(np.diag(V))
    raw = (scores @ V)[:, used]
    target = covariance_[np.ix_(used, used)]
    size = np.sqrt(np.diag(target))
    raw, target = raw / size, target / np.outer(size, size)
    have = raw.T @ raw
    values, vectors = np.linalg.eigh(have)
    if values[0] <= 1e-10 * values[-1]:
        return None
    root = (vectors * np.sqrt(values)) @ vectors.T
    back = (vectors / np.sqrt(values)) @ vectors.T
    inner, turned = np.linalg.eigh(root @ target @ root)
    middle = (turned * np.sqrt(np.maximum(inner, 0.0))) @ turned.T
    found = np.zeros((len(scores), len(V)))
    found[:, used] = raw @ (back @ middle @ back) * size
    return found


@dataclass(frozen=True, slots=True)
class Multipliers:
    """Sums over the impact matrices (I - rho W1)^-1 (beta I + theta W2), over N.

    Attributes:
        own: mean diagonal of A, A W2, A W1 A, A W1 A W2 with A = (I - rho W1)^-1.
        all: mean row sum of the same.
    """

    own: Floats
    all: Floats


def multipliers(
    n: int,
    A: Floats | None,
    outcome: Lag | None,
    covariates: Any,
    G: Implicit | None = None,
) -> Multipliers:
    """Multipliers of LeSage and Pace (2009, ch. 2), for any weights.

    Args:
        n: units.
        A: (I - rho W1)^-1, or None without a lag of the outcome.
        outcome: the matrix W1, or None.
        covariates: the matrix W2 of the lags of the covariates (sparse), or None.
        G: in place of A where W1 is large and sparse; W2 is W1 then.
    """
    if G is not None:
        return _implicit_multipliers(n, G, covariates)
    ones = np.ones(n)
    W2 = covariates
    toward = np.zeros(n) if W2 is None else W2 @ ones
    if outcome is None or A is None:
        own = np.array([n, 0.0 if W2 is None else W2.trace(), 0.0, 0.0])
        return Multipliers(own / n, np.array([n, toward.sum(), 0.0, 0.0]) / n)
    # tr(A W1 A W2) is a sum over the cells of A W1 and A W2: no product of two dense
    # matrices is formed.
    AW1 = np.asarray((outcome.W.T @ A.T).T)
    left = A.sum(axis=0)
    twice = (outcome.W.T @ left) @ A
    traces = [np.trace(A), 0.0, _cells(AW1, A), 0.0]
    if W2 is not None:
        AW2 = AW1 if W2 is outcome.W else np.asarray((W2.T @ A.T).T)
        traces[1] = float(np.trace(AW2))
        traces[3] = _cells(AW1, AW2)
    total = [left.sum(), left @ toward, twice.sum(), twice @ toward]
    return Multipliers(np.array(traces) / n, np.array(total) / n)


def _implicit_multipliers(n: int, G: Implicit, covariates: Any) -> Multipliers:
    """A = I + rho G and A commutes with W: two traces of G give all four."""
    rho, ones = G.rho, np.ones(n)
    own = [
        n + rho * G.trace,
        G.trace,
        G.trace + rho * G.square,
        G.square,
    ]
    left = G.inverse_transposed(ones)
    twice = G.transposed(left)
    toward = np.asarray(G.W @ ones)
    every = [left.sum(), left @ toward, twice.sum(), twice @ toward]
    if covariates is None:
        own[1] = own[3] = every[1] = every[3] = 0.0
    return Multipliers(np.array(own) / n, np.array(every) / n)


def _cells(B: Floats, C: Floats) -> float:
    """tr(B C)."""
    return float(np.einsum("ij,ji->", B, C))
