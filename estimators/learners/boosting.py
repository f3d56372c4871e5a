"""Gradient boosting on histograms."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from framework.contract import Learner


class Boosting(Learner):
    """Shallow trees, each on what those before it left; the algorithm of LightGBM."""

    main: ClassVar[str | None] = "trees"
    paper: ClassVar[str] = (
        "Friedman (2001), Annals of Statistics 29(5); Ke et al. (2017), NeurIPS 30"
    )

    trees: int = Field(
        default=100,
        ge=1,
        description="Number of trees; go with a smaller `rate` when there are more.",
    )
    rate: float = Field(
        default=0.1, gt=0, le=1, description="Share of each tree that is taken."
    )
    leaves: int = Field(
        default=15,
        ge=2,
        description="Most leaves of a tree; 15 costs a third of the engine's 31 and "
        "fits panels of a few thousand rows less closely.",
    )
    min_leaf: int = Field(default=20, ge=1, description="Fewest rows in a leaf.")
    l2: float = Field(
        default=0.0, ge=0, description="Penalty on squared values of the leaves."
    )

    def build(self, task: Literal["regression", "classification"], seed: int) -> Any:
        """Histogram gradient boosting of scikit-learn, a fixed number of trees."""
        from sklearn.ensemble import (
            HistGradientBoostingClassifier,
            HistGradientBoostingRegressor,
        )

        kind: Any = (
            HistGradientBoostingRegressor
            if task == "regression"
            else HistGradientBoostingClassifier
        )
        return kind(
            max_iter=self.trees,
            learning_rate=self.rate,
            max_leaf_nodes=self.leaves,
            min_samples_leaf=self.min_leaf,
            l2_regularization=self.l2,
            # Stopping early would take rows away by chance of their order.
            early_stopping=False,
            random_state=seed,
        )
