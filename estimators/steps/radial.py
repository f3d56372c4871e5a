"""Radial efficiency: CCR and BCC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from estimators.steps._columns import finish, not_there
from estimators.steps._distances import (
    Column,
    status,
    tables,
    told,
    why_missing,
    without_each_peer,
)
from estimators.steps._frontier import (
    Frontier,
    FrontierStep,
    Reference,
    few_units,
    keys,
    of_all,
    readable,
    sample,
    size_relation,
    technologies,
)
from estimators.steps._score_figures import score_plots
from framework.contract import StepOutput
from framework.errors import SpecError, counted
from framework.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from estimators._math.distance import Distances, Slacks
    from estimators.steps._frontier import Sample, Technology

    Floats = npt.NDArray[np.float64]

#: Slack, in mean quantities of a unit of its size, that is more than rounding.
_SLACK = 1e-8
#: Fewest different scores that have a distribution.
_FEWEST = 3


class Bootstrap(BaseModel):
    """How the bias of scores is estimated."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    times: int = Field(ge=100, description="draws; 1,000 or more for the intervals")
    environment: list[str] = Field(
        [],
        description="columns that move efficiency: draws are of a truncated regression "
        "on them (Simar and Wilson 2007, algorithm 2), else alike for all rows (1998)",
    )

    @field_validator("environment", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class Radial(FrontierStep):
    """Share to which all inputs can shrink, or 1 over what outputs can grow to.

    CCR under constant returns, BCC under variable ones; 1 = on the frontier, possibly
    with slacks that a radial score does not see: the second phase finds them, and
    such a row has the status `weakly efficient`. With `super_efficiency` every row is
    scored against the others (Andersen and Petersen 1993). Frames: `scores` (status),
    `slacks`, `targets`, `peers`.
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
    measure: Literal["efficiency", "distance"] = Field(
        "efficiency", description="a score up to 1, or its inverse, from 1 on"
    )
    super_efficiency: bool = Field(
        False, description="rows are scored against the others, above 1 if they lead"
    )

    bootstrap: int | Bootstrap | None = Field(
        None,
        description="draws that estimate the bias (Simar and Wilson 1998), or {times, "
        "environment}: makes NAME_corrected, and intervals in the frame `bootstrap`",
    )
    seed: int = Field(0, ge=0, description="of the bootstrap's random numbers")
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

    @field_validator("bootstrap")
    @classmethod
    def _draws(cls, value: int | Bootstrap | None) -> Bootstrap | None:
        return (
            Bootstrap(times=value, environment=[]) if isinstance(value, int) else value
        )

    @field_validator("reference")
    @classmethod
    def _readable(cls, value: Reference | None) -> Reference | None:
        return readable(value)

    @model_validator(mode="after")
    def _own_technology(self) -> Radial:
        whole = self.frontier in {"pooled", "yearly"} and self.reference is None
        if self.bootstrap and (self.super_efficiency or not whole):
            raise ValueError(
                "bootstrap needs `frontier: pooled` or `yearly`, no `reference` and no "
                "`super_efficiency`: all rows of a technology are drawn and scored"
            )
        if self._environment and self.measure == "efficiency":
            raise ValueError(
                "bootstrap.environment needs `measure: distance`: the truncated "
                "regression is of distances from 1 on"
            )
        return self

    @property
    def _environment(self) -> list[str]:
        return (
            self.bootstrap.environment if isinstance(self.bootstrap, Bootstrap) else []
        )

    def reads(self, name: str) -> tuple[str, ...]:
        """The quantities, columns of `reference`, the environment."""
        return tuple(dict.fromkeys([*super().reads(name), *self._environment]))

    def makes(self, name: str) -> tuple[str, ...]:
        """The score; of a metafrontier group and gap; of a bootstrap the corrected."""
        corrected = (f"{name}_corrected",) if self.bootstrap else ()
        return (*Column.of(self.frontier).names(name), *corrected)

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Score every row.

        Raises:
            EstimandError: L02 negative cells, L03 nothing to compare, L04 missing
                cells, N07 no truncated regression on the environment, P04 a frontier
                in time without time.
        """
        for column in self.makes(name):
            not_there(panel, column, name)
        found = sample(panel, self, name, "allow")
        techs = technologies(panel, found.rows, self.frontier, name, self.reference)
        scored = [self._distances(found, t) for t in techs]
        second = [
            self._second_phase(found, t, s) for t, s in zip(techs, scored, strict=True)
        ]
        shown = [self._shown(s, p) for s, p in zip(scored, second, strict=True)]
        made, score = Column.of(self.frontier).made(
            name, panel, found, techs, shown, ratio=True
        )
        if self.measure == "distance" and f"{name}_gap" in made:
            made[f"{name}_gap"] = 1 / made[f"{name}_gap"]
        detail = f"{'CCR' if self.returns == 'constant' else 'BCC'}, {self.orientation}"
        detail += "-oriented" + (", super-efficiency" if self.super_efficiency else "")
        detail += ", distances" if self.measure == "distance" else ""
        detail += (
            f", {told(self.frontier, self.reference)}: {counted(len(found), 'row')}"
        )
        words = [p.words for p in second]
        notes = (*why_missing(techs, scored), *_weak(words), *few_units(techs, self))
        inverse = 1 / score if self.measure == "distance" else score
        if sized := size_relation(panel, found, inverse, self):
            detail += sized.ledger
            notes += sized.notes
        frames = tables(panel, found, techs, shown, "score", words)
        frames |= _projections(panel, found, techs, second)
        if self.bootstrap:
            table, corrected, more = self._corrected(panel, found, techs, scored, name)
            frames["bootstrap"] = table
            made[f"{name}_corrected"] = corrected
            detail += f", bias by {more}, seed {self.seed}"
        out = finish(panel, name, made, detail, frames=frames, notes=notes)
        plots = score_plots(panel, name, frames, of_all(self.frontier))
        return replace(out, plots=plots)

    def left_out(
        self, panel: Panel, name: str, protected: frozenset[str], most: int | None
    ) -> Iterator[tuple[str, Panel]]:
        """The scores without one peer at a time; its own stay as they are.

        Raises:
            SpecError: X24 with `bootstrap`.
        """
        if self.bootstrap:
            raise SpecError(
                "X24",
                f"the step '{name}' corrects its scores by a bootstrap",
                why="it would be drawn anew for every peer that is left out",
                fix=f"data.steps.{name}.bootstrap: null on this line, with the outcome "
                f"{name}",
                path="draws.leave_out",
            )
        found = sample(panel, self, name, "allow")
        techs = technologies(panel, found.rows, self.frontier, name, self.reference)
        measured = partial(self._measured, found)
        return without_each_peer(
            name, panel, found, self.frontier, techs, measured, most, ratio=True
        )

    def _measured(self, found: Sample, tech: Technology) -> Distances:
        """The score as the step gives it; peers are those of the first phase."""
        one = self._distances(found, tech)
        return replace(one, value=1 / one.value) if self.measure == "distance" else one

    def _distances(self, found: Sample, tech: Technology) -> Distances:
        from estimators._math.distance import radial
        from estimators.steps._programs import solve

        return radial(
            found.quantities.take(tech.evaluated),
            found.quantities.take(tech.reference),
            tech.own,
            self.orientation,
            self.returns,
            solve,
            without_own=self.super_efficiency,
        )

    def _second_phase(self, found: Sample, tech: Technology, one: Distances) -> _Phase:
        """Slacks at the radial projection, and what they make of the status."""
        import numpy as np

        from estimators._math.distance import most_slack
        from estimators._math.efficiency import EFFICIENT
        from estimators.steps._programs import solve

        words = status(tech, one)
        which = np.array([i for i, w in enumerate(words) if w == "scored"], dtype=int)
        if not len(which):
            return _Phase(words, which, None)
        score = one.value[which]
        slacks = most_slack(
            found.quantities.take(tech.evaluated[which]),
            found.quantities.take(tech.reference),
            tech.own[which],
            self.orientation,
            self.returns,
            score,
            solve,
            without_own=self.super_efficiency,
        )
        for i, value, slack in zip(which, score, slacks.relative, strict=True):
            if value > 1 + EFFICIENT:
                words[i] = "super-efficient"
            elif value < 1 - EFFICIENT:
                words[i] = "inefficient"
            elif np.isnan(slack):
                words[i] = "slacks not proven"
            else:
                words[i] = "weakly efficient" if slack > _SLACK else "efficient"
        return _Phase(words, which, slacks)

    def _shown(self, one: Distances, phase: _Phase) -> Distances:
        """The score as the step gives it, with the peers of the target."""
        if phase.slacks is not None:
            peers = phase.slacks
            one = replace(
                one,
                unit=phase.which[peers.unit],
                peer=peers.peer,
                weight=peers.weight,
            )
        return replace(one, value=1 / one.value) if self.measure == "distance" else one

    def _corrected(
        self,
        panel: Panel,
        found: Sample,
        techs: list[Technology],
        scored: list[Distances],
        name: str,
    ) -> tuple[pd.DataFrame, Floats, str]:
        """The frame `bootstrap`, the column of corrected scores, and how."""
        import numpy as np
        import pandas as pd

        from estimators._math.smoothed_bootstrap import correct

        assert isinstance(self.bootstrap, Bootstrap)  # noqa: S101 - asked for by `apply`
        times = self.bootstrap.times
        if self._environment:
            return self._by_environment(panel, found, techs, scored, name, times)
        column = np.full(len(panel.frame), np.nan)
        parts = []
        seeds = np.random.SeedSequence(self.seed).spawn(len(techs))
        for tech, one, seed in zip(techs, scored, seeds, strict=True):
            if not _has_distribution(one):
                continue
            order = _order(found, tech.evaluated)
            drawn_for = replace(tech, evaluated=tech.evaluated[order])
            score = one.value[order]

            def rescore(
                drawn: Floats, tech: Technology = drawn_for, now: Floats = score
            ) -> Floats:
                return self._moved(found, tech, now / drawn)

            out = correct(
                score,
                rescore,
                times,
                np.random.default_rng(seed),
                inverse=self.measure == "distance",
            )
            rows = found.rows[drawn_for.evaluated]
            column[rows] = out.score
            value = 1 / score if self.measure == "distance" else score
            table = _told(panel, rows, tech.label, value, out)
            parts.append(table.iloc[np.argsort(order)])
        table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
        return table, column, f"{times:,} smoothed draws"

    def _moved(self, found: Sample, tech: Technology, by: Floats) -> Floats:
        """Scores of rows against themselves with inputs times (outputs over) `by`."""
        import numpy as np

        from estimators._math.distance import radial
        from estimators._math.efficiency import Quantities
        from estimators.steps._programs import solve

        units = found.quantities.take(tech.evaluated)
        moved = (
            Quantities(units.inputs * by, units.goods, units.bads)
            if self.orientation == "input"
            else Quantities(units.inputs, units.goods / by, units.bads)
        )
        nowhere = np.full(len(by), -1)
        return radial(
            units, moved, nowhere, self.orientation, self.returns, solve
        ).value

    def _by_environment(
        self,
        panel: Panel,
        found: Sample,
        techs: list[Technology],
        scored: list[Distances],
        name: str,
        times: int,
    ) -> tuple[pd.DataFrame, Floats, str]:
        """Algorithm 2: one truncated regression for the rows of all technologies.

        Raises:
            DataError: L04 missing cells of the environment.
            NumericalError: N07 the regression can't be estimated.
        """
        import numpy as np
        import pandas as pd

        from estimators._math.second_stage import correct_by_environment
        from estimators.steps._environment import columns, no_regression

        used = [
            (tech, one)
            for tech, one in zip(techs, scored, strict=True)
            if _has_distribution(one)
        ]
        if not used:
            raise no_regression(name)
        at = np.concatenate([tech.evaluated for tech, _ in used])
        score = np.concatenate([one.value for _, one in used])
        z = columns(panel, found.rows[at], self._environment, name)
        ends = np.cumsum([len(tech.evaluated) for tech, _ in used])[:-1]

        def rescore(drawn: Floats) -> Floats:
            by = np.split(score * drawn, ends)
            parts = zip(used, by, strict=True)
            return 1 / np.concatenate([self._moved(found, t, b) for (t, _), b in parts])

        rng = np.random.default_rng(self.seed)
        order = _order(found, at, z)
        out = correct_by_environment(1 / score, z, rescore, times, rng, order)
        if out is None:
            raise no_regression(name)
        column = np.full(len(panel.frame), np.nan)
        column[found.rows[at]] = out.corrected.score
        labels = np.repeat(
            [t.label for t, _ in used], [len(t.evaluated) for t, _ in used]
        )
        table = _told(panel, found.rows[at], labels, 1 / score, out.corrected)
        listed = ", ".join(self._environment)
        rows_ = counted(out.rows, "row")
        how = f"{times:,} draws of a truncated regression on {listed} ({rows_})"
        return pd.DataFrame(table), column, how


@dataclass(frozen=True, slots=True)
class _Phase:
    """Status of every row of a technology, and the slacks of those with a score."""

    words: list[str]
    which: npt.NDArray[np.int64]
    slacks: Slacks | None


def _has_distribution(one: Distances) -> bool:
    """Whether scores of a technology are all there and differ."""
    import numpy as np

    known = one.value[~np.isnan(one.value)]
    return len(known) == len(one.value) and len(np.unique(known.round(9))) >= _FEWEST


def _order(found: Sample, at: Any, *more: Floats) -> npt.NDArray[np.int64]:
    """Rows by their own data: neither names nor order of the units move a draw."""
    import numpy as np

    columns = [found.quantities.all[:, at], *(z.T for z in more)]
    return np.lexsort(np.concatenate(columns))


def _told(panel: Panel, rows: Any, label: Any, value: Floats, out: Any) -> pd.DataFrame:
    return keys(panel, rows).assign(
        technology=label,
        score=value,
        bias=out.bias,
        corrected=out.score,
        low=out.low,
        high=out.high,
        pays=out.pays,
    )


def _weak(words: list[list[str]]) -> tuple[str, ...]:
    count = sum(some.count("weakly efficient") for some in words)
    if not count:
        return ()
    note = (
        f"{count:,} scores of 1 are of weakly efficient rows: no shrinking in equal "
        "shares is left, but slacks are. See the table 'slacks', or `sbm`, which "
        "counts them"
    )
    return (note,)


def _projections(
    panel: Panel, found: Sample, techs: list[Technology], second: list[_Phase]
) -> dict[str, pd.DataFrame]:
    """`slacks` beyond the radial projection, and `targets` without any."""
    import numpy as np
    import pandas as pd

    parts: dict[str, list[pd.DataFrame]] = {"slacks": [], "targets": []}
    for tech, phase in zip(techs, second, strict=True):
        who = keys(panel, found.rows[tech.evaluated]).assign(technology=tech.label)
        kinds = phase.slacks and {
            "slacks": phase.slacks.slack,
            "targets": phase.slacks.target,
        }
        for frame, some in parts.items():
            values = np.full((len(who), len(found.names)), np.nan)
            if kinds:
                values[phase.which] = kinds[frame]
            table = pd.DataFrame(values, columns=list(found.names))
            some.append(pd.concat([who, table], axis=1))
    return {frame: pd.concat(some, ignore_index=True) for frame, some in parts.items()}
