"""Shared borders, from a list of neighbours or from boundaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from estimators.weights._options import ISLANDS, Islands, Normalised
from framework.contract import SpatialWeights
from framework.panel import Panel

if TYPE_CHECKING:
    from typing import Self


class Contiguity(Normalised):
    """w_ij = 1 if i and j share a border, whichever of the two the list names first.

    From `edges`, a file with one line per pair of neighbours, or from `boundaries`, a
    file with one polygon per unit as well-known text.
    """

    main: ClassVar[str | None] = "edges"
    paper: ClassVar[str] = "Cliff and Ord (1981), Spatial Processes, ch. 1"

    edges: str | dict[str, Any] | None = Field(
        default=None,
        description="File with pairs of neighbouring units: a path, or a source with "
        "its options (encoding, separator, sheet, sha256).",
    )
    pair: tuple[str, str] | None = Field(
        default=None,
        description="Columns of `edges` with the two units; none = its first two.",
    )
    boundaries: str | dict[str, Any] | None = Field(
        default=None, description="File with the units' polygons (a path, or a source)."
    )
    id: str | None = Field(
        default=None,
        description="Column of `boundaries` with the unit; none = named as in the data.",
    )
    geometry: str = Field(
        default="geometry",
        description="Column of `boundaries` with POLYGON or MULTIPOLYGON texts (WKT).",
    )
    rule: Literal["queen", "rook"] = Field(
        default="queen",
        description="Polygons are neighbours if they share a corner, or an edge.",
    )
    others: Literal["error", "drop"] = Field(
        default="error",
        description="Units of the file that the data do not have: refused, left out.",
    )
    islands: Islands = Field(default="error", description=ISLANDS)
    latitude: str | None = Field(
        default=None,
        description="Column with latitudes, for islands: nearest and for maps.",
    )
    longitude: str | None = Field(
        default=None,
        description="Column with longitudes, for islands: nearest and for maps.",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.edges is None) == (self.boundaries is None):
            raise ValueError("name `edges` or `boundaries`, one of them")
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("`latitude` and `longitude` go together")
        if self.islands == "nearest" and self.latitude is None:
            raise ValueError("islands: nearest needs `latitude` and `longitude`")
        return self

    def reads(self) -> tuple[str, ...]:
        return tuple(c for c in (self.latitude, self.longitude) if c is not None)

    def files(self) -> Mapping[str, Mapping[str, Any]]:
        from estimators.weights._options import source

        given = {"edges": self.edges, "boundaries": self.boundaries}
        return {k: source(written) for k, written in given.items() if written}

    def build(self, panel: Panel) -> SpatialWeights:
        """Build.

        Raises:
            DataError: P04, S01 ids the data do not have, S02 islands, S04, S06, X51 no
                such column in the file.
        """
        from estimators.weights._borders import from_boundaries, from_edges
        from estimators.weights._places import (
            coordinates,
            finish,
            link_islands,
            units_of,
        )

        units = units_of(panel)
        if self.edges is not None:
            W = from_edges(panel, self.pair, self.others)
        else:
            W = from_boundaries(panel, self.id, self.geometry, self.rule, self.others)
        notes: tuple[str, ...] = ()
        places = None
        if self.latitude and self.longitude:
            places = coordinates(panel, self.latitude, self.longitude)[1:]
            if self.islands == "nearest":
                W, notes = link_islands(units, W, *places, 0.0)
        return finish(units, W, self.transform, self.islands, notes, places)
