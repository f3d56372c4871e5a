"""What `callaway_santanna` reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from estimators._math import group_time as gt
from estimators._math.group_time import Averages, Cells, GroupTime
from estimators._math.projection import Codes, Flags, Floats
from estimators._math.two_period import NotFitted, att
from estimators._staggered.adoption import Adoption
from estimators._staggered.grid import Grid, effects_of_model, grid
from estimators._staggered.report import (
    Effect,
    Effects,
    joint,
    last_before,
    result,
    shown,
)
from estimators._staggered.unfitted import Unfitted
from framework.errors import IdentificationError, counted

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request
    from framework.result import Result, Test


@dataclass(frozen=True, slots=True)
class GroupTimeOptions:
    """Options as in `CallawaySantanna`."""

    method: str
    control_group: str
    base_period: str
    window: tuple[int, int] | None
    overall: str
    always_treated: str | None
    bootstrap: int


def group_time(
    request: Request, options: GroupTimeOptions, *, min_clusters: int
) -> Result:
    """Cells, their averages, the tests of both."""
    effects_of_model(request)
    panel = grid(
        request, always_treated=options.always_treated, min_clusters=min_clusters
    )
    cells, notes = cells_of(panel, options)
    plain = panel.balanced and not panel.controls and panel.steady_weights
    found = (_by_means if plain else _one_by_one)(panel, cells, options)
    notes += uneven(panel)
    notes += spoken(options, panel)
    return reported(request, panel, panel.first_weight(), cells, found, notes, options)


def reported(
    request: Request,
    data: Adoption,
    weight: Floats,
    cells: Cells,
    found: GroupTime,
    notes: list[str],
    options: GroupTimeOptions,
) -> Result:
    """Averages of the cells and the tests of both.

    Args:
        request: the estimation.
        data: a panel or cross-sections.
        weight: (N,) of its units or rows, for the shares of cohorts.
        cells: the identified cells.
        found: their effects.
        notes: sentences about them.
        options: as the study has them.
    """
    averages = averages_of(data, weight, cells, found)
    rows = rows_of(averages, data)
    overall = overall_of(rows, averages, data.cohorts)
    rows["by_event_time"] = shown(rows["by_event_time"], options.window)
    rows["att"] = [overall[options.overall]] if overall else []
    if overall and "att" in (request.estimand or ("att",)):
        notes = [f"att is {MEANING[options.overall]}.", *notes]
    reference = last_before(data) if options.base_period == "universal" else ()
    return result(
        request,
        data,
        Effects(
            rows=rows,
            reference=reference,
            frames={
                "group_time": cells_frame(data, cells, found),
                "averages": averages_frame(overall),
            },
            tests=(pretrend_of_cells(data, cells, found),),
            notes=tuple(notes),
            own_cohorts=True,
        ),
        bootstrap=options.bootstrap,
    )


#: What `att` is, by the option `overall`.
MEANING = {
    "simple": "the mean over all treated cells, each weighing its cohort's size",
    "by_cohort": "the mean over cohorts (by size) of their mean effects",
    "by_period": "the plain mean over periods of the effects in them",
    "by_event_time": "the plain mean over event times from 0 on",
}


def cells_of(panel: Grid, options: GroupTimeOptions) -> tuple[Cells, list[str]]:
    """Cells that have treated units, controls and a cohort with an effect.

    Raises:
        IdentificationError: E04 no never-treated units, E10 no cell.
    """
    never_treated_exist(panel, options.control_group)
    cells = gt.cells(
        panel.periods, panel.cohorts, panel.anticipation, options.base_period
    )
    return identified(panel, cells, _usable(panel, cells, options))


def never_treated_exist(panel: Adoption, control_group: str) -> None:
    """Refuse `never_treated` where nobody is.

    Raises:
        IdentificationError: E04.
    """
    if control_group == "never_treated" and np.isfinite(panel.cohort).all():
        raise IdentificationError(
            "E04",
            "control_group is never_treated, and every unit is treated in the end",
            fix="estimator.control_group: not_yet_treated",
        )


def identified(panel: Adoption, cells: Cells, usable: Flags) -> tuple[Cells, list[str]]:
    """The usable cells of cohorts with an effect; notes on the others.

    Raises:
        IdentificationError: E10 no cell.
    """
    notes = []
    lost = ~usable & (cells.event_time >= 0)
    if lost.any():
        last = sorted({int(panel.periods[t]) for t in cells.t[lost]})
        notes.append(
            f"{counted(int(lost.sum()), 'treated cell has', 'treated cells have')} no "
            "control left (periods "
            f"{', '.join(map(str, last))}): they are not part of any average."
        )
    cells = cells.keep(usable)
    with_effect = np.unique(cells.cohort[cells.event_time >= 0])
    alone = np.setdiff1d(np.arange(len(panel.cohorts)), with_effect)
    if len(alone):
        listed = ", ".join(f"{panel.cohorts[j]:.0f}" for j in alone)
        notes.append(f"No effect of cohort {listed} is identified: it is control only.")
        cells = cells.keep(np.isin(cells.cohort, with_effect))
    if not len(cells):
        raise IdentificationError(
            "E10",
            "no group-time effect is identified in this sample",
            why="No cohort has a period before treatment, one after, and a control "
            "group in both.",
            fix="a longer panel, or another control group",
        )
    return cells, notes


def _usable(panel: Grid, cells: Cells, options: GroupTimeOptions) -> Flags:
    """Cells (m,) with a treated and a control unit seen in both periods."""
    if not panel.balanced:
        pairs = [compared(panel, cells, c, options) for c in range(len(cells))]
        found = [bool(own.any() and other.any()) for own, other in pairs]
    else:
        levels = np.unique(panel.cohort)
        found = [
            bool(_controls(panel, cells, c, options, levels).any())
            for c in range(len(cells))
        ]
    return np.array(found, dtype=bool)


def _own(panel: Grid, cells: Cells, c: int) -> Flags:
    return np.asarray(panel.cohort == panel.cohorts[cells.cohort[c]])


def _controls(
    panel: Grid,
    cells: Cells,
    c: int,
    options: GroupTimeOptions,
    cohort: Floats | None = None,
) -> Flags:
    """Controls of a cell among the units, or among some cohorts."""
    later = int(panel.periods[max(cells.t[c], cells.base[c])])
    g = float(panel.cohorts[cells.cohort[c]])
    of = panel.cohort if cohort is None else cohort
    return gt.controls(g, later, of, panel.anticipation, options.control_group)


def compared(
    panel: Grid, cells: Cells, c: int, options: GroupTimeOptions
) -> tuple[Flags, Flags]:
    """Treated and control units (N,) of a cell that are seen in both its periods."""
    return (
        _pair(panel, cells, c, _own(panel, cells, c)),
        _pair(panel, cells, c, _controls(panel, cells, c, options)),
    )


def _pair(panel: Grid, cells: Cells, c: int, units: Flags) -> Flags:
    return np.asarray(units & panel.seen[:, cells.t[c]] & panel.seen[:, cells.base[c]])


def _by_means(panel: Grid, cells: Cells, options: GroupTimeOptions) -> GroupTime:
    levels = np.unique(panel.cohort)

    def is_control(c: int) -> Flags:
        return _controls(panel, cells, c, options, levels)

    def sums(rows: Floats, units: Codes) -> tuple[Codes, Floats]:
        if panel.own_clusters:
            return panel.cluster[units], rows
        return np.arange(panel.n_clusters), panel.by_cluster(rows, units)

    return gt.by_means(
        panel.Y,
        panel.first_weight(),
        panel.cohort,
        panel.cohorts,
        cells,
        is_control,
        sums,
        panel.n_clusters,
    )


def _one_by_one(panel: Grid, cells: Cells, options: GroupTimeOptions) -> GroupTime:
    """Every cell on the units seen in both its periods, with covariates."""
    m = len(cells)
    estimate, psi = np.zeros(m), np.zeros((panel.n_clusters, m))
    n_treated, n_control = np.zeros(m, dtype=np.int64), np.zeros(m, dtype=np.int64)
    problems = Unfitted(panel.controls)
    for c in range(m):
        t, b = cells.t[c], cells.base[c]
        own, other = compared(panel, cells, c, options)
        units = np.flatnonzero(own | other)
        n_treated[c], n_control[c] = own.sum(), other.sum()
        X = np.column_stack([np.ones(len(units)), *panel.X[:, units, b]])
        method = options.method if panel.controls else "regression"
        try:
            effect = att(
                panel.Y[units, t] - panel.Y[units, b],
                own[units].astype(np.float64),
                centred(X),
                panel.weight[units, b],
                method,
            )
        except NotFitted as reason:
            g = panel.cohorts[cells.cohort[c]]
            problems.add(f"cohort {g:.0f} in {panel.periods[t]}", reason)
            continue
        estimate[c] = effect.estimate
        psi[:, c] = panel.by_cluster(effect.psi[:, None], units)[:, 0]
    problems.raise_if_any("adjusted for the covariates", options.method)
    return GroupTime(estimate, psi, n_treated, n_control)


def centred(X: Floats) -> Floats:
    """Covariates in standard deviations: the estimate is the same, the logit stable."""
    out = X.copy()
    for j in range(1, X.shape[1]):
        spread = float(np.std(X[:, j]))
        if spread > 0:
            out[:, j] = (X[:, j] - X[:, j].mean()) / spread
    return out


def averages_of(
    panel: Adoption, weight: Floats, cells: Cells, found: GroupTime
) -> Averages:
    """Averages over cells by estimated shares of the cohorts among all units."""
    total = weight.sum()
    member = panel.cohort[:, None] == panel.cohorts[None, :]
    share = (weight @ member) / total
    psi = panel.by_cluster((weight / total)[:, None] * (member - share))
    return Averages(cells, found, share, psi)


def rows_of(averages: Averages, panel: Adoption) -> dict[str, list[Effect]]:
    """Effects by event time, cohort and period."""
    cells = averages.cells
    after = cells.event_time >= 0
    times = np.unique(cells.event_time)
    when = np.unique(cells.t[after])
    found = averages.over_each(
        [cells.event_time == e for e in times] + [after & (cells.t == t) for t in when]
    )
    at = [int(e) for e in times] + [int(panel.periods[t]) for t in when]
    means = [Effect(*mean, k) for mean, k in zip(found, at, strict=True)]
    cohorts = [
        Effect(*averages.of_cohort(int(j), after), int(panel.cohorts[j]))
        for j in np.unique(cells.cohort[after])
    ]
    return {
        "by_event_time": means[: len(times)],
        "by_cohort": cohorts,
        "by_period": means[len(times) :],
    }


def overall_of(
    rows: dict[str, list[Effect]], averages: Averages, cohorts: Floats
) -> dict[str, Effect]:
    """The four overall averages."""
    after = averages.cells.event_time >= 0
    events = [e for e in rows["by_event_time"] if e.at is not None and e.at >= 0]
    by_cohort = rows["by_cohort"]
    of_cohorts = averages.weighted(
        np.array([e.estimate for e in by_cohort]),
        np.column_stack([e.psi for e in by_cohort]),
        np.searchsorted(cohorts, [e.at or 0 for e in by_cohort]),
    )
    return {
        "simple": Effect(*averages.over(after)),
        "by_cohort": Effect(*of_cohorts),
        "by_period": Effect(*_plain(rows["by_period"])),
        "by_event_time": Effect(*_plain(events)),
    }


def _plain(effects: list[Effect]) -> tuple[float, Floats]:
    return gt.mean_of([(e.estimate, e.psi) for e in effects])


def pretrend_of_cells(
    panel: Adoption, cells: Cells, found: GroupTime, df_t: float = np.inf
) -> Test:
    """Wald test of all group-time effects before treatment (and anticipation)."""
    before = np.flatnonzero(cells.event_time < -panel.anticipation)
    return joint(
        "joint_pretrend_cells",
        "all group-time effects before treatment are 0",
        [Effect(float(found.estimate[c]), found.psi[:, c]) for c in before],
        df_t,
    )


def cells_frame(panel: Adoption, cells: Cells, found: GroupTime) -> pd.DataFrame:
    """Every cell with its base period and the units behind it."""
    import pandas as pd

    return pd.DataFrame(
        {
            "cohort": panel.cohorts[cells.cohort].astype(np.int64),
            "period": panel.periods[cells.t],
            "base_period": panel.periods[cells.base],
            "event_time": cells.event_time,
            "estimate": found.estimate,
            "std_error": np.sqrt(np.einsum("cm,cm->m", found.psi, found.psi)),
            "n_treated": found.n_treated,
            "n_control": found.n_control,
        }
    )


def averages_frame(overall: dict[str, Effect]) -> pd.DataFrame:
    """The four overall averages."""
    import pandas as pd

    return pd.DataFrame(
        {
            "average": list(overall),
            "estimate": [e.estimate for e in overall.values()],
            "std_error": [e.std_error for e in overall.values()],
        }
    )


def uneven(panel: Grid) -> list[str]:
    """What weights that change, and gaps, do to every group-time effect."""
    notes = []
    if not panel.steady_weights:
        notes.append(
            "The weights change within units: every group-time effect uses those of its "
            "base period, cohort shares those of each unit's first row."
        )
    if not panel.balanced:
        notes.append(
            "The panel has gaps: every group-time effect uses the units seen in both "
            "its periods (frame group_time)."
        )
    once = int(np.count_nonzero(panel.seen.sum(axis=1) == 1))
    if once:
        notes.append(
            f"{once} of {len(panel.seen)} units are seen in one period only and are in no "
            "effect; as repeated cross-sections (data.panel: {time: …}, clustered by unit) "
            "they would be."
        )
    return notes


def spoken(
    options: GroupTimeOptions,
    panel: Adoption,
    who: str = "units",
    when: str = "at their base period",
) -> list[str]:
    """How cells were compared, in a sentence."""
    controls = options.control_group.replace("_", "-")
    said = f"Controls: {controls} {who}; base period {options.base_period}"
    if panel.anticipation:
        said += f", {counted(panel.anticipation, 'period')} of anticipation"
    if panel.controls:
        said += f"; {options.method.replace('_', ' ')} with "
        said += f"{counted(len(panel.controls), 'covariate')} {when}"
    return [said + "."]
