"""Ridge: least squares or logit with a penalty on squared coefficients."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from framework.contract import Learner


class Ridge(Learner):
    """Linear in the columns it is given; many of them matter a little."""

    main: ClassVar[str | None] = "penalty"
    paper: ClassVar[str] = "Hoerl and Kennard (1970), Technometrics 12(1)"

    penalty: float | None = Field(
        default=None,
        gt=0,
        description="Penalty on standardised columns and outcome, summed over rows; "
        "none written = by cross-validation (leave-one-out in closed form; logit: "
        "five-fold).",
    )

    def build(self, task: Literal["regression", "classification"], seed: int) -> Any:
        """A pipeline of standardisation and ridge regression."""
        from estimators.learners._penalised import penalised

        return penalised(task, seed, 0.0, self.penalty)
