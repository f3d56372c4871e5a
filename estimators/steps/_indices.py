"""What the steps of composite indices share: indicators, directions and periods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from estimators.steps._columns import as_numbers, not_there
from framework.condition import require
from framework.contract import Step
from framework.errors import (
    DataError,
    EstimandError,
    Phase,
    Problem,
    counted,
    did_you_mean,
)
from framework.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

_NAMED = 5


class IndexStep(Step):
    """One column out of several indicators."""

    main: ClassVar[str | None] = "columns"
    columns: list[str] | str = Field(description="the indicators")
    negative: list[str] | str = Field(
        [], description="indicators of which less is better"
    )
    weights_by: Literal["pooled", "yearly"] = Field(
        "pooled",
        description="ranges and weights over all rows, or afresh in each period (then "
        "levels of different periods do not compare)",
    )
    missing: Literal["error", "skip"] = Field(
        "error",
        description="rows with a missing indicator: refused, or left without an index",
    )

    @field_validator("columns", "negative")
    @classmethod
    def _list(cls, value: list[str] | str) -> list[str]:
        value = [value] if isinstance(value, str) else value
        if len(set(value)) < len(value):
            raise ValueError("names a column twice")
        return value

    def reads(self, name: str) -> tuple[str, ...]:
        """The indicators."""
        del name
        return tuple(dict.fromkeys((*self.columns, *self.negative)))

    def makes(self, name: str) -> tuple[str, ...]:
        """The column the step is named after."""
        return (name,)


@dataclass(frozen=True, slots=True)
class Indicators:
    """Indicators of a panel, checked.

    Attributes:
        x: (n, k) values of the complete rows.
        rows: (n,) their positions in the panel.
        positive: (k,) more is better.
        names: of the indicators.
        groups: label and positions in `x` of each set of rows with its own weights.
    """

    x: Floats
    rows: npt.NDArray[np.int64]
    positive: npt.NDArray[np.bool_]
    names: tuple[str, ...]
    groups: tuple[tuple[Any, npt.NDArray[np.int64]], ...]

    def spread(self, values: Floats, length: int) -> Floats:
        """(length,) a column of the panel, missing in the other rows."""
        import numpy as np

        column: Floats = np.full(length, np.nan)
        column[self.rows] = values
        return column


def indicators(
    panel: Panel, step: IndexStep, name: str, *, least_rows: int = 2
) -> Indicators:
    """The indicators, or every problem with them at once.

    Raises:
        EstimandError: D06 an indicator is constant, D08 infinite cells, L03 too few
            rows, L04 missing cells, P04 yearly without time, X01 a column does not
            exist, X13 the index exists, X52 the list makes no index.
    """
    import numpy as np

    not_there(panel, name, name)
    _check_names(panel, step, name)
    frame = panel.frame
    names = list(step.columns)
    x = np.array([as_numbers(frame[c], c) for c in names]).T
    problems = [*_cells(panel, step, name, x)]
    rows = np.flatnonzero(~np.isnan(x).any(axis=1))
    kept = x[rows]
    groups: list[tuple[Any, Any]] = [("pooled", np.arange(len(rows)))]
    if step.weights_by == "yearly":
        if panel.time is None:
            raise DataError(
                "P04",
                f"step '{name}' weighs by period, and the data have no time",
                fix="weights_by: pooled",
            )
        clock = frame[panel.time].to_numpy()[rows]
        groups = [(p, np.flatnonzero(clock == p)) for p in np.unique(clock)]
    if not problems:
        for label, members in groups:
            problems += _group(step, name, label, kept[members], least_rows)
    if problems:
        raise EstimandError(problems)
    positive = np.array([c not in step.negative for c in names])
    return Indicators(kept, rows, positive, tuple(names), tuple(groups))


def _check_names(panel: Panel, step: IndexStep, name: str) -> None:
    for column in step.columns:
        require(panel.frame, column)
    problems = [
        Problem(
            Phase.SPEC,
            "X52",
            f"step '{name}': '{column}' is negative and not among the indicators",
            fix=did_you_mean(column, list(step.columns)),
        )
        for column in step.negative
        if column not in step.columns
    ]
    if len(step.columns) < 2:  # noqa: PLR2004 - weights compare at least two
        problems.append(
            Problem(
                Phase.SPEC,
                "X52",
                f"step '{name}' has one indicator",
                why="weights compare indicators with each other",
                fix="list the indicators, or use standardize",
            )
        )
    if problems:
        raise EstimandError(problems)


def _cells(panel: Panel, step: IndexStep, name: str, x: Floats) -> Iterator[Problem]:
    import numpy as np

    gaps = np.isnan(x)
    if gaps.any() and step.missing == "error":
        rows = np.flatnonzero(gaps.any(axis=1))
        told = [
            f"{c} {n:,}"
            for c, n in zip(step.columns, gaps.sum(axis=0), strict=True)
            if n
        ]
        yield Problem(
            Phase.DATA,
            "L04",
            f"step '{name}': {len(rows):,} of {len(x):,} rows lack an indicator "
            f"({', '.join(told)}): {_named(panel, rows)}",
            why="a row without an index changes the sample without a word",
            fix="interpolate, keep complete rows, or missing: skip",
        )
    endless = np.flatnonzero(np.isinf(x).any(axis=1))
    if len(endless):
        yield Problem(
            Phase.DATA,
            "D08",
            f"step '{name}': {counted(len(endless), 'row has', 'rows have')} an "
            f"infinite indicator: {_named(panel, endless)}",
        )


def _named(panel: Panel, rows: Any) -> str:
    from estimators.steps._frontier import row_names

    return row_names(panel, rows)


def _group(
    step: IndexStep, name: str, label: Any, x: Floats, least: int
) -> Iterator[Problem]:
    where = "" if label == "pooled" else f" in {label}"
    if len(x) < least:
        yield Problem(
            Phase.DATA,
            "L03",
            f"step '{name}': {len(x):,} complete rows{where} for {x.shape[1]} "
            f"indicators, and {least} are needed",
            fix="more rows, fewer indicators, or weights_by: pooled",
        )
        return
    same = [
        c
        for c, low, high in zip(step.columns, x.min(axis=0), x.max(axis=0), strict=True)
        # A spread within rounding is none.
        if high - low <= 1e-12 * max(abs(high), abs(low))
    ]
    if same:
        yield Problem(
            Phase.DATA,
            "D06",
            f"step '{name}': {', '.join(same)} {'is' if len(same) == 1 else 'are'} "
            f"constant{where}",
            why="an indicator that does not vary has no weight",
            fix="leave it out",
        )


__all__ = ["IndexStep", "Indicators", "indicators"]
