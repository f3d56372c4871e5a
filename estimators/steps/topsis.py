"""Composite index by closeness to the ideal."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from estimators.steps._columns import finish, listing
from estimators.steps._indices import IndexStep, Indicators, indicators
from framework.contract import StepOutput
from framework.errors import SpecError
from framework.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


class Topsis(IndexStep):
    """Distance from the worst row over the distances from the best and the worst.

    Indicators are normalised and weighted; best and worst are made of each indicator's
    best and worst cell (its lowest is the best where less is better). 1 = best in all,
    0 = worst in all.
    """

    paper: ClassVar[str] = "Hwang and Yoon (1981), Multiple Attribute Decision Making"
    normalize: Literal["vector", "min_max"] = Field(
        "vector", description="by the column's length, or to [0, 1]"
    )
    weights: Literal["equal", "entropy", "critic"] | dict[str, float] = Field(
        "equal",
        description="equal, by entropy or CRITIC of indicators in [0, 1], or a mapping "
        "indicator: weight",
    )

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Measure the distances.

        Raises:
            EstimandError: D06 constant indicators, L03 too few rows, L04 missing cells,
                X52 weights of other indicators or not positive.
        """
        import numpy as np
        import pandas as pd

        from estimators._math.indices import closeness, directed, normalised

        found = indicators(panel, self, name, least_rows=3)
        index = np.zeros(len(found.rows))
        tables = []
        for label, rows in found.groups:
            x = directed(found.x[rows], found.positive)
            w = self._weights(found, x, name)
            sign = np.where(found.positive, 1.0, -1.0)
            z = normalised(found.x[rows], self.normalize) * sign
            index[rows] = closeness(z, w)
            table = {
                "period": label,
                "indicator": found.names,
                "direction": np.where(found.positive, "positive", "negative"),
                "weight": w,
            }
            tables.append(pd.DataFrame(table))
        kind = self.weights if isinstance(self.weights, str) else "given"
        detail = f"TOPSIS of {listing(found.names)}, {kind} weights, {self.weights_by}"
        made = {name: found.spread(index, len(panel.frame))}
        frames = {"weights": pd.concat(tables, ignore_index=True)}
        return finish(panel, name, made, detail, frames=frames)

    def _weights(self, found: Indicators, x: Floats, name: str) -> Floats:
        import numpy as np

        from estimators._math.indices import (
            critic_weights,
            entropy_weights,
            normalised,
        )

        if self.weights == "entropy":
            return entropy_weights(normalised(x, "min_max"))[1]
        if self.weights == "critic":
            return critic_weights(normalised(x, "min_max"))[2]
        if isinstance(self.weights, str):
            return np.full(x.shape[1], 1 / x.shape[1])
        wrong = set(self.weights) ^ set(found.names)
        if wrong or min(self.weights.values()) <= 0:
            raise SpecError(
                "X52",
                f"step '{name}': weights are not one positive number per indicator"
                + (f": {', '.join(sorted(wrong))}" if wrong else ""),
                fix="weights: {" + ": …, ".join(found.names) + ": …}",
            )
        given = np.array([self.weights[c] for c in found.names])
        share: Floats = given / given.sum()
        return share
