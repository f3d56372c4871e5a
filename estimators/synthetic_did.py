"""Synthetic difference-in-differences (Arkhangelsky et al. 2021)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from framework.contract import Estimator, Needs, Request
from framework.result import Result


class SyntheticDid(Estimator):
    """A difference-in-differences with weighted controls and weighted earlier periods.

    Unit weights make the never-treated run parallel to the treated before treatment;
    time weights make the periods before resemble those after among the controls. With
    several adoption dates every cohort is estimated against the never-treated and the
    cohorts are averaged by treated unit-periods.
    """

    main: ClassVar[str | None] = "errors"
    paper: ClassVar[str] = (
        "Arkhangelsky, Athey, Hirshberg, Imbens and Wager (2021), AER 111(12); Clarke, "
        "Pailanir, Athey and Imbens (2023) on staggered adoption"
    )
    estimands: ClassVar[tuple[str, ...]] = ("att", "by_event_time", "by_cohort")
    acknowledges: ClassVar[tuple[str, ...]] = ("few_treated", "onset_in_gap")
    needs: ClassVar[Needs] = Needs(
        uses=frozenset({"controls", "fixed_effects"}),
        binary=True,
        absorbing=True,
        never_treated=False,
        balanced=True,
    )

    errors: Literal["placebo", "bootstrap", "jackknife"] = Field(
        default="placebo",
        description="Standard errors from untreated units in the place of the treated; "
        "from units drawn with replacement; from leaving out one unit with weights "
        "held fixed. Only placebo works with one treated unit.",
    )
    replications: int = Field(
        default=200,
        ge=20,
        description="Placebos or bootstrap samples. With one treated unit every "
        "untreated one is a placebo, if they are no more than this.",
    )
    covariates: Literal["projected", "optimized"] = Field(
        default="projected",
        description="How controls enter: taken out beforehand by a regression with unit "
        "and period effects on untreated rows (Kranz 2022), or with coefficients chosen "
        "together with the weights (the paper's footnote 4, per cohort).",
    )
    solver: Literal["exact", "frank_wolfe"] = Field(
        default="exact",
        description="Weights at the optimum, or after the 10,000 steps at which R's "
        "synthdid and Stata's sdid stop.",
    )
    window: tuple[int, int] | None = Field(
        default=None,
        description="First and last event time shown; none = all.",
    )

    @model_validator(mode="after")
    def _window_in_order(self) -> SyntheticDid:
        if self.window is not None and not self.window[0] <= self.window[1]:
            raise ValueError("window must go from low to high")
        return self

    def is_random(self) -> bool:
        """The choice of placebos, or the bootstrap samples."""
        return self.errors != "jackknife"

    def estimate(self, request: Request) -> Result:
        """Rows of the estimands asked for; weights and trajectories as frames.

        Raises:
            DataError: D05, D06, D08, E01, E06, P02 missing unit-periods.
            IdentificationError: E04 no untreated unit, E05 too few periods before
                treatment, E11 other fixed effects, I01 nobody treated, I08 too few
                units for these standard errors, I09 rows repeat.
            NumericalError: N02 one control has all the weight (jackknife).
        """
        from estimators._synthetic.did import DidOptions, synthetic_did

        return synthetic_did(
            request,
            DidOptions(
                self.errors,
                self.replications,
                self.covariates,
                self.solver,
                self.window,
            ),
        )
