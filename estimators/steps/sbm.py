"""Slacks-based measure of efficiency, with bad outputs and super-efficiency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from estimators.steps._columns import finish, not_there
from estimators.steps._frontier import (
    BadOutputsStep,
    Frontier,
    Metafrontier,
    Reference,
    Sample,
    Technology,
    few_units,
    keys,
    of_all,
    one_peer,
    peers_in_words,
    readable,
    sample,
    size_relation,
    technologies,
)
from estimators.steps._left_out import Solved, without_each
from estimators.steps._score_figures import score_plots, slack_shares
from framework.contract import StepOutput
from framework.errors import counted
from framework.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from estimators._math.efficiency import Scores

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]

_WITHOUT = {
    "infeasible": "no combination of the other rows reaches it (variable returns or an "
    "orientation can make super-efficiency infeasible)",
    "beyond": "it is beyond the frontier of the reference rows and none of them "
    "(super_efficiency: true scores it)",
    "no peers": "it is alone in its technology",
    "not proven": "the solver's answer could not be proven optimal",
}
_RETURNS = {-1.0: "increasing", 0.0: "constant", 1.0: "decreasing"}


class Sbm(BadOutputsStep):
    """Efficiency by slacks (Tone 2001), with bad outputs (2003) beyond 1 (2002).

    A score is 1 minus the mean relative slack of inputs over 1 plus that of outputs; an
    efficient row is scored again against the others if `super_efficiency`. `returns`
    and `frontier` must be written: they decide what a score compares. Frames: `scores`
    (status, returns to scale), `slacks`, `targets`, `peers`.

    A metafrontier makes three columns: the score against all rows, `NAME_group` against
    the row's group, and `NAME_gap`, their ratio.
    """

    paper: ClassVar[str] = (
        "Tone (2001), A slacks-based measure of efficiency in data envelopment analysis; "
        "Tone (2002), A slacks-based measure of super-efficiency"
    )
    returns: Literal["constant", "variable"] = Field(
        description="returns to scale of the technology"
    )
    frontier: Frontier = Field(
        description="whose technology: pooled, yearly, sequential (up to the row's "
        "period), {window: periods}, {metafrontier: column of groups}"
    )
    orientation: Literal["non", "input", "output"] = Field(
        "non", description="slacks that count: of all quantities, inputs or outputs"
    )
    bads_in: Literal["denominator", "numerator"] = Field(
        "denominator",
        description="slacks of bad outputs count with the outputs, or with the inputs",
    )
    super_efficiency: bool = Field(
        False, description="efficient rows are scored against the others, above 1"
    )
    zeros: Literal["error", "drop_term", "small"] = Field(
        "error",
        description="a zero is refused; its slack is left out of the mean; or it "
        "becomes a hundredth of the column's smallest positive cell",
    )

    twins: Literal["peers", "same"] = Field(
        "peers",
        description="rows with the very same quantities are each other's peers (an "
        "efficient one scores 1), or one row that was drawn twice, as in a bootstrap",
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
        """The score, with a metafrontier also the group's score and the gap."""
        if isinstance(self.frontier, Metafrontier):
            return (name, f"{name}_group", f"{name}_gap")
        return (name,)

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Score every row.

        Raises:
            EstimandError: L02 zero or negative cells, L03 nothing to compare, L04
                missing cells, P04 a frontier in time without time.
        """
        for column in self.makes(name):
            not_there(panel, column, name)
        found = sample(panel, self, name, self.zeros)
        techs = technologies(panel, found.rows, self.frontier, name, self.reference)
        scored = [_Scored(t, self._scores(found, t)) for t in techs]
        made = self._made(name, found, scored)
        score = made[name]
        sized = size_relation(panel, found, score, self)
        tables = _tables(panel, found, scored, self)
        notes = (
            *self._notes(scored, score),
            *few_units(techs, self),
            *self._yardstick(panel, found, scored),
            *(sized.notes if sized else ()),
        )
        detail = self._detail(found, scored, len(panel.frame))
        detail += sized.ledger if sized else ""
        spread = _spread(panel, found, made)
        out = finish(panel, name, spread, detail, frames=tables, notes=notes)
        plots = score_plots(panel, name, tables, of_all(self.frontier))
        return replace(out, plots=plots)

    def left_out(
        self, panel: Panel, name: str, protected: frozenset[str], most: int | None
    ) -> Iterator[tuple[str, Panel]]:
        """The scores without one peer at a time; its own stay as they are."""
        found = sample(panel, self, name, self.zeros)
        techs = technologies(panel, found.rows, self.frontier, name, self.reference)
        scored = [_Scored(t, self._scores(found, t)) for t in techs]
        solved = [
            Solved(s.technology, s.scores.score, s.scores.unit, s.scores.peer)
            for s in scored
        ]

        def rescore(technology: Technology) -> Floats:
            return self._scores(found, technology).score

        for member, scores in without_each(panel, found, solved, rescore, most):
            now = [
                replace(s, scores=replace(s.scores, score=score))
                for s, score in zip(scored, scores, strict=True)
            ]
            made = _spread(panel, found, self._made(name, found, now))
            yield member, finish(panel, name, made, f"without {member}").panel

    def _made(
        self, name: str, found: Sample, scored: list[_Scored]
    ) -> dict[str, Floats]:
        """The columns over the sample's rows."""
        score = _mean([s for s in scored if self.is_outcome(s)], len(found))
        if not isinstance(self.frontier, Metafrontier):
            return {name: score}
        group = _mean(scored[1:], len(found))
        return {name: score, f"{name}_group": group, f"{name}_gap": score / group}

    def _yardstick(
        self, panel: Panel, found: Sample, scored: list[_Scored]
    ) -> tuple[str, ...]:
        import numpy as np

        pairs = [(one.technology, one.scores) for one in scored if self.is_outcome(one)]
        peers = np.concatenate([t.reference[s.peer] for t, s in pairs])
        units = np.concatenate([t.evaluated[s.unit] for t, s in pairs])
        return one_peer(panel, found.rows[peers], found.rows[units])

    def is_outcome(self, scored: _Scored) -> bool:
        """Whether a technology's scores are the step's column."""
        meta = isinstance(self.frontier, Metafrontier)
        return not meta or scored.technology.label == "all"

    def _scores(self, found: Sample, technology: Technology) -> Scores:
        from estimators._math.efficiency import Measure, slacks_based
        from estimators.steps._programs import solve

        measure = Measure(
            self.orientation, self.returns, self.bads_in, self.super_efficiency
        )
        merged = _merged(found, technology) if self.twins == "same" else None
        distinct = merged.technology if merged else technology
        scores = slacks_based(
            found.quantities.take(distinct.evaluated),
            found.quantities.take(distinct.reference),
            merged.own if merged else technology.own,
            measure,
            solve,
        )
        return merged.told(scores) if merged else scores

    def _detail(self, found: Sample, scored: list[_Scored], rows: int) -> str:
        outcome = [s for s in scored if self.is_outcome(s)]
        counts = Counter(s for one in outcome for s in one.scores.status)
        kind = "super-efficiency SBM" if self.super_efficiency else "SBM"
        if self.orientation != "non":
            kind = f"{self.orientation}-oriented {kind}"
        shape = f"{len(self.inputs)} inputs, {len(self.outputs)} outputs"
        if self.bad_outputs:
            shape += f", {len(self.bad_outputs)} bad outputs in the {self.bads_in}"
        text = f"{kind} of {len(found):,} rows: {shape}, {self.returns} returns, "
        text += f"{_words(self.frontier)} frontier"
        text += peers_in_words(self.reference)
        text += "".join(f", {n:,} {word}" for word, n in sorted(counts.items()))
        skipped = rows - len(found)
        text += (
            f"; {counted(skipped, 'row lacks', 'rows lack')} a quantity"
            if skipped
            else ""
        )
        if found.replaced:
            text += f"; {found.replaced:,} zeros became small"
        return text

    def _notes(self, scored: list[_Scored], score: Floats) -> tuple[str, ...]:
        import numpy as np

        counts = Counter(s for one in scored for s in one.scores.status)
        notes = [
            f"{counted(counts[word], 'score is', 'scores are')} missing, {word}: {why}"
            for word, why in _WITHOUT.items()
            if counts[word]
        ]
        if counts["capped"]:
            high = max(np.nanmax(s.scores.score) for s in scored)
            notes.append(
                f"{counted(counts['capped'], 'score stands', 'scores stand')} at the "
                f"measure's cap ({high:.4g}): "
                "the rows are projected onto the origin, and how far ahead they are is "
                "not measured. See status 'capped' in the table 'scores'"
            )
        return tuple(notes)


