"""Two-way fixed effects: least squares with unit, period and other fixed effects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, field_validator

from estimators._linear.options import SmallSample
from framework.contract import Assignments, Estimator, Needs, Request
from framework.result import Result

if TYPE_CHECKING:
    import numpy as np


class Twfe(Estimator):
    """Regression of the outcome on the treatment with fixed effects absorbed.

    With one adoption date and parallel trends the coefficient is the average effect on
    the treated; with staggered adoption and effects that differ or grow it is a
    weighted mean in which weights can be negative (Goodman-Bacon 2021): run
    `goodman_bacon`, or a group-time estimator, beside it.
    """

    paper: ClassVar[str] = (
        "Wooldridge (2010), Econometric Analysis of Cross Section and Panel Data, "
        "ch. 10; Goodman-Bacon (2021), J. Econometrics 225(2); Cameron, Gelbach and "
        "Miller (2011), JBES 29(2) for two-way clusters"
    )
    estimands: ClassVar[tuple[str, ...]] = ("att", "coefficient", "interaction")
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel", "repeated_cross_sections"}),
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
                "ferman_pinto",
                "newey_west",
                "driscoll_kraay",
                "conley",
            }
        ),
        cluster=frozenset({"CV1", "CV3"}),
    )

    leads: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(),
        description="Periods before treatment whose dummies enter as tests of "
        "anticipation, e.g. [1, 2].",
    )
    lags: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(),
        description="Periods after treatment that enter beside it, e.g. [1, 2].",
    )
    small_sample: SmallSample = Field(
        default_factory=SmallSample,
        description="Small-sample convention of the covariance matrix.",
    )

    @field_validator("leads", "lags")
    @classmethod
    def _once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each period may be named once")
        return tuple(sorted(value))

    def estimate(self, request: Request) -> Result:
        """Fit, report judged rows first, then leads, lags, controls.

        Raises:
            DataError: D03, D05, D06.
            IdentificationError: I01 to I05, I08 to I10.
            NumericalError: N01 to N03.
        """
        from estimators._linear.regression import regress

        result = regress(
            request,
            self.small_sample,
            orders=[*(-k for k in self.leads), *self.lags],
            min_clusters=self.needs.min_clusters,
        )
        ahead = request.treatment.anticipation if request.treatment else 0
        if set(range(1, ahead + 1)) <= set(self.leads):
            return result
        note = (
            f"Anticipation of {ahead} periods is not used: rows in it count as "
            "untreated. estimator.leads gives them coefficients."
        )
        return replace(result, notes=(*result.notes, note))

    def estimate_assignments(
        self, request: Request, assignments: Assignments
    ) -> np.ndarray[Any, Any] | None:
        """Unit by unit where unit and period effects are all (see `reassign`)."""
        if self.leads or self.lags:
            return self._shifted(request, assignments)
        from estimators._linear.reassign import reassign

        return reassign(
            request,
            self.small_sample,
            assignments,
            min_clusters=self.needs.min_clusters,
        )

    def estimate_draws(
        self, request: Request, treatments: np.ndarray[Any, Any]
    ) -> np.ndarray[Any, Any] | None:
        """All draws at once: fixed effects are removed in blocks (see `redraw`).

        Leads and lags need the first treated periods: `estimate_assignments`.
        """
        if self.leads or self.lags:
            return None
        from estimators._linear.redraw import redraw

        return redraw(
            request, self.small_sample, treatments, min_clusters=self.needs.min_clusters
        )

    def _shifted(
        self, request: Request, assignments: Assignments
    ) -> np.ndarray[Any, Any] | None:
        """Leads and lags move with the first treated period of the draw."""
        treatment = request.treatment
        if treatment is None or treatment.judged != treatment.columns:
            return None
        from estimators._linear.since import LeadsAndLags, reassign_since

        orders = (*(-k for k in self.leads), *self.lags)
        return reassign_since(
            request,
            self.small_sample,
            assignments,
            LeadsAndLags(orders),
            min_clusters=self.needs.min_clusters,
        )
