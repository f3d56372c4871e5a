"""Spatial panel models by exact maximum likelihood, with direct and indirect effects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from framework.contract import Estimator, Needs, Request
from framework.result import Result

if TYPE_CHECKING:
    from typing import Self

Role = Literal["outcome", "covariates", "errors"]
_ROLES: dict[str, tuple[Role, ...]] = {
    "none": (),
    "outcome": ("outcome",),
    "covariates": ("covariates",),
    "errors": ("errors",),
    "all": ("outcome", "covariates"),
}


class SpatialPanel(Estimator):
    """SAR, SEM, SLX, Durbin and combined models with unit, time or both effects.

    The likelihood is exact: spatial lags are taken before the fixed effects are taken
    out, and the log-determinant comes from eigenvalues. A coefficient of a model with a
    lag of the outcome is no marginal effect; `direct`, `indirect` and `total` are, with
    standard errors by the delta method, for weights of any normalisation.
    """

    main: ClassVar[str | None] = "lag"
    paper: ClassVar[str] = (
        "Anselin (1988), Spatial Econometrics, ch. 6 and 10; Lee and Yu (2010), J. "
        "Econometrics 154(2); Elhorst (2014), Spatial Econometrics, ch. 3; LeSage and "
        "Pace (2009), Introduction to Spatial Econometrics, ch. 2; Kelejian and Prucha "
        "(1998), J. of Real Estate Finance and Economics 17(1)"
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
        inference=frozenset({"iid", "hetero", "cluster"}),
        requires=frozenset({"spatial_weights"}),
        balanced=True,
    )

    lag: (
        Literal["none", "outcome", "covariates", "errors", "all"] | tuple[Role, ...]
    ) = Field(
        description="What is lagged: outcome (SAR), errors (SEM), covariates (SLX), "
        "all (SDM: outcome and covariates), none, or a list such as [covariates, "
        "errors] (SDEM) or [outcome, errors] (SAC)."
    )
    correction: Literal["lee_yu", "elhorst", "none"] = Field(
        default="lee_yu",
        description="Against the bias from fixed effects: Lee and Yu's transformation; "
        "their formula for the bias, as Elhorst gives it; none (dummies).",
    )

    method: Literal["ml", "gm"] = Field(
        default="ml",
        description="Maximum likelihood, or spatial two-stage least squares (models with "
        "a lag of the outcome and none of the errors): no distribution of the errors is "
        "assumed, and variances may differ between units.",
    )
    simulations: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="Draws of the parameters for simulated standard errors of direct, "
        "indirect and total effects (LeSage and Pace), beside the delta method; 0 = "
        "none. Drawn with the study's seed.",
    )

    @field_validator("lag")
    @classmethod
    def _once(cls, value: object) -> object:
        if isinstance(value, tuple):
            if not value or len(set(value)) < len(value):
                raise ValueError("each of outcome, covariates, errors once")
            return tuple(sorted(value, key=("outcome", "covariates", "errors").index))
        return value

    @model_validator(mode="after")
    def _instrumented(self) -> Self:
        if self.method == "gm" and (
            "outcome" not in self.roles or "errors" in self.roles
        ):
            raise ValueError(
                "method: gm instruments a lag of the outcome; lag: outcome, all or "
                "[outcome, covariates]"
            )
        return self

    def is_random(self) -> bool:
        """Without simulations nothing is drawn."""
        return self.simulations > 0

    @property
    def roles(self) -> tuple[Role, ...]:
        """What is lagged, in the order of the model."""
        return self.lag if isinstance(self.lag, tuple) else _ROLES[self.lag]

    def demands(self) -> Needs:
        """Without lags no matrix is needed."""
        if self.roles:
            return self.needs
        return replace(self.needs, requires=frozenset())

    def gives(self) -> tuple[str, ...]:
        """Impacts where a lag reaches the outcome."""
        if set(self.roles) & {"outcome", "covariates"}:
            return self.estimands
        return self.estimands[:1]

    def estimate(self, request: Request) -> Result:
        """Coefficients (rho and lambda among them) and impacts, what is asked first.

        Raises:
            DataError: D05, D06, P02 missing unit-periods, S01.
            IdentificationError: I01 to I05, I08, I09, S03, X20.
            NumericalError: N02, N05 no maximum inside the parameter space.
        """
        from estimators._spatial.report import spatial_panel

        return spatial_panel(
            request,
            self.roles,
            self.correction,
            min_clusters=self.needs.min_clusters,
            simulations=self.simulations,
            method=self.method,
        )
