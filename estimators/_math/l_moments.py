"""Sample L-moments (Hosking 1990, J. Royal Statistical Society B 52(1))."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def l_kurtosis(x: NDArray[np.float64]) -> float:
    """t4 = l4 / l2 by unbiased probability-weighted moments; 0 for a constant.

    The uniform has 0, the normal 0.1226, the exponential 1/6; heavy tails have more.
    """
    x = np.sort(x)
    n = len(x)
    if n < 4 or x[0] == x[-1]:  # noqa: PLR2004 - the fourth moment needs four values
        return 0.0
    x = (x - x.mean()) / (x[-1] - x[0])
    i = np.arange(n, dtype=np.float64)
    b = [x.mean()]
    weight = np.ones(n)
    for r in range(1, 4):
        weight = weight * (i - r + 1) / (n - r)
        b.append(float(np.mean(weight * x)))
    l2 = 2 * b[1] - b[0]
    l4 = 20 * b[3] - 30 * b[2] + 12 * b[1] - b[0]
    return float(l4 / l2)
