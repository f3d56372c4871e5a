"""What `stacked` and `lp_did` report: cohorts against their clean controls, pooled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._math.adjusted_experiments import (
    Exhausted,
    Separated,
    adjusted,
    regressed,
)
from estimators._math.projection import Codes, Flags, Floats
from estimators._math.sub_experiments import SubExperiment, pooled
from estimators._staggered.grid import Grid, effects_of_model, grid
from estimators._staggered.report import Effect, Effects, result
from framework.errors import IdentificationError

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request
    from framework.result import Result


@dataclass(frozen=True, slots=True)
class StackOptions:
    """Options as in `Stacked`."""

    window: tuple[int, int]
    reference: int | None
    weighting: str
    never_treated_only: bool
    always_treated: str | None
    bootstrap: int


@dataclass(frozen=True, slots=True)
class ProjectionOptions:
    """Options as in `LpDid`."""

    window: tuple[int, int] | None
    weighting: str
    always_treated: str | None
    bootstrap: int


def stacked(request: Request, options: StackOptions, *, min_clusters: int) -> Result:
    """One data set per cohort, stacked, with effects common to all cohorts.

    Raises:
        IdentificationError: E02 a window without the reference, E07 a reference within
            anticipation, E10 no cohort with a whole window, and those of `grid`.
    """
    effects_of_model(request)
    panel = grid(
        request, always_treated=options.always_treated, min_clusters=min_clusters
    )
    reference = _reference(panel, options)
    low, high = options.window
    offsets = np.array([k for k in range(low, high + 1) if k != reference])
    stacks, used, notes = _stacks(panel, options, reference, offsets)
    if options.weighting == "treated":
        total, others = np.sum([s.sizes for s in stacks.values()], axis=0)
        stacks = {
            g: replace(s, control_weight=s.sizes[0] / total / (s.sizes[1] / others))
            for g, s in stacks.items()
        }
    beta, psi, share, kept = _pooled(panel, list(stacks.values()), adjust=False)
    notes += _without(panel, {0: kept}, adjust=False)
    notes += _changing(panel, reference)
    width = high - low + 1
    rows = width * sum(len(s.dy) for s in stacks.values())
    copies = width * sum(_copies(panel, s.units) for s in stacks.values())
    K = len(offsets) * (1 + int(kept.sum())) + width * len(stacks)
    psi = panel.by_cluster(psi) * _factor(
        panel, np.asarray(used.any(axis=1)), copies, K
    )
    events = [Effect(float(beta[j]), psi[:, j], int(k)) for j, k in enumerate(offsets)]
    notes.append(
        f"{len(stacks)} sub-experiments, {rows} stacked rows of {int(used.sum())} "
        "distinct ones; units in several count as one cluster."
    )
    return _report(
        request,
        panel,
        events,
        reference,
        _stack_frame(stacks, share),
        used,
        notes,
        options.bootstrap,
    )


def _reference(panel: Grid, options: StackOptions) -> int:
    """The event time that effects are measured from.

    Raises:
        IdentificationError: E02, E07 as `stacked`.
    """
    before = -panel.anticipation - 1
    if options.reference is not None:
        if options.reference > before:
            raise IdentificationError(
                "E07",
                f"reference {options.reference} lies within the {panel.anticipation} "
                "periods of anticipation",
                fix=f"estimator.reference: {before}",
            )
        return options.reference
    low, high = options.window
    if before < low:
        raise IdentificationError(
            "E02",
            f"reference {before}, the last period before anticipation, lies outside the "
            f"window [{low}, {high}]",
            why="Effects are measured against it.",
            fix=f"estimator.window: [{before}, {high}]",
        )
    return before


def _stacks(
    panel: Grid, options: StackOptions, reference: int, offsets: Codes
) -> tuple[dict[float, SubExperiment], Flags, list[str]]:
    """Sub-experiments by cohort and the rows (N, T) that any of them uses."""
    low, high = options.window
    position = {int(p): t for t, p in enumerate(panel.periods)}
    stacks: dict[float, SubExperiment] = {}
    used = np.zeros_like(panel.seen)
    outside, gaps = [], 0
    for g in panel.cohorts:
        whole = [position.get(int(g) + k) for k in range(low, high + 1)]
        columns = np.array([t for t in whole if t is not None])
        if len(columns) < len(whole):
            outside.append(f"{g:.0f}")
            continue
        clean = np.isinf(panel.cohort)
        if not options.never_treated_only:
            clean |= panel.cohort > g + high + panel.anticipation
        there = panel.seen[:, columns].all(axis=1)
        member = (panel.cohort == g) | clean
        gaps += int((member & ~there).sum())
        own = np.flatnonzero((panel.cohort == g) & there)
        other = np.flatnonzero(clean & there)
        if not len(own) or not len(other):
            outside.append(f"{g:.0f}")
            continue
        units = np.append(own, other)
        b = position[int(g) + reference]
        at = np.array([position[int(g) + int(k)] for k in offsets])
        stacks[float(g)] = SubExperiment(
            own,
            other,
            panel.Y[np.ix_(units, at)] - panel.Y[units, b][:, None],
            x=panel.X[:, units, b].T,
            unit_weight=panel.weight[units, b],
        )
        used[np.ix_(units, columns)] = True
    if not stacks:
        raise IdentificationError(
            "E10",
            f"no cohort has all event times {low} to {high} and clean controls in them",
            why=_apart(panel) or "A sub-experiment needs its whole window.",
            fix="a shorter estimator.window, or another estimator",
        )
    notes = []
    if outside:
        notes.append(
            f"Cohorts {', '.join(outside)} have no whole window or no clean controls: "
            "they are not part of the estimate."
        )
    if gaps:
        notes.append(f"{gaps} units with gaps in a window are left out of it.")
    return stacks, used, notes


def local_projections(
    request: Request, options: ProjectionOptions, *, min_clusters: int
) -> Result:
    """A regression of the long difference at every horizon, clean controls only.

    Raises:
        IdentificationError: E10 no horizon has treated units and clean controls, and
            those of `grid`.
    """
    effects_of_model(request)
    panel = grid(
        request, always_treated=options.always_treated, min_clusters=min_clusters
    )
    relative = panel.event_time[panel.seen & np.isfinite(panel.event_time)]
    low, high = options.window or (int(relative.min()), int(relative.max()))
    reference = -panel.anticipation - 1
    events: list[Effect] = []
    frames = []
    used = np.zeros_like(panel.seen)
    adjust = options.weighting == "treated"
    beside: dict[int, Flags] = {}
    for h in range(low, high + 1):
        if h == reference:
            continue
        found = _horizon(panel, h, reference, options.weighting, used)
        if found:
            beta, psi, share, beside[h] = _pooled(
                panel, list(found.values()), adjust=adjust
            )
            units, rows, periods = _regressed(panel, h, reference)
            K = 1 + periods + int(beside[h].sum())
            psi = panel.by_cluster(psi) * _factor(panel, units, rows, K)
            events.append(Effect(float(beta[0]), psi[:, 0], h))
            frames.append(_stack_frame(found, share).assign(event_time=h))
    if not any(e.at is not None and e.at >= 0 for e in events):
        raise IdentificationError(
            "E10",
            "no horizon has treated units with clean controls",
            why=_apart(panel),
            fix="a longer panel, or another estimator",
        )
    import pandas as pd

    missing = sorted({*range(low, high + 1)} - {e.at for e in events} - {reference})
    notes = []
    if missing:
        listed = ", ".join(map(str, missing))
        notes.append(f"Event times {listed} have no clean controls: no effect there.")
    in_some = {int(g) for frame in frames for g in frame["cohort"]}
    lost = [f"{g:.0f}" for g in panel.cohorts if int(g) not in in_some]
    if lost:
        notes.append(
            f"Cohorts {', '.join(lost)} have no rows {-reference} periods before "
            "treatment or no clean controls: they are not part of any effect."
        )
    notes += _without(panel, beside, adjust=adjust)
    notes += _changing(panel, reference)
    kind = "treated units" if adjust else "its variance"
    if adjust and panel.design.weights is not None:
        kind = "the sum of its treated units' weights"
    notes.append(f"At every event time a cohort weighs by {kind}.")
    return _report(
        request,
        panel,
        events,
        reference,
        pd.concat(frames, ignore_index=True),
        used,
        notes,
        options.bootstrap,
    )


def _horizon(
    panel: Grid, h: int, reference: int, weighting: str, used: Flags
) -> dict[float, SubExperiment]:
    """Sub-experiments of one horizon; marks the rows (N, T) they use."""
    position = {int(p): t for t, p in enumerate(panel.periods)}
    found: dict[float, SubExperiment] = {}
    # Without covariates a period in which nobody starts says nothing.
    for g in panel.periods if len(panel.X) else panel.cohorts:
        t, b = position.get(int(g) + h), position.get(int(g) + reference)
        if t is None or b is None:
            continue
        there = panel.seen[:, t] & panel.seen[:, b]
        # Untreated at the horizon, and when the cohort starts.
        clean = panel.cohort > g + max(h, 0) + panel.anticipation
        own = np.flatnonzero((panel.cohort == g) & there)
        other = np.flatnonzero(clean & there)
        if not len(other) or not (len(own) or len(panel.X)):
            continue
        units = np.append(own, other)
        dy = (panel.Y[units, t] - panel.Y[units, b])[:, None]
        found[float(g)] = one = SubExperiment(
            own,
            other,
            dy,
            x=panel.X[:, units, b].T,
            unit_weight=panel.weight[units, b],
        )
        if weighting == "treated" and not len(panel.X):
            W1, W0 = one.sizes
            found[float(g)] = replace(one, row_weight=(W1 + W0) / W0)
        used[units, t] = used[units, b] = True
    return found if any(len(s.treated) for s in found.values()) else {}


def _pooled(
    panel: Grid, experiments: list[SubExperiment], *, adjust: bool
) -> tuple[Floats, Floats, Floats, Flags]:
    """Estimates, influence by unit and shares, with the model's controls if any.

    Last (k,) whether a control is part of it.

    Raises:
        IdentificationError: I03 the covariates tell treated from controls, I11 there
            are as many coefficients as rows.
    """
    n = len(panel.cohort)
    if not len(panel.X):
        return *pooled(experiments, n), np.zeros(0, dtype=bool)
    try:
        return (adjusted if adjust else regressed)(experiments, n)
    except Separated:
        raise IdentificationError(
            "I03",
            "nothing of the treatment is left beside the controls",
            why="They tell treated units from clean controls completely.",
            fix="fewer controls",
        ) from None
    except Exhausted:
        who = "clean controls" if adjust else "units"
        raise IdentificationError(
            "I11",
            f"no more {who} than coefficients of {len(panel.X)} controls and of periods",
            why="Every residual would be zero, and the standard error far too small.",
            fix="fewer controls, or a shorter estimator.window",
        ) from None


def _without(panel: Grid, kept: dict[int, Flags], *, adjust: bool) -> list[str]:
    """A note on every control that is no part of some event times' regressions."""
    who = "among clean controls " if adjust else ""
    notes = []
    for j, name in enumerate(panel.controls):
        at = [h for h, flags in kept.items() if not flags[j]]
        if at:
            where = (
                "" if len(at) == len(kept) else f" at event times {at[0]} to {at[-1]}"
            )
            notes.append(
                f"Left out{where}: '{name}': {who}effects of periods or other controls "
                "explain it."
            )
    return notes


