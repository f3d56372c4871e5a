"""Spatial lag of X with a distance decay that the data choose."""

from __future__ import annotations

from typing import ClassVar

from framework.contract import Estimator, Needs, Request
from framework.result import Result


class SlxDecay(Estimator):
    """Spillovers whose reach is estimated: y = X b + W(g) X theta + fixed effects.

    Weights are those of the matrix to the power g, rows summing to one, so that with
    inverse distances of power 1 g is the exponent of the distance. No lag of the outcome
    is assumed: what spills over is what the neighbours' covariates say.
    """

    paper: ClassVar[str] = (
        "Halleck Vega and Elhorst (2015), The SLX model, J. of Regional Science 55(3)"
    )
    estimands: ClassVar[tuple[str, ...]] = ("coefficient",)
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel"}),
        uses=frozenset({"controls", "fixed_effects", "inference", "spatial_weights"}),
        inference=frozenset({"iid", "hetero", "cluster"}),
        requires=frozenset({"spatial_weights"}),
        balanced=True,
    )

    def estimate(self, request: Request) -> Result:
        """Coefficients, spillovers `W × …` and the exponent `decay`.

        Raises:
            DataError: D05, D06, P02, S01.
            IdentificationError: I01 to I05, I08, I09, X20.
            NumericalError: N02, N05 no interior best exponent.
        """
        from estimators._spatial.decay import slx_decay

        return slx_decay(request, min_clusters=self.needs.min_clusters)
