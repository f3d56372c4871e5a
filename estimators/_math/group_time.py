"""Group-time effects of Callaway and Sant'Anna (2021) and their averages.

Notation: cohort g is first treated in period g, ATT(g, t) is its effect in period t,
measured from the base period b. A cell is one (g, t). Influence functions are sums by
cluster whose plain sum of squares is the variance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cells:
    """m cells: positions of cohort, period and base period.

    Attributes:
        cohort: (m,) position among the treated cohorts.
        t, base: (m,) position among the periods.
        event_time: (m,) period less first treated period.
    """

    cohort: Codes
    t: Codes
    base: Codes
    event_time: Codes

    def __len__(self) -> int:
        return len(self.t)

    def keep(self, chosen: Flags) -> Cells:
        """Some of the cells."""
        return Cells(
            self.cohort[chosen],
            self.t[chosen],
            self.base[chosen],
            self.event_time[chosen],
        )


def cells(periods: Codes, cohorts: Floats, anticipation: int, base: str) -> Cells:
    """All cells that have a base period.

    Effects from g - anticipation on are measured from the last period before that.
    Earlier ones too with `base="universal"` (zero at the base period itself, which is
    no cell), else from the period before their own.

    Args:
        periods: (T,) ascending.
        cohorts: (J,) first treated periods, each with a period before anticipation.
        anticipation: periods of anticipation.
        base: `universal` or `varying`.
    """
    found = []
    for j, g in enumerate(cohorts):
        last = int(np.searchsorted(periods, g - anticipation)) - 1
        for t, period in enumerate(periods):
            b = last
            if base == "varying" and period < g - anticipation:
                b = t - 1
            if b >= 0 and b != t:
                found.append((j, t, b, int(period - g)))
    table = np.array(found, dtype=np.int64).reshape(-1, 4)
    return Cells(*table.T)


def controls(
    cell_g: float, later: int, cohort: Floats, anticipation: int, group: str
) -> Flags:
    """Control units (n,) of a cell whose later period is `later`."""
    if group == "never_treated":
        return np.asarray(np.isinf(cohort))
    return np.asarray((cohort > later + anticipation) & (cohort != cell_g))


@dataclass(frozen=True, slots=True)
class GroupTime:
    """Effects of m cells.

    Attributes:
        estimate: (m,).
        psi: (C, m).
        n_treated, n_control: (m,) units behind each.
    """

    estimate: Floats
    psi: Floats
    n_treated: Codes
    n_control: Codes


def by_means(
    Y: Floats,
    weight: Floats,
    cohort: Floats,
    names: Floats,
    found: Cells,
    is_control: Callable[[int], Flags],
    sums: Callable[[Floats, Codes], tuple[Codes, Floats]],
    n_clusters: int,
) -> GroupTime:
    """Effects of a balanced panel without covariates: differences of means.

    Args:
        Y: (N, T).
        weight, cohort: (N,).
        names: (J,) cohorts.
        found: the cells.
        is_control: cell -> control cohorts among `levels(cohort)`, as positions.
        sums: (rows, units) -> (clusters, sums by cluster).
        n_clusters: C.
    """
    levels, of = np.unique(cohort, return_inverse=True)
    L, m = len(levels), len(found)
    order = np.argsort(of, kind="stable")
    edges = np.append(np.searchsorted(of[order], np.arange(L)), len(of))
    mass = np.bincount(of, weight, L)
    counts = np.bincount(of, minlength=L)
    total = np.add.reduceat((weight[:, None] * Y)[order], edges[:-1], axis=0)
    change = total[:, found.t] - total[:, found.base]  # (L, m) sums of changes

    own = np.searchsorted(levels, names)[found.cohort]
    control = np.stack([is_control(c) for c in range(m)], axis=1)  # (L, m)
    control_mass = mass @ control
    at = np.arange(m)
    treated_mean = change[own, at] / mass[own]
    control_mean = (change * control).sum(axis=0) / control_mass
    psi = np.zeros((n_clusters, m))
    for h in range(L):
        units = order[edges[h] : edges[h + 1]]
        for role, center, size, sign in (
            (own == h, treated_mean, mass[own], 1.0),
            (control[h], control_mean, control_mass, -1.0),
        ):
            some = np.flatnonzero(role)
            if not len(some):
                continue
            rows = Y[np.ix_(units, found.t[some])]
            rows -= Y[np.ix_(units, found.base[some])]
            rows -= center[some]
            rows *= (sign / size[some])[None, :]
            rows *= weight[units, None]
            clusters, summed = sums(rows, units)
            if len(some) == m:
                psi[clusters] += summed
            else:
                psi[np.ix_(clusters, some)] += summed
    return GroupTime(
        treated_mean - control_mean,
        psi,
        counts[own],
        counts @ control,
    )


@dataclass(frozen=True, slots=True)
class Averages:
    """Averages over cells with estimated cohort shares, influence included.

    Attributes:
        cells: the m cells.
        effects: their effects.
        share: (J,) share of each cohort among all units.
        psi_share: (C, J) its influence functions.
    """

    cells: Cells
    effects: GroupTime
    share: Floats
    psi_share: Floats

    def over(self, chosen: Flags) -> tuple[float, Floats]:
        """Mean over cells, each weighing its cohort's share."""
        return self.over_each([chosen])[0]

    def over_each(self, several: Sequence[Flags]) -> list[tuple[float, Floats]]:
        """Means over several choices of cells, each cell weighing its cohort's share."""
        if not several:
            return []
        chosen = np.column_stack(several)  # (m, q)
        cohort, estimate = self.cells.cohort, self.effects.estimate
        p = chosen * self.share[cohort][:, None]
        mass = p.sum(axis=0)
        p /= mass
        theta = estimate @ p
        by_share = np.zeros((len(self.share), len(several)))
        np.add.at(by_share, cohort, chosen * (estimate[:, None] - theta) / mass)
        psi = self.effects.psi @ p + self.psi_share @ by_share
        return [(float(t), psi[:, q]) for q, t in enumerate(theta)]

    def weighted(
        self, estimate: Floats, psi: Floats, cohort: Codes
    ) -> tuple[float, Floats]:
        """Mean of `estimate` (q,) with influence (C, q), weighing cohorts' shares."""
        p = self.share[cohort]
        theta = float(p @ estimate / p.sum())
        by_share = np.bincount(cohort, estimate - theta, len(self.share)) / p.sum()
        return theta, psi @ (p / p.sum()) + self.psi_share @ by_share

    def of_cohort(self, j: int, after: Flags) -> tuple[float, Floats]:
        """Plain mean over a cohort's cells."""
        chosen = after & (self.cells.cohort == j)
        return (
            float(self.effects.estimate[chosen].mean()),
            self.effects.psi[:, chosen].mean(axis=1),
        )


def mean_of(effects: list[tuple[float, Floats]]) -> tuple[float, Floats]:
    """Plain mean of several effects."""
    return (
        float(np.mean([e for e, _ in effects])),
        np.mean([psi for _, psi in effects], axis=0),
    )
