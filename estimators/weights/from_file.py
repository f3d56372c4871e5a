"""Weights from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from estimators.weights._options import Normalised, source
from framework.contract import SpatialWeights
from framework.panel import Panel


class FromFile(Normalised):
    """A matrix that was made elsewhere, matched by unit id.

    `square`: a row and a column for every unit, ids in the first column and in the
    header. `pairs`: a line for every unit, neighbour and weight, one direction each.
    """

    main: ClassVar[str | None] = "path"

    path: str | dict[str, Any] = Field(
        description="The file: a path, or a source with its options (encoding, "
        "separator, sheet, sha256)."
    )
    form: Literal["square", "pairs"] = Field(
        default="square", description="A table of all units by all units, or a list."
    )
    id: str | None = Field(
        default=None,
        description="Column with the unit ids of a square; none = its first.",
    )
    pairs: tuple[str, str, str] | None = Field(
        default=None,
        description="Columns with unit, neighbour and weight of a list; none = the "
        "first three.",
    )
    others: Literal["error", "drop"] = Field(
        default="error",
        description="Units of the file that the data do not have: refused, left out.",
    )
    islands: Literal["error", "drop"] = Field(
        default="error",
        description="A unit without a neighbour: refused, or left out of every "
        "estimation with this matrix.",
    )

    def files(self) -> Mapping[str, Mapping[str, Any]]:
        return {"weights": source(self.path)}

    def build(self, panel: Panel) -> SpatialWeights:
        """Build.

        Raises:
            DataError: P01 an id or pair twice, P04, S01 other ids than the data, S02
                islands, S05 negative or empty cells, X51.
        """
        from estimators.weights._borders import from_list, from_square
        from estimators.weights._places import finish, units_of

        units = units_of(panel)
        if self.form == "square":
            W = from_square(panel, self.id, self.others)
        else:
            W = from_list(panel, self.pairs, self.others)
        return finish(units, W, self.transform, self.islands)
