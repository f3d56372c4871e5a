"""Covariance matrices of least squares: meats, small-sample factors, influence.

Notation of Cameron and Miller (2015): N rows, K parameters, G clusters, bread
`B = (X'X)^-1`, score of a row `s_i = x_i u_i` (weights included). An influence row is
`psi = B s`; the covariance is a sum of squares of influence rows times a factor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def sum_by(rows: Floats, codes: Codes, n_levels: int) -> Floats:
    """Sums of `rows` (n, k) by code: (n_levels, k)."""
    out = np.empty((n_levels, rows.shape[1]))
    for j in range(rows.shape[1]):
        out[:, j] = np.bincount(codes, rows[:, j], n_levels)
    return out


def parameters(k: int, levels: Sequence[int], nested: Sequence[bool], how: str) -> int:
    """K of the factor (N-1)/(N-K), fixest's count.

    Fixed effects count their levels less one each after the first; with
    `how="nonnested"` those nested in a cluster count nothing (their sums are part of
    the cluster's score), with `"full"` all count, with `"none"` none does.

    Source: Bergé, fixest vignette "On standard errors"; Cameron and Miller (2015).
    """
    if how == "none" or not levels:
        return k
    total = k + sum(levels) - (len(levels) - 1)
    if how == "full":
        return total
    for size, inside in zip(levels, nested, strict=True):
        if inside:
            total += 1 - size
    return total


def bartlett_root(position: Codes, lags: int) -> Floats:
    """L with L L' = Bartlett weights 1 - |s-t|/(lags+1) between positions (T, T).

    The kernel is positive definite, so `L' scores` are influence rows whose plain sum
    of squares is the Newey-West (1987) or Driscoll-Kraay (1998) meat.
    """
    distance = np.abs(position[:, None] - position[None, :])
    return np.linalg.cholesky(np.maximum(0.0, 1.0 - distance / (lags + 1.0)))


def effective_number(load: Floats) -> float:
    """Effective number of clusters, G / (1 + CV^2) of the clusters' `load` (G,).

    With load = sum over the cluster of the squared partialled-out regressor: Carter,
    Schnepel and Steigerwald (2017) with errors uncorrelated within clusters, the
    version that stays defined when fixed effects are nested in clusters.
    """
    square = float(np.sum(load * load))
    return float(np.sum(load) ** 2 / square) if square > 0 else 0.0


def match_covariance(psi: Floats, now: Floats, wanted: Floats) -> Floats:
    """`psi` (G, q) mapped linearly so that its covariance `now` becomes `wanted`.

    The map nearest to the identity: T = M^-1/2 (M^1/2 V M^1/2)^1/2 M^-1/2. Used where
    the reported covariance isn't a sum of squares of scores (homoskedastic errors,
    separate factors of two-way clusters); correlations with other estimations'
    influence functions are kept as far as possible.
    """
    size = np.sqrt(np.diag(wanted))
    M, V = now / np.outer(size, size), wanted / np.outer(size, size)
    values, vectors = np.linalg.eigh(M)
    if values[0] <= 1e-10 * values[-1]:
        return psi * np.sqrt(np.diag(wanted) / np.diag(now))
    root = (vectors * np.sqrt(values)) @ vectors.T
    back = (vectors / np.sqrt(values)) @ vectors.T
    inner, axes = np.linalg.eigh(root @ V @ root)
    middle = (axes * np.sqrt(np.maximum(inner, 0.0))) @ axes.T
    T = back @ middle @ back
    return np.asarray((psi / size) @ T * size)


def wald(estimate: Floats, V: Floats) -> tuple[float, int]:
    """(F, rank of V): F = b' V^-1 b / q, meaningful only when rank is q."""
    size = np.sqrt(np.diag(V))
    # A coefficient without any variance takes one from the rank.
    size = np.where(size > 0, size, 1.0)
    R = V / np.outer(size, size)
    rank = int(np.linalg.matrix_rank(R, tol=1e-9, hermitian=True))
    if rank < len(estimate):
        return float("nan"), rank
    z = estimate / size
    return float(z @ np.linalg.solve(R, z)) / len(z), rank
