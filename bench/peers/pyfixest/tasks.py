"""pyfixest by itself."""

import pandas as pd
import pyfixest


def feols(data, about):
    """Fit a formula with two-way effects and clustered errors; the table is made, too."""
    frame = pd.DataFrame(data)

    def fit():
        fitted = pyfixest.feols(
            about["formula"], frame, vcov={"CRV1": about["cluster"]}
        )
        table = fitted.tidy()
        return {
            "estimate": float(table["Estimate"].iloc[0]),
            "std_error": float(table["Std. Error"].iloc[0]),
        }

    return fit
