"""Multiplier bootstrap of influence functions: bands that hold for all rows at once.

Callaway and Sant'Anna (2021), Algorithm 1: the influence function of every cluster is
multiplied by a random sign, and the band reaches as far as the largest studentised
deviation in the wanted share of the draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Cells of a block of draws.
BLOCK = 4_000_000


def simultaneous(psi: Floats, confidence: float, draws: int, seed: int) -> float:
    """Critical value of the studentised maximum over columns of `psi` (C, q)."""
    error = np.sqrt(np.sum(psi * psi, axis=0))
    scaled = psi[:, error > 0] / error[error > 0]
    rng = np.random.default_rng(seed)
    largest: list[Floats] = []
    at_once = max(1, min(draws, BLOCK // max(len(psi), 1)))
    left = draws
    while left:
        now = min(left, at_once)
        signs = rng.integers(0, 2, (now, len(psi)), dtype=np.int8) * 2.0 - 1.0
        largest.append(np.max(np.abs(signs @ scaled), axis=1))
        left -= now
    return float(np.quantile(np.concatenate(largest), confidence, method="higher"))
