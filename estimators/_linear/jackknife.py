"""The cluster jackknife, CV3: errors from leaving out one cluster at a time.

MacKinnon, Nielsen and Webb (2023): V = (G-1)/G sum_g (b_(g) - b)(b_(g) - b)', with b_(g)
the estimate without cluster g, from cluster sums: b - b_(g) = (W'W - W_g'W_g)^-1 W_g'u.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.across import crossing
from framework.errors import IdentificationError

if TYPE_CHECKING:
    from estimators._linear.covariance import Covariance
    from estimators._linear.design import Design
    from estimators._math.projection import Floats
    from framework.contract import Inference

#: Eigenvalues of the scaled cross-products below this are directions that are gone.
_GONE = 1e-10


def jackknife_asked(inference: Inference) -> bool:
    """Whether the standard errors are those of the cluster jackknife."""
    return inference.options.get("type") == "CV3"


def jackknifed(
    design: Design,
    X: Floats,
    u: Floats,
    found: Covariance,
    wanted: Sequence[int] | None = None,
) -> Covariance:
    """`found` with the jackknife's covariance and influence functions, t(G - 1).

    Args:
        design: with one clustering.
        X, u: columns (n, k) and residuals (n,), effects absorbed, times the root of
            the weights.
        found: the fit's CV1 covariance.
        wanted: columns that every subsample has to identify; None = the design's
            wanted regressors.

    Raises:
        IdentificationError: I05 without some cluster a wanted coefficient, or the
            constant, is not identified.
        NumericalError: N04 too many levels across clusters.
    """
    (cluster,) = design.clusters
    k, G = X.shape[1], cluster.n_levels
    own = np.linalg.norm(X, axis=0)
    W = np.column_stack([X / own, crossing(design, cluster)])
    M = W.T @ W
    if wanted is None:
        wanted = [j for j, r in enumerate(design.regressors) if r.wanted]
    at = list(wanted)
    order = np.argsort(cluster.codes, kind="stable")
    ends = np.cumsum(np.bincount(cluster.codes, minlength=G))
    psi = np.empty((G, k))
    lost: list[int] = []
    for g, rows in enumerate(np.split(order, ends[:-1])):
        part = W[rows]
        values, vectors = np.linalg.eigh(M - part.T @ part)
        kept = values > _GONE * values[-1]
        gone = vectors[:, ~kept]
        # A wanted coefficient that moves along a direction that is gone.
        if np.any(np.abs(gone[at]) > np.sqrt(_GONE)):
            lost.append(g)
        V = vectors[:, kept]
        shift = V @ ((V.T @ (part.T @ u[rows])) / values[kept])
        psi[g] = shift[:k] / own
    if lost:
        raise lost_without(design, lost)
    return with_shifts(found, psi)


def with_shifts(found: Covariance, shift: Floats) -> Covariance:
    """`found` with the covariance of the shifts b - b_(g) (G, k)."""
    G = len(shift)
    psi = shift * np.sqrt((G - 1) / G)
    return replace(found, V=psi.T @ psi, psi=psi, exact=True)


def lost_without(
    design: Design,
    lost: Sequence[int],
    what: str = "an effect is not identified",
    why: str = "this effect rests on one",
) -> IdentificationError:
    """The refusal where nothing is identified without the clusters `lost` (codes)."""
    (cluster,) = design.clusters
    names = ", ".join(str(cluster.ids[g]) for g in lost[:6])
    return IdentificationError(
        "I05",
        f"without cluster {names} of '{cluster.term}' {what}",
        why=f"The jackknife leaves out each cluster once; {why}.",
        fix="inference: {cluster: …}, or a permutation of the treatment",
    )
