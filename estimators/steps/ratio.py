"""One column divided by another."""

from __future__ import annotations

from pydantic import Field

from estimators.steps._columns import as_numbers, finish, no_value, not_there
from framework.condition import require
from framework.contract import Step, StepOutput
from framework.panel import Panel


class Ratio(Step):
    """`over / under`; missing where either is; a zero below the line is refused."""

    over: str = Field(description="numerator")
    under: str = Field(description="denominator")

    def reads(self, name: str) -> tuple[str, ...]:
        """Numerator and denominator."""
        del name
        return (self.over, self.under)

    def makes(self, name: str) -> tuple[str, ...]:
        """The column the step is named after."""
        return (name,)

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Divide.

        Raises:
            DataError: D07 a column is text, D08 zeros in the denominator.
        """
        not_there(panel, name, name)
        for column in self.reads(name):
            require(panel.frame, column)
        over = as_numbers(panel.frame[self.over], self.over)
        under = as_numbers(panel.frame[self.under], self.under)
        if zeros := int((under == 0).sum()):
            raise no_value(
                zeros,
                len(under),
                f"'{name}' divides by '{self.under}'",
                "zero",
                f"keep: {self.under} != 0 before, or name 0 in "
                f"data.columns.{self.under}.missing",
            )
        detail = f"{self.over} / {self.under}"
        return finish(panel, name, {name: over / under}, detail)
