"""Weights that a two-way fixed effects estimate puts on the effects it averages."""

from __future__ import annotations

from typing import ClassVar, Literal

from framework.contract import Estimator, Needs, Request
from framework.result import Result


class TwfeWeights(Estimator):
    """How many effects enter the two-way fixed effects estimate with negative weight.

    Under common trends the coefficient is a weighted sum of the effects of treated unit
    and period cells. The weights are those of the treatment's residual, with whatever
    controls, fixed effects and weights the model has; two measures say how much effects
    must differ before the coefficient's sign means nothing.
    """

    paper: ClassVar[str] = (
        "de Chaisemartin and D'Haultfoeuille (2020), AER 110(9), Theorem 1, Corollary 1"
    )
    estimates: ClassVar[Literal["treatment", "diagnostic"]] = "diagnostic"
    estimands: ClassVar[tuple[str, ...]] = ("description",)
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel", "repeated_cross_sections"}),
        uses=frozenset({"controls", "fixed_effects", "weights"}),
    )

    def estimate(self, request: Request) -> Result:
        """Number and sum of negative weights, robustness, weights by cohort and period.

        Raises:
            DataError: D03, D05, D06, D08.
            IdentificationError: E08 not applicable, and every reason why; I01 to I04.
            NumericalError: N02 to N05.
        """
        from estimators._linear.weights import weights

        return weights(request)
