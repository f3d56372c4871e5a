"""Decomposition of the two-way fixed effects estimate into 2x2 comparisons."""

from __future__ import annotations

from typing import ClassVar, Literal

from framework.contract import Estimator, Needs, Request
from framework.result import Result


class GoodmanBacon(Estimator):
    """Which 2x2 comparisons the two-way fixed effects estimate consists of.

    Exact weights and estimates of every pair of cohorts. They sum to the two-way fixed
    effects coefficient of the same rows, which is checked. With controls it is the
    decomposition into pairs of cohorts and the variation within cohorts. Where no
    theorem holds (gaps in the panel, other fixed effects) it says so and stops.
    """

    paper: ClassVar[str] = (
        "Goodman-Bacon (2021), J. Econometrics 225(2), Theorem 1; section 5.2 with controls"
    )
    estimates: ClassVar[Literal["treatment", "diagnostic"]] = "diagnostic"
    estimands: ClassVar[tuple[str, ...]] = ("description",)
    needs: ClassVar[Needs] = Needs(
        uses=frozenset({"controls", "fixed_effects", "weights"}),
        binary=True,
        absorbing=True,
        balanced=True,
    )

    def estimate(self, request: Request) -> Result:
        """Comparisons, their weights and estimates, by pair and by kind.

        Raises:
            DataError: E01, E06 the first treated periods are not known or wrong.
            IdentificationError: E08 not applicable, and every reason why; I01 nobody
                or everybody is treated in every period; I02 controls absorb the
                treatment.
            NumericalError: N05 the comparisons do not sum to the regression.
        """
        from estimators._staggered.decomposition import decomposition

        return decomposition(request)
