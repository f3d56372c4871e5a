"""From a fit to a `Result`: rows, influence functions, scalars, joint tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._linear.design import Design
from estimators._math.projection import Floats
from estimators._math.sandwich import effective_number, wald
from framework.result import COEFFICIENT_COLUMNS, Test

if TYPE_CHECKING:
    import pandas as pd

    from estimators._linear.engine import Fit

#: Power of the minimum detectable effect.
POWER = 0.80


@dataclass(frozen=True, slots=True)
class Row:
    """A reported coefficient: weights (k,) on the fit's coefficients.

    `influence`: whether its influence function is stored (effects, not controls).
    """

    term: str
    estimand: str
    weights: Floats
    influence: bool
    order: int | None = None
    event_time: int | None = None


def rows_of(fit: Fit) -> list[Row]:
    """One row per shown regressor in the fit's order, the constant last."""
    k = len(fit.estimate)
    rows = []
    for j, r in enumerate(fit.design.regressors):
        if r.shown:
            effect = r.wanted or r.estimand != "coefficient"
            rows.append(
                Row(r.term, r.estimand, _pick(j, k), effect, r.order, r.event_time)
            )
    if fit.constant:
        rows.append(Row("constant", "coefficient", _pick(k - 1, k), influence=False))
    return rows


def _pick(j: int, k: int) -> Floats:
    weights = np.zeros(k)
    weights[j] = 1.0
    return weights


def covariance_of(fit: Fit, rows: Sequence[Row]) -> tuple[Floats, Floats]:
    """Estimates (q,) and covariance (q, q) of the rows."""
    R = np.column_stack([r.weights for r in rows])
    return R.T @ fit.estimate, R.T @ fit.covariance @ R


def table(
    fit: Fit, rows: Sequence[Row], confidence: float, index: Sequence[str] = ()
) -> pd.DataFrame:
    """Tidy coefficients of the rows, t intervals with the fit's degrees of freedom."""
    import pandas as pd
    from scipy.special import stdtr, stdtrit

    estimate, V = covariance_of(fit, rows)
    error = np.sqrt(np.diag(V))
    t = estimate / error
    reach = float(stdtrit(fit.df_t, 0.5 + confidence / 2)) * error
    columns: dict[str, Any] = dict(
        zip(
            COEFFICIENT_COLUMNS,
            (
                ["main"] * len(rows),
                [r.estimand for r in rows],
                [r.term for r in rows],
                estimate,
                error,
                t,
                2.0 * stdtr(fit.df_t, -np.abs(t)),
                estimate - reach,
                estimate + reach,
            ),
            strict=True,
        )
    )
    for name in index:
        columns[name] = pd.array([getattr(r, name) for r in rows], dtype="Int64")
    return pd.DataFrame(columns)


def influence_of(fit: Fit, rows: Sequence[Row]) -> pd.DataFrame | None:
    """Influence functions of the effect rows; columns are row labels of the table."""
    import pandas as pd

    at = [i for i, r in enumerate(rows) if r.influence]
    if not at:
        return None
    R = np.column_stack([rows[i].weights for i in at])
    used = [int(j) for j in np.flatnonzero(np.any(R != 0, axis=1))]
    psi = fit.influence(used) @ R[used]
    if len(fit.levels) == 1:
        name, ids = fit.levels[0]
        index: Any = pd.Index(np.asarray(ids), name=name)
    else:
        index = pd.MultiIndex.from_arrays(
            [np.asarray(ids) for _, ids in fit.levels],
            names=[name for name, _ in fit.levels],
        )
    return pd.DataFrame(psi, index=index, columns=at)


def joint(fit: Fit, name: str, null: str, rows: Sequence[Row]) -> Test:
    """Wald F test that all rows are zero, or the reason why there is none."""
    from scipy.special import fdtrc

    if not rows:
        return Test(name, null, reason="no such coefficient in this estimation")
    estimate, V = covariance_of(fit, rows)
    q = len(rows)
    statistic, rank = wald(estimate, V)
    if rank < q:
        return Test(
            name,
            null,
            reason=f"the covariance of the {q} coefficients has rank {rank} (I06): "
            "too few clusters for a joint test",
        )
    return Test(
        name,
        null,
        statistic=statistic,
        df=f"{q}, {fit.df_t:g}",
        p_value=float(fdtrc(q, fit.df_t, statistic)),
    )


def scalars(
    fit: Fit, rows: Sequence[Row], main: Sequence[int] = (0,)
) -> Mapping[str, float]:
    """Counts, fit and power of the estimation; names as in the glossary.

    `main` are the regressors (positions) that stand for the treatment: the effective
    number of clusters and the residual share are the smallest among them. The minimum
    detectable effect is the first row's.
    """
    from scipy.special import stdtrit

    design = fit.design
    found: dict[str, float] = {"n_obs": design.n}
    if design.unit is not None:
        found["n_units"] = design.unit.n_levels
    if design.time is not None:
        found["n_periods"] = len(np.unique(design.time))
    found |= _treated(design)
    if design.clusters:
        sizes = [c.n_levels for c in design.clusters]
        found["n_clusters"] = min(sizes)
        if len(sizes) > 1:
            found["n_clusters_first"], found["n_clusters_second"] = sizes
        if design.treatment is not None:
            found["effective_clusters"] = min(
                effective_number(g[:, j]) for g in fit.load for j in main
            )
    found["n_singletons"] = design.n_singletons
    found["df_t"] = fit.df_t
    found["df_model"] = fit.df_model
    n = design.n_copies
    found["r2"] = 1.0 - fit.rss / fit.tss
    found["r2_adjusted"] = 1.0 - fit.rss / fit.tss * (n - 1) / (n - fit.rank)
    if design.fixed_effects or design.slopes:
        found["r2_within"] = 1.0 - fit.rss / fit.tss_within
    found["rmse"] = float(np.sqrt(fit.rss / fit.mass))
    found["outcome_mean"] = float(np.average(design.outcome, weights=design.weights))
    if design.treatment is not None and design.regressors:
        found["treatment_residual_share"] = float(fit.residual_share[list(main)].min())
        _, V = covariance_of(fit, rows[:1])
        both = stdtrit(fit.df_t, 0.975) + stdtrit(fit.df_t, POWER)
        found["mde"] = float(both * np.sqrt(V[0, 0]))
    return {name: float(value) for name, value in found.items()}


def _treated(design: Design) -> dict[str, float]:
    if design.treatment is None:
        return {}
    on = design.treatment != 0
    found = {"n_treated_obs": float(on.sum())}
    if design.unit is None or design.time is None:
        return found
    unit = design.unit
    found["n_treated_units"] = float(
        np.count_nonzero(np.bincount(unit.codes[on], minlength=unit.n_levels))
    )
    if design.cohort is not None:
        before = np.isfinite(design.cohort) & (design.time < design.cohort)
    else:
        never = np.iinfo(np.int64).max
        first = np.full(unit.n_levels, never)
        np.minimum.at(first, unit.codes[on], design.time[on])
        start = first[unit.codes]
        before = (start < never) & (design.time < start)
    if before.any():
        weights = None if design.weights is None else design.weights[before]
        found["outcome_mean_before"] = float(
            np.average(design.outcome[before], weights=weights)
        )
    return found
