"""Lasso: least squares or logit with a penalty on absolute coefficients."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from framework.contract import Learner


class Lasso(Learner):
    """Linear in the columns it is given; few of them matter.

    Columns are standardised. Squares and products enter as controls
    (`{square: [...]}`), not here: what is penalised is written in the study.
    """

    main: ClassVar[str | None] = "penalty"
    paper: ClassVar[str] = "Tibshirani (1996), JRSS B 58(1)"

    penalty: float | None = Field(
        default=None,
        gt=0,
        description="Penalty on standardised columns and outcome; none written = the "
        "one of 50 (logit: 10) with the lowest error in five-fold cross-validation.",
    )

    def build(self, task: Literal["regression", "classification"], seed: int) -> Any:
        """A pipeline of standardisation and the lasso."""
        from estimators.learners._penalised import penalised

        return penalised(task, seed, 1.0, self.penalty)
