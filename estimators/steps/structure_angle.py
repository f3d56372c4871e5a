"""Upgrading of the industrial structure by angles of sector shares."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from estimators.steps._columns import as_numbers, finish, listing, not_there
from estimators.steps._frontier import keys, row_names
from framework.condition import require
from framework.contract import Step, StepOutput
from framework.errors import DataError, SpecError, counted
from framework.panel import Panel

#: Sums of shares further than this from 1 or 100 are no whole.
_WHOLE = 0.05


class StructureAngle(Step):
    """Weighted angles between the vector of sector shares and the sectors' axes.

    theta_j = arccos(x_j / |x|) in radians, index = sum_j W_j theta_j. List the sectors
    from the lowest to the highest; with three and W = 3, 2, 1 the index runs from 3 pi/2
    (all primary) to 5 pi/2 (all tertiary). The frame `angles` has theta by row.
    """

    main: ClassVar[str | None] = "shares"
    paper: ClassVar[str] = (
        "Fu (2010), An empirical study on the relationship between the upgrading of the "
        "industrial structure and economic growth in China"
    )
    shares: list[str] | str = Field(
        description="shares (or values added) of the sectors, lowest first"
    )
    weights: list[float] | None = Field(
        None, description="W_j; default k, k - 1, …, 1: for three sectors 3, 2, 1"
    )

    @field_validator("shares")
    @classmethod
    def _list(cls, value: list[str] | str) -> list[str]:
        value = [value] if isinstance(value, str) else value
        if len(set(value)) < len(value):
            raise ValueError("names a column twice")
        return value

    def reads(self, name: str) -> tuple[str, ...]:
        """The shares."""
        del name
        return tuple(self.shares)

    def makes(self, name: str) -> tuple[str, ...]:
        """The column the step is named after."""
        return (name,)

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Compute the angles; missing where a share is.

        Raises:
            DataError: D07 text, D08 a share is negative or all are zero.
            SpecError: X52 fewer than two sectors, or not one weight per sector.
        """
        import numpy as np
        import pandas as pd

        from estimators._math.indices import angles

        not_there(panel, name, name)
        k = len(self.shares)
        weights = self.weights or [float(k - j) for j in range(k)]
        if k < 2 or len(weights) != k:  # noqa: PLR2004 - an angle needs a plane
            raise SpecError(
                "X52",
                f"step '{name}': {k} shares and {len(weights)} weights",
                fix="two or more shares, one weight for each",
            )
        for column in self.shares:
            require(panel.frame, column)
        x = np.array([as_numbers(panel.frame[c], c) for c in self.shares]).T
        known = ~np.isnan(x).any(axis=1)
        wrong = known & (
            (x < 0).any(axis=1) | ~(x > 0).any(axis=1) | np.isinf(x).any(1)
        )
        if wrong.any():
            rows = np.flatnonzero(wrong)
            raise DataError(
                "D08",
                f"step '{name}': {counted(len(rows), 'row has', 'rows have')} a "
                "negative or infinite share, "
                f"or none above zero: {row_names(panel, rows)}",
                why="such a vector has no angle between 0 and 90 degrees",
            )
        theta = np.full(x.shape, np.nan)
        theta[known] = angles(x[known])
        total = x[known].sum(axis=1)
        off = int((np.abs(total[:, None] / [1, 100] - 1).min(axis=1) > _WHOLE).sum())
        rows_have = counted(off, "row has", "rows have")
        note = f"step '{name}': {rows_have} shares that sum to neither 1 nor 100; "
        note += "angles do not need it, unless one share is in other units"
        notes = (note,) if off else ()
        missing = int((~known).sum())
        told = ", ".join(f"{w:g}" for w in weights)
        detail = f"angles of {listing(self.shares)}, weights {told}"
        detail += f"; {missing:,} missing" if missing else ""
        table = pd.concat(
            [
                keys(panel, np.arange(len(x))),
                pd.DataFrame(theta, columns=list(self.shares)),
            ],
            axis=1,
        )
        made = {name: theta @ np.array(weights)}
        return finish(panel, name, made, detail, frames={"angles": table}, notes=notes)
