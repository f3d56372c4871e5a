"""Which units or rows lie above a cut."""

from __future__ import annotations

from typing import Literal

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
from framework.errors import DataError, counted
from framework.panel import Panel


class Above(Step):
    """1 above the cut, 0 at or below it, missing where the column is.

    Without `at`, every row is compared with the mean or median of all rows. With `at`,
    every unit is compared by its value in that period with the mean or median of the
    units then, so that a unit stays in one group.
    """

    column: str = Field(description="the column to compare")
    cut: Literal["mean", "median"] | float = Field(
        description="mean, median or a number"
    )
    at: int | None = Field(None, description="compare units by this period")

    def reads(self, name: str) -> tuple[str, ...]:
        """The column."""
        del name
        return (self.column,)

    def makes(self, name: str) -> tuple[str, ...]:
        """The column the step is named after."""
        return (name,)

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Split.

        Raises:
            DataError: D06 all on one side, D07 the column is text, P04 `at` without a
                panel, T04 no row is of that period.
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
                "D05", f"step '{name}': '{self.column}' has no cell to compare"
            )
        if isinstance(self.cut, str):
            cut = float(np.mean(pool) if self.cut == "mean" else np.median(pool))
        else:
            cut = self.cut
        values = np.where(np.isnan(x), np.nan, (x > cut).astype(np.float64))
        ones, zeros = int((values == 1).sum()), int((values == 0).sum())
        if not (ones and zeros):
            raise DataError(
                "D06",
                f"step '{name}': every '{self.column}' is on one side of {cut:g}",
                why="a split needs two groups",
                fix="another cut",
            )
        word = f"{self.cut} " if isinstance(self.cut, str) else ""
        when = f" at {self.at}" if self.at is not None else ""
        missing = len(values) - ones - zeros
        detail = (
            f"{self.column}{when} above {word}{cut:.6g}: {counted(ones, 'row')} above, "
        )
        detail += f"{zeros:,} not" + (f", {missing:,} missing" if missing else "")
        return finish(panel, name, {name: whole(values)}, detail)
