"""Event-study effects of a first change of treatment, whatever the treatment.

De Chaisemartin and D'Haultfoeuille (2024), Review of Economics and Statistics. Group g
(a unit here) has treatment D_{g,t}; F_g is the first period in which it differs from
D_{g,1}, S_g the sign of that change. DID_{g,l} compares the change of the outcome from
F_g - 1 to F_g - 1 + l with that of groups with the same period-one treatment whose
treatment has not changed by then. N_{g,t} are the weights of the cells.

The variance is the conservative one of their web appendix: every change is taken less
its mean among the groups with the same period-one treatment, date and size of the first
change, or among the controls; sqrt(n / (n - 1)) corrects for n groups (clusters) behind
the mean. A mean of one group is that of all switchers and controls compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from estimators._math.projection import contiguous

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Paths:
    """Treatment paths of N groups over T periods, up to what is used of them.

    Attributes:
        first: (N,) F_g as a position among the periods; T = no change.
        baseline: (N,) D_{g,1}.
        sign: (N,) S_g: 1, -1, or 0 without a change.
        size: (N,) treatment in F_g (0 without a change).
        usable: (N, T) cells that may enter a comparison.
        dated: (N,) whether the first change has a known date, or there is none.
        crossed: cells left out because the treatment was above and below D_{g,1}.
    """

    first: Codes
    baseline: Floats
    sign: Codes
    size: Floats
    usable: Flags
    dated: Flags
    crossed: int


def paths(D: Floats, seen: Flags, onset: Codes | None = None) -> Paths:
    """First changes of treatment.

    A change behind a gap has no known date: such a group is used up to its last period
    before the gap, as one that has not changed yet. From the period on in which a group
    has been both above and below D_{g,1} (their Design Restriction 2) it is left out.

    Args:
        D: (N, T) treatment, anything where there is no row.
        seen: (N, T) rows; every group has one.
        onset: (N,) position of the period in which an absorbing treatment starts (T =
            never), where that is known from elsewhere than the rows.
    """
    N, T = D.shape
    at = np.arange(T)
    own = np.arange(N)
    entry = np.argmax(seen, axis=1)
    baseline = D[own, entry]
    away = D - baseline[:, None]
    above = np.logical_or.accumulate(seen & (away > 0), axis=1)
    below = np.logical_or.accumulate(seen & (away < 0), axis=1)
    moved = above | below
    shown = np.where(moved.any(axis=1), np.argmax(moved, axis=1), T)
    first = shown.copy()
    if onset is not None:
        first = np.where((onset > entry) & (onset <= shown), onset, first)
    # An onset may itself have been read off the rows, so it dates nothing alone.
    dated = (first == T) | seen[own, np.clip(first - 1, 0, T - 1)]
    usable = seen & ~(above & below)
    usable &= dated[:, None] | (at < first[:, None])
    sign = np.where(shown < T, np.sign(_at(D, shown) - baseline), 0.0)
    first = np.where(dated, first, T)
    changed = first < T
    return Paths(
        first=first.astype(np.int64),
        baseline=baseline,
        sign=np.where(changed, sign, 0.0).astype(np.int64),
        size=np.where(changed, _at(D, shown), 0.0),
        usable=usable,
        dated=dated,
        crossed=int((seen & above & below).sum()),
    )


def _at(values: Floats, t: Codes) -> Floats:
    """Values (N,) at positions t, the last one where t is past the end."""
    N, T = values.shape
    return np.asarray(values[np.arange(N), np.minimum(t, T - 1)])


@dataclass(frozen=True, slots=True)
class Study:
    """What the comparisons are made of.

    Attributes:
        Y: (N, T) outcome.
        X: (k, N, T) covariates.
        D: (N, T) treatment, also in gaps.
        weight: (N, T) N_{g,t}.
        paths: treatment paths.
        lead: periods before F_g from which on the outcome may respond.
        stratum: (N,) groups are compared within these only.
        cluster: (N,) code.
        switches: (N,) groups whose effects are averaged.
        stays: (N,) groups that may be controls.
        cell: (N,) code of the groups that may be compared; `cohort` of those that
            also have the date and size of the first change in common.
    """

    Y: Floats
    X: Floats
    D: Floats
    weight: Floats
    paths: Paths
    lead: int
    stratum: Codes
    cluster: Codes
    switches: Flags
    stays: Flags
    cell: Codes = field(init=False)
    cohort: Codes = field(init=False)

    def __post_init__(self) -> None:
        p = self.paths
        base = np.unique(p.baseline, return_inverse=True)[1]
        same = contiguous(base * (self.stratum.max() + 1) + self.stratum)[0]
        keys = np.column_stack([same, p.first, p.size])
        cohort = np.unique(keys, axis=0, return_inverse=True)[1]
        object.__setattr__(self, "cell", same)
        object.__setattr__(self, "cohort", cohort.ravel().astype(np.int64))

    @property
    def n_periods(self) -> int:
        return len(self.Y[0])

    @property
    def onset(self) -> Codes:
        """(N,) position from which on the outcome may respond; T = never."""
        first = self.paths.first
        return np.where(first == self.n_periods, self.n_periods, first - self.lead)


@dataclass(frozen=True, slots=True)
class Horizon:
    """DID_l, or the placebo that looks l periods back.

    Attributes:
        estimate: in outcome units.
        U: (N,) influence of every group; their sums by cluster have the variance as
            their sum of squares.
        weight: N_l, the switchers' weight.
        dose: their mean change of the treatment in the period compared, in the
            direction of the first change.
        total_dose: their mean change cumulated from F_g to the period compared.
        switchers: (N,) whether the effect of the group is in.
        n_controls, n_cohorts: groups that are controls of some cell; cohorts.
    """

    estimate: float
    U: Floats
    weight: float
    dose: float
    total_dose: float
    switchers: Flags
    n_controls: int
    n_cohorts: int


def horizon(
    study: Study, ell: int, residual: Residual | None = None, *, placebo: bool = False
) -> Horizon | None:
    """DID_l, or None where no switcher has a control.

    Args:
        study: the groups.
        ell: l >= 1.
        residual: covariate adjustment.
        placebo: from F_g - 1 back to F_g - 1 - l, among the groups that DID_l compares.
    """
    onset, use = study.onset, study.paths.usable
    N, T = use.shape
    low = 2 * ell if placebo else ell
    if low >= T:
        return None
    t_all = np.arange(low, T)
    complete = use[:, low:] & use[:, low - ell : T - ell]
    if placebo:
        complete &= use[:, : T - low]
    switching = study.switches[:, None] & (t_all == onset[:, None] - 1 + ell)
    staying = study.stays[:, None] & (onset[:, None] > t_all)
    g, column = np.nonzero(complete & (switching | staying))
    t = t_all[column]
    moved = switching[g, column]
    to, start = (t - 2 * ell, t - ell) if placebo else (t, t - ell)
    change = study.Y[g, to] - study.Y[g, start]
    shift = np.zeros((len(g), len(study.X)))
    if residual is not None:
        shift = (study.X[:, g, to] - study.X[:, g, start]).T
        change = change - np.einsum("rk,rk->r", shift, residual.theta[residual.of[g]])
    w = study.weight[g, t]
    cell = study.cell[g] * T + t
    U, numerator, total = np.zeros(N), 0.0, 0.0
    pull = np.zeros((0 if residual is None else len(residual.theta), len(study.X)))
    switchers, controls = np.zeros(N, dtype=bool), np.zeros(N, dtype=bool)
    for sign in (1, -1):
        found = _one_direction(
            moved & (study.paths.sign[g] == sign),
            ~moved,
            w,
            cell,
            study.cohort[g],
            study.cluster[g],
            change,
        )
        numerator += sign * float(found.coefficient @ change)
        total += float(w[found.switching].sum())
        np.add.at(U, g, sign * found.score)
        if residual is not None:
            np.add.at(pull, residual.of[g], sign * found.coefficient[:, None] * shift)
        switchers[g[found.switching]] = True
        controls[g[found.staying]] = True
    if not total:
        return None
    if residual is not None:
        residual.known(pull)
        U -= np.einsum("ndk,dk->n", residual.influence, pull)
    own = np.flatnonzero(switchers)
    first = study.paths.first[own]
    last = onset[own] - 1 + ell
    w_own = study.weight[own, last]
    sign_own = study.paths.sign[own]
    away = study.D[own] - study.paths.baseline[own][:, None]
    at = np.arange(T)
    during = (at >= first[:, None]) & (at <= last[:, None])
    dose = sign_own * away[np.arange(len(own)), last] * (last >= first)
    cumulated = np.abs(np.where(during, away, 0.0)).sum(axis=1)
    return Horizon(
        estimate=numerator / total,
        U=U / total,
        weight=total,
        dose=float(w_own @ dose) / total,
        total_dose=float(w_own @ cumulated) / total,
        switchers=switchers,
        n_controls=int(controls.sum()),
        n_cohorts=len(np.unique(study.cohort[own])),
    )


@dataclass(frozen=True, slots=True)
class _Direction:
    """Rows of one direction of change: who is in, with which coefficient and score."""

    switching: Flags
    staying: Flags
    coefficient: Floats
    score: Floats


def _one_direction(
    switching: Flags,
    staying: Flags,
    w: Floats,
    cell: Codes,
    cohort: Codes,
    cluster: Codes,
    change: Floats,
) -> _Direction:
    """Rows (r,): coefficients of the changes and their scores, both times N_l."""
    cell, n_cells = contiguous(cell)
    cohort, n_cohorts = contiguous(cohort)
    N1 = np.bincount(cell, w * switching, n_cells)
    N0 = np.bincount(cell, w * staying, n_cells)
    paired = ((N1 > 0) & (N0 > 0))[cell]
    switching, staying = switching & paired, staying & paired
    ratio = np.divide(N1, N0, out=np.zeros(n_cells), where=N0 > 0)
    coefficient = w * (switching - ratio[cell] * staying)

    def mean(rows: Flags, code: Codes, n: int) -> tuple[Floats, Codes]:
        """Mean change and clusters behind it, by row."""
        mass = np.bincount(code, w * rows, n)
        total = np.bincount(code, w * rows * change, n)
        count = _distinct(code[rows], cluster[rows], n)
        level = np.divide(total, mass, out=np.zeros(n), where=mass > 0)
        return level[code], count[code]

    union, n_union = mean(switching | staying, cell, n_cells)
    own, n_own = mean(switching, cohort, n_cohorts)
    stay, n_stay = mean(staying, cell, n_cells)
    level = np.where(switching, own, stay)
    count = np.where(switching, n_own, n_stay)
    alone = count < 2  # noqa: PLR2004 - one value has no spread around its mean
    level, count = np.where(alone, union, level), np.where(alone, n_union, count)
    alone = count < 2  # noqa: PLR2004 - as above
    level = np.where(alone, 0.0, level)
    factor = np.where(alone, 1.0, np.sqrt(count / np.maximum(count - 1.0, 1.0)))
    return _Direction(
        switching, staying, coefficient, coefficient * factor * (change - level)
    )


def _distinct(code: Codes, cluster: Codes, n: int) -> Codes:
    """Clusters behind each of n codes."""
    span = int(cluster.max(initial=0)) + 1
    return np.bincount(np.unique(code * span + cluster) // span, minlength=n)


class NotAdjusted(ValueError):  # noqa: N818 - a reason that the caller words
    """Covariates of switchers that the controls' changes say nothing about."""


