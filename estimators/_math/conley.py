"""Conley's (1999) spatial covariance: sums of products of scores of near places.

`meat = sum_t sum_ij K(d_ij) s_it s_jt'` with d the great circle between i and j. Places
are few where rows are many, so scores are summed by place before they meet.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np

from estimators._math.neighbours import EARTH_KM, on_sphere
from estimators._math.sandwich import Codes, Floats, sum_by

Kernel = Literal["bartlett", "uniform"]


def spatial_meat(
    scores: Floats,
    latitude: Floats,
    longitude: Floats,
    period: Codes,
    cutoff_km: float,
    kernel: Kernel,
) -> Floats:
    """Meat (k, k) of `scores` (n, k); pairs of rows count within a period.

    Args:
        scores: a row per observation.
        latitude, longitude: (n,) degrees.
        period: (n,) codes; all zero in a cross-section.
        cutoff_km: places farther apart than this are taken as independent.
        kernel: `bartlett` 1 - d / cutoff, or `uniform` 1 up to the cutoff.
    """
    places, at = np.unique(
        np.column_stack([latitude, longitude]), axis=0, return_inverse=True
    )
    weights = _weights(places.tobytes(), cutoff_km, kernel)
    meat = np.zeros((scores.shape[1],) * 2)
    order = np.argsort(period, kind="stable")
    starts = np.flatnonzero(np.diff(period[order])) + 1
    for rows in np.split(order, starts):
        summed = sum_by(scores[rows], at[rows], len(places))
        meat += summed.T @ (weights @ summed)
    return (meat + meat.T) / 2


@lru_cache(maxsize=2)
def _weights(places: bytes, cutoff_km: float, kernel: Kernel) -> Any:
    """Sparse kernel (P, P) of places (P, 2 doubles); kept, as every draw needs it."""
    from scipy import sparse
    from scipy.spatial import cKDTree

    points = on_sphere(*np.frombuffer(places).reshape(-1, 2).T)
    tree = cKDTree(points)
    # The chord of the cutoff on the unit sphere; a touch more, as it is rounded.
    reach = 2.0 * np.sin(min(cutoff_km / EARTH_KM, np.pi) / 2.0)
    pairs = tree.query_pairs(reach * (1.0 + 1e-12), output_type="ndarray")
    chord = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    km = 2.0 * EARTH_KM * np.arcsin(np.minimum(chord / 2.0, 1.0))
    held = np.ones(len(km))
    if kernel == "bartlett":
        held = np.maximum(0.0, 1.0 - km / cutoff_km)
    P = len(points)
    upper = sparse.csr_array((held, (pairs[:, 0], pairs[:, 1])), shape=(P, P))
    return sparse.csr_array(upper + upper.T + sparse.eye_array(P))


def indefinite(V: Floats) -> bool:
    """Whether a covariance has a direction of negative variance, beyond rounding."""
    size = np.sqrt(np.abs(np.diag(V)))
    size = np.where(size > 0, size, 1.0)
    values = np.linalg.eigvalsh(V / np.outer(size, size))
    return bool(values[0] < -1e-10 * max(values[-1], 0.0))
