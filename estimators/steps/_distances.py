"""What radial and directional distances share: columns of scores and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from estimators.steps._columns import finish
from estimators.steps._frontier import (
    Frontier,
    Metafrontier,
    Reference,
    Sample,
    Technology,
    keys,
    peers_in_words,
)
from estimators.steps._left_out import Solved, without_each
from framework.errors import counted
from framework.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from estimators._math.distance import Distances

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Column:
    """The columns that scores against technologies make."""

    is_meta: bool

    @classmethod
    def of(cls, frontier: Frontier) -> Column:
        """The columns of a frontier."""
        return cls(isinstance(frontier, Metafrontier))

    def names(self, name: str) -> tuple[str, ...]:
        """The score; of a metafrontier also the group's score and their gap."""
        return (name, f"{name}_group", f"{name}_gap") if self.is_meta else (name,)

    def made(
        self,
        name: str,
        panel: Panel,
        found: Sample,
        techs: list[Technology],
        scored: list[Distances],
        *,
        ratio: bool,
    ) -> tuple[dict[str, Floats], Floats]:
        """The columns over the panel's rows, and the score over the sample's.

        Args:
            name: of the step.
            panel: whose rows the columns have.
            found: the rows that were scored.
            techs: technologies, of a metafrontier all's first.
            scored: their scores.
            ratio: a gap is a quotient, else a difference.
        """
        import numpy as np

        first = 1 if self.is_meta else len(techs)
        score = mean_score(techs[:first], scored[:first], len(found))
        made = {name: score}
        if self.is_meta:
            group = mean_score(techs[1:], scored[1:], len(found))
            made[f"{name}_group"] = group
            made[f"{name}_gap"] = score / group if ratio else score - group
        spread: dict[str, Floats] = {}
        for column, values in made.items():
            spread[column] = np.full(len(panel.frame), np.nan)
            spread[column][found.rows] = values
        return spread, score


def mean_score(techs: list[Technology], scored: list[Distances], rows: int) -> Floats:
    """(rows,) mean over the technologies that hold a row; missing if one is."""
    import numpy as np

    total, count = np.zeros(rows), np.zeros(rows)
    for tech, one in zip(techs, scored, strict=True):
        values = one.value.copy()
        if is_alone(tech):
            values[:] = np.nan
        total[tech.evaluated] += values
        count[tech.evaluated] += 1
    mean: Floats = total / count
    return mean


def is_alone(tech: Technology) -> bool:
    """Whether a technology is one row's own: nothing to compare it with."""
    return len(tech.reference) == 1 and bool((tech.own >= 0).all())


def status(tech: Technology, one: Distances) -> list[str]:
    """`scored`, or why not."""
    import numpy as np

    if is_alone(tech):
        return ["no peers"] * len(one.value)
    words = np.where(np.isnan(one.value), "not proven", "scored")
    return list(np.where(one.feasible, words, "infeasible"))


def why_missing(techs: list[Technology], scored: list[Distances]) -> tuple[str, ...]:
    """A note for each reason that scores are missing for."""
    words = [w for t, s in zip(techs, scored, strict=True) for w in status(t, s)]
    reasons = {
        "infeasible": "no combination of the other rows reaches the row",
        "no peers": "the row is alone in its technology",
        "not proven": "the solver's answer could not be proven optimal",
    }
    return tuple(
        f"{counted(words.count(word), 'score is', 'scores are')} missing, {word}: {why}"
        for word, why in reasons.items()
        if word in words
    )


def told(frontier: Frontier, reference: Reference | None) -> str:
    """The frontier in words, for the ledger."""
    words = str(frontier)
    if not isinstance(frontier, str):
        (option, value), *_ = frontier.model_dump().items()
        words = f"{option} {value}"
    return f"{words} frontier{peers_in_words(reference)}"


def without_each_peer(
    name: str,
    panel: Panel,
    found: Sample,
    frontier: Frontier,
    techs: list[Technology],
    measured: Callable[[Technology], Distances],
    most: int | None,
    *,
    ratio: bool,
) -> Iterator[tuple[str, Panel]]:
    """The panel with the columns of scores, without one peer at a time.

    Args:
        name, panel, found, frontier, techs, ratio: as for `Column.made`.
        measured: distances of a technology's evaluated rows.
        most: as many peers at most.
    """
    scored = [measured(tech) for tech in techs]
    solved = [
        Solved(t, one.value, one.unit, one.peer)
        for t, one in zip(techs, scored, strict=True)
    ]
    values = without_each(panel, found, solved, lambda t: measured(t).value, most)
    for member, less in values:
        now = [replace(s, value=value) for s, value in zip(scored, less, strict=True)]
        made, _ = Column.of(frontier).made(name, panel, found, techs, now, ratio=ratio)
        yield member, finish(panel, name, made, f"without {member}").panel


def tables(
    panel: Panel,
    found: Sample,
    techs: list[Technology],
    scored: list[Distances],
    label: str,
    statuses: list[list[str]] | None = None,
) -> dict[str, pd.DataFrame]:
    """`scores` with status (default: that of `status`) and `peers` with weights."""
    import pandas as pd

    scores, peers = [], []
    statuses = statuses or [status(*pair) for pair in zip(techs, scored, strict=True)]
    for tech, one, words in zip(techs, scored, statuses, strict=True):
        who = keys(panel, found.rows[tech.evaluated]).assign(technology=tech.label)
        value = one.value if not is_alone(tech) else one.value * float("nan")
        columns: dict[str, Any] = {label: value, "status": words}
        scores.append(who.assign(**columns))
        parts = [
            who.iloc[one.unit].reset_index(drop=True),
            keys(panel, found.rows[tech.reference[one.peer]], "peer_"),
            pd.DataFrame({"weight": one.weight}),
        ]
        peers.append(pd.concat(parts, axis=1))
    return {
        "scores": pd.concat(scores, ignore_index=True),
        "peers": pd.concat(peers, ignore_index=True),
    }


__all__ = [
    "Column",
    "is_alone",
    "mean_score",
    "status",
    "tables",
    "told",
    "why_missing",
    "without_each_peer",
]
