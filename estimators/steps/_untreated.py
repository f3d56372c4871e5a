"""Peers that a policy has not touched: whose technology is free of its interference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from estimators.steps._columns import as_numbers
from framework.condition import require
from framework.errors import DataError
from framework.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Booleans = npt.NDArray[np.bool_]
    Floats = npt.NDArray[np.float64]

Rows = Literal["before", "untreated", "never"]
_IN_WORDS: Mapping[Rows, str] = {
    "before": "rows before anybody is treated",
    "untreated": "untreated rows",
    "never": "rows of never-treated units",
}


class Untreated(BaseModel):
    """Peers by the treatment: `{rows: never, treatment: ai}`.

    A dose, levels and several treatments have no single split into treated and not;
    their peers are a condition.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    rows: Rows = Field(
        description="`before`: of the periods before anybody is treated; `untreated`: "
        "all but treated rows; `never`: of units that are never treated"
    )
    treatment: str | None = Field(None, description="0/1 column of the treatment")
    first_treated: str | None = Field(
        None, description="instead: column of the first treated period"
    )
    never: float | Literal["missing"] | None = Field(
        None, description="what `first_treated` holds for never-treated units"
    )

    @model_validator(mode="after")
    def _one_column(self) -> Untreated:
        if (self.treatment is None) == (self.first_treated is None):
            raise ValueError("needs one of `treatment` and `first_treated`")
        if self.never is not None and self.first_treated is None:
            raise ValueError("`never` says how `first_treated` marks untreated units")
        return self

    def __str__(self) -> str:
        return f"{_IN_WORDS[self.rows]} ({self.treatment or self.first_treated})"

    @property
    def columns(self) -> tuple[str, ...]:
        """The column that is read."""
        return tuple(c for c in (self.treatment, self.first_treated) if c)

    def of(self, panel: Panel, name: str) -> Booleans:
        """Which rows of the panel are such peers.

        Args:
            panel: the data.
            name: of the step, for messages.

        Raises:
            DataError: P04 without the unit or time that the split needs, T02 a column
                that is not 0/1.
        """
        import numpy as np

        frame, wanted = panel.frame, self.rows
        absent = (wanted == "before" or self.first_treated) and panel.time is None
        if absent or (wanted == "never" and panel.unit is None):
            raise DataError(
                "P04",
                f"step '{name}': reference rows '{wanted}' need "
                f"{'a time' if absent else 'units'}, and the data have none",
                fix="a condition: reference: 'COLUMN = VALUE'",
            )
        treated, known = self._treated(panel, name)
        if wanted == "untreated":
            return known & ~treated
        if wanted == "before":
            clock = frame[panel.time].to_numpy()
            first = clock[treated].min() if treated.any() else np.inf
            before: Booleans = clock < first
            return before
        units = frame[panel.unit].to_numpy()
        touched = np.isin(units, np.unique(units[treated]))
        return known & ~touched

    def _treated(self, panel: Panel, name: str) -> tuple[Booleans, Booleans]:
        """Which rows are treated, and of which that is known."""
        import numpy as np

        (column,) = self.columns
        require(panel.frame, column)
        values: Floats = as_numbers(panel.frame[column], column)
        known = ~np.isnan(values)
        if self.treatment is not None:
            if not np.isin(values[known], (0.0, 1.0)).all():
                raise DataError(
                    "T02",
                    f"step '{name}': the treatment '{column}' is not 0/1",
                    why="who is untreated is then a matter of judgement",
                    fix=f"a condition: reference: '{column} = 0'",
                )
            return values == 1, known
        if self.never == "missing":
            known = np.ones_like(known)
            values = np.where(np.isnan(values), np.inf, values)
        elif self.never is not None:
            values = np.where(values == self.never, np.inf, values)
        return panel.frame[panel.time].to_numpy() >= values, known


#: A condition on the rows, or the rows that the treatment has not touched.
Reference = str | Untreated


def other_technologies(
    treatment: Mapping[str, Any], frontier: Any
) -> dict[str, dict[str, Any]]:
    """Options of a frontier that a policy may not have moved, by name.

    Args:
        treatment: `model.treatment` as written.
        frontier: the step's own, which `pooled` is not repeated for.

    Returns:
        Nothing where the treatment is no single column.
    """
    written = {
        "treatment": treatment.get("column"),
        "first_treated": treatment.get("first_treated"),
    }
    if isinstance(written["treatment"], str):
        held = {"treatment": written["treatment"]}
    elif isinstance(written["first_treated"], str) and not written["treatment"]:
        held = {k: treatment[k] for k in ("first_treated", "never") if k in treatment}
    else:
        return {}
    found: dict[str, dict[str, Any]] = {
        rows: {"reference": {"rows": rows, **held}} for rows in _IN_WORDS
    }
    return found | ({"pooled": {"frontier": "pooled"}} if frontier != "pooled" else {})


__all__ = ["Reference", "Untreated", "other_technologies"]
