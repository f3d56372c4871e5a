"""What `sun_abraham` reports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._math import group_time as gt
from estimators._math.group_time import Cells, GroupTime
from estimators._math.interaction_weighted import Saturated, effects, saturated
from estimators._math.projection import Flags
from estimators._math.sandwich import parameters
from estimators._staggered.grid import Grid, effects_of_model, grid, occurring
from estimators._staggered.group_time import (
    MEANING,
    averages_frame,
    averages_of,
    cells_frame,
    overall_of,
    pretrend_of_cells,
    rows_of,
)
from estimators._staggered.report import Effects, last_before, result, shown
from framework.errors import IdentificationError, counted

if TYPE_CHECKING:
    from framework.contract import Request
    from framework.result import Result


@dataclass(frozen=True, slots=True)
class SaturatedOptions:
    """Options as in `SunAbraham`."""

    control_cohort: str
    window: tuple[int, int] | None
    overall: str
    share_variance: bool
    always_treated: str | None
    bootstrap: int


def interaction_weighted(
    request: Request, options: SaturatedOptions, *, min_clusters: int
) -> Result:
    """Cohort effects of the saturated regression, weighed by cohort shares."""
    effects_of_model(request)
    panel = grid(
        request, always_treated=options.always_treated, min_clusters=min_clusters
    )
    panel, control, notes = _control(panel, options)
    found = saturated(panel.Y, panel.weight, panel.X, panel.cohort)
    lost = [c for j, c in enumerate(panel.controls) if j not in found.kept]
    if lost:
        notes.append(
            f"Left out: {', '.join(repr(c) for c in lost)}: unit and cohort-by-period "
            "effects (or other controls) explain it."
        )
    cells, said = _cells(panel, found, control)
    held = _effects(panel, found, cells, control)
    weight = np.divide(
        panel.weight.sum(axis=1),
        panel.seen.sum(axis=1),
        out=np.zeros(len(panel.cohort)),
        where=panel.seen.any(axis=1),
    )
    averages = averages_of(panel, weight, cells, held)
    if not options.share_variance:
        averages = replace(averages, psi_share=np.zeros_like(averages.psi_share))
    rows = rows_of(averages, panel)
    overall = overall_of(rows, averages, panel.cohorts)
    rows["by_event_time"] = shown(rows["by_event_time"], options.window)
    rows["att"] = [overall[options.overall]]
    if "att" in (request.estimand or ("att",)):
        said.append(f"att is {MEANING[options.overall]}.")
    return result(
        request,
        panel,
        Effects(
            rows=rows,
            reference=last_before(panel),
            df_t=panel.n_clusters - 1.0,
            frames={
                "group_time": cells_frame(panel, cells, held),
                "averages": averages_frame(overall),
            },
            tests=(pretrend_of_cells(panel, cells, held, panel.n_clusters - 1.0),),
            notes=tuple(notes + said),
            own_cohorts=True,
        ),
        bootstrap=options.bootstrap,
    )


def _control(panel: Grid, options: SaturatedOptions) -> tuple[Grid, float, list[str]]:
    """The control cohort; with `last`, periods before it is treated."""
    never = bool(np.isinf(panel.cohort).any())
    if options.control_cohort == "never_treated":
        if not never:
            raise IdentificationError(
                "E04",
                "control_cohort is never_treated, and every unit is treated in the end",
                fix="estimator.control_cohort: last_treated",
            )
        return panel, float("inf"), ["Controls: never-treated units."]
    cut, said = before_the_last(panel)
    return cut, float("inf"), [said]


def before_the_last(panel: Grid) -> tuple[Grid, str]:
    """The periods before the last cohort is treated, that cohort as untreated.

    Raises:
        IdentificationError: E04 there is one treated cohort only.
    """
    last = float(panel.cohorts[-1])
    keep = panel.periods < last - panel.anticipation
    units = ~np.isinf(panel.cohort) & (panel.seen & keep).any(axis=1)
    if len(panel.cohorts) == 1 or not keep.any():
        raise IdentificationError(
            "E04",
            "there is one treated cohort only, which can't be its own control",
            fix="estimator.control_cohort: never_treated",
        )
    lost = int(panel.seen.sum() - panel.seen[np.ix_(units, keep)].sum())
    cut = replace(
        panel,
        periods=panel.periods[keep],
        Y=panel.Y[:, keep],
        seen=panel.seen[:, keep] & units[:, None],
        weight=np.where(units[:, None], panel.weight[:, keep], 0.0),
        X=panel.X[:, :, keep],
        # The control cohort is untreated in every period that is left.
        cohort=np.where(panel.cohort == last, np.inf, panel.cohort),
        cohorts=panel.cohorts[:-1],
    )
    said = (
        f"Controls: the last treated cohort ({last:.0f}), before it is treated; {lost} "
        "rows of later periods and never-treated units were left out."
    )
    return _units(cut, units), said


def _units(panel: Grid, units: Flags) -> Grid:
    """The grid of some units, clusters renumbered."""
    used, cluster = np.unique(panel.cluster[units], return_inverse=True)
    seen = panel.seen[units]
    design = replace(panel.design, outcome=panel.Y[units][seen])
    return replace(
        panel,
        Y=panel.Y[units],
        seen=seen,
        weight=panel.weight[units],
        X=panel.X[:, units],
        cohort=panel.cohort[units],
        cohorts=occurring(panel.cohort[units]),
        cluster=cluster.astype(np.int64),
        cluster_ids=panel.cluster_ids[used],
        design=design,
    )


def _cells(panel: Grid, found: Saturated, control: float) -> tuple[Cells, list[str]]:
    cells = gt.cells(panel.periods, panel.cohorts, panel.anticipation, "universal")
    known = found.blocks[control].known(cells.t, cells.base)
    for j, g in enumerate(panel.cohorts):
        own = cells.cohort == j
        known[own] &= found.blocks[float(g)].known(cells.t[own], cells.base[own])
    notes = []
    lost = int((~known & (cells.event_time >= 0)).sum())
    if lost:
        notes.append(
            f"{counted(lost, 'treated cell has', 'treated cells have')} no rows that "
            "link them to their reference: they are not part of any average."
        )
    cells = cells.keep(known)
    if not (cells.event_time >= 0).any():
        raise IdentificationError(
            "E10",
            "no cohort has an effect that is identified in this sample",
            why="It takes a period before treatment, one after, and controls in both.",
            fix="a longer panel, or another control cohort",
        )
    return cells, notes


def _effects(panel: Grid, found: Saturated, cells: Cells, control: float) -> GroupTime:
    cohort = panel.cohorts[cells.cohort]
    estimate, parts, of_x = effects(found, cohort, cells.t, cells.base, control)
    psi = -panel.by_cluster(found.psi_beta) @ of_x
    if not len(found.kept):
        psi = np.zeros((panel.n_clusters, len(cells)))
    for units, some, part in parts:
        if panel.own_clusters:
            psi[np.ix_(panel.cluster[units], some)] += part
        else:
            psi[:, some] += panel.by_cluster(part, units)
    seen_by = np.stack(
        [panel.seen[panel.cohort == g].sum(axis=0) for g in panel.cohorts]
    )
    n_treated = seen_by[cells.cohort, cells.t]
    n_control = panel.seen[panel.cohort == control].sum(axis=0)[cells.t]
    return GroupTime(estimate, psi * _factor(panel, found, cells), n_treated, n_control)


def _factor(panel: Grid, found: Saturated, cells: Cells) -> float:
    """Root of G/(G-1) (N-1)/(N-K), K as fixest counts: unit effects are nested."""
    n, G = int(panel.seen.sum()), panel.n_clusters
    T = int(panel.seen.any(axis=0).sum())
    K = parameters(
        len(cells) + len(found.kept),
        [len(panel.cohort), T],
        [True, False],
        "nonnested",
    )
    return float(np.sqrt(G / (G - 1) * (n - 1) / (n - K)))
