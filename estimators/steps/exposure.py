"""How far other units' treatment reaches a unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from estimators.steps._columns import finish, not_there
from estimators.steps._exposed import Exposed, Period, places_of, said_absent
from framework.contract import StepOutput
from framework.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


class Exposure(Exposed):
    """A mapping from the treatment of the others to one column.

    `any`: 1 if another unit within `within_km` is treated; `count`: how many, or the sum
    of a dose; `share`: their mean; `inverse_distance`: sum of treatment / km^power;
    `nearest_km`: km to the nearest treated unit, 0 for a treated unit itself, missing in
    a period in which nobody is treated.
    """

    paper: ClassVar[str] = (
        "Aronow and Samii (2017), Annals of Applied Statistics 11(4); Butts (2021), "
        "Difference-in-differences with spatial spillovers"
    )
    form: Literal["nearest_km", "any", "count", "share", "inverse_distance"] = Field(
        description="What is made of the others' treatment."
    )
    within_km: float | None = Field(
        default=None, gt=0, description="Units beyond this distance do not count."
    )
    power: float = Field(
        default=1.0, gt=0, description="Exponent of the distance (inverse_distance)."
    )

    @model_validator(mode="after")
    def _needs_a_reach(self) -> Exposure:
        if self.form in {"any", "count", "share"} and self.within_km is None:
            raise ValueError(f"form: {self.form} needs within_km")
        return self

    def makes(self, name: str) -> tuple[str, ...]:
        """The column the step is named after."""
        return (name,)

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Make the column.

        Raises:
            DataError: D02, D06, P04, S06, S04 two units at one point
                (inverse_distance).
        """
        import numpy as np

        from framework.errors import DataError

        not_there(panel, name, name)
        places = places_of(self, panel, name)
        if self.form == "inverse_distance" and not places.km.all():
            raise DataError(
                "S04",
                f"step '{name}': units share coordinates",
                why="the inverse of no distance is no weight",
                fix="the coordinates of each unit, or another form",
            )
        values = np.full(len(panel.frame), np.nan)
        for period in places.periods():
            values[period.rows] = self._of(period)
        reach = f" within {self.within_km:g} km" if self.within_km else ""
        when = "ever" if self.ever else "in the same period"
        detail = f"{self.form} of others' {self.of}{reach}, {when}{said_absent(places)}"
        return finish(panel, name, {name: values}, detail, protected)

    def _of(self, period: Period) -> Floats:
        import numpy as np

        near = np.isfinite(period.km)
        if self.within_km is not None:
            near &= period.km <= self.within_km
        x = period.treated
        if self.form == "any":
            return np.asarray((near & (x != 0)).any(axis=1).astype(np.float64))
        if self.form == "count":
            return np.asarray(near @ x)
        if self.form == "share":
            return np.asarray(near @ x / np.maximum(near.sum(axis=1), 1))
        if self.form == "inverse_distance":
            weight = np.where(near, period.km, np.inf) ** -self.power
            return np.asarray(weight @ x)
        km = np.where(near & (x != 0), period.km, np.inf).min(axis=1)
        km = np.where(period.x != 0, 0.0, km)
        return np.where(np.isfinite(km), km, np.nan)
