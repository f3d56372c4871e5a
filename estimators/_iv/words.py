"""How confidence sets of instruments are written."""

from __future__ import annotations

from collections.abc import Sequence


def in_words(pieces: Sequence[tuple[float, float]]) -> str:
    """`[1, 2]`, `(-inf, 1] and [2, inf)`; "" without a piece."""
    return " and ".join(
        f"[{low:.4g}, {high:.4g}]".replace("[-inf", "(-inf").replace("inf]", "inf)")
        for low, high in pieces
    )
