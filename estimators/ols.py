"""Ordinary least squares, for cross-sections and whatever has no unit to follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from estimators._linear.options import SmallSample
from framework.contract import Estimator, Needs, Request
from framework.result import Result

if TYPE_CHECKING:
    import numpy as np


class Ols(Estimator):
    """Linear regression of the outcome on the treatment and controls.

    The engine of `twfe` without leads and lags: fixed effects are absorbed where there
    are any, otherwise a constant is estimated and reported. The coefficient is an
    effect only if treatment is as good as random given the controls.
    """

    paper: ClassVar[str] = (
        "Angrist and Pischke (2009), Mostly Harmless Econometrics, ch. 3 and 8; "
        "MacKinnon and White (1985), J. Econometrics 29(3) for HC1 to HC3"
    )
    estimands: ClassVar[tuple[str, ...]] = ("att", "coefficient", "interaction")
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel", "repeated_cross_sections", "cross_section"}),
        uses=frozenset(
            {
                "controls",
                "fixed_effects",
                "interact",
                "weights",
                "inference",
            }
        ),
        inference=frozenset(
            {
                "iid",
                "hetero",
                "cluster",
                "wild_bootstrap",
                "newey_west",
                "driscoll_kraay",
                "conley",
            }
        ),
        cluster=frozenset({"CV1", "CV3"}),
        hetero=frozenset({"HC1", "HC2", "HC3"}),
    )

    small_sample: SmallSample = Field(
        default_factory=SmallSample,
        description="Small-sample convention of the covariance matrix.",
    )

    def estimate(self, request: Request) -> Result:
        """Fit, report judged rows first, then controls and the constant.

        Raises:
            DataError: D03, D05, D06.
            IdentificationError: I01 to I05, I08, I09.
            NumericalError: N01 to N03.
        """
        from estimators._linear.regression import regress

        return regress(request, self.small_sample, min_clusters=self.needs.min_clusters)

    def estimate_draws(
        self, request: Request, treatments: np.ndarray[Any, Any]
    ) -> np.ndarray[Any, Any] | None:
        """All draws at once: fixed effects are removed in blocks (see `redraw`)."""
        from estimators._linear.redraw import redraw

        return redraw(
            request, self.small_sample, treatments, min_clusters=self.needs.min_clusters
        )
