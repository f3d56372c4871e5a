"""Two-stage least squares with fixed effects."""

from __future__ import annotations

from math import isfinite
from typing import ClassVar

from pydantic import Field, model_validator

from estimators._linear.options import SmallSample
from framework.contract import Estimator, Needs, Request
from framework.result import Result


class Iv2sls(Estimator):
    """Effect of the treatment as far as the instruments move it.

    With one binary instrument that moves treatment in one direction, the coefficient is
    the average effect on those whom it moves (the compliers); with a dose, several
    instruments or controls it is a weighted mean of such effects, and negative weights
    are excluded only if the controls are saturated. First stage, reduced form and tests
    that hold with weak instruments stand beside it.
    """

    paper: ClassVar[str] = (
        "Imbens and Angrist (1994), Econometrica 62(2); Kleibergen and Paap (2006), "
        "J. Econometrics 133(1); Montiel Olea and Pflueger (2013), JBES 31(3); Anderson "
        "and Rubin (1949), Ann. Math. Stat. 20(1); Lee, McCrary, Moreira and Porter "
        "(2022), AER 112(10); Conley, Hansen and Rossi (2012), REStat 94(1); Davidson "
        "and MacKinnon (2010), JBES 28(1) for the bootstrap"
    )
    estimands: ClassVar[tuple[str, ...]] = ("late",)
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel", "repeated_cross_sections", "cross_section"}),
        uses=frozenset(
            {"controls", "fixed_effects", "instruments", "weights", "inference"}
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
        requires=frozenset({"instruments"}),
    )

    small_sample: SmallSample = Field(
        default_factory=SmallSample,
        description="Small-sample convention of the covariance matrix.",
    )

    direct_effect: tuple[float, float] | None = Field(
        default=None,
        description="Bounds of the instrument's own effect on the outcome, which the "
        "exclusion restriction says is zero; outcome units per unit of the instrument. "
        "One treatment, one instrument.",
    )

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Iv2sls:
        bounds = self.direct_effect
        if bounds is not None and not (
            isfinite(bounds[0]) and isfinite(bounds[1]) and bounds[0] <= bounds[1]
        ):
            raise ValueError("direct_effect must go from low to high")
        return self

    def estimate(self, request: Request) -> Result:
        """Second stage first, then instruments in the first stage and reduced form.

        Raises:
            DataError: D03, D05, D06, D08.
            IdentificationError: I01 to I05, I08, I09; V02 to V05 of the instruments.
            NumericalError: N01 to N04.
        """
        from estimators._iv.report import instrumented

        return instrumented(
            request,
            self.small_sample,
            direct_effect=self.direct_effect,
            min_clusters=self.needs.min_clusters,
        )
