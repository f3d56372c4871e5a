"""Fill gaps inside a unit's series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from estimators.steps._columns import (
    Columns,
    ColumnStep,
    as_numbers,
    chosen,
    finish,
    has_time,
    listing,
)
from framework.contract import StepOutput
from framework.errors import counted
from framework.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


class Interpolate(ColumnStep):
    """Straight lines between the known neighbours of a gap, by unit and calendar.

    Never before a unit's first or after its last known cell, and no rows are made. A
    gap that spans an adoption carries the outcome after it into the time before: the
    frame `filled` lists every filled cell, so that those near adoption can be counted.
    """

    main: ClassVar[str | None] = "method"
    method: Literal["linear"] = Field("linear", description="straight lines")
    columns: Columns | None = Field(
        None, description="default: all numbers that are not protected and not 0/1"
    )
    limit: int | None = Field(
        None, ge=1, description="longest gap, in periods, that is filled; all of it"
    )

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Fill.

        Raises:
            DataError: P04 the data are no panel, D07 a column is text.
        """
        import numpy as np
        import pandas as pd

        unit, time = has_time(panel, name)
        frame = panel.frame
        codes = pd.factorize(frame[unit])[0]
        clock = frame[time].to_numpy(dtype=np.float64)
        made: dict[str, Any] = {}
        lists: list[pd.DataFrame] = []
        left = 0
        for new, old in chosen(panel, self.columns, name, protected):
            x = as_numbers(frame[old], old)
            gaps = np.isnan(x)
            if not gaps.any():
                if new != old:
                    made[new] = x
                continue
            y = _filled(x, codes, clock, self.limit)
            rows = np.flatnonzero(gaps & ~np.isnan(y))
            left += int(np.isnan(y).sum())
            made[new] = y
            lists.append(
                frame.iloc[rows][[unit, time]].assign(column=new, value=y[rows])
            )
        filled = pd.concat(lists, ignore_index=True) if lists else pd.DataFrame()
        detail = f"filled {counted(len(filled), 'cell')}"
        if len(filled):
            detail += f" of {listing(filled['column'].unique())}"
        detail += f"; {left:,} stay missing (ends, long gaps)" if left else ""
        frames = {"filled": filled} if len(filled) else {}
        out = finish(panel, name, made, detail, protected, frames)
        return _counted(out, len(filled))


def _counted(out: StepOutput, cells: int) -> StepOutput:
    """The ledger counts filled cells, also where the column is a new one."""
    from dataclasses import replace

    line = replace(out.panel.ledger[-1], cells=cells)
    return replace(out, panel=replace(out.panel, ledger=(*out.panel.ledger[:-1], line)))


def _filled(
    x: Floats, codes: npt.NDArray[Any], clock: Floats, limit: int | None
) -> Floats:
    """Linear interpolation within `codes`; rows sorted by (code, clock)."""
    import numpy as np

    rows = np.arange(len(x))
    known = ~np.isnan(x)
    before = np.maximum.accumulate(np.where(known, rows, -1))
    after = np.minimum.accumulate(np.where(known, rows, len(x))[::-1])[::-1]
    inside = ~known & (before >= 0) & (after < len(x))
    inside[inside] = (codes[before[inside]] == codes[inside]) & (
        codes[after[inside]] == codes[inside]
    )
    i, j = before[inside], after[inside]
    span = clock[j] - clock[i]
    result = x.copy()
    result[inside] = x[i] + (x[j] - x[i]) * (clock[inside] - clock[i]) / span
    if limit is not None:
        long = span - 1 > limit
        result[rows[inside][long]] = np.nan
    return result
