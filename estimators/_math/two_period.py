"""Two periods, two groups, covariates: ATT and its influence function.

Sant'Anna and Zhao (2020), "Doubly robust difference-in-differences estimators",
J. Econometrics 219(1), for panels: outcome regression (their eq. 2.2), Hajek-type
inverse probability weighting (2.4 normalised), and the doubly robust estimator (3.1)
with logit propensity and least-squares regression, as in R's DRDID.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Fitted probability of treatment from which a unit has no counterpart.
NO_OVERLAP = 0.999
#: Fitted probability from which a control gets no weight, as in DRDID.
TRIM = 0.995
#: Largest Newton step, in fitted log odds, at which the logit has converged.
CONVERGED = 1e-10
#: Condition number of standardised covariates from which they count as collinear.
COLLINEAR = 1e12
#: Why a regression on the covariates of the untreated is not to be had.
UNTREATED = "the covariates are constant or collinear among the untreated"
#: Newton steps of the logit; a convergent one needs about six.
STEPS = 30


class NotFitted(ValueError):  # noqa: N818 - says why a cell has no number, for one error over all cells
    """The propensity score or the regression can't be fitted in these data.

    Attributes:
        columns: those of X that are combinations of the ones before them, where that
            is why.
    """

    def __init__(self, reason: str, columns: Sequence[int] = ()) -> None:
        super().__init__(reason)
        self.columns = tuple(columns)


@dataclass(frozen=True, slots=True)
class Effect:
    """`estimate`, and `psi` (n,) whose sum of squares is its variance."""

    estimate: float
    psi: Floats


def att(dy: Floats, d: Floats, X: Floats, w: Floats, method: str) -> Effect:
    """Average effect on the treated.

    Args:
        dy: (n,) change of the outcome.
        d: (n,) 1 for the treated, 0 for controls.
        X: (n, k) covariates with a constant.
        w: (n,) weights.
        method: `regression`, `ipw` or `doubly_robust`.

    Raises:
        NotFitted: covariates are collinear among the controls, or groups separate.
    """
    n = len(dy)
    w = w / w.mean()
    ones = w * d
    if method == "regression":
        fitted, by_outcome = regression(dy, d, X, w)
        treated = ratio(ones, dy)
        control = ratio(ones, fitted)
        control.psi += by_outcome @ _mean(ones[:, None] * X) / ones.mean()
        return Effect(
            treated.estimate - control.estimate, (treated.psi - control.psi) / n
        )
    p, by_score = propensity(d, X, w)
    odds = np.where(p < TRIM, w * (1 - d) * p / (1 - p), 0.0)
    if method == "ipw":
        left, by_outcome = dy, np.zeros_like(X)
    else:
        fitted, by_outcome = regression(dy, d, X, w)
        left = dy - fitted
    treated, control = ratio(ones, left), ratio(odds, left)
    size = odds.mean()
    M2 = _mean((odds * (left - control.estimate))[:, None] * X)
    control.psi += by_score @ M2 / size
    if method == "doubly_robust":
        treated.psi -= by_outcome @ _mean(ones[:, None] * X) / ones.mean()
        control.psi -= by_outcome @ _mean(odds[:, None] * X) / size
    return Effect(treated.estimate - control.estimate, (treated.psi - control.psi) / n)


@dataclass(slots=True)
class Ratio:
    estimate: float
    psi: Floats


def ratio(weight: Floats, value: Floats) -> Ratio:
    """Weighted mean and n times its influence function."""
    size = weight.mean()
    estimate = float((weight * value).mean() / size)
    return Ratio(estimate, weight * (value - estimate) / size)


def _mean(rows: Floats) -> Floats:
    return np.asarray(rows.mean(axis=0))


def regression(dy: Floats, d: Floats, X: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Fitted values (n,) from the controls, influence of the coefficients (n, k)."""
    control = w * (1 - d)
    gram = (control[:, None] * X).T @ X / len(dy)
    rows = control > 0
    if int(rows.sum()) <= X.shape[1]:
        raise NotFitted(
            f"{int(rows.sum())} untreated units for {X.shape[1]} coefficients"
        )
    if not _regular(gram):
        raise NotFitted(UNTREATED, dependent(X[rows], control[rows]))
    inverse = np.linalg.inv(gram)
    beta = inverse @ _mean((control * dy)[:, None] * X)
    fitted = X @ beta
    return fitted, ((control * (dy - fitted))[:, None] * X) @ inverse


def propensity(d: Floats, X: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Logit probabilities (n,) and the influence of its coefficients (n, k)."""
    n, k = X.shape
    if not _regular((X * w[:, None]).T @ X):
        raise NotFitted("the covariates are constant or collinear", dependent(X, w))
    beta = np.zeros(k)
    share = float(np.average(d, weights=w))
    beta[0] = np.log(share / (1 - share))
    for _ in range(STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(X @ beta, -500, 500)))
        bread = (X * (w * p * (1 - p))[:, None]).T @ X / n
        if not _regular(bread):
            raise NotFitted("the covariates separate treated and controls")
        step = np.linalg.solve(bread, _mean((w * (d - p))[:, None] * X))
        beta += step
        if np.max(np.abs(X @ step)) < CONVERGED:
            break
    else:
        raise NotFitted("the propensity score does not converge")
    p = 1.0 / (1.0 + np.exp(-np.clip(X @ beta, -500, 500)))
    if np.max(p[d == 1]) > NO_OVERLAP:
        raise NotFitted(
            f"a treated unit has a fitted probability of {np.max(p[d == 1]):.4f}"
        )
    bread = (X * (w * p * (1 - p))[:, None]).T @ X / n
    score = (w * (d - p))[:, None] * X
    return p, score @ np.linalg.inv(bread)


def dependent(X: Floats, w: Floats) -> tuple[int, ...]:
    """Columns that those before them determine, of X (n, k) that has some; at least one.

    The order is that of the columns: a constant comes first, and the later of two
    covariates that say the same is the one to leave out.
    """
    rows = np.sqrt(w)[:, None] * X
    size = np.linalg.norm(rows, axis=0)
    R = np.linalg.qr(rows / np.where(size > 0, size, 1.0), mode="r")
    own = np.zeros(X.shape[1])
    own[: len(R)] = np.abs(np.diag(R))  # what is left of a column beside the earlier
    found = np.flatnonzero(own < 1 / np.sqrt(COLLINEAR))
    return tuple(int(j) for j in found) or (int(np.argmin(own)),)


def _regular(gram: Floats) -> bool:
    size = np.sqrt(np.diag(gram))
    if not np.all(np.isfinite(size)) or np.any(size <= 0):
        return False
    return bool(np.linalg.cond(gram / np.outer(size, size)) < COLLINEAR)
