"""Two-stage least squares without each cluster in turn, from cross-products.

Hansen (2022, Econometrics, section 12.26) and MacKinnon, Nielsen and Webb (2023) leave
out one cluster at a time. With u the residuals of all rows, A the exogenous columns and
the effects that cross clusters, M = S - S_g the cross-products of (u, D, Z, A) without
cluster g and R what is left of those of (u, D, Z) beside A,

    b_(g) - b = (R_DZ R_ZZ^+ R_ZD)^-1 R_DZ R_ZZ^+ R_Zu

for the treatments, and (A'A)^+ (A'u - A'D (b_(g) - b)) for the exogenous columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from estimators._math.sandwich import Codes, Floats

#: Share of a column's square that other rows leave, below which it is gone.
_GONE = 1e-10
#: Squared correlation of what the instruments move with the treatment that is rounding.
_UNMOVED = 1e-12


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What leaving out each of G clusters does.

    Attributes:
        shift: (G, p + m) b - b_(g) of p treatments and m exogenous columns; NaN rows
            where `identified` (G,) says that the treatments' effects are gone.
        identified: per cluster.
    """

    shift: Floats
    identified: np.ndarray[tuple[int], np.dtype[np.bool_]]


def left_out(
    u: Floats, D: Floats, Z: Floats, E: Floats, across: Floats, codes: Codes, G: int
) -> LeftOut:
    """Leave out every cluster g: b - b_(g).

    Args:
        u: (n,) residuals of all rows, in any units.
        D, Z: (n, p) treatments and (n, q) instruments.
        E, across: (n, m) exogenous columns and (n, r) columns of effects that cross
            clusters. All are times the root of the weights, and free of the effects
            within clusters.
        codes, G: (n,) cluster of every row, number of clusters.
    """
    p, m = D.shape[1], E.shape[1]
    columns = np.column_stack([u, D, Z, E, across])
    own = np.linalg.norm(columns, axis=0)
    own[own == 0] = 1.0
    columns = columns / own
    S = columns.T @ columns
    d, z = slice(1, 1 + p), slice(1 + p, 1 + p + Z.shape[1])
    shift = np.full((G, p + m), np.nan)
    identified = np.zeros(G, dtype=bool)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=G))
    for g, rows in enumerate(np.split(order, ends[:-1])):
        part = columns[rows]
        M = S - part.T @ part
        V, size = _kept(M[z.stop :, z.stop :])
        beside = V @ ((V.T @ M[z.stop :, : z.stop]) / size[:, None])
        R = M[: z.stop, : z.stop] - M[: z.stop, z.stop :] @ beside
        V, size = _kept(R[z, z])
        root = (V / np.sqrt(size)).T @ R[z]
        moved = root[:, d].T @ root[:, d]
        if not _moves(moved, R[d, d]):
            continue
        identified[g] = True
        by = np.linalg.solve(moved, root[:, d].T @ root[:, 0])
        rest = beside[:, 0] - beside[:, d] @ by
        shift[g] = -np.append(by, rest[:m])
    return LeftOut(shift * own[0] / np.append(own[d], own[z.stop :][:m]), identified)


def _kept(M: Floats) -> tuple[Floats, Floats]:
    """Directions of cross-products of columns of length one that are left, and sizes."""
    values, vectors = np.linalg.eigh(M)
    kept = values > _GONE
    return vectors[:, kept], values[kept]


def _moves(moved: Floats, whole: Floats) -> bool:
    """Whether the instruments move all treatments, and separately."""
    own = np.diag(whole)
    if np.any(own <= _GONE) or not len(moved):
        return False
    scale = np.sqrt(np.outer(own, own))
    values = np.linalg.eigvalsh(moved / scale)
    return bool(values[0] > _UNMOVED)
