"""Spatial panels with known truth, and their likelihood by brute force beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from estimators._math.neighbours import normalised
from framework.contract import Request, SpatialWeights
from tests.build_request import build_request


def some_weights(n: int, seed: int = 0, *, transform: str = "row", k: int = 4) -> Any:
    """Random points, links to the k nearest in either direction, unequal weights."""
    rng = np.random.default_rng(seed)
    points = rng.random((n, 2))
    far = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(far, np.inf)
    near = far <= np.sort(far, axis=1)[:, [k - 1]]
    raw = np.where(near | near.T, 0.1 / (0.05 + far), 0.0)
    return normalised(sparse.csr_array(raw), transform)


def spatial_panel(
    W: Any,
    periods: int,
    seed: int = 0,
    *,
    rho: float = 0.0,
    lam: float = 0.0,
    beta: tuple[float, ...] = (1.0, -0.5),
    theta: tuple[float, ...] = (0.0, 0.0),
    sigma: float = 1.0,
    effects: bool = True,
) -> pd.DataFrame:
    """Columns unit, time, y, x1, x2, d from the model with both fixed effects."""
    rng = np.random.default_rng(seed)
    n = W.shape[0]
    dense = W.toarray()
    a = rng.normal(size=n)[:, None] if effects else np.zeros((n, 1))
    b = rng.normal(size=periods)[None, :] if effects else np.zeros((1, periods))
    X = rng.normal(size=(len(beta), n, periods)) + 0.5 * a
    e = sigma * rng.normal(size=(n, periods))
    u = np.linalg.solve(np.eye(n) - lam * dense, e)
    mean = sum(
        x * own + (dense @ x) * other
        for x, own, other in zip(X, beta, theta, strict=True)
    )
    y = np.linalg.solve(np.eye(n) - rho * dense, mean + a + b + u)
    return pd.DataFrame(
        {
            "unit": np.repeat([f"u{i:04d}" for i in range(n)], periods),
            "time": np.tile(np.arange(2000, 2000 + periods), n),
            "y": y.ravel(),
            **{f"x{j + 1}": x.ravel() for j, x in enumerate(X)},
        }
    )


def spatial_request(
    data: pd.DataFrame,
    matrices: Mapping[str, Any],
    *,
    transform: str = "row",
    effects: tuple[str, ...] = ("unit", "time"),
    **fields: Any,
) -> Request:
    """A request; matrices are in the order of the sorted unit names."""
    ids = tuple(sorted(data["unit"].unique()))
    spatial = {
        role: SpatialWeights(ids, W, transform, name=role)  # type: ignore[arg-type]  # tests name it freely
        for role, W in matrices.items()
    }
    given: dict[str, Any] = {
        "outcome": "y",
        "treatment": "x1",
        "controls": ["x2"],
        "unit": "unit",
        "time": "time",
        "fixed_effects": effects,
        "spatial": spatial,
    }
    return build_request(data, **(given | fields))


def dense_likelihood(
    y: np.ndarray,
    X: np.ndarray,
    D: np.ndarray,
    W1: np.ndarray | None,
    W3: np.ndarray | None,
) -> tuple[Any, Any]:
    """Log-likelihood and information of a cross-section with dummies, by its formulas.

    On purpose unlike the code under test: everything is one dense (NT, NT) regression,
    dummies are parameters, and the determinant is computed directly.

    Returns:
        value((rho, lam)) concentrated, and information((rho, lam)) -> (b, rho, lam,
        sigma2, standard errors of b, rho, lam, sigma2).
    """
    n, k = X.shape
    Z = np.hstack([X, D])
    eye = np.eye(n)

    def pieces(rho: float, lam: float) -> Any:
        S = eye if W1 is None else eye - rho * W1
        F = eye if W3 is None else eye - lam * W3
        left, right = F @ S @ y, F @ Z
        b = np.linalg.pinv(right, rcond=1e-10) @ left
        e = left - right @ b
        return S, F, right, b, e

    def value(point: tuple[float, float]) -> float:
        S, F, _, _, e = pieces(*point)
        sigma2 = e @ e / n
        return float(
            np.linalg.slogdet(S)[1]
            + np.linalg.slogdet(F)[1]
            - 0.5 * n * (np.log(2 * np.pi * sigma2) + 1)
        )

    def information(point: tuple[float, float]) -> Any:
        rho, lam = point
        S, F, right, b, e = pieces(rho, lam)
        sigma2 = e @ e / n
        size = Z.shape[1]
        info = np.zeros((size + 3, size + 3))
        info[:size, :size] = right.T @ right / sigma2
        info[-1, -1] = n / (2 * sigma2**2)
        G = H = None
        if W3 is not None:
            H = W3 @ np.linalg.inv(F)
            info[size + 1, size + 1] = np.trace(H @ H + H.T @ H)
            info[size + 1, -1] = info[-1, size + 1] = np.trace(H) / sigma2
        if W1 is not None:
            A = W1 @ np.linalg.inv(S)
            G = F @ A @ np.linalg.inv(F)
            push = F @ A @ Z @ b
            info[size, size] = np.trace(G @ G + G.T @ G) + push @ push / sigma2
            info[:size, size] = info[size, :size] = right.T @ push / sigma2
            info[size, -1] = info[-1, size] = np.trace(G) / sigma2
        if G is not None and H is not None:
            both = np.trace(H @ G) + np.trace(H.T @ G)
            info[size, size + 1] = info[size + 1, size] = both
        V = np.linalg.pinv(info, rcond=1e-12, hermitian=True)
        kept = [*range(k), size, size + 1, size + 2]
        return b[:k], sigma2, np.sqrt(np.maximum(np.diag(V)[kept], 0))

    return value, information


def dummies(n: int, t: int, *, unit: bool, time: bool) -> np.ndarray:
    """Dummies of units and periods, rows period by period; a constant without."""
    parts = []
    if unit:
        parts.append(np.tile(np.eye(n), (t, 1)))
    if time:
        parts.append(np.repeat(np.eye(t), n, axis=0))
    return np.hstack(parts) if parts else np.ones((n * t, 1))
