"""Quantiles and tail means of potential outcomes from orthogonal scores.

Notation of Kallus, Mao and Uehara (2024, JMLR 25): theta solves the mean of a score that
is a step function of theta; its slope is a weighted kernel density. Brackets and bandwidth
are doubleml's, so that both give one number.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Widths of the brackets that are tried, as shares of the outcome's range.
WIDTHS = tuple(i / 10 for i in range(1, 11))


def bracket(
    score: Callable[[float], float], start: float, low: float, high: float
) -> tuple[float, float, bool]:
    """The first interval around `start` at whose ends the score has two signs.

    Returns:
        Its ends, or [low, high], and whether the signs differ.
    """
    a, b = low, high
    for width in WIDTHS:
        a = max(start - width * (high - low) / 2, low)
        b = min(start + width * (high - low) / 2, high)
        if np.sign(score(a)) != np.sign(score(b)):
            return a, b, True
    return a, b, False


def root(
    score: Callable[[float], float], start: float, low: float, high: float
) -> float | None:
    """Root of a step function, or None where it has no two signs."""
    from scipy.optimize import brentq

    a, b, both = bracket(score, start, low, high)
    return float(brentq(score, a, b)) if both else None


def density(u: Floats, weights: Floats) -> float:
    """Weighted Gaussian kernel density of `u` (n,) at zero, Silverman's bandwidth."""
    low, high = np.percentile(u, [25, 75])
    spread = float(np.std(u, ddof=1))
    if high > low:
        spread = min(spread, float(high - low) / 1.349)
    h = 0.9 * spread * len(u) ** -0.2
    kernel = np.exp(-0.5 * (u / h) ** 2) / np.sqrt(2 * np.pi)
    return float(kernel @ weights / (h * weights.sum()))


def beyond(y: Floats, quantile: float, at: float) -> Floats:
    """Target (n,) whose mean is the mean of `y` above its quantile, which is `at`."""
    return np.maximum(at, (y - quantile * at) / (1 - quantile))
