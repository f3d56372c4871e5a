"""Results of a run as the tables of its folder.

Numbers are written with the shortest text that reads back as the same double. Read
them with `read_table`: the default parser of pandas before 3 may be off by the last
bit, and every pandas takes a value called `NA` for a missing one.
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.result import COEFFICIENT_COLUMNS, INDEX_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

    from framework.cache import Cell
    from framework.plan import Estimation

#: Columns that say which estimation a row belongs to; `check` is the line.
KEYS = ("heading", "check", "value")
COEFFICIENTS = (
    *KEYS,
    "estimator",
    "outcome",
    *COEFFICIENT_COLUMNS,
    *INDEX_COLUMNS,
)
SCALARS = (*KEYS, "name", "number")
TESTS = (*KEYS, "name", "null", "statistic", "df", "p_value", "reason")

_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Table:
    """Rows to be written, as text already: one spelling for every number."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def write(self, path: Path) -> None:
        """UTF-8, comma, line feed, RFC 4180 quotes; missing is empty."""
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(self.columns)
            writer.writerows(self.rows)


def coefficients_table(done: Iterable[tuple[Estimation, Cell]]) -> Table:
    """`coefficients.csv`: one row per coefficient, columns `COEFFICIENTS`.

    Index columns that a plugin adds beyond the known ones follow at the end.
    """
    columns = list(COEFFICIENTS)
    found: list[dict[str, str]] = []
    for estimation, cell in done:
        keys = dict(zip(KEYS, _keys(estimation), strict=True)) | {
            "estimator": str(estimation.model["estimator"]["name"]),
            "outcome": str(cell.labels.get("outcome", "")),
        }
        frame = cell.result.coefficients
        columns += [str(n) for n in frame.columns if n not in columns]
        whole = [n for n in frame.columns if n not in COEFFICIENT_COLUMNS]
        found += [
            keys | {str(n): _text(v, whole=n in whole) for n, v in row.items()}
            for row in frame.to_dict(orient="records")
        ]
    rows = tuple(tuple(row.get(n, "") for n in columns) for row in found)
    return Table(tuple(columns), rows)


def scalars_table(done: Iterable[tuple[Estimation, Cell]]) -> Table:
    """`scalars.csv`: one row per scalar, columns `SCALARS`."""
    rows = (
        (*_keys(estimation), name, _text(float(number)))
        for estimation, cell in done
        for name, number in cell.result.scalars.items()
    )
    return Table(SCALARS, tuple(rows))


def tests_table(done: Iterable[tuple[Estimation, Cell]]) -> Table:
    """`tests.csv`: one row per test, columns `TESTS`."""
    rows = (
        (
            *_keys(estimation),
            test.name,
            test.null,
            _text(test.statistic),
            test.df,
            _text(test.p_value),
            test.reason,
        )
        for estimation, cell in done
        for test in cell.result.tests
    )
    return Table(TESTS, tuple(rows))


def frame_table(frame: pd.DataFrame) -> Table:
    """Any frame of a result; a meaningful index becomes the first columns."""
    import pandas as pd

    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    columns = [_texts(frame.iloc[:, place]) for place in range(frame.shape[1])]
    return Table(tuple(str(name) for name in frame.columns), tuple(zip(*columns)))  # noqa: B905 - columns of one frame


def _texts(column: pd.Series) -> list[str]:
    """A column as the CSV has it, numbers a column at a time."""
    kind = column.dtype
    if kind == "float64":
        return ["" if x != x else repr(x) for x in column.tolist()]  # noqa: PLR0124 - NaN alone is not itself
    if kind == "int64":
        return [str(x) for x in column.tolist()]
    return [_text(value) for value in column]


def read_table(path: Path, *, text: Sequence[str] = ()) -> pd.DataFrame:
    """A CSV of a run's folder, bit for bit what was written.

    Args:
        path: the file.
        text: columns to leave as text whatever they look like (missing = "").

    Returns:
        Columns whose filled cells are all numbers as float64, others as text.
    """
    import pandas as pd

    with path.open(encoding="utf-8", newline="") as handle:
        header, *rows = csv.reader(handle)
    columns = {}
    for place, name in enumerate(header):
        cells = [row[place] for row in rows]
        columns[name] = cells if name in text else _numbers(cells)
    return pd.DataFrame(columns, columns=header)


def _numbers(cells: Sequence[str]) -> Sequence[float] | Sequence[str]:
    try:
        return [float(cell) if cell else math.nan for cell in cells]
    except ValueError:
        return cells


def file_name(*parts: str) -> str:
    """A safe file name without suffix that two different `parts` never share.

    Only the first part may hold dots and stay as it is.
    """
    plain = ".".join(parts)
    safe = re.sub(r"[^a-z0-9_.-]", "_", plain.lower()).lstrip(".")
    clear = not any("." in part for part in parts[1:])
    # Compared with the original: file systems of macOS do not tell A from a.
    if clear and safe == plain and len(safe) <= _LONGEST_NAME:
        return safe
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
    return f"{safe[:_LONGEST_NAME]}-{digest}"


def _keys(estimation: Estimation) -> tuple[str, str, str]:
    return estimation.heading, estimation.line, estimation.value


def _text(value: Any, *, whole: bool = False) -> str:
    """A value as the CSV has it.

    Args:
        value: a scalar.
        whole: write -1.0 as -1 (event times, where other rows have none).
    """
    if value is None:
        return ""
    if hasattr(value, "item"):  # numpy's scalars print their type
        value = value.item()
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return str(int(value)) if whole and value.is_integer() else repr(value)
    text = str(value)
    return "" if text in {"NaT", "<NA>"} else text
