"""Two-stage difference-in-differences (Gardner 2022)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from estimators._staggered.options import Staggered
from framework.contract import Needs, Request
from framework.result import Result


class Did2s(Staggered):
    """Residuals of a first stage on untreated rows, regressed on treatment.

    The point estimates are those of `imputation`; the standard errors add the first
    stage's estimation to the second's (two-step GMM) and treat differences between
    effects as errors.
    """

    main: ClassVar[str | None] = "window"
    paper: ClassVar[str] = (
        "Gardner (2022), arXiv 2207.05943; Butts and Gardner (2022), R Journal 14(3)"
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
        default=None,
        description="First and last event time shown and tested; none = all.",
    )
    untested: int | None = Field(
        default=None,
        le=-1,
        description="Event time left out of the joint test of pre-trends; residuals of "
        "the first stage sum to zero within units, so one follows from the others. "
        "None = the last one before treatment (and anticipation).",
    )
    always_treated: Literal["drop"] | None = Field(
        default=None,
        description="Units treated in all their periods: the first stage does not know "
        "their effects, so the study must say that they are dropped.",
    )

    def estimate(self, request: Request) -> Result:
        """Rows of the estimands asked for; effects by cohort and period in a frame.

        Raises:
            DataError: D03, D05, D06, D08, E01, E06.
            IdentificationError: E02 nothing at `untested`, E05 always-treated, E10 no
                effect, E11 other fixed effects, I01, I05, I08, I09.
        """
        from estimators._staggered.imputed import TwoStageOptions, two_stage

        return two_stage(
            request,
            TwoStageOptions(
                self.window, self.untested, self.always_treated, self.bootstrap
            ),
            min_clusters=self.needs.min_clusters,
        )
