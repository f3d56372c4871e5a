"""Radial efficiency: CCR and BCC."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from estimators.steps._columns import finish, not_there
from estimators.steps._distances import Column, tables, told, why_missing
from estimators.steps._frontier import (
    Frontier,
    FrontierStep,
    few_units,
    keys,
    readable,
    sample,
    size_note,
    technologies,
)
from framework.contract import StepOutput
from framework.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from estimators._math.distance import Distances
    from estimators.steps._frontier import Sample, Technology

    Floats = npt.NDArray[np.float64]


class Radial(FrontierStep):
    """Share to which all inputs can shrink, or 1 over what outputs can grow to.

    CCR under constant returns, BCC under variable ones; 1 = on the frontier, possibly
    with slacks that a radial measure does not see (`sbm` does). With `super_efficiency`
    every row is scored against the others (Andersen and Petersen 1993). Frames:
    `scores`, `peers`.
    """

    paper: ClassVar[str] = (
        "Charnes, Cooper and Rhodes (1978), Measuring the efficiency of decision making "
        "units; Banker, Charnes and Cooper (1984)"
    )
    returns: Literal["constant", "variable"] = Field(
        description="returns to scale of the technology"
    )
    frontier: Frontier = Field(description="whose technology, as in `sbm`")
    orientation: Literal["input", "output"] = Field(
        description="inputs shrink, or outputs grow"
    )
    super_efficiency: bool = Field(
        False, description="rows are scored against the others, above 1 if they lead"
    )

    bootstrap: int | None = Field(
        None,
        ge=100,
        description="draws of the smoothed bootstrap (Simar and Wilson 1998): makes "
        "NAME_corrected; 1,000 or more for the intervals of the frame `bootstrap`",
    )
    seed: int = Field(0, ge=0, description="of the bootstrap's random numbers")
    reference: str | None = Field(
        None, description="condition on the rows that may be peers; all are scored"
    )

    @field_validator("reference")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        return readable(value)

    @model_validator(mode="after")
    def _own_technology(self) -> Radial:
        whole = self.frontier in {"pooled", "yearly"} and self.reference is None
        if self.bootstrap and (self.super_efficiency or not whole):
            raise ValueError(
                "bootstrap needs `frontier: pooled` or `yearly`, no `reference` and no "
                "`super_efficiency`: all rows of a technology are drawn and scored"
            )
        return self

    def makes(self, name: str) -> tuple[str, ...]:
        """The score; of a metafrontier group and gap; of a bootstrap the corrected."""
        corrected = (f"{name}_corrected",) if self.bootstrap else ()
        return (*Column.of(self.frontier).names(name), *corrected)

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Score every row.

        Raises:
            EstimandError: L02 negative cells, L03 nothing to compare, L04 missing
                cells, P04 a frontier in time without time.
        """
        from estimators._math.distance import radial
        from estimators.steps._programs import solve

        for column in self.makes(name):
            not_there(panel, column, name)
        found = sample(panel, self, name, "allow")
        techs = technologies(panel, found.rows, self.frontier, name, self.reference)
        scored: list[Distances] = [
            radial(
                found.quantities.take(t.evaluated),
                found.quantities.take(t.reference),
                t.own,
                self.orientation,
                self.returns,
                solve,
                without_own=self.super_efficiency,
            )
            for t in techs
        ]
        made, score = Column.of(self.frontier).made(
            name, panel, found, techs, scored, ratio=True
        )
        detail = f"{'CCR' if self.returns == 'constant' else 'BCC'}, {self.orientation}"
        detail += "-oriented" + (", super-efficiency" if self.super_efficiency else "")
        detail += f", {told(self.frontier, self.reference)}: {len(found):,} rows"
        notes = (*why_missing(techs, scored), *few_units(techs, self))
        if self.returns == "constant":
            notes += size_note(found, score, self)
        frames = tables(panel, found, techs, scored, "score")
        if self.bootstrap:
            table, corrected = self._corrected(panel, found, techs, scored)
            frames["bootstrap"] = table
            made[f"{name}_corrected"] = corrected
            detail += f", bias by {self.bootstrap:,} smoothed draws, seed {self.seed}"
        return finish(panel, name, made, detail, frames=frames, notes=notes)

    def _corrected(
        self,
        panel: Panel,
        found: Sample,
        techs: list[Technology],
        scored: list[Distances],
    ) -> tuple[pd.DataFrame, Floats]:
        """The frame `bootstrap` and the column of corrected scores."""
        import numpy as np
        import pandas as pd

        from estimators._math.distance import radial
        from estimators._math.efficiency import Quantities
        from estimators._math.smoothed_bootstrap import correct
        from estimators.steps._programs import solve

        column = np.full(len(panel.frame), np.nan)
        parts = []
        seeds = np.random.SeedSequence(self.seed).spawn(len(techs))
        for tech, one, seed in zip(techs, scored, seeds, strict=True):
            units = found.quantities.take(tech.evaluated)
            known = one.value[~np.isnan(one.value)]
            if len(known) < len(one.value) or len(np.unique(known.round(9))) < 3:  # noqa: PLR2004 - a distribution needs some values
                continue

            def rescore(
                drawn: Floats, units: Quantities = units, now: Floats = one.value
            ) -> Floats:
                by = now / drawn
                moved = (
                    Quantities(units.inputs * by, units.goods, units.bads)
                    if self.orientation == "input"
                    else Quantities(units.inputs, units.goods / by, units.bads)
                )
                nowhere = np.full(len(now), -1)
                return radial(
                    units, moved, nowhere, self.orientation, self.returns, solve
                ).value

            assert self.bootstrap is not None  # noqa: S101 - asked for by `apply`
            rng = np.random.default_rng(seed)
            out = correct(one.value, rescore, self.bootstrap, rng)
            rows = found.rows[tech.evaluated]
            column[rows] = out.score
            table = keys(panel, rows).assign(
                technology=tech.label,
                score=one.value,
                bias=out.bias,
                corrected=out.score,
                low=out.low,
                high=out.high,
                pays=out.pays,
            )
            parts.append(table)
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(), column
