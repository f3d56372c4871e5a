"""What steps on columns share: which columns they read, make and change.

One rule for all: `columns: gdp` makes the column that the step is named after,
`columns: [gdp, fdi]` changes these in place, `columns: {eco: gdp}` makes `eco`.
Nothing given means every column of numbers that is neither protected (unit, time,
treatment, instruments, weights) nor 0/1.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, field_validator

from framework.condition import as_numbers, kind_of, require
from framework.contract import Step, StepOutput
from framework.errors import DataError, EstimandError, Problem, SpecError, counted
from framework.panel import LedgerLine, Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Floats = npt.NDArray[np.float64]

Columns = str | list[str] | dict[str, str]


class ColumnStep(Step):
    """A step that treats each of its columns by itself."""

    main: ClassVar[str | None] = "columns"
    columns: Columns | None = Field(
        description="a column, a list to change in place, or a mapping new: old"
    )

    @field_validator("columns")
    @classmethod
    def _some(cls, value: Columns | None) -> Columns | None:
        if value is not None and not value:
            raise ValueError("names no column")
        if isinstance(value, list) and len(set(value)) < len(value):
            raise ValueError("names a column twice")
        return value

    def reads(self, name: str) -> tuple[str, ...]:
        """The columns on the right-hand side."""
        return tuple(dict.fromkeys(old for _, old in pairs(self.columns, name)))

    def makes(self, name: str) -> tuple[str, ...]:
        """The columns of a mapping, or the one named after the step."""
        if isinstance(self.columns, list):
            return ()
        return tuple(new for new, _ in pairs(self.columns, name))

    def touches(self, name: str) -> tuple[str, ...]:
        """The columns of a list."""
        del name
        return tuple(self.columns) if isinstance(self.columns, list) else ()


class Elementwise(ColumnStep):
    """A function of one cell."""

    columns: Columns = Field(
        description="a column, a list to change in place, or a mapping new: old"
    )

    @abstractmethod
    def values(self, x: Floats, column: str) -> Floats:
        """The function of a column.

        Raises:
            DataError: D08, cells where it has no value.
        """

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Apply the function to every column; all problems at once."""
        made: dict[str, Floats] = {}
        problems: list[Problem] = []
        for new, old in chosen(panel, self.columns, name, protected):
            try:
                made[new] = self.values(as_numbers(panel.frame[old], old), old)
            except EstimandError as error:
                problems.extend(error.problems)
        if problems:
            raise EstimandError(problems)
        word = type(self).__name__.lower()
        listed = pairs(self.columns, name)
        detail = f"{word} of {listing(old for _, old in listed)}"
        return finish(panel, name, made, detail, protected)


def pairs(columns: Columns | None, name: str) -> tuple[tuple[str, str], ...]:
    """(new, old) names; in place they are the same."""
    if columns is None:
        return ()
    if isinstance(columns, str):
        return ((name, columns),)
    if isinstance(columns, list):
        return tuple((column, column) for column in columns)
    return tuple(columns.items())


def chosen(
    panel: Panel, columns: Columns | None, name: str, protected: frozenset[str]
) -> tuple[tuple[str, str], ...]:
    """(new, old) names, checked against the panel.

    Raises:
        EstimandError: X01 a column does not exist, X13 a column to make exists, X14 the
            unit or time would change.
    """
    if columns is None:
        keys = protected | {panel.unit, panel.time}
        return tuple(
            (str(column), str(column))
            for column in panel.frame.columns
            if column not in keys and _ordinary(panel.frame[column])
        )
    found = pairs(columns, name)
    problems: list[Problem] = []
    for new, old in found:
        try:
            require(panel.frame, old)
            if new == old and isinstance(columns, list):
                if new in {panel.unit, panel.time}:
                    raise SpecError(
                        "X14",
                        f"step '{name}' would change '{new}', a key of the panel",
                        fix="make a new column: columns: {new: " + new + "}",
                    )
            else:
                not_there(panel, new, name)
        except EstimandError as error:
            problems.extend(error.problems)
    if problems:
        raise EstimandError(problems)
    return found


def not_there(panel: Panel, column: str, name: str) -> None:
    """Raise X13 if a column that a step makes exists already."""
    if column in panel.frame.columns:
        raise SpecError(
            "X13",
            f"step '{name}' makes '{column}', and the data have such a column",
            why="the data's own numbers would be lost without a word",
            fix=f"give it another name, or change in place: columns: [{column}]",
        )


