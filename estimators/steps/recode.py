"""Other values for the values of a column."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from estimators.steps._columns import (
    Columns,
    ColumnStep,
    chosen,
    finish,
    kind_of,
    listing,
)
from framework.contract import StepOutput
from framework.errors import DataError, counted
from framework.panel import Panel

Cell = str | int | float | None


class Recode(ColumnStep):
    """Each value by the map; `other` says what happens to values it does not list."""

    columns: Columns = Field(
        description="a column, a list to change in place, or a mapping new: old"
    )
    map: dict[str | int | float, Cell] = Field(description="old value: new value")
    other: Literal["error", "keep", "missing"] = Field(
        "error", description="what becomes of values that are not in the map"
    )

    @field_validator("map")
    @classmethod
    def _listed(cls, value: dict[Any, Any]) -> dict[Any, Any]:
        if not value:
            raise ValueError("maps nothing")
        return value

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Recode.

        Raises:
            DataError: D16 values that are not in the map, D07 a map of mixed types.
        """
        pairs = chosen(panel, self.columns, name, protected)
        made = {new: self._recoded(panel, old) for new, old in pairs}
        listed = listing(f"{old}→{new}" if new != old else old for new, old in pairs)
        detail = f"recoded {listed} by {counted(len(self.map), 'value')}"
        return finish(panel, name, made, detail, protected)

    def _recoded(self, panel: Panel, column: str) -> Any:
        import pandas as pd

        series = panel.frame[column]
        text = kind_of(series) == "text"
        keys = {str(k) if text else k: v for k, v in self.map.items()}
        unknown = series.notna() & ~series.isin(list(keys))
        if unknown.any() and self.other == "error":
            lost = ", ".join(map(str, dict.fromkeys(series[unknown].head(50))))[:80]
            raise DataError(
                "D16",
                f"'{column}': {counted(int(unknown.sum()), 'cell is', 'cells are')} "
                f"not in the map ({lost})",
                fix="list them in map, or other: keep, or other: missing",
            )
        cells = series.astype(object).map(keys)
        if self.other == "keep":
            cells = cells.where(~unknown, series.astype(object))
        kinds = {isinstance(cell, str) for cell in cells.dropna()}
        if len(kinds) > 1:
            raise DataError(
                "D07",
                f"recode of '{column}' mixes texts and numbers",
                fix="map to texts only or to numbers only",
            )
        gaps = cells.isna()
        if True in kinds:
            return cells.mask(gaps).infer_objects()
        numbers = pd.to_numeric(cells.mask(gaps))
        return numbers.astype("float64") if gaps.any() else numbers
