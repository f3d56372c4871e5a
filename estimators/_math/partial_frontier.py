"""Order-m and order-alpha frontiers, which single rows do not move.

Input-oriented, a unit (x, y) is compared with the N units that make at least y, by the
ratios u_j = max_i x_ij / x_i; output-oriented with those that use at most x, by
v_j = min_r y_rj / y_r. With u_(1) the best (smallest u, largest v),

    order m:      E[best of m ratios drawn with replacement]
                  = sum_k u_(k) [((N - k + 1)/N)^m - ((N - k)/N)^m],
    order alpha:  u_(k) with k = floor((1 - alpha) N) + 1,

so both are exact in any number of quantities, where simulation is the custom (Cazals,
Florens and Simar 2002; Daouia and Simar 2007). Large m, and alpha = 1, give the free
disposal hull. Of outputs the score is one over the factor: in either orientation it is
below 1 inside of the frontier and above 1 beyond it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from estimators._math.efficiency import Quantities
from estimators._math.envelopment import Floats, Integers

#: A quantity this much short, relative, is as large: rounding of the data.
_AS_LARGE = 1e-12


@dataclass(frozen=True, slots=True)
class Partial:
    """Scores of E units.

    Attributes:
        value: (E,) share of the inputs, or one over the outputs' factor; NaN where
            there is no unit to compare with.
        std_error: (E,) of the sampling of units, from their influence; NaN for
            quantiles and where one unit alone is compared with.
        count: (E,) units compared with, N.
    """

    value: Floats
    std_error: Floats
    count: Integers


def order_m(
    evaluated: Quantities,
    reference: Quantities,
    own: Integers,
    orientation: Literal["input", "output"],
    m: int,
    *,
    without_own: bool = False,
) -> Partial:
    """Scores against the expected frontier of m units.

    Args:
        evaluated: quantities of the E units; inputs (outputs) that make the ratio are
            positive for inputs, not all zero for outputs.
        reference: quantities of the n reference units.
        own: (E,) the unit's column in `reference`, -1 where it is not one of them.
        orientation: whose ratios.
        m: units drawn.
        without_own: the unit itself is not drawn (Simar 2003).
    """

    def expected(u: Floats) -> tuple[float, float]:
        n = len(u)
        left = (n - np.arange(n + 1)) / n  # share of units from rank k + 1 on
        value = float(u @ (left[:-1] ** m - left[1:] ** m))
        if n == 1:
            return value, np.nan
        # Influence of rank j: m (sum of a_k over k < j - sum of a_k S_k).
        a = left[1:-1] ** (m - 1) * np.abs(np.diff(u))
        influence = m * (np.concatenate([[0.0], np.cumsum(a)]) - a @ left[1:-1])
        return value, float(np.sqrt(influence @ influence)) / n

    return _scores(evaluated, reference, own, orientation, expected, without_own)


def order_alpha(
    evaluated: Quantities,
    reference: Quantities,
    own: Integers,
    orientation: Literal["input", "output"],
    alpha: float,
) -> Partial:
    """Scores against the frontier that a share 1 - alpha of the units are beyond."""

    def quantile(u: Floats) -> tuple[float, float]:
        # The floor, but for the rounding of (1 - alpha) N.
        return float(u[int((1 - alpha) * len(u) + 1e-9)]), np.nan

    return _scores(evaluated, reference, own, orientation, quantile, False)


def _scores(
    evaluated: Quantities,
    reference: Quantities,
    own: Integers,
    orientation: Literal["input", "output"],
    of: Callable[[Floats], tuple[float, float]],
    without_own: bool,
) -> Partial:
    """`of` the ratios of the units each unit is compared with, best first."""
    units = evaluated.inputs.shape[1]
    value, error = np.full(units, np.nan), np.full(units, np.nan)
    count = np.zeros(units, dtype=np.int64)
    for o in range(units):
        x, y = evaluated.inputs[:, [o]], evaluated.goods[:, [o]]
        peers: Any  # (n,) flags; the stubs say that `all` may be a scalar
        if orientation == "input":
            peers = (reference.goods >= y * (1 - _AS_LARGE)).all(axis=0)
        else:
            peers = (reference.inputs <= x * (1 + _AS_LARGE)).all(axis=0)
        if without_own and own[o] >= 0:
            peers[own[o]] = False
        count[o] = peers.sum()
        if not count[o]:
            continue
        if orientation == "input":
            value[o], error[o] = of(
                np.sort((reference.inputs[:, peers] / x).max(axis=0))
            )
            continue
        made = y[:, 0] > 0  # what a unit does not make asks nothing of its peers
        ratios = (reference.goods[:, peers][made] / y[made]).min(axis=0)
        factor, spread = of(np.sort(ratios)[::-1])
        if factor > 0:
            value[o], error[o] = 1 / factor, spread / factor**2
    return Partial(value, error, count)


__all__ = ["Partial", "order_alpha", "order_m"]
