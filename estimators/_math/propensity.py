"""Logit and probit by Newton's method, with the reasons why there is no maximum.

Notation: X (n x k) covariates without a constant, d (n,) 0/1, w (n,) weights, x'b the
index, F(x'b) the propensity score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_expit, log_ndtr, ndtr

Floats = npt.NDArray[np.float64]
Link = Literal["logit", "probit"]

#: Newton's step, in standard deviations of the index, below which it has arrived.
_ARRIVED = 1e-11
_MOST_STEPS = 60
#: Share of a column's variance that the columns before it leave: below, it is theirs.
_COLLINEAR = 1e-9
#: An index this far out has a score of 0 or 1 in double precision for either link.
_FAR = 36.0


class NoMaximumError(ValueError):
    """The likelihood rises without end: the covariates separate the groups.

    Attributes:
        columns: covariates that do so alone, by position, with `high` or `low` as the
            side of the treated; empty where only a combination of them does.
    """

    def __init__(self, columns: dict[int, str]) -> None:
        super().__init__("the covariates separate treated and untreated")
        self.columns = columns


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted score.

    Attributes:
        index, score: (n,) x'b with its constant, and F(x'b).
        log_likelihood, log_likelihood_null: at the maximum, and with a constant alone.
        used: positions of the columns that are not combinations of those before them.
    """

    index: Floats
    score: Floats
    log_likelihood: float
    log_likelihood_null: float
    used: tuple[int, ...]

    @property
    def pseudo_r2(self) -> float:
        """McFadden (1974)."""
        return 1 - self.log_likelihood / self.log_likelihood_null


def fit(X: Floats, d: Floats, link: Link, w: Floats | None = None) -> Fit:
    """Maximum likelihood of d on a constant and X.

    Args:
        X: (n, k), any units of measure: columns are standardised inside.
        d: (n,) 0/1, both present.
        link: `logit` or `probit`.
        w: (n,) weights of the log-likelihood; none = 1.

    Raises:
        NoMaximumError: complete or quasi-complete separation (Albert and Anderson 1984).
    """
    w = np.ones(len(d)) if w is None else w
    centre = np.average(X, axis=0, weights=w)
    spread = np.sqrt(np.average((X - centre) ** 2, axis=0, weights=w))
    varies = spread > 1e-12 * np.maximum(1.0, np.abs(centre))
    Z = (X - centre) / np.where(varies, spread, 1.0)
    used = _independent(Z, w, varies)
    Z = np.column_stack([np.ones(len(d)), Z[:, used]])
    share = float(np.average(d, weights=w))
    b = np.zeros(Z.shape[1])
    b[0] = quantile(share, link)
    null = log_likelihood(Z @ b, d, w, link)
    reached = null
    for _ in range(_MOST_STEPS):
        slope, weight = derivatives(Z @ b, d, link)
        hessian = (Z * (w * weight)[:, None]).T @ Z
        try:
            step = np.linalg.solve(hessian, Z.T @ (w * slope))
        except np.linalg.LinAlgError:
            break
        size, found = 1.0, -np.inf
        while size > 1e-6:  # noqa: PLR2004 - twenty halvings of a step
            found = log_likelihood(Z @ (b + size * step), d, w, link)
            if found >= reached - 1e-12 * abs(reached):
                break
            size /= 2
        b, reached = b + size * step, found
        if np.abs(step).max() < _ARRIVED:
            break
        if not np.isfinite(b).all() or np.abs(Z @ b).max() > 100 * _FAR:
            break
    index = Z @ b
    arrived = bool(np.abs(step).max() < 1e-6)  # noqa: PLR2004 - rounding at a flat maximum
    alone = _alone(X[:, used], d, used)
    if not arrived or alone or not np.isfinite(index).all():
        raise NoMaximumError(alone)
    score = probability(index, link)
    return Fit(index, score, reached, null, tuple(used))


def probability(index: Floats, link: Link) -> Floats:
    """F at the index."""
    return np.asarray(expit(index) if link == "logit" else ndtr(index))


def density(index: Floats, link: Link) -> tuple[Floats, Floats]:
    """f, the derivative of F, and its own derivative at the index."""
    if link == "logit":
        score = expit(index)
        f = score * (1 - score)
        return f, f * (1 - 2 * score)
    f = np.exp(-0.5 * index**2) / np.sqrt(2 * np.pi)
    return f, -index * f


def quantile(share: float, link: Link) -> float:
    """The index at which F is `share`."""
    from scipy.special import logit, ndtri

    return float(logit(share) if link == "logit" else ndtri(share))


def log_likelihood(index: Floats, d: Floats, w: Floats, link: Link) -> float:
    """Weighted log-likelihood of d at the index."""
    signed = np.where(d > 0, index, -index)
    term = log_expit(signed) if link == "logit" else log_ndtr(signed)
    return float(w @ term)


def derivatives(index: Floats, d: Floats, link: Link) -> tuple[Floats, Floats]:
    """First derivative of a row's log-likelihood by its index, and minus the second."""
    if link == "logit":
        score = expit(index)
        return d - score, score * (1 - score)
    sign = np.where(d > 0, 1.0, -1.0)
    log_density = -0.5 * index**2 - 0.5 * np.log(2 * np.pi)
    slope = sign * np.exp(log_density - log_ndtr(sign * index))
    return slope, slope * (slope + index)


def _independent(Z: Floats, w: Floats, varies: npt.NDArray[np.bool_]) -> list[int]:
    """Columns that are no combination of a constant and the columns before them."""
    basis: list[Floats] = []
    used: list[int] = []
    total = float(w.sum())
    for column in np.flatnonzero(varies):
        rest = Z[:, column]
        for _ in range(2):  # once more against rounding
            for other in basis:
                rest = rest - other * float(w @ (other * rest) / total)
        variance = float(w @ rest**2 / total)
        if variance > _COLLINEAR:
            basis.append(rest / np.sqrt(variance))
            used.append(int(column))
    return used


def _alone(X: Floats, d: Floats, used: list[int]) -> dict[int, str]:
    """Columns whose values alone tell all treated, or all of a value, apart.

    Quasi-separation by one column: no untreated row lies beyond (or among) the values
    of the treated except at their common bound.
    """
    found: dict[int, str] = {}
    one, zero = X[d > 0], X[d == 0]
    for place, column in enumerate(used):
        if one[:, place].min() >= zero[:, place].max():
            found[column] = "high"
        elif one[:, place].max() <= zero[:, place].min():
            found[column] = "low"
    return found
