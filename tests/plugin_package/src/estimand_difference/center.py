"""Distance of a column from its middle."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from framework.condition import as_numbers, require
from framework.contract import Step, StepOutput
from framework.errors import SpecError
from framework.panel import LedgerLine, Panel


class Center(Step):
    """The column minus its mean or median; missing where the column is."""

    main: ClassVar[str | None] = "column"
    column: str = Field(description="the column")
    around: Literal["mean", "median"] = Field(
        default="mean", description="what is taken off"
    )

    def reads(self, name: str) -> tuple[str, ...]:
        return (self.column,)

    def makes(self, name: str) -> tuple[str, ...]:
        return (name,)

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        import numpy as np

        if name in panel.frame:
            raise SpecError("X13", f"step '{name}' makes '{name}', which exists")
        require(panel.frame, self.column)
        values = as_numbers(panel.frame[self.column], self.column)
        if np.isnan(values).all():
            made = values
        else:
            middle = np.nanmean if self.around == "mean" else np.nanmedian
            made = values - middle(values)
        rows = len(values)
        cells = int((~np.isnan(made)).sum())
        detail = f"{self.column} minus its {self.around}"
        line = LedgerLine("step", name, rows, rows, cells, detail)
        return StepOutput(panel.with_frame(panel.frame.assign(**{name: made}), line))
