"""Weights that fall with the great-circle distance."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from estimators.weights._options import ISLANDS, Islands, Normalised
from framework.contract import SpatialWeights
from framework.panel import Panel


class InverseDistance(Normalised):
    """w_ij = 1 / d_ij^power within the cut-off, 0 beyond it.

    d is the great-circle distance in km (haversine, mean radius 6,371.0088 km) between
    coordinates in degrees, which must be constant within units.
    """

    paper: ClassVar[str] = "Anselin (1988), Spatial Econometrics, ch. 3"

    latitude: str = Field(description="Column with the units' latitude, degrees.")
    longitude: str = Field(description="Column with the units' longitude, degrees.")
    power: float = Field(
        default=1.0, gt=0, description="Exponent of the distance: 1 or 2 as a rule."
    )
    cutoff_km: float | None = Field(
        default=None, gt=0, description="No weight beyond this distance; none = all."
    )
    islands: Islands = Field(default="error", description=ISLANDS)

    def reads(self) -> tuple[str, ...]:
        return (self.latitude, self.longitude)

    def build(self, panel: Panel) -> SpatialWeights:
        """Build.

        Raises:
            DataError: P04, S02, S04, S06.
        """
        import numpy as np

        from estimators._math.neighbours import from_pairs, great_circle_km
        from estimators.weights._places import coordinates, finish, link_islands

        units, lat, lon = coordinates(panel, self.latitude, self.longitude)
        km = great_circle_km(lat, lon)
        np.fill_diagonal(km, np.inf)
        rows, columns = np.nonzero(km <= (self.cutoff_km or np.finfo(float).max))
        W = from_pairs(rows, columns, km[rows, columns] ** -self.power, len(units))
        notes: tuple[str, ...] = ()
        if self.islands == "nearest":
            W, notes = link_islands(units, W, lat, lon, self.power)
        return finish(units, W, self.transform, self.islands, notes, (lat, lon))
