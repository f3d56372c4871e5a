"""What the cells of a column are: numbers, texts or dates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from framework.errors import DataError, SpecError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]

Kind = Literal["number", "text", "date", "empty"]


def kind_of(series: pd.Series[Any]) -> Kind:
    """What the cells of a column are: number, text or date (`empty` = all missing).

    Raises:
        DataError: D07, a column that mixes numbers and text.
    """
    from pandas.api import types

    if types.is_bool_dtype(series.dtype) or types.is_numeric_dtype(series.dtype):
        return "number" if series.notna().any() else "empty"
    if types.is_datetime64_any_dtype(series.dtype):
        return "date"
    inferred = types.infer_dtype(series, skipna=True)
    if inferred == "categorical":
        return kind_of(series.astype(series.cat.categories.dtype))
    known: Mapping[str, Kind] = {"string": "text", "empty": "empty"}
    if inferred in known:
        return "empty" if not series.notna().any() else known[inferred]
    raise DataError(
        "D07",
        f"column '{series.name}' holds {inferred} cells ({sample_of(series)})",
        fix=f"say what it is: data.columns.{series.name}: {{type: number}} or text",
    )


def require(frame: pd.DataFrame, column: str) -> None:
    """Raise X01 with a guess unless the frame has the column."""
    if column not in frame.columns:
        raise SpecError(
            "X01",
            f"no column '{column}'",
            fix=did_you_mean(column, [str(name) for name in frame.columns]),
        )


def as_numbers(series: pd.Series[Any], column: str) -> Floats:
    """The column as float64 with NaN for missing cells.

    Raises:
        DataError: D07, the column is not a number; names the first cells that are not.
    """
    import numpy as np

    kind = kind_of(series)
    if kind == "empty":
        return np.full(len(series), np.nan)
    if kind == "number":
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    if kind == "date":
        raise DataError("D07", f"column '{column}' holds dates, not numbers")
    bad = [cell for cell in series.dropna() if not is_number(cell)]
    first = ", ".join(repr(cell) for cell in dict.fromkeys(bad[:50]))[:80]
    if bad:
        raise DataError(
            "D07",
            f"column '{column}' should be a number; {len(bad):,} of {len(series):,} "
            f"cells are not (first: {first})",
            why="text would become one dummy per value",
            fix=number_fix(column, bad),
        )
    raise DataError(
        "D07",
        f"column '{column}' is text that looks like numbers ({sample_of(series)})",
        why="codes (leading zeros, more than 15 digits) are kept as text on purpose",
        fix=f"data.columns.{column}: {{type: number}}",
    )


_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ].*)?")
#: After a time of day; a date alone has none.
_OFFSET = re.compile(r"(?<=:\d\d)(?:\.\d+)?\s*(?:Z|[+-]\d{2}:?\d{2})$")


def as_dates(series: pd.Series[Any]) -> pd.Series[Any] | None:
    """A column of dates, or of text that is all dates of the form 2015-01-31.

    Returns:
        datetime64 with NaT where a cell is missing; None if the column is neither.
    """
    import pandas as pd

    if series.dtype.kind == "M":
        return series if series.dt.tz is None else series.dt.tz_localize(None)
    if series.dtype.kind in "iufb":
        return None
    cells = series.dropna()
    if not len(cells) or not all(_ISO.fullmatch(str(cell)) for cell in cells):
        return None
    # The day that is written: an offset, which changes with the clocks, is left out.
    written = series.map(lambda cell: _OFFSET.sub("", str(cell)), na_action="ignore")
    dates = pd.to_datetime(written, format="ISO8601", errors="coerce")
    return None if dates[series.notna()].isna().any() else dates


def is_number(cell: object) -> bool:
    """Whether a text cell reads as a number (`1,234` and `.` do not)."""
    return bool(_CELL.fullmatch(str(cell).strip()))


_CELL = re.compile(
    r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|inf|Inf|infinity)", re.ASCII
)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)


def number_fix(column: str, bad: Iterable[object]) -> str:
    """How cells that are no numbers may be read: the right file option, or missing."""
    cells = [str(cell).strip() for cell in bad]
    grouped = all(_THOUSANDS.fullmatch(cell) for cell in cells)
    if all(_DECIMAL_COMMA.fullmatch(cell) for cell in cells):
        decimal = 'data.source: {path: …, decimal: ","}'
        if not grouped:
            return decimal
        # Nobody can tell 1,234 from 1,234: a guess could move it by a thousand.
        return (
            f'{decimal} if {cells[0]} is {cells[0].replace(",", ".")}; thousands: ","'
            f" if it is {cells[0].replace(',', '')}"
        )
    if grouped:
        return 'data.source: {path: …, thousands: ","}'
    listed = ", ".join(f"'{cell}'" for cell in dict.fromkeys(cells[:50]))[:80]
    return f"if they mean missing: data.columns.{column}: {{missing: [{listed}]}}"


def missing_in(series: pd.Series[Any]) -> Flags:
    """Where a column is missing."""
    import numpy as np

    return np.asarray(series.isna().to_numpy(), dtype=np.bool_)


def sample_of(series: pd.Series[Any]) -> str:
    """Its first three values, for a message."""
    values = list(dict.fromkeys(series.dropna().head(50)))[:3]
    return ", ".join(repr(v) if isinstance(v, str) else str(v) for v in values)


def said_of(series: pd.Series[Any]) -> str:
    """Name, kind and first values, for a message."""
    return f"'{series.name}' ({kind_of(series)}: {sample_of(series)})"
