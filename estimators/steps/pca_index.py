"""Composite index by principal components."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from estimators.steps._columns import finish, listing
from estimators.steps._indices import IndexStep, indicators
from framework.contract import StepOutput
from framework.panel import Panel

if TYPE_CHECKING:
    from estimators._math.indices import Components

#: Eigenvalues nearer than this share of their sum are one.
_TIED = 1e-6


class PcaIndex(IndexStep):
    """Principal components of standardised indicators, weighted by their variance.

    One component (default) is the index by itself; of several, the index is their mean
    weighted by eigenvalue. A component's sign is arbitrary: loadings (of indicators
    that all mean more is better) are made to sum to more than 0. Frames: `components`,
    `loadings`.
    """

    paper: ClassVar[str] = (
        "Hotelling (1933); Jolliffe (2002), Principal Component Analysis"
    )
    components: int | float | Literal["kaiser"] = Field(
        1,
        description="how many; kaiser = eigenvalues above 1; 0.85 = as many as reach "
        "that share of variance",
    )

    @field_validator("components")
    @classmethod
    def _some(cls, value: float | str) -> float | str:
        whole = isinstance(value, int) and value >= 1
        share = isinstance(value, float) and 0 < value < 1
        if value != "kaiser" and not whole and not share:
            raise ValueError("is a number from 1, a share below 1, or kaiser")
        return value

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Standardise, turn and add up.

        Raises:
            EstimandError: D06 constant indicators, L03 not more rows than indicators,
                L04 missing cells.
        """
        import numpy as np
        import pandas as pd

        from estimators._math.indices import principal_components

        found = indicators(panel, self, name, least_rows=len(self.columns) + 1)
        index = np.zeros(len(found.rows))
        shares, loadings, notes = [], [], []
        sign = np.where(found.positive, 1.0, -1.0)
        for label, rows in found.groups:
            turned = principal_components(found.x[rows] * sign)
            kept = self._kept(turned)
            values = turned.eigenvalues
            index[rows] = turned.scores[:, :kept] @ (
                values[:kept] / values[:kept].sum()
            )
            number = np.arange(1, len(values) + 1)
            told = {
                "period": label,
                "component": number,
                "eigenvalue": values,
                "share": turned.shares,
                "cumulative": turned.shares.cumsum(),
                "kept": number <= kept,
            }
            shares.append(pd.DataFrame(told))
            table = pd.DataFrame(
                turned.loadings[:, :kept],
                columns=[f"component {k + 1}" for k in range(kept)],
            )
            table.insert(0, "indicator", found.names)
            table.insert(0, "period", label)
            loadings.append(table)
            if _is_tied(turned, kept):
                notes.append(
                    f"step '{name}': eigenvalues {kept} and {kept + 1} ({label}) are "
                    "the same, so which component is kept is arbitrary"
                )
            elif abs(turned.loadings[:, 0].sum()) < 1e-8:  # noqa: PLR2004 - rounding of a sum of k numbers below 1
                notes.append(
                    f"step '{name}': the loadings ({label}) sum to zero, so the sign "
                    "of the index is arbitrary"
                )
        detail = f"principal components of {listing(found.names)}, "
        detail += f"components: {self.components}, {self.weights_by}"
        made = {name: found.spread(index, len(panel.frame))}
        frames = {
            "components": pd.concat(shares, ignore_index=True),
            "loadings": pd.concat(loadings, ignore_index=True),
        }
        return finish(panel, name, made, detail, frames=frames, notes=tuple(notes))

    def _kept(self, turned: Components) -> int:
        import numpy as np

        values = turned.eigenvalues
        if self.components == "kaiser":
            return max(1, int((values > 1).sum()))
        if isinstance(self.components, int):
            return min(self.components, len(values))
        # A share that is reached but for rounding is reached.
        reached = turned.shares.cumsum() >= float(self.components) - 1e-12
        return int(np.argmax(reached)) + 1


def _is_tied(turned: Components, kept: int) -> bool:
    values = turned.eigenvalues
    if kept >= len(values):
        return False
    return bool(values[kept - 1] - values[kept] < _TIED * values.sum())
