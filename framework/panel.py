"""The data of a study, validated: one frame, its two keys and its ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

    from framework.result import Plot

Kind = Literal["panel", "repeated_cross_sections", "cross_section"]
Frequency = Literal["years", "quarters", "months", "days"]


@dataclass(frozen=True, slots=True)
class Calendar:
    """How dates are counted in periods.

    Attributes:
        frequency: years count as themselves, quarters as 4 × year + quarter - 1, months
            as 12 × year + month - 1, days from 1970-01-01.
        dates: period -> its date in the data, `2015-01-31`.
    """

    frequency: Frequency
    dates: Mapping[int, str] = field(default_factory=dict)

    def count(self, dates: pd.Series[Any]) -> pd.Series[Any]:
        """The period that each date lies in, int64.

        Args:
            dates: datetime64 without gaps.
        """
        years = dates.dt.year.astype("int64")
        counted: pd.Series[Any]
        if self.frequency == "years":
            counted = years
        elif self.frequency == "quarters":
            counted = 4 * years + dates.dt.quarter - 1
        elif self.frequency == "months":
            counted = 12 * years + dates.dt.month - 1
        else:
            counted = dates.astype("datetime64[s]").astype("int64") // 86_400
        return counted

    def text(self, period: float) -> str:
        """The date of a period: as in the data, else the period's first day."""
        import datetime as dt

        whole = int(period)
        if whole in self.dates:
            return self.dates[whole]
        if self.frequency == "days":
            day = dt.date(1970, 1, 1) + dt.timedelta(days=whole)
            return day.isoformat()
        per_year = {"years": 1, "quarters": 4, "months": 12}[self.frequency]
        year, part = divmod(whole, per_year)
        return f"{year:04d}-{part * (12 // per_year) + 1:02d}-01"

    def dated(self, periods: pd.Series[Any]) -> pd.Series[Any]:
        """Periods as their dates, datetime64."""
        import pandas as pd

        dates = {period: self.text(period) for period in periods.unique()}
        return pd.to_datetime(periods.map(dates))


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One line of the row ledger: what a step or a restriction did.

    Attributes:
        stage: `source`, `step`, `sample` or `estimation`.
        name: the user's name of the step or restriction.
        rows_in, rows_out: rows before and after.
        cells: cells changed or filled (0 for pure row steps).
        detail: one clause, e.g. `winsorized 52 cells of eco, fe at [0.01, 0.99]`.
    """

    stage: str
    name: str
    rows_in: int
    rows_out: int
    cells: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """Validated data.

    Attributes:
        frame: rows sorted by (unit, time) with a fresh RangeIndex; index columns first
            as read (unit as text or integer, time as int64). Treat as read-only.
        unit, time: key columns; both None = cross-section; time only = repeated
            cross-sections.
        labels: column -> label for tables (defaults to the column's name).
        ledger: what happened to rows and cells so far, in order.
        frames: tables that steps leave behind (weights, slacks, …) by `step.table`.
        plots: figures of `frames` for the report.
        key: sha256 that names these data: source bytes, then every step with its
            options and code.
        source: the panel before its steps, where an estimation redoes them.
        calendar: how the dates of `time` were counted; None = whole numbers as read.
        unusable: column -> why none can use it; such columns are left out of `frame`.
    """

    frame: pd.DataFrame
    unit: str | None = None
    time: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    ledger: tuple[LedgerLine, ...] = ()
    frames: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    plots: tuple[Plot, ...] = ()
    key: str = ""
    source: Panel | None = None
    calendar: Calendar | None = None
    unusable: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        if self.unit and self.time:
            return "panel"
        return "repeated_cross_sections" if self.time else "cross_section"

    def dates(self) -> dict[str, pd.Series[Any]]:
        """Columns of `frame` that count dates, as dates: what conditions compare with."""
        if self.calendar is None or self.time is None:
            return {}
        return {self.time: self.calendar.dated(self.frame[self.time])}

    def row(self, index: int) -> str:
        """A row as its unit and period (a date where dates were counted), or ''."""
        shown = [str(self.frame[self.unit].iloc[index])] if self.unit else []
        if self.time:
            shown.append(self.period(self.frame[self.time].iloc[index]))
        return ", ".join(shown)

    def period(self, period: float) -> str:
        """A period as a reader of the data knows it: its date, or the whole number."""
        return self.calendar.text(period) if self.calendar else str(int(period))

    def with_frame(self, frame: pd.DataFrame, line: LedgerLine) -> Panel:
        """A new panel with this frame and one more ledger line."""
        return replace(self, frame=frame, ledger=(*self.ledger, line))
