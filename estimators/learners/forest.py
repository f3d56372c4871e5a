"""Random forest."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from framework.contract import Learner


class Forest(Learner):
    """Mean of deep trees, each on a bootstrap sample and random subsets of columns."""

    main: ClassVar[str | None] = "trees"
    paper: ClassVar[str] = "Breiman (2001), Machine Learning 45(1)"

    trees: int = Field(
        default=200,
        ge=1,
        description="Number of trees: more cost time and take noise away; 500 for "
        "numbers that are printed.",
    )
    min_leaf: int = Field(
        default=5,
        ge=1,
        description="Fewest rows in a leaf. One row (the engine's default) lets a tree "
        "repeat the outcome; five is the default of R's grf and ranger (regression).",
    )
    max_features: float = Field(
        default=1 / 3,
        gt=0,
        le=1,
        description="Share of the columns tried at each split; a third is Breiman's for "
        "regression.",
    )
    max_depth: int | None = Field(
        default=None, ge=1, description="Deepest split; none = until `min_leaf`."
    )

    def build(self, task: Literal["regression", "classification"], seed: int) -> Any:
        """A forest of scikit-learn, one thread."""
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        kind = RandomForestRegressor if task == "regression" else RandomForestClassifier
        return kind(
            n_estimators=self.trees,
            min_samples_leaf=self.min_leaf,
            max_features=self.max_features,
            max_depth=self.max_depth,
            random_state=seed,
            n_jobs=1,
        )
