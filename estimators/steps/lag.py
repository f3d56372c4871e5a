"""The value of some periods earlier."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from estimators.steps._columns import (
    Columns,
    ColumnStep,
    chosen,
    finish,
    listing,
    shifted,
)
from framework.contract import StepOutput
from framework.errors import counted
from framework.panel import Panel


class Lag(ColumnStep):
    """The unit's value `periods` earlier by the calendar, not by rows.

    Where the unit is not observed in that period the value is missing.
    """

    columns: Columns = Field(
        description="a column, a list to change in place, or a mapping new: old"
    )
    periods: int = Field(1, ge=1, description="how many periods earlier")

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Make the lags.

        Raises:
            DataError: P04, the data are no panel.
        """
        pairs = chosen(panel, self.columns, name, protected)
        made: dict[str, Any] = {
            new: shifted(panel, old, self.periods, name) for new, old in pairs
        }
        lost = sum(
            int((made[new].isna() & panel.frame[old].notna()).sum())
            for new, old in pairs
        )
        detail = f"lag {self.periods} of {listing(old for _, old in pairs)}; "
        detail += f"{counted(lost, 'cell')} missing: no row {self.periods} earlier"
        return finish(panel, name, made, detail, protected)
