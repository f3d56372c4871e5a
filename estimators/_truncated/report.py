"""Truncated regression of a request: design, maximum, errors, rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._linear.design import (
    Design,
    build,
    control_regressors,
    label,
    treatment_regressors,
)
from estimators._linear.identification import explain
from estimators._math.sandwich import match_covariance, sum_by
from estimators._math.truncated import Fit, Floats, draw, fit, fit_many, moments
from framework.errors import DataError, IdentificationError, NumericalError, counted
from framework.result import COEFFICIENT_COLUMNS, Plot, Result, Test

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request

#: An outcome nearer than this to a limit, relative, is at it: a vertex's rounding.
_AT_LIMIT = 1e-9
#: Largest share of bootstrap samples without an estimate.
_LOST = 0.05
#: Rows of draws whose marginal effects are computed at once.
_BLOCK = 50


@dataclass(frozen=True, slots=True)
class Drawn:
    """The parametric bootstrap.

    Attributes:
        beta, ame: (draws, k) coefficients and average marginal effects.
        sigma: (draws,).
        lost: samples without a maximum, drawn anew.
    """

    beta: Floats
    ame: Floats
    sigma: Floats
    lost: int


@dataclass(frozen=True, slots=True)
class Numbers:
    """Estimates of all reported rows, coefficients first.

    Attributes:
        estimate: (2k,) coefficients, then average marginal effects.
        covariance: (2k, 2k).
        low, high: (2k,) interval.
        influence: (groups, 2k) whose cross product is the covariance.
        index: name and ids of the groups.
    """

    estimate: Floats
    covariance: Floats
    low: Floats
    high: Floats
    influence: Floats
    index: tuple[str, Any]


def regress(
    request: Request,
    lower: float,
    upper: float,
    bootstrap: int,
    *,
    min_clusters: int = 10,
) -> Result:
    """Fit, then rows, tests and notes.

    Raises:
        DataError, IdentificationError, NumericalError: see `Truncated.estimate`.
    """
    import pandas as pd

    design, x, notes = _design(request, lower, upper, min_clusters)
    found = fit(design.outcome, x, lower, upper)
    if found is None:
        raise NumericalError(
            "N07",
            f"the likelihood of '{design.outcome_term}' has no maximum inside of its "
            "limits",
            why="The outcome falls off from its limit at least as slowly as an "
            "exponential: no truncated normal fits it better than one without a mean.",
            fix="check the limit and its side, or use another model of the outcome",
        )
    drawn = None
    if bootstrap:
        drawn = _bootstrap(found, design, x, lower, upper, bootstrap, request.seed)
        notes += _told(drawn, bootstrap)
    numbers = _numbers(found, design, request, drawn)
    names = [r.term for r in design.regressors] + ["constant"]
    table, places = _table(numbers, names, request, design)
    wanted = [i for i, r in enumerate(design.regressors) if r.wanted]
    k = len(names)
    effects = [*wanted, *(k + i for i in wanted)]
    group, ids = numbers.index
    frames: dict[str, pd.DataFrame] = {}
    if drawn is not None:
        frames["bootstrap"] = pd.DataFrame(drawn.beta, columns=names).assign(
            sigma=drawn.sigma
        )
    return Result(
        coefficients=table,
        influence=pd.DataFrame(
            numbers.influence[:, effects],
            index=pd.Index(np.asarray(ids), name=group),
            columns=[places[i] for i in effects],
        ),
        scalars=_scalars(found, design, k),
        tests=(_joint(numbers, wanted),),
        frames=frames,
        plots=(Plot("coefficients", "coefficients"),),
        notes=(*design.notes, *notes),
    )


def _design(
    request: Request, lower: float, upper: float, min_clusters: int
) -> tuple[Design, Floats, tuple[str, ...]]:
    """Rows inside of the limits, columns of full rank with the constant last."""
    if len(request.inference.clusters) > 1:
        raise IdentificationError(
            "I09",
            "two-way clusters are not offered with a truncated regression",
            fix="inference: {cluster: …} with one column",
        )
    y = request.frame[request.outcome].to_numpy(dtype=np.float64)
    name = label(request, request.outcome)
    missing = np.isnan(y)
    above = missing | (y - lower > _AT_LIMIT * max(1.0, abs(lower)))
    below = missing | (upper - y > _AT_LIMIT * max(1.0, abs(upper)))
    if np.isinf(lower):
        above[:] = True
    if np.isinf(upper):
        below[:] = True
    keep = above & below
    notes = tuple(
        f"{int((~inside).sum()):,} of {len(y):,} rows with '{name}' at or {word} "
        f"{limit:g} are left out: a truncated regression is of the rows inside."
        for inside, limit, word in ((above, lower, "below"), (below, upper, "above"))
        if not inside.all()
    )
    regressors = [
        replace(r, estimand="coefficient")
        for r in (*treatment_regressors(request), *control_regressors(request))
    ]
    if len(y) and not keep.any():
        raise DataError(
            "D05",
            f"no row has '{name}' inside of its limits ({lower:g}, {upper:g})",
            why="The regression is of the rows inside.",
            fix="`lower: 1` is for distances from 1 on, `upper: 1` for scores up to 1",
        )
    design = build(
        replace(request, fixed_effects=(), slopes=(), weights=None),
        regressors,
        keep=keep,
        min_clusters=min_clusters,
    )
    if design.unit is not None and design.unit.n_levels == 1:
        raise DataError(
            "D05",
            f"all {design.n} rows are of one unit",
            why="Differences between units are what the regression explains.",
            fix="see the row ledger: which step or restriction removed the others",
        )
    columns = [r.values for r in design.regressors]
    if columns:
        z = np.column_stack(columns)
        spread = z.std(axis=0)
        z = (z - z.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        omitted, left_out = explain(design, z)
        design = design.without(omitted, left_out)
    x = np.column_stack([*(r.values for r in design.regressors), np.ones(design.n)])
    if design.n <= x.shape[1] + 1:
        raise DataError(
            "D05",
            f"{counted(design.n, 'row')} inside of the limits for {x.shape[1] + 1} "
            "parameters",
            fix="more rows, or fewer controls",
        )
    return design, x, notes


def _bootstrap(
    found: Fit,
    design: Design,
    x: Floats,
    lower: float,
    upper: float,
    times: int,
    seed: int,
) -> Drawn:
    """Samples of the fitted model, each estimated again.

    Raises:
        NumericalError: N07 too many samples have no estimate.
    """
    # Rows by their own numbers, so that neither order nor names of units matter.
    order = np.lexsort((*x.T, design.outcome))
    x = x[order]
    rng = np.random.default_rng(seed)
    mean = x @ found.beta
    k = x.shape[1]
    kept: list[Floats] = []
    lost = 0
    while (count := sum(map(len, kept))) < times:
        missing = times - count
        y = draw(mean, found.sigma, lower, upper, rng.random((missing, len(x))))
        estimates, converged = fit_many(y, x, lower, upper)
        kept.append(estimates[converged])
        lost += int((~converged).sum())
        if lost > _LOST * times:
            raise NumericalError(
                "N07",
                f"{lost:,} bootstrap samples have no maximum of the likelihood",
                why="Intervals from the others would be too short.",
                fix="more rows, fewer controls, or bootstrap: 0",
            )
    drawn = np.concatenate(kept)
    beta, sigma = drawn[:, :k], drawn[:, k]
    ame = np.empty_like(beta)
    for start in range(0, times, _BLOCK):
        rows = slice(start, start + _BLOCK)
        tau = sigma[rows, None] ** -2
        m = moments(beta[rows] @ x.T * tau, tau, lower, upper)
        ame[rows] = beta[rows] * (m.c2 * tau).mean(axis=1, keepdims=True)
    return Drawn(beta, ame, sigma, lost)


def _told(drawn: Drawn, times: int) -> tuple[str, ...]:
    note = (
        f"Errors and intervals are of {times:,} parametric bootstrap samples (Simar and "
        "Wilson 2007): basic intervals, errors their standard deviation."
    )
    if drawn.lost:
        note += f" {counted(drawn.lost, 'sample')} without a maximum drawn anew."
    return (note,)


def _numbers(
    found: Fit, design: Design, request: Request, drawn: Drawn | None
) -> Numbers:
    """Estimates, their covariance by the inference asked for, and influence rows."""
    from scipy.special import ndtri

    k = len(found.beta)
    to = np.zeros((2 * k, k + 1))
    to[:k, :k] = np.eye(k)
    to[k:] = found.ame_gradient
    estimate = np.concatenate([found.beta, found.ame])
    psi = found.influence @ to.T
    index: tuple[str, Any] = ("row", design.row_ids)
    n = design.n
    if request.inference.name == "cluster":
        (factor,) = design.clusters
        psi = sum_by(psi, factor.codes, factor.n_levels)
        index = (factor.term, factor.ids)
        psi *= np.sqrt(factor.n_levels / (factor.n_levels - 1))
        covariance = psi.T @ psi
    elif request.inference.name == "hetero":
        psi *= np.sqrt(n / (n - 1))
        covariance = psi.T @ psi
    else:
        covariance = to @ found.covariance @ to.T
    tail = (1 - request.confidence) / 2
    reach = float(ndtri(1 - tail)) * np.sqrt(np.diag(covariance))
    low, high = estimate - reach, estimate + reach
    if drawn is not None:
        values = np.column_stack([drawn.beta, drawn.ame])
        covariance = np.cov(values, rowvar=False)
        quantiles = np.quantile(values, [tail, 1 - tail], axis=0)
        low, high = 2 * estimate - quantiles[1], 2 * estimate - quantiles[0]
    if request.inference.name == "iid":
        # Coefficients and effects move together: each block by itself.
        for part in (slice(0, k), slice(k, 2 * k)):
            now = psi[:, part].T @ psi[:, part]
            psi[:, part] = match_covariance(psi[:, part], now, covariance[part, part])
    return Numbers(estimate, covariance, low, high, psi, index)


def _table(
    numbers: Numbers, names: list[str], request: Request, design: Design
) -> tuple[pd.DataFrame, dict[int, int]]:
    """The rows in the order asked for, and where each number's row stands."""
    import pandas as pd
    from scipy.special import ndtr

    k = len(names)
    wanted = [i for i, r in enumerate(design.regressors) if r.wanted]
    others = [i for i in range(k) if i not in wanted]
    asked = list(dict.fromkeys([*request.estimand, "coefficient", "ame"]))
    start = {"coefficient": 0, "ame": k}
    # The constant has no marginal effect.
    shown = {"coefficient": others, "ame": [i for i in others if i < k - 1]}
    order = [start[e] + i for e in asked for i in wanted]
    order += [start[e] + i for e in asked for i in shown[e]]
    at = np.array(order)
    error = np.sqrt(np.diag(numbers.covariance))[at]
    z = numbers.estimate[at] / error
    columns = (
        ["main"] * len(at),
        ["coefficient" if i < k else "ame" for i in at],
        [names[i % k] for i in at],
        numbers.estimate[at],
        error,
        z,
        2.0 * ndtr(-np.abs(z)),
        numbers.low[at],
        numbers.high[at],
    )
    table = pd.DataFrame(dict(zip(COEFFICIENT_COLUMNS, columns, strict=True)))
    return table, {int(i): row for row, i in enumerate(at)}


