"""How much of an effect runs through mediators."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from estimators._linear.options import SmallSample
from framework.contract import Estimator, Needs, Request
from framework.result import Result


class Mediation(Estimator):
    """Effect through the mediators, effect beside them, and their sum.

    Products of coefficients of linear models. They are causal only under sequential
    ignorability: nothing unobserved moves both mediator and outcome, which no
    experiment on the treatment guarantees; `sensitivity` says how much of it would
    explain the indirect effect away.
    """

    paper: ClassVar[str] = (
        "Imai, Keele and Tingley (2010), Psychological Methods 15(4); Imai, Keele and "
        "Yamamoto (2010), Statistical Science 25(1), theorems 2 and 4; Baron and Kenny "
        "(1986), J. Personality and Social Psychology 51(6)"
    )
    estimands: ClassVar[tuple[str, ...]] = ("indirect", "direct", "total")
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel", "repeated_cross_sections", "cross_section"}),
        uses=frozenset(
            {"controls", "fixed_effects", "mediators", "weights", "inference"}
        ),
        inference=frozenset({"hetero", "cluster"}),
        requires=frozenset({"mediators"}),
    )

    interaction: bool = Field(
        default=False,
        description="Let the mediators' coefficients differ with a 0/1 treatment; "
        "effects are then given at both of its values and averaged.",
    )
    sensitivity: bool = Field(
        default=False,
        description="The indirect effect by the correlation of the two equations' "
        "errors; one mediator, without `interaction`.",
    )
    small_sample: SmallSample = Field(
        default_factory=SmallSample,
        description="Small-sample convention, one factor per regression.",
    )

    def estimate(self, request: Request) -> Result:
        """Indirect, direct and total effect, then the equations behind them.

        Raises:
            DataError: D03, D05, D06.
            IdentificationError: I01 to I05, I08, I09; E15 several treatments, two-way
                clusters, options that do not fit the model.
            NumericalError: N01 to N03.
        """
        from estimators._mechanism.mediated import mediate

        return mediate(
            request,
            self.small_sample,
            interaction=self.interaction,
            sensitivity=self.sensitivity,
            min_clusters=self.needs.min_clusters,
        )
