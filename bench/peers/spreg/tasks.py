"""spreg by itself."""

import numpy as np
import spreg
from libpysal.weights.util import full2W


def durbin(data, about):
    """The one-way spatial Durbin model; rows are sorted by period, then unit."""
    n = about["units"]
    dense = np.zeros((n, n))
    dense[data["row"], data["column"]] = data["weight"]
    w = full2W(dense, silence_warnings=True)

    def fit():
        found = spreg.ML_LagFE(data["y"], data["X"], w, slx_lags=1)
        return {"rho": float(found.rho)}

    return fit
