"""Several estimators on one declared estimand, with the reason for each gap."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from framework.contract import Choice, Estimator, Needs, Request
from framework.result import Result


class CompareEstimators(Estimator):
    """One estimand by several estimators: gaps to the first, tested, and why.

    Estimators of one estimand differ in the rows they compare with, in the periods they
    measure effects from and in how they average. The table says which of these differ
    from the first estimator's, and whether the gap is more than chance.
    """

    main: ClassVar[str | None] = "of"
    paper: ClassVar[str] = (
        "Roth, Sant'Anna, Bilinski and Poe (2023), J. Econometrics 235(2), sec. 3.4"
    )
    estimates: ClassVar[Literal["treatment", "diagnostic"]] = "diagnostic"
    estimands: ClassVar[tuple[str, ...]] = ("description",)
    needs: ClassVar[Needs] = Needs(
        uses=frozenset({"controls", "fixed_effects", "inference", "weights"}),
        inference=frozenset({"cluster"}),
        binary=True,
        absorbing=True,
    )

    of: tuple[Annotated[Estimator, Choice("estimator")], ...] = Field(
        default=("callaway_santanna", "imputation", "twfe"),
        validate_default=True,
        min_length=2,
        description="The estimators, with their options; gaps are to the first.",
    )
    compared: Literal["att", "by_event_time"] = Field(
        default="att",
        description="The estimand, which all of them have to give.",
    )

    @field_validator("of")
    @classmethod
    def _known(cls, value: Any) -> Any:
        from estimators._sensitivity.traits import known_only

        return known_only(value)

    def demands(self) -> Needs:
        """With estimators of effects on the eligible, also who these are."""
        from estimators._sensitivity.traits import needs_moderator

        needs = type(self).needs
        if not needs_moderator(self.of[0]):
            return needs
        return replace(
            needs,
            uses=needs.uses | {"interact"},
            requires=needs.requires | {"interact"},
        )

    def estimate(self, request: Request) -> Result:
        """Estimates, gaps with their tests and reasons in the frame `comparison`.

        Raises:
            IdentificationError: E14 an estimator does not give the estimand, or none but
                one has a number.
        """
        from estimators._sensitivity.comparison import compare

        return compare(request, self.of, self.compared)
