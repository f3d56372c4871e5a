"""Differences-in-differences whose covariates learners take out: `did`, `did_multi`.

Cells, averages and what is reported are those of Callaway and Sant'Anna (2021); inside
a cell the effect comes from the cross-fitted doubly robust score (Chang 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from estimators._double.chosen import (
    said_of_chosen,
    spoken_choice,
    without_empty_choices,
)
from estimators._double.nuisance import Task, cross_fit, loss, weights_of
from estimators._double.report import (
    BAND_DRAWS,
    POOR_OVERLAP,
    by_tenth,
    propensity_plot,
    said_of_splits,
    split_scalars,
)
from estimators._double.sample import (
    CLUSTERS_A_FOLD,
    ROWS_A_FEATURE,
    ROWS_A_FOLD,
    ROWS_OF_AN_ARM,
)
from estimators._double.scores import Check, Plan
from estimators._double.shared import in_any_order
from estimators._math.folds import folds_in_strata, places, spoken
from estimators._math.group_time import Cells, GroupTime
from estimators._math.orthogonal import Solved, change_on_treated, median_of, solve
from estimators._math.projection import Codes, Flags, Floats, contiguous
from estimators._staggered.grid import Grid, effects_of_model, grid
from estimators._staggered.group_time import (
    MEANING,
    GroupTimeOptions,
    averages_frame,
    averages_of,
    cells_frame,
    cells_of,
    compared,
    overall_of,
    pretrend_of_cells,
    rows_of,
)
from estimators._staggered.report import (
    INDEX,
    Effect,
    Effects,
    last_before,
    result,
    shown,
)
from framework.errors import (
    EstimandError,
    IdentificationError,
    Problem,
    SpecError,
    counted,
)

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Learner, Request
    from framework.result import Result

#: Rows of either arm in a training sample without which nothing can be learned.
FEWEST_OF_AN_ARM = 2
#: Comparisons that a message lists.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Comparison:
    """One cell: changes of n treated and control units, in canonical order.

    Attributes:
        cohort, period: what they are compared in; `did` has no period.
        units: (n,) positions in the panel.
        change: (n,) of the outcome.
        d: (n,) 1 for the treated.
        X: (n, p) covariates in the base period.
    """

    cohort: int
    period: int | None
    units: Codes
    change: Floats
    d: Floats
    X: Floats

    def __str__(self) -> str:
        said = f"cohort {self.cohort}"
        return said if self.period is None else f"{said} in {self.period}"


@dataclass(frozen=True, slots=True)
class Split:
    """All cells under one split into folds.

    Attributes:
        effects: (m,) estimates with influence by cluster.
        checks: how nuisances did, with the comparison they belong to.
        propensity: one (n,) per cell, before trimming.
        unsettled: nuisances whose solver stopped early.
    """

    effects: GroupTime
    checks: tuple[tuple[Comparison, Check], ...]
    propensity: tuple[Floats, ...]
    unsettled: frozenset[str]


def differences(
    request: Request,
    plan: Plan,
    options: GroupTimeOptions,
    *,
    one_date: bool,
    min_clusters: int,
    figures: frozenset[str] = frozenset(),
) -> Result:
    """Cells by cohort and period and their averages; with `one_date` one cell.

    Raises:
        DataError: D03, D05, D06, D08, E01, E06.
        SpecError: X20 no controls, X23 several dates of adoption under `one_date`.
        IdentificationError: E04, E05, E10, E11, I01, I05, I08, I09, M01, M03, M04.
        NumericalError: N02.
    """
    panel = _read(request, options, min_clusters)
    if one_date:
        cells, (notes, made) = None, _before_and_after(panel)
        compare: tuple[Comparison, ...] = (made,)
    else:
        cells, notes = cells_of(panel, options)
        compare = tuple(
            _comparison(panel, cells, c, options) for c in range(len(cells))
        )
    wider = "" if cells is None else _wider(options)
    found = _splits(panel, compare, plan, request, wider)
    middle = _middle_cells(found)
    effects = _one(found) if cells is None else _averaged(panel, cells, found, options)
    theta, errors = _judged(effects, request)
    clipped = _clipped(found, plan)
    frames = {
        "repetitions": _repetitions(effects),
        "nuisances": _nuisances(found),
        "overlap": by_tenth(
            np.concatenate([np.mean(p, axis=0) for p in _by_cell(found)]),
            np.concatenate([c.d for c in compare]),
        ),
    }
    if cells is not None:
        frames["group_time"] = cells_frame(panel, cells, middle)
        frames["averages"] = averages_frame(
            {k: _middle(effects[f"overall {k}"]) for k in MEANING}
        )
        if "att" in (request.estimand or ("att",)):
            notes.append(f"att is {MEANING[options.overall]}.")
    rows = {k: [_middle(e) for e in _by_row(effects[k])] for k in ("att", *INDEX)}
    made_of = result(
        request,
        panel,
        Effects(
            rows=rows | {"by_event_time": shown(rows["by_event_time"], options.window)},
            reference=last_before(panel)
            if cells is not None and options.base_period == "universal"
            else (),
            frames=frames,
            tests=() if cells is None else (pretrend_of_cells(panel, cells, middle),),
            scalars=_scalars(panel, plan, found, theta, errors, clipped),
            notes=(
                *notes,
                *said_of_splits(theta, plan.folds, panel.cluster_term),
                *_said(panel, options, plan, found, clipped, one_date),
            ),
        ),
        bootstrap=0 if cells is None else BAND_DRAWS,
    )
    if "overlap" not in figures:
        return made_of
    arm = request.treatment.columns[0] if request.treatment else ""
    drawn = propensity_plot(str(request.labels.get(arm, arm)), plan.trimming)
    return replace(made_of, plots=(*made_of.plots, drawn))


@dataclass(frozen=True, slots=True)
class MeanEffect:
    """`att` of did_multi, without what else it reports.

    Attributes:
        effect: the estimate; its influence by cluster `ids` (C,).
        cells: effects by cohort and period from treatment on.
        trimmed: share of propensities that are trimmed.
        control_group: whom the treated are compared with.
    """

    effect: Effect
    ids: Sequence[object]
    cells: pd.DataFrame
    trimmed: float
    control_group: str


def mean_effect(
    request: Request, plan: Plan, options: GroupTimeOptions, *, min_clusters: int
) -> MeanEffect:
    """The number that `differences` has for `att`, from the cells it averages alone.

    Raises:
        EstimandError: as `differences`.
    """
    panel = _read(request, options, min_clusters)
    cells, _ = cells_of(panel, options)
    cells = cells.keep(cells.event_time >= 0)
    compare = tuple(_comparison(panel, cells, c, options) for c in range(len(cells)))
    found = _splits(panel, compare, plan, request, _wider(options))
    over = _averaged(panel, cells, found, options)["att"]
    return MeanEffect(
        effect=_middle(over),
        ids=list(panel.cluster_ids),
        cells=cells_frame(panel, cells, _middle_cells(found)),
        trimmed=_clipped(found, plan),
        control_group=options.control_group,
    )


def _read(request: Request, options: GroupTimeOptions, min_clusters: int) -> Grid:
    effects_of_model(request)
    panel = grid(
        request, always_treated=options.always_treated, min_clusters=min_clusters
    )
    if not panel.controls:
        raise SpecError(
            "X20",
            "double machine learning needs controls that vary in the sample",
            fix="controls: [...]; without any, use `callaway_santanna`",
            path="model.controls",
        )
    return _by_name(panel)


def _wider(options: GroupTimeOptions) -> str:
    """What gives a cell more units to compare with."""
    wide = options.control_group == "not_yet_treated"
    return "" if wide else "; control_group: not_yet_treated"


def _splits(
    panel: Grid,
    compare: Sequence[Comparison],
    plan: Plan,
    request: Request,
    wider: str,
) -> list[Split]:
    """All comparisons under every split, unless folds or overlap forbid it."""
    folds = [_folds(panel, plan, r) for r in range(plan.repetitions)]
    problems = [
        *_few_groups(panel, plan),
        *_too_small(compare, folds, plan, request, wider),
    ]
    if problems:
        raise EstimandError(problems)
    found = in_any_order(
        [partial(_split, panel, compare, fold, plan, r) for r, fold in enumerate(folds)]
    )
    _overlap_or_refuse(compare, found, plan, request)
    return found


# -- comparisons ----------------------------------------------------------------------


def _by_name(panel: Grid) -> Grid:
    """The panel with its controls by name: learners go by position."""
    order = sorted(range(len(panel.controls)), key=panel.controls.__getitem__)
    names = tuple(panel.controls[k] for k in order)
    return replace(panel, X=panel.X[order], controls=names)


def _canonical(panel: Grid, units: Flags) -> Codes:
    """Positions of units in the order of a hash of their clusters' names."""
    rank = places(_names(panel), 0, -1)
    chosen = np.flatnonzero(units)
    return chosen[np.argsort(rank[panel.cluster[chosen]], kind="stable")]


