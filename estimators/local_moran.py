"""Local Moran's I: which units stand among units like them."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from framework.contract import Estimator, Needs, Request
from framework.result import Result


class LocalMoran(Estimator):
    """Local spatial correlation of every unit and period, with its quadrant.

    The frame `local_moran` has the local I, the standardised value and its spatial lag
    (the points of the Moran scatter), the quadrant, a p value by conditional
    permutation, and the cluster at `level`; `clusters` counts them by period. Figures:
    the Moran scatter of one period, and its clusters on a map of points where the matrix
    knows the units' places.
    """

    main: ClassVar[str | None] = "of"
    paper: ClassVar[str] = "Anselin (1995), Geographical Analysis 27(2)"
    estimates: ClassVar[Literal["treatment", "diagnostic"]] = "diagnostic"
    estimands: ClassVar[tuple[str, ...]] = ("description",)
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel"}),
        uses=frozenset({"controls", "fixed_effects", "spatial_weights"}),
        requires=frozenset({"spatial_weights"}),
        treatment=False,
        balanced=True,
    )

    random: ClassVar[bool] = True  # the permutations

    of: Literal["outcome", "residuals"] = Field(
        default="outcome",
        description="The outcome as it is, or what treatment, controls and fixed effects "
        "leave of it.",
    )
    permutations: int = Field(
        default=999, ge=99, le=99_999, description="Conditional permutations per unit."
    )
    level: float = Field(
        default=0.05, gt=0, lt=1, description="Level at which a cluster is named."
    )
    period: int | None = Field(
        default=None, description="Period of the two figures; the last one by default."
    )

    def demands(self) -> Needs:
        """The outcome as it is has no effects taken out."""
        if self.of == "residuals":
            return self.needs
        return replace(self.needs, uses=self.needs.requires)

    def estimate(self, request: Request) -> Result:
        """Frames `local_moran` and `clusters`.

        Raises:
            DataError: D05, D06, P02, S01, T04 no such period.
        """
        from estimators._spatial.autocorrelation import local_autocorrelation

        return local_autocorrelation(
            request,
            of=self.of,
            permutations=self.permutations,
            level=self.level,
            period=self.period,
        )
