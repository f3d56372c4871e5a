"""Effects as a function of the dose (Callaway, Goodman-Bacon and Sant'Anna 2024).

Notation: units of one cohort have doses D > 0, controls none; Delta Y is the change of the
outcome between two periods; ATT(d), the effect of dose d on units that have it (the paper's
ATT(d|d)), is E[Delta Y | D = d] - E[Delta Y | D = 0], and ACRT(d) its derivative. ATT(d) is
linear in a basis psi(d): the coefficients beta come from a regression of Delta Y, less what
controls predict, on psi(D). With K columns and n units, influence functions are (n, .) and
their plain sum of squares is the variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from estimators._math.two_period import UNTREATED, NotFitted, dependent

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Reciprocal condition number of the scaled regressors below which doses don't tell the
#: columns of the basis apart.
COLLINEAR = 1e-8
#: Power of (1 - leverage) by which a residual is divided (MacKinnon and White 1985).
LEVERAGE = {"hc0": 0.0, "hc2": 0.5, "hc3": 1.0}


class Basis(Protocol):
    """Functions of the dose that span ATT(d), among them all constants."""

    @property
    def size(self) -> int:
        """K."""

    @property
    def points(self) -> Floats:
        """Doses at which a function in the span is known everywhere."""

    def values(self, d: Floats) -> Floats:
        """psi(d), (n, K)."""

    def slopes(self, d: Floats) -> Floats:
        """psi'(d), (n, K)."""


@dataclass(frozen=True, slots=True)
class Spline:
    """A constant and B-splines, without the first of them.

    Attributes:
        degree: of the polynomial pieces.
        knots: between `low` and `high`, ascending.
        low, high: smallest and largest dose.
    """

    degree: int
    knots: tuple[float, ...]
    low: float
    high: float

    @property
    def size(self) -> int:
        return self.degree + 1 + len(self.knots)

    @property
    def points(self) -> Floats:
        return np.linspace(self.low, self.high, 4 * self.size)

    @property
    def _knots(self) -> Floats:
        ends = self.degree + 1
        return np.concatenate(
            [np.full(ends, self.low), self.knots, np.full(ends, self.high)]
        )

    def values(self, d: Floats) -> Floats:
        from scipy.interpolate import BSpline

        B = BSpline.design_matrix(d, self._knots, self.degree).toarray()
        B[:, 0] = 1.0
        return np.asarray(B)

    def slopes(self, d: Floats) -> Floats:
        from scipy.interpolate import BSpline

        one_each = BSpline(self._knots, np.eye(self.size), self.degree)
        B = np.asarray(one_each.derivative()(d))
        B[:, 0] = 0.0
        return B


@dataclass(frozen=True, slots=True)
class Levels:
    """A column for every dose: ATT(d) is a difference of means, ACRT(d) a step.

    The step is per unit of the dose from the next lower one, from no dose for the lowest.
    """

    doses: tuple[float, ...]

    @property
    def size(self) -> int:
        return len(self.doses)

    @property
    def points(self) -> Floats:
        return np.array(self.doses)

    def values(self, d: Floats) -> Floats:
        return np.asarray((d[:, None] == np.array(self.doses)).astype(np.float64))

    def slopes(self, d: Floats) -> Floats:
        step = np.eye(self.size) - np.eye(self.size, k=-1)
        rows = step / np.diff(self.doses, prepend=0.0)[:, None]
        return np.asarray(self.values(d) @ rows)


def coordinates(basis: Basis, functions: Floats, d: Floats) -> Floats:
    """Coefficients (K, f) in the basis of functions known at the doses d, (n, f)."""
    return np.asarray(np.linalg.lstsq(basis.values(d), functions, rcond=None)[0])


def outside(spanned: Floats) -> Floats:
    """Rows (K - f, K) whose products with beta vanish where it lies in the span (K, f)."""
    Q, _ = np.linalg.qr(spanned, mode="complete")
    return np.asarray(Q[:, spanned.shape[1] :].T)


@dataclass(frozen=True, slots=True)
class DoseEffects:
    """Effects of one cohort between two periods, with influence functions.

    Attributes:
        beta, psi_beta: (K,) and (n, K); ATT(d) = psi(d)' beta.
        att, psi_att: ATT^o, the mean of ATT(D) over the treated.
        acrt, psi_acrt: ACRT^o, the mean of ACRT(D) over them.
    """

    beta: Floats
    psi_beta: Floats
    att: float
    psi_att: Floats
    acrt: float
    psi_acrt: Floats


