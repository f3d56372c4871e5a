"""A column from a small typed formula."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from estimators.steps._columns import finish, not_there
from framework.condition import compute, parse_formula
from framework.contract import Step, StepOutput
from framework.panel import Panel


class Derive(Step):
    """`+ - * / **`, brackets, `log exp sqrt abs min max`, columns and numbers.

    Missing operands give missing; a value that does not exist is refused.
    """

    main: ClassVar[str | None] = "formula"
    formula: str = Field(description="e.g. gdp / population")

    @field_validator("formula")
    @classmethod
    def _readable(cls, value: str) -> str:
        parse_formula(value)
        return value

    def reads(self, name: str) -> tuple[str, ...]:
        """Columns of the formula."""
        del name
        return parse_formula(self.formula).columns()

    def makes(self, name: str) -> tuple[str, ...]:
        """The column the step is named after."""
        return (name,)

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Make the column.

        Raises:
            DataError: D07 a column is text, D08 a value that does not exist.
        """
        not_there(panel, name, name)
        values = compute(parse_formula(self.formula), panel.frame)
        return finish(panel, name, {name: values}, f"{name} = {self.formula}")
