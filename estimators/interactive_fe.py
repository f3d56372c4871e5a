"""Interactive fixed effects as a counterfactual (Xu 2017; Liu, Wang and Xu 2024)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from estimators._staggered.options import Counterfactual
from framework.contract import Request
from framework.result import Result


class InteractiveFe(Counterfactual):
    """Outcome less what effects and common factors of untreated rows predict, averaged.

    Common shocks may hit units differently: unit effects, period effects and r factors
    with loadings of each unit are fitted to the untreated rows, and a treated row's
    effect is its distance from the fit. With no factor it is `imputation`.
    """

    main: ClassVar[str | None] = "factors"
    paper: ClassVar[str] = (
        "Gobillon and Magnac (2016), REStat 98(3); Xu (2017), Political Analysis 25(1); "
        "Liu, Wang and Xu (2024), AJPS 68(1)"
    )
    factors: int | None = Field(
        default=None,
        ge=0,
        description="Common factors r; none = cross-validated. Every treated unit needs "
        "r + 1 untreated periods.",
    )
    max_factors: int = Field(
        default=5, ge=0, description="Most factors that cross-validation tries."
    )

    def estimate(self, request: Request) -> Result:
        """Rows of the estimands asked for; effects by cohort and period in a frame.

        Raises:
            DataError: D03, D05, D06, D08, E01, E06.
            IdentificationError: E05 too few untreated periods, E10 no effect, E11 other
                fixed effects, I01, I05, I08, I09.
            NumericalError: N02 the iterations do not end, or there is no error.
        """
        from estimators._staggered.counterfactual import (
            CounterfactualOptions,
            counterfactual,
        )

        return counterfactual(
            request,
            CounterfactualOptions(
                "rank",
                self.factors,
                tuple(float(r) for r in range(self.max_factors + 1)),
                self.pretrends,
                self.equivalence,
                self.window,
                self.always_treated,
            ),
            min_clusters=self.needs.min_clusters,
        )
