"""Bias of radial efficiency scores by the smoothed bootstrap of Simar and Wilson.

Simar and Wilson (1998), Sensitivity analysis of efficiency scores: how to bootstrap in
nonparametric frontier models, Management Science 44.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from estimators._math.envelopment import Floats

#: A correction adds noise; it pays where bias² is more than this times the variance.
_PAYS = 3.0
#: Scores from here on are 1: a vertex's rounding.
_ONE = 1 - 1e-9


@dataclass(frozen=True, slots=True)
class Corrected:
    """Scores of n units after the bootstrap.

    Attributes:
        bias: (n,) mean of the draws minus the score; DEA's is positive (of distances
            negative).
        score: (n,) score minus bias.
        low, high: (n,) basic bootstrap interval.
        pays: (n,) the correction lowers the mean squared error, by the rule of thumb.
        bandwidth: of the smoothing; NaN where there is none.
    """

    bias: Floats
    score: Floats
    low: Floats
    high: Floats
    pays: np.ndarray[tuple[int], np.dtype[np.bool_]]
    bandwidth: float


def correct(
    score: Floats,
    rescore: Callable[[Floats], Floats],
    times: int,
    rng: np.random.Generator,
    level: float = 0.05,
    *,
    inverse: bool = False,
) -> Corrected:
    """Bias-corrected scores and intervals, efficiency homogeneous over units.

    Args:
        score: (n,) radial scores in (0, 1].
        rescore: (n,) factors -> (n,) scores of the units against the reference units
            whose inputs are divided (outputs multiplied) by score / factor, so that
            unit i's pseudo efficiency is the factor i.
        times: draws.
        rng: random numbers.
        level: one minus the confidence of the intervals.
        inverse: the bias is that of the distance 1 / score.
    """
    h = bandwidth(score)
    draws = np.array([rescore(pseudo(score, h, rng)) for _ in range(times)])
    if inverse:
        draws, score = 1 / draws, 1 / score
    return summed(score, draws, h, level)


def summed(score: Floats, draws: Floats, h: float, level: float) -> Corrected:
    """Bias and basic intervals of n scores from (times, n) scores of samples."""
    bias = draws.mean(axis=0) - score
    gap = draws - score
    high_gap, low_gap = np.quantile(gap, [1 - level / 2, level / 2], axis=0)
    return Corrected(
        bias,
        score - bias,
        score - high_gap,
        score - low_gap,
        bias**2 > _PAYS * draws.var(axis=0, ddof=1),
        h,
    )


def bandwidth(score: Floats) -> float:
    """Silverman's rule on the scores below 1, reflected at 1."""
    low = score[score < _ONE]
    both = np.concatenate([low, 2 - low])
    quarter, three = np.quantile(both, [0.25, 0.75])
    spread = min(both.std(ddof=1), (three - quarter) / 1.34)
    # n^(-1/5) of the reflected sample, and back to as many as there are scores.
    size = 0.9 * spread * len(both) ** -0.2 * (len(both) / len(score)) ** 0.2
    return float(size * score.std(ddof=1) / both.std(ddof=1))


def pseudo(score: Floats, h: float, rng: np.random.Generator) -> Floats:
    """(n,) draws of efficiency from the smoothed, reflected distribution of scores."""
    chosen = rng.choice(score, len(score))
    smooth = chosen + h * rng.normal(size=len(score))
    smooth = np.where(smooth <= 1, smooth, 2 - smooth)
    shrunk: Floats = chosen.mean() + (smooth - chosen.mean()) / np.sqrt(
        1 + h**2 / score.var(ddof=1)
    )
    # Far in the lower tail of small scores a draw may leave (0, 1].
    return np.clip(shrunk, score.min() / 2, 1.0)


__all__ = ["Corrected", "bandwidth", "correct", "pseudo", "summed"]
