"""Least squares with unit and period effects on any rows of a grid, solved exactly.

`Y_it = alpha_i + lambda_t + x_it' beta + e_it` over the rows with weight w_it > 0 of N
units x T periods. Units are concentrated out, so only (T + k) x (T + k) normal equations
are solved; panels may have gaps. Influence functions follow from the same equations: a
target `sum c_it (alpha_i + lambda_t + x_it' beta)` has, per unit,
`psi_i = sum_t w_it e_it (b_t + x_it' g)`, where (b, g) solve the normal equations for c
(the part with alpha_i vanishes, as residuals sum to zero within units).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Codes = NDArray[np.int64]

#: Share of a regressor's square that must be left beside the effects and the others.
LEFT = 1e-10


@dataclass(frozen=True, slots=True)
class Weights:
    """Sums of target weights c (q targets): by unit (N, q), period (T, q), x (k, q)."""

    unit: Floats
    period: Floats
    x: Floats


@dataclass(frozen=True, slots=True)
class TwoWayFit:
    """A fit; arrays over the grid are zero where there is no row.

    Attributes:
        w: (N, T) weights.
        X: (k, N, T), only identified regressors.
        kept: (k,) their positions among those given.
        alpha: (N,), `period` (T,), `beta` (k,).
        score: (N, T) w * e.
        inverse: generalised inverse of the concentrated normal equations, (T+k, T+k).
        component: (N,) and (T,) connected part of the rows that a unit or period
            belongs to, -1 = no row; effects compare within a part only.
    """

    w: Floats
    X: Floats
    kept: Codes
    alpha: Floats
    period: Floats
    beta: Floats
    score: Floats
    inverse: Floats
    component: tuple[Codes, Codes]

    @property
    def n_parameters(self) -> int:
        """Columns that are not nested in units: periods and regressors."""
        return int((self.component[1] >= 0).sum()) + len(self.beta)

    def identified(self) -> Flags:
        """(N, T) where alpha_i + lambda_t is known."""
        of_unit, of_period = self.component
        return np.asarray(
            (of_unit[:, None] == of_period[None, :]) & (of_unit[:, None] >= 0)
        )

    def predict(self) -> Floats:
        """(N, T) fitted values without the regressors; add `X` times `beta`."""
        return np.asarray(self.alpha[:, None] + self.period[None, :])

    def influence(self, c: Weights) -> Floats:
        """Influence psi (N, q) of the targets."""
        mass = self.w.sum(axis=1)
        share = np.divide(
            c.unit, mass[:, None], out=np.zeros_like(c.unit), where=mass[:, None] > 0
        )
        k = len(self.X)
        right = np.vstack([c.period - self.w.T @ share, c.x[self.kept]])
        T = len(c.period)
        for j in range(k):
            right[T + j] -= (self.w * self.X[j]).sum(axis=1) @ share
        solved = self.inverse @ right
        psi = self.score @ solved[:T]
        for j in range(k):
            psi += (self.score * self.X[j]).sum(axis=1)[:, None] * solved[T + j]
        return np.asarray(psi)

    def coefficients(self, chosen: Codes) -> Floats:
        """Influence psi (N, q) of `beta[chosen]`."""
        T, q = self.w.shape[1], len(chosen)
        solved = self.inverse[:, T + chosen]
        psi = self.score @ solved[:T]
        for j in range(len(self.X)):
            psi += (self.score * self.X[j]).sum(axis=1)[:, None] * solved[T + j]
        return psi.reshape(-1, q)


def fit(Y: Floats, w: Floats, X: Floats) -> TwoWayFit:
    """Fit on the rows with w > 0; regressors that are not identified are left out.

    Args:
        Y: (N, T).
        w: (N, T), zero = no row.
        X: (k, N, T).
    """
    _, T = Y.shape
    mass = w.sum(axis=1)
    inverse_mass = np.divide(1.0, mass, out=np.zeros_like(mass), where=mass > 0)
    component = components(w > 0)

    TT = np.diag(w.sum(axis=0)) - (w * inverse_mass[:, None]).T @ w
    free = np.linalg.pinv(TT, rcond=1e-11, hermitian=True)
    columns: list[Floats] = []
    kept: list[int] = []
    cross = np.empty((T, 0))
    gram = np.empty((0, 0))
    for j, x in enumerate(X):
        wx = w * x
        sums = wx.sum(axis=1)
        with_time = wx.sum(axis=0) - w.T @ (sums * inverse_mass)
        with_x = np.array(
            [
                (wx * other).sum() - (sums * inverse_mass) @ (w * other).sum(axis=1)
                for other in (*columns, x)
            ]
        )
        wide = np.column_stack([cross, with_time])
        square = np.zeros((len(with_x), len(with_x)))
        square[:-1, :-1] = gram
        square[-1, :] = square[:, -1] = with_x
        inner = square - wide.T @ free @ wide
        size = float((wx * x).sum())
        left = inner[-1, -1]
        if columns:
            left -= inner[-1, :-1] @ np.linalg.solve(inner[:-1, :-1], inner[:-1, -1])
        if size > 0 and left > LEFT * size:
            columns.append(x)
            kept.append(j)
            cross, gram = wide, square
    k = len(columns)
    used = np.stack(columns) if columns else np.empty((0, *Y.shape))
    inverse = _inverse(free, cross, gram)

    wY = w * Y
    sums = wY.sum(axis=1) * inverse_mass
    right = np.append(wY.sum(axis=0) - w.T @ sums, np.zeros(k))
    for j in range(k):
        right[T + j] = (wY * used[j]).sum() - sums @ (w * used[j]).sum(axis=1)
    solved = inverse @ right
    period, beta = solved[:T], solved[T:]
    explained = np.broadcast_to(period, Y.shape).copy()
    for j in range(k):
        explained += beta[j] * used[j]
    alpha = (w * (Y - explained)).sum(axis=1) * inverse_mass
    score = w * (Y - explained - alpha[:, None])
    return TwoWayFit(
        w,
        used,
        np.array(kept, dtype=np.int64),
        alpha,
        period,
        beta,
        score,
        inverse,
        component,
    )


def _inverse(free: Floats, cross: Floats, gram: Floats) -> Floats:
    """Generalised inverse of [[TT, cross], [cross', gram]] from that of TT."""
    if not len(gram):
        return free
    half = free @ cross
    schur = np.linalg.inv(gram - cross.T @ half)
    top = free + half @ schur @ half.T
    return np.block([[top, -half @ schur], [-schur @ half.T, schur]])


def components(rows: Flags) -> tuple[Codes, Codes]:
    """Connected parts of the units (N,) and periods (T,) that `rows` (N, T) link."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # Periods that share a unit are connected; there are few of them.
    linked = rows.T.astype(np.float64) @ rows.astype(np.float64)
    _, of = connected_components(coo_array(linked > 0), directed=False)
    of_period = np.where(rows.any(axis=0), of, -1).astype(np.int64)
    first = np.argmax(rows, axis=1)
    of_unit = np.where(rows.any(axis=1), of_period[first], -1).astype(np.int64)
    return of_unit, of_period
