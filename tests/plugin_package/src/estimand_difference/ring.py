"""Neighbours along a ring around the globe."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from framework.contract import Matrix, SpatialWeights
from framework.errors import DataError
from framework.panel import Panel


class Ring(Matrix):
    """The next unit to the east and to the west, half each."""

    main: ClassVar[str | None] = "longitude"
    longitude: str = Field(description="column with the units' longitude, degrees")

    def build(self, panel: Panel) -> SpatialWeights:
        import numpy as np
        from scipy.sparse import csr_array

        if panel.unit is None:
            raise DataError("P04", "neighbours need units: data.panel.unit")
        places = panel.frame.groupby(panel.unit)[self.longitude].first()
        n = len(places)
        order = np.argsort(places.to_numpy(), kind="stable")
        east = np.roll(order, -1)
        rows, columns = np.concatenate([order, east]), np.concatenate([east, order])
        matrix = csr_array((np.full(2 * n, 0.5), (rows, columns)), shape=(n, n))
        return SpatialWeights(tuple(places.index), matrix)
