"""p values and intervals by the wild cluster bootstrap, beside the analytic errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.across import crossing
from estimators._linear.few_treated import few_treated_inference
from estimators._math.wild_bootstrap import Multipliers, Sums, draw, multipliers
from framework.errors import IdentificationError, counted

if TYPE_CHECKING:
    from estimators._linear.design import Factor
    from estimators._linear.engine import Fit
    from estimators._linear.report import Row
    from framework.contract import Inference, Request
    from framework.result import Result

#: Draws unless the study says how many: 5 % of them and one more is a whole number.
DRAWS = 9_999
#: Below so many clusters p has fewer than 100 values under two-point multipliers.
_COARSE = 8


def bootstrapped(
    result: Result, fitted: Fit, rows: Sequence[Row], request: Request
) -> Result:
    """`result` with the bootstrap's p values and intervals where the study asks.

    Effects (treatment, leads, lags, event times) are bootstrapped, controls keep what
    their analytic standard errors say. Another inference leaves the result as it is.

    Raises:
        IdentificationError: I05 no value of an effect is rejected, however far; I09
            `draws: every` of too many.
        NumericalError: N04 too many levels across clusters.
    """
    inference = request.inference
    if inference.name == "ferman_pinto":
        return few_treated_inference(result, fitted, rows, request)
    if inference.name != "wild_bootstrap":
        return result
    design = fitted.design
    (cluster,) = design.clusters
    v = cluster_multipliers(inference, cluster, request.seed)
    restricted = bool(inference.options.get("restricted", True))
    X, u = fitted.solved.X, fitted.solved.u
    basis = np.column_stack([np.linalg.qr(X)[0], crossing(design, cluster)])
    bread = np.linalg.inv(X.T @ X)
    coefficients = result.coefficients.copy()
    level = 1.0 - request.confidence
    for i, row in enumerate(rows):
        if not row.influence:
            continue
        c = fitted.to_user @ row.weights
        direction = bread @ c
        x = X @ (direction / (c @ direction))
        drawn = draw(
            Sums.of(x, u, basis, cluster.codes, cluster.n_levels),
            v,
            restricted=restricted,
        )
        label = coefficients.index[i]
        estimate = float(coefficients.loc[label, "estimate"])
        error = float(coefficients.loc[label, "std_error"])
        below, above = (drawn.reach(error, level, side) for side in (1, -1))
        if not np.isfinite(below + above):
            raise _unbounded(row.term, cluster.n_levels, request.confidence)
        coefficients.loc[label, "p_value"] = drawn.p_value(estimate)
        coefficients.loc[label, "conf_low"] = estimate - below
        coefficients.loc[label, "conf_high"] = estimate + above
    said = how_drawn(inference, cluster, v, restricted=restricted)
    note = (
        f"p values and intervals of the effects: wild cluster bootstrap by {said} "
        "Standard errors, controls and joint tests are analytic (CRV1)."
    )
    return replace(
        result,
        coefficients=coefficients,
        scalars={**result.scalars, "n_bootstrap": float(v.n_draws)},
        notes=(
            *result.notes,
            note,
            *coarse(inference, cluster, v),
        ),
    )


def cluster_multipliers(
    inference: Inference, cluster: Factor, seed: int, *, odd: bool = True
) -> Multipliers:
    """A column per cluster in the order of codes; draws belong to the clusters' ids.

    Raises:
        IdentificationError: I09 `draws: every` of too many.
    """
    draws = inference.options.get("draws", DRAWS)
    kind = inference.options.get("weights", "rademacher")
    insists = draws == "every"
    random = 1 if insists else int(draws)
    v = multipliers(kind, cluster.n_levels, random, seed, odd=odd)
    if insists and not v.enumerated:
        raise IdentificationError(
            "I09",
            f"every draw of {kind} weights for {counted(cluster.n_levels, 'cluster')}",
            why="There are more than 65,536 of them, or they are not equally likely.",
            fix=f"draws: {DRAWS}",
        )
    # Ids of cells are tuples.
    order = np.argsort(np.array([str(i) for i in cluster.ids]), kind="stable")
    values = np.empty_like(v.values)
    values[:, order] = v.values
    return replace(v, values=values)


def _unbounded(term: str, G: int, confidence: float) -> IdentificationError:
    return IdentificationError(
        "I05",
        f"the bootstrap rejects no value of '{term}', however large: its "
        f"{confidence:.0%} interval is the whole line",
        why=f"With {counted(G, 'cluster')}, or an effect that rests on very few of "
        "them, too many draws repeat the data.",
        fix="weights: webb, more clusters, or a permutation of the treatment",
    )


def how_drawn(
    inference: Inference, cluster: Factor, v: Multipliers, *, restricted: bool
) -> str:
    """The clusters, the kind of bootstrap, and what p and the interval are."""
    kind = str(inference.options.get("weights", "rademacher")).capitalize()
    null = "null imposed" if restricted else "null not imposed"
    how = f"all {v.n_draws:,}" if v.enumerated else f"{v.n_draws:,} random"
    return (
        f"'{cluster.term}' ({null}, {kind} weights, {how} draws); p is the share of "
        "draws with a strictly larger |t|, the interval holds the values it does not "
        "reject."
    )


def coarse(inference: Inference, cluster: Factor, v: Multipliers) -> tuple[str, ...]:
    """A warning where p has few values."""
    kind = inference.options.get("weights", "rademacher")
    if cluster.n_levels >= _COARSE or kind != "rademacher":
        return ()
    distinct = v.n_draws // 2 if v.halved else v.n_draws
    few = (
        f"{counted(cluster.n_levels, 'cluster')}: p has only {distinct} distinct values"
    )
    return (f"{few}; weights: webb has more.",)
