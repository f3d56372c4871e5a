"""Options that estimators of staggered adoption share."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from framework.contract import Estimator, Needs


class Windowed(Estimator):
    """A window of event times that is in order, if there is one."""

    @field_validator("window", check_fields=False)
    @classmethod
    def _window_in_order(cls, window: tuple[int, int] | None) -> tuple[int, int] | None:
        if window is not None and not window[0] <= window[1]:
            raise ValueError("window must go from low to high")
        return window


class Staggered(Windowed):
    """Simultaneous bands on request."""

    bootstrap: int = Field(
        default=0,
        ge=0,
        description="Multiplier bootstrap draws for bands that hold for all effects at "
        "once (frame `bands`); 0 = none. Standard errors stay analytic.",
    )

    def is_random(self) -> bool:
        """The draws of the simultaneous bands."""
        return self.bootstrap > 0


class Counterfactual(Windowed):
    """Treated rows beside what a model of untreated rows predicts for them."""

    estimands: ClassVar[tuple[str, ...]] = (
        "att",
        "by_event_time",
        "by_cohort",
        "by_period",
    )
    needs: ClassVar[Needs] = Needs(
        uses=frozenset({"controls", "inference", "fixed_effects"}),
        inference=frozenset({"cluster"}),
        binary=True,
        absorbing=True,
    )

    pretrends: int = Field(
        default=3,
        ge=1,
        description="Leads before treatment (and anticipation) that are held out: one at "
        "a time for the effects shown and for cross-validation, together for the "
        "placebo and equivalence tests.",
    )
    equivalence: float = Field(
        default=0.36,
        gt=0,
        description="Largest irrelevant effect before treatment in the equivalence "
        "test, in standard deviations of the two-way residuals.",
    )
    window: tuple[int, int] | None = Field(
        default=None, description="First and last event time shown; none = all."
    )
    always_treated: Literal["drop"] | None = Field(
        default=None,
        description="Units treated in all their periods: the study must say that they "
        "are dropped.",
    )
