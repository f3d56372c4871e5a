"""A balanced panel with never-treated units and cohorts of treated ones, guarded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from estimators._linear.design import label
from estimators._linear.timing import first_treated
from estimators._math.synthetic_did import Span
from estimators._staggered.grid import effects_of_model, occurring
from framework.errors import (
    DataError,
    EstimandError,
    IdentificationError,
    Problem,
    counted,
)

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request

Floats = NDArray[np.float64]

#: Cells that an error names one by one.
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Block:
    """N units x T periods.

    Attributes:
        treatment, outcome: their names.
        units: (N,) names of the units; `periods` (T,) ascending.
        Y: (N, T).
        X: (k, N, T) controls, `controls` their names.
        cohort: (N,) first treated period, inf = not treated in the sample.
        cohorts: first treated periods that occur, ascending.
        anticipation: periods before these that belong to neither side.
        notes: sentences so far.
    """

    treatment: str
    outcome: str
    units: NDArray[Any]
    periods: NDArray[np.int64]
    Y: Floats
    X: Floats
    controls: tuple[str, ...]
    cohort: Floats
    cohorts: Floats
    anticipation: int
    notes: tuple[str, ...]

    @property
    def never(self) -> NDArray[np.int64]:
        """Positions of the untreated units."""
        return np.flatnonzero(np.isinf(self.cohort))

    @property
    def treated(self) -> NDArray[np.int64]:
        """Positions of the treated units."""
        return np.flatnonzero(np.isfinite(self.cohort))

    def span(self, g: float) -> Span:
        """Periods before and under the treatment of cohort `g`."""
        return Span(
            int((self.periods < g - self.anticipation).sum()),
            int((self.periods < g).sum()),
        )


def block(request: Request, *, fewest_before: int) -> Block:
    """The balanced panel of a request.

    Args:
        request: the estimation.
        fewest_before: periods without treatment that every cohort must have.

    Raises:
        DataError: D05 no rows, D06 constant outcome, D08 not finite, E01, E06, P02
            missing unit-periods.
        IdentificationError: E04 no untreated unit, E05 too few periods before
            treatment, E11 other fixed effects, I01 nobody is treated, I09 rows repeat.
    """
    effects_of_model(request)
    cohort_of_row = first_treated(request)
    frame, unit, time, treatment = (
        request.frame,
        request.unit,
        request.time,
        request.treatment,
    )
    if unit is None or time is None or treatment is None:
        raise IdentificationError("E01", "cohorts need units and periods")
    names = request.ids.get(unit)
    notes = []
    when = frame[time].to_numpy(dtype=np.int64)
    ended = _without_treated(when, np.isfinite(cohort_of_row))
    if ended.any():
        lost = np.unique(when[ended])
        frame, cohort_of_row = frame[~ended], cohort_of_row[~ended]
        notes.append(
            f"{counted(len(lost), 'period')} without a row of any treated unit ({lost[0]} to "
            f"{lost[-1]}) left out."
        )
    levels, i = np.unique(frame[unit].to_numpy(dtype=np.int64), return_inverse=True)
    periods, t = np.unique(frame[time].to_numpy(dtype=np.int64), return_inverse=True)
    units = levels if names is None else np.asarray(names)[levels]
    shape = (len(levels), len(periods))
    _whole(i, t, units, periods)
    controls = list(dict.fromkeys(request.controls))
    _finite(request, frame, [request.outcome, *controls])

    def wide(alias: str) -> Floats:
        out = np.empty(shape)
        out[i, t] = frame[alias].to_numpy(dtype=np.float64)
        return out

    Y = wide(request.outcome)
    X = np.stack([wide(c) for c in controls]) if controls else np.empty((0, *shape))
    cohort = np.empty(shape[0])
    cohort[i] = cohort_of_row
    k = treatment.anticipation
    later = np.isfinite(cohort) & (cohort > periods[-1] + k)
    if later.any():
        notes.append(
            f"{counted(int(later.sum()), 'unit')} first treated after the last period "
            "taken as never treated."
        )
        cohort[later] = np.inf
    between = np.isfinite(cohort) & (cohort > periods[-1])
    if between.any():
        notes.append(
            f"{counted(int(between.sum()), 'unit')} whose treatment may be anticipated "
            "but never starts in the sample left out."
        )
        units, Y, X, cohort = (
            units[~between],
            Y[~between],
            X[:, ~between],
            cohort[~between],
        )
    if k:
        notes.append(
            f"{counted(k, 'period of anticipation is', 'periods of anticipation are')} "
            "neither before nor after treatment."
        )
    problems = list(_unfit(request, Y, cohort - k, periods, fewest_before))
    if problems:
        raise EstimandError(problems)
    return Block(
        treatment=label(request, treatment.columns[0]),
        outcome=label(request, request.outcome),
        units=units,
        periods=periods,
        Y=Y,
        X=X,
        controls=tuple(label(request, c) for c in controls),
        cohort=cohort,
        cohorts=occurring(cohort),
        anticipation=k,
        notes=tuple(notes),
    )


def _without_treated(when: NDArray[np.int64], ever: NDArray[np.bool_]) -> Any:
    """Rows (n,) before the first or after the last row of units that are treated."""
    if not ever.any():
        return np.zeros(len(when), dtype=bool)
    return (when < when[ever].min()) | (when > when[ever].max())


def _whole(
    i: NDArray[Any],
    t: NDArray[Any],
    units: NDArray[Any],
    periods: NDArray[np.int64],
) -> None:
    seen = np.zeros((len(units), len(periods)), dtype=np.int64)
    np.add.at(seen, (i, t), 1)
    if (seen > 1).any():
        raise IdentificationError(
            "I09",
            "units have more than one row in a period",
            fix="data.panel: the columns that name a row",
        )
    holes = np.argwhere(seen == 0)
    if len(holes):
        shown = ", ".join(f"{units[a]} {periods[b]}" for a, b in holes[:_SHOWN])
        more = f" and {len(holes) - _SHOWN} more" if len(holes) > _SHOWN else ""
        raise DataError(
            "P02",
            f"{len(holes)} of {seen.size} unit-periods are missing: {shown}{more}",
            why="A weighted average of controls needs every one of them in every "
            "period.",
            fix="sample: {whole: balanced}, or fill or drop the units in data.steps",
        )


def _finite(request: Request, frame: pd.DataFrame, aliases: list[str]) -> None:
    problems: list[Problem] = []
    for alias in aliases:
        bad = int(np.count_nonzero(~np.isfinite(frame[alias].to_numpy(np.float64))))
        if bad:
            problems += DataError(
                "D08",
                f"'{label(request, alias)}' is missing or infinite in {bad} of "
                f"{counted(len(frame), 'row')}",
                fix="data.missing: drop, or a step that fills or filters them",
            ).problems
    if problems:
        raise EstimandError(problems)


def _unfit(
    request: Request,
    Y: Floats,
    cohort: Floats,
    periods: NDArray[np.int64],
    fewest_before: int,
) -> Iterator[Problem]:
    treated = np.isfinite(cohort)
    if np.ptp(Y) == 0:
        yield from DataError(
            "D06",
            f"outcome '{label(request, request.outcome)}' is constant "
            f"({Y.flat[0]:.6g} in all {Y.size} rows)",
            why="Every weighted average of controls would fit it.",
            fix="check how the outcome is built and which rows the sample keeps",
        ).problems
    if not treated.any():
        yield from IdentificationError(
            "I01",
            "no unit is treated in the estimation sample",
            why="Without treated and untreated units there is no effect to see.",
            fix="see the row ledger: the sample may have lost one of the groups",
        ).problems
        return
    if treated.all():
        yield from IdentificationError(
            "E04",
            "every unit is treated in the end",
            why="The weights are those of units that are never treated.",
            fix="a sample that ends before the last units are treated, or "
            "`callaway_santanna`",
        ).problems
    before = (periods[None, :] < cohort[treated, None]).sum(axis=1)
    short = int((before < fewest_before).sum())
    if short:
        yield from IdentificationError(
            "E05",
            f"{counted(short, 'treated unit has', 'treated units have')} fewer than "
            f"{fewest_before} periods before treatment",
            why="The weights are chosen to follow them in these periods.",
            fix="a longer panel, or leave them out with `without`",
        ).problems
