"""Weights and composite indices of n rows and k indicators, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Normalisation = Literal["min_max", "vector"]


def directed(x: Floats, positive: npt.NDArray[np.bool_]) -> Floats:
    """(n, k) indicators that all mean more is better: max + min - x where not."""
    mirrored: Floats = np.where(positive, x, x.max(axis=0) + x.min(axis=0) - x)
    return mirrored


def normalised(x: Floats, kind: Normalisation) -> Floats:
    """(n, k) without units: to [0, 1] by column, or by the column's length."""
    if kind == "vector":
        length: Floats = np.sqrt((x * x).sum(axis=0))
        return x / length
    low, high = x.min(axis=0), x.max(axis=0)
    scaled: Floats = (x - low) / (high - low)
    return scaled


def entropy(z: Floats) -> Floats:
    """(k,) Shannon entropy of each column's shares over ln n, with 0 ln 0 = 0."""
    p = z / z.sum(axis=0)
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    value: Floats = -(p * logs).sum(axis=0) / np.log(len(z))
    return value


def entropy_weights(z: Floats) -> tuple[Floats, Floats]:
    """(entropy, weights) of non-negative columns: 1 - entropy, summing to one."""
    e = entropy(z)
    information = 1 - e
    return e, information / information.sum()


def critic_weights(z: Floats) -> tuple[Floats, Floats, Floats]:
    """(deviation, conflict, weights) of Diakoulaki, Mavrotas and Papayannakis (1995).

    C_j = sd_j * sum_k (1 - r_jk): contrast of an indicator times its conflict with the
    others.
    """
    deviation: Floats = z.std(axis=0, ddof=1)
    conflict: Floats = (1 - np.corrcoef(z, rowvar=False)).sum(axis=0)
    information = deviation * conflict
    return deviation, conflict, information / information.sum()


def closeness(z: Floats, weights: Floats) -> Floats:
    """(n,) TOPSIS: distance from the worst over the sum of both distances.

    All columns mean more is better (Hwang and Yoon 1981).
    """
    v = z * weights
    best = np.sqrt(((v - v.max(axis=0)) ** 2).sum(axis=1))
    worst = np.sqrt(((v - v.min(axis=0)) ** 2).sum(axis=1))
    ratio: Floats = worst / (best + worst)
    return ratio


@dataclass(frozen=True, slots=True)
class Components:
    """Principal components of the correlation matrix.

    Attributes:
        eigenvalues: (k,) falling; they sum to k.
        loadings: (k, k) unit eigenvectors in columns, each with a positive sum.
        scores: (n, k) components of the standardised rows.
    """

    eigenvalues: Floats
    loadings: Floats
    scores: Floats

    @property
    def shares(self) -> Floats:
        """(k,) share of variance."""
        share: Floats = self.eigenvalues / self.eigenvalues.sum()
        return share


def principal_components(x: Floats) -> Components:
    """Components of standardised columns (n - 1), signed so that loadings sum to > 0."""
    z = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    values, vectors = np.linalg.eigh(np.corrcoef(x, rowvar=False))
    values, vectors = values[::-1], vectors[:, ::-1]
    sign = np.where(vectors.sum(axis=0) < 0, -1.0, 1.0)
    loadings: Floats = vectors * sign
    return Components(np.maximum(values, 0), loadings, z @ loadings)


def angles(x: Floats) -> Floats:
    """(n, k) angles in radians between each row and the k axes.

    theta_j = arccos(x_j / |x|), computed by the tangent, which is exact near the axes.
    """
    square = x * x
    others: Floats = np.sqrt(
        np.stack(
            [np.delete(square, j, axis=1).sum(axis=1) for j in range(x.shape[1])], 1
        )
    )
    found: Floats = np.arctan2(others, x)
    return found


__all__ = [
    "Components",
    "angles",
    "closeness",
    "critic_weights",
    "directed",
    "entropy",
    "entropy_weights",
    "normalised",
    "principal_components",
]
