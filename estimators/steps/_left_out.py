"""Scores without one peer at a time, from those with all.

To take a peer away can only change the rows that it is a peer of: an optimal solution
that does without it stays feasible, and optimal. So a few rows are solved again for each
peer, and all others keep their scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from framework.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from estimators.steps._frontier import Sample, Technology

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Solved:
    """A technology's scores and peers.

    Attributes:
        technology: who is scored against whom.
        score: (E,) of its evaluated rows.
        unit, peer: (k,) positions among the evaluated and the reference rows, one line
            per peer of a row.
    """

    technology: Technology
    score: Floats
    unit: Integers
    peer: Integers


def without_each(
    panel: Panel,
    found: Sample,
    solved: list[Solved],
    rescore: Callable[[Technology], Floats],
    most: int | None,
) -> Iterator[tuple[str, list[Floats]]]:
    """The scores without each unit that is somebody's peer, most needed peers first.

    A unit leaves the technologies, not the sample: its own scores stay, so that only
    what it does to others is seen.

    Args:
        panel: the data.
        found: the rows that are scored.
        solved: the technologies with everybody.
        rescore: scores of a technology's evaluated rows.
        most: as many units at most.

    Yields:
        The unit (a row's number without units), and the scores by technology.
    """
    import numpy as np

    who, names = _members(panel, found)
    pairs = np.concatenate([_pairs(who, s) for s in solved], axis=1)
    members, needed = np.unique(pairs[0], return_counts=True)
    order = sorted(range(len(members)), key=lambda k: (-needed[k], names[members[k]]))
    for member in members[order[:most]]:
        yield names[member], [_again(s, who, member, rescore) for s in solved]


def _members(panel: Panel, found: Sample) -> tuple[Integers, list[str]]:
    """(rows,) codes of the units of the sample's rows, and the units' names by code."""
    import numpy as np

    if panel.unit is None:
        return np.arange(len(found)), [f"row {row + 1}" for row in found.rows]
    units = panel.frame[panel.unit].to_numpy()[found.rows]
    names, codes = np.unique(units.astype(str), return_inverse=True)
    return codes, list(map(str, names))


def _pairs(who: Integers, solved: Solved) -> Integers:
    """(2, k) unit that is a peer, row of another unit that it is a peer of."""
    import numpy as np

    tech = solved.technology
    peer = who[tech.reference[solved.peer]]
    row = tech.evaluated[solved.unit]
    others: Any = np.unique(np.stack([peer, row])[:, peer != who[row]], axis=1)
    return np.asarray(others, dtype=np.int64)


def _again(
    solved: Solved,
    who: Integers,
    member: Any,
    rescore: Callable[[Technology], Floats],
) -> Floats:
    """A technology's scores without one unit in it."""
    import numpy as np

    tech, score = solved.technology, solved.score.copy()
    uses = who[tech.reference[solved.peer]] == member
    rows = np.unique(solved.unit[uses])
    rows = rows[who[tech.evaluated[rows]] != member]
    if not len(rows):
        return score
    left = tech.reference[who[tech.reference] != member]
    score[rows] = np.nan
    if len(left):
        score[rows] = rescore(
            replace(tech, evaluated=tech.evaluated[rows], reference=left)
        )
    return score


__all__ = ["Solved", "without_each"]