@dataclass(frozen=True, slots=True)
class Residual:
    """Coefficients of the covariates' changes, by period-one treatment.

    Attributes:
        theta: (d, k).
        influence: (N, d, k) influence of every group on them.
        of: (N,) which of the d the group has.
        null: (d, k, k) projection on what is not identified.
        scale: (k,) sizes of the covariates.
    """

    theta: Floats
    influence: Floats
    of: Codes
    null: Floats
    scale: Floats

    def known(self, pull: Floats) -> None:
        """Refuse a comparison (d, k) that needs what is not identified.

        Raises:
            NotAdjusted: the positions of such covariates.
        """
        size = pull * self.scale
        lost = np.einsum("djk,dk->dj", self.null, size)
        # Changes of a covariate that never changes are exactly zero on both sides.
        bad = np.abs(lost) > 1e-8 * np.maximum(np.abs(size).max(initial=0.0), 1e-300)
        if bad.any():
            raise NotAdjusted(np.flatnonzero(bad.any(axis=0)).tolist())


def residualize(study: Study) -> Residual:
    """Least squares of one-period changes of Y on those of X before any change.

    By period-one treatment, with effects of the periods (within strata), among groups
    that have not changed yet: the outcome's changes less X's times theta_d is what
    their DID^X compares (web appendix, controls).
    """
    use, onset = study.paths.usable, study.onset
    N, T = use.shape
    k = len(study.X)
    levels, of = np.unique(study.paths.baseline, return_inverse=True)
    g, column = np.nonzero(
        use[:, 1:] & use[:, :-1] & (onset[:, None] > np.arange(1, T))
    )
    t = column + 1
    w = study.weight[g, t]
    x = (study.X[:, g, t] - study.X[:, g, t - 1]).T
    y = study.Y[g, t] - study.Y[g, t - 1]
    cell, n = contiguous(study.cell[g] * T + t)
    mass = np.bincount(cell, w, n)
    count = _distinct(cell, study.cluster[g], n)[cell]
    factor = np.sqrt(count / np.maximum(count - 1.0, 1.0))

    def within(column: Floats) -> Floats:
        return column - (np.bincount(cell, w * column, n) / mass)[cell]

    x = np.column_stack([within(x[:, j]) for j in range(k)])
    y = within(y)
    scale = np.sqrt((w @ x**2) / max(w.sum(), 1e-300))
    scale = np.where(scale > 0, scale, 1.0)
    x = x / scale
    theta = np.zeros((len(levels), k))
    null = np.zeros((len(levels), k, k))
    influence = np.zeros((N, len(levels), k))
    for d in range(len(levels)):
        rows = of[g] == d
        A = (w[rows, None] * x[rows]).T @ x[rows]
        value, vector = np.linalg.eigh(A)
        kept = value > 1e-10 * max(value.max(initial=0.0), 1e-300)
        inverse = (vector[:, kept] / value[kept]) @ vector[:, kept].T
        null[d] = vector[:, ~kept] @ vector[:, ~kept].T
        theta[d] = inverse @ (x[rows].T @ (w[rows] * y[rows]))
        error = y[rows] - x[rows] @ theta[d]
        score = (w[rows] * factor[rows] * error)[:, None] * x[rows] @ inverse
        np.add.at(influence[:, d, :], g[rows], score)
    return Residual(theta / scale, influence / scale, of.astype(np.int64), null, scale)
