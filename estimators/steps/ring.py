"""Ring indicators: how far the nearest treated unit is."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from estimators.steps._columns import finish, not_there
from estimators.steps._exposed import Exposed, places_of, said_absent
from framework.contract import StepOutput
from framework.errors import counted
from framework.panel import Panel


class Ring(Exposed):
    """0/1 columns `name_0_50`, `name_50_100`, … of the distance to the nearest other.

    1 where the nearest other treated unit is more than the inner and at most the outer
    edge away (the first ring holds distance 0), and the unit itself is as `around` says.
    As controls beside the treatment they take spillovers out of its coefficient, and
    their coefficients are the spillovers by distance (Butts 2021).
    """

    paper: ClassVar[str] = (
        "Butts (2021), Difference-in-differences with spatial spillovers"
    )
    edges: tuple[float, ...] = Field(
        description="Edges of the rings, km: [0, 50, 100]."
    )
    around: Literal["untreated", "treated", "all"] = Field(
        default="untreated",
        description="Whose rings: units that are untreated in that period (spillovers "
        "on controls), treated ones, or all.",
    )

    @field_validator("edges")
    @classmethod
    def _rise(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(value) < 2 or value[0] < 0 or any(a >= b for a, b in pairwise(value)):  # noqa: PLR2004 - a ring has two edges
            raise ValueError("edges rise from 0 or more: [0, 50, 100]")
        return value

    def makes(self, name: str) -> tuple[str, ...]:
        """One column per ring."""
        return tuple(f"{name}_{a:g}_{b:g}" for a, b in pairwise(self.edges))

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Make the columns.

        Raises:
            DataError: D02, D06, P04, S06.
        """
        import numpy as np

        columns = self.makes(name)
        for column in columns:
            not_there(panel, column, name)
        places = places_of(self, panel, name)
        made = {
            column: np.zeros(len(panel.frame), dtype=np.int64) for column in columns
        }
        for period in places.periods():
            nearest = np.where(period.treated != 0, period.km, np.inf).min(axis=1)
            who = np.ones(len(period.x), dtype=bool)
            if self.around != "all":
                who = (period.x != 0) == (self.around == "treated")
            for column, (inner, outer) in zip(
                columns, pairwise(self.edges), strict=True
            ):
                beyond = nearest >= inner if inner == 0 else nearest > inner
                made[column][period.rows] = beyond & (nearest <= outer) & who
        counts = ", ".join(f"{c} {counted(int(made[c].sum()), 'row')}" for c in columns)
        detail = (
            f"distance to the nearest other {self.of}: {counts}{said_absent(places)}"
        )
        return finish(panel, name, made, detail, protected)
