"""Options that the estimators of this family share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from framework.contract import Choice, Learner

_ROLES = ("outcome", "treatment", "instrument")


class Learners(BaseModel):
    """Who learns what; one learner alone stands for all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Annotated[Learner, Choice("learner")] = Field(
        default="lasso",
        validate_default=True,
        description="Predicts the outcome from the controls.",
    )
    treatment: Annotated[Learner, Choice("learner")] | None = Field(
        default=None,
        description="Predicts the treatment; none written = the outcome's.",
    )
    instrument: Annotated[Learner, Choice("learner")] | None = Field(
        default=None,
        description="Predicts the instrument; none written = the treatment's.",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_for_all(cls, written: Any) -> Any:
        if isinstance(written, dict) and (not written or set(written) & set(_ROLES)):
            if unknown := sorted(set(map(str, written)) - set(_ROLES)):
                raise ValueError(
                    f"no '{unknown[0]}' is learned: there is {', '.join(_ROLES)}"
                )
            return written
        return {"outcome": written}
