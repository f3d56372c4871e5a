"""Two groups in two cross-sections of different individuals: ATT and its influence.

Sant'Anna and Zhao (2020), "Doubly robust difference-in-differences estimators",
J. Econometrics 219(1), for repeated cross-sections: outcome regression (their eq. 2.2),
Hajek-type inverse probability weighting, and the locally efficient doubly robust
estimator (their eq. 3.4, tau_2^{dr,rc}) with logit propensity and least-squares
regressions. Points are those of `reg_did_rc`, `std_ipw_did_rc` and `drdid_rc` in R's
DRDID.

Influence functions are exact derivatives of the estimate by the weight of a row. Of
`drdid_rc` DRDID's differ: where the regressions of the untreated enter, it adds the
part of the period before instead of taking it off. Both agree in large samples if the
propensity is right, else DRDID's is not that of the estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from estimators._math.two_period import (
    TRIM,
    Effect,
    NotFitted,
    propensity,
    ratio,
    regression,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Fit:
    """A regression in one group and period: values (n,), n times its influence."""

    fitted: Floats
    influence: Floats


@dataclass(frozen=True, slots=True)
class _Mean:
    """A weighted mean and n times its influence function (n,)."""

    estimate: float
    psi: Floats


def att(
    y: Floats, post: Floats, d: Floats, X: Floats, w: Floats, method: str
) -> Effect:
    """Average effect on the treated of both periods.

    Args:
        y: (n,) outcome.
        post: (n,) 1 in the later period, 0 in the base period.
        d: (n,) 1 for the treated group, 0 for controls; all four pairs occur.
        X: (n, k) covariates with a constant.
        w: (n,) weights.
        method: `regression`, `ipw` or `doubly_robust`.

    Raises:
        NotFitted: covariates are collinear in a group and period, or groups separate.
    """
    n = len(y)
    w = w / w.mean()
    if method == "regression":
        found = _by_regression(y, post, d, X, w)
    elif method == "ipw":
        found = _by_weights(y, post, d, X, w)
    else:
        found = _doubly_robust(y, post, d, X, w)
    return Effect(found.estimate, found.psi / n)


def _by_regression(y: Floats, post: Floats, d: Floats, X: Floats, w: Floats) -> _Mean:
    control = [_fit(y, 1 - d, at, X, w, "controls") for at in (1 - post, post)]
    before, after = _mean(w * d * (1 - post), y), _mean(w * d * post, y)
    trend = _projected(w * d, X, *control)
    return _Mean(
        after.estimate - before.estimate - trend.estimate,
        after.psi - before.psi - trend.psi,
    )


def _by_weights(y: Floats, post: Floats, d: Floats, X: Floats, w: Floats) -> _Mean:
    odds, by_score = _odds(d, X, w)
    terms = []
    for at in (post, 1 - post):
        treated, control = _mean(w * d * at, y), _mean(odds * at, y)
        terms.append((treated, _scored(control, odds * at, y, X, by_score)))
    return _changed(terms)


def _doubly_robust(y: Floats, post: Floats, d: Floats, X: Floats, w: Floats) -> _Mean:
    odds, by_score = _odds(d, X, w)
    terms, efficient = [], []
    for at in (post, 1 - post):
        control = _fit(y, 1 - d, at, X, w, "controls")
        treated = _fit(y, d, at, X, w, "treated rows")
        left = y - control.fitted
        own, other = w * d * at, odds * at
        mean = _fitted(_mean(own, left), own, X, -control.influence)
        beside = _scored(_mean(other, left), other, left, X, by_score)
        beside = _fitted(beside, other, X, -control.influence)
        terms.append((mean, beside))
        efficient.append(
            (
                _projected(w * d, X, control, treated),
                _projected(own, X, control, treated),
            )
        )
    plain, gained = _changed(terms), _changed(efficient)
    return _Mean(plain.estimate + gained.estimate, plain.psi + gained.psi)


def _changed(terms: list[tuple[_Mean, _Mean]]) -> _Mean:
    """Difference of differences: (after, before), each of two groups."""
    (a, b), (c, e) = terms
    return _Mean(
        a.estimate - b.estimate - (c.estimate - e.estimate),
        a.psi - b.psi - (c.psi - e.psi),
    )


def _fit(y: Floats, group: Floats, at: Floats, X: Floats, w: Floats, who: str) -> _Fit:
    """Least squares among the rows of a group in a period."""
    try:
        return _Fit(*regression(y, 1 - group * at, X, w))
    except NotFitted as reason:
        raise NotFitted(
            f"{int((group * at).sum())} {who} of one period do not determine "
            f"{X.shape[1]} coefficients",
            reason.columns,
        ) from None


def _odds(d: Floats, X: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Weights of the controls (n,), influence of the score's coefficients (n, k)."""
    p, by_score = propensity(d, X, w)
    odds = np.where(p < TRIM, w * (1 - d) * p / (1 - p), 0.0)
    return odds, by_score


def _mean(weight: Floats, value: Floats) -> _Mean:
    if not weight.any():
        raise NotFitted("no control has a score that is not nearly one")
    found = ratio(weight, value)
    return _Mean(found.estimate, found.psi)


def _fitted(mean: _Mean, weight: Floats, X: Floats, influence: Floats) -> _Mean:
    """The mean of values that hold estimated coefficients, whose influence it is."""
    moment = (weight[:, None] * X).mean(axis=0) / weight.mean()
    return _Mean(mean.estimate, mean.psi + influence @ moment)


def _scored(
    mean: _Mean, odds: Floats, value: Floats, X: Floats, by_score: Floats
) -> _Mean:
    """The mean with the influence of the score in its weights."""
    return _fitted(mean, odds, X * (value - mean.estimate)[:, None], by_score)


def _projected(weight: Floats, X: Floats, low: _Fit, high: _Fit) -> _Mean:
    """Mean over `weight` of what two regressions differ by."""
    mean = _mean(weight, high.fitted - low.fitted)
    return _fitted(mean, weight, X, high.influence - low.influence)
