"""Spatial weights to and from libpysal, which esda and spreg take."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_array

from framework.contract import SpatialWeights
from framework.errors import DataError


def to_libpysal(weights: SpatialWeights) -> Any:
    """The same weights as a `libpysal.weights.W`, ids and order kept.

    Its transform stands as given ("O"): the weights are normalised already.
    """
    from libpysal.weights import WSP

    return WSP(csr_array(weights.matrix), id_order=list(weights.ids)).to_W(
        silence_warnings=True
    )


def from_libpysal(
    w: Any, transform: Literal["row", "spectral", "none"] | None = None, name: str = ""
) -> SpatialWeights:
    """Weights of a `libpysal.weights.W` or `libpysal.graph.Graph`.

    Args:
        w: its present weights are taken, after its own transformation.
        transform: how they are normalised; None = `row` where rows sum to one, else
            `none`.
        name: of the matrix.

    Raises:
        DataError: S02 islands, S05 negative weights or a unit as its own neighbour.
    """
    if hasattr(w, "to_W"):
        w = w.to_W()
    matrix = csr_array(w.sparse)
    matrix.eliminate_zeros()
    ids = tuple(w.id_order)
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    if not sums.all():
        alone = [str(ids[int(i)]) for i in np.flatnonzero(sums == 0)[:3]]
        raise DataError("S02", f"units without a neighbour: {', '.join(alone)}")
    if (matrix.data < 0).any() or matrix.diagonal().any():
        raise DataError("S05", "negative weights, or a unit as its own neighbour")
    if transform is None:
        transform = "row" if np.allclose(sums, 1.0, atol=1e-10) else "none"
    return SpatialWeights(ids, matrix, transform, name=name)
