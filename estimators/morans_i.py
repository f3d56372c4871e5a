"""Moran's I, Geary's C and Getis and Ord's G by period."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from framework.contract import Estimator, Needs, Request
from framework.result import Result


class MoransI(Estimator):
    """Spatial correlation of the outcome in each period and in all together.

    `estimand` chooses the statistics: `morans_i`, `gearys_c`, `getis_ord_g`. The p value
    is two-sided and of the distance from the mean without spatial correlation, which is
    -1 / (n - 1) for Moran's I, 1 for Geary's C and S0 / (n (n - 1)) for G.
    """

    main: ClassVar[str | None] = "of"
    paper: ClassVar[str] = (
        "Moran (1950), Biometrika 37; Cliff and Ord (1981), Spatial Processes, ch. 2; "
        "Getis and Ord (1992), Geographical Analysis 24(3); Mantel (1967), Cancer "
        "Research 27(2) for the pooled variance"
    )
    estimates: ClassVar[Literal["treatment", "diagnostic"]] = "diagnostic"
    estimands: ClassVar[tuple[str, ...]] = ("morans_i", "gearys_c", "getis_ord_g")
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel"}),
        uses=frozenset({"controls", "fixed_effects", "spatial_weights"}),
        requires=frozenset({"spatial_weights"}),
        treatment=False,
        balanced=True,
    )

    of: Literal["outcome", "residuals", "both"] = Field(
        default="outcome",
        description="The outcome as it is, what treatment, controls and fixed effects "
        "leave of it, or both side by side.",
    )
    variance: Literal["randomisation", "normal"] = Field(
        default="randomisation",
        description="Variance given the values in any order, or for normal values.",
    )
    permutations: int = Field(
        default=999, ge=0, le=99_999, description="Random orders for a second p value."
    )

    def is_random(self) -> bool:
        """Without permutations nothing is drawn."""
        return self.permutations > 0

    def demands(self) -> Needs:
        """The outcome as it is has no effects taken out."""
        if self.of != "outcome":
            return self.needs
        return replace(self.needs, uses=self.needs.requires)

    def estimate(self, request: Request) -> Result:
        """One row per statistic and period, Moran's I also pooled.

        Raises:
            DataError: D05, D06, D08 G of values that are not positive, P02, S01.
            NumericalError: N02.
        """
        from estimators._spatial.autocorrelation import global_autocorrelation

        return global_autocorrelation(
            request,
            of=self.of,
            variance=self.variance,
            permutations=self.permutations,
        )
