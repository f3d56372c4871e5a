"""Pull extreme cells in to percentiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

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
from framework.errors import counted
from framework.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


class Winsorize(ColumnStep):
    """Cells below the lower percentile become it, above the upper likewise.

    Percentiles are of the non-missing cells, over all rows or `within` each value of a
    column (a year).
    """

    main: ClassVar[str | None] = "limits"
    limits: tuple[float, float] = Field(
        description="[lower, upper] percentile as shares: [0.01, 0.99]"
    )
    columns: Columns | None = Field(
        None, description="default: all numbers that are not protected and not 0/1"
    )
    within: str | None = Field(None, description="percentiles by this column")
    definition: Literal["linear", "stata"] = Field(
        "linear",
        description="percentile between two cells: R's default (type 7), or Stata's "
        "(the mean of the two where the share falls between them)",
    )

    @field_validator("limits")
    @classmethod
    def _shares(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1] <= 1:
            raise ValueError("are shares in order, e.g. [0.01, 0.99]")
        return value

    def reads(self, name: str) -> tuple[str, ...]:
        """The columns and `within`."""
        within = (self.within,) if self.within else ()
        return tuple(dict.fromkeys((*super().reads(name), *within)))

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Winsorize.

        Raises:
            DataError: D07, a column is text.
        """
        import numpy as np

        frame = panel.frame
        if self.within:
            require(frame, self.within)
            grouped = frame.groupby(self.within, sort=False, dropna=False)
            groups = list(grouped.indices.values())
            groups += [np.flatnonzero(frame[self.within].isna().to_numpy())]
        else:
            groups = [np.arange(len(frame))]
        columns = chosen(panel, self.columns, name, protected)
        made: dict[str, Any] = {}
        cells = 0
        for new, old in columns:
            x = as_numbers(frame[old], old)
            y = x.copy()
            for rows in groups:
                y[rows] = self._pulled(x[rows])
            changed = int(((x != y) & ~np.isnan(x)).sum())
            cells += changed
            if changed or new != old:
                made[new] = y
        by = f" within {self.within}" if self.within else ""
        low, high = self.limits
        what = listing(old for _, old in columns)
        detail = f"winsorized {counted(cells, 'cell')} of {what} "
        detail += f"at [{low:g}, {high:g}]{by}"
        return finish(panel, name, made, detail, protected)

    def _pulled(self, x: Floats) -> Floats:
        import numpy as np

        known = x[~np.isnan(x)]
        if not len(known):
            return x
        if self.definition == "stata":
            low, high = np.quantile(known, self.limits, method="averaged_inverted_cdf")
        else:
            low, high = np.quantile(known, self.limits)
        result: Floats = np.clip(x, low, high)
        return result
