"""The dictionary of columns (`data.columns`): what a column is, and what it may hold.

Inside the software a column has one of four types, whatever file it came from: whole
numbers (int64), numbers (float64, NaN = missing), text (the dtype that this pandas
gives to a list of strings; NaN or None = missing) and dates (datetime64, no time zone).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from framework.condition import as_numbers, is_number, kind_of
from framework.errors import (
    DataError,
    EstimandError,
    Phase,
    Problem,
    counted,
    no_column,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from framework.panel import Panel

Type = Literal["number", "text", "integer", "binary", "date"]

#: Numbers that data publishers write for "missing"; one of them that lies this many
#: times beyond a column's next value is reported, never changed.
SUSPECTS = (-9.0, -99.0, -999.0, -9999.0, -99999.0, -999999.0)
_FAR = 10
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Column:
    """One entry of `data.columns`.

    Attributes:
        label: what tables print instead of the name.
        unit: unit of measurement, printed in the descriptive table.
        type: what the cells must be; None takes what the source says.
        missing: cells that mean missing, e.g. `(-9999, ".")`.
        map: cell -> cell, complete: a cell that is not listed is a problem.
        min, max: bounds that every number must keep (inclusive).
    """

    label: str = ""
    unit: str = ""
    type: Type | None = None
    missing: tuple[Any, ...] = ()
    map: Mapping[Any, Any] | None = None
    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
        cells: Any = self.missing
        if isinstance(cells, str | int | float):
            cells = (cells,)  # `missing: NA` is one cell, not two letters
        object.__setattr__(self, "missing", tuple(cells))


@dataclass(frozen=True, slots=True)
class Checked:
    """A frame that went through the dictionary.

    Attributes:
        frame: the columns with their types; row order and index unchanged.
        problems: every cell that contradicts the dictionary, by column.
        cells: how many cells were declared missing or mapped.
        notes: what looks odd and was left as it is.
        unusable: column -> why none can use it; left out of the frame.
    """

    frame: pd.DataFrame
    problems: tuple[Problem, ...]
    cells: int
    notes: tuple[str, ...]
    unusable: Mapping[str, str] = field(default_factory=dict)


def apply_dictionary(
    frame: pd.DataFrame, columns: Mapping[str, Column], keys: Collection[str] = ()
) -> Checked:
    """Types, missing cells, maps and bounds, in this order; all problems at once.

    Args:
        frame: as read; not changed.
        columns: the dictionary; columns that it does not name keep their type.
        keys: columns that are used whatever the dictionary names; others whose cells
            are no data are left out, and are no problem.
    """
    problems: list[Problem] = []
    built: dict[Any, pd.Series[Any]] = {}
    unusable: dict[str, str] = {}
    cells = 0
    for name in frame.columns:
        path = f"data.columns.{name}"
        try:
            series = plain(frame[name])
        except DataError as error:
            unusable[str(name)] = error.problems[0].what
            if name in columns or name in keys:
                problems.extend(problem.at(path=path) for problem in error.problems)
            continue
        try:
            if name in columns:
                series, changed = _checked(series, str(name), columns[name])
                cells += changed
        except EstimandError as error:
            problems.extend(problem.at(path=path) for problem in error.problems)
        built[name] = series
    known = [str(name) for name in frame.columns]
    problems.extend(
        no_column(name, f"data.columns.{name}", known)
        for name in columns
        if name not in built and name not in unusable
    )
    import pandas as pd

    result = pd.DataFrame(built, index=frame.index, copy=False)
    notes = (*map(_left_out, unusable.values()), *_odd_cells(result, columns))
    return Checked(result, tuple(problems), cells, notes, unusable)


def _left_out(what: str) -> str:
    return f"{what}: it is left out"


def refuse_unusable(panel: Panel, names: Iterable[str]) -> None:
    """Raise D07 for columns that are named and whose cells are no data."""
    found = [name for name in names if name in panel.unusable]
    if found:
        raise EstimandError(
            Problem(
                Phase.DATA,
                "D07",
                panel.unusable[name],
                fix=f"write '{name}' into the file as a number, text or date",
            )
            for name in dict.fromkeys(found)
        )


def _checked(
    series: pd.Series[Any], name: str, column: Column
) -> tuple[pd.Series[Any], int]:
    before = series.isna().sum()
    series = _declared_missing(series, column.missing)
    cells = int(series.isna().sum() - before)
    if column.map:
        series = _mapped(series, name, column.map)
        cells += int(series.notna().sum())
    if column.type:
        series = _CASTS[column.type](series, name)
    elif column.missing or column.map:
        series = numbers_if_all_are(series)
    if column.min is not None or column.max is not None:
        _bounded(series, name, column.min, column.max)
    return series, cells


# -------------------------------------------------------------------- one type each


def plain(series: pd.Series[Any]) -> pd.Series[Any]:
    """The column as int64, float64, text or datetime64; idempotent.

    Truth values become 0/1, categories their values, decimals floats, empty texts
    missing; a mixture of numbers and texts becomes text.

    Raises:
        DataError: D07, cells of a kind that is no data (bytes, lists, complex numbers).
    """
    import pandas as pd
    from pandas.api import types

    kind = series.dtype
    if isinstance(kind, pd.CategoricalDtype):
        return plain(series.astype(kind.categories.dtype))
    if types.is_bool_dtype(kind) or types.is_integer_dtype(kind):
        whole = series.isna().sum() == 0
        unsigned = kind == "uint64" and bool((series > 2**63 - 1).any())
        return series if unsigned else series.astype("int64" if whole else "float64")
    if types.is_float_dtype(kind):
        return series.astype("float64")
    if types.is_datetime64_any_dtype(kind):
        aware = isinstance(kind, pd.DatetimeTZDtype)
        return series.dt.tz_convert(None) if aware else series
    if types.is_object_dtype(kind):
        return _plain_objects(series)
    if types.is_string_dtype(kind):
        return _text(series)
    raise DataError(
        "D07",
        f"column '{series.name}' holds {kind} cells, which no step "
        "or estimator can use",
        fix="leave the column out of the file",
    )


def plain_or_as_is(series: pd.Series[Any]) -> pd.Series[Any]:
    """As `plain`; a column whose cells are no data as it is."""
    try:
        return plain(series)
    except DataError:
        return series


def _plain_objects(series: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd
    from pandas.api import types

    inferred = types.infer_dtype(series, skipna=True)
    if inferred == "string":
        return _text(series)
    if inferred in {"boolean", "integer", "floating", "mixed-integer-float", "decimal"}:
        return plain(
            pd.to_numeric(
                series.astype("float64")
                if inferred != "integer" or series.isna().any()
                else series
            )
        )
    if inferred == "empty":
        return series.astype("float64")
    if inferred in {"date", "datetime", "datetime64"}:
        return pd.to_datetime(series)
    strange = [c for c in series.dropna() if not isinstance(c, str | int | float)]
    if strange:
        raise DataError(
            "D07",
            f"column '{series.name}' holds {type(strange[0]).__name__} cells, which no "
            "step or estimator can use",
            fix="leave the column out of the file",
        )
    return _text(series.map(as_text, na_action="ignore"))


def _text(series: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    usual = pd.Series(["text"]).dtype
    series = series if series.dtype == usual else series.astype(object).astype(usual)
    empty = series == ""
    return series.mask(empty) if empty.any() else series


def as_text(cell: Any) -> str:
    """A cell as its text; whole numbers without `.0`."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(int(cell)) if isinstance(cell, bool) else str(cell)


