"""From a frame as read to a validated `Panel`: keys, order, dictionary, provenance."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from framework.condition import as_dates
from framework.data.columns import Column, apply_dictionary, as_text
from framework.errors import EstimandError, Phase, Problem, counted, no_column
from framework.panel import Calendar, Frequency, LedgerLine, Panel

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class PanelSpec:
    """What a study says about its data, apart from where they are.

    Attributes:
        unit, time: key columns; both None = cross-section, time only = repeated
            cross-sections.
        columns: the dictionary.
        missing: `error` or `drop`, for rows that an estimation would use; applied by
            the design and not here, because unused columns may be incomplete.
    """

    unit: str | None = None
    time: str | None = None
    columns: Mapping[str, Column] = field(default_factory=dict)
    missing: Literal["error", "drop"] = "error"


def build_panel(
    frame: pd.DataFrame, data: PanelSpec, sha: str, source: str = "source"
) -> Panel:
    """Check the data against the study and sort them.

    Args:
        frame: as `framework.data.sources.read` gives it; not changed.
        data: keys and dictionary.
        sha: sha256 of the source (with its reading options, if it has any).
        source: what the first ledger line calls the source.

    Returns:
        A panel sorted by (unit, time), keys first, with a fresh index; int64 periods.

    Raises:
        EstimandError: all problems at once. X01 no such column; D04 missing keys; D05
            no rows; D07, D15, D16, T01, T02 the dictionary; P01 duplicated keys; P03
            units that can't name rows; T03 periods that are not whole numbers.
    """
    panel, problems = examine(frame, data, sha, source)
    if panel is None or problems:
        raise EstimandError(problems)
    return panel


def examine(
    frame: pd.DataFrame, data: PanelSpec, sha: str, source: str = "source"
) -> tuple[Panel | None, list[Problem]]:
    """As `build_panel`, but hands the problems back beside what can be looked at.

    Returns:
        The panel (the first row of each duplicated key, columns that contradict the
        dictionary as they are), None where its keys are at fault; and the problems.
    """
    problems = list(_unknown_keys(frame, data))
    if not len(frame):
        problems.append(
            Problem(Phase.DATA, "D05", "the data have no rows", path="data.source")
        )
    if problems:
        return None, problems
    keys = [key for key in (data.unit, data.time) if key]
    checked = apply_dictionary(frame, data.columns, keys)
    problems.extend(checked.problems)
    if any(key in checked.unusable for key in keys):
        return None, problems
    notes = list(checked.notes)
    table = checked.frame
    if data.unit:
        table = _with_units(table, data.unit, problems)
    calendar = None
    if data.time:
        table, calendar = _with_periods(table, data.time, problems, notes)
    if any(problem.code in _KEY_CODES for problem in problems):
        return None, problems
    if data.unit:
        problems.extend(_duplicates(table, keys))
        table = table.drop_duplicates(keys) if problems else table
    panel = Panel(
        frame=_sorted(table, keys),
        unit=data.unit,
        time=data.time,
        labels={n: c.label for n, c in data.columns.items() if c.label},
        ledger=(_first_line(table, data, checked.cells, source),),
        notes=tuple(notes),
        key=_key(data, sha),
        calendar=calendar,
        unusable=checked.unusable,
    )
    return panel, problems


_KEY_CODES = frozenset({"D04", "P03", "T03"})


def _unknown_keys(frame: pd.DataFrame, data: PanelSpec) -> list[Problem]:
    known = [str(name) for name in frame.columns]
    keys = {"unit": data.unit, "time": data.time}
    problems = [
        no_column(name, f"data.panel.{key}", known)
        for key, name in keys.items()
        if name and name not in frame.columns
    ]
    if data.unit and data.unit == data.time:
        problems.append(
            Problem(
                Phase.SPEC,
                "P03",
                f"unit and time are both '{data.unit}'",
                fix="name two columns",
                path="data.panel",
            )
        )
    if data.unit and not data.time:
        problems.append(
            Problem(
                Phase.SPEC,
                "P03",
                "a panel needs a time column beside its unit",
                fix="panel: {unit: …, time: …}, or no panel for a cross-section",
                path="data.panel",
            )
        )
    return problems


def _with_units(
    table: pd.DataFrame, unit: str, problems: list[Problem]
) -> pd.DataFrame:
    """Units as text or int64."""
    import numpy as np

    series = table[unit]
    path = "data.panel.unit"
    if series.isna().any():
        problems.append(_missing_key(series, "unit", path))
        return table
    if series.dtype.kind == "f":
        values = series.to_numpy()
        if not np.isfinite(values).all() or (values % 1 != 0).any():
            problems.append(
                Problem(
                    Phase.DATA,
                    "P03",
                    f"unit '{unit}' is a number with decimals ({_cells(series)})",
                    why="units are names or whole numbers",
                    fix="name the column that identifies the units",
                    path=path,
                )
            )
            return table
        return table.assign(**{unit: series.astype("int64")})
    if series.dtype.kind == "M":
        problems.append(
            Problem(
                Phase.DATA,
                "P03",
                f"unit '{unit}' holds dates",
                fix="panel: {unit: …, time: …} the other way round?",
                path=path,
            )
        )
    return table


def _missing_key(series: pd.Series[Any], key: str, path: str) -> Problem:
    rows = [int(row) + 1 for row in series.isna().to_numpy().nonzero()[0]]
    first = ", ".join(str(row) for row in rows[:_SHOWN])
    return Problem(
        Phase.DATA,
        "D04",
        f"{key} '{series.name}' is missing in {len(rows):,} of {len(series):,} rows "
        f"(rows {first}{', …' if len(rows) > _SHOWN else ''})",
        why="a row without it belongs nowhere",
        fix="complete the column, or take these rows out of the file",
        path=path,
    )


# ---------------------------------------------------------------------- periods

_WHOLE = re.compile(r"\s*[+-]?\d+(?:\.0*)?\s*", re.ASCII)


def _with_periods(
    table: pd.DataFrame, time: str, problems: list[Problem], notes: list[str]
) -> tuple[pd.DataFrame, Calendar | None]:
    """Periods as int64: whole numbers as they are, dates counted in their frequency."""
    import pandas as pd

    series = table[time]
    path = "data.panel.time"
    if series.isna().any():
        problems.append(_missing_key(series, "time", path))
        return table, None
    if series.dtype.kind not in "ifuM":
        dates = as_dates(series)
        if dates is not None:
            series = dates
        elif all(_WHOLE.fullmatch(cell) for cell in series):
            series = pd.to_numeric(series.str.strip())
    if series.dtype.kind == "M":
        periods, calendar, said = _count_dates(series)
        notes.append(f"time '{time}': {said}")
        return table.assign(**{time: periods}), calendar
    if series.dtype.kind in "if" and (series % 1 == 0).all():
        return table.assign(**{time: series.astype("int64")}), None
    bad = series if series.dtype.kind not in "if" else series[series % 1 != 0]
    problems.append(
        Problem(
            Phase.DATA,
            "T03",
            f"time '{time}' is not a whole number in {counted(len(bad), 'row')} "
            f"({_cells(bad)})",
            why="leads, lags and event time count periods",
            fix="write years as 2015, dates as 2015-01-31, or number the periods",
            path=path,
        )
    )
    return table, None


#: Coarsest first, with how a note calls them.
_FREQUENCIES: Mapping[Frequency, str] = {
    "years": "years",
    "quarters": "quarters (4 × year + quarter - 1)",
    "months": "months (12 × year + month - 1)",
    "days": "days since 1970-01-01",
}


def _count_dates(series: pd.Series[Any]) -> tuple[pd.Series[Any], Calendar, str]:
    """Dates as whole numbers in the coarsest frequency that tells them apart."""
    distinct = series.drop_duplicates()
    frequency: Frequency
    for frequency in _FREQUENCIES:  # the last where none tells them apart
        periods = Calendar(frequency).count(distinct)
        if periods.nunique() == len(distinct):
            break
    written = distinct.dt.strftime("%Y-%m-%d")
    calendar = Calendar(frequency, dict(zip(periods.tolist(), written, strict=True)))
    example = f"{written.iloc[0]} is period {periods.iloc[0]}"
    said = f"dates are counted in {_FREQUENCIES[frequency]}; {example}"
    return calendar.count(series), calendar, said


# ------------------------------------------------------------------- keys, order


def _duplicates(table: pd.DataFrame, keys: list[str]) -> list[Problem]:
    repeated = table.duplicated(keys, keep=False)
    if not repeated.any():
        return []
    sizes = table.loc[repeated].groupby(keys, sort=True).size()
    examples = ", ".join(
        f"({', '.join(as_text(part) for part in key)}) × {count}"
        for key, count in list(sizes.items())[:_SHOWN]
        if isinstance(key, tuple)
    )
    more = ", …" if len(sizes) > _SHOWN else ""
    return [
        Problem(
            Phase.DATA,
            "P01",
            f"{counted(len(sizes), 'pair')} of ({', '.join(keys)}) in more than one row: "
            f"{examples}{more}",
            why="repeated rows count an observation twice, and standard errors shrink",
            fix="keep one row of each in the file; if rows are persons or firms, name "
            "their column as unit, or write panel: {time: …}",
            path="data.panel",
        )
    ]


def _sorted(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    rest = [name for name in table.columns if name not in keys]
    table = table[[*keys, *rest]]
    if keys:
        table = table.sort_values(keys, kind="stable")
    return table.reset_index(drop=True)


def _first_line(
    table: pd.DataFrame, data: PanelSpec, cells: int, source: str
) -> LedgerLine:
    shape = f"{counted(table.shape[1], 'column')}"
    if data.unit and data.time:
        units, periods = table[data.unit].nunique(), table[data.time].nunique()
        balance = "balanced" if units * periods == len(table) else "unbalanced"
        shape = f"{counted(units, 'unit')} × {periods:,} periods, {balance}, {shape}"
    elif data.time:
        shape = f"{counted(table[data.time].nunique(), 'period')}, {shape}"
    return LedgerLine("source", source, len(table), len(table), cells, shape)


def _key(data: PanelSpec, sha: str) -> str:
    """Name of these data; labels and units of measurement do not change numbers."""
    columns = {
        name: {k: v for k, v in asdict(column).items() if k not in {"label", "unit"}}
        for name, column in data.columns.items()
    }
    used = {
        n: c for n, c in columns.items() if any(v not in (None, ()) for v in c.values())
    }
    said = json.dumps([sha, data.unit, data.time, used], default=repr, sort_keys=False)
    return hashlib.sha256(said.encode()).hexdigest()


def _cells(series: pd.Series[Any]) -> str:
    values = list(dict.fromkeys(series.head(50)))[:_SHOWN]
    return ", ".join(repr(v) if isinstance(v, str) else str(v) for v in values)
