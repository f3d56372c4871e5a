"""Our side where it needs a process of its own: its memory, one thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from estimators.spatial_panel import SpatialPanel
from tests.build_spatial import spatial_request


def durbin(
    data: Mapping[str, np.ndarray], about: Mapping[str, Any]
) -> Callable[[], dict[str, float]]:
    """The two-way spatial Durbin model with its effects; rows by period, then unit."""
    n, t = about["units"], about["periods"]
    W = sparse.csr_array((data["weight"], (data["row"], data["column"])), shape=(n, n))
    X = data["X"].T
    frame = pd.DataFrame(
        {
            "unit": np.tile([f"u{i:05d}" for i in range(n)], t),
            "time": np.repeat(np.arange(t), n),
            "y": data["y"].ravel(),
            **{f"x{j + 1}": x for j, x in enumerate(X)},
        }
    ).sort_values(["unit", "time"], ignore_index=True)
    request = spatial_request(
        frame,
        dict.fromkeys(("outcome", "covariates"), W),
        controls=[f"x{j}" for j in range(2, len(X) + 1)],
    )

    def fit() -> dict[str, float]:
        SpatialPanel(lag="all").estimate(request)
        return {}

    return fit


def saturated(
    data: Mapping[str, np.ndarray], about: Mapping[str, Any]
) -> Callable[[], dict[str, float]]:
    """Sun and Abraham's event study; rows by unit, then period."""
    from bench.staggered import request_of
    from estimators.sun_abraham import SunAbraham

    del about
    request = request_of(pd.DataFrame(dict(data)))

    def fit() -> dict[str, float]:
        rows = SunAbraham().estimate(request).coefficients
        return {"estimate": float(rows.estimate[rows.event_time == 0].iloc[0])}

    return fit
