"""Local G and G*: where high or low values concentrate."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from framework.contract import Estimator, Needs, Request
from framework.result import Result


class LocalGetisOrd(Estimator):
    """Hot and cold spots of a positive quantity, unit by unit and period by period.

    The frame `local_getis_ord` has G_i, the share of all values that is near unit i, its z
    and p value, and a p value by conditional permutation.
    """

    main: ClassVar[str | None] = "star"
    paper: ClassVar[str] = (
        "Getis and Ord (1992), Geographical Analysis 24(3); Ord and Getis (1995), "
        "Geographical Analysis 27(4)"
    )
    estimates: ClassVar[Literal["treatment", "diagnostic"]] = "diagnostic"
    estimands: ClassVar[tuple[str, ...]] = ("description",)
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel"}),
        uses=frozenset({"spatial_weights"}),
        requires=frozenset({"spatial_weights"}),
        treatment=False,
        balanced=True,
    )

    random: ClassVar[bool] = True  # the permutations

    star: bool = Field(
        default=True,
        description="G*, in which a unit counts itself with its largest weight; false: "
        "G, its neighbours alone.",
    )
    permutations: int = Field(
        default=999, ge=99, le=99_999, description="Conditional permutations per unit."
    )
    level: float = Field(
        default=0.05, gt=0, lt=1, description="Level at which a spot is named."
    )

    def estimate(self, request: Request) -> Result:
        """Frames `local_getis_ord` and `clusters`.

        Raises:
            DataError: D05, D06, D08 values that are not positive, P02, S01.
            NumericalError: N02 a unit that sees everybody alike.
        """
        from estimators._spatial.autocorrelation import local_concentration

        return local_concentration(
            request, star=self.star, permutations=self.permutations, level=self.level
        )
