"""The k nearest neighbours."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from estimators.weights._options import Normalised
from framework.contract import SpatialWeights
from framework.panel import Panel


class KNearest(Normalised):
    """w_ij = 1 for the k units nearest to i by great-circle distance.

    Not symmetric unless `symmetric`: i may be near j while j has nearer ones. All units
    that are as near as the k-th count.
    """

    main: ClassVar[str | None] = "k"
    paper: ClassVar[str] = "Anselin (1988), Spatial Econometrics, ch. 3"

    k: int = Field(ge=1, description="Number of neighbours.")
    latitude: str = Field(description="Column with the units' latitude, degrees.")
    longitude: str = Field(description="Column with the units' longitude, degrees.")
    symmetric: bool = Field(
        default=False, description="Neighbours if either is among the other's k."
    )

    def reads(self) -> tuple[str, ...]:
        return (self.latitude, self.longitude)

    def build(self, panel: Panel) -> SpatialWeights:
        """Build.

        Raises:
            DataError: P04, S02 not more than k units, S04, S06.
        """
        from estimators._math.neighbours import k_nearest, on_sphere
        from estimators.weights._places import coordinates, finish
        from framework.errors import DataError

        units, lat, lon = coordinates(panel, self.latitude, self.longitude)
        if len(units) <= self.k:
            raise DataError(
                "S02",
                f"{self.k} nearest neighbours of {len(units)} units",
                why="a unit has one neighbour less than there are units, at most",
                fix=f"k below {len(units)}",
            )
        W = k_nearest(on_sphere(lat, lon), self.k)
        W = W.maximum(W.T) if self.symmetric else W
        return finish(units, W, self.transform, places=(lat, lon))
