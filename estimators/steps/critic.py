"""Composite index by CRITIC weights."""

from __future__ import annotations

from typing import ClassVar

from estimators.steps._columns import finish, listing
from estimators.steps._indices import IndexStep, indicators
from framework.contract import StepOutput
from framework.errors import DataError
from framework.panel import Panel


class Critic(IndexStep):
    """Weighted mean of indicators in [0, 1]; weight = contrast times conflict.

    C_j = sd_j * sum_k (1 - r_jk): an indicator counts that varies and says something the
    others do not. The frame `weights` has deviation, conflict and weight.
    """

    paper: ClassVar[str] = (
        "Diakoulaki, Mavrotas and Papayannakis (1995), Determining objective weights in "
        "multiple criteria problems: the CRITIC method"
    )

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Weigh and add up.

        Raises:
            EstimandError: D06 constant indicators or no conflict between them, L03 too
                few rows, L04 missing cells.
        """
        import numpy as np
        import pandas as pd

        from estimators._math.indices import critic_weights, directed, normalised

        found = indicators(panel, self, name, least_rows=3)
        index = np.zeros(len(found.rows))
        tables = []
        for label, rows in found.groups:
            z = normalised(directed(found.x[rows], found.positive), "min_max")
            deviation, conflict, w = critic_weights(z)
            # Correlations of 1 leave rounding of the size of the number of indicators.
            if conflict.max() <= 1e-12 * len(found.names):
                raise DataError(
                    "D06",
                    f"step '{name}': all indicators move as one",
                    why="without conflict CRITIC has no weights",
                    fix="use one of them",
                )
            index[rows] = z @ w
            table = pd.DataFrame(
                {
                    "period": label,
                    "indicator": found.names,
                    "direction": np.where(found.positive, "positive", "negative"),
                    "deviation": deviation,
                    "conflict": conflict,
                    "weight": w,
                }
            )
            tables.append(table)
        detail = f"CRITIC index of {listing(found.names)}, {self.weights_by} weights"
        made = {name: found.spread(index, len(panel.frame))}
        frames = {"weights": pd.concat(tables, ignore_index=True)}
        return finish(panel, name, made, detail, frames=frames)
