"""Who gets which dose from when on, read from the treatment's path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._linear.design import label
from estimators._math.projection import Codes, Flags, Floats
from framework.errors import (
    DataError,
    EstimandError,
    IdentificationError,
    Problem,
    counted,
)

if TYPE_CHECKING:
    from framework.contract import Request, Treatment

#: Relative change of a dose up to which it counts as the same number.
SAME = 1e-9
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Doses:
    """The dose of every row's unit.

    Attributes:
        term: the user's name of the dose.
        start: (n,) first period with a dose in the whole panel, inf = never.
        dose: (n,) dose from then on, 0 = never.
    """

    term: str
    start: Floats
    dose: Floats


def doses_of(request: Request) -> Doses:
    """Start and size of every unit's dose.

    Raises:
        DataError: E01 a dose that starts in a gap, E06 one that changes or is negative.
        IdentificationError: E05 no rows without a dose, E15 no single dose.
    """
    treatment, unit, time = request.treatment, request.unit, request.time
    if treatment is None or unit is None or time is None:
        raise DataError("E01", "doses need a treatment, units and periods")
    name = label(request, treatment.columns[0])
    if treatment.kind != "dose" or len(treatment.columns) != 1:
        raise _no_single_dose(request, treatment)
    path = _Path.of(request, treatment, unit, time)
    if problems := list(path.problems(name, request)):
        raise EstimandError(problems)
    code = request.frame[unit].to_numpy(dtype=np.int64)
    return Doses(name, path.start[code], path.dose[code])


def onset(request: Request, doses: Doses) -> Request:
    """The request with a 0/1 treatment that starts with the dose."""
    if request.treatment is None or request.time is None:
        return request
    time = request.frame[request.time].to_numpy(dtype=np.float64)
    first, on = "first with a dose", "with a dose"
    frame = request.frame.assign(
        **{first: doses.start, on: (time >= doses.start).astype(np.float64)}
    )
    treatment = replace(
        request.treatment,
        kind="absorbing",
        columns=(on,),
        judged=(on,),
        cohort=first,
        series=None,
    )
    labels = {**request.labels, on: doses.term, first: f"start of {doses.term}"}
    return replace(request, frame=frame, treatment=treatment, labels=labels)


def _no_single_dose(request: Request, treatment: Treatment) -> IdentificationError:
    listed = ", ".join(f"'{label(request, c)}'" for c in treatment.columns)
    return IdentificationError(
        "E15",
        f"one dose is needed; the treatment is {listed} of kind {treatment.kind}",
        why="The effect is a function of one quantity that starts once and stays.",
        fix=f"treatment: {{column: {label(request, treatment.columns[0])}, kind: dose}}",
    )


@dataclass(frozen=True, slots=True)
class _Path:
    """The treatment over the whole panel, sorted by unit and time.

    Attributes:
        unit, time, value: (r,) rows with a known treatment.
        start, dose: (N,) by unit code.
    """

    unit: Codes
    time: Codes
    value: Floats
    start: Floats
    dose: Floats

    @classmethod
    def of(cls, request: Request, treatment: Treatment, unit: str, time: str) -> _Path:
        held = treatment.series
        if held is None:
            columns = {unit: "unit", time: "time", treatment.columns[0]: "value"}
            held = request.frame[list(columns)].rename(columns=columns)
        value = held["value"].to_numpy(dtype=np.float64)
        known = np.isfinite(value)
        code = held["unit"].to_numpy(dtype=np.int64)[known]
        period = held["time"].to_numpy(dtype=np.int64)[known]
        order = np.lexsort((period, code))
        code, period, value = code[order], period[order], value[known][order]
        N = 1 + max(int(code.max(initial=-1)), int(request.frame[unit].max()))
        on = value != 0
        start, dose = np.full(N, np.inf), np.zeros(N)
        first = np.flatnonzero(on)[np.unique(code[on], return_index=True)[1]]
        start[code[first]], dose[code[first]] = period[first], value[first]
        return cls(code, period, value, start, dose)

    def problems(self, name: str, request: Request) -> Iterator[Problem]:
        """Every reason why there is no single dose from a known period on."""
        ids = request.ids.get(request.unit or "")
        after = self.time >= self.start[self.unit]
        own = self.dose[self.unit]
        negative = _units(self.unit, self.value < 0)
        if len(negative):
            yield from DataError(
                "E06",
                f"'{name}' is negative in {counted(len(negative), 'unit')} "
                f"({_named(ids, negative)})",
                why="A dose counts from none; units below and above it are no single "
                "curve from zero.",
                fix="a dose of the other sign in a column and a line of its own",
            ).problems
        moved = _units(self.unit, after & (np.abs(self.value - own) > SAME * abs(own)))
        if len(moved):
            yield from DataError(
                "E06",
                f"'{name}' changes after it has started in {counted(len(moved), 'unit')} "
                f"({_named(ids, moved)})",
                why="A unit has one dose here; with several, its outcome shows the "
                "effects of all of them at once.",
                fix="the dose at the start as a column, with treatment.first_treated; "
                "or dechaisemartin_dhaultfoeuille, which follows changes",
            ).problems
        treated = np.isfinite(self.start)
        always = _units(self.unit, after) if treated.any() else np.empty(0, np.int64)
        before = _units(self.unit, ~after)
        if len(always) and not np.isin(always, before).any():
            yield from IdentificationError(
                "E05",
                f"'{name}' is there in every row of the {len(always)} units that have a "
                "dose",
                why="They have no period before it starts, so nothing says what they "
                "would have been without it.",
                fix="where the column holds the dose in earlier rows, too, say when it "
                "starts: treatment.first_treated",
            ).problems
        if "onset_in_gap" not in request.acknowledge:
            gap = self._in_gap(before)
            if len(gap):
                yield from DataError(
                    "E01",
                    f"{counted(len(gap), 'unit has', 'units have')} no row just before "
                    f"their dose is first seen ({_named(ids, gap)})",
                    why="The period in which it started is not known, and the base "
                    "period comes before it.",
                    fix="leave those units out",
                    acknowledge="onset_in_gap",
                ).problems

    def _in_gap(self, before: Codes) -> Codes:
        """Units, seen before their dose, without a row in the period ahead of it."""
        periods = np.unique(self.time)
        units = before[np.isfinite(self.start[before])]
        ahead = np.searchsorted(periods, self.start[units]) - 1
        seen = self.unit * len(periods) + np.searchsorted(periods, self.time)
        wanted = units * len(periods) + ahead
        absent = ~np.isin(wanted, seen)
        return np.asarray(units[absent])


def _units(code: Codes, rows: Flags) -> Codes:
    return np.unique(code[rows])


def _named(ids: Any, units: Codes) -> str:
    """`first: a, b, c`."""
    shown: Sequence[Any] = units[:_SHOWN].tolist()
    return "first: " + ", ".join(str(u if ids is None else ids[u]) for u in shown)