@dataclass(frozen=True, slots=True)
class _Scored:
    """Scores with the technology that they are relative to."""

    technology: Technology
    scores: Scores


@dataclass(frozen=True, slots=True)
class _Merged:
    """A technology in which rows with the very same quantities are one.

    Attributes:
        technology: its distinct rows.
        own: (D,) where a distinct evaluated row stands among the distinct reference
            rows, -1 = nowhere.
        kept: positions of the distinct reference rows in the whole reference.
        like: (E,) which distinct row an evaluated row is.
    """

    technology: Technology
    own: Integers
    kept: Integers
    like: Integers

    def told(self, scores: Scores) -> Scores:
        """The distinct rows' scores, said of every row."""
        import numpy as np

        like, unit = self.like, scores.unit
        by_unit = np.argsort(unit, kind="stable")
        first = np.searchsorted(unit[by_unit], like)
        count = np.bincount(unit, minlength=len(scores.score))[like]
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        lines = by_unit[np.repeat(first, count) + within]
        return replace(
            scores,
            score=scores.score[like],
            first=scores.first[like],
            status=[scores.status[k] for k in like],
            target=scores.target[like],
            unit=np.repeat(np.arange(len(like)), count),
            peer=self.kept[scores.peer[lines]],
            weight=scores.weight[lines],
            returns=scores.returns[like],
            gap=scores.gap[like],
        )


