"""Whether parallel trends can hold in every functional form of the outcome."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from framework.contract import Choice, Estimator, Needs, Request
from framework.result import Result


class FunctionalForm(Estimator):
    """The outcomes that the treated would have had, by bins, as parallel trends imply.

    Parallel trends hold in levels, logs and every other form only if they hold for the
    share of units in each bin of the outcome. Those shares imply a distribution of the
    treated units' untreated outcomes; if it has a negative mass somewhere, parallel
    trends cannot hold in all forms and the choice of form has to be argued for.
    """

    main: ClassVar[str | None] = "bins"
    paper: ClassVar[str] = "Roth and Sant'Anna (2023), Econometrica 91(2), sec. 3"
    estimates: ClassVar[Literal["treatment", "diagnostic"]] = "diagnostic"
    estimands: ClassVar[tuple[str, ...]] = ("description",)
    needs: ClassVar[Needs] = Needs(
        uses=frozenset({"fixed_effects", "weights", "inference"}),
        inference=frozenset({"cluster"}),
        binary=True,
        absorbing=True,
    )

    random: ClassVar[bool] = True  # the critical value is simulated

    of: Annotated[Estimator, Choice("estimator")] = Field(
        default="callaway_santanna",
        validate_default=True,
        description="The estimator whose parallel trends are meant: one that never "
        "compares with treated rows.",
    )
    bins: int = Field(
        default=10,
        ge=2,
        le=50,
        description="Bins of the outcome with about as many rows each; fewer where "
        "values repeat.",
    )

    @field_validator("of")
    @classmethod
    def _clean_comparisons(cls, value: Any) -> Any:
        from estimators._sensitivity.choice import clean_only

        return clean_only(value)

    def estimate(self, request: Request) -> Result:
        """Implied shares in the frame `implied_density`, and the test of their signs.

        Raises:
            DataError: D06 the outcome has one value.
            IdentificationError: E12 two-way clusters; those of the estimator in `of`.
        """
        from estimators._sensitivity.density import functional_form

        return functional_form(request, self.of, self.bins)
