"""Gradient boosting by XGBoost, a package of its own."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from estimators.learners._packages import module
from framework.contract import Learner


class Xgboost(Learner):
    """Trees that grow level by level, each on what those before it left, shrunken."""

    main: ClassVar[str | None] = "trees"
    paper: ClassVar[str] = "Chen and Guestrin (2016), KDD 22"

    trees: int = Field(default=100, ge=1, description="Number of trees.")
    rate: float = Field(
        default=0.1, gt=0, le=1, description="Share of each tree that is taken."
    )
    depth: int = Field(
        default=4,
        ge=1,
        description="Levels of a tree: 16 leaves, about as many as `boosting` has; the "
        "engine's 6 fit panels of a few thousand rows too closely.",
    )
    min_weight: float = Field(
        default=1.0,
        ge=0,
        description="Smallest sum of second derivatives in a leaf: rows, in regressions.",
    )
    l2: float = Field(
        default=1.0, ge=0, description="Penalty on squared values of the leaves."
    )

    def build(self, task: Literal["regression", "classification"], seed: int) -> Any:
        """XGBoost's scikit-learn estimator, one thread, every row and column.

        Raises:
            SpecError: X00 the package is not installed.
        """
        package = module("xgboost", "boosting")
        kind = package.XGBRegressor if task == "regression" else package.XGBClassifier
        return kind(
            n_estimators=self.trees,
            learning_rate=self.rate,
            max_depth=self.depth,
            min_child_weight=self.min_weight,
            reg_lambda=self.l2,
            random_state=seed,
            n_jobs=1,
            tree_method="hist",
            verbosity=0,
        )
