"""Poisson pseudo maximum likelihood with fixed effects absorbed."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from estimators._linear.options import SmallSample
from framework.contract import Estimator, Needs, Request
from framework.result import Result


class Poisson(Estimator):
    """Proportional effect of the treatment on the mean of a nonnegative outcome.

    Zeros are kept, and the errors need no Poisson distribution: only the conditional
    mean has to be exponential. The standard errors are robust, never the likelihood's.
    """

    paper: ClassVar[str] = (
        "Santos Silva and Tenreyro (2006), Review of Economics and Statistics 88(4); "
        "Correia, Guimaraes and Zylkin (2020), Stata Journal 20(1)"
    )
    estimands: ClassVar[tuple[str, ...]] = ("semi_elasticity", "coefficient")
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel", "repeated_cross_sections", "cross_section"}),
        uses=frozenset({"controls", "fixed_effects", "inference"}),
        inference=frozenset({"hetero", "cluster"}),
    )

    small_sample: SmallSample = Field(
        default_factory=SmallSample,
        description="Small-sample convention of the covariance matrix.",
    )

    def estimate(self, request: Request) -> Result:
        """Semi-elasticities exp(b) - 1 of the treatment, and all coefficients b.

        Raises:
            DataError: D05; D06 an outcome without variation; D21 negative values.
            IdentificationError: I01 to I05, I08, I09; E15 slopes; E16 separation.
            NumericalError: N01 to N03.
        """
        from estimators._mechanism.pseudo_poisson import estimate

        return estimate(
            request, self.small_sample, min_clusters=self.needs.min_clusters
        )
