"""Group-time effects and their averages (Callaway and Sant'Anna 2021)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from estimators._staggered.options import Staggered
from framework.contract import Needs, Request
from framework.result import Result


class CallawaySantanna(Staggered):
    """Effects by cohort and period against units not treated, averaged as asked.

    ATT(g, t) compares the change of cohort g's outcome since its base period with that
    of units never (or not yet) treated; no treated unit is ever a control. Averages
    weigh cohorts by their size, whose estimation is part of the standard errors. Where
    no unit is followed (repeated cross-sections) the cohorts' means are compared.
    """

    main: ClassVar[str | None] = "method"
    paper: ClassVar[str] = (
        "Callaway and Sant'Anna (2021), J. Econometrics 225(2); Sant'Anna and Zhao "
        "(2020), J. Econometrics 219(1) on covariates"
    )
    estimands: ClassVar[tuple[str, ...]] = (
        "att",
        "by_event_time",
        "by_cohort",
        "by_period",
    )
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel", "repeated_cross_sections"}),
        uses=frozenset({"controls", "weights", "inference", "fixed_effects"}),
        inference=frozenset({"cluster", "hetero"}),
        binary=True,
        absorbing=True,
    )

    method: Literal["doubly_robust", "ipw", "regression"] = Field(
        default="doubly_robust",
        description="How covariates (their values in the base period) enter: propensity "
        "score and outcome regression, the score alone, the regression alone. The same "
        "number without covariates.",
    )
    control_group: Literal["never_treated", "not_yet_treated"] = Field(
        default="not_yet_treated",
        description="Controls: units never treated, or also those treated later than "
        "the period compared.",
    )
    base_period: Literal["universal", "varying"] = Field(
        default="universal",
        description="Effects before treatment are measured from the last period before "
        "treatment (and anticipation), or from the period before their own.",
    )
    window: tuple[int, int] | None = Field(
        default=None,
        description="First and last event time shown and tested; none = all.",
    )
    overall: Literal["simple", "by_cohort", "by_period", "by_event_time"] = Field(
        default="simple",
        description="What `att` averages: all treated cells by cohort size; cohorts' "
        "mean effects; periods' effects; event times' effects. All four are in the "
        "frame `averages`.",
    )
    always_treated: Literal["drop"] | None = Field(
        default=None,
        description="Units treated in all their periods: they have no base period, so "
        "the study must say that they are dropped.",
    )

    def names_errors(self, inference: str, said: str) -> str:
        """Rows of cross-sections may be taken as independent; no HC1 factor."""
        return "heteroskedasticity-robust" if inference == "hetero" else said

    def estimate(self, request: Request) -> Result:
        """Rows of the estimands asked for; all cells in the frame `group_time`.

        Raises:
            DataError: D03, D05, D06, D08, E01, E06.
            IdentificationError: E04 no never-treated, E05 always-treated, E10 no
                effect, E11 other fixed effects, I01, I05, I08, I09, I11 no overlap in
                covariates.
        """
        from estimators._staggered.compared_sections import group_time_of_sections
        from estimators._staggered.group_time import GroupTimeOptions, group_time

        estimated = group_time if request.unit else group_time_of_sections
        return estimated(
            request,
            GroupTimeOptions(
                self.method,
                self.control_group,
                self.base_period,
                self.window,
                self.overall,
                self.always_treated,
                self.bootstrap,
            ),
            min_clusters=self.needs.min_clusters,
        )
