"""Effects as a function of the dose (Callaway, Goodman-Bacon and Sant'Anna 2024)."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from estimators._staggered.options import Staggered
from framework.contract import Needs, Request
from framework.result import Result

Dose = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ContinuousDid(Staggered):
    """The effect by dose ATT(d), its slope ACRT(d), and the means of both.

    Units get a dose of their own from some period on, or none. In every cohort and
    period the change of the outcome since the base period, less that of units without a
    dose (yet), is regressed on B-splines of the dose, or on one column for every dose.
    """

    main: ClassVar[str | None] = "degree"
    paper: ClassVar[str] = (
        "Callaway, Goodman-Bacon and Sant'Anna (2024), Difference-in-differences with a "
        "continuous treatment, NBER working paper 32117"
    )
    estimands: ClassVar[tuple[str, ...]] = (
        "att",
        "acrt",
        "att_dose",
        "slope_dose",
        "dose_response",
        "by_event_time",
    )
    needs: ClassVar[Needs] = Needs(
        uses=frozenset({"controls", "weights", "inference", "fixed_effects"}),
        inference=frozenset({"cluster"}),
    )

    basis: Literal["spline", "levels"] = Field(
        default="spline",
        description="ATT(d) is a spline in the dose, or has a value of its own for every "
        "dose that occurs (few doses: differences of means).",
    )
    degree: int = Field(
        default=3,
        ge=1,
        le=5,
        description="Degree of the spline; 1 = a line. Levels have none.",
    )
    knots: int | tuple[Dose, ...] = Field(
        default=0,
        description="Knots inside the range of the doses: how many, at quantiles of the "
        "treated units' doses, or where, in units of the dose.",
    )
    doses: tuple[Dose, ...] = Field(
        default=(),
        description="Doses at which att_dose and slope_dose are printed; none = the "
        "10, 25, 50, 75 and 90% quantiles of the treated units' doses.",
    )
    residuals: Literal["hc0", "hc2", "hc3"] = Field(
        default="hc3",
        description="Standard errors of the curve: residuals of the regression on the "
        "dose as they are, or over the root of, or all of, one less their leverage, "
        "which is high where doses are rare.",
    )
    control_group: Literal["never_treated", "not_yet_treated"] = Field(
        default="not_yet_treated",
        description="Controls: units that never get a dose, or also those that get it "
        "later than the period compared.",
    )
    base_period: Literal["universal", "varying"] = Field(
        default="universal",
        description="Effects before treatment are measured from the last period before "
        "treatment (and anticipation), or from the period before their own.",
    )
    overall: Literal["by_cohort", "simple"] = Field(
        default="by_cohort",
        description="Weights of cohorts and periods: cohorts by size, and their periods "
        "alike; or all cells by the size of the cohort, which counts early cohorts more.",
    )
    window: tuple[int, int] | None = Field(
        default=None,
        description="First and last event time shown and tested; none = all.",
    )
    always_treated: Literal["drop"] | None = Field(
        default=None,
        description="Units with a dose in all their periods: they have no base period, "
        "so the study must say that they are dropped.",
    )

    @field_validator("knots")
    @classmethod
    def _rising(cls, value: int | tuple[float, ...]) -> int | tuple[float, ...]:
        if isinstance(value, int):
            if value < 0:
                raise ValueError("a number of knots is not negative")
        elif any(b <= a for a, b in pairwise(value)):
            raise ValueError("knots rise from one to the next")
        return value

    def estimate(self, request: Request) -> Result:
        """Rows of the estimands asked for; the curves in the frame `dose_response`.

        Raises:
            DataError: D03, D05, D06, D08; E01, E06 doses that start in a gap, change or
                are negative.
            IdentificationError: E04 no never-treated, E05 always-treated, E10 no effect
                or no dose in common, E11 other fixed effects, E15 no single dose, I01,
                I05, I08, I09, I11 a curve that the doses can't carry.
        """
        from estimators._staggered.dose_response import DoseOptions, dose_response
        from estimators._staggered.group_time import GroupTimeOptions

        return dose_response(
            request,
            DoseOptions(
                self.basis,
                self.degree,
                self.knots,
                self.doses,
                self.residuals,
                GroupTimeOptions(
                    "regression",
                    self.control_group,
                    self.base_period,
                    self.window,
                    self.overall,
                    self.always_treated,
                    self.bootstrap,
                ),
            ),
            min_clusters=self.needs.min_clusters,
        )
