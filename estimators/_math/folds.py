"""Which rows are left out together: folds of groups, drawn from what names them.

A group's place depends on its own name, the seed and the repetition, never on the order
in which groups come; a group that leaves moves at most one group across each border.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]


def spoken(value: Any) -> str:
    """A name as text, the same whether it was read as 7, 7.0 or "7"."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    if isinstance(value, tuple):
        return "\x1f".join(spoken(v) for v in value)
    return str(value)


def places(names: Sequence[str], seed: int, repetition: int) -> Codes:
    """Rank (G,) of each group in an order drawn from (seed, repetition, its name)."""
    salt = f"{seed}\x1e{repetition}\x1e"
    drawn = [
        (hashlib.blake2b((salt + name).encode(), digest_size=16).digest(), name)
        for name in names
    ]
    order = sorted(range(len(names)), key=drawn.__getitem__)
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    return rank


def folds_of(rank: Codes, folds: int) -> Codes:
    """Fold (G,) of each group: blocks of its order whose sizes differ by one at most."""
    return np.asarray(rank * folds // len(rank), dtype=np.int64)


def folds_in_strata(
    names: Sequence[str], strata: Sequence[str], number: int, seed: int, repetition: int
) -> Codes:
    """Fold (G,) of each group, every stratum spread over all folds.

    Args:
        names: (G,) of the groups.
        strata: (G,) the stratum of each.
        number: of folds.
        seed, repetition: what the folds are drawn from.
    """
    rank = places(names, seed, repetition)
    code = {name: s for s, name in enumerate(dict.fromkeys(strata))}
    stratum = np.array([code[name] for name in strata], dtype=np.int64)
    fold = np.empty(len(names), dtype=np.int64)
    for name, s in code.items():
        members = np.flatnonzero(stratum == s)
        # Blocks put what does not divide evenly into the same folds in every stratum:
        # each stratum draws which fold its blocks are.
        drawn = places([f"{name}\x1f{k}" for k in range(number)], seed, repetition)
        own = np.argsort(np.argsort(rank[members]))
        fold[members] = drawn[folds_of(own, number)]
    return fold


def content_names(primary: NDArray[np.float64], rest: NDArray[np.float64]) -> list[str]:
    """Names (n) for rows without ids, the same in whatever order the rows come.

    A row is named by its values in `primary` (n, p); rows that are equal there are told
    apart by a number, given in the order of a hash of `rest` (n, q). The multiset of
    (name, primary values) does not depend on `rest`, so that fits on `primary` are the
    same for every outcome.
    """
    # -0.0 and 0.0 are one value.
    first = [row.tobytes() for row in np.ascontiguousarray(primary + 0.0)]
    second = [
        hashlib.blake2b(row.tobytes(), digest_size=16).digest()
        for row in np.ascontiguousarray(rest + 0.0)
    ]
    count: dict[bytes, int] = {}
    names = [""] * len(first)
    for i in sorted(range(len(first)), key=lambda i: (first[i], second[i])):
        copy = count.get(first[i], 0)
        count[first[i]] = copy + 1
        digest = hashlib.blake2b(first[i], digest_size=16).hexdigest()
        names[i] = f"{digest}\x1f{copy}"
    return names
