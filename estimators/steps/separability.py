"""Whether an environment moves efficiency alone, or the frontier too."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from estimators.steps._split_test import SplitTestStep
from framework.condition import require
from framework.errors import DataError, counted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from estimators._math.split_tests import Distance
    from estimators.steps._frontier import Sample
    from framework.panel import Panel

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]


class Separability(SplitTestStep):
    """Test that groups share one frontier, as every second stage presumes.

    Mean distance to the frontier of all rows against mean distance to the frontier of
    the row's group, each in its half of the sample. A small p: the groups' frontiers
    differ, scores against one frontier mix both, and a second stage explains nothing
    economic. A continuous environment has to be put in groups first (`quantiles`).
    Frames: `test`, `splits`.
    """

    paper: ClassVar[str] = (
        "Daraio, Simar and Wilson (2018), Central limit theorems for conditional "
        "efficiency measures and tests of the separability condition, Econometrics J. 21"
    )
    by: str = Field(description="column of the groups")
    returns: Literal["constant", "variable"] = Field(
        description="returns to scale of the technology"
    )

    def reads(self, name: str) -> tuple[str, ...]:
        """The quantities and the groups."""
        return tuple(dict.fromkeys([*super().reads(name), self.by]))

    def _null(self) -> str:
        return f"the frontier is the same for every '{self.by}'"

    def _groups(
        self, panel: Panel, found: Sample, name: str
    ) -> tuple[Integers, list[str]]:
        import pandas as pd

        require(panel.frame, self.by)
        column = panel.frame[self.by].iloc[found.rows]
        if column.isna().any():
            raise DataError(
                "D05",
                f"step '{name}': {counted(int(column.isna().sum()), 'row has', 'rows have')} "
                f"no '{self.by}'",
                fix="every row needs the group whose frontier it may use",
            )
        codes, values = pd.factorize(column, sort=True)
        if len(values) == 1:
            raise DataError(
                "L03",
                f"step '{name}': all rows have the same '{self.by}'",
                why="one group has one frontier",
            )
        return codes.astype("int64"), [str(v) for v in values]

    def _technologies(
        self, found: Sample, groups: Integers
    ) -> tuple[Distance, Distance, float]:
        import numpy as np

        everyone = self._distance(found, self.returns)

        def within(rows: Integers) -> Floats:
            distance = np.empty(len(rows))
            for group in np.unique(groups[rows]):
                its = groups[rows] == group
                distance[its] = everyone(rows[its])
            return distance

        p_and_q = len(found.names)
        return everyone, within, 2 / (p_and_q + (self.returns == "variable"))


__all__ = ["Separability"]
