"""SLX with weights whose decay is estimated (Halleck Vega and Elhorst 2015).

    y = X b + W(g) X theta + effects + e,   w_ij(g) = a_ij^g / sum_k a_ik^g

for given weights a_ij that fall with distance: with a_ij = 1 / d_ij, g is the exponent of
the distance. Row sums cancel, so a row-normalised matrix gives the same as a raw one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from estimators._math.spatial_ml import Floats, lagged

#: Exponents at which the sum of squares is looked at first.
_FIRST, _LAST, _GRID = 0.05, 20.0, 60


class NoDecayError(Exception):
    """The sum of squares has no minimum inside the range of exponents."""


@dataclass(frozen=True, slots=True)
class Decay:
    """Non-linear least squares at its minimum.

    Attributes:
        b: (2 k,) of X and of W(g) X.
        gamma: the exponent.
        e: (N, T) residuals.
        J: (2 k + 1, N, T) derivatives of the fit, fixed effects taken out.
        grid: (m, 2) exponents and their sums of squares.
    """

    b: Floats
    gamma: float
    e: Floats
    J: Floats
    grid: Floats


def powered(A: Any, gamma: float) -> tuple[Any, Any]:
    """W(g) and its derivative dW / dg, sparse.

    dw_ij = w_ij (ln a_ij - sum_k w_ik ln a_ik).
    """
    A = A.tocsr()
    rows = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    logs = np.log(A.data)
    most = np.full(A.shape[0], -np.inf)
    np.maximum.at(most, rows, logs)
    logs = logs - most[rows]  # only differences within a row matter
    raw = np.exp(gamma * logs)
    total = np.bincount(rows, raw, minlength=A.shape[0])
    w = raw / total[rows]
    mean = np.bincount(rows, w * logs, minlength=A.shape[0])
    W, slope = A.copy(), A.copy()
    W.data, slope.data = w, w * (logs - mean[rows])
    return W, slope


def varies(A: Any) -> bool:
    """Whether some row has two different weights; else no exponent changes anything."""
    A = A.tocsr()
    rows = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    low, high = np.full(A.shape[0], np.inf), np.zeros(A.shape[0])
    np.minimum.at(low, rows, A.data)
    np.maximum.at(high, rows, A.data)
    held = high > 0
    return bool((high[held] > low[held] * (1 + 1e-9)).any())


def estimated_decay(
    y: Floats, X: Floats, A: Any, within: Callable[[Floats], Floats]
) -> Decay:
    """Minimise the sum of squares over the exponent.

    Args:
        y: (N, T).
        X: (k, N, T).
        A: (N, N) weights that fall with distance.
        within: takes the fixed effects out of (…, N, T).

    Raises:
        NoDecayError: the minimum is at an end of the range.
    """
    from scipy.optimize import minimize_scalar

    target, own = within(y).ravel(), within(X).reshape(len(X), -1)

    def regression(gamma: float) -> tuple[Floats, Floats, Floats]:
        other = within(lagged(powered(A, gamma)[0], X)).reshape(len(X), -1)
        Z = np.concatenate([own, other])
        b = np.asarray(np.linalg.lstsq(Z.T, target, rcond=None)[0])
        return b, target - b @ Z, Z

    def squares(log_gamma: float) -> float:
        e = regression(float(np.exp(log_gamma)))[1]
        return float(e @ e)

    grid = np.linspace(np.log(_FIRST), np.log(_LAST), _GRID)
    held = np.array([squares(g) for g in grid])
    best = int(np.argmin(held))
    if best in {0, _GRID - 1}:
        raise NoDecayError(f"{np.exp(grid[best]):.3g}")
    found = minimize_scalar(
        squares,
        bounds=(float(grid[best - 1]), float(grid[best + 1])),
        method="bounded",
        options={"xatol": 1e-10},
    )
    gamma = float(np.exp(found.x))
    b, e, Z = regression(gamma)
    k = len(X)
    moved = np.tensordot(b[k:], lagged(powered(A, gamma)[1], X), 1)
    J = np.concatenate([Z, within(moved).reshape(1, -1)])
    return Decay(
        b,
        gamma,
        e.reshape(y.shape),
        J.reshape(-1, *y.shape),
        np.column_stack([np.exp(grid), held]),
    )
