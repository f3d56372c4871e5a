"""Triple differences by group and time: Ortiz-Villavicencio and Sant'Anna (2025).

Notation: S is the period in which a unit's group enables the policy (inf = never), Q = 1
for units that it can touch. A cell is the effect of cohort g in period t on S = g, Q = 1,
measured from base b. Against one comparison cohort g_c it is the sum of three
differences-in-differences with the same treated units (eq. 4.1),

    ATT_gc(g, t) = att((g, 1), (g, 0)) + att((g, 1), (g_c, 1)) - att((g, 1), (g_c, 0)),

so that covariates are integrated over the treated in all of them. Several comparison
cohorts are combined with the weights of smallest variance (eq. 4.11).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from estimators._math.group_time import Cells
from estimators._math.projection import Codes, Flags, Floats
from estimators._math.two_period import COLLINEAR, NotFitted

#: Fewest units of either eligibility in a comparison cohort: one has no variance.
FEWEST = 2


@dataclass(frozen=True, slots=True)
class Contrasts:
    """q pairs of a cell and a cohort that it is compared with, in the order of cells.

    Attributes:
        cell: (q,) position among the cells.
        cohort: (q,) first treated period of the comparison cohort, inf = never.
    """

    cell: Codes
    cohort: Floats

    def of(self, c: int) -> slice:
        """Where the comparisons of cell c stand."""
        first, last = np.searchsorted(self.cell, [c, c + 1])
        return slice(int(first), int(last))


@dataclass(frozen=True, slots=True)
class Triple:
    """Effects of m cells and what they are made of.

    Attributes:
        estimate: (m,).
        psi: (C, m) influence functions by cluster; plain sum of squares = variance.
        against: (q,) effect against each comparison cohort.
        weight: (q,) its weight; those of a cell sum to one.
        psi_apart: (C, d) influence functions of `Apart`.
    """

    estimate: Floats
    psi: Floats
    against: Floats
    weight: Floats
    psi_apart: Floats


def contrasts(cohorts: Sequence[Floats]) -> Contrasts:
    """From the comparison cohorts of every cell."""
    sizes = [len(some) for some in cohorts]
    return Contrasts(
        np.repeat(np.arange(len(sizes)), sizes).astype(np.int64),
        np.concatenate([*cohorts, np.empty(0)]),
    )


@dataclass(frozen=True, slots=True)
class Apart:
    """Whether comparison cohorts agree: mean effects against one less those against another.

    The parallel gaps that identify an effect with one comparison cohort identify it with
    every other, too (corollary 4.1).

    Attributes:
        reference: the cohort that the others are held against: the last one.
        cohort: (d,) the others that stand beside it in some cell.
        combination: (q, d) of the effects against single cohorts; sums to zero in a cell.
    """

    reference: float
    cohort: Floats
    combination: Floats

    @classmethod
    def of(cls, pairs: Contrasts, chosen: Flags) -> Apart:
        """Over the cells chosen (m,) that have both cohorts."""
        known = np.unique(pairs.cohort)
        found, columns = [], []
        for cohort in known[:-1]:
            one, last = pairs.cohort == cohort, pairs.cohort == known[-1]
            both = np.intersect1d(pairs.cell[one], pairs.cell[last])
            both = both[chosen[both]]
            if len(both):
                inside = np.isin(pairs.cell, both)
                found.append(cohort)
                columns.append((inside & one) / len(both) - (inside & last) / len(both))
        combination = (
            np.column_stack(columns) if columns else np.zeros((len(pairs.cell), 0))
        )
        return cls(float(known[-1]), np.array(found), combination)


def optimal_weights(omega: Floats) -> Floats:
    """Weights (k,) that sum to one and minimise w' omega w: eq. 4.11.

    Raises:
        NotFitted: omega (k, k) is singular.
    """
    if len(omega) == 1:
        return np.ones(1)
    size = np.sqrt(np.diag(omega))
    if size.min() <= 0 or not np.isfinite(size).all():
        raise NotFitted("a comparison does not vary between units")
    correlation = omega / np.outer(size, size)
    if np.linalg.cond(correlation) > COLLINEAR:
        raise NotFitted(f"the covariance of its {len(omega)} comparisons is singular")
    raw = np.linalg.solve(correlation, 1 / size) / size
    return np.asarray(raw / raw.sum())


@dataclass(frozen=True, slots=True)
class Groups:
    """Units by cohort and eligibility: group 2 l + q is cohort l with Q = q.

    Attributes:
        cohort: (L,) first treated periods that occur, ascending, inf = never.
        code: (N,) group of every unit.
    """

    cohort: Floats
    code: Codes

    @classmethod
    def of(cls, cohort: Floats, eligible: Flags) -> Groups:
        """From cohort and eligibility of every unit (N,)."""
        levels, at = np.unique(cohort, return_inverse=True)
        return cls(levels, 2 * at.astype(np.int64) + eligible)

    def __len__(self) -> int:
        return 2 * len(self.cohort)

    def at(self, cohort: float, q: int) -> int:
        """Position of a group."""
        return 2 * int(np.searchsorted(self.cohort, cohort)) + q

    def sizes(self, units: Flags | None = None) -> Codes:
        """Units of every group (L, 2), or those among `units` (N,)."""
        code = self.code if units is None else self.code[units]
        return np.bincount(code, minlength=len(self)).reshape(-1, 2)


def by_means(
    Y: Floats,
    weight: Floats,
    groups: Groups,
    names: Floats,
    found: Cells,
    pairs: Contrasts,
    apart: Apart,
    sums: Callable[[Floats, Codes], tuple[Codes, Floats]],
    n_clusters: int,
) -> Triple:
    """A balanced panel without covariates: differences of four means.

    The comparisons of a cell share its own two means and nothing else, so their
    covariance needs the variances of means only.

    Args:
        Y: (N, T).
        weight: (N,).
        groups: units by cohort and eligibility.
        names: (J,) cohorts, as the cells count them.
        found, pairs: the cells and their comparisons.
        apart: which of them are held against each other.
        sums: (rows, units) -> (clusters, sums by cluster).
        n_clusters: C.

    Raises:
        NotFitted: the comparisons of a cell have no covariance to weigh them by.
    """
    H, m = len(groups), len(found)
    members = [np.flatnonzero(groups.code == h) for h in range(H)]
    sign = np.zeros((H, m))  # share of a group's mean change in the effect
    at = np.arange(m)
    own = np.array([groups.at(names[j], 1) for j in found.cohort], dtype=np.int64)
    other = np.array([groups.at(g, 1) for g in pairs.cohort], dtype=np.int64)
    sign[own, at], sign[own - 1, at] = 1.0, -1.0
    sign[other, pairs.cell], sign[other - 1, pairs.cell] = -1.0, 1.0
    mean, variance = np.zeros((H, m)), np.zeros((H, m))
    for h, units in enumerate(members):
        some = np.flatnonzero(sign[h])
        if len(some):
            share = weight[units] / weight[units].sum()
            rows = _changes(Y, units, found, some)
            mean[h, some] = share @ rows
            rows -= mean[h, some]
            variance[h, some] = (share * share) @ (rows * rows)
    gap = mean[1::2] - mean[::2]
    noise = variance[1::2] + variance[::2]
    against = gap[own[pairs.cell] // 2, pairs.cell] - gap[other // 2, pairs.cell]
    p = np.ones(len(pairs.cell))
    for c in range(m):
        these = pairs.of(c)
        common = noise[own[c] // 2, c]
        p[these] = optimal_weights(common + np.diag(noise[other[these] // 2, c]))
    sign[other, pairs.cell] *= p
    sign[other - 1, pairs.cell] *= p
    # A cell's own means drop out of what sets its comparisons apart.
    gaps = np.zeros((H, m, len(apart.cohort)))
    gaps[other, pairs.cell] -= apart.combination
    gaps[other - 1, pairs.cell] += apart.combination
    psi, psi_apart = np.zeros((n_clusters, m)), np.zeros((n_clusters, gaps.shape[2]))
    for h, units in enumerate(members):
        some = np.flatnonzero(sign[h])
        if len(some):
            rows = _changes(Y, units, found, some) - mean[h, some]
            rows *= (weight[units] / weight[units].sum())[:, None]
            clusters, summed = sums(rows * sign[h, some], units)
            psi[np.ix_(clusters, some)] += summed
            psi_apart[clusters] += sums(rows @ gaps[h, some], units)[1]
    estimate = np.bincount(pairs.cell, p * against, m).astype(np.float64)
    return Triple(estimate, psi, against, p, psi_apart)


def _changes(Y: Floats, units: Codes, found: Cells, some: Codes) -> Floats:
    """Changes of these units' outcomes in some cells, (n, q)."""
    return np.asarray(
        Y[np.ix_(units, found.t[some])] - Y[np.ix_(units, found.base[some])]
    )
