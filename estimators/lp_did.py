"""Local-projections difference-in-differences (Dube, Girardi, Jordà and Taylor)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from estimators._staggered.options import Staggered
from framework.contract import Needs, Request
from framework.result import Result


class LpDid(Staggered):
    """A regression of the long difference on the switch, per horizon, clean controls.

    At horizon h the change of the outcome from the last period before treatment is
    regressed on starting treatment, with period effects, among units that start then
    and units still untreated at the horizon.
    """

    main: ClassVar[str | None] = "window"
    paper: ClassVar[str] = (
        "Dube, Girardi, Jordà and Taylor (2025), J. Applied Econometrics 40(5); NBER WP "
        "31184"
    )
    estimands: ClassVar[tuple[str, ...]] = ("att", "by_event_time")
    needs: ClassVar[Needs] = Needs(
        uses=frozenset({"controls", "weights", "inference", "fixed_effects"}),
        inference=frozenset({"cluster"}),
        binary=True,
        absorbing=True,
    )

    window: tuple[int, int] | None = Field(
        default=None, description="First and last horizon; none = all that occur."
    )
    weighting: Literal["treated", "variance"] = Field(
        default="treated",
        description="At every horizon cohorts weigh by their treated units (the paper's "
        "reweighted regression), or by variance, as plain least squares does.",
    )
    always_treated: Literal["drop"] | None = Field(
        default=None,
        description="Units treated in all their periods: they never switch, so the "
        "study must say that they are dropped.",
    )

    def estimate(self, request: Request) -> Result:
        """Rows of the estimands asked for; cohorts' weights in the frame `stacks`.

        Raises:
            DataError: D03, D05, D06, D08, E01, E06.
            IdentificationError: E05 always-treated, E10 no clean controls, E11 other
                fixed effects, I01, I05, I08, I09.
        """
        from estimators._staggered.stacks import ProjectionOptions, local_projections

        return local_projections(
            request,
            ProjectionOptions(
                self.window, self.weighting, self.always_treated, self.bootstrap
            ),
            min_clusters=self.needs.min_clusters,
        )
