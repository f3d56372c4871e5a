"""A difference between two numbers, split over what differs between their makers.

Some parts of a specification are taken from B, the others from A. The number of every
such mixture is known, or the mixture is impossible. A part's share is what it adds when
it is switched from A to B, averaged over the orders in which all parts are switched one
at a time (Shapley 1953); so shares sum to the difference, whatever the interactions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

#: Up to here every order is walked: 2^6 mixtures.
MOST_PARTS = 6

Mixture = frozenset[str]


@dataclass(frozen=True, slots=True)
class Share:
    """What one part adds.

    Attributes:
        share: the mean of what it adds over the orders, in units of the number.
        low, high: the least and the most it adds in any order.
    """

    part: str
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Attribution:
    """A difference, split.

    Attributes:
        total: B's number minus A's; the sum of the shares.
        shares: in the order of the parts.
        orders: orders that were averaged.
        asked: orders there would be, were no mixture impossible.
    """

    total: float
    shares: tuple[Share, ...]
    orders: int
    asked: int


def orders(parts: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Orders of switching: all, or the written one and its reverse where too many."""
    if len(parts) <= MOST_PARTS:
        yield from itertools.permutations(parts)
        return
    yield tuple(parts)
    yield tuple(reversed(parts))


def mixtures(parts: Sequence[str]) -> tuple[Mixture, ...]:
    """The parts taken from B in every mixture on the way of some order."""
    found: dict[Mixture, None] = {}
    for order in orders(parts):
        found |= dict.fromkeys(_way(order))
    return tuple(sorted(found, key=lambda m: (len(m), sorted(m))))


def attribute(
    parts: Sequence[str], numbers: Mapping[Mixture, float]
) -> Attribution | None:
    """Split `numbers[all parts] - numbers[no part]`.

    Args:
        parts: what differs.
        numbers: mixture -> its number; impossible mixtures are absent.

    Returns:
        None where A, B or every order between them is impossible.
    """
    first, last = numbers.get(frozenset()), numbers.get(frozenset(parts))
    if first is None or last is None:
        return None
    asked = list(orders(parts))
    walked = [o for o in asked if all(m in numbers for m in _way(o))]
    if not walked:
        return None
    added: dict[str, list[float]] = {part: [] for part in parts}
    for order in walked:
        way = _way(order)
        for part, before, after in zip(order, way, way[1:], strict=False):
            added[part].append(numbers[after] - numbers[before])
    shares = tuple(
        Share(part, sum(found) / len(found), min(found), max(found))
        for part, found in added.items()
    )
    return Attribution(last - first, shares, len(walked), len(asked))


def _way(order: Sequence[str]) -> list[Mixture]:
    """From no part to all of them, one at a time."""
    return [frozenset(order[:taken]) for taken in range(len(order) + 1)]
