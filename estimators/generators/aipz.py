"""Simulated yearbook data on real cities and real AI pilot zones (paper 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from framework.contract import Generator

if TYPE_CHECKING:
    import pandas as pd


class Aipz(Generator):
    """AI pilot zones and urban land green use efficiency: 286 cities, 2011-2023.

    Cities, borders and years of approval are real; every yearbook variable is
    simulated. The panel looks like the paper (its tables 1 to 3) and the effect of the
    zones is known. `paper` has spatial feedback, a concurrent policy and effects that
    differ between cities; `clean` has one constant effect and nothing else, so that
    two-way fixed effects are unbiased for it.
    """

    paper: ClassVar[str] = (
        "Zhu et al. (2025), Frontiers in Sustainable Food Systems, "
        "doi 10.3389/fsufs.2025.1743764"
    )
    preset: Literal["paper", "clean"] = Field(
        "paper",
        description="as in the paper, or one constant effect for coverage tests",
    )
    efficiency: bool = Field(
        True,
        description="also make inputs and outputs whose super-SBM score is the outcome "
        "(two minutes of linear programs); false leaves these ten columns out",
    )

    def generate(self, seed: int) -> tuple[pd.DataFrame, Mapping[str, Any]]:
        """The panel, sorted by city and year, and the truth.

        Args:
            seed: all random numbers come from it.

        Raises:
            DataError: D17, the facts about cities and policies are not there.
        """
        from estimators.generators._aipz import panel_and_truth

        return panel_and_truth(
            seed, clean=self.preset == "clean", efficiency=self.efficiency
        )
