"""Options of restrictions that compare treated with untreated by a propensity score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from framework.contract import Candidates, Restriction
from framework.errors import SpecError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from estimators.restrictions._scores import Scores
    from estimators.restrictions._subjects import Subjects

    Floats = npt.NDArray[np.float64]


class Compared(Restriction):
    """Who is compared with whom, and on what."""

    covariates: list[Any] | None = Field(
        None, description="what units are compared on; default: the model's controls"
    )
    score: Literal["logit", "probit"] = Field(
        "logit", description="model of the propensity score (psmatch2's is probit)"
    )
    level: Literal["unit", "row"] | None = Field(
        None,
        description="compare units on one period's values (default in panels) or rows",
    )
    by: Literal["period"] | None = Field(
        None, description="compare rows of the same period only, a score for each"
    )
    at: int | None = Field(
        None,
        description="level unit: period of the covariates; default: the last before "
        "the first adoption",
    )
    treated: Literal["ever", "now"] = Field(
        "ever",
        description="level row: a row of a unit that is ever treated, or treated now",
    )

    @model_validator(mode="after")
    def _periods(self) -> Compared:
        if self.by == "period" and self.level == "unit":
            raise ValueError("by: period compares rows: leave level: unit out")
        if self.at is not None and (self.by == "period" or self.level == "row"):
            raise ValueError("at is the period of units' covariates; rows have theirs")
        return self

    def terms(self) -> tuple[Any, ...] | None:
        return None if self.covariates is None else tuple(self.covariates)

    def compared(self, given: Candidates) -> tuple[Subjects, Floats, Scores]:
        """The subjects, (m, k) covariates of them, and their fitted scores.

        Raises:
            SpecError: X20 there are no covariates.
            DataError, IdentificationError: as `subjects` and `scores`.
        """
        from estimators.restrictions._scores import scores
        from estimators.restrictions._subjects import subjects

        if not given.covariates.shape[1]:
            raise SpecError(
                "X20",
                "nothing to compare on: the model has no controls on this line",
                fix="covariates: the columns that treatment was decided on",
            )
        found = subjects(
            given,
            level=self.level,
            by_period=self.by == "period",
            at=self.at,
            now=self.treated == "now",
        )
        X: Floats = given.covariates.to_numpy(dtype="float64")[found.rows]
        labels = [str(c) for c in given.covariates.columns]
        return found, X, scores(found, X, labels, given.called[1], self.score)

    def where(self, found: Subjects, given: Candidates) -> str:
        """`, values of 2017`, or within what."""
        said = f", values of {found.at}" if found.at is not None else ""
        return f"{said}, within each {given.called[1]}" if self.by else said
