"""Best: the learner with the lowest cross-validated loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from framework.contract import Choice, Learner


class Best(Learner):
    """One learner for each nuisance and fold, chosen on the training rows alone.

    Squared error, or log-loss of predicted probabilities, in five-fold
    cross-validation; ties go to the learner that is written first.
    """

    main: ClassVar[str | None] = "learners"

    learners: tuple[Annotated[Learner, Choice("learner")], ...] = Field(
        default=("lasso", "forest", "boosting"),
        validate_default=True,
        min_length=2,
        description="Learners that compete, each written as a learner is; the same "
        "learner with several options is how it is tuned.",
    )

    def build(self, task: Literal["regression", "classification"], seed: int) -> Any:
        """A grid search whose grid is the learners."""
        from sklearn.model_selection import GridSearchCV
        from sklearn.pipeline import Pipeline

        from estimators.learners._several import FOLDS, members

        built = [learner for _, learner in members(self.learners, task, seed)]
        loss = "neg_mean_squared_error" if task == "regression" else "neg_log_loss"
        return GridSearchCV(
            Pipeline([("learner", built[0])]),
            {"learner": built},
            scoring=loss,
            cv=FOLDS,
            n_jobs=1,
        )

    def members(self) -> tuple[str, ...]:
        """The learners that compete."""
        from estimators.learners._several import names

        return names(self.learners)

    def chosen(self, fitted: Any) -> Sequence[float]:
        """1 for the winner."""
        return [float(i == fitted.best_index_) for i in range(len(self.learners))]
