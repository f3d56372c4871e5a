"""Stacking: a weighted mean of learners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from framework.contract import Choice, Learner


class Stacking(Learner):
    """Learners weighted by how well they predict rows that they have not seen.

    Weights are chosen on five-fold predictions of the training rows: by least squares
    and not negative, for classifications by a logit on the predicted probabilities.
    """

    main: ClassVar[str | None] = "learners"
    paper: ClassVar[str] = (
        "Wolpert (1992), Neural Networks 5(2); Ahrens, Hansen, Schaffer and Wiemann "
        "(2025), J. Applied Econometrics 40(3)"
    )

    learners: tuple[Annotated[Learner, Choice("learner")], ...] = Field(
        default=("lasso", "forest", "boosting"),
        validate_default=True,
        min_length=2,
        description="Learners that are combined, each written as a learner is.",
    )

    def build(self, task: Literal["regression", "classification"], seed: int) -> Any:
        """scikit-learn's stacking of the learners."""
        from sklearn.ensemble import StackingClassifier, StackingRegressor
        from sklearn.linear_model import LinearRegression, LogisticRegression

        from estimators.learners._several import FOLDS, members

        parts = members(self.learners, task, seed)
        if task == "classification":
            return StackingClassifier(parts, LogisticRegression(), cv=FOLDS)
        return StackingRegressor(parts, LinearRegression(positive=True), cv=FOLDS)

    def members(self) -> tuple[str, ...]:
        """The learners that are combined."""
        from estimators.learners._several import names

        return names(self.learners)

    def chosen(self, fitted: Any) -> Sequence[float]:
        """Coefficients on their predictions, in a classification inside the logit."""
        return [float(x) for x in fitted.final_estimator_.coef_.ravel()]
