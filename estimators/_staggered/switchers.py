"""What `dechaisemartin_dhaultfoeuille` reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.design import (
    FEW_TREATED,
    build,
    control_regressors,
    label,
    treatment_regressors,
)
from estimators._linear.timing import first_treated
from estimators._math import switchers as sw
from estimators._math.projection import Codes, Flags, Floats, contiguous, nested
from estimators._math.switchers import Horizon, NotAdjusted, Paths, Study
from estimators._staggered.grid import (
    Grid,
    clustering_unfit,
    occurring,
    some_rows,
    units_by_periods,
)
from estimators._staggered.report import Effect, Effects, joint, result
from framework.errors import EstimandError, IdentificationError, Problem, counted

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request
    from framework.result import Result


@dataclass(frozen=True, slots=True)
class SwitcherOptions:
    """Options as in `DechaisemartinDhaultfoeuille`."""

    window: tuple[int, int] | None
    switchers: str
    never_switched: bool
    same_switchers: bool
    normalized: bool
    bootstrap: int


@dataclass(frozen=True, slots=True)
class _Trends:
    """What the model's fixed effects say of untreated outcomes.

    Attributes:
        stratum: (n,) controls come from the same one; `strata` names what they are.
        linear: whether every unit has a linear trend of its own.
    """

    stratum: Codes
    strata: str
    linear: bool


def switchers(
    request: Request, options: SwitcherOptions, *, min_clusters: int
) -> Result:
    """Effects and placebos by event time, and the average effect per unit."""
    some_rows(request)
    problems = [*_other_treatments(request), *clustering_unfit(request)]
    if problems:
        raise EstimandError(problems)
    trends = _trends(request)
    design = build(
        replace(request, fixed_effects=(), slopes=()),
        [*treatment_regressors(request)[:1], *control_regressors(request)],
        min_clusters=min_clusters,
    )
    panel = units_by_periods(request, design)
    study, paths = _study(request, panel, trends, options)
    _enough_switchers(request, panel, study)
    lead = panel.anticipation
    try:
        effects, placebos, compared = _horizons(study, panel, trends, options)
    except NotAdjusted as reason:
        raise _not_adjusted(panel, reason) from None
    panel = _with_cohorts(panel, paths)
    events = [
        Effect(h.estimate, panel.by_cluster(h.U[:, None])[:, 0], e)
        for e, h in sorted([*effects.items(), *placebos.items()])
    ]
    scaled = [_scaled(effect, effects, placebos, options) for effect in events]
    after = {e: h for e, h in effects.items() if e >= 0}
    rows: dict[str, list[Effect]] = {"by_event_time": scaled, "att": []}
    dose = sum(h.weight * h.dose for h in after.values())
    if dose > 0:
        rows["att"] = [
            _average([e for e in events if e.at in after], after, dose),
        ]
    changed = study.switches & compared
    return result(
        request,
        panel,
        Effects(
            rows=rows,
            reference=(-1 - lead,),
            frames={"support": _support(effects, placebos)},
            tests=(
                joint(
                    "joint_treatment",
                    "all effects from the change on are 0",
                    [e for e in scaled if e.at is not None and e.at >= 0],
                    np.inf,
                ),
            ),
            scalars=_scalars(panel, study),
            notes=tuple(_notes(request, panel, study, paths, trends, options, changed)),
        ),
        bootstrap=options.bootstrap,
    )


def _other_treatments(request: Request) -> Iterator[Problem]:
    treatment = request.treatment
    if treatment is None or request.unit is None or request.time is None:
        yield from IdentificationError(
            "I10",
            "changes of treatment need a treatment, units and periods",
            fix="data.panel: {unit: …, time: …}",
        ).problems
    elif len(treatment.columns) > 1:
        listed = ", ".join(f"'{label(request, c)}'" for c in treatment.columns)
        yield from IdentificationError(
            "E11",
            f"{counted(len(treatment.columns), 'treatment')} ({listed})",
            why="A unit's first change is that of one treatment; the others change "
            "outcomes, too.",
            fix="one treatment on this line, or a column of their combinations",
        ).problems


def _trends(request: Request) -> _Trends:
    """Fixed effects as trends: group-by-period effects and unit slopes.

    Raises:
        IdentificationError: E11 effects that changes of the outcome do not have.
    """
    frame = request.frame
    unit = contiguous(frame[request.unit].to_numpy(dtype=np.int64))[0]
    time = contiguous(frame[request.time].to_numpy(dtype=np.int64))[0]
    other: list[str] = []
    found: list[tuple[Codes, str]] = []
    for effect in dict.fromkeys(request.fixed_effects):
        code = contiguous(frame[effect].to_numpy(dtype=np.int64))[0]
        if nested(unit, code) or nested(time, code):
            continue
        group = _lasting(code, unit, time)
        if group is None:
            other.append(label(request, effect))
        else:
            found.append((group, label(request, effect)))
    linear = False
    for slope in request.slopes:
        by = contiguous(frame[slope.by].to_numpy(dtype=np.int64))[0]
        own = nested(by, unit) and nested(unit, by)
        if own and _linear_in_time(request, slope.variable):
            linear = True
        else:
            other.append(
                f"slopes of {label(request, slope.variable)} by "
                f"{label(request, slope.by)}"
            )
    if other:
        raise IdentificationError(
            "E11",
            f"fixed effects beside units and periods: {', '.join(other)}",
            why="Changes of the outcome remove unit and period effects; effects of "
            "lasting groups by period and linear unit trends can be had too, no others.",
            fix="fixed_effects: [unit, time], [unit, [group, time]] with a group that "
            "lasts, or {slope: {variable: time, by: unit}}",
        )
    stratum = np.zeros(len(frame), dtype=np.int64)
    for group, _ in found:
        stratum = contiguous(stratum * (int(group.max()) + 1) + group)[0]
    return _Trends(stratum, ", ".join(name for _, name in found), linear)


def _lasting(code: Codes, unit: Codes, time: Codes) -> Codes | None:
    """Groups (n,) of units whose effects by period `code` holds; None = no such thing.

    Units that ever share a level are one group; it has to have one level a period.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not nested(code, time):
        return None
    n_units, n_levels = int(unit.max()) + 1, int(code.max()) + 1
    size = n_units + n_levels
    link = coo_array((np.ones(len(unit)), (unit, n_units + code)), shape=(size, size))
    group = contiguous(
        connected_components(link, directed=False)[1][unit].astype(np.int64)
    )[0]
    cell = contiguous(group * (int(time.max()) + 1) + time)[0]
    return group if nested(cell, code) else None