def _names(panel: Grid) -> list[str]:
    return [spoken(i) for i in panel.cluster_ids]


def _comparison(
    panel: Grid, cells: Cells, c: int, options: GroupTimeOptions
) -> Comparison:
    own, other = compared(panel, cells, c, options)
    units = _canonical(panel, own | other)
    t, b = cells.t[c], cells.base[c]
    return Comparison(
        cohort=int(panel.cohorts[cells.cohort[c]]),
        period=int(panel.periods[t]),
        units=units,
        change=panel.Y[units, t] - panel.Y[units, b],
        d=own[units].astype(np.float64),
        X=np.ascontiguousarray(panel.X[:, units, b].T),
    )


def _before_and_after(panel: Grid) -> tuple[list[str], Comparison]:
    """One date: change of each unit's mean outcome from before to after it."""
    if len(panel.cohorts) > 1:
        dates = ", ".join(f"{g:.0f}" for g in panel.cohorts[:SHOWN])
        raise SpecError(
            "X23",
            f"kind did has one date of adoption; here are {len(panel.cohorts)} ({dates}"
            + (" …)" if len(panel.cohorts) > SHOWN else ")"),
            why="Before and after would be other periods for every cohort.",
            fix="kind: did_multi",
            path="model.estimator.kind",
        )
    if np.isfinite(panel.cohort).all():
        raise IdentificationError(
            "E04", "kind did needs never-treated units, and every unit is treated"
        )
    g = panel.cohorts[0]
    before = panel.periods < g - panel.anticipation
    after = panel.periods >= g
    if not before.any() or not after.any():
        raise IdentificationError(
            "E10", f"no period {'before' if not before.any() else 'after'} adoption"
        )
    base = int(np.flatnonzero(before)[-1])
    seen = panel.seen
    use = seen[:, base] & (seen & after).any(axis=1)

    def mean(periods: Flags) -> Floats:
        held = seen & periods
        count = np.maximum(held.sum(axis=1), 1)
        return np.asarray((panel.Y * held).sum(axis=1) / count)

    units = _canonical(panel, use)
    change = (mean(after) - mean(before))[units]
    said = f"Mean outcome of {int(after.sum())} periods from {g:.0f} on less that of "
    said += f"{int(before.sum())} up to {panel.periods[base]}; controls of "
    notes = [said + f"{panel.periods[base]}."]
    if not use.all():
        notes.append(
            f"{int((~use).sum())} units without a row in {panel.periods[base]} or "
            "after adoption are left out."
        )
    return notes, Comparison(
        cohort=int(g),
        period=None,
        units=units,
        change=change,
        d=(panel.cohort[units] == g).astype(np.float64),
        X=np.ascontiguousarray(panel.X[:, units, base].T),
    )


