"""A column frozen at one period."""

from __future__ import annotations

from pydantic import Field

from estimators.steps._columns import at_period, finish, not_there
from framework.condition import require
from framework.contract import Step, StepOutput
from framework.errors import counted
from framework.panel import Panel


class At(Step):
    """The unit's value in one period, in all its rows.

    Frozen before the treatment, a control can't be an outcome of it.
    """

    column: str = Field(description="the column")
    year: int = Field(description="the period, in the panel's counting")

    def reads(self, name: str) -> tuple[str, ...]:
        """The column."""
        del name
        return (self.column,)

    def makes(self, name: str) -> tuple[str, ...]:
        """The column the step is named after."""
        return (name,)

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Freeze.

        Raises:
            DataError: P04 the data are no panel, T04 no row is of that period.
        """
        not_there(panel, name, name)
        require(panel.frame, self.column)
        values = at_period(panel, self.column, self.year, name)
        lost = panel.frame.loc[values.isna(), panel.unit].nunique()
        detail = f"{self.column} at {self.year}"
        detail += (
            f"; missing for {counted(lost, 'unit')} without it then" if lost else ""
        )
        return finish(panel, name, {name: values}, detail)