def effects(
    dy: Floats,
    treated: Flags,
    dose: Floats,
    X: Floats,
    w: Floats,
    basis: Basis,
    residuals: str = "hc0",
) -> DoseEffects:
    """Regression of changes on the dose, less what controls change by.

    Args:
        dy: (n,) change of the outcome.
        treated: (n,) whether a unit is of the cohort; the others are controls.
        dose: (n,), read for the treated.
        X: (n, p) covariates with a constant; the constant alone is parallel trends
            without conditions, more is a regression adjustment by the controls'.
        w: (n,) weights.
        basis: of ATT(d).
        residuals: key of `LEVERAGE`, of the regression on the dose.

    Raises:
        NotFitted: covariates are collinear among the controls, or the doses do not tell
            the columns of the basis apart.
    """
    own, other = np.flatnonzero(treated), np.flatnonzero(~treated)
    if len(other) < X.shape[1]:
        raise NotFitted(f"{len(other)} untreated units for {X.shape[1]} coefficients")
    try:
        gamma, by_gamma = _least_squares(X[other], dy[other], w[other], UNTREATED)
    except NotFitted as reason:
        raise NotFitted(str(reason), dependent(X[other], w[other])) from None
    left = dy[own] - X[own] @ gamma
    wt, d = w[own], dose[own]
    mass = wt.sum()
    P, slopes = basis.values(d), basis.slopes(d)
    beta, by_beta = _least_squares(
        P,
        left,
        wt,
        f"the doses leave some of the {basis.size} columns undetermined",
        LEVERAGE[residuals],
    )
    A = (P * wt[:, None]).T
    into = np.linalg.solve(A @ P, A @ X[own])  # d beta / d gamma, less its sign
    psi_beta = np.zeros((len(dy), basis.size))
    psi_beta[own], psi_beta[other] = by_beta, -by_gamma @ into.T

    att = float(wt @ left / mass)
    psi_att = np.zeros(len(dy))
    psi_att[own] = wt * (left - att) / mass
    psi_att[other] = -by_gamma @ (wt @ X[own] / mass)

    at_own = slopes @ beta
    acrt = float(wt @ at_own / mass)
    psi_acrt = psi_beta @ (wt @ slopes / mass)
    psi_acrt[own] += wt * (at_own - acrt) / mass  # the doses are a sample, too
    return DoseEffects(beta, psi_beta, att, psi_att, acrt, psi_acrt)


def _least_squares(
    X: Floats, y: Floats, w: Floats, reason: str, power: float = 0.0
) -> tuple[Floats, Floats]:
    """Coefficients (k,) and their influence functions (n, k).

    Residuals are over (1 - leverage)^power, except where a row determines its own fit.
    """
    root = np.sqrt(w)[:, None]
    scale = np.linalg.norm(root * X, axis=0)
    if len(X) < X.shape[1] or not scale.all():
        raise NotFitted(reason)
    Q, R = np.linalg.qr(root * X / scale)
    size = np.linalg.svd(R, compute_uv=False)
    if size[-1] < COLLINEAR * size[0]:
        raise NotFitted(reason)
    b = np.linalg.solve(R, Q.T @ (root[:, 0] * y)) / scale
    e = root[:, 0] * (y - X @ b)
    if power:
        rest = 1.0 - np.sum(Q * Q, axis=1)
        e = e / np.where(rest > COLLINEAR, rest, 1.0) ** power
    return b, np.linalg.solve(R, (Q * e[:, None]).T).T / scale


@dataclass(frozen=True, slots=True)
class StepWeights:
    """What the two-way coefficient of one cohort's dose makes of steps of the curve.

    The coefficient is the sum over j of `weight[j]` (m_j - m_{j-1}) / (d_j - d_{j-1}),
    with m_j the mean change of the outcome at dose d_j and d_0 = 0 (the paper's
    decomposition into causal responses, in the sample): no weight is negative, and they
    add up to one.

    Attributes:
        doses: (J,) distinct doses, ascending.
        weight: (J,) of the step up to each.
        share: (J,) share of the treated at each, which is what ACRT^o weighs by.
    """

    doses: Floats
    weight: Floats
    share: Floats


def step_weights(dose: Floats, w: Floats) -> StepWeights:
    """Weights on steps of the dose; `dose` (n,) is 0 for controls, `w` (n,) weighs."""
    levels, of = np.unique(dose, return_inverse=True)
    mass = np.bincount(of, w) / w.sum()
    mean = mass @ levels
    above = np.cumsum((mass * (levels - mean))[::-1])[::-1]  # E[(D - ED) 1{D >= d}]
    variance = mass @ (levels - mean) ** 2
    positive = levels > 0
    return StepWeights(
        levels[positive],
        (above[1:] * np.diff(levels)) / variance,
        mass[positive] / mass[positive].sum(),
    )


def two_way(Y: Floats, D: Floats, w: Floats) -> float:
    """Coefficient of D (N, T) with unit and period effects, balanced; w (N,)."""
    mean = D.mean(axis=1, keepdims=True)
    by_period = w @ D / w.sum()
    left = D - mean - by_period + by_period.mean()
    return float((w @ (left * Y)).sum() / (w @ (left * D)).sum())
