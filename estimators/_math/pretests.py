"""What a test of pre-trends can see, and what passing it does to the estimates.

Roth (2022), AER: Insights 4(3), in his notation: event-study estimates are normal with
mean tau + delta and covariance Sigma. The pre-test is passed if no coefficient before
treatment is significant by itself, that is if beta_pre lies in a box. Under a linear
delta of some slope the chance of that, and the mean of the estimates given that, are
integrals of a normal distribution over the box: separation of variables (Genz 1992)
on a fixed lattice, so the same request gives the same digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Lattice points: the integrals are good to about 1e-4.
POINTS = 2**14
#: Slope beyond which, in standard errors per period, any test must see the trend.
STEEP = 60.0


@dataclass(frozen=True, slots=True)
class Passed:
    """Chance of the box, and mean of the normal vector inside of it."""

    chance: float
    mean: Floats


def in_the_box(mean: Floats, sigma: Floats, reach: Floats) -> Passed:
    """P(|x_j| <= reach_j for all j) and E(x | that), x normal (P,)."""
    from scipy.special import ndtr, ndtri

    P = len(mean)
    L = np.linalg.cholesky(sigma)
    u = _lattice(POINTS, P)
    y = np.empty((POINTS, P))
    weight = np.ones(POINTS)
    for j in range(P):
        centre = mean[j] + y[:, :j] @ L[j, :j]
        low, high = (-reach[j] - centre) / L[j, j], (reach[j] - centre) / L[j, j]
        # In the tail that is nearer, where differences keep their digits.
        flip = low > 0
        low, high = np.where(flip, -high, low), np.where(flip, -low, high)
        at, width = ndtr(low), ndtr(high) - ndtr(low)
        weight *= width
        drawn = ndtri(np.clip(at + u[:, j] * width, 1e-300, 1 - 1e-16))
        y[:, j] = np.where(flip, -drawn, drawn)
    chance = float(weight.mean())
    if not chance > 0:
        return Passed(0.0, np.clip(mean, -reach, reach))
    return Passed(chance, mean + L @ (weight @ y / weight.sum()))


def _lattice(n: int, dimensions: int) -> Floats:
    """(n, dimensions) points in the unit cube: Richtmyer's lattice, folded."""
    primes: list[int] = []
    number = 2
    while len(primes) < dimensions:
        if all(number % p for p in primes):
            primes.append(number)
        number += 1
    steps = np.sqrt(np.array(primes, dtype=np.float64))
    points = np.mod(np.arange(1, n + 1)[:, None] * steps, 1.0)
    return np.asarray(np.abs(2 * points - 1))


def slope_for_power(
    offset: Floats, sigma: Floats, critical: float, power: float
) -> float:
    """Slope > 0 that the test detects with this probability; 0 if even none is less.

    Args:
        offset: (P,) event times before the reference less the reference.
        sigma: (P, P) covariance of their estimates.
        critical: normal critical value of each coefficient.
        power: probability that some coefficient is significant.
    """
    from scipy.optimize import brentq

    error = np.sqrt(np.diag(sigma))

    def missed(slope: float) -> float:
        return in_the_box(slope * offset, sigma, critical * error).chance - (1 - power)

    if missed(0.0) <= 0:
        return 0.0
    top = STEEP * float(np.min(error / np.abs(offset)))
    return float(brentq(missed, 0.0, top, xtol=1e-12 * top, rtol=1e-10))


def after_pretest(
    slope: float, offset: Floats, sigma: Floats, before: int, critical: float
) -> tuple[float, Floats]:
    """Chance to pass, and mean of all estimates given that, under a trend alone.

    Args:
        slope: of the difference in trends.
        offset: (P + T,) event times less the reference.
        sigma: (P + T, P + T).
        before: P.
        critical: as above.
    """
    delta = slope * offset
    pre = sigma[:before, :before]
    reach = critical * np.sqrt(np.diag(pre))
    found = in_the_box(delta[:before], pre, reach)
    moved = np.linalg.solve(pre, found.mean - delta[:before])
    rest = delta[before:] + sigma[before:, :before] @ moved
    return found.chance, np.concatenate([found.mean, rest])
