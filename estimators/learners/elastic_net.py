"""Elastic net: between lasso and ridge."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from framework.contract import Learner


class ElasticNet(Learner):
    """Linear; keeps groups of correlated columns together where the lasso picks one."""

    main: ClassVar[str | None] = "l1_ratio"
    paper: ClassVar[str] = "Zou and Hastie (2005), JRSS B 67(2)"

    l1_ratio: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of the absolute penalty: 1 is the lasso, near 0 ridge.",
    )
    penalty: float | None = Field(
        default=None,
        gt=0,
        description="Penalty on standardised columns and outcome; none written = by "
        "five-fold cross-validation.",
    )

    def build(self, task: Literal["regression", "classification"], seed: int) -> Any:
        """A pipeline of standardisation and the elastic net."""
        from estimators.learners._penalised import penalised

        return penalised(task, seed, self.l1_ratio, self.penalty)
