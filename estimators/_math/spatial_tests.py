"""Lagrange multiplier tests of spatial lags inside the fixed effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from estimators._math.spatial_ml import Floats, Problem, without_effects


@dataclass(frozen=True, slots=True)
class Multiplier:
    """The four statistics, each chi-squared with one degree of freedom.

    A robust one is None where the lag and the error can't be told apart.
    """

    lag: float
    error: float
    robust_lag: float | None
    robust_error: float | None


def lagrange(problem: Problem, W: Any) -> Multiplier:
    """LM tests of Anselin, Le Gallo and Jayet (2008) after Elhorst (2014, p. 57).

    Lags are taken before the fixed effects are taken out; nothing of size N T x N T is
    formed. Period effects make e'We lean to -(T - 1) sigma2 where there is nothing, and
    the printed tests reject too often in small panels; with `correction: lee_yu` they
    are those of the transformed data, which do not.

    Args:
        problem: without lags; its `Z` are the regressors.
        W: (N, N) sparse weights.
    """
    n, t = problem.units_left, problem.periods_left
    Z = without_effects(problem.Z, problem)
    flat = Z.reshape(len(Z), -1).T
    y = without_effects(problem.y, problem)
    b = np.linalg.lstsq(flat, y.ravel(), rcond=None)[0]
    e = y - np.tensordot(b, Z, 1)
    sigma2 = float((e**2).sum()) / (n * t)

    trace = float((W.multiply(W)).sum() + (W.multiply(W.T)).sum())
    lean = 0.0
    if problem.shrunk:
        # Traces of F'WF with F the basis of deviations from period means.
        units = W.shape[0]
        rows, columns = (np.asarray(W.sum(axis=a)).ravel() for a in (1, 0))
        lean = -float(rows.mean())
        trace -= float(rows.mean() ** 2 + columns @ columns / units)
        # F'WF has a trace, so sigma2, which is estimated, moves with the score.
        trace -= 2 * lean**2 / n
    trace *= t

    def score(x: Floats) -> float:
        return float((e * without_effects(x, problem)).sum()) / sigma2 - t * lean

    to_lag, to_error = score(W @ problem.y), score(W @ e)
    fitted = without_effects(np.asarray(W @ np.tensordot(b, problem.Z, 1)), problem)
    fitted = fitted.ravel()
    rest = fitted - flat @ np.linalg.lstsq(flat, fitted, rcond=None)[0]
    J = float(rest @ rest) / sigma2 + trace
    apart = J - trace > 1e-10 * J
    return Multiplier(
        lag=to_lag**2 / J,
        error=to_error**2 / trace,
        robust_lag=(to_lag - to_error) ** 2 / (J - trace) if apart else None,
        robust_error=(
            (to_error - trace / J * to_lag) ** 2 / (trace * (1 - trace / J))
            if apart
            else None
        ),
    )
