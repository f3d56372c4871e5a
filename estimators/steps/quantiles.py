"""Groups of equal size by a column."""

from __future__ import annotations

from pydantic import Field

from estimators.steps._columns import (
    as_numbers,
    at_period,
    finish,
    has_time,
    not_there,
    whole,
)
from framework.condition import require
from framework.contract import Step, StepOutput
from framework.errors import DataError
from framework.panel import Panel


class Quantiles(Step):
    """Groups 1 (lowest) to `number`; a cell on a border belongs to the lower group.

    Borders are linear percentiles of the non-missing cells: of all rows, or with `at`
    of the units in that period, so that a unit stays in one group.
    """

    column: str = Field(description="the column to group by")
    number: int = Field(ge=2, le=100, description="how many groups")
    at: int | None = Field(None, description="group units by this period")

    def reads(self, name: str) -> tuple[str, ...]:
        """The column."""
        del name
        return (self.column,)

    def makes(self, name: str) -> tuple[str, ...]:
        """The column the step is named after."""
        return (name,)

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Group.

        Raises:
            DataError: D06 ties leave a group empty, D07 the column is text, P04 `at`
                without a panel, T04 no row is of that period.
        """
        import numpy as np

        not_there(panel, name, name)
        require(panel.frame, self.column)
        x = as_numbers(panel.frame[self.column], self.column)
        pool = x
        if self.at is not None:
            _, time = has_time(panel, name)
            pool = x[(panel.frame[time] == self.at).to_numpy()]
            x = as_numbers(at_period(panel, self.column, self.at, name), self.column)
        pool = pool[~np.isnan(pool)]
        if not len(pool):
            raise DataError(
                "D05", f"step '{name}': '{self.column}' has no cell to group by"
            )
        cuts = np.quantile(pool, np.arange(1, self.number) / self.number)
        groups = np.searchsorted(cuts, x, side="left").astype(np.float64) + 1
        groups[np.isnan(x)] = np.nan
        found = len(np.unique(groups[~np.isnan(groups)]))
        if found < self.number:
            raise DataError(
                "D06",
                f"step '{name}': ties in '{self.column}' fill only {found} of "
                f"{self.number} groups",
                fix="fewer groups, or `above` with a number as cut",
            )
        borders = ", ".join(f"{cut:.6g}" for cut in cuts[:5])
        when = f" at {self.at}" if self.at is not None else ""
        detail = f"{self.number} groups of {self.column}{when}, borders {borders}"
        return finish(panel, name, {name: whole(groups)}, detail)
