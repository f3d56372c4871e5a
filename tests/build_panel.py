"""A small staggered panel with known truth, and brute-force least squares beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def staggered(
    seed: int = 0,
    *,
    units: int = 40,
    periods: int = 8,
    effect: float = 1.0,
    unbalanced: float = 0.0,
    never: float = 0.4,
    errors: float = 1.0,
) -> pd.DataFrame:
    """Units adopt in two periods or never; errors are correlated within units."""
    rng = np.random.default_rng(seed)
    n = units * periods
    unit = np.repeat(np.arange(units), periods)
    time = np.tile(np.arange(2000, 2000 + periods), units)
    first = rng.choice(
        [2000.0 + periods // 2, 2000.0 + periods // 2 + 2, np.inf],
        units,
        p=[(1 - never) / 2, (1 - never) / 2, never],
    )
    first[:2], first[2:4] = 2000.0 + periods // 2, 2000.0 + periods // 2 + 2
    walk = rng.normal(size=(units, periods)).cumsum(axis=1).ravel() * 0.3
    data = pd.DataFrame(
        {
            "unit": [f"u{u:03d}" for u in unit],
            "time": time,
            "first": first[unit],
            "d": (time >= first[unit]).astype(float),
            "x1": rng.normal(size=n),
            "x2": rng.normal(size=n) + 0.5 * walk,
            "region": [f"r{u % 12}" for u in unit],
            "w": rng.integers(1, 5, n).astype(float),
        }
    )
    noise = errors * (0.5 * walk + rng.normal(size=n))
    data["y"] = (
        effect * data["d"]
        + 0.5 * data["x1"]
        + rng.normal(size=units)[unit]
        + 0.1 * (time - 2000)
        + noise
    )
    if unbalanced:
        data = data[rng.random(n) > unbalanced]
    return data.reset_index(drop=True)


def lsdv(
    data: pd.DataFrame,
    outcome: str,
    regressors: Sequence[str],
    effects: Sequence[str],
    cluster: str,
    weights: str | None = None,
    extra: np.ndarray | None = None,
    *,
    nested: Sequence[str] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Dummies by hand: coefficients and CRV1 errors of `regressors`.

    K counts regressors and levels of effects not in `nested`, as fixest does; written
    with the pseudo-inverse and a loop over clusters, on purpose unlike the engine.
    """
    X = data[list(regressors)].to_numpy(float)
    D = [pd.get_dummies(data[f].astype(str)).to_numpy(float) for f in effects]
    full = np.hstack([X, *D, *([] if extra is None else [extra])])
    if not effects:
        full = np.hstack([full, np.ones((len(data), 1))])
    w = np.ones(len(data)) if weights is None else data[weights].to_numpy(float)
    root = np.sqrt(w)[:, None]
    y = data[outcome].to_numpy(float)[:, None]
    B = np.linalg.pinv((full * root).T @ (full * root), rcond=1e-12)
    beta = B @ (full * root).T @ (y * root)
    u = (y - full @ beta) * w[:, None]
    meat = np.zeros_like(B)
    groups = data[cluster].unique()
    for g in groups:
        at = (data[cluster] == g).to_numpy()
        score = (full[at] * u[at]).sum(axis=0)
        meat += np.outer(score, score)
    n, G, k = len(data), len(groups), len(regressors)
    K = k + (0 if effects else 1)
    if effects:
        K += sum(0 if f in nested else data[f].nunique() for f in effects) - max(
            len(effects) - 1 - len(nested), 0
        )
    V = B @ meat @ B * (G / (G - 1)) * ((n - 1) / (n - K))
    return beta[:k, 0], np.sqrt(np.diag(V)[:k])