def _joint(numbers: Numbers, wanted: list[int]) -> Test:
    from scipy.special import chdtrc

    null = "all coefficients of the treatment are zero"
    if not wanted:
        return Test("joint_treatment", null, reason="there is no treatment")
    b = numbers.estimate[wanted]
    v = numbers.covariance[np.ix_(wanted, wanted)]
    if np.linalg.matrix_rank(v) < len(wanted):
        reason = "the covariance of the coefficients is singular: too few clusters"
        return Test("joint_treatment", null, reason=reason)
    wald = float(b @ np.linalg.solve(v, b))
    q = len(wanted)
    return Test("joint_treatment", null, wald, str(q), float(chdtrc(q, wald)))


def _scalars(found: Fit, design: Design, k: int) -> dict[str, float]:
    from math import inf, log

    numbers: dict[str, float] = {
        "n_obs": design.n,
        "df_t": inf,
        "log_likelihood": found.log_likelihood,
        "aic": 2 * (k + 1) - 2 * found.log_likelihood,
        "bic": log(design.n) * (k + 1) - 2 * found.log_likelihood,
        "sigma2": found.sigma**2,
        "outcome_mean": float(design.outcome.mean()),
    }
    if design.unit is not None:
        numbers["n_units"] = design.unit.n_levels
    if design.time is not None:
        numbers["n_periods"] = len(np.unique(design.time))
    if design.clusters:
        numbers["n_clusters"] = design.clusters[0].n_levels
    return {name: float(value) for name, value in numbers.items()}