def _linear_in_time(request: Request, variable: str) -> bool:
    """Whether a variable is a line in the period, and periods are evenly spaced."""
    time = request.frame[request.time].to_numpy(dtype=np.float64)
    value = request.frame[variable].to_numpy(dtype=np.float64)
    steps = np.diff(np.unique(time))
    if len(steps) == 0 or np.ptp(steps) > 0:
        return False
    centred = time - time.mean()
    slope = centred @ value / (centred @ centred)
    off = np.abs(value - value.mean() - slope * centred).max()
    # Sums of n products of doubles.
    return bool(slope != 0 and off <= 1e-9 * np.ptp(value))


def _study(
    request: Request, panel: Grid, trends: _Trends, options: SwitcherOptions
) -> tuple[Study, Paths]:
    """Arrays of the comparisons; with unit trends those of first differences."""
    design = panel.design
    unit, t = design.unit_codes, contiguous(design.periods)[0]
    N, T = panel.Y.shape
    D = np.zeros((N, T))
    treatment = design.treatment
    D[unit, t] = 0.0 if treatment is None else treatment
    paths = sw.paths(D, panel.seen, _declared(request, panel))
    stratum = np.zeros(N, dtype=np.int64)
    stratum[unit] = trends.stratum[design.rows]
    Y, X, usable = panel.Y, panel.X, paths.usable
    if trends.linear:
        usable = usable.copy()
        usable[:, 1:] &= paths.usable[:, :-1]
        usable[:, 0] = False
        Y = np.diff(Y, axis=1, prepend=0.0)
        X = np.diff(X, axis=2, prepend=0.0)
        paths = replace(paths, usable=usable)
    wanted = {"both": (1, -1), "up": (1,), "down": (-1,)}[options.switchers]
    never = (paths.first == T) & paths.dated
    return (
        Study(
            Y=Y,
            X=X,
            D=_filled(D, panel.seen, paths),
            weight=panel.weight,
            paths=paths,
            lead=panel.anticipation,
            stratum=stratum,
            cluster=panel.cluster,
            switches=np.isin(paths.sign, wanted),
            stays=never if options.never_switched else np.ones(N, dtype=bool),
        ),
        paths,
    )


