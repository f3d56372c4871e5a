"""Simulated resilience data on real cities with a simulated rollout (paper 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from framework.contract import Generator

if TYPE_CHECKING:
    import pandas as pd


class Gip(Generator):
    """Green industrial parks and industrial-chain resilience: 281 cities, 2005-2022.

    Only the cities are real: no list of parks by city is public, so the rollout is
    simulated, too. Adoption and outcome share a nonlinear index of the confounders
    whose weight grows over time, so that linear two-way fixed effects and pooled least
    squares are biased and a regression that knows the index is not.
    """

    paper: ClassVar[str] = (
        "Green industrial parks and urban industrial-chain resilience, 281 Chinese "
        "cities (2005-2022), double machine learning"
    )
    preset: Literal["constant", "heterogeneous"] = Field(
        "constant",
        description="the same effect everywhere, or larger where a city is open, "
        "digital, rich in computing power, eastern or resource-based",
    )

    def generate(self, seed: int) -> tuple[pd.DataFrame, Mapping[str, Any]]:
        """The panel, sorted by city and year, and the truth.

        Args:
            seed: all random numbers come from it.

        Raises:
            DataError: D17, the facts about cities are not there.
        """
        from estimators.generators._gip import panel_and_truth

        return panel_and_truth(seed, heterogeneous=self.preset == "heterogeneous")
