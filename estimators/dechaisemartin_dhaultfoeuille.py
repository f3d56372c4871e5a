"""Effects of a first change of treatment (de Chaisemartin and D'Haultfoeuille)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from framework.contract import Estimator, Needs, Request
from framework.result import Result


class DechaisemartinDhaultfoeuille(Estimator):
    """Event-study effects where treatment may go up and down, or take many values.

    A unit whose treatment changes is compared, from the period before the change to l
    periods on, with units of the same period-one treatment that have not changed yet
    (DID_l). Units may switch on or off, more than once, and in steps of any size.
    """

    main: ClassVar[str | None] = "window"
    paper: ClassVar[str] = (
        "de Chaisemartin and D'Haultfoeuille (2024), Rev. Economics and Statistics "
        "(doi 10.1162/rest_a_01414); (2020), Am. Economic Review 110(9) on DID_M"
    )
    estimands: ClassVar[tuple[str, ...]] = ("att", "by_event_time")
    needs: ClassVar[Needs] = Needs(
        uses=frozenset({"controls", "weights", "inference", "fixed_effects"}),
        inference=frozenset({"cluster"}),
    )

    window: tuple[int, int] | None = Field(
        default=None,
        description="First and last event time: l - 1 is the effect l (0 = the period of "
        "the change), -1 - k the placebo k; `att` averages the effects in it. None = all "
        "that have a control.",
    )
    switchers: Literal["both", "up", "down"] = Field(
        default="both",
        description="Whose effects are averaged: of units whose treatment first rises, "
        "first falls, or both (effects of a fall with the opposite sign).",
    )
    control_group: Literal["not_yet_switched", "never_switched"] = Field(
        default="not_yet_switched",
        description="Controls: units that have not changed treatment by the period "
        "compared, or those that never do.",
    )
    same_switchers: bool = Field(
        default=False,
        description="Only switchers that have every effect of the window, so that effects "
        "by event time differ by time and not by who is in.",
    )
    normalized: bool = Field(
        default=False,
        description="Effects by event time per unit of treatment received since the "
        "change, cumulated over its periods.",
    )
    bootstrap: int = Field(
        default=0,
        ge=0,
        description="Multiplier bootstrap draws for bands that hold for all effects at "
        "once (frame `bands`); 0 = none. Standard errors stay analytic.",
    )

    @model_validator(mode="after")
    def _window_around_the_change(self) -> DechaisemartinDhaultfoeuille:
        if self.window is not None and not self.window[0] <= 0 <= self.window[1]:
            raise ValueError("window must hold event time 0, the period of the change")
        return self

    def is_random(self) -> bool:
        """The draws of the simultaneous bands."""
        return self.bootstrap > 0

    def estimate(self, request: Request) -> Result:
        """`att` per unit of treatment, effects and placebos by event time.

        Raises:
            DataError: D03, D05, D06, D08.
            IdentificationError: E10 no effect, E11 other fixed effects, slopes or
                treatments, I01, I05, I08 few switchers, I09, I11 covariates that the
                controls say nothing about.
        """
        from estimators._staggered.switchers import SwitcherOptions, switchers

        return switchers(
            request,
            SwitcherOptions(
                self.window,
                self.switchers,
                self.control_group == "never_switched",
                self.same_switchers,
                self.normalized,
                self.bootstrap,
            ),
            min_clusters=self.needs.min_clusters,
        )
