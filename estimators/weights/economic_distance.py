"""Weights of economic distance, nested with geographic distance."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from estimators.weights._options import Normalised
from framework.contract import SpatialWeights
from framework.panel import Panel

if TYPE_CHECKING:
    from typing import Self


class EconomicDistance(Normalised):
    """Units are near if their incomes are, or also if they are rich, within reach.

    With g_ij = |income_i - income_j| and d_ij the great-circle distance in km:

    - `product` (default with coordinates): w_ij = 1 / (d_ij^power g_ij)
    - `mixture`: share * D + (1 - share) * E with D = 1 / d^power and E = 1 / g, each
      with rows that sum to one
    - `mass`: w_ij = income_j / mean(income) / d_ij^power
    - `gap` (default without coordinates): w_ij = 1 / g_ij

    The income is that of one period, `at`: a matrix of later income would move with
    the treatment.
    """

    paper: ClassVar[str] = (
        "Case, Rosen and Hines (1993), J. Public Economics 52(3); Parent and LeSage "
        "(2008), J. Applied Econometrics 23(2)"
    )

    income: str = Field(description="Column with income, such as GDP per head.")
    at: int = Field(
        description="Period whose income counts; choose one before the first treatment."
    )
    latitude: str | None = Field(
        default=None, description="Column with the units' latitude, degrees."
    )
    longitude: str | None = Field(
        default=None, description="Column with the units' longitude, degrees."
    )
    form: Literal["product", "mixture", "mass", "gap"] | None = Field(
        default=None,
        description="How the two distances are nested: see above; `product` with "
        "coordinates, `gap` without.",
    )
    power: float = Field(
        default=1.0, gt=0, description="Exponent of the geographic distance."
    )
    share: float = Field(
        default=0.5, gt=0, lt=1, description="Share of geography in the `mixture`."
    )

    @model_validator(mode="after")
    def _coordinates(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("`latitude` and `longitude` go together")
        if self.latitude is None and self.form not in (None, "gap"):
            raise ValueError(f"form: {self.form} needs `latitude` and `longitude`")
        return self

    def reads(self) -> tuple[str, ...]:
        columns = (self.income, self.latitude, self.longitude)
        return tuple(c for c in columns if c is not None)

    def build(self, panel: Panel) -> SpatialWeights:
        """Build.

        Raises:
            DataError: P04, S04 equal coordinates, S06, S07 equal incomes or none that
                is positive.
        """
        import numpy as np

        from estimators._math.neighbours import from_pairs, great_circle_km, normalised
        from estimators.weights._economy import closeness, mass
        from estimators.weights._places import at_period, coordinates, finish, units_of

        income = at_period(panel, self.income, self.at)
        units, n = units_of(panel), len(income)
        form = self.form or ("gap" if self.latitude is None else "product")
        if self.latitude is None or self.longitude is None or form == "gap":
            weights = closeness(units, income, self.income)
        else:
            units, lat, lon = coordinates(panel, self.latitude, self.longitude)
            km = great_circle_km(lat, lon)
            np.fill_diagonal(km, np.inf)
            near = km**-self.power
            if form == "mass":
                weights = near * mass(units, income, self.income)[None, :]
            else:
                weights = closeness(units, income, self.income)
                if form == "product":
                    weights = near * weights
                else:
                    near, weights = (
                        x / x.sum(axis=1, keepdims=True) for x in (near, weights)
                    )
                    weights = self.share * near + (1 - self.share) * weights
        places = None
        if self.latitude is not None and self.longitude is not None:
            places = coordinates(panel, self.latitude, self.longitude)[1:]
        rows, columns = np.nonzero(weights)
        W = from_pairs(rows, columns, weights[rows, columns], n)
        return finish(units, normalised(W, "none"), self.transform, places=places)
