"""Which spatial model: Lagrange multiplier, likelihood ratio and Wald tests."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from framework.contract import Estimator, Needs, Request
from framework.result import Result


class SpatialSelection(Estimator):
    """From the model without spatial lags to the Durbin model, by Elhorst's path.

    LM and robust LM tests inside the fixed effects; LR and Wald tests of the Durbin
    model against SAR and SEM; fixed against random unit effects (Hausman, and Mundlak's
    test where Hausman's is undefined); information criteria. The notes say which model is
    selected and why, step by step.
    """

    main: ClassVar[str | None] = "level"
    random: ClassVar[bool] = True  # the signs of the CD test with period effects
    paper: ClassVar[str] = (
        "Elhorst (2014), Spatial Econometrics, p. 57-61; Anselin, Le Gallo and Jayet "
        "(2008), in The Econometrics of Panel Data; Pesaran (2021), Empirical Economics "
        "60(1); Juodis and Reese (2022), Journal of Business & Economic Statistics "
        "40(3); Hausman (1978), Econometrica 46(6); Mundlak (1978), Econometrica 46(1)"
    )
    estimates: ClassVar[Literal["treatment", "diagnostic"]] = "diagnostic"
    estimands: ClassVar[tuple[str, ...]] = ("description",)
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel"}),
        uses=frozenset({"controls", "fixed_effects", "spatial_weights"}),
        requires=frozenset({"spatial_weights"}),
        balanced=True,
    )

    level: float = Field(
        default=0.05, gt=0, lt=1, description="Level of all tests on the path."
    )
    correction: Literal["lee_yu", "elhorst", "none"] = Field(
        default="lee_yu",
        description="Against the bias from fixed effects, as in spatial_panel.",
    )

    def estimate(self, request: Request) -> Result:
        """Tests, models side by side, the path in words.

        Raises:
            DataError: D05, D06, P02, S01.
            IdentificationError: I02 to I04, I09, S03, X20.
            NumericalError: N05.
        """
        from estimators._spatial.selection import spatial_selection

        return spatial_selection(request, self.correction, level=self.level)