def _merged(found: Sample, technology: Technology) -> _Merged:
    """The distinct rows of a technology, in the order of their first appearance.

    A row of the reference and one outside with the same quantities are two: only the
    first is its own peer.
    """
    import numpy as np

    kept, kind = _first_of_each(found.quantities.take(technology.reference).all)
    member = technology.own
    own = np.where(member >= 0, kind[member], -1)
    evaluated = found.quantities.take(technology.evaluated).all
    some, like = _first_of_each(np.vstack([evaluated, own]))
    return _Merged(
        Technology(
            technology.label, technology.evaluated[some], technology.reference[kept]
        ),
        own[some],
        kept,
        like,
    )


def _first_of_each(columns: Floats) -> tuple[Integers, Integers]:
    """Positions of the first of each distinct column, and which of them a column is."""
    import numpy as np

    _, first, kind = np.unique(columns, axis=1, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[kind.ravel()]


def _words(frontier: Frontier) -> str:
    if isinstance(frontier, str):
        return frontier
    (option, value), *_ = frontier.model_dump().items()
    return f"{option} {value}"


def _spread(panel: Panel, found: Sample, made: dict[str, Floats]) -> dict[str, Floats]:
    """Columns of the sample's rows as columns of the panel; other rows have none."""
    import numpy as np

    spread: dict[str, Floats] = {}
    for column, values in made.items():
        spread[column] = np.full(len(panel.frame), np.nan)
        spread[column][found.rows] = values
    return spread


def _mean(scored: list[_Scored], rows: int) -> Floats:
    """(rows,) mean over the technologies that hold a row; missing if one is."""
    import numpy as np

    total, count = np.zeros(rows), np.zeros(rows)
    for one in scored:
        total[one.technology.evaluated] += one.scores.score
        count[one.technology.evaluated] += 1
    return total / count


def _tables(
    panel: Panel, found: Sample, scored: list[_Scored], step: Sbm
) -> dict[str, pd.DataFrame]:
    import numpy as np
    import pandas as pd

    parts: dict[str, list[pd.DataFrame]] = {
        "scores": [],
        "slacks": [],
        "targets": [],
        "peers": [],
    }
    sign = np.ones(len(found.names))
    sign[len(step.inputs) : len(step.inputs) + len(step.outputs)] = -1
    for one in scored:
        s, tech = one.scores, one.technology
        who = keys(panel, found.rows[tech.evaluated]).assign(technology=tech.label)
        now = found.quantities.all[:, tech.evaluated].T
        told: dict[str, Any] = {
            "score": s.score,
            "first_stage": s.first,
            "status": s.status,
            "returns": [_RETURNS.get(r, "") for r in s.returns],
        }
        parts["scores"].append(who.assign(**told))
        parts["targets"].append(_beside(who, s.target, found.names))
        parts["slacks"].append(_beside(who, sign * (now - s.target), found.names))
        parts["peers"].append(
            pd.concat(
                [
                    who.iloc[s.unit].reset_index(drop=True),
                    keys(panel, found.rows[tech.reference[s.peer]], "peer_"),
                    pd.DataFrame({"weight": s.weight}),
                ],
                axis=1,
            )
        )
    tables = {k: pd.concat(v, ignore_index=True) for k, v in parts.items()}
    outcome = [one for one in scored if step.is_outcome(one)]
    return tables | slack_shares(
        panel,
        [found.rows[one.technology.evaluated] for one in outcome],
        [_shares(found, one) for one in outcome],
        found.names,
    )


def _shares(found: Sample, scored: _Scored) -> Floats:
    """(E, c) distance to the frontier over the row's own quantities, as scores see it."""
    import numpy as np

    now = found.quantities.all[:, scored.technology.evaluated].T
    with np.errstate(divide="ignore", invalid="ignore"):
        shares: Floats = np.abs(now - scored.scores.target) / now
    # What an efficient row leads by is no slack.
    shares[scored.scores.score > 1] = 0.0
    return shares


def _beside(who: pd.DataFrame, values: Any, names: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat([who, pd.DataFrame(values, columns=list(names))], axis=1)


__all__ = ["Sbm"]
