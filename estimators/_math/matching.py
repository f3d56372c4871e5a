"""Matching of treated rows to untreated ones on a score or a Mahalanobis distance.

Conventions are those of Stata's psmatch2 (Leuven and Sianesi 2003): every treated row i
has weights w_ij over its matches that sum to one, so that the effect on the treated is
the mean over matched i of Y_i - sum_j w_ij Y_j; the weight of an untreated row is
sum_i w_ij. Radius matching averages within a treated row first (not over pairs).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
AT_ONCE = 4_000_000

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
    reach = np.inf if kernel == "gaussian" else bandwidth
    found = _within(treated, untreated, np.full(len(treated), reach))
    return _weighted(found, KERNELS[kernel](found.distance / bandwidth))


def radius(treated: Points, untreated: Points, caliper: float) -> csr_array:
    """Equal weights for all untreated rows within the caliper."""
    found = _within(treated, untreated, np.full(len(treated), caliper + TIE))
    return _weighted(found, np.ones(len(found.distance)))


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
    if not len(untreated):
        return csr_array((len(treated), 0), dtype=np.float64)
    far = _kth(treated, untreated, min(neighbours, len(untreated))) + TIE
    if caliper is not None:
        far = np.minimum(far, caliper + TIE)
    found = _within(treated, untreated, far)
    chosen = np.ones(len(found.distance))
    if not ties:
        # Distances that rounding tells apart are one, so that `order` decides.
        steps = np.round(found.distance / TIE)
        ranked = np.lexsort((untreated.order[found.j], steps, found.i))
        start = np.searchsorted(found.i[ranked], found.i[ranked], side="left")
        chosen[ranked] = np.arange(len(ranked)) - start < neighbours
    return _weighted(found, chosen)


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


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs (i, j) of a treated and an untreated row, by i, and their distance."""

    i: Ints
    j: Ints
    distance: Floats
    shape: tuple[int, int]


def _within(treated: Points, untreated: Points, reach: Floats) -> _Pairs:
    """All pairs with a distance up to the treated row's `reach`."""
    shape = len(treated), len(untreated)
    if untreated.at.shape[1] != 1:
        i: list[Ints] = []
        j: list[Ints] = []
        distance: list[Floats] = []
        for start, held in _blocks(treated, untreated):
            rows, columns = np.nonzero(held <= reach[start : start + len(held), None])
            i.append(start + rows)
            j.append(columns)
            distance.append(held[rows, columns])
        joined = np.concatenate
        return _Pairs(joined(i), joined(j), joined(distance), shape)
    # On a line: a range of the sorted untreated rows, a hair wider, then held to it.
    order = np.argsort(untreated.at[:, 0], kind="stable")
    line, place = untreated.at[order, 0], treated.at[:, 0]
    low = np.searchsorted(line, place - reach - TIE, side="left")
    count = np.searchsorted(line, place + reach + TIE, side="right") - low
    one = np.repeat(np.arange(shape[0]), count)
    first = np.repeat(low - np.cumsum(count) + count, count)
    zero = order[first + np.arange(len(one))]
    apart = np.abs(place[one] - untreated.at[zero, 0])
    kept = apart <= reach[one]
    return _Pairs(one[kept], zero[kept], apart[kept], shape)


def _kth(treated: Points, untreated: Points, k: int) -> Floats:
    """(n1,) distance of the k-th nearest untreated row."""
    if untreated.at.shape[1] != 1:
        parts = [
            np.partition(held, k - 1, axis=1)[:, k - 1]
            for _, held in _blocks(treated, untreated)
        ]
        return np.concatenate(parts)
    line = np.sort(untreated.at[:, 0])
    place = treated.at[:, 0]
    near = np.searchsorted(line, place)[:, None] + np.arange(-k, k)
    inside = (near >= 0) & (near < len(line))
    distance = np.abs(place[:, None] - line[near.clip(0, len(line) - 1)])
    distance[~inside] = np.inf
    kth: Floats = np.partition(distance, k - 1, axis=1)[:, k - 1]
    return kth


def _blocks(treated: Points, untreated: Points) -> Iterator[tuple[int, Floats]]:
    """First treated row and all distances of a block of them."""
    at_once = max(1, AT_ONCE // max(1, len(untreated)))
    for start in range(0, len(treated), at_once):
        block = treated.at[start : start + at_once]
        squares = np.zeros((len(block), len(untreated)))
        for column in range(block.shape[1]):
            squares += (block[:, column : column + 1] - untreated.at[:, column]) ** 2
        yield start, np.sqrt(squares)


def _weighted(found: _Pairs, weight: Floats) -> csr_array:
    kept = weight > 0
    place = (found.i[kept], found.j[kept])
    return _summing_to_one(csr_array((weight[kept], place), shape=found.shape))


def _summing_to_one(held: csr_array) -> csr_array:
    total = np.asarray(held.sum(axis=1)).ravel()
    held.data /= np.repeat(total, np.diff(held.indptr))
    return held
