"""Extremely randomised trees."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from framework.contract import Learner


class ExtraTrees(Learner):
    """As a forest, with cut points drawn at random: smoother, and faster to grow."""

    main: ClassVar[str | None] = "trees"
    paper: ClassVar[str] = "Geurts, Ernst and Wehenkel (2006), Machine Learning 63(1)"

    trees: int = Field(default=200, ge=1, description="Number of trees.")
    min_leaf: int = Field(default=5, ge=1, description="Fewest rows in a leaf.")
    max_features: float = Field(
        default=1 / 3,
        gt=0,
        le=1,
        description="Share of the columns tried at each split.",
    )
    max_depth: int | None = Field(
        default=None, ge=1, description="Deepest split; none = until `min_leaf`."
    )

    def build(self, task: Literal["regression", "classification"], seed: int) -> Any:
        """Extra trees of scikit-learn, one thread."""
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

        kind = ExtraTreesRegressor if task == "regression" else ExtraTreesClassifier
        return kind(
            n_estimators=self.trees,
            min_samples_leaf=self.min_leaf,
            max_features=self.max_features,
            max_depth=self.max_depth,
            random_state=seed,
            n_jobs=1,
        )
