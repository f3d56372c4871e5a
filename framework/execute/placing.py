"""Which unit gets whose treatment path, draw by draw."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framework.errors import SpecError

if TYPE_CHECKING:
    import numpy as np

#: More assignments than this are drawn, not enumerated.
MAX_ENUMERATED = 20_000
#: Units times draws that are handed over at a time.
_CELLS = 20_000_000
#: Units times draws that are shuffled at a time (what a processor's cache holds), but
#: not fewer draws than pay for a loop over units.
_SHUFFLED, _DRAWS = 200_000, 500


@dataclass(slots=True)
class _Block:
    """Units that exchange their paths: those of the commonest path, and the movers."""

    members: np.ndarray[Any, Any]
    donors: np.ndarray[Any, Any]
    movers: int
    generator: np.random.Generator


def drawn(
    paths: np.ndarray[Any, Any], blocks: Sequence[Sequence[int]], times: int, seed: int
) -> Iterator[np.ndarray[Any, Any]]:
    """Random permutations of treatment paths, some draws at a time.

    Paths that differ from the commonest one of their block are placed on units drawn
    without replacement; the other units get the commonest, whoever's it is. Draw b is
    a function of the seed and b.

    Args:
        paths: (n,) units with the same number have the same path.
        blocks: positions of the units that exchange paths among themselves.
        times: draws.
        seed: of the study.

    Returns:
        Arrays (draws, n): position of the unit whose path each unit gets.
    """
    import numpy as np

    held = []
    for number, block in enumerate(blocks):
        members = np.array(block, dtype=np.intp)
        own = paths[members]
        values, counts = np.unique(own, return_counts=True)
        common = own == values[np.argmax(counts)]
        held.append(
            _Block(
                members,
                np.concatenate([members[~common], members[common]]).astype(np.int32),
                int((~common).sum()),
                np.random.default_rng([seed, number]),
            )
        )
    n = max(1, len(paths))
    step, few = max(1, _CELLS // n), max(_DRAWS, _SHUFFLED // n)
    for start in range(0, times, step):
        source = np.empty((min(step, times - start), len(paths)), dtype=np.int32)
        for part in range(0, len(source), few):
            for together in held:
                _place(together, source[part : part + few])
        yield source


def all_alike(paths: np.ndarray[Any, Any], blocks: Sequence[Sequence[int]]) -> bool:
    """Whether no draw can differ from the data: every block has one path only.

    Args:
        paths, blocks: as in `drawn`.
    """
    return all(len(set(paths[list(block)].tolist())) <= 1 for block in blocks)


def _place(block: _Block, source: np.ndarray[Any, Any]) -> None:
    """Draw for every row of `source`: the shuffle of Fisher and Yates, movers only."""
    import numpy as np

    draws, n = len(source), len(block.members)
    # One number per draw and mover, a draw after the other: more draws change none.
    uniform = block.generator.random((draws, block.movers))
    order = np.repeat(np.arange(n, dtype=np.int32)[:, None], draws, axis=1)
    row = np.arange(draws)
    for j in range(block.movers):
        other = j + (uniform[:, j] * (n - j)).astype(np.intp)
        held = order[other, row]
        order[other, row] = order[j]
        order[j] = held
    source[row, block.members[order]] = block.donors[:, None]


def enumerated(
    cohort: np.ndarray[Any, Any] | None, blocks: Sequence[Sequence[int]]
) -> Iterator[np.ndarray[Any, Any]]:
    """Every distinct assignment but the true one, where they can be counted.

    Args:
        cohort: (n,) first treated period, inf = never.
        blocks: as in `drawn`.

    Raises:
        SpecError: X24 several cohorts or blocks, or too many assignments.
    """
    import numpy as np

    finite = set() if cohort is None else {c for c in cohort if math.isfinite(c)}
    if cohort is None or len(finite) != 1 or len(blocks) != 1:
        raise SpecError(
            "X24",
            "draws.times: every enumerates one cohort (a 0/1 treatment in a cross-section) "
            "without blocks",
            fix="draws.times: 999",
            path="draws.times",
        )
    treated = np.flatnonzero(np.isfinite(cohort))
    donors = np.flatnonzero(~np.isfinite(cohort))
    n = len(cohort)
    count = math.comb(n, len(treated))
    if count > MAX_ENUMERATED:
        raise SpecError(
            "X24",
            f"{count:,} assignments are too many to enumerate",
            fix="draws.times: 999",
            path="draws.times",
        )
    every = itertools.combinations(range(n), len(treated))
    step = max(1, _CELLS // n)
    while some := list(itertools.islice(every, step)):
        chosen = np.array(some, dtype=np.intp).reshape(len(some), -1)
        chosen = chosen[(chosen != treated).any(axis=1)]
        on = np.zeros((len(chosen), n), dtype=bool)
        on[np.arange(len(chosen))[:, None], chosen] = True
        source = np.empty(on.shape, dtype=np.int32)
        source[on] = np.tile(treated, len(chosen))
        source[~on] = np.tile(donors, len(chosen))
        if len(source):
            yield source
