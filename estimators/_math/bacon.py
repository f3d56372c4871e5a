"""Goodman-Bacon (2021), Theorem 1, in closed form from cohort x period means.

Notation: cohort k has the share n_k of the units and is treated for the share D_k of
the periods, from period index s_k on (s = T: never, s = 0: always). A pair k, j with
s_k < s_j gives two comparisons: k against the not yet treated j (before s_j), and j
against the already treated k (from s_k on).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

#: Kinds of comparison, as `Decomposition.kind` counts them.
KINDS = (
    "treated vs never treated",
    "earlier vs later treated",
    "later vs earlier treated",
    "later vs always treated",
)
NEVER, EARLIER, LATER, ALWAYS = range(4)


@dataclass(frozen=True, slots=True)
class Decomposition:
    """All 2x2 comparisons, m of them.

    Attributes:
        treated, control: (m,) positions of the two cohorts.
        kind: (m,) position in `KINDS`.
        weight: (m,) weights, which sum to one.
        estimate: (m,) 2x2 differences in differences.
    """

    treated: Codes
    control: Codes
    kind: Codes
    weight: Floats
    estimate: Floats

    @property
    def total(self) -> float:
        """The two-way fixed effects coefficient."""
        return float(self.weight @ self.estimate)


def decompose(start: Codes, share: Floats, mean: Floats) -> Decomposition:
    """Weights and estimates of all comparisons.

    Args:
        start: (K,) first treated period index of the cohorts, ascending, T = never.
        share: (K,) share of the units (or of their weight), summing to one.
        mean: (K, T) mean outcome by cohort and period.

    Returns:
        Comparisons by treated cohort, then control cohort.
    """
    K, T = mean.shape
    D = (T - start) / T
    running = np.zeros((K, T + 1))
    np.cumsum(mean, axis=1, out=running[:, 1:])
    k, j = np.triu_indices(K, 1)

    # Eq. (10e)-(10g), common factor left out: it is the variance of the treatment.
    both = share[k] * share[j]
    gap = D[k] - D[j]
    early_weight = both * gap * (1.0 - D[k])
    late_weight = both * gap * D[j]

    zero, end = np.zeros_like(k), np.full_like(k, T)
    early = _change(running, k, j, zero, start[k], start[j])
    late = _change(running, j, k, start[k], start[j], end)

    never, always = start[j] == T, start[k] == 0
    first = np.flatnonzero(~always)
    second = np.flatnonzero(~never)
    treated = np.concatenate([k[first], j[second]])
    control = np.concatenate([j[first], k[second]])
    kind = np.concatenate(
        [
            np.where(never[first], NEVER, EARLIER),
            np.where(always[second], ALWAYS, LATER),
        ]
    )
    weight = np.concatenate([early_weight[first], late_weight[second]])
    estimate = np.concatenate([early[first], late[second]])
    order = np.lexsort((control, treated))
    return Decomposition(
        treated[order],
        control[order],
        kind[order],
        weight[order] / weight.sum(),
        estimate[order],
    )


def _change(
    running: Floats, on: Codes, off: Codes, low: Codes, switch: Codes, high: Codes
) -> Floats:
    """Mean of [switch, high) less mean of [low, switch), `on` less `off`."""

    def between(rows: Codes, a: Codes, b: Codes) -> Floats:
        return np.asarray((running[rows, b] - running[rows, a]) / np.maximum(b - a, 1))

    return np.asarray(
        between(on, switch, high)
        - between(on, low, switch)
        - between(off, switch, high)
        + between(off, low, switch)
    )


def two_way(start: Codes, share: Floats, mean: Floats) -> float:
    """The same coefficient by Frisch-Waugh-Lovell: residual treatment on outcome."""
    T = mean.shape[1]
    treatment = (np.arange(T)[None, :] >= start[:, None]).astype(np.float64)
    left = treatment - treatment.mean(axis=1, keepdims=True)
    left -= share @ left
    return float(share @ (left * mean).sum(1) / (share @ (left * left).sum(1)))
