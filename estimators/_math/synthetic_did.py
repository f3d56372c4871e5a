"""Synthetic difference-in-differences of one cohort, in the notation of the paper.

Arkhangelsky, Athey, Hirshberg, Imbens and Wager (2021), AER 111(12): unit weights omega
make the controls follow the treated before treatment (algorithm 1, eq. 4), time weights
lambda make the periods before resemble those after among the controls (eq. 6); the effect
is the weighted difference-in-differences (eq. 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from estimators._math.simplex import frank_wolfe, simplex_least_squares

Floats = NDArray[np.float64]
Solver = Literal["exact", "frank_wolfe"]

#: Regularisation of the time weights and stopping rule, as shares of the noise level.
ETA_LAMBDA, LEAST_FALL = 1e-6, 1e-5
#: Alternation of weights and covariates ends when the objective falls by less.
SETTLED, MOST_ROUNDS = 1e-12, 1_000


@dataclass(frozen=True, slots=True)
class Span:
    """`T0` periods before treatment; it is on from position `first` on.

    The periods between them (anticipation) belong to neither.
    """

    T0: int
    first: int


@dataclass(frozen=True, slots=True)
class Zeta:
    """Regularisation: `omega` of the unit weights, `lambda_` of the time weights."""

    omega: float
    lambda_: float
    noise: float


@dataclass(frozen=True, slots=True)
class Weights:
    """omega (N0,), lambda (T0,) and the coefficients (k,) of the covariates."""

    omega: Floats
    lambda_: Floats
    beta: Floats


@dataclass(frozen=True, slots=True)
class Cohort:
    """One cohort's estimate.

    Attributes:
        weights: as fitted.
        gap: (T,) mean of the treated less the weighted controls, covariates removed.
        effect: (T,) gap less its lambda-weighted mean before treatment; the mean of
            its values under treatment is the estimate.
        span: periods before and under treatment.
    """

    weights: Weights
    gap: Floats
    effect: Floats
    span: Span

    @property
    def tau(self) -> float:
        return float(self.effect[self.span.first :].mean())

    @property
    def misfit(self) -> float:
        """Root mean squared gap before treatment, its mean removed."""
        before = self.gap[: self.span.T0]
        return float(np.sqrt(np.mean((before - before.mean()) ** 2)))


def regularisation(Y0: Floats, span: Span, n_treated: int) -> Zeta:
    """Regularise units by (N1 T1)^(1/4) sigma, periods by 1e-6 sigma.

    Args:
        Y0: (N0, T) controls; sigma is the standard deviation of their first
            differences before treatment, all pooled.
        span: at least two periods before treatment.
        n_treated: N1.
    """
    sigma = float(np.diff(Y0[:, : span.T0], axis=1).std(ddof=1))
    T1 = Y0.shape[1] - span.first
    return Zeta((n_treated * T1) ** 0.25 * sigma, ETA_LAMBDA * sigma, sigma)


def cohort(
    Y0: Floats,
    y1: Floats,
    span: Span,
    zeta: Zeta,
    *,
    X0: Floats | None = None,
    x1: Floats | None = None,
    solver: Solver = "exact",
    start: Weights | None = None,
) -> Cohort:
    """Weights and effect.

    Args:
        Y0: (N0, T) controls.
        y1: (T,) mean of the treated.
        span: periods before and under treatment.
        zeta: regularisation.
        X0: (k, N0, T) covariates whose coefficients are chosen with the weights, to
            the sum of both criteria (R's and Stata's "optimized").
        x1: (k, T) their means among the treated.
        solver: the optimum, or R's Frank-Wolfe steps.
        start: weights where the Frank-Wolfe steps begin.
    """
    if X0 is None or x1 is None or not len(X0):
        return at(Y0, y1, span, _weights(Y0, y1, span, zeta, solver, start))
    beta = np.zeros(len(X0))
    last = np.inf
    weights = _weights(Y0, y1, span, zeta, solver, start)
    for _ in range(MOST_ROUNDS):
        beta = _coefficients(Y0, y1, X0, x1, span, weights)
        left0, left1 = Y0 - np.tensordot(beta, X0, 1), y1 - beta @ x1
        found = _weights(left0, left1, span, zeta, solver, start)
        weights = Weights(found.omega, found.lambda_, beta)
        value = _objective(left0, left1, span, zeta, weights)
        if last - value <= SETTLED * max(value, 1e-300):
            break
        last = value
    return at(Y0, y1, span, weights, X0=X0, x1=x1)


def at(
    Y0: Floats,
    y1: Floats,
    span: Span,
    weights: Weights,
    *,
    X0: Floats | None = None,
    x1: Floats | None = None,
) -> Cohort:
    """The estimate with given weights."""
    gap = y1 - weights.omega @ Y0
    if X0 is not None and x1 is not None and len(weights.beta):
        gap = gap - weights.beta @ (x1 - np.einsum("n,knt->kt", weights.omega, X0))
    return Cohort(weights, gap, gap - weights.lambda_ @ gap[: span.T0], span)


def _weights(
    Y0: Floats,
    y1: Floats,
    span: Span,
    zeta: Zeta,
    solver: Solver,
    start: Weights | None,
) -> Weights:
    N0, T0 = len(Y0), span.T0
    units = _centred(Y0[:, :T0].T), y1[:T0] - y1[:T0].mean(), T0 * zeta.omega**2
    over = Y0[:, span.first :].mean(axis=1)
    times = _centred(Y0[:, :T0]), over - over.mean(), N0 * zeta.lambda_**2
    if solver == "exact":
        omega, lambda_ = simplex_least_squares(*units), simplex_least_squares(*times)
    else:
        stop = (LEAST_FALL * zeta.noise) ** 2
        omega = frank_wolfe(*units, stop, start.omega if start else None)
        lambda_ = frank_wolfe(*times, stop, start.lambda_ if start else None)
    return Weights(omega, lambda_, np.zeros(0))


def _centred(A: Floats) -> Floats:
    """The intercept of a criterion: columns in deviations from their means."""
    return np.asarray(A - A.mean(axis=0))


def _residuals(
    Y0: Floats, y1: Floats, span: Span, weights: Weights
) -> tuple[Floats, Floats]:
    """Errors of both criteria, (N0,) over units and (T0,) over periods."""
    T0 = span.T0
    by_unit = Y0[:, :T0] @ weights.lambda_ - Y0[:, span.first :].mean(axis=1)
    by_time = weights.omega @ Y0[:, :T0] - y1[:T0]
    return by_unit - by_unit.mean(), by_time - by_time.mean()


def _objective(
    Y0: Floats, y1: Floats, span: Span, zeta: Zeta, weights: Weights
) -> float:
    by_unit, by_time = _residuals(Y0, y1, span, weights)
    return float(
        zeta.omega**2 * (weights.omega @ weights.omega)
        + zeta.lambda_**2 * (weights.lambda_ @ weights.lambda_)
        + (by_time @ by_time) / span.T0
        + (by_unit @ by_unit) / len(Y0)
    )


def _coefficients(
    Y0: Floats, y1: Floats, X0: Floats, x1: Floats, span: Span, weights: Weights
) -> Floats:
    """Coefficients (k,) that minimise both criteria at these weights."""

    def stacked(rows: tuple[Floats, Floats]) -> Floats:
        return np.concatenate(
            [rows[0] / np.sqrt(len(Y0)), rows[1] / np.sqrt(span.T0)],
        )

    columns = [stacked(_residuals(X0[k], x1[k], span, weights)) for k in range(len(X0))]
    right = stacked(_residuals(Y0, y1, span, weights))
    return np.asarray(np.linalg.lstsq(np.column_stack(columns), right, rcond=None)[0])
