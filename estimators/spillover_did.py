"""A difference-in-differences judged beside spillovers."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from framework.contract import Estimator, Needs, Request
from framework.result import Result


class SpilloverDid(Estimator):
    """Whether controls are exposed to their neighbours' treatment, and what that changes.

    The treatment's coefficient with W × treatment in the model (equation `main`, with the
    spillover below it), without it (`without_exposure`) and without controls that have a
    treated neighbour (`donut`). The notes say how much of W × treatment the fixed effects
    leave, and what follows for the difference-in-differences.
    """

    random: ClassVar[bool] = True  # the signs of the CD test with period effects
    paper: ClassVar[str] = (
        "Butts (2021), Difference-in-differences with spatial spillovers; Delgado and "
        "Florax (2015), Economics Letters 137; Juodis and Reese (2022), Journal of Business "
        "& Economic Statistics 40(3)"
    )
    estimands: ClassVar[tuple[str, ...]] = ("coefficient",)
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel"}),
        uses=frozenset({"controls", "fixed_effects", "inference", "spatial_weights"}),
        inference=frozenset({"iid", "hetero", "cluster"}),
        requires=frozenset({"spatial_weights"}),
        balanced=True,
    )

    level: float = Field(
        default=0.05, gt=0, lt=1, description="Level at which a spillover is found."
    )
    least_share: float = Field(
        default=0.10,
        gt=0,
        lt=1,
        description="Below this share of its variance left, W × treatment says nothing.",
    )

    def estimate(self, request: Request) -> Result:
        """The three estimates, the spillover and the evidence.

        Raises:
            DataError: D05, D06, P02, S01.
            IdentificationError: I01 to I05, I08, I09, X20.
            NumericalError: N02.
        """
        from estimators._spatial.did import spillover_did

        return spillover_did(
            request,
            level=self.level,
            least_share=self.least_share,
            min_clusters=self.needs.min_clusters,
        )
