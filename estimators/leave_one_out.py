"""Any estimate again without each treated unit, cohort, unit or cluster in turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from framework.contract import Choice, Estimator, Needs, Request
from framework.result import Result


class LeaveOneOut(Estimator):
    """How far one treated unit or cohort moves the estimate.

    The estimate of any estimator, and the same without each treated unit, cohort, unit
    or cluster, in order of the shift. With few treated units this says more than any
    other robustness check.
    """

    main: ClassVar[str | None] = "drop"
    paper: ClassVar[str] = (
        "Cook (1977), Technometrics 19(1); Broderick, Giordano and Meager (2020), "
        "arXiv:2011.14999 on how few rows can carry a result"
    )
    estimands: ClassVar[tuple[str, ...]] = (
        "att",
        "ate",
        "late",
        "coefficient",
        "interaction",
        "by_event_time",
        "by_cohort",
        "by_period",
    )
    needs: ClassVar[Needs] = Needs(
        uses=frozenset(
            {"controls", "fixed_effects", "interact", "weights", "inference"}
        ),
        inference=frozenset({"cluster"}),
    )

    of: Annotated[Estimator, Choice("estimator")] = Field(
        default="twfe",
        validate_default=True,
        description="The estimator whose first number is followed, with its options.",
    )
    drop: Literal["treated_units", "cohorts", "units", "clusters"] = Field(
        default="treated_units",
        description="What is left out, one at a time.",
    )

    @field_validator("of")
    @classmethod
    def _one_that_estimates(cls, value: Any) -> Any:
        from estimators._sensitivity.choice import effect_only

        return effect_only(value)

    def demands(self) -> Needs:
        """What the estimator in `of` needs, and what is left out."""
        needs = self.of.demands()
        if self.drop == "clusters":
            return replace(needs, inference=needs.inference & {"cluster"})
        cohorts = self.drop == "cohorts"
        return replace(
            needs,
            kinds=needs.kinds & {"panel"},
            binary=needs.binary or cohorts,
            absorbing=needs.absorbing or cohorts,
        )

    def gives(self) -> tuple[str, ...]:
        """What the estimator in `of` gives."""
        return self.of.gives()

    def estimate(self, request: Request) -> Result:
        """The full result; one row for each one left out in the frame `left_out`.

        Raises:
            IdentificationError: E13 nothing to leave out, or a single one; those of
                the estimator in `of` on the full sample.
        """
        from estimators._sensitivity.left_out import left_out

        return left_out(request, self.of, self.drop)
