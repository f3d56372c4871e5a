"""Tests that compare mean efficiency under two technologies, in two halves of a sample.

Kneip, Simar and Wilson (2015, 2016) and, for separability, Daraio, Simar and Wilson
(2018): the mean of estimated distances has a bias that vanishes more slowly than its
standard error, so that

    T = [(mean_1 - bias_1) - (mean_2 - bias_2)] / sqrt(var_1 / n_1 + var_2 / n_2)

is normal only with bias from a generalised jackknife, and, where the rate n^-kappa of
the estimator is slow (kappa < 2/5), with means over n^(2 kappa) rows. The two halves
make the means independent. One split is one draw; `combined` joins the p values of
several, which depend on each other, into one that holds whatever their dependence:
twice their median (Rüschendorf 1982).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from estimators._math.envelopment import Floats, Integers

#: From this rate on, means over all rows are normal (Kneip, Simar and Wilson 2015).
_FAST = 0.4
#: Spread of distances, relative, that is rounding.
_NOISE = 1e-9

#: Rows (m,) that are units and technology alike -> their distances (m,), from 1 on.
Distance = Callable[[Integers], Floats]


@dataclass(frozen=True, slots=True)
class Side:
    """Mean distance of one half under one technology.

    Attributes:
        mean, bias: of its distances.
        variance: of a distance, over the rows of the mean.
        rows: of the half; `used` of them are in the mean.
    """

    mean: float
    bias: float
    variance: float
    rows: int
    used: int


@dataclass(frozen=True, slots=True)
class Split:
    """One split: larger statistics speak against the null, NaN where there is none."""

    wide: Side
    narrow: Side
    statistic: float
    p_value: float


def compare(
    wide: Distance,
    narrow: Distance,
    groups: Integers,
    kappa: float,
    halvings: int,
    rng: np.random.Generator,
) -> Split:
    """The two technologies in two random halves of the rows.

    Args:
        wide: distances to the technology that holds the other under the alternative.
        narrow: distances to the other.
        groups: (n,) group of each row; halves have the same share of each.
        kappa: rate of both estimators under the null.
        halvings: random halvings that the jackknife averages over.
        rng: random numbers.
    """
    from scipy.special import ndtr

    first, second = _halved(np.arange(len(groups)), groups, rng)
    sides = [
        _side(distance, rows, groups, kappa, halvings, rng)
        for distance, rows in ((wide, first), (narrow, second))
    ]
    a, b = sides
    difference = (a.mean - a.bias) - (b.mean - b.bias)
    error = np.sqrt(a.variance + b.variance)
    # Distances that differ by rounding have no distribution.
    statistic = float(difference / error) if error > _NOISE * a.mean else np.nan
    return Split(a, b, statistic, float(ndtr(-statistic)))


def combined(p_values: Floats) -> float:
    """A p value of several tests of one null, whatever their dependence."""
    return float(min(1.0, 2 * np.median(p_values)))


def _side(
    distance: Distance,
    rows: Integers,
    groups: Integers,
    kappa: float,
    halvings: int,
    rng: np.random.Generator,
) -> Side:
    found = distance(rows)
    mean = float(found.mean())
    coarse = []
    for _ in range(halvings):
        parts = _halved(rows, groups[rows], rng)
        coarse.append(np.concatenate([distance(part) for part in parts]).mean())
    bias = (float(np.mean(coarse)) - mean) / (2**kappa - 1)
    used = len(rows)
    variance = float(found.var())
    if kappa < _FAST:
        used = min(used, int(used ** (2 * kappa)))
        mean = float(rng.choice(found, used, replace=False).mean())
    return Side(mean, bias, variance / used, len(rows), used)


def _halved(
    rows: Integers, groups: Integers, rng: np.random.Generator
) -> tuple[Integers, Integers]:
    """Two random halves of rows, each group halved (the odd one to either side)."""
    # Pairs within groups, one of each pair to either half.
    shuffled = rng.permutation(len(rows))
    order = shuffled[np.argsort(groups[shuffled], kind="stable")]
    sizes = np.bincount(np.unique(groups, return_inverse=True)[1])
    place = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    odd = np.repeat(rng.integers(0, 2, len(sizes)), sizes)
    first = (place + odd) % 2 == 0
    return np.sort(rows[order[first]]), np.sort(rows[order[~first]])


__all__ = ["Distance", "Side", "Split", "combined", "compare"]
