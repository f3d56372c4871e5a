"""Least squares with weights that are not negative and sum to one.

`min_w |A w - b|^2 + ridge |w|^2` over the simplex. As the weights sum to one, `A w - b`
is `D w` with `D = A - b 1'`, so the answer is the point nearest to the origin in the
convex hull of the columns of D (and of sqrt(ridge) times the unit vectors): Wolfe (1976),
Mathematical Programming 11, finds it in finitely many steps and holds at any scale.
`frank_wolfe` is the recipe of R's synthdid, which stops before the optimum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Optimality gap, as a share of the largest squared distance: rounding of a sum.
GAP = 1e-13
#: A weight below this is zero: rounding of a solved system.
NOTHING = 1e-12
#: From this ridge (as a share of the mean squared column) on Cholesky is exact enough.
WELL_CONDITIONED = 1e-6
#: Steps of R's synthdid before weights below a quarter of the largest are dropped.
BEFORE_SPARSE, MOST_STEPS, SPARSE = 100, 10_000, 4.0


def simplex_least_squares(A: Floats, b: Floats, ridge: float = 0.0) -> Floats:
    """The optimal weights.

    Args:
        A: (m, n), one column per weight.
        b: (m,).
        ridge: weight of the squared norm of the weights, >= 0.

    Returns:
        (n,) weights, >= 0, sum 1. Unique with a ridge; without one, and with more
        columns than rows, one of the optima.
    """
    D = A - b[:, None]
    n = D.shape[1]
    if n == 1:
        return np.ones(1)
    scale = float(np.abs(D).max()) or 1.0
    D = D / scale
    rho = ridge / scale**2
    squares = (D * D).sum(axis=0) + rho
    tolerance = GAP * max(float(squares.max()), 1e-300)
    w = np.zeros(n)
    first = int(np.argmin(squares))
    w[first] = 1.0
    support = [first]
    # Wolfe's bound on the corrals visited is astronomical; rounding alone could cycle.
    for _ in range(50 * n + 100):
        gradient = D.T @ (D @ w) + rho * w
        entering = int(np.argmin(gradient))
        if gradient[entering] >= w @ gradient - tolerance or entering in support:
            break
        support.append(entering)
        while True:
            v = _affine(D[:, support], rho)
            if (v > NOTHING).all():
                break
            held = w[support]
            falling = v <= NOTHING
            share = held[falling] / np.maximum(held[falling] - v[falling], 1e-300)
            theta = min(1.0, float(share.min()))
            moved = (1.0 - theta) * held + theta * v
            moved[np.flatnonzero(falling)[int(np.argmin(share))]] = 0.0
            stays = moved > NOTHING
            w[:] = 0.0
            support = [j for j, s in zip(support, stays, strict=True) if s]
            w[support] = moved[stays] / moved[stays].sum()
            if len(support) == 1:
                v = np.ones(1)
                break
        w[:] = 0.0
        w[support] = v
    return np.asarray(w / w.sum())


def _affine(D: Floats, rho: float) -> Floats:
    """Weights (k,) of any sign, sum 1, that bring `D v` nearest to the origin."""
    k = D.shape[1]
    if k == 1:
        return np.ones(1)
    if rho > WELL_CONDITIONED * float((D * D).sum()) / k:
        z = np.linalg.solve(D.T @ D + rho * np.eye(k), np.ones(k))
        return np.asarray(z / z.sum())
    root = np.sqrt(rho)
    tall = D[:, 1:] - D[:, :1]
    right = -D[:, 0]
    if rho > 0:
        ridge = np.vstack([-np.ones((1, k - 1)), np.eye(k - 1)])
        tall = np.vstack([tall, root * ridge])
        right = np.concatenate([right, [-root], np.zeros(k - 1)])
    u = np.linalg.lstsq(tall, right, rcond=None)[0]
    return np.concatenate([[1.0 - u.sum()], u])


def frank_wolfe(
    A: Floats, b: Floats, ridge: float, stop: float, start: Floats | None = None
) -> Floats:
    """Weights as R's synthdid finds them: 100 steps, small ones dropped, 10,000 more.

    Args:
        A: (m, n).
        b: (m,).
        ridge: weight of the squared norm.
        stop: least fall of `|A w - b|^2 / m + ridge |w|^2 / m` that goes on.
        start: (n,) weights to begin with, equal ones if None.
    """
    n = A.shape[1]
    w = np.full(n, 1.0 / n) if start is None else start
    w = _walk(A, b, ridge, stop, w, BEFORE_SPARSE)
    w = np.where(w <= w.max() / SPARSE, 0.0, w)
    return _walk(A, b, ridge, stop, w / w.sum(), MOST_STEPS)


def _walk(
    A: Floats, b: Floats, ridge: float, stop: float, w: Floats, steps: int
) -> Floats:
    m = len(b)
    Aw = A @ w
    before = np.inf
    for step in range(steps):
        gradient = A.T @ (Aw - b) + ridge * w
        i = int(np.argmin(gradient))
        direction = -w
        direction[i] += 1.0
        moved = A[:, i] - Aw
        size = float(moved @ moved + ridge * (direction @ direction))
        if size > 0:
            reach = min(1.0, max(0.0, float(-(gradient @ direction)) / size))
            w = w + reach * direction
            Aw = A @ w
        value = float(((Aw - b) @ (Aw - b) + ridge * (w @ w)) / m)
        if step > 0 and before - value <= stop:
            break
        before = value
    return w
