"""Dynamic spatial panel: the outcome depends on its own and its neighbours' past."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from framework.contract import Estimator, Needs, Request
from framework.result import Result


class DynamicSpatialPanel(Estimator):
    """Spatial lag or Durbin model with lagged outcomes, corrected for its bias.

    y_t = rho W y_t + tau y_(t-1) + eta W y_(t-1) + X_t beta + W X_t theta + effects + e_t
    by quasi maximum likelihood. `direct`, `indirect` and `total` are effects in the same
    period; equation `long_run` has those of a lasting change.
    """

    main: ClassVar[str | None] = "lag"
    paper: ClassVar[str] = (
        "Yu, de Jong and Lee (2008), J. Econometrics 146(1); Lee and Yu (2010), "
        "Econometric Theory 26(2)"
    )
    estimands: ClassVar[tuple[str, ...]] = (
        "coefficient",
        "direct",
        "indirect",
        "total",
    )
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel"}),
        uses=frozenset({"controls", "fixed_effects", "inference", "spatial_weights"}),
        inference=frozenset({"iid"}),
        requires=frozenset({"spatial_weights", "fixed_effects"}),
        balanced=True,
    )

    lag: Literal["outcome", "all"] = Field(
        default="all",
        description="What is lagged in space: outcome, or all (Durbin: covariates too).",
    )
    correction: bool = Field(
        default=True,
        description="Take out the bias of order 1 / T that the lagged outcome brings.",
    )

    def estimate(self, request: Request) -> Result:
        """Coefficients, short-run and long-run effects.

        Raises:
            DataError: D05, D06, P02, S01.
            IdentificationError: I01 to I04, I08, I09, S03, X20.
            NumericalError: N02, N05 no interior maximum or an explosive process, N06.
        """
        from estimators._spatial.dynamic import dynamic_spatial_panel

        return dynamic_spatial_panel(
            request, durbin=self.lag == "all", correction=self.correction
        )
