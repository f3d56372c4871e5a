"""Linear: least squares, or logit, without a penalty."""

from __future__ import annotations

from typing import Any, Literal

from framework.contract import Learner


class Linear(Learner):
    """The benchmark: with it, double machine learning is partialling out by OLS."""

    def build(self, task: Literal["regression", "classification"], seed: int) -> Any:
        """Least squares by singular values (collinear columns do no harm), or logit."""
        import numpy as np
        from sklearn.linear_model import LinearRegression, LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if task == "regression":
            # Standardised: beside a column of 1e10 (income squared) the engine's rank
            # rule drops columns of ones in silence.
            return make_pipeline(StandardScaler(), LinearRegression())
        # Newton steps on standardised columns: the optimum to the last digits, where
        # a first-order solver stops somewhere near.
        logit = LogisticRegression(
            C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=200
        )
        return make_pipeline(StandardScaler(), logit)
