"""Dynamic spatial panels: bias of the maximum, long-run multipliers.

    y_t = rho W y_t + tau y_(t-1) + eta W y_(t-1) + Z_t b + effects + e_t

Yu, de Jong and Lee (2008) give the bias of order 1 / T of quasi maximum likelihood with
unit effects, Lee and Yu (2010, Econometric Theory 26) that with period effects taken out
by the transformation. They write lambda, gamma, rho for rho, tau, eta.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from estimators._math.spatial_ml import Floats, Lag


@dataclass(frozen=True, slots=True)
class Lean:
    """Minus the mean of the score at the truth, by parameter; the others' is zero.

    With D = ((1 - tau) I - (rho + eta) W)^-1 and G = W (I - rho W)^-1:

    Attributes:
        tau: tr(D).
        eta: tr(W D).
        rho: tau tr(G D) + eta tr(G W D).
    """

    tau: float
    eta: float
    rho: float


def lean(W: Floats, rho: float, tau: float, eta: float, *, shrunk: bool) -> Lean:
    """How the score of the transformed data leans because of the lagged outcome.

    The terms tr(G) and 1 / (2 sigma^2) of the papers belong to the likelihood with unit
    dummies; the transformed likelihood does not have them.

    Args:
        W: (N, N).
        rho, tau, eta: the coefficients.
        shrunk: whether period effects are taken out too; W is row-normalised then.
    """
    n = len(W)
    eye = np.eye(n)
    D: Floats = np.asarray(
        np.linalg.inv((1.0 - tau) * eye - (rho + eta) * W), dtype=np.float64
    )
    GD = W @ np.linalg.solve(eye - rho * W, D)
    WD = W @ D

    def trace(A: NDArray[Any]) -> float:
        return float(np.trace(A) - (A.sum() / n if shrunk else 0.0))

    return Lean(trace(D), trace(WD), tau * trace(GD) + eta * trace(GD @ W))


@dataclass(frozen=True, slots=True)
class LongRun:
    """Mean diagonals and mean row sums over the units.

    Attributes:
        own, all: of D, D W2, D D, D D W2, D W D, D W D W2.
    """

    own: Floats
    all: Floats


def long_run(outcome: Lag, covariates: Floats | None, at: Floats) -> LongRun:
    """Multipliers of a lasting change, with what their derivatives need.

    Args:
        outcome: W.
        covariates: W2 of the lags of the covariates, dense, or None.
        at: rho, tau, eta.
    """
    rho, tau, eta = (float(x) for x in at)
    W = outcome.W.toarray()
    n = len(W)
    D = np.linalg.inv((1.0 - tau) * np.eye(n) - (rho + eta) * W)
    held = []
    for A in (D, D @ D, D @ W @ D):
        held += [A, A @ covariates if covariates is not None else np.zeros_like(A)]
    return LongRun(
        np.array([np.trace(A) for A in held]) / n, np.array([A.sum() for A in held]) / n
    )