def _apart(panel: Grid) -> str:
    """Why event times are missing in data that skip periods, else nothing."""
    step = int(np.diff(panel.periods).min()) if len(panel.periods) > 1 else 1
    if step == 1:
        return ""
    return (
        f"Event times count one by one, and the periods of these data are {step} apart: "
        "number them 1, 2, 3, …"
    )


def _copies(panel: Grid, weight: Floats) -> float:
    """Rows, or the copies that frequency weights (n,) stand for."""
    if panel.design.weight_kind == "frequency":
        return float(weight.sum())
    return float(len(weight))


def _changing(panel: Grid, reference: int) -> list[str]:
    """Whose weight a change has where weights change within units."""
    if panel.steady_weights:
        return []
    note = "The weights change within units: every difference has that of the period "
    return [f"{note}it is measured from (event time {reference})."]


def _regressed(panel: Grid, h: int, reference: int) -> tuple[Flags, float, int]:
    """Units, rows and periods of a horizon's regression, also where nobody starts.

    Rows are copies under frequency weights.
    """
    position = {int(p): t for t, p in enumerate(panel.periods)}
    rows, periods = 0.0, 0
    units = np.zeros(len(panel.cohort), dtype=bool)
    for g in panel.periods:
        t, b = position.get(int(g) + h), position.get(int(g) + reference)
        if t is None or b is None:
            continue
        clean = panel.cohort > g + max(h, 0) + panel.anticipation
        member = (clean | (panel.cohort == g)) & panel.seen[:, t] & panel.seen[:, b]
        units |= member
        rows += _copies(panel, panel.weight[member, b])
        periods += bool(member.any())
    return units, rows, periods


