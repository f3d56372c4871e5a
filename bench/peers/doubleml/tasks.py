"""doubleml by itself, with the folds and the learner's seed it is given."""

import doubleml
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor


def partially_linear(data, about):
    """Cross-fitting with boosting, errors clustered; `outcome` names a column of Y."""
    X, fold = data["X"], data["fold"]
    x = [f"x{j}" for j in range(X.shape[1])]
    frame = pd.DataFrame(X, columns=x).assign(d=data["d"], u=data["cluster"])
    folds = range(about["folds"])
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in folds]
    clusters = [
        ([np.unique(data["cluster"][a])], [np.unique(data["cluster"][b])])
        for a, b in splits
    ]

    def fit(outcome):
        given = doubleml.DoubleMLData(
            frame.assign(y=data["Y"][:, outcome]),
            "y",
            "d",
            x_cols=x,
            cluster_cols="u",
        )
        learner = HistGradientBoostingRegressor(**about["learner"])
        model = doubleml.DoubleMLPLR(
            given,
            learner,
            learner,
            n_folds=about["folds"],
            draw_sample_splitting=False,
        )
        model.set_sample_splitting([splits], all_smpls_cluster=[clusters])
        model.fit()
        return {"estimate": float(model.coef[0]), "std_error": float(model.se[0])}

    return fit
