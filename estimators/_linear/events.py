"""The regression that `event_study` reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.design import (
    FEW_TREATED,
    Design,
    Regressor,
    build,
    control_regressors,
    label,
)
from estimators._linear.engine import Fit, fit
from estimators._linear.report import (
    Row,
    covariance_of,
    influence_of,
    joint,
    rows_of,
    scalars,
    table,
)
from estimators._linear.timing import first_treated
from estimators._linear.wild import bootstrapped
from estimators._math.projection import Codes, Flags, Floats
from framework.errors import EstimandError, IdentificationError, counted
from framework.result import Plot, Result

if TYPE_CHECKING:
    import pandas as pd

    from estimators._linear.options import SmallSample
    from framework.contract import Request


@dataclass(frozen=True, slots=True)
class Events:
    """Options of the event study, as in `EventStudy`."""

    window: tuple[int, int] | None
    reference: int
    ends: str
    always_treated: str | None


@dataclass(frozen=True, slots=True)
class _Times:
    """Event times of the rows, after the ends were dealt with.

    Attributes:
        treatment: its name.
        value: (n,) event time, missing = none (never treated).
        keep: (n,) rows used.
        cohort, unit: (n,) first treated period and unit.
        estimated: event times that get a coefficient, ascending.
        window: first and last event time shown.
    """

    treatment: str
    value: Floats
    keep: Flags
    cohort: Floats
    unit: Codes
    estimated: tuple[int, ...]
    window: tuple[int, int]
    notes: tuple[str, ...]


def event_study(
    request: Request, events: Events, small_sample: SmallSample, *, min_clusters: int
) -> Result:
    """Coefficients by event time, their average after treatment, joint pre-trend test.

    Raises:
        DataError: E01 and those of `build`.
        IdentificationError: E02, E04, E05, E07 and those of `build` and `fit`.
        NumericalError: N01 to N03.
    """
    times = _event_times(request, events)
    dummies = [
        Regressor(
            (times.value == k).astype(np.float64),
            times.treatment,
            "by_event_time",
            wanted=True,
            event_time=k,
            shown=times.window[0] <= k <= times.window[1],
        )
        for k in times.estimated
    ]
    design = build(
        request,
        [*dummies, *control_regressors(request)],
        keep=None if times.keep.all() else times.keep,
        notes=times.notes,
        min_clusters=min_clusters,
    )
    fitted = _fit(design, request, times, small_sample)

    anticipation = request.treatment.anticipation if request.treatment else 0
    rows = rows_of(fitted)
    shown = [r for r in rows if r.event_time is not None]
    before = [r for r in shown if r.event_time < -anticipation]  # type: ignore[operator]  # filtered above
    after = [r for r in shown if r.event_time >= 0]  # type: ignore[operator]  # filtered above
    notes = list(fitted.design.notes)
    if "att" in request.estimand and after:
        average = Row(
            times.treatment,
            "att",
            np.mean([r.weights for r in after], axis=0),
            influence=True,
        )
        at = 0 if request.estimand[0] == "att" else len(shown)
        rows.insert(at, average)
        listed = ", ".join(str(r.event_time) for r in after)
        notes.append(f"att is the plain average over event times {listed}.")
    main = [
        j
        for j, r in enumerate(fitted.design.regressors)
        if r.event_time is not None and r.shown
    ]
    frames = {"support": _support(fitted.design, times)}
    notes += _thin(frames["support"], [r.event_time for r in shown])
    outside = _outside(fitted, frames["support"])
    if outside is not None:
        frames["outside_window"] = outside
        notes.append(
            f"{counted(len(outside), 'event time')} outside the window estimated "
            "beside the others, neither shown nor tested (frames/outside_window of "
            "the run)."
        )
    null = (
        "all coefficients before treatment are 0"
        if not anticipation
        else f"all coefficients more than {anticipation} periods before are 0"
    )
    result = Result(
        coefficients=table(fitted, rows, request.confidence, ("event_time",)),
        influence=influence_of(fitted, rows),
        scalars=scalars(fitted, rows, main),
        tests=(joint(fitted, "joint_pretrend", null, before),),
        frames=frames,
        plots=(
            Plot(
                "event_study",
                "coefficients",
                options={"reference": events.reference, "test": "joint_pretrend"},
            ),
        ),
        notes=(
            f"Event time {events.reference} is the reference: zero by construction.",
            *notes,
        ),
    )
    return bootstrapped(result, fitted, rows, request)


def _event_times(request: Request, events: Events) -> _Times:
    treatment = request.treatment
    cohort = first_treated(request)
    if treatment is None or request.time is None or request.unit is None:
        raise IdentificationError("E01", "event times need units and periods")
    anticipation = treatment.anticipation
    if anticipation and -anticipation <= events.reference < 0:
        raise IdentificationError(
            "E07",
            f"reference {events.reference} lies within the "
            f"{counted(anticipation, 'period')} of anticipation",
            why="Effects would be measured against a period that already responds.",
            fix=f"estimator.reference: {-anticipation - 1}",
        )
    if events.window and not events.window[0] <= events.reference <= events.window[1]:
        low, high = min(events.window[0], events.reference), events.window[1]
        raise IdentificationError(
            "E02",
            f"reference {events.reference}, the last period before anticipation, lies "
            f"outside the window [{events.window[0]}, {events.window[1]}]",
            why="Effects are measured against it.",
            fix=f"estimator.window: [{low}, {high}]",
        )
    unit = request.frame[request.unit].to_numpy(dtype=np.int64)
    time = request.frame[request.time].to_numpy(dtype=np.float64)
    value = np.where(np.isfinite(cohort), time - cohort, np.nan)
    name = label(request, treatment.columns[0])
    keep, notes = _always_treated(events, unit, value)
    if not np.isfinite(value[keep]).any():
        raise IdentificationError(
            "I01",
            f"'{name}' does not vary: no treated unit in the sample",
            fix="see the row ledger: which restriction removed the treated units",
        )
    if events.window is not None:
        low, high = events.window
        with np.errstate(invalid="ignore"):
            outside = (value < low) | (value > high)
        if events.ends == "drop":
            notes.append(
                f"{counted(int((outside & keep).sum()), 'row')} outside the window "
                f"[{low}, {high}] left out."
            )
            keep = keep & ~outside
        elif events.ends == "bin":
            value = np.clip(value, low, high)
            notes.append(
                f"{counted(int((outside & keep).sum()), 'row')} outside the window put into "
                f"its end points: {low} means {low} or earlier, {high} means {high} "
                "or later."
            )
    occurring = np.unique(value[keep & np.isfinite(value)]).astype(int)
    if events.reference not in occurring:
        listed = ", ".join(str(k) for k in occurring if k < 0)
        raise IdentificationError(
            "E02",
            f"no rows at the reference event time {events.reference}",
            why="Coefficients are differences from the reference period.",
            fix=f"estimator.reference: one of {listed or 'no earlier event time'}",
        )
    window = events.window or (int(occurring.min()), int(occurring.max()))
    estimated = tuple(int(k) for k in occurring if k != events.reference)
    return _Times(name, value, keep, cohort, unit, estimated, window, tuple(notes))


def _always_treated(
    events: Events, unit: Codes, value: Floats
) -> tuple[Flags, list[str]]:
    """Rows to keep, after what the study says of units without a period before."""
    size = int(unit.max()) + 1 if len(unit) else 0
    ever = np.isfinite(value)
    before = np.zeros(size, dtype=bool)
    before[unit[ever & (value < 0)]] = True
    always = ever & ~before[unit]
    keep = np.ones(len(value), dtype=bool)
    if not always.any():
        return keep, []
    count = len(np.unique(unit[always]))
    if events.always_treated is None:
        raise IdentificationError(
            "E05",
            f"{counted(count, 'unit is', 'units are')} treated in all their periods",
            why="They have no period before treatment; kept, they shift the period "
            "effects by their own trend and change every coefficient.",
            fix="estimator.always_treated: drop (or keep)",
        )
    if events.always_treated == "drop":
        lost = int(always.sum())
        note = (
            f"{counted(count, 'unit')} treated in all their periods "
            f"({counted(lost, 'row')}) left out."
        )
        return ~always, [note]
    return keep, [f"{counted(count, 'unit')} treated in all their periods kept."]


def _fit(
    design: Design, request: Request, times: _Times, small_sample: SmallSample
) -> Fit:
    """The fit; event times collinear with effects or unit trends are E04."""
    try:
        return fit(design, request.inference, small_sample)
    except EstimandError as error:
        collinear = {p.code for p in error.problems} <= {"I02", "I03", "I04"}
        never = bool(np.isnan(times.value[design.rows]).any())
        if not collinear or (never and not design.slopes):
            raise
        if never:
            raise IdentificationError(
                "E04",
                f"slopes ({', '.join(design.slope_terms)}) beside a coefficient for "
                "every event time",
                why="A trend in event time is then the same as the treated units' own "
                "trends, so the coefficients are not identified.",
                fix="estimator: {event_study: {window: [lo, hi], ends: bin}}, or leave "
                "the slopes out",
            ) from error
        raise IdentificationError(
            "E04",
            "there is no never-treated unit and every event time has a coefficient",
            why="A linear trend in event time is then the same as unit and period "
            "effects, so the coefficients are not identified.",
            fix="estimator: {event_study: {window: [lo, hi], ends: bin}}, or an "
            "estimator with not-yet-treated controls",
        ) from error


def _support(design: Design, times: _Times) -> pd.DataFrame:
    """Rows, units and cohorts under every event time, the reference included."""
    import pandas as pd

    value = times.value[design.rows]
    unit, cohort = times.unit[design.rows], times.cohort[design.rows]
    rows = []
    for k in np.unique(value[np.isfinite(value)]):
        on = value == k
        rows.append(
            {
                "event_time": int(k),
                "n_units": len(np.unique(unit[on])),
                "n_obs": int(on.sum()),
                "n_cohorts": len(np.unique(cohort[on])),
            }
        )
    return pd.DataFrame(rows)


def _thin(support: pd.DataFrame, shown: Sequence[int | None]) -> list[str]:
    """A warning for shown event times that few units stand behind."""
    thin = support[support.event_time.isin(shown) & (support.n_units < FEW_TREATED)]
    if thin.empty:
        return []
    listed = ", ".join(str(k) for k in thin.event_time)
    note = (
        f"Event times {listed} rest on fewer than {FEW_TREATED} units (frame support): "
        "their standard errors are far too small."
    )
    return [note]


def _outside(fitted: Fit, support: pd.DataFrame) -> pd.DataFrame | None:
    """Coefficients that are estimated but not shown."""
    import pandas as pd

    k = len(fitted.estimate)
    hidden: list[Row] = []
    for j, r in enumerate(fitted.design.regressors):
        if not r.shown:
            weights = np.zeros(k)
            weights[j] = 1.0
            hidden.append(
                Row(r.term, r.estimand, weights, False, event_time=r.event_time)
            )
    if not hidden:
        return None
    estimate, V = covariance_of(fitted, hidden)
    rows = pd.DataFrame(
        {
            "event_time": [r.event_time for r in hidden],
            "estimate": estimate,
            "std_error": np.sqrt(np.diag(V)),
        }
    )
    return rows.merge(support, on="event_time", how="left")
