"""Leads and lags of a treatment, as plain columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.design import Regressor, label
from estimators._math.projection import Flags, Floats
from framework.errors import DataError, IdentificationError, counted

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request


@dataclass(frozen=True, slots=True)
class Shifted:
    """Lead and lag columns over all rows, and the rows where all are known."""

    regressors: tuple[Regressor, ...]
    keep: Flags | None
    notes: tuple[str, ...]


def always_treated(request: Request) -> tuple[str, ...]:
    """A note on units whose every row is treated: they have no untreated period.

    With unit effects they say nothing of the effect's onset and stand among the
    controls of units treated later, which biases the coefficient where effects grow
    (Goodman-Bacon 2021, eq. 10: "later v always").
    """
    treatment = request.treatment
    if treatment is None or treatment.kind != "absorbing" or request.unit is None:
        return ()
    if len(treatment.columns) != 1 or request.time is None:
        return ()
    d = request.frame[treatment.columns[0]].to_numpy(dtype=np.float64)
    unit = request.frame[request.unit].to_numpy(dtype=np.int64)
    _, code = np.unique(unit, return_inverse=True)
    lowest = np.full(code.max() + 1, np.inf)
    np.minimum.at(lowest, code, d)
    always, units = int((lowest > 0).sum()), len(lowest)
    if not always or always == units:
        return ()
    held = request.unit in request.fixed_effects
    why = (
        "with unit effects they serve only as controls of units treated later, which "
        "biases the coefficient where effects grow"
        if held
        else "what sets them apart from the others counts as the effect"
    )
    have = "has" if always == 1 else "have"
    said = (
        f"Always treated: {always} of {units} units {have} no untreated period in the "
    )
    fix = "Leave them out with `without`, or see the event study."
    return (f"{said}sample; {why}. {fix}",)


def leads_and_lags(request: Request, orders: Sequence[int]) -> Shifted:
    """The main treatment `order` periods later (negative: lead) in calendar time.

    `d[i, t - order]` from the unit's own series over the whole prepared panel, so a
    sample restriction cuts no history. An absorbing treatment is known at any time
    from its first treated period. Otherwise rows without a value are left out.

    Raises:
        IdentificationError: I10 no panel, so there is no other period to look at.
    """
    treatment = request.treatment
    n = len(request.frame)
    if not orders or treatment is None:
        return Shifted((), None, ())
    if request.unit is None or request.time is None:
        raise IdentificationError(
            "I10",
            "leads and lags need a panel with units and periods",
            fix="data.panel: {unit: …, time: …}, or leave leads and lags out",
        )
    name = label(request, treatment.columns[0])
    time = request.frame[request.time].to_numpy(dtype=np.int64)
    keep = np.ones(n, dtype=bool)
    found: list[Regressor] = []
    notes: list[str] = []
    if treatment.kind == "absorbing" and treatment.cohort is not None:
        cohort = first_treated(request)
        for order in orders:
            values = (time - order >= cohort).astype(np.float64)
            found.append(_shifted(name, order, values))
        if min(orders) < 0:
            notes.append(
                f"Leads of '{name}' move the first treated period; units untreated at "
                "the end of the data count as untreated after it."
            )
        return Shifted(tuple(found), None, tuple(notes))
    if treatment.series is None:
        raise IdentificationError(
            "I10",
            f"the series of '{name}' over time is not known",
            fix="leave leads and lags out, or declare the panel's unit and time",
        )
    unit = request.frame[request.unit].to_numpy(dtype=np.int64)
    lookup = _Series.of(treatment.series)
    for order in orders:
        values = lookup.at(unit, time - order)
        keep &= np.isfinite(values)
        found.append(_shifted(name, order, values))
    lost = int((~keep).sum())
    if lost:
        listed = ", ".join(r.name for r in found)
        notes.append(f"{counted(lost, 'row')} without a value of {listed} left out.")
    return Shifted(tuple(found), keep if lost else None, tuple(notes))


def _shifted(name: str, order: int, values: Floats) -> Regressor:
    return Regressor(
        values,
        name,
        "lead" if order < 0 else "lag",
        wanted=True,
        order=order,
    )


@dataclass(frozen=True, slots=True)
class _Series:
    """The treatment by (unit, time), sorted by `key`."""

    key: np.ndarray
    value: Floats
    span: int
    low: int

    @classmethod
    def of(cls, series: pd.DataFrame) -> _Series:
        unit = series["unit"].to_numpy(dtype=np.int64)
        time = series["time"].to_numpy(dtype=np.int64)
        low, span = int(time.min()), int(time.max() - time.min()) + 1
        key = unit * span + (time - low)
        order = np.argsort(key, kind="stable")
        value = series["value"].to_numpy(dtype=np.float64)
        return cls(key[order], value[order], span, low)

    def at(self, unit: np.ndarray, time: np.ndarray) -> Floats:
        """Values (n,), missing where the unit has no such period."""
        offset = time - self.low
        inside = (offset >= 0) & (offset < self.span)
        wanted = unit * self.span + np.where(inside, offset, 0)
        at = np.minimum(np.searchsorted(self.key, wanted), len(self.key) - 1)
        found = inside & (self.key[at] == wanted)
        return np.where(found, self.value[at], np.nan)


def first_treated(request: Request) -> Floats:
    """First treated period by row (n,), inf = never, checked against the treatment.

    Raises:
        DataError: E06 the treatment is not one from that period on.
    """
    treatment = request.treatment
    if treatment is None or treatment.cohort is None or request.time is None:
        raise DataError(
            "E01",
            "the first treated period of the units is not known",
            why="Event time counts from it; guessing it from gaps would move it.",
            fix="treatment: {first_treated: column, never: value}, or an absorbing "
            "0/1 treatment in a panel",
        )
    cohort = request.frame[treatment.cohort].to_numpy(dtype=np.float64)
    time = request.frame[request.time].to_numpy(dtype=np.float64)
    on = request.frame[treatment.columns[0]].to_numpy(dtype=np.float64)
    wrong = int(np.count_nonzero((time >= cohort) != (on != 0)))
    if wrong:
        name = label(request, treatment.columns[0])
        raise DataError(
            "E06",
            f"'{name}' is not one from the first treated period on ({counted(wrong, 'row')})",
            why="Leads and event times count from that period.",
            fix="treatment: {first_treated: column} alone makes the 0/1 column",
        )
    return cohort
