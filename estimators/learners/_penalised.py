"""Penalised linear learners: columns standardised, penalty by cross-validation."""

from __future__ import annotations

from typing import Any, Literal

#: Contiguous folds. Training rows come with the rows of a unit or cluster together, so
#: that these folds split at most a few of them; shuffled ones would let a unit's own
#: rows choose its penalty.
FOLDS = 5
#: Penalties tried, from the one at which no column is left downwards.
PENALTIES = 50
#: Strengths (inverse penalties) tried for classification, logarithmic from 1e-4 to 1e4.
STRENGTHS = 10


def penalised(
    task: Literal["regression", "classification"],
    seed: int,
    l1_ratio: float,
    penalty: float | None,
) -> Any:
    """Elastic net between ridge (`l1_ratio` 0) and lasso (1).

    Args:
        task: least squares, or logit.
        seed: of the order in which the solver visits columns.
        l1_ratio: share of the absolute penalty.
        penalty: scikit-learn's `alpha` on standardised columns (and 1 / (n `C`) for
            logit); None = by cross-validation, squared error or log-loss.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = (
        _least_squares(seed, l1_ratio, penalty)
        if task == "regression"
        else _logit(seed, l1_ratio, penalty)
    )
    return make_pipeline(StandardScaler(), model)


def _least_squares(seed: int, l1_ratio: float, penalty: float | None) -> Any:
    import numpy as np
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.linear_model import ElasticNet, Ridge, RidgeCV
    from sklearn.preprocessing import StandardScaler

    from estimators.learners._cross_validated import PenalisedLeastSquares

    model: Any
    if l1_ratio == 0:
        # Ridge adds up squares over rows where the others average them; by cross-
        # validation its penalties run from none to one that leaves next to nothing.
        strengths = np.logspace(-3, 6, 19)
        model = RidgeCV(alphas=strengths) if penalty is None else Ridge(alpha=penalty)
    elif penalty is None:
        model = PenalisedLeastSquares(l1_ratio, PENALTIES, FOLDS)
    else:
        model = ElasticNet(
            alpha=penalty,
            l1_ratio=l1_ratio,
            max_iter=20_000,
            tol=1e-6,
            random_state=seed,
        )
    # The target is standardised, too: one tolerance, whatever its unit.
    return TransformedTargetRegressor(model, transformer=StandardScaler())


def _logit(seed: int, l1_ratio: float, penalty: float | None) -> Any:
    import numpy as np
    from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

    strengths = np.logspace(-4, 4, STRENGTHS)
    if l1_ratio > 0:
        from estimators.learners._cross_validated import PenalisedLogit

        return PenalisedLogit(l1_ratio, tuple(strengths.tolist()), penalty, FOLDS)
    settings: dict[str, Any] = {"max_iter": 2_000, "tol": 1e-5, "random_state": seed}
    if penalty is not None:
        return LogisticRegression(C=1 / penalty, **settings)
    return LogisticRegressionCV(
        Cs=strengths,
        l1_ratios=(0.0,),
        cv=FOLDS,
        scoring="neg_log_loss",
        use_legacy_attributes=False,
        **settings,
    )
