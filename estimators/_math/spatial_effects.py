"""Effects by order of neighbours and by simulation (LeSage and Pace 2009, ch. 2 and 5).

    S(rho) = (I - rho W1)^-1 (beta I + theta W2) = sum_q rho^q W1^q (beta I + theta W2)

for weights of any normalisation: nothing here takes rows that sum to one for granted,
where they do the sums are only cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from estimators._math.spatial_ml import LINKS, Floats, Lag

#: Points at which multipliers are computed before they are interpolated in rho: their
#: first pole is divided out, the others are far from the draws.
_NODES = 32
#: Half the width that a set of equal draws is given.
_LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class Powers:
    """Mean diagonal and mean row sum of W1^q and of W1^q W2, for q = 0, 1, ….

    Attributes:
        own, all: (orders, 2).
    """

    own: Floats
    all: Floats


def powers(n: int, outcome: Any, covariates: Any, orders: int) -> Powers:
    """Sums over the powers of the matrices.

    Args:
        n: units.
        outcome: W1 (sparse), or None without a lag of the outcome.
        covariates: W2 (sparse), or None.
        orders: how many powers, five at most.
    """
    own, every = np.zeros((orders, 2)), np.zeros((orders, 2))
    ones = np.ones(n)
    toward = None if covariates is None else np.asarray(covariates @ ones)
    low = _low_powers(outcome, n)
    ahead, ahead_of_lag = ones, toward
    for q in range(orders):
        own[q, 0], every[q, 0] = _trace_of(low, q, n), ahead.sum()
        if covariates is not None and ahead_of_lag is not None:
            own[q, 1] = _trace_with(low, q, covariates)
            every[q, 1] = ahead_of_lag.sum()
        if outcome is None:
            break
        ahead = np.asarray(outcome @ ahead)
        if ahead_of_lag is not None:
            ahead_of_lag = np.asarray(outcome @ ahead_of_lag)
    return Powers(own / n, every / n)


def _low_powers(W: Any, n: int) -> list[Any]:
    """W and W^2, dense where W is: no trace of a power up to 4 needs more."""
    if W is None:
        return []
    held = W.toarray() if W.nnz > LINKS * n else W.tocsr()
    return [held, held @ held]


def _trace_of(low: list[Any], q: int, n: int) -> float:
    if q == 0:
        return float(n)
    if q <= len(low):
        return float(low[q - 1].diagonal().sum())
    return _cells(low[1], low[q - 3])


def _trace_with(low: list[Any], q: int, other: Any) -> float:
    """tr(W^q W2)."""
    if q == 0:
        return float(other.diagonal().sum())
    if q <= len(low):
        return _cells(low[q - 1], other)
    return _cells(low[1], low[q - 3] @ other)


def _cells(B: Any, C: Any) -> float:
    """tr(B C), sparse or dense."""
    if isinstance(B, np.ndarray) and not isinstance(C, np.ndarray):
        C = C.toarray()
    if isinstance(B, np.ndarray):
        return float(np.einsum("ij,ji->", B, C))
    return float(B.multiply(C.T).sum())


@dataclass(frozen=True, slots=True)
class Curves:
    """Multipliers as functions of rho.

    Attributes:
        own, all: (draws, 2), mean diagonal and mean row sum of A and of A W2 with
            A = (I - rho W1)^-1.
    """

    own: Floats
    all: Floats


def along(rho: Floats, n: int, outcome: Lag, covariates: Any) -> Curves:
    """The multipliers at many rho.

    Args:
        rho: (draws,) inside the parameter space of `outcome`.
        n: units.
        outcome: W1.
        covariates: W2 (sparse), or None.
    """
    low, high = float(rho.min()), float(rho.max())
    low, high = low - _LEAST, high + _LEAST
    angle = np.pi * (2 * np.arange(_NODES) + 1) / (2 * _NODES)
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    nodes = middle + half * np.cos(angle)
    held = np.array([_exact(float(r), n, outcome, covariates) for r in nodes])

    def pole(r: Floats) -> Floats:
        # 1 / (1 - rho omega) of the end eigenvalues is what no polynomial follows.
        return np.asarray((1 - r * outcome.ends[0]) * (1 - r * outcome.ends[1]))[
            :, None
        ]

    turned = np.cos(np.outer(np.arange(_NODES), angle))
    series = 2.0 / _NODES * (turned @ (held * pole(nodes)))
    series[0] /= 2.0
    x = (rho - middle) / half
    found = np.polynomial.chebyshev.chebval(x, series).T / pole(rho)
    return Curves(found[:, :2], found[:, 2:])


def _exact(rho: float, n: int, outcome: Lag, covariates: Any) -> Floats:
    """Mean diagonals of A, A W2 and mean row sums of the same, at one rho."""
    ones = np.ones(n)
    same = covariates is None or covariates is outcome.W
    if same:
        # A and W commute: one trace gives both.
        lag = outcome.trace(rho)
        trace, lagged = n + rho * lag, lag
    if outcome.row_normalised and same:
        total = n / (1.0 - rho)
        row = [trace, lagged, total, total]
    else:
        toward = ones if covariates is None else np.asarray(covariates @ ones)
        if same:
            reached = outcome.solve(rho, np.column_stack([ones, toward]))
        else:
            A = outcome.inverse(rho)
            trace, lagged = float(np.trace(A)), _cells(A, covariates)
            reached = A @ np.column_stack([ones, toward])
        row = [trace, lagged, *reached.sum(axis=0)]
    if covariates is None:
        row[1] = row[3] = 0.0
    return np.array(row) / n
