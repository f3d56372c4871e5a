"""Keep the rows that satisfy a condition, before later steps see them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from framework.condition import evaluate, parse
from framework.contract import Step, StepOutput
from framework.errors import DataError, counted
from framework.panel import LedgerLine, Panel


class Keep(Step):
    """Rows where the condition is true; unknown (a missing cell) is out and counted.

    Later steps (percentiles, frontiers) see only these rows. `model.sample` restricts
    after all steps and rebuilds nothing.
    """

    main: ClassVar[str | None] = "where"
    where: str = Field(description="a condition, e.g. year >= 2015")

    @field_validator("where")
    @classmethod
    def _readable(cls, value: str) -> str:
        parse(value)
        return value

    def reads(self, name: str) -> tuple[str, ...]:
        """Columns of the condition."""
        del name
        return parse(self.where).columns()

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Leave out the other rows.

        Raises:
            DataError: D05, no row is left; D07, text compared with a number.
        """
        true, unknown = evaluate(parse(self.where), panel.frame, panel.dates())
        rows = len(true)
        kept, lost = int(true.sum()), int(unknown.sum())
        detail = f"{self.where}: {counted(rows - kept - lost, 'row')} out"
        detail += f", {lost:,} more because it is unknown there" if lost else ""
        if not kept:
            raise DataError(
                "D05",
                f"0 rows left after step '{name}': {detail}",
                fix="weaken the condition",
            )
        line = LedgerLine("step", name, rows, kept, 0, detail)
        frame = panel.frame.loc[true].reset_index(drop=True)
        return StepOutput(panel.with_frame(frame, line))
