"""Distributions that reproduce four printed moments: minimum, maximum, mean and sd.

A table of descriptive statistics prints four numbers per variable. `pinned` returns the
sorted values of a sample that has all four, and `rank_mapped` gives them to the rows in
the order of a latent variable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Largest error of mean or sd, in sd, that still counts as having the moments.
_NEAR = 0.1
#: From here on expm1(g z)/g loses digits; its limit z is exact to as many.
_SMALL = 1e-8


@dataclass(frozen=True, slots=True)
class Moments:
    """What a table prints about a variable; `sd` has n - 1 in its denominator."""

    mean: float
    sd: float
    low: float
    high: float


@cache
def pinned(count: int, moments: Moments) -> Floats:
    """Sorted sample of `count` values with the four moments.

    Of the scaled beta and of Tukey's g-and-h distribution, both held at the extremes
    and with their two shape parameters solved from mean and sd at the plotting
    positions (k - .5)/n, the one with the smaller error; at a tie the one with fewer
    repeated values.

    Raises:
        ValueError: no shape of either family comes near.
    """
    tries = [_solve(family, count, moments) for family in (_tukey, _beta)]
    errors = [_error(values, moments) for values in tries]
    repeats = [count - np.unique(values).size for values in tries]
    # A tie goes to the first: g-and-h has no jump at its ends.
    best = min(range(len(tries)), key=lambda k: (round(errors[k], 6), repeats[k]))
    if errors[best] > _NEAR:
        raise ValueError(f"no distribution with {moments}")
    tries[best].flags.writeable = False  # it is kept and handed out again
    return tries[best]


def rank_mapped(
    latent: Floats, window: npt.NDArray[np.bool_], sample: Floats
) -> Floats:
    """Rows of the window get `sample` in the order of `latent`; others by the same map.

    Args:
        latent: shape (n,).
        window: rows that the moments describe, shape (n,), `sample.size` of them true.
        sample: sorted.
    """
    ordered = np.sort(latent[window], kind="stable")
    mapped = np.interp(latent, ordered, sample)
    places = np.empty(sample.size, dtype=np.int64)
    places[np.argsort(latent[window], kind="stable")] = np.arange(sample.size)
    mapped[window] = sample[places]
    return mapped


def _error(values: Floats, moments: Moments) -> float:
    gaps = (values.mean() - moments.mean, values.std(ddof=1) - moments.sd)
    return float(np.max(np.abs(gaps)) / moments.sd)


def _solve(
    family: Callable[[Floats, Floats], Floats], count: int, moments: Moments
) -> Floats:
    from scipy import optimize

    share = (np.arange(1, count + 1) - 0.5) / count
    width = moments.high - moments.low
    wanted = np.array([moments.mean - moments.low, moments.sd]) / width

    def unit(shape: Floats) -> Floats:
        # The tails beyond the plotting positions are cut: the ends are the extremes.
        raw = family(share, shape)
        raw = (raw - raw[0]) / (raw[-1] - raw[0]) if family is _tukey else raw
        raw[0], raw[-1] = 0.0, 1.0
        return np.maximum.accumulate(raw)

    def gap(shape: Floats) -> Floats:
        values = unit(shape)
        return np.array([values.mean(), values.std(ddof=1)]) - wanted

    starts = [(0.0, 0.0), (0.4, 0.0), (-0.4, 0.0), (0.8, -0.03)]
    if family is _beta:
        spread = wanted[0] * (1 - wanted[0]) / wanted[1] ** 2 - 1
        spread = max(spread, 0.1)
        starts = [(np.log(wanted[0] * spread), np.log((1 - wanted[0]) * spread))]
    found = [
        optimize.least_squares(gap, start, xtol=1e-15, ftol=1e-15, gtol=1e-15)
        for start in starts
    ]
    best = min(found, key=lambda f: f.cost)
    return moments.low + width * unit(best.x)


def _tukey(share: Floats, shape: Floats) -> Floats:
    """Tukey's g-and-h quantiles; h is kept where they are increasing."""
    from scipy import special

    z = special.ndtri(share)
    g, h = shape[0], max(shape[1], -0.06)
    skewed = np.expm1(g * z) / g if abs(g) > _SMALL else z  # the limit at g = 0
    return np.asarray(skewed * np.exp(h * z * z / 2))


def _beta(share: Floats, shape: Floats) -> Floats:
    from scipy import special

    a, b = np.exp(np.clip(shape, -5, 6))
    return np.asarray(special.betaincinv(a, b, share))
