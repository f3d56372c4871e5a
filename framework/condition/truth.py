"""Where a condition is true, and where a missing cell leaves it unknown."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from framework.condition.cells import (
    kind_of,
    missing_in,
    require,
    said_of,
    sample_of,
)
from framework.condition.trees import (
    Column,
    Comparison,
    Condition,
    IsMissing,
    Junction,
    Membership,
    Not,
    Number,
    Text,
)
from framework.errors import DataError, SpecError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]
    Dates = Mapping[str, pd.Series[Any]]

#: Whole numbers that are read as years.
_YEARS = (1500, 2200)
_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def evaluate(
    condition: Condition,
    frame: pd.DataFrame,
    dates: Mapping[str, pd.Series[Any]] | None = None,
) -> tuple[Flags, Flags]:
    """Where the condition is true and where it is unknown.

    Args:
        condition: parsed by `parse`.
        frame: any frame that has the columns.
        dates: columns of `frame` that count dates, as those dates: what a text or a
            column of dates is compared with.

    Returns:
        Two boolean arrays of length `len(frame)`, never both true in a row: `true` and
        `unknown` (a missing cell decides). Rows of a sample are those that are true.

    Raises:
        SpecError: X01, a column does not exist; X22, a bare word is also a column.
        DataError: D07, a comparison of text with a number, or of text by size.
    """
    for name in condition.columns():
        require(frame, name)
    return _truth(condition, frame, dates or {})


def _truth(
    condition: Condition, frame: pd.DataFrame, dates: Dates
) -> tuple[Flags, Flags]:
    if isinstance(condition, Comparison):
        return _compare(condition, frame, dates)
    if isinstance(condition, Membership):
        return _member(condition, frame, dates)
    if isinstance(condition, IsMissing):
        missing = missing_in(frame[condition.column])
        return (~missing if condition.negated else missing), missing & False
    if isinstance(condition, Not):
        true, unknown = _truth(condition.part, frame, dates)
        return ~true & ~unknown, unknown
    if isinstance(condition, Junction):
        return _join(condition, frame, dates)
    raise TypeError(f"not a condition: {condition!r}")


def _join(
    condition: Junction, frame: pd.DataFrame, dates: Dates
) -> tuple[Flags, Flags]:
    true, unknown = _truth(condition.parts[0], frame, dates)
    for part in condition.parts[1:]:
        more, doubt = _truth(part, frame, dates)
        false = ~(true | unknown), ~(more | doubt)
        if condition.word == "and":
            true, unknown = true & more, (unknown | doubt) & ~false[0] & ~false[1]
        else:
            true, unknown = true | more, (unknown | doubt) & ~true & ~more
    return true, unknown


def _compare(
    test: Comparison, frame: pd.DataFrame, dates: Dates
) -> tuple[Flags, Flags]:
    left = frame[test.column]
    missing = missing_in(left)
    right: Any
    if isinstance(test.value, Column):
        right = frame[test.value.name]
        if kind_of(right) == "date":
            left = dates.get(test.column, left)
        elif kind_of(left) == "date":
            right = dates.get(test.value.name, right)
        missing = missing | missing_in(right)
        kinds = {kind_of(left), kind_of(right)} - {"empty"}
        if len(kinds) > 1:
            raise DataError(
                "D07",
                f"`{test}` compares {said_of(left)} with {said_of(right)}",
                fix="give both the same type in data.columns",
            )
        kind = kinds.pop() if kinds else "empty"
    else:
        left = _comparable(test.column, left, test.value, dates)
        kind = kind_of(left)
        right = _fitting(test.column, left, test.value, frame)
    if kind == "empty" or missing.all():
        return missing & False, missing | True
    if kind == "text" and test.operator not in {"=", "!="}:
        raise DataError(
            "D07",
            f"`{test}` compares by size, but '{test.column}' is text ({sample_of(left)})",
            fix=f"use = or in (…), or data.columns.{test.column}: {{type: number}}",
        )
    true = _flags(_COMPARE[test.operator](left, right))
    return true & ~missing, missing


def _member(test: Membership, frame: pd.DataFrame, dates: Dates) -> tuple[Flags, Flags]:
    left = frame[test.column]
    missing = missing_in(left)
    true = missing & False
    if not missing.all():
        for value in test.values:
            cells = _comparable(test.column, left, value, dates)
            true |= _flags(cells == _fitting(test.column, cells, value, frame))
    true &= ~missing
    return (~true & ~missing if test.negated else true), missing


def _comparable(
    column: str, left: pd.Series[Any], value: Number | Text, dates: Dates
) -> pd.Series[Any]:
    """The column, or the dates that it counts where a text is to be one.

    Raises:
        DataError: D07 a year beside dates that are counted in parts of a year.
    """
    if isinstance(value, Text):
        return dates.get(column, left)
    if column in dates and _is_year(value.value) and not left.between(*_YEARS).any():
        counted = f"counted from {left.min()} to {left.max()}"
        raise DataError(
            "D07",
            f"'{column}' holds dates, {counted}, and is compared with {value.value:g}",
            why="the year would be read as such a count, and all rows compare alike",
            fix=f"write the date in quotes: '{value.value:g}-01-01'",
        )
    return left


def _is_year(value: float) -> bool:
    return float(value).is_integer() and _YEARS[0] <= value <= _YEARS[1]


def _fitting(
    column: str, left: pd.Series[Any], value: Number | Text, frame: pd.DataFrame
) -> Any:
    """The value to compare a column with, or why the two can't be compared."""
    import pandas as pd

    kind = kind_of(left)
    if isinstance(value, Text) and value.bare and value.value in frame.columns:
        raise SpecError(
            "X22",
            f"'{value.value}' is a column and could also be a value of '{column}'",
            fix=f"write '{value.value}' in single quotes for the value, or in "
            "backticks for the column",
        )
    if kind == "empty":
        return value.value
    if kind == "date":
        if isinstance(value, Text):
            try:
                return pd.Timestamp(value.value)
            except ValueError:
                pass
        fix = "write the date in quotes: '2015-01-31'"
    elif kind == "text":
        if isinstance(value, Text):
            return value.value
        fix = f"write '{value}' in quotes, or data.columns.{column}: {{type: number}}"
    else:
        if isinstance(value, Number):
            return value.value
        fix = "compare with a number; a column on the right stands in backticks"
    said = "the number" if isinstance(value, Number) else "the text"
    raise DataError(
        "D07",
        f"'{column}' is {kind} ({sample_of(left)}) and is compared with {said} {value}",
        fix=fix,
    )


def _flags(values: Any) -> Flags:
    import numpy as np

    return np.asarray(values.to_numpy(dtype=bool, na_value=False), dtype=np.bool_)
