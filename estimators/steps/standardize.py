"""Mean zero and standard deviation one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from estimators.steps._columns import (
    Columns,
    ColumnStep,
    as_numbers,
    chosen,
    finish,
    listing,
)
from framework.condition import require
from framework.contract import StepOutput
from framework.errors import DataError
from framework.panel import Panel

if TYPE_CHECKING:
    import pandas as pd


class Standardize(ColumnStep):
    """`(x - mean) / sd` with the sample standard deviation (n - 1)."""

    columns: Columns = Field(
        description="a column, a list to change in place, or a mapping new: old"
    )
    within: str | None = Field(None, description="mean and sd by this column")

    def reads(self, name: str) -> tuple[str, ...]:
        """The columns and `within`."""
        within = (self.within,) if self.within else ()
        return tuple(dict.fromkeys((*super().reads(name), *within)))

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Standardize.

        Raises:
            DataError: D06 a column (or a group) is constant, D07 a column is text.
        """
        import pandas as pd

        frame = panel.frame
        if self.within:
            require(frame, self.within)
        pairs = chosen(panel, self.columns, name, protected)
        made: dict[str, Any] = {}
        for new, old in pairs:
            x = pd.Series(as_numbers(frame[old], old), index=frame.index)
            made[new] = self._scaled(x, old, frame)
        by = f" within {self.within}" if self.within else ""
        detail = f"standardized {listing(old for _, old in pairs)}{by}"
        return finish(panel, name, made, detail, protected)

    def _scaled(
        self, x: pd.Series[float], column: str, frame: pd.DataFrame
    ) -> pd.Series[float]:
        mean: Any
        sd: Any
        if self.within:
            groups = x.groupby(frame[self.within], sort=False)
            mean, sd = groups.transform("mean"), groups.transform("std")
            spread = groups.transform("max") - groups.transform("min")
            constant = bool((x.notna() & ((spread == 0) | sd.isna())).any())
        else:
            mean, sd = x.mean(), x.std()
            constant = not (x.max() > x.min())
        if constant:
            place = f" within some {self.within}" if self.within else ""
            raise DataError(
                "D06",
                f"'{column}' is constant{place}, so it can't be standardized",
                fix="leave the column out of the step",
            )
        scaled: pd.Series[float] = (x - mean) / sd
        return scaled
