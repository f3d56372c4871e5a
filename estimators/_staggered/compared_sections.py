"""`callaway_santanna` where no unit is followed: repeated cross-sections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from estimators._math import group_time as gt
from estimators._math.group_time import Cells, GroupTime
from estimators._math.projection import Codes, Flags, Floats
from estimators._math.two_period import Effect, NotFitted
from estimators._math.two_sections import att
from estimators._staggered.group_time import (
    GroupTimeOptions,
    centred,
    identified,
    never_treated_exist,
    reported,
    spoken,
)
from estimators._staggered.sections import Sections, sections
from estimators._staggered.unfitted import Unfitted

if TYPE_CHECKING:
    from framework.contract import Request
    from framework.result import Result

#: Said under every table.
NOT_FOLLOWED = (
    "Repeated cross-sections: N counts rows, no unit is followed. Cohorts are compared by "
    "their means in each period, as if who belongs to a cohort did not change over time."
)
#: Empty cells that a note names.
SHOWN = 3


def group_time_of_sections(
    request: Request, options: GroupTimeOptions, *, min_clusters: int
) -> Result:
    """Cells, their averages, the tests of both; as `group_time`, without units."""
    data = sections(
        request, always_treated=options.always_treated, min_clusters=min_clusters
    )
    cells, controls, notes = _compared(data, options)
    found = _one_by_one(data, cells, controls, options)
    said = spoken(options, data, "rows", "in both periods compared")
    return reported(
        request, data, data.weight, cells, found, [NOT_FOLLOWED, *notes, *said], options
    )


def _compared(
    data: Sections, options: GroupTimeOptions
) -> tuple[Cells, Flags, list[str]]:
    """The identified cells, the control cohorts (m, L) of each, and notes.

    Raises:
        IdentificationError: E04 no never-treated rows, E10 no cell.
    """
    never_treated_exist(data, options.control_group)
    every = gt.cells(data.periods, data.cohorts, data.anticipation, options.base_period)
    some = data.sizes > 0
    both = some[:, every.t] & some[:, every.base]  # (L, m)
    own = np.searchsorted(data.levels, data.cohorts)[every.cohort]
    seen = both[own, np.arange(len(every))]
    notes = _empty(data, every, own, seen)
    allowed = np.array(
        [_allowed(data, every, c, options.control_group) for c in range(len(every))],
        dtype=bool,
    ).reshape(len(every), len(data.levels))
    controls = allowed & both.T
    thin = data.levels[(allowed & ~controls)[seen].any(axis=0)]
    if len(thin):
        listed = ", ".join("never treated" if np.isinf(g) else f"{g:.0f}" for g in thin)
        notes.append(
            f"Cohorts without rows in one of the two periods compared ({listed}) are no "
            "controls there."
        )
    usable: Flags = np.asarray(controls[seen].any(axis=1))
    cells, more = identified(data, every.keep(seen), usable)
    kept = {(int(j), int(t)) for j, t in zip(cells.cohort, cells.t, strict=True)}
    chosen = [
        (int(j), int(t)) in kept for j, t in zip(every.cohort, every.t, strict=True)
    ]
    return cells, controls[np.array(chosen, dtype=bool)], notes + more


def _allowed(data: Sections, cells: Cells, c: int, control_group: str) -> Flags:
    """Cohorts (L,) untreated in both periods of a cell."""
    later = int(data.periods[max(cells.t[c], cells.base[c])])
    g = float(data.cohorts[cells.cohort[c]])
    return gt.controls(g, later, data.levels, data.anticipation, control_group)


def _empty(data: Sections, cells: Cells, own: Codes, seen: Flags) -> list[str]:
    """Treated cells whose cohort has no rows in one of the two periods."""
    lost = np.flatnonzero(~seen & (cells.event_time >= 0))
    if not len(lost):
        return []
    places: dict[str, None] = {}
    for c in lost:
        for t in (cells.base[c], cells.t[c]):
            if not len(data.cells[own[c]][t]):
                g = data.cohorts[cells.cohort[c]]
                places[f"cohort {g:.0f} in {data.periods[t]}"] = None
    listed = ", ".join(list(places)[:SHOWN]) + (", …" if len(places) > SHOWN else "")
    note = (
        f"{len(lost)} treated cells have no rows of their cohort in one of the two "
        f"periods compared ({listed}): they are not part of any average."
    )
    return [note]


def _one_by_one(
    data: Sections, cells: Cells, controls: Flags, options: GroupTimeOptions
) -> GroupTime:
    """Every cell on the rows of its cohort and controls in its two periods.

    Raises:
        IdentificationError: I11 cells that can't be adjusted for the covariates.
    """
    m = len(cells)
    estimate, psi = np.zeros(m), np.zeros((data.n_clusters, m))
    n_treated, n_control = np.zeros(m, dtype=np.int64), np.zeros(m, dtype=np.int64)
    own = np.searchsorted(data.levels, data.cohorts)[cells.cohort]
    problems = Unfitted(data.controls)
    for c in range(m):
        at = (cells.base[c], cells.t[c])
        treated = [data.cells[own[c]][t] for t in at]
        control = [
            np.concatenate([data.cells[h][t] for h in np.flatnonzero(controls[c])])
            for t in at
        ]
        n_treated[c] = sum(map(len, treated))
        n_control[c] = sum(map(len, control))
        try:
            effect = _effect(data, treated, control, options)
        except NotFitted as reason:
            g = data.cohorts[cells.cohort[c]]
            problems.add(f"cohort {g:.0f} in {data.periods[cells.t[c]]}", reason)
            continue
        estimate[c] = effect.estimate
        rows = np.concatenate([*treated, *control])
        psi[:, c] = np.bincount(data.cluster[rows], effect.psi, data.n_clusters)
    problems.raise_if_any("adjusted for the covariates", options.method)
    return GroupTime(estimate, psi / data.per_copy, n_treated, n_control)


def _effect(
    data: Sections,
    treated: list[Codes],
    control: list[Codes],
    options: GroupTimeOptions,
) -> Effect:
    """One cell; rows before and after of either group.

    Raises:
        NotFitted: the covariates of a group in a period can't be used.
    """
    parts = [*treated, *control]
    rows = np.concatenate(parts)
    sizes = [len(part) for part in parts]
    d = np.repeat([1.0, 1.0, 0.0, 0.0], sizes)
    post = np.repeat([0.0, 1.0, 0.0, 1.0], sizes)
    X: Floats = np.column_stack([np.ones(len(rows)), data.X[rows]])
    method = options.method if data.controls else "regression"
    return att(data.y[rows], post, d, centred(X), data.weight[rows], method)
