"""What draws say: p-values, intervals and the figures, from estimates drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from framework.errors import (
    NumericalError,
    SpecError,
)
from framework.expect import Row
from framework.result import Plot, Result, Test
from framework.spec.model import Model

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd


def regroups(draws: Mapping[str, Any]) -> bool:
    """Whether a column's values, not the treatment, are given to other units."""
    return bool(draws.get("permute", "treatment") != "treatment")


def say_regrouped(
    result: Result, judged: Row, frame: pd.DataFrame, column: str
) -> Result:
    """Draws of one sample among several: what they say is said of all (`differ`)."""
    plot = Plot(
        "density",
        "draws",
        title=f"Estimates in samples of this size, '{column}' permuted between units",
        options={"column": "estimate", "estimate": judged.estimate},
    )
    return replace(
        result,
        frames={**result.frames, "draws": frame},
        plots=(*result.plots, plot),
    )


def say_randomization(
    result: Result, judged: Row, frame: pd.DataFrame, draws: Mapping[str, Any]
) -> Result:
    """Exact p value (b + 1) / (B + 1); a draw without a number counts as extreme.

    Args:
        result: the true estimation.
        judged: its number.
        frame: the draws.
        draws: of the line; `statistic: estimate` compares by |estimate|, not |t|.
    """
    total = len(frame)
    null = "no effect for any unit (treatment paths permuted between units)"
    if regroups(draws):
        column = draws["permute"]
        null = f"the effect has nothing to do with '{column}' (permuted between units)"
    ours, drawn = judged.statistic, frame["statistic"]
    if draws.get("statistic") == "estimate":
        ours, drawn = judged.estimate, frame["estimate"]
    # Ties count as extreme; the slack forgives the last digits of equal statistics.
    limit = abs(ours) * (1 - 1e-12)
    beyond = int((~(drawn.abs() < limit)).sum())
    p_value = (beyond + 1) / (total + 1)
    test = Test(
        name="randomization",
        null=null,
        statistic=ours,
        df=f"{total} draws",
        p_value=p_value,
    )
    plot = Plot(
        "density",
        "draws",
        title="Randomization distribution",
        options={
            "column": "estimate",
            "estimate": judged.estimate,
            "p_value": p_value,
            "p_values": "p_value",
        },
    )
    return replace(
        result,
        tests=(*result.tests, test),
        frames={**result.frames, "draws": frame},
        plots=(*result.plots, plot),
    )


def two_sided(statistic: pd.Series[float], df: float) -> npt.NDArray[np.float64]:
    """Of t statistics, as the table prints the p value of the estimate."""
    import numpy as np
    from scipy.special import ndtr, stdtr

    below = -statistic.abs().to_numpy(dtype=np.float64)
    tail = ndtr(below) if np.isinf(df) else stdtr(df, below)
    return np.asarray(2 * tail, dtype=np.float64)


def what_is_resampled(draws: Mapping[str, Any]) -> str:
    """What the result says was drawn: the column, and whether its steps are redone."""
    column = str(draws["resample"])
    return (
        f"{column}, the data steps redone in each" if draws.get("rebuild") else column
    )


def say_resampled(
    result: Result, judged: Row, frame: pd.DataFrame, column: str
) -> Result:
    """The spread of the resampled estimates as their standard error."""
    error = float(frame["estimate"].std(ddof=1))
    if not error > 0:
        raise NumericalError("N02", "the resampled standard error is not positive")
    plot = Plot(
        "density",
        "draws",
        title="Resampled estimates",
        options={
            "column": "estimate",
            "estimate": judged.estimate,
        },
    )
    note = (
        f"standard error from {frame['estimate'].count()} resamples of {column}: "
        f"{error:.6g} "
        f"(analytic {judged.std_error:.6g})"
    )
    scalars = {"std_error_resampled": error}
    if "estimate_as_given" in frame:
        # A resample that gave a number only one way says nothing about the difference.
        both = frame[["estimate", "estimate_as_given"]].dropna()
        anew, given = (float(error) for error in both.std(ddof=1))
        scalars["std_error_as_given"] = given
        note += (
            f"; {given:.6g} where the data steps are not redone in every resample, so "
            f"that their own uncertainty multiplies the error by {anew / given:.3g}"
        )
    return replace(
        result,
        scalars={**result.scalars, **scalars},
        frames={**result.frames, "draws": frame},
        plots=(*result.plots, plot),
        notes=(*result.notes, note),
    )


def say_resplit(
    result: Result, judged: Row, frame: pd.DataFrame, model: Model
) -> Result:
    """What other folds would have given: the spread that is not sampling.

    Raises:
        SpecError: X24 the estimator draws nothing.
    """
    spread = float(frame["estimate"].std(ddof=1)) if len(frame) > 1 else 0.0
    if not spread > 0:
        raise SpecError(
            "X24",
            f"every split gives {model.estimator['name']} the same number: it draws "
            "nothing at random",
            fix="resplit is for estimators with folds; permute or resample otherwise",
            path="draws.resplit",
        )
    low, high = float(frame["estimate"].min()), float(frame["estimate"].max())
    plot = Plot(
        "density",
        "draws",
        title="Estimates over splits",
        options={"column": "estimate", "estimate": judged.estimate},
    )
    note = (
        f"{len(frame)} redrawn splits: estimates from {low:.6g} to {high:.6g}, standard "
        f"deviation {spread:.6g} (standard error {judged.std_error:.6g})"
    )
    return replace(
        result,
        scalars={**result.scalars, "std_error_resplit": spread},
        frames={**result.frames, "draws": frame},
        plots=(*result.plots, plot),
        notes=(*result.notes, note),
    )
