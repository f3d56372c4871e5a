"""Synthetic control (Abadie, Diamond and Hainmueller 2010)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from framework.contract import Estimator, Needs, Request
from framework.result import Result


class SyntheticControl(Estimator):
    """The treated beside a weighted average of untreated units that followed them.

    Donors' weights are not negative and sum to one. They follow the outcome in every
    period before treatment, or predictors (controls and outcomes averaged over declared
    windows) whose importance is chosen by the fit of the outcome before treatment.
    """

    main: ClassVar[str | None] = "importance"
    paper: ClassVar[str] = "Abadie, Diamond and Hainmueller (2010), JASA 105(490)"
    estimands: ClassVar[tuple[str, ...]] = ("att", "by_event_time")
    acknowledges: ClassVar[tuple[str, ...]] = ("onset_in_gap",)
    needs: ClassVar[Needs] = Needs(
        uses=frozenset({"controls", "fixed_effects"}),
        binary=True,
        absorbing=True,
        balanced=True,
    )

    importance: Literal["nested", "regression", "equal"] = Field(
        default="nested",
        description="Importance V of the predictors: searched for the best fit of the "
        "outcome before treatment; from regressions of the outcome on them; equal.",
    )
    outcomes: tuple[int | tuple[int, int], ...] | None = Field(
        default=None,
        description="Periods, or first and last of windows, whose (mean) outcomes are "
        "predictors: `[1975, 1980, [1985, 1988]]`. None: every period without controls, "
        "with controls the mean of all periods before treatment.",
    )
    averages: dict[str, tuple[int, int]] = Field(
        default_factory=dict,
        description="Control -> first and last period over which it is averaged; all "
        "periods before treatment where it is not named.",
    )
    placebos: int = Field(
        default=200,
        ge=10,
        description="Placebos in space. One treated unit: every donor, if they are no "
        "more than this.",
    )
    evaluations: int = Field(
        default=200,
        ge=20,
        description="Evaluations by the nested search from each of its two starts "
        "(equal importance, regressions).",
    )
    window: tuple[int, int] | None = Field(
        default=None,
        description="First and last event time shown; none = all.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> SyntheticControl:
        spans = [w for w in self.outcomes or () if not isinstance(w, int)]
        spans += [*self.averages.values(), *([self.window] if self.window else [])]
        if any(low > high for low, high in spans):
            raise ValueError("a window must go from low to high")
        if self.outcomes == ():
            raise ValueError("outcomes has no period; leave it out for the default")
        return self

    def is_random(self) -> bool:
        """The choice of placebos where they are not all."""
        return True

    def estimate(self, request: Request) -> Result:
        """Rows of the estimands asked for, the placebo test, weights as frames.

        Raises:
            DataError: D05, D06, D07 windows, D08, E01, E06, P02 missing unit-periods.
            IdentificationError: E04 no untreated unit, E05 too few periods before
                treatment, E08 several adoption dates, E11 other fixed effects, I01
                nobody treated, I08 too few donors, I09 rows repeat.
        """
        from estimators._synthetic.control import ControlOptions, synthetic_control

        return synthetic_control(
            request,
            ControlOptions(
                self.importance,
                self.outcomes,
                self.averages,
                self.placebos,
                self.evaluations,
                self.window,
            ),
        )
