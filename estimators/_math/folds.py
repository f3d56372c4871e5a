"""Which rows are left out together: folds of groups, drawn from what names them.

A group's place depends on its own name, the seed and the repetition, never on the order
in which groups come; a group that leaves moves at most one group across each border.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import groupby
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


def content_names(
    own: NDArray[np.float64],
    *others: NDArray[np.float64],
) -> list[str]:
    """Names (n) for rows without ids, the same in whatever order the rows come.

    A row is named by its values in `own` (n, p), in whatever order its columns come; rows
    that are equal there are told apart by a number, given in the order of a hash of
    their values in the first of `others` (n, q), then in the next. So the multiset of
    (name, own values) does not depend on `others`, that of (name, own values, values in
    the first) not on those after it: fits on them are the same whatever comes after.
    """
    first = _row_bytes(_columns_in_order(own))
    # Rows that differ by which of two columns with the same values has which.
    hashes = [[_hashed(row) for row in _row_bytes(table)] for table in (own, *others)]
    keys = list(zip(first, *hashes, strict=True))
    count: dict[bytes, int] = {}
    names = [""] * len(first)
    for i in sorted(range(len(first)), key=keys.__getitem__):
        copy = count.get(first[i], 0)
        count[first[i]] = copy + 1
        names[i] = f"{_hashed(first[i]).hex()}\x1f{copy}"
    return names


def _columns_in_order(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """The columns (n, p) by a hash of all their values, which no order of rows moves.

    Of columns with the same values each row has its own in their order of size.
    """
    values = np.array(table + 0.0)
    hashes = [_hashed(np.sort(column).tobytes()) for column in values.T]
    order = sorted(range(len(hashes)), key=hashes.__getitem__)
    for _, some in groupby(order, key=hashes.__getitem__):
        alike = list(some)
        if len(alike) > 1:
            values[:, alike] = np.sort(values[:, alike], axis=1)
    return values[:, order]


def _row_bytes(table: NDArray[np.float64]) -> list[bytes]:
    # -0.0 and 0.0 are one value.
    return [row.tobytes() for row in np.ascontiguousarray(table + 0.0)]


def _hashed(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
