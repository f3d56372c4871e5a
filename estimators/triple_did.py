"""Triple differences with staggered adoption (Ortiz-Villavicencio, Sant'Anna 2025)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from estimators._staggered.options import Staggered
from framework.contract import Needs, Request
from framework.result import Result


class TripleDid(Staggered):
    """Effects on eligible units, by the gap to ineligible units in treated groups.

    `interact` names the eligible units (1) and the others (0); the treatment is on for
    all units of a treated group. ATT(g, t) is the change of that gap in cohort g since
    its base period, less its change in a cohort not treated yet. Covariates are those
    of the treated in all three differences; several comparison cohorts are combined by
    the weights of smallest variance, never pooled.
    """

    main: ClassVar[str | None] = "method"
    paper: ClassVar[str] = (
        "Ortiz-Villavicencio and Sant'Anna (2025), Better understanding triple "
        "differences estimators, arXiv:2505.09942; Olden and Moen (2022), Econometrics "
        "Journal 25(3)"
    )
    estimands: ClassVar[tuple[str, ...]] = (
        "att",
        "by_event_time",
        "by_cohort",
        "by_period",
    )
    needs: ClassVar[Needs] = Needs(
        uses=frozenset(
            {"controls", "weights", "inference", "fixed_effects", "interact"}
        ),
        inference=frozenset({"cluster"}),
        binary=True,
        absorbing=True,
        requires=frozenset({"interact"}),
    )
    acknowledges: ClassVar[tuple[str, ...]] = (
        "few_clusters",
        "few_treated",
        "onset_in_gap",
        "empty_cells",
    )

    method: Literal["doubly_robust", "ipw", "regression"] = Field(
        default="doubly_robust",
        description="How covariates (their values in the base period) enter: propensity "
        "score and outcome regression, the score alone, the regression alone. The same "
        "number without covariates.",
    )
    control_group: Literal["never_treated", "not_yet_treated"] = Field(
        default="not_yet_treated",
        description="Comparison cohorts: the never treated, or also each cohort treated "
        "later than the period compared, one at a time.",
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
    cohort_shares: Literal["treated", "groups"] = Field(
        default="treated",
        description="What a cohort's size is: its eligible units (the treated), or all "
        "units of its groups, as in R's triplediff.",
    )
    always_treated: Literal["drop"] | None = Field(
        default=None,
        description="Units of groups that are treated in all their periods: they have "
        "no base period, so the study must say that they are dropped.",
    )

    def estimate(self, request: Request) -> Result:
        """Rows of the estimands asked for; all cells in the frame `group_time`.

        Raises:
            DataError: D03, D05, D06, D08, E01, E06.
            IdentificationError: E04 no never-treated, E05 always-treated, E10 no
                effect, E11 other fixed effects, E17 what `interact` names is not who
                is eligible or a cohort has one kind of units only, I01, I05, I08 (few
                treated in all, or one unit of a kind in a cohort), I09, I11 no overlap
                in covariates or no covariance of the comparisons.
        """
        from estimators._staggered.triple import TripleOptions, triple_difference

        return triple_difference(
            request,
            TripleOptions(
                self.method,
                self.control_group,
                self.base_period,
                self.window,
                self.overall,
                self.cohort_shares,
                self.always_treated,
                self.bootstrap,
            ),
            min_clusters=self.needs.min_clusters,
        )
