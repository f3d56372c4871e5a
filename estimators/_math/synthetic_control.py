"""Synthetic control weights, in the notation of the paper.

Abadie, Diamond and Hainmueller (2010), JASA 105(490): donors' weights W minimise
`(X1 - X0 W)' V (X1 - X0 W)` over the simplex; V minimises the mean squared prediction
error of the outcome before treatment that W(V) leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from estimators._math.simplex import simplex_least_squares

Floats = NDArray[np.float64]
Importance = Literal["nested", "regression", "equal"]

#: Share of the mean squared distance by which W is regularised, to follow the outcome and
#: in a search over V: among equally good weights the most even ones, whatever the order
#: of the donors.
EVEN, EVEN_IN_SEARCH = 1e-10, 1e-6
#: Least importance that a search may reach, in logs below the largest.
FLOOR = 20.0


@dataclass(frozen=True, slots=True)
class Control:
    """W (n,) of the donors, V (k,) of the predictors (sum 1), `mspe` before treatment."""

    w: Floats
    v: Floats
    mspe: float


def outcome_only(Z1: Floats, Z0: Floats) -> Control:
    """Weights that follow the outcome in every period before treatment.

    Args:
        Z1: (T0,) treated.
        Z0: (T0, n) donors.
    """
    w = _weights(Z1, Z0, np.ones(len(Z1)), EVEN)
    return Control(w, np.full(len(Z1), 1 / len(Z1)), _mspe(Z1, Z0, w))


def with_predictors(
    X1: Floats,
    X0: Floats,
    Z1: Floats,
    Z0: Floats,
    importance: Importance,
    evaluations: int,
) -> Control:
    """Weights by predictors.

    Args:
        X1: (k,) predictors of the treated, in the user's units.
        X0: (k, n) of the donors.
        Z1: (T0,) outcomes before treatment of the treated.
        Z0: (T0, n) of the donors.
        importance: how V is found.
        evaluations: of the criterion by the search from every start.
    """
    both = np.column_stack([X1, X0])
    spread = both.std(axis=1, ddof=1)
    if not (spread > 0).all():
        raise ValueError("a predictor is the same for all units")
    A, b = X0 / spread[:, None], X1 / spread
    k = len(b)
    equal = np.full(k, 1 / k)
    if importance == "equal" or k == 1:
        return _control(b, A, Z1, Z0, equal)
    by_regression = _regression(np.column_stack([b, A]), np.column_stack([Z1, Z0]))
    if importance == "regression":
        return _control(b, A, Z1, Z0, by_regression)
    found = [
        _search(b, A, Z1, Z0, start, evaluations)
        for start in _starts(equal, by_regression)
    ]
    return min(found, key=lambda control: control.mspe)


def _starts(equal: Floats, by_regression: Floats) -> Iterator[Floats]:
    yield equal
    yield by_regression


def _search(
    b: Floats, A: Floats, Z1: Floats, Z0: Floats, start: Floats, evaluations: int
) -> Control:
    """The best V that Nelder and Mead's simplex visits, logs of V as coordinates."""
    from scipy.optimize import minimize

    best = _control(b, A, Z1, Z0, start)

    def value(logs: Floats) -> float:
        nonlocal best
        v = np.exp(np.maximum(logs - logs.max(), -FLOOR))
        found = _control(b, A, Z1, Z0, v / v.sum())
        if found.mspe < best.mspe:
            best = found
        return found.mspe

    logs = np.log(np.maximum(start, np.exp(-FLOOR)))
    k = len(logs)
    corners = np.vstack([logs, logs + 2.0 * np.eye(k)])
    minimize(
        value,
        logs,
        method="Nelder-Mead",
        options={
            "maxfev": evaluations,
            "initial_simplex": corners,
            "xatol": 1e-6,
            "fatol": 1e-12 * best.mspe,
        },
    )
    return best


def _control(b: Floats, A: Floats, Z1: Floats, Z0: Floats, v: Floats) -> Control:
    w = _weights(b, A, v, EVEN_IN_SEARCH)
    return Control(w, v, _mspe(Z1, Z0, w))


def _weights(b: Floats, A: Floats, v: Floats, even: float) -> Floats:
    root = np.sqrt(v)
    away = (A - b[:, None]) * root[:, None]
    ridge = even * float((away * away).sum() / away.shape[1])
    return simplex_least_squares(A * root[:, None], b * root, ridge)


def _mspe(Z1: Floats, Z0: Floats, w: Floats) -> float:
    return float(np.mean((Z1 - Z0 @ w) ** 2))


def _regression(X: Floats, Z: Floats) -> Floats:
    """V from regressions of the outcomes on the predictors, over all units (k,).

    Args:
        X: (k, n) standardised; a constant is added.
        Z: (T0, n).
    """
    design = np.column_stack([np.ones(X.shape[1]), X.T])
    beta = np.linalg.lstsq(design, Z.T, rcond=None)[0][1:]
    size = (beta * beta).sum(axis=1)
    total = float(size.sum())
    return np.asarray(size / total) if total > 0 else np.full(len(size), 1 / len(size))
