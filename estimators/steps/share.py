"""A part of a total."""

from __future__ import annotations

from pydantic import Field

from estimators.steps._columns import as_numbers, finish, no_value, not_there
from framework.condition import require
from framework.contract import Step, StepOutput
from framework.panel import Panel


class Share(Step):
    """`of / total`, where the total may be the sum of several columns.

    Missing where a part is; a zero total is refused; shares outside 0 to 1 are said.
    """

    of: str = Field(description="the part")
    total: str | list[str] = Field(description="a column, or columns to add up")

    def reads(self, name: str) -> tuple[str, ...]:
        """The part and the total."""
        del name
        return tuple(dict.fromkeys((self.of, *self._parts())))

    def makes(self, name: str) -> tuple[str, ...]:
        """The column the step is named after."""
        return (name,)

    def _parts(self) -> list[str]:
        return [self.total] if isinstance(self.total, str) else self.total

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Divide.

        Raises:
            DataError: D07 a column is text, D08 totals of zero.
        """
        import numpy as np

        not_there(panel, name, name)
        for column in self.reads(name):
            require(panel.frame, column)
        part = as_numbers(panel.frame[self.of], self.of)
        total = np.sum([as_numbers(panel.frame[c], c) for c in self._parts()], axis=0)
        if zeros := int((total == 0).sum()):
            raise no_value(
                zeros,
                len(total),
                f"the total of '{name}' ({' + '.join(self._parts())})",
                "zero",
                "leave those rows out with a `keep` step before",
            )
        values = part / total
        odd = int(((values < 0) | (values > 1)).sum())
        notes = (f"step '{name}': {odd:,} shares are outside 0 to 1",) if odd else ()
        detail = f"{self.of} / ({' + '.join(self._parts())})"
        return finish(panel, name, {name: values}, detail, notes=notes)
