"""Are covariates alike in treated and untreated rows, before and after matching?

Standardised differences and variance ratios as Rosenbaum and Rubin (1985) and Stata's
pstest: the standard deviation is that of the rows before matching, both times. Rubin's
(2001) B and R are of the index of a score that is fitted anew to the matched rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators._math.propensity import Link, NoMaximumError, fit

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Balance:
    """Per covariate, (k,) each.

    Attributes:
        treated, untreated: means.
        difference: of the means, in standard deviations before matching.
        ratio: variance of the treated over that of the untreated; NaN where the latter
            is zero.
    """

    treated: Floats
    untreated: Floats
    difference: Floats
    ratio: Floats


@dataclass(frozen=True, slots=True)
class Overall:
    """Of all covariates together; NaN where the score can't be fitted.

    Attributes:
        pseudo_r2: of the score; chi2, df: its likelihood ratio test.
        mean, median: of the absolute standardised differences.
        rubin_b: |difference of the index' means| / sqrt((s1^2 + s0^2) / 2).
        rubin_r: variance of the index, treated over untreated.
    """

    pseudo_r2: float
    chi2: float
    df: int
    mean: float
    median: float
    rubin_b: float
    rubin_r: float


def moments(X: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Means and variances with weights; variances with n / (n - 1), n rows."""
    mean = np.average(X, axis=0, weights=w)
    n = int((w > 0).sum())
    correction = n / (n - 1) if n > 1 else np.nan
    return mean, np.average((X - mean) ** 2, axis=0, weights=w) * correction


def compare(X: Floats, d: Floats, w: Floats, spread: Floats) -> Balance:
    """Balance of rows with weights w; `spread` standardises the differences."""
    one, zero = d > 0, d == 0
    m1, v1 = moments(X[one], w[one])
    m0, v0 = moments(X[zero], w[zero])
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.where(spread > 0, (m1 - m0) / spread, 0.0)
        ratio = np.where(v0 > 0, v1 / v0, np.nan)
    return Balance(m1, m0, difference, ratio)


def pooled_spread(X: Floats, d: Floats) -> Floats:
    """sqrt((s1^2 + s0^2) / 2), the standard deviation that differences are measured in."""
    _, v1 = moments(X[d > 0], np.ones(int((d > 0).sum())))
    _, v0 = moments(X[d == 0], np.ones(int((d == 0).sum())))
    spread: Floats = np.sqrt((v1 + v0) / 2)
    return spread


def overall(X: Floats, d: Floats, w: Floats, difference: Floats, link: Link) -> Overall:
    """All covariates at once, by a score fitted to the rows with a weight."""
    kept = w > 0
    absolute = np.abs(difference)
    nothing = float("nan")
    mean, median = float(absolute.mean()), float(np.median(absolute))
    try:
        found = fit(X[kept], d[kept], link, w[kept])
    except NoMaximumError:
        return Overall(nothing, nothing, 0, mean, median, nothing, nothing)
    one = d[kept] > 0
    index = found.index[:, None]
    m1, v1 = moments(index[one], w[kept][one])
    m0, v0 = moments(index[~one], w[kept][~one])
    scale = float(np.sqrt((v1[0] + v0[0]) / 2))
    b = abs(float(m1[0] - m0[0])) / scale if scale > 0 else 0.0
    r = float(v1[0] / v0[0]) if v0[0] > 0 else nothing
    chi2 = 2 * (found.log_likelihood - found.log_likelihood_null)
    return Overall(found.pseudo_r2, chi2, len(found.used), mean, median, b, r)