def numbers_if_all_are(series: pd.Series[Any]) -> pd.Series[Any]:
    """A text column as numbers if every cell is one and none has a leading zero."""
    if kind_of(series) != "text":
        return series
    cells = series.dropna()
    if not all(is_number(c) for c in cells) or any(has_leading_zero(c) for c in cells):
        return series
    return _to_numbers(series)


_LEADING_ZERO = re.compile(r"\s*[+-]?0\d")


def has_leading_zero(cell: object) -> bool:
    """`007` is a code: as a number it would lose its zeros."""
    return bool(_LEADING_ZERO.match(str(cell)))


def _to_numbers(series: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    return plain(pd.to_numeric(series.str.strip()))


def _declared_missing(series: pd.Series[Any], cells: tuple[Any, ...]) -> pd.Series[Any]:
    if not cells:
        return series
    kind = kind_of(series)
    if kind == "number":
        listed = [float(cell) for cell in cells if is_number(cell)]
        return plain(series.mask(series.isin(listed)))
    if kind == "text":
        return series.mask(series.str.strip().isin([as_text(cell) for cell in cells]))
    return series


def _mapped(
    series: pd.Series[Any], name: str, mapping: Mapping[Any, Any]
) -> pd.Series[Any]:
    text = kind_of(series) == "text"
    keys = {as_text(k) if text else _number(k): v for k, v in mapping.items()}
    lost = series[series.notna() & ~series.isin(list(keys))]
    if len(lost):
        raise DataError(
            "D16",
            f"'{name}': {counted(len(lost), 'cell is', 'cells are')} not in the map "
            f"({_first(lost)})",
            fix="list every value in map, or name it in missing",
        )
    return plain(series.map(keys).infer_objects())


def _number(key: Any) -> Any:
    return float(key) if is_number(key) else key


def _first(cells: pd.Series[Any]) -> str:
    """The first offending cells with their row, counted from 1 below the header."""
    rows = range(len(cells)) if cells.index.dtype == object else cells.index
    shown = [
        f"row {int(row) + 1}: {cell!r}"
        if isinstance(cell, str)
        else f"row {int(row) + 1}: {as_text(cell)}"
        for row, cell in list(zip(rows, cells, strict=True))[:_SHOWN]
    ]
    return ", ".join(shown)


def _as_number(series: pd.Series[Any], name: str) -> pd.Series[Any]:
    if kind_of(series) == "text":
        cells = series.dropna()
        bad = cells[[not is_number(cell) for cell in cells]]
        if not len(bad):
            return _to_numbers(series)
        try:
            as_numbers(series, name)
        except DataError as error:
            fix = error.problems[0].fix
        raise DataError(
            "D07",
            f"'{name}' should be a number; "
            f"{counted(len(bad), 'cell fails', 'cells fail')} ({_first(bad)})",
            why="as text it would become one dummy per value",
            fix=fix,
        )
    as_numbers(series, name)
    return series


def _as_integer(series: pd.Series[Any], name: str) -> pd.Series[Any]:
    series = _as_number(series, name)
    broken = series[series.notna() & (series % 1 != 0)]
    if len(broken):
        raise DataError(
            "D07",
            f"'{name}' should be whole; {counted(len(broken), 'cell is', 'cells are')} not "
            f"({_first(broken)})",
            fix=f"data.columns.{name}: {{type: number}}",
        )
    return series if series.isna().any() else series.astype("int64")


def _as_binary(series: pd.Series[Any], name: str) -> pd.Series[Any]:
    if kind_of(series) == "text":
        values = sorted(set(series.dropna()))[:5]
        if not set(values) <= {"0", "1"}:
            raise DataError(
                "T01",
                f"'{name}' is text {{{', '.join(map(repr, values))}}}, not 0/1",
                fix=f"data.columns.{name}: {{map: {{{values[-1]}: 1, …: 0}}}}",
            )
    series = _as_number(series, name)
    broken = series[series.notna() & ~series.isin([0, 1])]
    if len(broken):
        values = sorted(series.dropna().unique())[:5]
        raise DataError(
            "T02",
            f"'{name}' should be 0/1; {counted(len(broken), 'cell is', 'cells are')} "
            f"not ({_first(broken)})",
            why="coded 1/2, an effect would be read per unit of the code",
            fix=f"data.columns.{name}: {{map: {{{as_text(values[0])}: 0, …: 1}}}}",
        )
    return series if series.isna().any() else series.astype("int64")


def _as_text(series: pd.Series[Any], name: str) -> pd.Series[Any]:
    del name
    return _text(series.astype(object).map(as_text, na_action="ignore"))


def _as_date(series: pd.Series[Any], name: str) -> pd.Series[Any]:
    import pandas as pd

    if kind_of(series) == "date":
        return series
    texts = _as_text(series, name)
    dates = pd.to_datetime(texts, format="ISO8601", errors="coerce")
    bad = texts[texts.notna() & dates.isna()]
    if len(bad):
        raise DataError(
            "D07",
            f"'{name}' should be a date; "
            f"{counted(len(bad), 'cell fails', 'cells fail')} ({_first(bad)})",
            fix="dates are written year-month-day: 2015-01-31",
        )
    return dates


_CASTS: Mapping[Type, Callable[[pd.Series[Any], str], pd.Series[Any]]] = {
    "number": _as_number,
    "integer": _as_integer,
    "binary": _as_binary,
    "text": _as_text,
    "date": _as_date,
}


def _bounded(
    series: pd.Series[Any], name: str, low: float | None, high: float | None
) -> None:
    values = as_numbers(series, name)
    outside: npt.NDArray[np.bool_] = (
        values < (-float("inf") if low is None else low)
    ) | (values > (float("inf") if high is None else high))
    if outside.any():
        bounds = f"{'…' if low is None else low} to {'…' if high is None else high}"
        raise DataError(
            "D15",
            f"'{name}' has {counted(int(outside.sum()), 'cell')} outside {bounds} "
            f"({_first(series[outside])})",
            fix="mend the cells, name them in missing, or widen the bounds",
        )


def _odd_cells(frame: pd.DataFrame, columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Cells that often mean missing and were not declared: said, never changed."""
    notes = []
    for name in frame.columns:
        series = frame[name]
        if series.dtype.kind in "if" and len(series):
            low = series.min()
            if low in SUSPECTS and low < _FAR * min(0.0, series[series > low].min()):
                count = int((series == low).sum())
                notes.append(_odd(str(name), count, as_text(float(low))))
        elif series.dtype.kind not in "ifM" and _type_of(columns, name) != "text":
            count = int((series == "NA").sum())
            if count:
                notes.append(_odd(str(name), count, "NA"))
    return tuple(notes)


def _type_of(columns: Mapping[str, Column], name: Any) -> Type | None:
    return columns[name].type if name in columns else None


def _odd(name: str, count: int, cell: str) -> str:
    return (
        f"column '{name}' has {counted(count, 'cell')} {cell}, kept as written; if "
        f"that means missing: data.columns.{name}: {{missing: {cell}}}"
    )
