"""What a matrix of spatial weights looks like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._math.neighbours import components, islands, remembered
from estimators._math.spatial_ml import Lag
from framework.contract import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd


def summary(used: Mapping[str, tuple[Lag, SpatialWeights]]) -> pd.DataFrame:
    """One row per matrix: links, neighbours, islands, components, eigenvalues.

    Args:
        used: role -> matrix with eigenvalues, weights with their name.
    """
    import pandas as pd

    rows: dict[str, dict[str, Any]] = {}
    for role, (lag, weights) in used.items():
        name = weights.name or role
        if name in rows:
            rows[name]["used for"] += f", {role}"
            continue
        rows[name] = {
            "matrix": name,
            "used for": role,
            "normalisation": weights.transform,
            **_shape(lag.W),
            "smallest eigenvalue": lag.ends[0],
            "largest eigenvalue": lag.ends[1],
        }
    return pd.DataFrame(list(rows.values()))


@remembered
def _shape(W: Any) -> dict[str, Any]:
    """Links, neighbours, islands, components and row sums."""
    neighbours = np.diff(W.indptr)
    sums = np.asarray(W.sum(axis=1)).ravel()
    return {
        "units": int(W.shape[0]),
        "links": int(W.nnz),
        "fewest neighbours": int(neighbours.min()),
        "mean neighbours": float(neighbours.mean()),
        "most neighbours": int(neighbours.max()),
        "islands": len(islands(W)),
        "components": components(W),
        "symmetric links": bool(((W != 0) != (W.T != 0)).nnz == 0),
        "smallest row sum": float(sums.min()),
        "largest row sum": float(sums.max()),
    }
