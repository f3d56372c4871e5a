"""What `etwfe` reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._math import group_time as gt
from estimators._math.group_time import Cells, GroupTime
from estimators._math.sandwich import parameters
from estimators._math.two_way_fit import Codes, Floats, fit
from estimators._staggered.grid import Grid, effects_of_model, grid
from estimators._staggered.group_time import (
    MEANING,
    averages_frame,
    averages_of,
    cells_frame,
    overall_of,
    rows_of,
)
from estimators._staggered.report import Effects, result, shown
from estimators._staggered.saturated import before_the_last
from framework.errors import counted

if TYPE_CHECKING:
    from framework.contract import Request
    from framework.result import Result


@dataclass(frozen=True, slots=True)
class ExtendedOptions:
    """Options as in `Etwfe`."""

    window: tuple[int, int] | None
    overall: str
    always_treated: str | None
    bootstrap: int


def extended(
    request: Request, options: ExtendedOptions, *, min_clusters: int
) -> Result:
    """One coefficient per treated cohort and period, averaged by cohort shares."""
    effects_of_model(request)
    panel = grid(
        request, always_treated=options.always_treated, min_clusters=min_clusters
    )
    notes = []
    if np.isfinite(panel.cohort).all():
        panel, said = before_the_last(panel)
        notes.append(said)
    cells, found, lost = _effects(panel)
    notes += lost
    averages = averages_of(panel, panel.first_weight(), cells, found)
    # The regression's convention: cohort shares are those of the sample.
    averages = replace(averages, psi_share=np.zeros_like(averages.psi_share))
    rows = rows_of(averages, panel)
    overall = overall_of(rows, averages, panel.cohorts)
    rows["by_event_time"] = shown(rows["by_event_time"], options.window)
    rows["att"] = [overall[options.overall]]
    if "att" in (request.estimand or ("att",)):
        notes.append(f"att is {MEANING[options.overall]}.")
    notes.append(
        "All untreated rows are controls; there are no effects before treatment."
    )
    return result(
        request,
        panel,
        Effects(
            rows=rows,
            reference=(),
            df_t=panel.n_clusters - 1.0,
            frames={
                "group_time": cells_frame(panel, cells, found).drop(
                    columns="base_period"
                ),
                "averages": averages_frame(overall),
            },
            notes=tuple(notes),
            own_cohorts=True,
        ),
        bootstrap=options.bootstrap,
    )


def _effects(panel: Grid) -> tuple[Cells, GroupTime, list[str]]:
    """Coefficients of cohort x period dummies from anticipation on, and notes."""
    all_cells = gt.cells(panel.periods, panel.cohorts, panel.anticipation, "universal")
    cells = all_cells.keep(all_cells.event_time >= -panel.anticipation)
    own = panel.cohort[:, None] == panel.cohorts[cells.cohort][None, :]
    there = np.array(
        [bool((own[:, c] & panel.seen[:, t]).any()) for c, t in enumerate(cells.t)]
    )
    cells, own = cells.keep(there), own[:, there]
    m = len(cells)
    dummies = np.zeros((m, *panel.Y.shape))
    for c, t in enumerate(cells.t):
        dummies[c, :, t] = own[:, c] & panel.seen[:, t]
    beside = [_beside(panel, x, dummies) for x in panel.X]
    fitted = fit(panel.Y, panel.weight, np.concatenate([dummies, *beside]))
    kept = np.zeros(m, dtype=bool)
    kept[fitted.kept[fitted.kept < m]] = True
    chosen = np.arange(int(kept.sum()))
    n, G = int(panel.seen.sum()), panel.n_clusters
    T = int(panel.seen.any(axis=0).sum())
    K = parameters(len(fitted.beta), [len(panel.cohort), T], [True, False], "nonnested")
    factor = np.sqrt(G / (G - 1) * (n - 1) / (n - K))
    psi = panel.by_cluster(fitted.coefficients(chosen)) * factor
    cells, own = cells.keep(kept), own[:, kept]
    untreated = panel.seen & (panel.event_time < -panel.anticipation)
    return (
        cells,
        GroupTime(
            fitted.beta[chosen],
            psi,
            np.array(
                [
                    int((own[:, c] & panel.seen[:, t]).sum())
                    for c, t in enumerate(cells.t)
                ]
            ),
            untreated.sum(axis=0)[cells.t],
        ),
        [
            *_collinear(int((~kept).sum())),
            *_without_part(panel, m, beside, fitted.kept),
        ],
    )


def _beside(panel: Grid, x: Floats, dummies: Floats) -> Floats:
    """Regressors (., N, T) of one covariate (N, T), in standard deviations.

    Its product with every treated cell's dummy, as the difference from the cell's mean,
    so that the dummy's coefficient is the average effect in the cell; and what it is
    to untreated outcomes, by period and by cohort. What units' effects explain of these
    (all that is by cohort of a covariate that does not change) `fit` leaves out.
    """
    w = panel.weight
    centred = x - (w * x).sum() / w.sum()
    spread = np.sqrt((w * centred**2).sum() / w.sum())
    centred = np.where(panel.seen, centred / (spread or 1.0), 0.0)
    within = [
        cell * (centred - (cell * w * centred).sum() / (cell * w).sum())
        for cell in dummies
    ]
    by_period = centred * np.eye(x.shape[1])[:, None, :]
    by_cohort = centred * (panel.cohort[None, :] == panel.cohorts[:, None])[:, :, None]
    return np.concatenate([within, by_period, by_cohort])


def _collinear(lost: int) -> Iterator[str]:
    if lost:
        yield (
            f"{counted(lost, 'treated cell is', 'treated cells are')} collinear with "
            "unit and period effects: they are not part of any average."
        )


def _without_part(
    panel: Grid, m: int, beside: list[Floats], kept: Codes
) -> Iterator[str]:
    """Covariates that unit and period effects explain in every regressor of theirs."""
    at = m
    for name, regressors in zip(panel.controls, beside, strict=True):
        if not ((kept >= at) & (kept < at + len(regressors))).any():
            yield f"Left out: '{name}': unit and period effects explain it."
        at += len(regressors)
