"""Directional distance to the frontier, with bad outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from estimators.steps._columns import finish, not_there
from estimators.steps._distances import (
    Column,
    tables,
    told,
    why_missing,
    without_each_peer,
)
from estimators.steps._frontier import (
    BadOutputsStep,
    Frontier,
    Reference,
    few_units,
    of_all,
    readable,
    sample,
    size_relation,
    technologies,
)
from estimators.steps._score_figures import score_plots
from framework.contract import StepOutput
from framework.errors import counted
from framework.panel import Panel

if TYPE_CHECKING:
    from estimators._math.distance import Distances
    from estimators.steps._frontier import Sample, Technology


class Directional(BadOutputsStep):
    """Share by which good outputs can grow while bad ones shrink: 0 = on the frontier.

    Bad outputs are weakly disposable by default: less of them costs good output; under
    variable returns with an abatement factor of every peer (Kuosmanen 2005). Higher is
    worse. Frames: `scores`, `peers`.
    """

    paper: ClassVar[str] = (
        "Chung, Färe and Grosskopf (1997), Productivity and undesirable outputs: a "
        "directional distance function approach"
    )
    returns: Literal["constant", "variable"] = Field(
        description="returns to scale of the technology"
    )
    frontier: Frontier = Field(description="whose technology, as in `sbm`")
    direction: Literal["outputs", "inputs", "all"] = Field(
        "outputs",
        description="what moves, in shares of the row's own: good and bad outputs; "
        "inputs; or all three",
    )
    disposability: Literal["weak", "strong"] = Field(
        "weak", description="of bad outputs: strong = less of them costs nothing"
    )

    reference: Reference | None = Field(
        None,
        description="the rows that may be peers; all are scored: a condition, or "
        "{rows: before, untreated or never, treatment: column}",
    )
    size: str | None = Field(
        None,
        description="column of a row's size, whose correlation with the score is told "
        "under constant returns; default: the mean of the inputs' logarithms",
    )

    @field_validator("reference")
    @classmethod
    def _readable(cls, value: Reference | None) -> Reference | None:
        return readable(value)

    def makes(self, name: str) -> tuple[str, ...]:
        """The distance, with a metafrontier also the group's and the difference."""
        return Column.of(self.frontier).names(name)

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Measure every row.

        Raises:
            EstimandError: L02 negative cells, L03 nothing to compare, L04 missing
                cells, P04 a frontier in time without time.
        """
        for column in self.makes(name):
            not_there(panel, column, name)
        found = sample(panel, self, name, "allow")
        techs = technologies(panel, found.rows, self.frontier, name, self.reference)
        scored = [self._measured(found, t) for t in techs]
        made, distance = Column.of(self.frontier).made(
            name, panel, found, techs, scored, ratio=False
        )
        detail = f"directional distance of {self.direction}, {self.returns} returns, "
        detail += f"{self.disposability} disposability, "
        detail += f"{told(self.frontier, self.reference)}: "
        detail += f"{counted(len(found), 'row')}"
        notes = (*why_missing(techs, scored), *few_units(techs, self))
        if sized := size_relation(panel, found, distance, self):
            detail += sized.ledger
            notes += sized.notes
        frames = tables(panel, found, techs, scored, "distance")
        out = finish(panel, name, made, detail, frames=frames, notes=notes)
        plots = score_plots(panel, name, frames, of_all(self.frontier), "distance", 0.0)
        return replace(out, plots=plots)

    def left_out(
        self, panel: Panel, name: str, protected: frozenset[str], most: int | None
    ) -> Iterator[tuple[str, Panel]]:
        """The distances without one peer at a time; its own stay as they are."""
        found = sample(panel, self, name, "allow")
        techs = technologies(panel, found.rows, self.frontier, name, self.reference)
        measured = partial(self._measured, found)
        return without_each_peer(
            name, panel, found, self.frontier, techs, measured, most, ratio=False
        )

    def _measured(self, found: Sample, technology: Technology) -> Distances:
        from estimators._math.distance import directional
        from estimators.steps._programs import solve

        return directional(
            found.quantities.take(technology.evaluated),
            found.quantities.take(technology.reference),
            technology.own,
            self.direction,
            self.returns,
            self.disposability,
            solve,
        )
