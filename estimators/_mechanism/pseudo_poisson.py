"""Poisson pseudo maximum likelihood by iterated weighted least squares.

With eta = X b + effects and mu = exp(eta), every step regresses z = eta + (y - mu) / mu
on X with weights mu. Where the steps have ended, the scores of that regression are
x (y - mu), so its sandwich is the Poisson's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._linear.design import (
    Design,
    build,
    control_regressors,
    label,
    treatment_regressors,
)
from estimators._linear.engine import Fit, fit, prepare
from estimators._linear.report import influence_of, rows_of, scalars, table
from estimators._math.projection import Flags, Floats
from framework.errors import DataError, IdentificationError, NumericalError, counted
from framework.result import Plot, Result

if TYPE_CHECKING:
    import pandas as pd

    from estimators._linear.options import SmallSample
    from framework.contract import Request

#: Steps end when no linear predictor moves more than this; one that is separated falls
#: by about one in every step, for ever.
STILL = 1e-9
STEPS = 60
#: Of the working regression, not of the outcome.
NOT_OURS = ("r2", "r2_adjusted", "r2_within", "rmse", "outcome_mean_before")


def estimate(
    request: Request, small_sample: SmallSample, *, min_clusters: int
) -> Result:
    """Semi-elasticities of the treatment and all coefficients.

    Raises:
        DataError: D05, D06, D21.
        IdentificationError: I01 to I05, I08, I09, E15, E16.
        NumericalError: N01 to N03.
    """
    if request.slopes:
        raise IdentificationError(
            "E15",
            "slopes beside Poisson fixed effects are not estimated",
            fix="fixed_effects: without slope",
        )
    y = request.frame[request.outcome].to_numpy(dtype=np.float64)
    negative = int((y < 0).sum())
    if negative:
        raise DataError(
            "D21",
            f"outcome '{label(request, request.outcome)}' is negative in {negative} of "
            f"{counted(len(y), 'row')}",
            why="An exponential mean is positive.",
            fix="a count or another nonnegative outcome; estimator: twfe or ols",
        )
    keep, notes = _with_outcomes(request, y)
    design = build(
        request,
        [*treatment_regressors(request), *control_regressors(request)],
        keep=keep,
        notes=notes,
        min_clusters=min_clusters,
    )
    z, mu = _iterate(design)
    fitted = fit(
        replace(design, outcome=z, weights=mu, weight_kind="analytic"),
        request.inference,
        small_sample,
    )
    return _result(request, design, fitted, mu)


def _with_outcomes(request: Request, y: Floats) -> tuple[Flags, list[str]]:
    """Rows outside the levels of fixed effects in which the outcome is always zero."""
    keep = np.ones(len(y), dtype=bool)
    codes = [request.frame[c].to_numpy() for c in dict.fromkeys(request.fixed_effects)]
    while True:
        before = int(keep.sum())
        for c in codes:
            _, at = np.unique(c, return_inverse=True)
            keep &= np.bincount(at, np.where(keep, y, 0.0))[at] > 0
        if int(keep.sum()) == before:
            break
    lost = len(y) - before
    if not before and len(y):
        raise DataError(
            "D06",
            f"outcome '{label(request, request.outcome)}' is zero in every row",
            fix="check how the outcome is built and which rows the sample keeps",
        )
    if not lost:
        return keep, []
    names = " or ".join(f"'{label(request, c)}'" for c in request.fixed_effects)
    said = (
        f"{counted(lost, 'row is', 'rows are')} left out: the outcome is zero in all "
        f"rows of their {names}, which says nothing about the treatment"
    )
    return keep, [said]


def _iterate(design: Design) -> tuple[Floats, Floats]:
    """Working outcome z (n,) and means mu (n,) where the steps end."""
    y = design.outcome
    eta = np.log((y + y.mean()) / 2.0)
    moved = np.zeros(len(y))
    for _ in range(STEPS):
        mu = np.exp(eta)
        z = eta + (y - mu) / mu
        new = fitted_values(
            replace(design, outcome=z, weights=mu, weight_kind="analytic")
        )
        moved = new - eta
        eta = eta + np.clip(moved, -5.0, 5.0)
        if np.abs(moved).max() < STILL:
            mu = np.exp(eta)
            return eta + (y - mu) / mu, mu
        if eta.max() - np.log(y.max()) > 30 or eta.min() < -600:  # noqa: PLR2004 - e^30 times the largest outcome; exp underflows
            break
    falling = (y == 0) & (eta < np.log(y[y > 0].min()) - 10.0)
    if falling.any():
        raise IdentificationError(
            "E16",
            f"{counted(int(falling.sum()), 'row')} with outcome zero predicted "
            "perfectly by the regressors or fixed effects (separation)",
            why="Their predicted mean falls towards zero without end, so some coefficient "
            "is minus infinity.",
            fix="leave out the regressor that is on only where the outcome is zero, or "
            "those rows (model.sample)",
        )
    raise NumericalError(
        "N02",
        f"the likelihood has no maximum after {STEPS} steps "
        f"(a predictor still moves by {np.abs(moved).max():.1e})",
        fix="check the regressors' units for extreme values",
    )


def fitted_values(design: Design) -> Floats:
    """Fitted values of the weighted regression, collinear columns or not."""
    columns = prepare(design)
    root = np.sqrt(design.scaled_weights())
    X = columns.X[:, ~columns.vanished]
    b = np.linalg.lstsq(X * root[:, None], columns.y * root, rcond=1e-12)[0]
    residual = (columns.y - X @ b) * columns.scale[0]
    return np.asarray(design.outcome - residual)


def _result(request: Request, design: Design, fitted: Fit, mu: Floats) -> Result:
    import pandas as pd

    rows = rows_of(fitted)
    frame = table(fitted, rows, request.confidence)
    frame["estimand"] = "coefficient"
    psi = influence_of(fitted, rows)
    judged = [j for j, r in enumerate(fitted.design.regressors) if r.wanted]
    ratio = _semi_elasticities(frame.iloc[judged], fitted.df_t, request.confidence)
    parts = [(ratio, _scaled(psi, judged, ratio)), (frame, psi)]
    if request.estimand[:1] == ("coefficient",):
        parts.reverse()
    influences, start = [], 0
    for part, influence in parts:
        if influence is not None:
            influences.append(influence.rename(columns=lambda c, k=start: c + k))
        start += len(part)
    numbers = {k: v for k, v in scalars(fitted, rows).items() if k not in NOT_OURS}
    coefficients = pd.concat([p for p, _ in parts], ignore_index=True)
    if "mde" in numbers:  # of the first row
        numbers["mde"] *= coefficients["std_error"][0] / frame["std_error"][0]
    return Result(
        coefficients=coefficients,
        influence=pd.concat(influences, axis=1) if influences else None,
        scalars={
            **numbers,
            "outcome_mean": float(design.outcome.mean()),
            "squared_correlation": float(np.corrcoef(design.outcome, mu)[0, 1] ** 2),
        },
        plots=(Plot("coefficients", "coefficients"),),
        notes=fitted.design.notes,
    )


def _semi_elasticities(
    frame: pd.DataFrame, df: float, confidence: float
) -> pd.DataFrame:
    """exp(b) - 1 with the delta method's error."""
    from scipy.special import stdtr, stdtrit

    found = frame.reset_index(drop=True)
    growth = np.exp(found["estimate"].to_numpy())
    estimate, error = growth - 1.0, growth * found["std_error"].to_numpy()
    reach = float(stdtrit(df, 0.5 + confidence / 2)) * error
    return found.assign(
        estimand="semi_elasticity",
        estimate=estimate,
        std_error=error,
        statistic=estimate / error,
        p_value=2.0 * stdtr(df, -np.abs(estimate / error)),
        conf_low=estimate - reach,
        conf_high=estimate + reach,
    )


def _scaled(psi: Any, judged: Sequence[int], ratio: pd.DataFrame) -> Any:
    """Influence of exp(b) - 1: that of b times exp(b)."""
    if psi is None or not judged:
        return None
    found = psi[list(judged)] * (1.0 + ratio["estimate"].to_numpy())
    return found.set_axis(range(len(judged)), axis=1)
