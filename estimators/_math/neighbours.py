"""Neighbours and their weights as sparse arrays, in the notation of the papers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

Floats = NDArray[np.float64]
T = TypeVar("T")

#: Mean radius of the earth (IUGG), km.
EARTH_KM = 6371.0088
#: Largest matrix whose eigenvalues are computed densely where a bound will do.
_DENSE = 1000
#: Matrices, or pairs of them, whose answers are remembered at a time.
_ANSWERS_KEPT = 8


def on_sphere(latitude: Floats, longitude: Floats) -> Floats:
    """Points (n, 3) of the unit sphere from degrees; chords order as great circles."""
    phi, lam = np.radians(latitude), np.radians(longitude)
    return np.column_stack(
        [np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)]
    )


def great_circle_km(latitude: Floats, longitude: Floats) -> Floats:
    """All distances (n, n), km."""
    return between_km(latitude[:, None], longitude[:, None], latitude, longitude)


def between_km(lat: Floats, lon: Floats, lat2: Floats, lon2: Floats) -> Floats:
    """Great-circle distances (km) between points in degrees, haversine formula."""
    phi, lam, phi2, lam2 = (np.radians(x) for x in (lat, lon, lat2, lon2))
    half = (
        np.sin((phi - phi2) / 2) ** 2
        + np.cos(phi) * np.cos(phi2) * np.sin((lam - lam2) / 2) ** 2
    )
    return np.asarray(2.0 * EARTH_KM * np.arcsin(np.sqrt(np.minimum(half, 1.0))))


def k_nearest(points: Floats, k: int) -> Any:
    """0/1 matrix: each point's k nearest others; ties go to all that are as near.

    So that no number depends on the order of the units; a row may hold more than k.
    """
    from scipy.spatial import cKDTree

    tree = cKDTree(points)
    n = len(points)
    reach = np.asarray(tree.query(points, k=k + 1)[0])[:, k]
    # Distances are rounded twice: what is equal on paper is equal here.
    found = tree.query_ball_point(points, reach * (1.0 + 1e-12))
    rows = np.repeat(np.arange(n), [len(f) for f in found])
    columns = np.concatenate([np.asarray(f, dtype=np.intp) for f in found])
    off = rows != columns
    ones = np.ones(int(off.sum()))
    return sparse.csr_array((ones, (rows[off], columns[off])), shape=(n, n))


def from_pairs(
    rows: NDArray[Any], columns: NDArray[Any], weights: Floats, n: int
) -> Any:
    """A sparse (n, n) array; a pair named twice counts with its larger weight."""
    order = np.lexsort((-weights, columns, rows))
    rows, columns, weights = rows[order], columns[order], weights[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    keep = first & (rows != columns) & (weights != 0)
    return sparse.csr_array((weights[keep], (rows[keep], columns[keep])), shape=(n, n))


def normalised(W: Any, transform: str) -> Any:
    """Rows that sum to one, a largest eigenvalue of one in modulus, or as it is."""
    if transform == "row":
        total = np.asarray(W.sum(axis=1)).ravel()
        scale = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
        return sparse.csr_array(sparse.diags_array(scale) @ W)
    if transform == "spectral":
        return sparse.csr_array(W / spectral_radius(W))
    return sparse.csr_array(W)


def remembered(answer: Callable[..., T]) -> Callable[..., T]:
    """Keep the answers to the matrices that were asked about last.

    A matrix is known by its identity, so a caller must not change one that it has
    asked about; several models of a process share theirs.
    """
    kept: dict[tuple[int, ...], tuple[tuple[Any, ...], T]] = {}

    @wraps(answer)
    def found(*matrices: Any) -> T:
        key = tuple(map(id, matrices))
        if key not in kept:
            while len(kept) >= _ANSWERS_KEPT:
                del kept[next(iter(kept))]
            # Held beside the answer, so that no other matrix gets its identity.
            kept[key] = matrices, answer(*matrices)
        return kept[key][1]

    return found


def spectral_radius(W: Any) -> float:
    """Largest eigenvalue of a non-negative matrix (Perron and Frobenius)."""
    if W.shape[0] <= _DENSE:
        return float(np.abs(eigenvalues(W)).max())
    start = np.ones(W.shape[0])
    found = sparse.linalg.eigs(W, k=1, v0=start, return_eigenvectors=False)
    return float(np.abs(found).max())


def eigenvalues(W: Any) -> NDArray[np.complex128] | Floats:
    """All eigenvalues (n,); real where W is similar to a symmetric matrix.

    W = D^-1 C with symmetric C (a row-normalised symmetric matrix) has those of
    D^-1/2 C D^-1/2 (Ord 1975), five times as fast to compute as a general one's.
    """
    dense = W.toarray()
    scale = _symmetriser(W)
    if scale is not None:
        root = np.sqrt(scale)
        S = root[:, None] * dense / root[None, :]
        return np.linalg.eigvalsh((S + S.T) / 2.0)
    found = np.linalg.eigvals(dense)
    order = np.lexsort((found.imag, found.real))
    return np.asarray(found[order])


def extreme_eigenvalues(W: Any) -> tuple[float, float]:
    """Smallest and largest real eigenvalue of a large sparse matrix, by Lanczos.

    Where W is similar to no symmetric matrix the smallest real part stands for the
    smallest real eigenvalue, a narrower range for rho.
    """
    scale = _symmetriser(W)
    start = np.ones(W.shape[0])
    # A start without the leading vector's symmetry reaches every eigenvector.
    start += np.cos(np.arange(len(start)))
    if scale is not None:
        root = sparse.diags_array(np.sqrt(scale))
        back = sparse.diags_array(1.0 / np.sqrt(scale))
        S = root @ W @ back
        low, high = (
            sparse.linalg.eigsh(S, k=1, which=end, v0=start, return_eigenvectors=False)
            for end in ("SA", "LA")
        )
        return float(low[0]), float(high[0])
    left, right = (
        sparse.linalg.eigs(W, k=1, which=end, v0=start, return_eigenvectors=False)
        for end in ("SR", "LR")
    )
    return float(left[0].real), float(right[0].real)


def _symmetriser(W: Any) -> Floats | None:
    """Positive d with diag(d) W symmetric, if there is one; found along the links."""
    W = sparse.csr_array(W)
    n = W.shape[0]
    d = np.zeros(n)
    indptr, indices, data = W.indptr, W.indices, W.data
    back = sparse.csr_array(W.T)
    if not np.array_equal(indptr, back.indptr):
        return None
    W.sort_indices()
    back.sort_indices()
    if not np.array_equal(W.indices, back.indices):
        return None
    indptr, indices, data = W.indptr, W.indices, W.data
    reverse = back.data
    for start in range(n):
        if d[start]:
            continue
        d[start] = 1.0
        order, before = csgraph.breadth_first_order(W, start, return_predecessors=True)
        for j in order[1:]:
            i = before[j]
            row = slice(indptr[i], indptr[i + 1])
            at = indptr[i] + int(np.searchsorted(indices[row], j))
            # d_i w_ij = d_j w_ji
            d[j] = d[i] * data[at] / reverse[at]
    rows = np.repeat(np.arange(n), np.diff(indptr))
    left, right = d[rows] * data, d[indices] * reverse
    if np.allclose(left, right, rtol=1e-10, atol=0.0):
        return d
    return None


def components(W: Any) -> int:
    """Groups of units that no link connects."""
    return int(csgraph.connected_components(W, directed=True, connection="weak")[0])


def islands(W: Any) -> NDArray[np.intp]:
    """Units without a neighbour."""
    return np.flatnonzero(np.asarray(W.sum(axis=1)).ravel() == 0)


def is_row_normalised(W: Any) -> bool:
    """Every row sums to one, up to rounding."""
    return bool(np.allclose(np.asarray(W.sum(axis=1)).ravel(), 1.0, rtol=0, atol=1e-10))