def _declared(request: Request, panel: Grid) -> Codes | None:
    """Position of the first treated period of every unit, where the study says it."""
    treatment = request.treatment
    if treatment is None or treatment.kind != "absorbing" or treatment.cohort is None:
        return None
    rows = first_treated(request)[panel.design.rows]
    first = np.empty(len(panel.cohort))
    first[panel.design.unit_codes] = rows
    return np.searchsorted(panel.periods, first).astype(np.int64)


def _filled(D: Floats, seen: Flags, paths: Paths) -> Floats:
    """Treatment (N, T), in gaps that of the first period, or of the first change."""
    changed = np.arange(D.shape[1]) >= paths.first[:, None]
    return np.where(
        seen, D, np.where(changed, paths.size[:, None], paths.baseline[:, None])
    )


def _enough_switchers(request: Request, panel: Grid, study: Study) -> None:
    """Refuse errors that rest on few switching clusters.

    Raises:
        IdentificationError: E10 none switches, I08 few do.
    """
    units = int(study.switches.sum())
    if not units:
        raise IdentificationError(
            "E10",
            "no unit changes its treatment in this sample",
            why="The effects are those of a change, against units without one.",
            fix="see treatment_paths: who changes, when, and in which direction",
        )
    found = len(np.unique(panel.cluster[study.switches]))
    if found < FEW_TREATED and "few_treated" not in request.acknowledge:
        raise IdentificationError(
            "I08",
            f"treatment changes in {counted(found, 'cluster')} of '{panel.cluster_term}' "
            f"({counted(units, 'unit')}; fewer than {FEW_TREATED})",
            why="With so few the interval covers far too rarely.",
            fix="draws: {permute: treatment, times: 500}, or a synthetic control",
            acknowledge="few_treated",
        )


def _horizons(
    study: Study, panel: Grid, trends: _Trends, options: SwitcherOptions
) -> tuple[dict[int, Horizon], dict[int, Horizon], Flags]:
    """Effects and placebos by event time; units that are in any of them."""
    lead, T = panel.anticipation, study.n_periods
    low, high = options.window or (-T, T)
    residual = sw.residualize(study) if len(study.X) else None
    reach = min(high + 1 + lead, T)

    def every(study: Study, *, placebo: bool, longest: int) -> dict[int, Horizon]:
        found = {}
        for ell in range(1, longest + 1):
            one = sw.horizon(study, ell, residual, placebo=placebo)
            if one is None:
                continue
            if trends.linear:
                same = replace(study, switches=one.switchers)
                parts = [
                    sw.horizon(same, k, residual, placebo=placebo)
                    for k in range(1, ell + 1)
                ]
                one = _cumulated([p for p in parts if p is not None], one)
            found[-1 - lead - ell if placebo else ell - 1 - lead] = one
        return found

    effects = every(study, placebo=False, longest=reach)
    compared = np.zeros(len(panel.cohort), dtype=bool)
    for h in effects.values():
        compared |= h.switchers
    if options.same_switchers and effects:
        there = np.logical_and.reduce([h.switchers for h in effects.values()])
        if options.window is not None and len(effects) < reach:
            there = np.zeros_like(there)
        study = replace(study, switches=study.switches & there)
        effects = every(study, placebo=False, longest=reach)
    placebos = every(study, placebo=True, longest=min(-1 - lead - low, T))
    return (
        {e: h for e, h in effects.items() if low <= e <= high},
        {e: h for e, h in placebos.items() if low <= e <= high},
        compared,
    )


def _cumulated(parts: Sequence[Horizon], whole: Horizon) -> Horizon:
    """The effect on the level from those on the changes, of the same switchers."""
    return replace(
        whole,
        estimate=float(sum(p.estimate for p in parts)),
        U=np.asarray(sum(p.U for p in parts)),
    )


def _scaled(
    effect: Effect,
    effects: dict[int, Horizon],
    placebos: dict[int, Horizon],
    options: SwitcherOptions,
) -> Effect:
    if not options.normalized or effect.at is None:
        return effect
    dose = {**effects, **placebos}[effect.at].total_dose
    # In periods of anticipation no treatment has been received yet.
    if dose == 0:
        return effect
    return Effect(effect.estimate / dose, effect.psi / dose, effect.at)


