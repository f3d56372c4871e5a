"""A 0/1 column from a condition."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from estimators.steps._columns import finish, not_there, whole
from framework.condition import evaluate, parse
from framework.contract import Step, StepOutput
from framework.errors import counted
from framework.panel import Panel


class Indicator(Step):
    """1 where the condition is true, 0 where it is false, missing where unknown."""

    main: ClassVar[str | None] = "where"
    where: str = Field(description="a condition, e.g. year >= 2019")

    @field_validator("where")
    @classmethod
    def _readable(cls, value: str) -> str:
        parse(value)
        return value

    def reads(self, name: str) -> tuple[str, ...]:
        """Columns of the condition."""
        del name
        return parse(self.where).columns()

    def makes(self, name: str) -> tuple[str, ...]:
        """The column the step is named after."""
        return (name,)

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Make the column.

        Raises:
            DataError: D07, text compared with a number.
        """
        import numpy as np

        not_there(panel, name, name)
        true, unknown = evaluate(parse(self.where), panel.frame, panel.dates())
        values = np.where(unknown, np.nan, true.astype(np.float64))
        detail = f"1 where {self.where}: {counted(int(true.sum()), 'row')}"
        detail += f", missing in {int(unknown.sum()):,}" if unknown.any() else ""
        return finish(panel, name, {name: whole(values)}, detail)
