"""pyfixest by itself."""

import numpy as np
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


def loop(data, about):
    """Fit the formula once for every column of `drawn`, and read estimate and error."""
    drawn = data.pop("drawn")
    frame = pd.DataFrame(data)

    def fit():
        estimates, errors = [], []
        for column in drawn.T:
            frame["drawn"] = column
            fitted = pyfixest.feols(
                about["formula"], frame, vcov={"CRV1": about["cluster"]}
            )
            estimates.append(float(fitted.coef()["drawn"]))
            errors.append(float(fitted.se()["drawn"]))
        return {"estimates": estimates, "std_errors": errors}

    return fit


def event_loop(data, about):
    """Fit indicators of event times once for every column of first treated periods."""
    drawn = data.pop("drawn")
    frame = pd.DataFrame(data)

    def fit():
        estimates, errors = [], []
        for first in drawn.T:
            for name, k in about["events"].items():
                frame[name] = (frame["time"].to_numpy() - first == k).astype(float)
            fitted = pyfixest.feols(
                about["formula"], frame, vcov={"CRV1": about["cluster"]}
            )
            estimates.append(float(fitted.coef()[about["judged"]]))
            errors.append(float(fitted.se()[about["judged"]]))
        return {"estimates": estimates, "std_errors": errors}

    return fit


def ritest(data, about):
    """Randomization inference of the coefficient by the fast algorithm (numba)."""
    fitted = pyfixest.feols(about["formula"], pd.DataFrame(data))

    def draw(reps):
        rng = np.random.default_rng(0)
        fitted.ritest("d", reps=reps, choose_algorithm="fast", rng=rng)

    return draw


def saturated(data, _about):
    """The event study saturated in cohorts, aggregated by event time."""
    frame = pd.DataFrame(data)

    def fit():
        fitted = pyfixest.event_study(
            frame,
            yname="y",
            idname="unit",
            tname="time",
            gname="first",
            estimator="saturated",
        )
        return {"estimate": float(fitted.aggregate().loc[0.0, "Estimate"])}

    return fit
