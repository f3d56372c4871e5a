"""Sample restrictions (`model.sample`): which rows an estimation uses.

They act after all data steps and rebuild nothing. Where a condition is unknown because
a cell is missing, the row is left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framework.condition import evaluate, is_number, kind_of, parse, require
from framework.data.columns import as_text, refuse_unusable
from framework.errors import DataError, SpecError, counted, did_you_mean
from framework.panel import LedgerLine, Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Flags = npt.NDArray[np.bool_]

#: Restriction -> its options; the first may be written bare.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "where": ("where",),
    "only": ("column", "values"),
    "without": ("column", "values"),
    "balanced": (),
    "event_window": ("window",),
    "complete": ("columns",),
}


@dataclass(frozen=True, slots=True)
class _Kept:
    """Rows that stay, the count of unknown ones, and a clause for the ledger."""

    rows: Flags
    unknown: int
    detail: str


def kept_rows(
    panel: Panel,
    name: str,
    kind: str,
    options: Mapping[str, Any],
    cohort: pd.Series[Any] | None = None,
) -> tuple[Flags, LedgerLine]:
    """Which rows the restriction keeps, and its line of the ledger.

    Args:
        panel: prepared by all steps.
        name: the user's name of the restriction, for the ledger.
        kind: `where`, `only`, `without`, `balanced`, `event_window` or `complete`.
        options: as `OPTIONS` lists them.
        cohort: first treated period by the index of `panel.frame` (inf = never treated,
            NaN = unknown), for `event_window`.

    Returns:
        (n,) booleans; the line.

    Raises:
        SpecError: X01 no such restriction, option or column.
        DataError: D05 no row is left, D17 a value that the column does not have, P04
            data without units or periods.
    """
    if kind not in OPTIONS:
        raise SpecError(
            "X01",
            f"no sample restriction '{kind}'",
            fix=did_you_mean(kind, tuple(OPTIONS)),
            path=f"model.sample.{name}",
        )
    wrong = sorted(set(options) ^ set(OPTIONS[kind]))
    if wrong:
        has = ", ".join(OPTIONS[kind]) or "no options"
        raise SpecError(
            "X01",
            f"restriction '{kind}' takes {has}; '{wrong[0]}' does not fit",
            path=f"model.sample.{name}.{wrong[0]}",
        )
    kept = _RULES[kind](panel, options, cohort)
    rows_in, rows_out = len(kept.rows), int(kept.rows.sum())
    detail = f"{kept.detail}: {counted(rows_in - rows_out - kept.unknown, 'row')} out"
    if kept.unknown:
        detail += f", {kept.unknown:,} more because it is unknown there"
    if not rows_out:
        raise DataError(
            "D05",
            f"0 rows left after restriction '{name}' of {rows_in:,} ({detail})",
            fix="weaken the restriction, or take out another one",
            path=f"model.sample.{name}",
        )
    return kept.rows, LedgerLine("sample", name, rows_in, rows_out, 0, detail)


def _where(panel: Panel, options: Mapping[str, Any], _: pd.Series[Any] | None) -> _Kept:
    condition = parse(str(options["where"]))
    refuse_unusable(panel, condition.columns())
    true, unknown = evaluate(condition, panel.frame, panel.dates())
    return _Kept(true, int(unknown.sum()), str(options["where"]))


def _only(panel: Panel, options: Mapping[str, Any], _: pd.Series[Any] | None) -> _Kept:
    found, missing = _having(panel, options)
    return _Kept(found, int(missing.sum()), f"only {_said(options)}")


def _without(
    panel: Panel, options: Mapping[str, Any], _: pd.Series[Any] | None
) -> _Kept:
    found, missing = _having(panel, options)
    return _Kept(~found & ~missing, int(missing.sum()), f"without {_said(options)}")


def _said(options: Mapping[str, Any]) -> str:
    values = options["values"]
    listed = values if isinstance(values, list | tuple) else [values]
    return f"{options['column']} = {' or '.join(as_text(value) for value in listed)}"


def _having(panel: Panel, options: Mapping[str, Any]) -> tuple[Flags, Flags]:
    """Rows that have one of the values, rows where the cell is missing."""
    column, values = str(options["column"]), options["values"]
    refuse_unusable(panel, [column])
    require(panel.frame, column)
    listed = list(values) if isinstance(values, list | tuple) else [values]
    series = _listable(panel, column, listed)
    text = kind_of(series) == "text"
    existing = {_same(value, text=text): value for value in series.dropna().unique()}
    unknown = [value for value in listed if _same(value, text=text) not in existing]
    if unknown or not listed:
        shown = as_text(unknown[0]) if listed else ""
        known = [as_text(_python(value)) for value in sorted(existing.values())]
        raise DataError(
            "D17",
            f"'{shown}' is no value of '{column}'" if listed else "no value is given",
            why="a restriction that matches nothing would pass unnoticed",
            fix=did_you_mean(shown, known),
        )
    wanted = [existing[_same(value, text=text)] for value in listed]
    return series.isin(wanted).to_numpy(dtype=bool), series.isna().to_numpy(dtype=bool)


def _listable(panel: Panel, column: str, listed: list[Any]) -> pd.Series[Any]:
    """The column; as texts like 2015-01-31 where it is dates or counts them."""
    series = panel.frame[column]
    if not all(is_number(value) or isinstance(value, bool) for value in listed):
        series = panel.dates().get(column, series)
    if kind_of(series) == "date":
        series = series.dt.strftime("%Y-%m-%d")
    return series


def _same(value: Any, *, text: bool) -> Any:
    """Values of a study and of a column on one footing: text as text, else numbers."""
    if text:
        return as_text(value)
    return float(value) if is_number(value) or isinstance(value, bool) else value


def _python(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _balanced(
    panel: Panel, options: Mapping[str, Any], _: pd.Series[Any] | None
) -> _Kept:
    if panel.unit is None or panel.time is None:
        raise DataError(
            "P04",
            "`balanced` needs units and periods",
            fix="data.panel: {unit: …, time: …}",
        )
    del options
    periods = panel.frame[panel.time].nunique()
    seen = panel.frame.groupby(panel.unit, sort=False)[panel.time].transform("size")
    rows = (seen == periods).to_numpy(dtype=bool)
    units = panel.frame.loc[~rows, panel.unit].nunique()
    return _Kept(
        rows,
        0,
        f"{counted(units, 'unit lacks', 'units lack')} some of the {periods} periods",
    )


def _event_window(
    panel: Panel, options: Mapping[str, Any], cohort: pd.Series[Any] | None
) -> _Kept:
    import numpy as np

    if panel.time is None or cohort is None:
        raise DataError(
            "P04",
            "`event_window` needs periods and a treatment with a first treated period",
            fix="treatment: {column: …, kind: absorbing} or {first_treated: …}",
        )
    first, last = options["window"]
    if first > last:
        raise SpecError("X12", f"the window [{first}, {last}] ends before it begins")
    start = cohort.reindex(panel.frame.index).to_numpy(dtype=np.float64)
    unknown = np.isnan(start)
    event = panel.frame[panel.time].to_numpy(dtype=np.float64) - start
    rows = np.isposinf(start) | ((event >= first) & (event <= last))
    detail = f"event time {first} to {last}, never-treated units stay"
    return _Kept(rows & ~unknown, int(unknown.sum()), detail)


def _complete(
    panel: Panel, options: Mapping[str, Any], _: pd.Series[Any] | None
) -> _Kept:
    columns = [str(column) for column in options["columns"]]
    refuse_unusable(panel, columns)
    for column in columns:
        require(panel.frame, column)
    rows = panel.frame[columns].notna().all(axis=1).to_numpy(dtype=bool)
    return _Kept(rows, 0, f"no missing cell in {', '.join(columns)}")


_RULES: Mapping[
    str, Callable[[Panel, Mapping[str, Any], pd.Series[Any] | None], _Kept]
] = {
    "where": _where,
    "only": _only,
    "without": _without,
    "balanced": _balanced,
    "event_window": _event_window,
    "complete": _complete,
}
