"""Which covariates move a coefficient, whatever order they are added in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from estimators._linear.options import SmallSample
from framework.contract import Estimator, Needs, Request
from framework.result import Result


class Gelbach(Estimator):
    """The change of the treatment's coefficient, split over the controls.

    Adding controls one after another gives shares that depend on the order. The
    omitted-variable formula does not: each control's part is its coefficient in the
    full regression times that of the treatment in a regression of the control.
    """

    paper: ClassVar[str] = "Gelbach (2016), J. Labor Economics 34(2), eq. 5 to 7"
    estimands: ClassVar[tuple[str, ...]] = ("explained",)
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel", "repeated_cross_sections", "cross_section"}),
        uses=frozenset({"controls", "fixed_effects", "weights", "inference"}),
        inference=frozenset({"hetero", "cluster"}),
        requires=frozenset({"controls"}),
    )

    base: tuple[str, ...] = Field(
        default=(),
        description="Controls, as the table names them, that stand in the short "
        "regression too; the others are what moves the coefficient.",
    )
    groups: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Name -> controls whose parts are added up; the rest stay single.",
    )
    small_sample: SmallSample = Field(
        default_factory=SmallSample,
        description="Small-sample convention, one factor per regression.",
    )

    def estimate(self, request: Request) -> Result:
        """The change, its parts, and the coefficients of both regressions.

        Raises:
            DataError: D03, D05, D06.
            IdentificationError: I01 to I05, I08, I09; E15 no or unknown controls,
                several treatments, two-way clusters.
            NumericalError: N01 to N03.
        """
        from estimators._mechanism.change import decompose

        return decompose(
            request,
            self.base,
            self.groups,
            self.small_sample,
            min_clusters=self.needs.min_clusters,
        )
