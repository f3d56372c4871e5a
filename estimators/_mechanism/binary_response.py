"""Logit and probit by iterated weighted least squares, and average marginal effects.

With eta = X b and l the log-likelihood of a row, s = l'(eta) and w = -l''(eta), every
step of Newton regresses z = eta + s / w on X with weights w. Where the steps have ended,
the scores of that regression are x s and its bread is that of the observed information,
so its sandwich is that of the likelihood. For the logit s = y - p and w = p (1 - p).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.design import (
    Design,
    build,
    control_regressors,
    label,
    treatment_regressors,
)
from estimators._linear.engine import Fit, fit
from estimators._linear.report import influence_of, rows_of, scalars, table
from estimators._math.projection import Floats
from estimators._math.propensity import (
    Link,
    density,
    derivatives,
    log_likelihood,
    probability,
    quantile,
)
from estimators._mechanism.pseudo_poisson import NOT_OURS, STEPS, STILL, fitted_values
from framework.errors import DataError, IdentificationError, NumericalError, counted
from framework.result import Plot, Result

if TYPE_CHECKING:
    import pandas as pd

    from estimators._linear.options import SmallSample
    from framework.contract import Request

#: Index beyond which a row counts as predicted perfectly: its weight is below 1e-11.
PERFECT = {"logit": 25.0, "probit": 8.0}


def estimate(
    request: Request, small_sample: SmallSample, link: Link, *, min_clusters: int
) -> Result:
    """Average marginal effects of treatment and controls, and all coefficients.

    Raises:
        DataError: D05, D06, D21.
        IdentificationError: I01 to I05, I08, I09, E15, E16.
        NumericalError: N01 to N03.
    """
    if request.fixed_effects or request.slopes:
        listed = ", ".join(f"'{label(request, f)}'" for f in request.fixed_effects)
        raise IdentificationError(
            "E15",
            f"fixed effects ({listed or 'slopes'}) in a {link}",
            why="With few rows in a level the coefficients are biased away from zero "
            "(incidental parameters), and no marginal effect is defined without them.",
            fix="fixed_effects: [] with {dummies: …} of broad groups among the controls, "
            "or estimator: twfe",
        )
    y = request.frame[request.outcome].to_numpy(dtype=np.float64)
    other = int(np.count_nonzero((y != 0) & (y != 1)))
    if other:
        raise DataError(
            "D21",
            f"outcome '{label(request, request.outcome)}' is neither 0 nor 1 in {other} "
            f"of {len(y)} rows",
            why="A probability is that of a 0/1 outcome.",
            fix="data.steps: {NAME: {indicator: …}}, or estimator: ols",
        )
    design = build(
        request,
        [*treatment_regressors(request), *control_regressors(request)],
        min_clusters=min_clusters,
    )
    z, weights, eta = _iterate(design, link)
    fitted = fit(
        replace(design, outcome=z, weights=weights, weight_kind="analytic"),
        request.inference,
        small_sample,
    )
    return _result(request, design, fitted, eta, link)


def _iterate(design: Design, link: Link) -> tuple[Floats, Floats, Floats]:
    """Working outcome z, its weights and the index, (n,) each, where the steps end."""
    y = design.outcome
    eta = np.full(len(y), quantile(float(y.mean()), link))
    moved = np.zeros(len(y))
    for _ in range(STEPS):
        s, w = derivatives(eta, y, link)
        z = eta + s / w
        new = fitted_values(
            replace(design, outcome=z, weights=w, weight_kind="analytic")
        )
        moved = new - eta
        eta = eta + np.clip(moved, -5.0, 5.0)
        if np.abs(moved).max() < STILL:
            s, w = derivatives(eta, y, link)
            return eta + s / w, w, eta
        if np.abs(eta).max() > PERFECT[link]:
            break
    sure = np.abs(eta) > PERFECT[link] / 2
    if sure.any() and np.all((eta[sure] > 0) == (y[sure] == 1)):
        raise IdentificationError(
            "E16",
            f"{counted(int(sure.sum()), 'row is', 'rows are')} predicted perfectly by "
            "the regressors (separation)",
            why="Their probability runs to zero or one without end, so some coefficient "
            "is infinite.",
            fix="leave out the regressor that decides the outcome, or those rows "
            "(model.sample); estimator: ols gives a difference of means",
        )
    raise NumericalError(
        "N02",
        f"the likelihood has no maximum after {STEPS} steps "
        f"(a predictor still moves by {np.abs(moved).max():.1e})",
        fix="check the regressors' units for extreme values",
    )


def _result(
    request: Request, design: Design, fitted: Fit, eta: Floats, link: Link
) -> Result:
    import pandas as pd

    rows = rows_of(fitted)
    b = table(fitted, rows, request.confidence).assign(estimand="coefficient")
    names = fitted.design.regressors
    effect, gradient = _marginal(fitted, link)
    V = gradient.T @ fitted.covariance @ gradient
    ame = _effects(
        b.iloc[: len(names)],
        effect,
        np.sqrt(np.diag(V)),
        fitted.df_t,
        request.confidence,
    )
    judged = [j for j, r in enumerate(names) if r.wanted]
    psi_b = influence_of(fitted, rows)
    psi_ame = None
    if psi_b is not None:
        every = fitted.influence(range(len(fitted.estimate)))
        psi_ame = pd.DataFrame(
            every @ gradient[:, judged], index=psi_b.index, columns=judged
        )
    parts = [(ame, psi_ame), (b, psi_b)]
    if request.estimand[:1] == ("coefficient",):
        parts.reverse()
    influences, start = [], 0
    for part, influence in parts:
        if influence is not None:
            names_ = [int(c) + start for c in influence.columns]
            influences.append(influence.set_axis(names_, axis=1))
        start += len(part)
    coefficients = pd.concat([part for part, _ in parts], ignore_index=True)
    numbers = {k: v for k, v in scalars(fitted, rows).items() if k not in NOT_OURS}
    if "mde" in numbers:  # of the first row
        numbers["mde"] *= coefficients["std_error"][0] / b["std_error"][0]
    y, p = design.outcome, probability(eta, link)
    return Result(
        coefficients=coefficients,
        influence=pd.concat(influences, axis=1) if influences else None,
        scalars={
            **numbers,
            "outcome_mean": float(y.mean()),
            "log_likelihood": log_likelihood(eta, y, np.ones(len(y)), link),
            "squared_correlation": float(np.corrcoef(y, p)[0, 1] ** 2),
        },
        plots=(Plot("coefficients", "coefficients"),),
        notes=(
            *fitted.design.notes,
            (
                "Average marginal effects over these rows (0/1 columns: differences of "
                "the probability); errors by the delta method, the rows taken as given."
            ),
        ),
    )


def _marginal(fitted: Fit, link: Link) -> tuple[Floats, Floats]:
    """Average marginal effects (k,) and their derivatives (parameters, k)."""
    design, b = fitted.design, fitted.estimate
    n = design.n
    X = np.column_stack(
        [*(r.values for r in design.regressors), *([np.ones(n)] * fitted.constant)]
    )
    eta = X @ b
    f, slope = density(eta, link)
    k = len(design.regressors)
    effect, gradient = np.empty(k), np.empty((len(b), k))
    for j in range(k):
        x = X[:, j]
        if np.all((x == 0) | (x == 1)):
            on, off = X.copy(), X.copy()
            on[:, j], off[:, j] = 1.0, 0.0
            eta1, eta0 = eta + b[j] * (1.0 - x), eta - b[j] * x
            effect[j] = np.mean(probability(eta1, link) - probability(eta0, link))
            f1, f0 = density(eta1, link)[0], density(eta0, link)[0]
            gradient[:, j] = (f1 @ on - f0 @ off) / n
        else:
            effect[j] = b[j] * f.mean()
            gradient[:, j] = b[j] * (slope @ X) / n
            gradient[j, j] += f.mean()
    return effect, gradient


def _effects(
    rows: pd.DataFrame,
    estimate: Floats,
    error: Floats,
    df: float,
    confidence: float,
) -> pd.DataFrame:
    from scipy.special import stdtr, stdtrit

    reach = float(stdtrit(df, 0.5 + confidence / 2)) * error
    return rows.reset_index(drop=True).assign(
        estimand="ame",
        estimate=estimate,
        std_error=error,
        statistic=estimate / error,
        p_value=2.0 * stdtr(df, -np.abs(estimate / error)),
        conf_low=estimate - reach,
        conf_high=estimate + reach,
    )
