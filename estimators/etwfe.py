"""Extended two-way fixed effects (Wooldridge 2021)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from estimators._staggered.options import Staggered
from framework.contract import Needs, Request
from framework.result import Result


class Etwfe(Staggered):
    """Two-way fixed effects with a coefficient for every treated cohort and period.

    All untreated rows are controls. In a balanced panel without covariates the estimates
    are those of `imputation`; the errors are those of the regression. Covariates may
    move untreated outcomes differently in every period and cohort, and the effect in
    every cell: trends are parallel given them.
    """

    main: ClassVar[str | None] = "window"
    paper: ClassVar[str] = (
        "Wooldridge (2021), Two-way fixed effects, the two-way Mundlak regression, and "
        "difference-in-differences estimators, SSRN 3906345"
    )
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
        default=None, description="First and last event time shown; none = all."
    )
    overall: Literal["simple", "by_cohort", "by_period", "by_event_time"] = Field(
        default="simple",
        description="What `att` averages: all treated cells by cohort size; cohorts' "
        "mean effects; periods' effects; event times' effects.",
    )
    always_treated: Literal["drop"] | None = Field(
        default=None,
        description="Units treated in all their periods: their effects are collinear "
        "with their unit effects, so the study must say that they are dropped.",
    )

    def estimate(self, request: Request) -> Result:
        """Rows of the estimands asked for; all cells in the frame `group_time`.

        Raises:
            DataError: D03, D05, D06, D08, E01, E06.
            IdentificationError: E04 one cohort and no control, E05 always-treated, E11
                other fixed effects, I01, I05, I08, I09.
        """
        from estimators._staggered.extended import ExtendedOptions, extended

        return extended(
            request,
            ExtendedOptions(
                self.window, self.overall, self.always_treated, self.bootstrap
            ),
            min_clusters=self.needs.min_clusters,
        )
