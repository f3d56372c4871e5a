"""Probit with average marginal effects."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from estimators._linear.options import SmallSample
from framework.contract import Estimator, Needs, Request
from framework.result import Result


class Probit(Estimator):
    """Effect of the treatment on the probability that a 0/1 outcome is one.

    The probability is the normal distribution function of an index that is linear in
    treatment and controls. What is reported is the average marginal effect over the
    rows: the difference of the probability for a 0/1 column, its derivative for a
    number. Standard errors are robust, never the likelihood's.
    """

    paper: ClassVar[str] = (
        "Wooldridge (2010), Econometric Analysis of Cross Section and Panel Data, ch. 15"
    )
    estimands: ClassVar[tuple[str, ...]] = ("ame", "coefficient")
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
        """Average marginal effects, and all coefficients of the index.

        Raises:
            DataError: D05; D06 an outcome without variation; D21 not 0 or 1.
            IdentificationError: I01 to I05, I08, I09; E15 fixed effects or slopes; E16
                separation.
            NumericalError: N01 to N03.
        """
        from estimators._mechanism.binary_response import estimate

        return estimate(
            request, self.small_sample, "probit", min_clusters=self.needs.min_clusters
        )
