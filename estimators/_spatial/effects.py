"""Impacts by order of neighbours, and their standard errors by simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._math.neighbours import remembered
from estimators._math.spatial_effects import Powers, along, powers
from estimators._math.spatial_ml import Floats
from estimators._spatial.model import Estimated, Row, impacts, without_zero
from framework.errors import NumericalError

if TYPE_CHECKING:
    import pandas as pd

_ORDERS = 5
_KINDS = ("direct", "indirect", "total")


def by_order(m: Estimated) -> pd.DataFrame:
    """Impacts by order of neighbours, with delta-method standard errors.

    Order 0 is the unit itself, 1 its neighbours; what is beyond stands in the last row,
    so that the orders add up to the impact.
    """
    import pandas as pd

    lag = m.lags.covariates
    count, k = len(m.arrays.regressors), len(m.b)
    W1 = None if m.lags.outcome is None else m.lags.outcome.W
    sums = _sums(W1, None if lag is None else lag.W)
    whole = {(r.estimand, r.term): r for r in impacts(m)}
    rows = []
    for j, regressor in enumerate(m.arrays.regressors):
        left = {kind: whole[kind, regressor.term] for kind in _KINDS}
        for q in range(_ORDERS):
            of = None if lag is None else count
            direct = _of_order(m, j, q, sums.own, k, of)
            total = _of_order(m, j, q, sums.all, k, of)
            found = {
                "direct": direct,
                "indirect": (total[0] - direct[0], total[1] - direct[1]),
                "total": total,
            }
            line: dict[str, object] = {"term": regressor.term, "order": f"{q}"}
            for kind in _KINDS:
                value, gradient = found[kind]
                line |= _cell(m, kind, value, gradient)
                left[kind] = Row(
                    regressor.term,
                    kind,
                    left[kind].estimate - value,
                    left[kind].gradient - gradient,
                )
            rows.append(line)
        rest: dict[str, object] = {
            "term": regressor.term,
            "order": f"{_ORDERS} and more",
        }
        for kind in _KINDS:
            rest |= _cell(m, kind, left[kind].estimate, left[kind].gradient)
        rows.append(rest)
    return pd.DataFrame(rows)


@remembered
def _sums(outcome: Any, covariates: Any) -> Powers:
    """Sums over the powers of the matrices; at least one is there."""
    n = (covariates if outcome is None else outcome).shape[0]
    return powers(n, outcome, covariates, _ORDERS)


def _cell(m: Estimated, kind: str, value: float, g: Floats) -> dict[str, object]:
    error = float(np.sqrt(max(float(g @ m.V @ g), 0.0)))
    return {kind: float(value), f"{kind} std_error": error}


def _of_order(
    m: Estimated, j: int, q: int, sums: Floats, k: int, count: int | None
) -> tuple[float, Floats]:
    """The sum beta rho^q a_q + theta rho^(q-1) b_(q-1) with its derivative (k + 3,).

    The lag of a covariate reaches one order further than its power of rho.
    """
    gradient = np.zeros(k + 3)
    a = float(sums[q, 0])
    beta, rho = float(m.b[j]), m.rho
    value = beta * rho**q * a
    gradient[j] = rho**q * a
    gradient[k] = q * rho ** max(q - 1, 0) * beta * a
    if count is not None and q:
        b, theta = float(sums[q - 1, 1]), float(m.b[count + j])
        value += theta * rho ** (q - 1) * b
        gradient[count + j] = rho ** (q - 1) * b
        gradient[k] += (q - 1) * rho ** max(q - 2, 0) * theta * b
    return value, gradient


def simulated(
    m: Estimated, times: int, seed: int, confidence: float
) -> tuple[pd.DataFrame, str]:
    """Impacts with the standard errors of the delta method and of simulation.

    Parameters are drawn from the normal distribution of the estimates; draws of rho
    outside the parameter space are drawn again, and their share is said.

    Args:
        m: the model.
        times: draws.
        seed: of the draws.
        confidence: of the percentile interval.

    Returns:
        One row per impact, and a sentence for the table.

    Raises:
        NumericalError: N02 rho is so imprecise that most draws are outside.
    """
    import pandas as pd

    drawn, outside = _drawn(m, times, np.random.default_rng(seed))
    count, k = len(m.arrays.regressors), len(m.b)
    n = m.arrays.y.shape[0]
    lag, outcome = m.lags.covariates, m.lags.outcome
    W2 = None if lag is None else lag.W
    if outcome is None:
        own = np.tile([1.0, 0.0 if W2 is None else W2.trace() / n], (times, 1))
        every = np.tile([1.0, 0.0 if W2 is None else W2.sum() / n], (times, 1))
    else:
        curves = along(drawn[:, k], n, outcome, W2)
        own, every = curves.own, curves.all
    parts = {"direct": own, "indirect": every - own, "total": every}
    tail = (1.0 - confidence) / 2
    place = {r.term: j for j, r in enumerate(m.arrays.regressors)}
    rows = []
    for row in without_zero(impacts(m)):
        j, part = place[row.term], parts[row.estimand]
        values = drawn[:, j] * part[:, 0]
        if lag is not None:
            values = values + drawn[:, count + j] * part[:, 1]
        low, high = np.quantile(values, [tail, 1.0 - tail])
        rows.append(
            {
                "term": row.term,
                "estimand": row.estimand,
                "estimate": row.estimate,
                "std_error, delta": float(np.sqrt(row.gradient @ m.V @ row.gradient)),
                "std_error, simulated": float(values.std(ddof=1)),
                "mean, simulated": float(values.mean()),
                "conf_low, simulated": float(low),
                "conf_high, simulated": float(high),
            }
        )
    said = f"simulated standard errors of the impacts: {times:,} draws, seed {seed}"
    if outside:
        said += (
            f"; {outside / (times + outside):.1%} of all draws of rho fell outside the "
            "parameter space and were drawn again"
        )
    return pd.DataFrame(rows), said


#: Rounds of drawing again before the distribution is refused.
_ROUNDS = 20


def _drawn(
    m: Estimated, times: int, generator: np.random.Generator
) -> tuple[Floats, int]:
    """(times, k + 3) draws inside the parameter space, and how many were outside."""
    k = len(m.b)
    at = np.concatenate([m.b, [m.rho, m.lam, m.sigma2]])
    used = np.flatnonzero(np.diag(m.V))
    size = np.sqrt(np.diag(m.V)[used])
    correlation = m.V[np.ix_(used, used)] / np.outer(size, size)
    values, vectors = np.linalg.eigh(correlation)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    low, high = m.lags.outcome.range if m.lags.outcome else (-np.inf, np.inf)
    found: list[Floats] = []
    held = outside = 0
    for _ in range(_ROUNDS):
        draw = np.tile(at, (times, 1))
        draw[:, used] += generator.standard_normal((times, len(used))) @ root * size
        inside = (draw[:, k] > low) & (draw[:, k] < high)
        kept = draw[inside][: times - held]
        found.append(kept)
        held += len(kept)
        outside += int((~inside).sum())
        if held == times:
            return np.concatenate(found), outside
    raise NumericalError(
        "N02",
        f"most draws of rho ({m.rho:.3g}) fall outside its parameter space",
        why="its normal distribution says nothing about the impacts there",
        fix="simulations: 0, or a better determined model",
    )
