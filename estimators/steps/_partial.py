"""What partial frontiers share: columns, tables, refusals."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from estimators.steps._columns import finish, not_there
from estimators.steps._distances import told
from estimators.steps._frontier import (
    FrontierStep,
    Reference,
    Window,
    keys,
    readable,
    row_names,
    sample,
    technologies,
)
from estimators.steps._score_figures import score_plots
from framework.contract import StepOutput
from framework.errors import EstimandError, Phase, Problem, counted
from framework.panel import Panel

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from estimators._math.partial_frontier import Partial
    from estimators.steps._frontier import Sample, Technology

    Floats = npt.NDArray[np.float64]


#: A score this near to 1 is a ratio of a number with itself, averaged.
_NEAR = 1e-9


class PartialStep(FrontierStep):
    """A score against a frontier inside of the data."""

    orientation: Literal["input", "output"] = Field(
        description="inputs shrink, or outputs grow"
    )
    frontier: Literal["pooled", "yearly", "sequential"] | Window = Field(
        description="whose technology, as in `sbm`"
    )
    measure: Literal["efficiency", "distance"] = Field(
        "efficiency",
        description="a score below 1 inside of the frontier, or its inverse",
    )
    reference: Reference | None = Field(
        None,
        description="the rows compared with; all are scored: a condition, or "
        "{rows: before, untreated or never, treatment: column}",
    )

    @field_validator("reference")
    @classmethod
    def _readable(cls, value: Reference | None) -> Reference | None:
        return readable(value)

    def makes(self, name: str) -> tuple[str, ...]:
        """The score."""
        return (name,)

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Score every row.

        Raises:
            EstimandError: L02 negative cells or zero inputs, L03 nothing to compare,
                L04 missing cells, P04 a frontier in time without time.
        """
        import numpy as np
        import pandas as pd

        not_there(panel, name, name)
        found = sample(panel, self, name, "allow")
        if problems := [*_zeros(panel, self, found, name)]:
            raise EstimandError(problems)
        techs = technologies(panel, found.rows, self.frontier, name, self.reference)
        scored = [self._scored(found, t) for t in techs]
        total, count = np.zeros(len(found)), np.zeros(len(found))
        parts = []
        for tech, one in zip(techs, scored, strict=True):
            value, error = one.value, one.std_error
            if self.measure == "distance":
                value, error = 1 / value, error / value**2
            total[tech.evaluated] += value
            count[tech.evaluated] += 1
            status = _status(one.value)
            columns = {"score": value, "std_error": error, "n_compared": one.count}
            who = keys(panel, found.rows[tech.evaluated])
            parts.append(who.assign(technology=tech.label, **columns, status=status))
        column = np.full(len(panel.frame), np.nan)
        column[found.rows] = total / count
        scores = pd.concat(parts, ignore_index=True)
        detail = f"{self._kind()}, {self.orientation}-oriented, "
        detail += (
            f"{told(self.frontier, self.reference)}: {counted(len(found), 'row')}, "
        )
        detail += f"{int((scores['status'] == 'beyond').sum()):,} beyond it"
        more, notes = self._outliers(panel, found, techs)
        without = int((scores["status"] == "no peers").sum())
        if without:
            missing = counted(without, "score is", "scores are")
            note = f"{missing} missing, no peers: no row makes as much "
            note += "(uses as little) as the row"
            notes = (note, *notes)
        frames = {"scores": scores, **more}
        out = finish(panel, name, {name: column}, detail, frames=frames, notes=notes)
        return replace(out, plots=score_plots(panel, name, frames))

    @abstractmethod
    def _scored(self, found: Sample, tech: Technology) -> Partial:
        """Scores of a technology's rows."""

    @abstractmethod
    def _kind(self) -> str:
        """The frontier in words."""

    def _outliers(
        self, panel: Panel, found: Sample, techs: list[Technology]
    ) -> tuple[dict[str, pd.DataFrame], tuple[str, ...]]:
        """Further tables and notes."""
        del panel, found, techs
        return {}, ()


def _status(value: Floats) -> npt.NDArray[np.str_]:
    import numpy as np

    near = np.abs(value - 1) <= _NEAR
    told = [np.isnan(value), near, value > 1]
    return np.select(told, ["no peers", "on it", "beyond"], "inside")


def _zeros(
    panel: Panel, step: PartialStep, found: Sample, name: str
) -> Iterator[Problem]:
    """A zero input can't shrink: its ratio to others has no value."""
    import numpy as np

    if step.orientation == "output":
        return
    for column, cells in zip(step.inputs, found.quantities.inputs, strict=True):
        rows = np.flatnonzero(cells == 0)
        if len(rows):
            yield Problem(
                Phase.DATA,
                "L02",
                f"step '{name}': input '{column}' is zero in {len(rows):,} of "
                f"{counted(len(cells), 'row')}: {row_names(panel, found.rows[rows])}",
                why="no other row's input is a share of nothing",
                fix="orientation: output, drop the rows, or leave the column out",
            )


__all__ = ["PartialStep"]
