"""The decomposition with controls: Goodman-Bacon (2021), section 5.2.

With d what effects and controls leave of the treatment, the coefficient is d'y / d'd.
Cohort by period means of d differ from it only through the controls, which vary within
cohorts while the treatment does not. So d has two orthogonal parts,

    beta = Omega beta_w + (1 - Omega) sum_{k<j} s_kj beta_kj,

beta_w of deviations from the means, whose share of d'd is Omega, and for every pair of
cohorts, with z_k(t) the mean of d and n_k a cohort's share,

    s_kj ~ n_k n_j sum_t (z_k - z_j)^2,
    beta_kj = sum_t (z_k - z_j)(y_k - y_j) / sum_t (z_k - z_j)^2,

which is the paper's mean of the pair's own regression with controls and of what the
controls' coefficients of all cohorts differ from the pair's. A pair is one comparison:
the controls do not keep its two directions apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from estimators._math.bacon import Codes, Floats

#: Share of a column or of the treatment that is rounding.
_ROUNDING = 1e-10


@dataclass(frozen=True, slots=True)
class Controlled:
    """Pairs of cohorts, m of them, and what lies within cohorts.

    Attributes:
        first, second: (m,) positions of the cohorts, the earlier treated one first.
        weight: (m,) weights; with `within_weight` they sum to one.
        estimate: (m,) estimates.
        within_weight: Omega, exactly zero where it is rounding.
        within_estimate: beta_w, NaN where Omega is zero.
        coefficient: d'y / d'd from the rows.
        absorbed: positions of controls that unit and period effects explain.
    """

    first: Codes
    second: Codes
    weight: Floats
    estimate: Floats
    within_weight: float
    within_estimate: float
    coefficient: float
    absorbed: tuple[int, ...]

    @property
    def total(self) -> float:
        """The sum of all parts."""
        within = self.within_weight * self.within_estimate if self.within_weight else 0
        return float(self.weight @ self.estimate + within)


def decompose_controlled(
    D: Floats, Y: Floats, X: Floats, cohort: Codes, w: Floats
) -> Controlled | None:
    """All parts; None where effects and controls absorb the treatment.

    Args:
        D, Y: (N, T) treatment and outcome of a balanced panel.
        X: (q, N, T) controls.
        cohort: (N,) position of the unit's cohort.
        w: (N,) weights.
    """
    K = int(cohort.max()) + 1
    share = np.bincount(cohort, w, K) / w.sum()
    root = np.sqrt(w)[:, None]
    left = _demeaned(D, w)
    scaled = [_scaled(x, w) for x in X]
    kept = [x for x in scaled if x is not None]
    d = left
    if kept:
        columns = np.column_stack([(root * x).ravel() for x in kept])
        for _ in range(2):  # twice is enough (Parlett)
            b = np.linalg.lstsq(columns, (root * d).ravel(), rcond=_ROUNDING)[0]
            d = d - np.tensordot(b, np.array(kept), axes=1)
    size = float(w @ np.square(d).sum(axis=1))
    if not size > _ROUNDING * float(w @ np.square(left).sum(axis=1)):
        return None
    z, mean = _means(d, cohort, w, K), _means(Y, cohort, w, K)
    within = d - z[cohort]
    omega = float(w @ np.square(within).sum(axis=1)) / size
    inside = float("nan")
    if omega > _ROUNDING:
        inside = float(w @ (within * Y).sum(axis=1)) / (omega * size)
    else:
        omega = 0.0
    k, j = np.triu_indices(K, 1)
    gap, change = z[k] - z[j], mean[k] - mean[j]
    square = np.square(gap).sum(axis=1)
    some = square > _ROUNDING * square.max()
    k, j, square = k[some], j[some], square[some]
    return Controlled(
        first=k,
        second=j,
        weight=share[k] * share[j] * square * w.sum() / size,
        estimate=(gap[some] * change[some]).sum(axis=1) / square,
        within_weight=omega,
        within_estimate=inside,
        coefficient=float(w @ (d * Y).sum(axis=1)) / size,
        absorbed=tuple(j for j, x in enumerate(scaled) if x is None),
    )


def _demeaned(A: Floats, w: Floats) -> Floats:
    out = A - A.mean(axis=1, keepdims=True)
    return np.asarray(out - (w @ out) / w.sum())


def _scaled(x: Floats, w: Floats) -> Floats | None:
    """Column without its effects, of unit length; None where they absorb it."""
    out = _demeaned(x, w)
    length = np.sqrt(float(w @ np.square(out).sum(axis=1)))
    before = np.sqrt(float(w @ np.square(x - x.mean()).sum(axis=1)))
    return out / length if length > _ROUNDING * before else None


def _means(A: Floats, cohort: Codes, w: Floats, K: int) -> Floats:
    """(K, T) weighted means by cohort."""
    out = np.zeros((K, A.shape[1]))
    np.add.at(out, cohort, w[:, None] * A)
    return out / np.bincount(cohort, w, K)[:, None]
