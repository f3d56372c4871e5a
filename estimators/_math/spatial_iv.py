"""Spatial two-stage least squares (Kelejian and Prucha 1998), fixed effects out last.

    y = rho W1 y + Z b + effects + e,   Z = [X, W2 X],   instruments W1 Z, W1^2 Z

No distribution of the errors is assumed and no determinant is needed: consistent where
variances differ between units, which maximum likelihood is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from estimators._math.spatial_ml import Floats, lagged

#: Share of its norm below which an instrument repeats those before it.
_REPEATS = 1e-8
Groups = NDArray[np.int64] | None


class NoInstrumentError(Exception):
    """The lags of the covariates say nothing that the covariates do not."""


@dataclass(frozen=True, slots=True)
class TwoStage:
    """The estimate.

    Attributes:
        b: (k + 1,) of Z and rho last.
        V: its covariance.
        scores: (rows or clusters, k + 1), whose products make V with `bread`.
        bread: (k + 1) squared.
        e: (N, T) residuals.
        sigma2: their variance with degrees of freedom.
        first_stage: F of the excluded instruments.
        overidentified: statistic and degrees of freedom, or None if just identified.
    """

    b: Floats
    V: Floats
    scores: Floats
    bread: Floats
    e: Floats
    sigma2: float
    first_stage: float
    overidentified: tuple[float, int] | None


def two_stage(
    y: Floats,
    Z: Floats,
    W: Any,
    within: Callable[[Floats], Floats],
    *,
    free: int,
    errors: str,
    cluster: Groups,
    lags: int = 2,
) -> TwoStage:
    """Estimate.

    Args:
        y: (N, T).
        Z: (k, N, T), lags of covariates included.
        W: (N, N), of the lag of the outcome.
        within: takes the fixed effects out; lags are taken before.
        free: rows less fixed effects.
        errors: `iid`, `hetero` or `cluster`.
        cluster: (N,) codes, for `cluster`.
        lags: powers of W in the instruments.

    Raises:
        NoInstrumentError: no lag of a covariate adds to the covariates.
    """
    k, n = len(Z), y.size
    own = within(Z).reshape(k, -1).T
    Wy = within(W @ y).ravel()
    target = within(y).ravel()
    power, excluded = Z, []
    for _ in range(lags):
        power = lagged(W, power)
        excluded.append(within(power).reshape(k, -1).T)
    H = _independent(own, np.concatenate(excluded, axis=1))
    if H.shape[1] == k:
        raise NoInstrumentError
    basis = np.linalg.qr(H)[0]
    R = np.column_stack([own, Wy])
    fitted = basis @ (basis.T @ R)
    bread = np.linalg.inv(_scaled(fitted, R))
    bread = bread / np.outer(*[np.linalg.norm(fitted, axis=0)] * 2)
    b = bread @ (fitted.T @ target)
    e = target - R @ b
    left = free - k - 1
    sigma2 = float(e @ e) / left
    rows = fitted * e[:, None]
    summed, inflated = _grouped(rows, y.shape[1], errors, cluster, n, left)
    V = (
        bread * sigma2
        if errors == "iid"
        else bread @ (summed.T @ summed * inflated) @ bread
    )
    return TwoStage(
        b,
        V,
        summed,
        bread,
        e.reshape(y.shape),
        sigma2,
        _first_stage(basis, own, Wy, y.shape[1], errors, cluster, free),
        _overidentified(H, R, target, y.shape[1], errors, cluster, sigma2),
    )


def _scaled(A: Floats, B: Floats) -> Floats:
    root = np.linalg.norm(A, axis=0)
    return np.asarray((A / root).T @ (B / root))


def _independent(kept: Floats, more: Floats) -> Floats:
    """Columns of `more` that add to those before them, beside `kept`."""
    basis = np.linalg.qr(kept / np.linalg.norm(kept, axis=0))[0]
    columns = [kept]
    for x in more.T:
        norm = float(np.linalg.norm(x))
        if not norm:
            continue
        rest = x / norm
        for _ in range(2):  # twice: what one pass leaves is rounding
            rest = rest - basis @ (basis.T @ rest)
        left = float(np.linalg.norm(rest))
        if left > _REPEATS:
            columns.append((x / norm)[:, None])
            basis = np.column_stack([basis, rest / left])
    return np.concatenate(columns, axis=1)


def _grouped(
    rows: Floats, t: int, errors: str, cluster: Groups, n: int, left: int
) -> tuple[Floats, float]:
    """Scores by row or cluster and their small-sample factor."""
    if errors == "cluster" and cluster is not None:
        count = int(cluster.max()) + 1
        summed = np.zeros((count, rows.shape[1]))
        np.add.at(summed, np.repeat(cluster, t), rows)
        return summed, count / (count - 1)
    return rows, n / left


def _first_stage(
    basis: Floats,
    own: Floats,
    Wy: Floats,
    t: int,
    errors: str,
    cluster: Groups,
    free: int,
) -> float:
    """Wald F that the excluded instruments move W y beside the covariates."""
    q = basis.shape[1] - own.shape[1]
    inner = np.linalg.qr(own)[0]
    out = basis[:, own.shape[1] :]  # QR keeps the covariates' span in the first columns
    target = Wy - inner @ (inner.T @ Wy)
    gamma = out.T @ target
    v = target - out @ gamma
    left = free - basis.shape[1]
    if errors == "iid":
        return float(gamma @ gamma / q / (v @ v / left))
    summed, inflated = _grouped(out * v[:, None], t, errors, cluster, len(Wy), left)
    middle = summed.T @ summed * inflated
    if np.linalg.matrix_rank(middle) < q:
        return float("nan")
    return float(gamma @ np.linalg.solve(middle, gamma) / q)


def _overidentified(
    H: Floats,
    R: Floats,
    target: Floats,
    t: int,
    errors: str,
    cluster: Groups,
    sigma2: float,
) -> tuple[float, int] | None:
    """Sargan's statistic, or Hansen's at the two-step estimate."""
    q = H.shape[1] - R.shape[1]
    if not q:
        return None
    basis = np.linalg.qr(H)[0]
    A = basis.T @ R
    b = np.linalg.lstsq(A, basis.T @ target, rcond=None)[0]
    e = target - R @ b
    if errors == "iid":
        g = basis.T @ e
        return float(g @ g) / sigma2, q
    summed, _ = _grouped(basis * e[:, None], t, errors, cluster, len(e), len(e))
    S = summed.T @ summed
    if np.linalg.matrix_rank(S) < len(S):
        return None
    inverse = np.linalg.inv(S)
    b = np.linalg.solve(A.T @ inverse @ A, A.T @ inverse @ (basis.T @ target))
    g = basis.T @ (target - R @ b)
    return float(g @ inverse @ g), q
