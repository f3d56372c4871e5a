"""Event study: one coefficient per period since first treatment, by least squares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from estimators._linear.options import SmallSample
from framework.contract import Assignments, Estimator, Needs, Request
from framework.result import Result

if TYPE_CHECKING:
    from typing import Self

    import numpy as np


class EventStudy(Estimator):
    """Effects by event time relative to a reference period, never-treated as controls.

    Event time is the period minus the unit's first treated period; never-treated units
    have none. With effects that differ between cohorts a coefficient can pick up other
    periods' effects (Sun and Abraham 2021): put `sun_abraham` or
    `callaway_santanna` beside it.
    """

    main: ClassVar[str | None] = "window"
    paper: ClassVar[str] = (
        "Jacobson, LaLonde and Sullivan (1993), AER 83(4); Borusyak, Jaravel and "
        "Spiess (2024), REStud 91(6), sec. 3 on what is identified; Sun and Abraham "
        "(2021), J. Econometrics 225(2)"
    )
    estimands: ClassVar[tuple[str, ...]] = ("by_event_time", "att")
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel"}),
        uses=frozenset({"controls", "fixed_effects", "weights", "inference"}),
        inference=frozenset(
            {
                "iid",
                "hetero",
                "cluster",
                "wild_bootstrap",
                "ferman_pinto",
                "newey_west",
                "driscoll_kraay",
                "conley",
            }
        ),
        cluster=frozenset({"CV1", "CV3"}),
        binary=True,
        absorbing=True,
    )

    window: tuple[int, int] | None = Field(
        default=None,
        description="First and last event time shown; none = all that occur.",
    )
    reference: int | None = Field(
        default=None,
        description="Event time set to zero; its coefficient is left out. None = the "
        "last period before treatment, or before its anticipation: -1, or -(k + 1) with "
        "treatment.anticipation: k.",
    )
    ends: Literal["saturate", "bin", "drop"] = Field(
        default="saturate",
        description="Event times outside the window: own coefficients that are "
        "estimated but not shown; put into the window's end points; rows left out.",
    )
    always_treated: Literal["drop", "keep"] | None = Field(
        default=None,
        description="Units treated in all their periods: they have no period before "
        "treatment, so the study must say what becomes of them.",
    )
    small_sample: SmallSample = Field(
        default_factory=SmallSample,
        description="Small-sample convention of the covariance matrix.",
    )

    @model_validator(mode="after")
    def _window_holds_reference(self) -> Self:
        if self.window is None:
            if self.ends != "saturate":
                raise ValueError(f"ends: {self.ends} needs a window")
            return self
        low, high = self.window
        if not low < high:
            raise ValueError(f"window [{low}, {high}] must go from low to high")
        reference = -1 if self.reference is None else self.reference
        if not low <= reference <= high:
            raise ValueError(
                f"reference {reference} lies outside the window [{low}, {high}]"
            )
        return self

    def _base(self, request: Request) -> int:
        if self.reference is not None:
            return self.reference
        return -1 - (request.treatment.anticipation if request.treatment else 0)

    def estimate(self, request: Request) -> Result:
        """Fit; rows by event time (and the average after treatment), then controls.

        Raises:
            DataError: D03, D05, D06, E01 no cohort.
            IdentificationError: E02 reference, E04 no never-treated, E05
                always-treated, E07 anticipation, and those of `twfe`.
            NumericalError: N01 to N03.
        """
        from estimators._linear.events import Events, event_study

        return event_study(
            request,
            Events(self.window, self._base(request), self.ends, self.always_treated),
            self.small_sample,
            min_clusters=self.needs.min_clusters,
        )

    def estimate_assignments(
        self, request: Request, assignments: Assignments
    ) -> np.ndarray[Any, Any] | None:
        """Event times of the drawn first treated periods (see `since`)."""
        if self.ends == "drop":
            return None  # the draw decides which rows are used
        from estimators._linear.since import EventTimes, reassign_since

        return reassign_since(
            request,
            self.small_sample,
            assignments,
            EventTimes(
                self.window,
                self._base(request),
                self.ends == "bin",
                self.always_treated,
                request.estimand[:1] == ("att",),
            ),
            min_clusters=self.needs.min_clusters,
        )