# -- folds and guards -----------------------------------------------------------------


def _folds(panel: Grid, plan: Plan, repetition: int) -> Codes:
    """Fold (N,) of each unit: clusters whole, every cohort spread over all folds."""
    C = panel.n_clusters
    low, high = np.full(C, np.inf), np.full(C, -np.inf)
    np.minimum.at(low, panel.cluster, panel.cohort)
    np.maximum.at(high, panel.cluster, panel.cohort)
    strata = [
        spoken(a) if a == b else "several cohorts"
        for a, b in zip(low, high, strict=True)
    ]
    fold = folds_in_strata(_names(panel), strata, plan.folds, plan.seed, repetition)
    return fold[panel.cluster]


def _few_groups(panel: Grid, plan: Plan) -> list[Problem]:
    if panel.n_clusters >= CLUSTERS_A_FOLD * plan.folds:
        return []
    return list(
        IdentificationError(
            "M03",
            f"{panel.n_clusters} groups ('{panel.cluster_term}') in {plan.folds} folds: "
            f"fewer than {CLUSTERS_A_FOLD} in each",
            why="Folds keep units and clusters whole; one alone shows no variance.",
            fix="fewer folds, or finer clusters",
            path="model.estimator.folds",
        ).problems
    )


def _too_small(
    compare: Sequence[Comparison],
    folds: Sequence[Codes],
    plan: Plan,
    request: Request,
    wider: str,
) -> list[Problem]:
    """M01 and M04 of all comparisons, in one problem each.

    Args:
        wider: what more there is to do about cells of few units.
    """
    p = compare[0].X.shape[1]
    wanted = max(ROWS_A_FOLD, ROWS_A_FEATURE * p)
    problems: list[Problem] = []
    rows = [len(c.units) // plan.folds for c in compare]
    least = ROWS_A_FOLD if "small_folds" in request.acknowledge else wanted
    small = [i for i, n in enumerate(rows) if n < least]
    if small:
        first = min(small, key=rows.__getitem__)
        problems += IdentificationError(
            "M01",
            f"{_count(len(small), compare)} too few units: {compare[first]} has "
            f"{len(compare[first].units)}, about {rows[first]} in each of {plan.folds} "
            f"folds, and {wanted} are the fewest for {p} features",
            why="What is learned on so few rows says little about the others.",
            fix=f"fewer folds or controls{wider}",
            path="model.estimator.folds",
            acknowledge="" if rows[first] < ROWS_A_FOLD else "small_folds",
        ).problems
    arm = [_smallest_arm(c, folds) for c in compare]
    least = (
        FEWEST_OF_AN_ARM if "poor_overlap" in request.acknowledge else ROWS_OF_AN_ARM
    )
    thin = [i for i, n in enumerate(arm) if n < least]
    if thin:
        first = min(thin, key=arm.__getitem__)
        cohorts = sorted({compare[i].cohort for i in thin})
        problems += IdentificationError(
            "M04",
            f"{_count(len(thin), compare)} an arm of fewer than {ROWS_OF_AN_ARM} units "
            f"to learn from ({compare[first]}: {arm[first]}); cohorts "
            + ", ".join(map(str, cohorts[:SHOWN]))
            + (" …" if len(cohorts) > SHOWN else ""),
            why="A propensity learned from so few is noise, and its inverse a weight.",
            fix="a sample without these cohorts, or `callaway_santanna` with few controls",
            acknowledge="" if arm[first] < FEWEST_OF_AN_ARM else "poor_overlap",
        ).problems
    return problems


def _count(some: int, compare: Sequence[Comparison]) -> str:
    if len(compare) == 1:
        return "the comparison has"
    return f"{some} of {len(compare)} group-time effects have"


def _smallest_arm(c: Comparison, folds: Sequence[Codes]) -> int:
    """Units of the smaller arm in the smallest training sample, over all splits."""
    return min(
        int(arm.sum()) - int(np.bincount(fold[c.units][arm]).max(initial=0))
        for fold in folds
        for arm in (c.d == 1, c.d == 0)
    )


def _overlap_or_refuse(
    compare: Sequence[Comparison], found: Sequence[Split], plan: Plan, request: Request
) -> None:
    """M04: many units that are all but certain to be treated have no counterpart."""
    high = [
        float(np.mean(np.mean(p, axis=0) > 1 - plan.trimming)) for p in _by_cell(found)
    ]
    worst = int(np.argmax(high))
    if high[worst] <= POOR_OVERLAP or "poor_overlap" in request.acknowledge:
        return
    raise IdentificationError(
        "M04",
        f"{high[worst]:.0%} of the units of {compare[worst]} have a propensity above "
        f"{1 - plan.trimming:g}",
        why="No control is like them; trimmed or not, they decide the estimate.",
        fix="other controls, or a sample in which both arms are found",
        acknowledge="poor_overlap",
    )


# -- one split ------------------------------------------------------------------------


def _split(
    panel: Grid, compare: Sequence[Comparison], fold: Codes, plan: Plan, number: int
) -> Split:
    """Every cell's nuisances and effect under one split."""
    m = len(compare)
    estimate, psi = np.empty(m), np.empty((panel.n_clusters, m))
    checks: list[tuple[Comparison, Check]] = []
    propensity: list[Floats] = []
    unsettled: set[str] = set()
    seed = int(np.random.SeedSequence([plan.seed, number]).generate_state(1)[0])
    for i, c in enumerate(compare):
        k = contiguous(fold[c.units])[0]
        control = c.d == 0

        def predict(
            target: Floats,
            learner: Learner,
            what: str,
            within: Flags | None,
            c: Comparison = c,
            k: Codes = k,
        ) -> Floats:
            task: Task = "classification" if within is None else "regression"
            fitted = cross_fit(
                target,
                c.X,
                k,
                learner,
                task,
                seed,
                within=within,
                what=f"{what} of {c}",
            )
            if fitted.unsettled:
                unsettled.add(what)
            name = type(learner).__name__
            for j in range(int(k.max()) + 1):
                rows = (k == j) if within is None else (k == j) & within
                if not rows.any():
                    continue
                value = loss(
                    target[rows], fitted.values[rows], fitted.baseline[rows], task
                )
                measure = "log_loss" if within is None else "r2"
                count, chosen = int(rows.sum()), weights_of(learner, fitted, j)
                check = Check(what, name, j + 1, measure, value, count, chosen)
                checks.append((c, check))
            return fitted.values

        p = predict(c.d, plan.treatment, "propensity", None)
        g0 = predict(c.change, plan.outcome, "change without treatment", control)
        trimmed = np.clip(p, plan.trimming, 1 - plan.trimming)
        score = change_on_treated(c.change, c.d, g0, trimmed, normalise=plan.normalise)
        solved = solve(score, k, None)
        estimate[i] = solved.theta[0]
        psi[:, i] = panel.by_cluster(solved.influence, c.units)[:, 0]
        propensity.append(p)
    treated = np.array([int(c.d.sum()) for c in compare], dtype=np.int64)
    size = np.array([len(c.units) for c in compare], dtype=np.int64)
    effects = GroupTime(estimate, psi, treated, size - treated)
    return Split(effects, tuple(checks), tuple(propensity), frozenset(unsettled))


# -- over splits ----------------------------------------------------------------------

#: Estimand -> for each split its effects.
OverSplits = Mapping[str, Sequence[Sequence[Effect]]]


def _averaged(
    panel: Grid,
    cells: Cells,
    found: Sequence[Split],
    options: GroupTimeOptions,
) -> OverSplits:
    """Averages over cells, split by split."""
    made: dict[str, list[list[Effect]]] = {}
    for split in found:
        averages = averages_of(panel, panel.first_weight(), cells, split.effects)
        rows = rows_of(averages, panel)
        overall = overall_of(rows, averages, panel.cohorts)
        rows["att"] = [overall[options.overall]]
        rows |= {f"overall {k}": [e] for k, e in overall.items()}
        for estimand, effects in rows.items():
            made.setdefault(estimand, []).append(effects)
    return made


def _one(found: Sequence[Split]) -> OverSplits:
    effects = [
        [Effect(float(s.effects.estimate[0]), s.effects.psi[:, 0])] for s in found
    ]
    return {"att": effects, **{k: [[] for _ in found] for k in INDEX}}


def _by_row(over: Sequence[Sequence[Effect]]) -> list[list[list[Effect]]]:
    """Row by row, its effects in every split (each as a list of one)."""
    return [[[split[i]] for split in over] for i in range(len(over[0]))]


def _middle(over: Sequence[Sequence[Effect]]) -> Effect:
    """Median over splits of one row."""
    solutions = [Solved(np.array([e.estimate]), e.psi[:, None]) for (e,) in over]
    estimate, _, psi = median_of(solutions, 0)
    return Effect(estimate, psi, over[0][0].at)


def _middle_cells(found: Sequence[Split]) -> GroupTime:
    solutions = [Solved(s.effects.estimate, s.effects.psi) for s in found]
    medians = [median_of(solutions, i) for i in range(len(solutions[0].theta))]
    return replace(
        found[0].effects,
        estimate=np.array([m[0] for m in medians]),
        psi=np.column_stack([m[2] for m in medians]),
    )


def _by_cell(found: Sequence[Split]) -> list[list[Floats]]:
    """Cell by cell its propensities in every split."""
    return [list(p) for p in zip(*(s.propensity for s in found), strict=True)]


def _judged(effects: OverSplits, request: Request) -> tuple[list[float], list[float]]:
    """First row of the judged estimand in every split: estimates, standard errors."""
    first = [split[0] for split in effects[(request.estimand or ("att",))[0]] if split]
    return [e.estimate for e in first], [e.std_error for e in first]


def _clipped(found: Sequence[Split], plan: Plan) -> float:
    p = np.concatenate([p for s in found for p in s.propensity])
    return float(np.mean((p < plan.trimming) | (p > 1 - plan.trimming)))


def _repetitions(effects: OverSplits) -> pd.DataFrame:
    """Estimate and standard error of every split."""
    import pandas as pd

    made = [
        (r + 1, estimand, e.at, e.estimate, e.std_error)
        for estimand in ("att", *INDEX)
        for r, split in enumerate(effects[estimand])
        for e in split
    ]
    names = ["repetition", "estimand", "at", "estimate", "std_error"]
    return pd.DataFrame(made, columns=names).astype({"at": "Int64"})


def _nuisances(found: Sequence[Split]) -> pd.DataFrame:
    """Out-of-fold R2 or log-loss of every nuisance, cell, split and fold."""
    import pandas as pd

    made = [
        (
            check.nuisance,
            c.cohort,
            c.period,
            check.learner,
            r + 1,
            check.fold,
            check.measure,
            check.value,
            check.n,
            spoken_choice(check.chosen),
        )
        for r, split in enumerate(found)
        for c, check in split.checks
    ]
    names = ["nuisance", "cohort", "period", "learner", "repetition", "fold"]
    frame = pd.DataFrame(made, columns=[*names, "measure", "value", "rows", "chosen"])
    return without_empty_choices(frame.astype({"period": "Int64"}))


def _scalars(
    panel: Grid,
    plan: Plan,
    found: Sequence[Split],
    theta: Sequence[float],
    errors: Sequence[float],
    clipped: float,
) -> dict[str, float]:
    p = np.concatenate([p for s in found for p in s.propensity])
    r2 = [c.value for s in found for _, c in s.checks if c.measure == "r2"]
    return {
        "n_features": len(panel.controls),
        "n_folds": plan.folds,
        "n_repetitions": len(found),
        **split_scalars(theta, errors),
        "nuisance_r2_outcome": float(np.mean(r2)),
        "share_trimmed": clipped,
        "propensity_low": float(p.min()),
        "propensity_high": float(p.max()),
    }


def _said(
    panel: Grid,
    options: GroupTimeOptions,
    plan: Plan,
    found: Sequence[Split],
    clipped: float,
    one_date: bool,
) -> list[str]:
    notes = []
    if not one_date:
        controls = options.control_group.replace("_", "-")
        notes.append(
            f"Controls: {controls} units; base period {options.base_period}; "
            f"{counted(len(panel.controls), 'covariate')} at their base period."
        )
    if clipped:
        inside = f"[{plan.trimming:g}, {1 - plan.trimming:g}]"
        notes.append(f"{clipped:.2%} of the propensities are trimmed into {inside}")
    notes += [
        f"the learner of the {what} stopped before it converged in some fits"
        for what in sorted(set().union(*(s.unsettled for s in found)))
    ]
    notes += said_of_chosen([check for s in found for _, check in s.checks])
    return notes
