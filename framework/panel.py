"""The data of a study, validated: one frame, its two keys and its ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

    from framework.result import Plot

Kind = Literal["panel", "repeated_cross_sections", "cross_section"]


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

    @property
    def kind(self) -> Kind:
        if self.unit and self.time:
            return "panel"
        return "repeated_cross_sections" if self.time else "cross_section"

    def with_frame(self, frame: pd.DataFrame, line: LedgerLine) -> Panel:
        """A new panel with this frame and one more ledger line."""
        return replace(self, frame=frame, ledger=(*self.ledger, line))
