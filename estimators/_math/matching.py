"""Matching of treated rows to untreated ones on a score or a Mahalanobis distance.

Conventions are those of Stata's psmatch2 (Leuven and Sianesi 2003): every treated row i
has weights w_ij over its matches that sum to one, so that the effect on the treated is
the mean over matched i of Y_i - sum_j w_ij Y_j; the weight of an untreated row is
sum_i w_ij. Radius matching averages within a treated row first (not over pairs).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Kernel = Literal["epanechnikov", "gaussian", "biweight", "uniform", "tricube"]

#: Distances that differ by less are one distance. Newton leaves less of a score, and
#: the units of a covariate move it by less.
TIE = 1e-10
#: Pairs held at a time.
_CHUNK = 4_000_000

KERNELS: dict[str, Callable[[Floats], Floats]] = {
    "epanechnikov": lambda u: np.maximum(0.0, 1 - u**2),
    "gaussian": lambda u: np.exp(-0.5 * u**2),
    "biweight": lambda u: np.maximum(0.0, 1 - u**2) ** 2,
    "uniform": lambda u: (u <= 1).astype(np.float64),
    "tricube": lambda u: np.maximum(0.0, 1 - u**3) ** 3,
}


@dataclass(frozen=True, slots=True)
class Points:
    """Where rows stand: (n, m) coordinates whose Euclidean distance is the distance.

    One column (a score), or whitened covariates (Mahalanobis).

    Attributes:
        order: (n,) rank that breaks ties and says who is served first; no two equal.
    """

    at: Floats
    order: Ints

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: Ints) -> Points:
        return Points(self.at[rows], self.order[rows])


def whitened(X: Floats) -> Floats:
    """Coordinates with Mahalanobis distance: covariance of all rows, n - 1.

    Columns that do not vary, and combinations of others, have no say.
    """
    centred = X - X.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=0) / (len(X) - 1))
    varies = spread > 1e-12 * np.maximum(1.0, np.abs(X).max(axis=0))
    # Correlations: what is small in its own unit is not small for the distance.
    centred = centred[:, varies] / spread[varies]
    correlation = np.atleast_2d(centred.T @ centred / (len(X) - 1))
    values, vectors = np.linalg.eigh(correlation)
    keep = values > values.max() * 1e-12
    made: Floats = centred @ (vectors[:, keep] / np.sqrt(values[keep]))
    return made


def kernel_weights(
    treated: Points, untreated: Points, kernel: Kernel, bandwidth: float
) -> csr_array:
    """(n1 x n0) weights K(distance / bandwidth) that sum to one per treated row."""
    shape = KERNELS[kernel]

    def weigh(distance: Floats) -> Floats:
        return shape(distance / bandwidth)

    return _each(treated, untreated, weigh)


def radius(treated: Points, untreated: Points, caliper: float) -> csr_array:
    """Equal weights for all untreated rows within the caliper."""

    def weigh(distance: Floats) -> Floats:
        return (distance <= caliper + TIE).astype(np.float64)

    return _each(treated, untreated, weigh)


def nearest(
    treated: Points,
    untreated: Points,
    neighbours: int,
    *,
    caliper: float | None = None,
    ties: bool = True,
) -> csr_array:
    """The k nearest with replacement: equal weights.

    Args:
        treated, untreated: where they stand.
        neighbours: k.
        caliper: a match farther away is none.
        ties: all rows as near as the k-th are matches; else the first by `order`.
    """
    limit = np.inf if caliper is None else caliper + TIE

    def weigh(distance: Floats) -> Floats:
        k = min(neighbours, distance.shape[1])
        if ties:
            far = np.partition(distance, k - 1, axis=1)[:, k - 1 : k]
            chosen = distance <= far + TIE
        else:
            # Distances that rounding tells apart are one, so that `order` decides.
            steps = np.round(distance / TIE)
            ranks = np.broadcast_to(untreated.order, distance.shape)
            first = np.lexsort((ranks, steps), axis=1)[:, :k]
            chosen = np.zeros(distance.shape, dtype=bool)
            np.put_along_axis(chosen, first, values=True, axis=1)
        return (chosen & (distance <= limit)).astype(np.float64)

    return _each(treated, untreated, weigh)


def without_replacement(
    treated: Points,
    untreated: Points,
    neighbours: int,
    *,
    caliper: float | None = None,
) -> csr_array:
    """Greedy: by `order`, each treated row takes the nearest that is left.

    With k > 1 every treated row takes its first before any takes a second.
    """
    limit = np.inf if caliper is None else caliper + TIE
    free = np.ones(len(untreated), dtype=bool)
    rows: list[int] = []
    columns: list[int] = []
    for _ in range(neighbours):
        for i in np.argsort(treated.order, kind="stable"):
            distance = np.sqrt(((untreated.at - treated.at[i]) ** 2).sum(axis=1))
            distance[~free] = np.inf
            least = distance.min(initial=np.inf)
            if not least <= limit or np.isinf(least):
                continue
            near = np.flatnonzero(distance <= least + TIE)
            taken = int(near[np.argmin(untreated.order[near])])
            free[taken] = False
            rows.append(int(i))
            columns.append(taken)
    held = csr_array(
        (np.ones(len(rows)), (rows, columns)), shape=(len(treated), len(untreated))
    )
    return _summing_to_one(held)


def _each(
    treated: Points, untreated: Points, weigh: Callable[[Floats], Floats]
) -> csr_array:
    """Weights of all pairs, so many treated rows at a time, each row summing to one."""
    from scipy.sparse import vstack

    n1, n0 = len(treated), len(untreated)
    if not n0 or not n1:
        return csr_array((n1, n0), dtype=np.float64)
    at_once = max(1, _CHUNK // n0)
    parts = []
    for start in range(0, n1, at_once):
        block = treated.at[start : start + at_once]
        parts.append(csr_array(weigh(_distances(block, untreated.at))))
    return _summing_to_one(csr_array(vstack(parts)))


def _distances(one: Floats, other: Floats) -> Floats:
    if one.shape[1] == 1:
        return np.abs(one - other.T)
    squares = np.zeros((len(one), len(other)))
    for column in range(one.shape[1]):
        squares += (one[:, column : column + 1] - other[:, column]) ** 2
    return np.sqrt(squares)


def _summing_to_one(held: csr_array) -> csr_array:
    total = np.asarray(held.sum(axis=1)).ravel()
    held.data /= np.repeat(total, np.diff(held.indptr))
    return held
