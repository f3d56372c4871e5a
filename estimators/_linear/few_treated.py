"""p values and intervals of effects that rest on few treated clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._math.few_treated import Groups, few_treated
from estimators._math.projection import contiguous
from framework.errors import IdentificationError, counted

if TYPE_CHECKING:
    from estimators._linear.design import Design
    from estimators._linear.engine import Fit
    from estimators._linear.report import Row
    from estimators._math.projection import Floats
    from framework.contract import Request
    from framework.result import Result

#: Draws unless the study says how many: 5 % of them and one more is a whole number.
DRAWS = 9_999
#: What differs by less than this share of the largest value is the same.
_SAME = 1e-8


def few_treated_inference(
    result: Result, fitted: Fit, rows: Sequence[Row], request: Request
) -> Result:
    """`result` with Ferman and Pinto's p values and intervals of the effects.

    Raises:
        IdentificationError: I05 no value of an effect is rejected; I09 a cluster is
            not seen in every period, or its rows of a period differ in regressors.
    """
    design = fitted.design
    (cluster,) = design.clusters
    X, u = fitted.solved.X, fitted.solved.u
    bread = np.linalg.inv(X.T @ X)
    draws = int(request.inference.options.get("draws", DRAWS))
    coefficients = result.coefficients.copy()
    level = 1.0 - request.confidence
    for i, row in enumerate(rows):
        if not row.influence:
            continue
        c = fitted.to_user @ row.weights
        direction = bread @ c
        x = X @ (direction / (c @ direction))
        label = coefficients.index[i]
        estimate = float(coefficients.loc[label, "estimate"])
        error = float(coefficients.loc[label, "std_error"])
        drawn = few_treated(_groups(design, x, u, estimate), draws, request.seed)
        below, above = (drawn.reach(error, level, side) for side in (1, -1))
        if not np.isfinite(below + above):
            raise _unbounded(row.term, cluster.n_levels, request.confidence)
        coefficients.loc[label, "p_value"] = drawn.p_value(0.0)
        coefficients.loc[label, "conf_low"] = estimate - below
        coefficients.loc[label, "conf_high"] = estimate + above
    note = (
        "p values and intervals of the effects: residuals of all clusters of "
        f"'{cluster.term}' stand for those of each, rescaled by the rows behind them "
        f"(Ferman and Pinto 2019; null imposed, {draws:,} draws). Standard errors, "
        "controls and joint tests are analytic (CRV1) and not for use with few treated."
    )
    return replace(
        result,
        coefficients=coefficients,
        scalars={**result.scalars, "n_bootstrap": float(draws)},
        notes=(*result.notes, note),
    )


def _groups(design: Design, x: Floats, u: Floats, estimate: float) -> Groups:
    """Cluster by period tables, clusters in the order of their names.

    Args:
        design: with one clustering.
        x, u: (n,) partialled-out treatment and residuals, times the root of the weights.
        estimate: the coefficient.
    """
    (cluster,) = design.clusters
    G = cluster.n_levels
    time, T = contiguous(design.periods)
    # Draws belong to names: neither the order of rows nor of codes moves them.
    order = np.argsort(np.array([str(i) for i in cluster.ids]), kind="stable")
    place = np.empty(G, dtype=np.int64)
    place[order] = np.arange(G)
    cell = place[cluster.codes] * T + time
    root = np.sqrt(design.scaled_weights())
    mass = np.bincount(cell, root**2, G * T)
    if not mass.all():
        empty = int(np.count_nonzero(mass == 0))
        raise IdentificationError(
            "I09",
            f"{empty} of {G * T} cells of '{cluster.term}' and period have no row",
            why="A cluster's residuals stand for another's period by period.",
            fix="model.sample: {full: balanced}, or inference: {wild_bootstrap: …}",
        )
    own = x / root
    level = np.bincount(cell, root * x, G * T) / mass
    if np.abs(own - level[cell]).max() > _SAME * np.abs(own).max():
        raise IdentificationError(
            "I09",
            f"rows of one '{cluster.term}' and period differ in treatment or covariates, "
            "or units come and go",
            why="The errors of a cluster enter by period; here rows have weights of "
            "their own.",
            fix="one row for every cluster and period (their means), or a coarser "
            "treatment",
        )

    def table(values: Any) -> Floats:
        return np.asarray(values, dtype=np.float64).reshape(G, T)

    return Groups(
        x=table(level * mass),
        level=table(level),
        u=table(np.bincount(cell, root * u, G * T) / mass),
        size=table(mass).mean(axis=1),
        estimate=estimate,
    )


def _unbounded(term: str, G: int, confidence: float) -> IdentificationError:
    return IdentificationError(
        "I05",
        f"no value of '{term}' is rejected, however large: its {confidence:.0%} interval "
        "is the whole line",
        why=f"With {counted(G, 'cluster')} a draw repeats the treated ones too often.",
        fix="more clusters without treatment, or a permutation of the treatment",
    )
