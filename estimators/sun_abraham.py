"""Interaction-weighted event study (Sun and Abraham 2021)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from estimators._staggered.options import Staggered
from framework.contract import Needs, Request
from framework.result import Result


class SunAbraham(Staggered):
    """Effects of every cohort and event time in one regression, averaged by shares.

    The regression interacts event times with cohorts, so no coefficient picks up other
    cohorts' effects. Without controls the estimates are those of `callaway_santanna`
    with never-treated controls and a universal base period; errors have the
    small-sample factors of a regression.
    """

    main: ClassVar[str | None] = "window"
    paper: ClassVar[str] = "Sun and Abraham (2021), J. Econometrics 225(2)"
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

    control_cohort: Literal["never_treated", "last_treated"] = Field(
        default="never_treated",
        description="Units never treated, or the cohort treated last in the periods "
        "before its treatment (later periods are then left out).",
    )
    window: tuple[int, int] | None = Field(
        default=None,
        description="First and last event time shown and tested; none = all.",
    )
    overall: Literal["simple", "by_cohort", "by_period", "by_event_time"] = Field(
        default="simple",
        description="What `att` averages: all treated cells by cohort size; cohorts' "
        "mean effects; periods' effects; event times' effects.",
    )
    share_variance: bool = Field(
        default=True,
        description="Whether errors include that cohort shares are estimated; false is "
        "fixest's convention.",
    )
    always_treated: Literal["drop"] | None = Field(
        default=None,
        description="Units treated in all their periods: they have no reference period, "
        "so the study must say that they are dropped.",
    )

    def estimate(self, request: Request) -> Result:
        """Rows of the estimands asked for; all cells in the frame `group_time`.

        Raises:
            DataError: D03, D05, D06, D08, E01, E06.
            IdentificationError: E04 no never-treated, E05 always-treated, E10 no
                effect, E11 other fixed effects, I01, I05, I08, I09.
        """
        from estimators._staggered.saturated import (
            SaturatedOptions,
            interaction_weighted,
        )

        return interaction_weighted(
            request,
            SaturatedOptions(
                self.control_cohort,
                self.window,
                self.overall,
                self.share_variance,
                self.always_treated,
                self.bootstrap,
            ),
            min_clusters=self.needs.min_clusters,
        )