def _average(
    events: Sequence[Effect], after: dict[int, Horizon], dose: float
) -> Effect:
    """Sum of the switchers' effects over the sum of their changes of treatment."""
    share = [after[e.at].weight / dose for e in events if e.at is not None]
    return Effect(
        float(sum(s * e.estimate for s, e in zip(share, events, strict=True))),
        np.asarray(sum(s * e.psi for s, e in zip(share, events, strict=True))),
    )


def _with_cohorts(panel: Grid, paths: Paths) -> Grid:
    """The grid with the period of the first change as cohort."""
    calendar = np.append(panel.periods.astype(np.float64), np.inf)
    cohort = calendar[paths.first]
    return replace(panel, cohort=cohort, cohorts=occurring(cohort))


def _support(effects: dict[int, Horizon], placebos: dict[int, Horizon]) -> pd.DataFrame:
    """Switchers and controls under every event time."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "event_time": e,
                "n_units": int(h.switchers.sum()),
                "n_cohorts": h.n_cohorts,
                "n_controls": h.n_controls,
                "weight": h.weight,
                "mean_change": h.dose,
                "mean_cumulated_change": h.total_dose,
            }
            for e, h in sorted([*placebos.items(), *effects.items()])
        ]
    )


def _scalars(panel: Grid, study: Study) -> dict[str, float]:
    on = panel.seen & (study.D != 0)
    return {
        "n_treated_obs": float(on.sum()),
        "n_treated_units": float(on.any(axis=1).sum()),
    }


def _not_adjusted(panel: Grid, reason: NotAdjusted) -> IdentificationError:
    listed = ", ".join(f"'{panel.controls[j]}'" for j in reason.args[0])
    return IdentificationError(
        "I11",
        f"the controls can't be adjusted for: {listed}",
        why="Among units that have not changed yet they move together, or too few of "
        "those units have the switchers' period-one treatment.",
        fix="fewer controls, or controls: [] on this line",
    )


def _notes(
    request: Request,
    panel: Grid,
    study: Study,
    paths: Paths,
    trends: _Trends,
    options: SwitcherOptions,
    changed: Flags,
) -> Iterator[str]:
    up, down = int((paths.sign > 0).sum()), int((paths.sign < 0).sum())
    still = len(paths.sign) - up - down
    yield (
        f"First change of treatment: up in {counted(up, 'unit')}, down in {down}, none "
        f"in {still}; "
        f"controls are {'never' if options.never_switched else 'not-yet'}-switched units "
        "with the same treatment in their first period"
        + (f" and the same {trends.strata}." if trends.strata else ".")
    )
    if "att" in (request.estimand or ("att",)):
        yield (
            "att is the average total effect per unit of treatment: the sum of the "
            "switchers' effects over the sum of their changes of treatment."
        )
    lost = int((study.switches & ~changed).sum())
    if lost:
        yield (
            f"{lost} of {int(study.switches.sum())} switching units have no period before "
            "their change, or no control with their first treatment, and are in no effect."
        )
    undated = int((~paths.dated).sum())
    if undated:
        yield (
            f"{counted(undated, 'unit changes', 'units change')} treatment in a gap of "
            "their rows: the date is not "
            "known, so they are controls up to the gap and left out from there on."
        )
    if paths.crossed:
        yield (
            f"{counted(paths.crossed, 'row was', 'rows were')} left out: treatment has "
            "been above and below that "
            "of the first period by then, so their effect has no direction."
        )
    if panel.controls:
        yield (
            f"{counted(len(panel.controls), 'covariate')}: outcomes are taken less what the "
            "changes of covariates predict among units that have not changed yet, by first "
            "treatment."
        )
    if trends.linear:
        yield (
            "Every unit has a linear trend of its own: effects cumulate those on first "
            "differences, of the switchers that each of them has."
        )
    if options.normalized:
        yield (
            "Effects by event time are per unit of treatment, cumulated since the change."
        )
    if options.same_switchers:
        yield "All effects are of the same switchers."
    steps = np.diff(panel.periods)
    if len(steps) and steps.max() > 1:
        yield (
            "Event times count the periods of the data; some are more than one apart in "
            "calendar time."
        )
