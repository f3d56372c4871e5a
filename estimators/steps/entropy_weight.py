"""Composite index by entropy weights."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from estimators.steps._columns import finish, listing
from estimators.steps._indices import IndexStep, indicators
from framework.contract import StepOutput
from framework.errors import DataError, counted
from framework.panel import Panel


class EntropyWeight(IndexStep):
    """Weighted mean of normalised indicators; weight = 1 - entropy of the shares.

    Indicators are mirrored where less is better and brought to [0, 1] (`min_max`) or to
    length 1 (`vector`), p = z / sum(z), e = -sum(p ln p) / ln n, w ~ 1 - e. The frame
    `weights` has entropy, information 1 - e and weight of every indicator.
    """

    paper: ClassVar[str] = (
        "Shannon (1948); Zeleny (1982), Multiple Criteria Decision Making"
    )
    normalize: Literal["min_max", "vector"] = Field(
        "min_max", description="to [0, 1] by column, or by the column's length"
    )
    shift: float = Field(
        0.0,
        ge=0,
        description="added to every normalised cell, as papers do that will not take "
        "0 ln 0 as 0 (0.0001, 0.01); it moves the weights",
    )

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Weigh and add up.

        Raises:
            EstimandError: D06 constant indicators, D08 negative cells that `vector`
                can't take, L03 too few rows, L04 missing cells.
        """
        import numpy as np
        import pandas as pd

        from estimators._math.indices import directed, entropy_weights, normalised

        found = indicators(panel, self, name)
        if self.normalize == "vector" and (found.x < 0).any():
            raise DataError(
                "D08",
                f"step '{name}': "
                f"{counted(int((found.x < 0).sum()), 'cell is', 'cells are')} negative",
                why="entropy is that of shares",
                fix="normalize: min_max",
            )
        index = np.zeros(len(found.rows))
        tables = []
        for label, rows in found.groups:
            z = normalised(directed(found.x[rows], found.positive), self.normalize)
            e, w = entropy_weights(z + self.shift)
            index[rows] = (z + self.shift) @ w
            table = pd.DataFrame(
                {
                    "period": label,
                    "indicator": found.names,
                    "direction": np.where(found.positive, "positive", "negative"),
                    "entropy": e,
                    "information": 1 - e,
                    "weight": w,
                }
            )
            tables.append(table)
        detail = f"entropy-weighted index of {listing(found.names)}, "
        detail += f"{self.weights_by} weights, {self.normalize}"
        made = {name: found.spread(index, len(panel.frame))}
        frames = {"weights": pd.concat(tables, ignore_index=True)}
        return finish(panel, name, made, detail, frames=frames)
