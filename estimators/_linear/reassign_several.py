"""Several regressors of a unit's path, when paths are permuted between units.

As in `reassign`, a unit's demeaned regressors depend on its own path only: p_c (q, T)
for path c, so that D'D is the same in every draw. With Z orthonormal controls, G = Z'D,
A = D'D - G'G, b = A^-1 D'y*, w the judged combination and a = A^-1 w, the estimate is
w'b and unit i's score

    s_i = sum_t (a'p_c(i) - (Ga)'Z_i)(y*_i - b'p_c(i) + (Gb)'Z_i),

two sums over regressors for every path and period, and two over controls for every row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.covariance import cluster_factor
from estimators._linear.reassign import is_two_way, orthonormalised
from estimators._linear.redraw import ABSORBED
from estimators._math.projection import Codes, Flags, Floats
from estimators._math.sandwich import sum_by

if TYPE_CHECKING:
    from estimators._linear.design import Design
    from estimators._linear.options import SmallSample
    from framework.contract import Assignments, Request

#: Rows times draws that are held at a time: what a processor's cache holds.
_CELLS = 100_000


def reassign_several(
    design: Design,
    request: Request,
    small_sample: SmallSample,
    assignments: Assignments,
    path: Floats,
    weights: Floats,
) -> Floats | None:
    """Estimate and standard error of a combination of coefficients in every draw.

    Args:
        design: the true estimation; its first q regressors are those of the paths.
        request, small_sample: as in the fit.
        assignments: C paths of the units in B draws.
        path: (q, C, T) the regressors of a unit with that path, periods ascending.
        weights: (q,) the combination.

    Returns:
        (B, 2), NaN where controls and fixed effects absorb a draw; None where the model
        is another (see `reassign`).
    """
    if design.unit is None or not is_two_way(design, request):
        return None
    q = len(path)
    found = orthonormalised(design, design.unit.n_levels, q)
    if found is None:
        return None
    y, Z, scale = found
    N, T = y.shape
    counts = np.bincount(assignments.of_unit[0], minlength=path.shape[1])
    raw = path - np.einsum("c,qct->q", counts / design.n, path)[:, None, None]
    total = np.einsum("c,qct,qct->q", counts, raw, raw)
    p = path - path.mean(axis=2, keepdims=True)
    p -= (counts @ p)[:, None] / N  # (q, 1, T): mean of the period
    cluster = design.clusters[0].codes[::T]
    factor = cluster_factor(design, small_sample, len(design.regressors))
    numbers = np.empty((len(assignments.of_unit), 2))
    step = max(1, _CELLS // design.n)
    for start in range(0, len(numbers), step):
        chosen = assignments.of_unit[start : start + step]
        b, meat = _draw(y, Z, p, counts, chosen, weights, total, cluster)
        numbers[start : start + step] = np.column_stack([b, np.sqrt(factor * meat)])
    return numbers * scale


def _draw(
    y: Floats,
    Z: Floats,
    p: Floats,
    counts: Codes,
    chosen: Codes,
    weights: Floats,
    total: Floats,
    cluster: Codes,
) -> tuple[Floats, Floats]:
    """Estimate and its variance without a factor, (draws,) each.

    Args:
        y: (N, T) outcome without effects and controls.
        Z: (k, N, T) orthonormal controls.
        p: (q, C, T) demeaned regressors of the paths.
        counts: (C,) units that have a path.
        chosen: (draws, N) path of each unit.
        weights: (q,) judged combination.
        total: (q,) sums of squares before effects and controls.
        cluster: (N,).
    """
    from scipy.sparse import csr_array

    draws, N = chosen.shape
    k, q, (C, T) = len(Z), len(p), p.shape[1:]
    # Sums by path; columns sum to zero over units, so the commonest has what is left.
    common = int(np.argmax(counts))
    draw, unit = np.nonzero(chosen != common)
    own = chosen[draw, unit]
    to = csr_array(
        (np.ones(len(draw)), (draw * C + own, unit)),
        shape=(draws * C, N),
    )
    each = np.concatenate([y[None], Z]).transpose(1, 0, 2).reshape(N, -1)
    summed = (to @ each).reshape(draws, C, 1 + k, T)
    summed[:, common] = -summed.sum(axis=1)
    along = p.transpose(1, 2, 0).reshape(C * T, q)
    moment = summed.transpose(0, 2, 1, 3).reshape(draws, 1 + k, C * T) @ along
    Dy, G = moment[:, 0], moment[:, 1:]
    A = np.einsum("c,qct,rct->qr", counts, p, p) - G.transpose(0, 2, 1) @ G
    lost, inverse = _inverse(A, total)
    b = (inverse @ Dy[:, :, None])[:, :, 0]
    a = inverse @ weights
    rows = Z.reshape(k, N * T)
    x = (-(G @ a[:, :, None])[:, :, 0] @ rows).reshape(draws, N, T)
    u = ((G @ b[:, :, None])[:, :, 0] @ rows).reshape(draws, N, T)
    u += y
    for out, by in ((x, a), (u, -b)):
        of_path = np.einsum("dq,qct->dct", by, p)
        np.add(out, of_path[:, common, None], out=out)
        out[draw, unit] += (of_path - of_path[:, [common]])[draw, own]
    score = np.einsum("dnt,dnt->nd", x, u)
    estimate = b @ weights
    estimate[lost] = np.nan
    G_clusters = int(cluster.max()) + 1
    if G_clusters < N:
        score = sum_by(score, cluster, G_clusters)
    return estimate, np.where(lost, np.nan, np.square(score).sum(axis=0))


def _inverse(A: Floats, total: Floats) -> tuple[Flags, Floats]:
    """Draws (draws,) in which a regressor is absorbed; inverses (draws, q, q)."""
    nothing = np.eye(len(total))
    square = np.diagonal(A, axis1=1, axis2=2)
    lost: Flags = np.asarray(~(square > ABSORBED * total).all(axis=1))
    size = np.sqrt(np.where(lost[:, None], 1.0, square))
    R = A / (size[:, :, None] * size[:, None, :])
    R[lost] = nothing
    singular = np.linalg.eigvalsh(R)[:, 0] <= ABSORBED / len(total)
    R[singular] = nothing
    inverse = np.linalg.inv(R)
    left = np.square(size) / np.diagonal(inverse, axis1=1, axis2=2)
    lost |= singular | ~(left > ABSORBED * total).all(axis=1)
    return lost, np.asarray(inverse / (size[:, :, None] * size[:, None, :]))