def _ordinary(series: pd.Series[Any]) -> bool:
    """Numbers other than 0/1."""
    return (
        series.dtype.kind in "if"
        and bool(series.notna().any())
        and not series.dropna().isin([0, 1]).all()
    )


def has_time(panel: Panel, name: str) -> tuple[str, str]:
    """Unit and time of a panel.

    Raises:
        DataError: P04, the data are not a panel.
    """
    if panel.unit is None or panel.time is None:
        raise DataError(
            "P04",
            f"step '{name}' follows units over time, and the data have no units",
            fix="data.panel: {unit: …, time: …}",
        )
    return panel.unit, panel.time


def shifted(panel: Panel, column: str, periods: int, name: str) -> pd.Series[Any]:
    """The unit's cell `periods` earlier (negative: later) by the calendar.

    A period that the unit is not observed in gives a missing cell, never the cell of
    the next row.
    """
    import numpy as np
    import pandas as pd

    unit, time = has_time(panel, name)
    codes = pd.factorize(panel.frame[unit])[0].astype(np.int64)
    clock = panel.frame[time].to_numpy(dtype=np.int64)
    first, last = int(clock.min()), int(clock.max())
    source = clock - periods
    span = last - first + 1
    key, wanted = codes * span + clock - first, codes * span + source - first
    order = np.argsort(key, kind="stable")
    at = np.searchsorted(key, wanted, sorter=order).clip(max=len(key) - 1)
    row = order[at]
    found = (key[row] == wanted) & (source >= first) & (source <= last)
    cells = panel.frame[column].reset_index(drop=True)
    moved = cells.reindex(np.where(found, row, -1))
    return moved.set_axis(panel.frame.index)


def at_period(panel: Panel, column: str, period: int, name: str) -> pd.Series[Any]:
    """The unit's cell in one period, in all rows of the unit.

    Raises:
        DataError: T04, no unit is observed in that period.
    """
    unit, time = has_time(panel, name)
    frame = panel.frame
    rows = frame[frame[time] == period]
    if not len(rows):
        raise DataError(
            "T04",
            f"step '{name}' wants '{column}' at {period}, and no row is of that period",
            fix=f"the periods are {frame[time].min()} to {frame[time].max()}",
        )
    return frame[unit].map(rows.set_index(unit)[column])


def finish(
    panel: Panel,
    name: str,
    made: Mapping[str, Any],
    detail: str,
    protected: frozenset[str] = frozenset(),
    frames: Mapping[str, pd.DataFrame] | None = None,
    notes: tuple[str, ...] = (),
) -> StepOutput:
    """The panel with these columns, its ledger line and what must be said.

    The ledger counts cells that changed, in a new column those that are not missing.
    """
    touched = [c for c in made if c in protected and c in panel.frame.columns]
    said = tuple(
        f"step '{name}' changes '{column}' (treatment, instrument or weight) because "
        "the study lists it"
        for column in touched
    )
    frame = panel.frame.assign(**made)
    cells = sum(_changed(panel.frame, frame, column) for column in made)
    rows = len(frame)
    line = LedgerLine("step", name, rows, rows, cells, detail)
    return StepOutput(panel.with_frame(frame, line), frames or {}, (*said, *notes))


def _changed(before: pd.DataFrame, after: pd.DataFrame, column: str) -> int:
    new = after[column]
    if column not in before.columns:
        return int(new.notna().sum())
    old = before[column]
    same = (old == new) | (old.isna() & new.isna())
    return int((~same).sum())


def whole(values: Floats) -> Any:
    """As int64 if nothing is missing: 0/1 and group numbers print as 0, 1, 2."""
    import numpy as np

    return values if np.isnan(values).any() else values.astype(np.int64)


def listing(columns: Any, limit: int = 6) -> str:
    """`a, b, … (20 columns)` for the ledger."""
    names = [str(column) for column in columns]
    more = f", … ({counted(len(names), 'column')})" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def no_value(count: int, rows: int, what: str, why: str, fix: str) -> DataError:
    """D08: cells where a function has no value."""
    return DataError("D08", f"{what}: {count:,} of {rows:,} cells are {why}", fix=fix)


__all__ = [
    "ColumnStep",
    "Columns",
    "Elementwise",
    "as_numbers",
    "at_period",
    "chosen",
    "finish",
    "has_time",
    "kind_of",
    "listing",
    "no_value",
    "not_there",
    "pairs",
    "shifted",
    "whole",
]
