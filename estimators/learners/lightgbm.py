"""Gradient boosting by LightGBM, a package of its own."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from estimators.learners._packages import module
from framework.contract import Learner


class Lightgbm(Learner):
    """Trees that grow leaf by leaf, each on what those before it left."""

    main: ClassVar[str | None] = "trees"
    paper: ClassVar[str] = "Ke et al. (2017), NeurIPS 30"

    trees: int = Field(default=100, ge=1, description="Number of trees.")
    rate: float = Field(
        default=0.1, gt=0, le=1, description="Share of each tree that is taken."
    )
    leaves: int = Field(
        default=15, ge=2, description="Most leaves of a tree; 15 as in `boosting`."
    )
    min_leaf: int = Field(default=20, ge=1, description="Fewest rows in a leaf.")
    l2: float = Field(
        default=0.0, ge=0, description="Penalty on squared values of the leaves."
    )

    def build(self, task: Literal["regression", "classification"], seed: int) -> Any:
        """LightGBM's scikit-learn estimator, one thread, every row and column.

        Raises:
            SpecError: X00 the package is not installed.
        """
        package = module("lightgbm", "boosting")
        kind = package.LGBMRegressor if task == "regression" else package.LGBMClassifier
        return kind(
            n_estimators=self.trees,
            learning_rate=self.rate,
            num_leaves=self.leaves,
            min_child_samples=self.min_leaf,
            reg_lambda=self.l2,
            random_state=seed,
            n_jobs=1,
            deterministic=True,
            force_col_wise=True,  # chosen by a clock otherwise
            verbose=-1,
        )
