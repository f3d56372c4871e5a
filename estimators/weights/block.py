"""Neighbours are the units of the same group."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from estimators.weights._options import Normalised
from framework.contract import SpatialWeights
from framework.panel import Panel


class Block(Normalised):
    """w_ij = 1 for all others of the same group (province, sector), 0 elsewhere."""

    main: ClassVar[str | None] = "column"
    paper: ClassVar[str] = "Case (1991), Econometrica 59(4)"

    column: str = Field(description="Column with the group, constant within units.")
    islands: Literal["error", "drop"] = Field(
        default="error",
        description="A unit that is alone in its group: refused, or left out of every "
        "estimation with this matrix.",
    )

    def reads(self) -> tuple[str, ...]:
        return (self.column,)

    def build(self, panel: Panel) -> SpatialWeights:
        """Build.

        Raises:
            DataError: P04, S02, S06 the group changes or is missing.
        """
        import numpy as np
        import pandas as pd

        from estimators._math.neighbours import from_pairs
        from estimators.weights._places import finish, per_unit, units_of

        units = units_of(panel)
        group = pd.factorize(per_unit(panel, self.column))[0]
        rows, columns = np.nonzero(group[:, None] == group)
        W = from_pairs(rows, columns, np.ones(len(rows)), len(units))
        return finish(units, W, self.transform, self.islands)
