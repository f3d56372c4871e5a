"""One 0/1 column for every value of a column."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from estimators.steps._columns import finish, not_there
from framework.condition import require
from framework.contract import Step, StepOutput
from framework.errors import DataError
from framework.panel import Panel

_MOST = 500


class Dummies(Step):
    """Columns `column=value`, all of them unless a `reference` is left out.

    Missing where the column is.
    """

    main: ClassVar[str | None] = "column"
    column: str = Field(description="the column")
    reference: str | int | float | None = Field(
        None, description="value that gets no column"
    )

    def reads(self, name: str) -> tuple[str, ...]:
        """The column."""
        del name
        return (self.column,)

    def makes(self, name: str) -> tuple[str, ...] | None:
        """One for each value, which only the data tell."""
        del name
        return None

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Make the columns.

        Raises:
            DataError: D17 the reference is no value, D19 too many values.
        """
        import numpy as np

        require(panel.frame, self.column)
        series = panel.frame[self.column]
        labels = {value: _label(value) for value in sorted(series.dropna().unique())}
        if len(labels) > _MOST:
            raise DataError(
                "D19",
                f"'{self.column}' has {len(labels):,} values; dummies are for at most "
                f"{_MOST}",
                fix="fixed_effects absorb a column of any size",
            )
        if self.reference is not None:
            wanted = _label(self.reference)
            if wanted not in labels.values():
                shown = ", ".join(list(labels.values())[:8])
                raise DataError(
                    "D17",
                    f"'{wanted}' is no value of '{self.column}'",
                    fix=f"there is: {shown}",
                )
            labels = {v: label for v, label in labels.items() if label != wanted}
        gaps = series.isna().to_numpy()
        made: dict[str, Any] = {}
        for value, label in labels.items():
            column = f"{self.column}={label}"
            not_there(panel, column, name)
            ones = (series == value).to_numpy(dtype=bool, na_value=False)
            made[column] = (
                np.where(gaps, np.nan, ones) if gaps.any() else ones.astype(np.int64)
            )
        detail = f"{len(made):,} dummies of {self.column}"
        return finish(panel, name, made, detail)


def _label(value: Any) -> str:
    """A value as it stands in a name; whole numbers without `.0`."""
    if isinstance(value, str):
        return value
    try:
        return str(int(value)) if value == int(value) else str(value)
    except (TypeError, ValueError):
        return str(value)