def _factor(panel: Grid, units: Flags, rows: float, K: int) -> float:
    """Root of G/(G-1) (N-1)/(N-K) over the units' clusters and the rows that are used."""
    G = len(np.unique(panel.cluster[units]))
    return float(np.sqrt(G / (G - 1) * (rows - 1) / (rows - K)))


def _stack_frame(stacks: dict[float, SubExperiment], share: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "cohort": [int(g) for g in stacks],
            "n_treated": [len(s.treated) for s in stacks.values()],
            "n_control": [len(s.control) for s in stacks.values()],
            "weight": share,
        }
    )
    return frame[frame["n_treated"] > 0].reset_index(drop=True)


def _report(
    request: Request,
    panel: Grid,
    events: list[Effect],
    reference: int,
    frame: pd.DataFrame,
    used: Flags,
    notes: list[str],
    bootstrap: int,
) -> Result:
    after = [e for e in events if e.at is not None and e.at >= 0]
    average = Effect(
        float(np.mean([e.estimate for e in after])),
        np.mean([e.psi for e in after], axis=0),
    )
    listed = f"{after[0].at} to {after[-1].at}"
    if "att" in (request.estimand or ("att",)):
        notes.append(f"att is the plain average over event times {listed}.")
    return result(
        request,
        panel,
        Effects(
            rows={"att": [average], "by_event_time": events},
            reference=(reference,),
            df_t=panel.n_clusters - 1.0,
            frames={"stacks": frame},
            scalars={"n_obs": float(used.sum())},
            notes=tuple(notes),
        ),
        bootstrap=bootstrap,
    )
