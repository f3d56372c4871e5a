"""Weights of a fixed-effects regression on the effects of its treated cells.

de Chaisemartin and D'Haultfoeuille (2020), AER 110(9), Theorem 1 and Corollary 1, in
their notation: under common trends the coefficient is the weighted sum of the effects
Delta of treated cells, with weights proportional to eps D, where eps is what is left of
the treatment D after fixed effects and controls.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def cell_weights(eps: Floats, D: Floats, mass: Floats) -> Floats:
    """(n,) weights of the cells' effects per unit of treatment; they sum to one.

    Args:
        eps: (n,) residual of the treatment.
        D: (n,) treatment, zero or more.
        mass: (n,) weight of the cell in the regression.
    """
    raw = mass * eps * D
    return np.asarray(raw / raw.sum())


def robustness(
    beta: float, weight: Floats, share: Floats
) -> tuple[float, float | None]:
    """How much effects must differ before the coefficient says nothing of them.

    Args:
        beta: the coefficient.
        weight: (n,) weights of the treated cells, sum one.
        share: (n,) their shares of all treatment, sum one.

    Returns:
        Smallest standard deviation of the effects with which their mean can be zero,
        and with which all of them can have the sign opposite to the coefficient's;
        None where no weight is negative.
    """
    w = weight / share
    spread = float(np.sqrt(share @ np.square(w - 1)))
    first = abs(beta) / spread if spread > 0 else float("inf")
    order = np.argsort(w, kind="stable")  # ascending: sums run from the smallest
    w, p = w[order], share[order]
    P, S, T = np.cumsum(p), np.cumsum(p * w), np.cumsum(p * w * w)
    if not w[0] < 0:
        return first, None
    # It holds up to some weight and not from there on; at the end 1 - P is rounding.
    fails = w[:-1] * (1 - P[:-1]) >= -S[:-1]
    s = int(fails.argmax()) - 1 if fails.any() else len(w) - 2
    return first, float(abs(beta) / np.sqrt(T[s] + S[s] ** 2 / (1 - P[s])))
