"""Inference with few treated groups: Ferman and Pinto (2019), REStat 101(3).

b - beta is a sum over groups g of x_g'u_g / x'x, where u_g are the errors of a group by
period and x the treatment less what the other regressors explain. With few treated groups
their errors do not average out; what they could have been is drawn from the residuals of
all groups, rescaled by a variance that depends on how many rows stand behind a group:
Var(x_g'u_j) = A_g + B_g / M_j, A and B not negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

#: Standard errors beyond which an interval counts as unbounded.
_FURTHEST = 1e6


@dataclass(frozen=True, slots=True)
class Groups:
    """G groups seen in every one of T periods.

    Attributes:
        x: (G, T) sum of the partialled-out treatment over the rows of a cell.
        level: (G, T) its value in every row of the cell.
        u: (G, T) mean residual of the fit.
        size: (G,) rows (or weight) behind a group in a period, M_g.
        estimate: the coefficient.
    """

    x: Floats
    level: Floats
    u: Floats
    size: Floats
    estimate: float

    @property
    def mass(self) -> float:
        """Sum of squares x'x of the partialled-out treatment."""
        return float(np.sum(self.x * self.level))


@dataclass(frozen=True, slots=True)
class FewTreated:
    """Draws whose share at or beyond the estimate is the p value of any null.

    Attributes:
        S, S1: (G, G) x_g'u_j of the fit, and what a unit of (b - null) adds to it.
        size: (G,) M_j.
        donors: (B, G) whose residuals stand for whose.
        estimate, mass: b and x'x.
    """

    S: Floats
    S1: Floats
    size: Floats
    donors: Codes
    estimate: float
    mass: float

    def p_value(self, null: float) -> float:
        """Share of draws with |b* - null| at least |b - null|; the null is imposed."""
        off = self.estimate - null
        S = self.S + off * self.S1
        scaled = S * (np.sqrt(variances(S, self.size)))
        drawn = np.zeros(len(self.donors))
        for g in range(len(S)):
            drawn += scaled[g, self.donors[:, g]]
        # A draw that repeats the data is not beyond it but for rounding.
        bound = abs(off) * (1.0 - 1e-12)
        return float(np.mean(np.abs(drawn) / self.mass >= bound))

    def reach(self, error: float, level: float, side: int) -> float:
        """Distance from the estimate to the end of the interval; inf = none.

        The first null outwards whose p is at most `level`, to 1e-9 standard errors.

        Args:
            error: a standard error, the unit of the search.
            level: one less the confidence.
            side: 1 = below the estimate, -1 = above.
        """
        inner, step = 0.0, 0.25
        while self._p(side, inner + step, error) > level:
            inner += step
            if inner > 10.0:  # noqa: PLR2004 - the usual intervals end before
                step = inner
            if inner > _FURTHEST:
                return float("inf")
        outer = inner + step
        while outer - inner > 1e-9 * max(1.0, outer):
            middle = (inner + outer) / 2
            if self._p(side, middle, error) > level:
                inner = middle
            else:
                outer = middle
        return outer * error

    def _p(self, side: int, far: float, error: float) -> float:
        return self.p_value(self.estimate - side * far * error)


def variances(S: Floats, size: Floats) -> Floats:
    """(G, G) Var(x_g'u_g) over Var(x_g'u_j), from S[g, j] squared on 1 and 1/M_j."""
    from scipy.optimize import nnls

    out = np.ones_like(S)
    if np.ptp(size) <= 1e-12 * size.max():
        return out
    Z = np.column_stack([np.ones(len(size)), size.min() / size])
    for g in range(len(S)):
        square = S[g] ** 2
        top = square.max()
        if top > 0:
            A_B, _ = nnls(Z, square / top)
            fitted = Z @ A_B
            out[g] = fitted[g] / fitted
    return out


def few_treated(groups: Groups, draws: int, seed: int) -> FewTreated:
    """Donors of every draw: groups at random with replacement, the treated among them.

    Args:
        groups: the fit by groups and periods.
        draws: B.
        seed: of the donors.
    """
    G = len(groups.u)
    rng = np.random.default_rng(seed)
    return FewTreated(
        S=groups.x @ groups.u.T,
        S1=groups.x @ groups.level.T,
        size=groups.size,
        donors=rng.integers(0, G, (draws, G)),
        estimate=groups.estimate,
        mass=groups.mass,
    )
