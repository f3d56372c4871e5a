"""Matrix completion as a counterfactual (Athey et al. 2021; Liu, Wang and Xu 2024)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from estimators._staggered.options import Counterfactual
from framework.contract import Request
from framework.result import Result

#: Penalties that cross-validation tries, from none of the interactive part on.
_PENALTIES = (1.0, 0.7, 0.5, 0.35, 0.25, 0.17, 0.12, 0.08, 0.05, 0.03)


class MatrixCompletion(Counterfactual):
    """Outcome less what effects and a matrix of low rank predict for it, averaged.

    Unit and period effects and a matrix whose singular values are penalised are fitted
    to the untreated rows; a treated row's effect is its distance from the fit. With
    the largest penalty it is `imputation`.
    """

    main: ClassVar[str | None] = "penalty"
    paper: ClassVar[str] = (
        "Athey, Bayati, Doudchenko, Imbens and Khosravi (2021), JASA 116(536); Liu, Wang "
        "and Xu (2024), AJPS 68(1)"
    )
    penalty: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Lambda as a share of the largest singular value of the two-way "
        "residuals of untreated rows (1 leaves nothing but the effects); none = "
        "cross-validated.",
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
                "penalty",
                self.penalty,
                _PENALTIES,
                self.pretrends,
                self.equivalence,
                self.window,
                self.always_treated,
            ),
            min_clusters=self.needs.min_clusters,
        )
