"""Wild restricted efficient bootstrap of two-stage least squares, on cluster sums.

Davidson and MacKinnon (2010), clustered as in Roodman, Nielsen, MacKinnon and Webb
(2019). One treatment D, instruments W made orthonormal, exogenous columns and fixed
effects partialled out of all; Q an orthonormal basis of those that are not nested in
clusters. Under the null beta

    u1 = y - beta D,    D = W c + delta u1 + rest,    u2 = D - W c,

the first stage with the structural residuals beside the instruments, which is efficient
under the null. A draw v gives cluster g the errors v_g u1 and v_g u2, partialled anew:

    D* = W c + v u2 - Q Q'(v u2),    y* = beta D* + v u1 - Q Q'(v u1).

With theta* = W'D* and h* = W'(v u1), b* - beta = theta*'h* / theta*'theta*, and the
score of cluster g is theta*'W_g'(v_g u1 - Q_g Q'(v u1) - (b* - beta) D*_g). All of it
comes of sums over clusters, which are linear in beta but for c. D* is not odd in v, so
that all vectors are needed, not half of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from estimators._math.sandwich import Codes, Floats, sum_by
from estimators._math.wild_bootstrap import TIE, Multipliers

#: Cells of a block of draws.
_BLOCK = 2_000_000
#: Condition of a covariance of moments below which it has no inverse.
_SINGULAR = 1e-10


@dataclass(frozen=True, slots=True)
class InstrumentSums:
    """Sums by cluster (G clusters, q instruments, m columns of Q).

    Attributes:
        Wy, WD: (G, q); WW: (G, q, q); WQ: (G, q, m); Qy, QD: (G, m).
        yy, Dy, DD: products over all rows.
    """

    Wy: Floats
    WD: Floats
    WW: Floats
    WQ: Floats
    Qy: Floats
    QD: Floats
    yy: float
    Dy: float
    DD: float

    @classmethod
    def of(
        cls, y: Floats, D: Floats, Z: Floats, Q: Floats, codes: Codes, G: int
    ) -> InstrumentSums:
        """From rows: `y`, `D` (n,), `Z` (n, q), `Q` (n, m), times root weights."""
        W = np.linalg.qr(Z)[0]
        q, m = W.shape[1], Q.shape[1]

        def outer(a: Floats, b: Floats) -> Floats:
            products = np.column_stack([a[:, [j]] * b for j in range(a.shape[1])])
            return sum_by(products, codes, G)

        return cls(
            Wy=sum_by(W * y[:, None], codes, G),
            WD=sum_by(W * D[:, None], codes, G),
            WW=outer(W, W).reshape(G, q, q),
            WQ=outer(W, Q).reshape(G, q, m),
            Qy=sum_by(Q * y[:, None], codes, G),
            QD=sum_by(Q * D[:, None], codes, G),
            yy=float(y @ y),
            Dy=float(y @ D),
            DD=float(D @ D),
        )

    @property
    def estimate(self) -> float:
        """Two-stage least squares."""
        theta = self.WD.sum(axis=0)
        return float(theta @ self.Wy.sum(axis=0) / (theta @ theta))

    def own(self, beta: float) -> float:
        """Squared t statistic of the data at this null, without a factor."""
        theta = self.WD.sum(axis=0)
        scores = (self.Wy - self.estimate * self.WD) @ theta
        length = (self.estimate - beta) * (theta @ theta)
        return float(length**2 / (scores @ scores))

    def first_stage(self, beta: float) -> Floats:
        """Coefficients c (q,) of the instruments beside the residuals of the null."""
        h = (self.Wy - beta * self.WD).sum(axis=0)
        theta = self.WD.sum(axis=0)
        uu = self.yy - beta * (2.0 * self.Dy - beta * self.DD)
        delta = (self.Dy - beta * self.DD - h @ theta) / (uu - h @ h)
        return np.asarray(theta - delta * h)


def drawn_squares(of: InstrumentSums, beta: float, v: Multipliers) -> Floats:
    """Squared t statistics (B,) of `beta` in draws that impose it."""
    return np.concatenate(list(_squares(of, beta, v.values)))


def _squares(of: InstrumentSums, beta: float, v: Floats) -> Iterator[Floats]:
    c = of.first_stage(beta)
    h = of.Wy - beta * of.WD
    theta = of.WD - of.WW @ c
    Qu1 = of.Qy - beta * of.QD
    Qu2 = of.QD - np.einsum("gqm,q->gm", of.WQ, c)
    Wc = of.WW @ c
    for w in _blocks(v, len(h) + Qu1.shape[1]):
        t = c + w @ theta
        along = np.einsum("bq,bq->b", t, w @ h)
        far = (along / np.einsum("bq,bq->b", t, t))[:, None]
        score = w * (t @ h.T - far * (t @ theta.T)) - far * (t @ Wc.T)
        across = w @ Qu1 - far * (w @ Qu2)
        for j in range(t.shape[1]):
            score -= t[:, [j]] * (across @ of.WQ[:, j].T)
        yield along**2 / np.einsum("bg,bg->b", score, score)


def p_value(of: InstrumentSums, beta: float, v: Multipliers) -> float:
    """Share of draws under the null whose |t| is strictly above the data's."""
    squares = drawn_squares(of, beta, v)
    return float(np.mean(squares > of.own(beta) * (1.0 + TIE)))


def anderson_rubin(
    of: InstrumentSums, beta: float, v: Multipliers
) -> tuple[float, float] | None:
    """Wald statistic of the instruments in y - beta D, without a factor, and its p.

    None where the moments' covariance of the data is singular; a draw without an
    inverse counts as above.
    """
    h = of.Wy - beta * of.WD
    Qu = of.Qy - beta * of.QD
    total = h.sum(axis=0)
    own = _wald(total[None], (h - of.WW @ total)[None])[0]
    if not np.isfinite(own):
        return None
    above = 0
    for w in _blocks(v.values, (len(h) + 1) * h.shape[1] + Qu.shape[1]):
        drawn = w @ h
        score = w[:, :, None] * h - np.einsum("gqr,br->bgq", of.WW, drawn)
        across = w @ Qu
        for j in range(h.shape[1]):
            score[:, :, j] -= across @ of.WQ[:, j].T
        above += int(np.count_nonzero(~(_wald(drawn, score) <= own * (1.0 + TIE))))
    return float(own), above / len(v.values)


def _wald(h: Floats, score: Floats) -> Floats:
    """Draws' h' V^-1 h (B,), V the sum of squares of scores (B, G, q); NaN if none."""
    V = np.einsum("bgq,bgr->bqr", score, score)
    size = np.sqrt(np.einsum("bqq->bq", V))
    flat = ~(size > 0).all(axis=1)
    size[flat] = 1.0
    R = V / (size[:, :, None] * size[:, None, :])
    flat |= np.linalg.eigvalsh(R)[:, 0] <= _SINGULAR
    R[flat] = np.eye(h.shape[1])
    z = h / size
    found = np.einsum("bq,bq->b", z, np.linalg.solve(R, z[:, :, None])[:, :, 0])
    return np.where(flat, np.nan, found)


def _blocks(v: Floats, width: int) -> Iterator[Floats]:
    size = max(1, _BLOCK // max(1, width))
    for start in range(0, len(v), size):
        yield v[start : start + size]
