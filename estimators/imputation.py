"""Imputation of the untreated outcome (Borusyak, Jaravel and Spiess 2024)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from estimators._staggered.options import Staggered
from framework.contract import Needs, Request
from framework.result import Result


class Imputation(Staggered):
    """Outcome less what unit and period effects of untreated rows predict, averaged.

    Unit and period effects (and controls) are fitted to untreated rows alone; the
    difference between a treated row and its prediction is its effect. Efficient when
    effects may differ in any way and errors are homoskedastic.
    """

    main: ClassVar[str | None] = "window"
    paper: ClassVar[str] = "Borusyak, Jaravel and Spiess (2024), REStud 91(6)"
    estimands: ClassVar[tuple[str, ...]] = (
        "att",
        "by_event_time",
        "by_cohort",
        "by_period",
    )
    needs: ClassVar[Needs] = Needs(
        uses=frozenset({"controls", "weights", "inference", "fixed_effects"}),
        inference=frozenset({"cluster"}),
        binary=True,
        absorbing=True,
    )

    window: tuple[int, int] | None = Field(
        default=None,
        description="First and last event time shown and tested; none = all.",
    )
    pretrends: int = Field(
        default=5,
        ge=0,
        description="Leads before treatment (and anticipation) in the test of "
        "pre-trends; earlier event times, the earliest always, are the reference.",
    )
    average_by: Literal["cohort_event_time", "event_time", "all"] = Field(
        default="cohort_event_time",
        description="Groups of treated rows whose effects are taken as equal in the "
        "variance; coarser groups are more conservative and need no large cohorts.",
    )
    always_treated: Literal["drop"] | None = Field(
        default=None,
        description="Units treated in all their periods: nothing says what they would "
        "have been untreated, so the study must say that they are dropped.",
    )

    def estimate(self, request: Request) -> Result:
        """Rows of the estimands asked for; effects by cohort and period in a frame.

        Raises:
            DataError: D03, D05, D06, D08, E01, E06.
            IdentificationError: E05 always-treated, E10 no effect, E11 other fixed
                effects, I01, I05, I08, I09.
        """
        from estimators._staggered.imputed import ImputationOptions, imputation

        return imputation(
            request,
            ImputationOptions(
                self.window,
                self.pretrends,
                self.average_by,
                self.always_treated,
                self.bootstrap,
            ),
            min_clusters=self.needs.min_clusters,
        )
