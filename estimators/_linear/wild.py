"""p values and intervals by the wild cluster bootstrap, beside the analytic errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.engine import demeaned_like
from estimators._math.projection import Floats, nested
from estimators._math.wild_bootstrap import Multipliers, Sums, draw, multipliers
from framework.errors import IdentificationError, NumericalError

if TYPE_CHECKING:
    from estimators._linear.design import Design, Factor
    from estimators._linear.engine import Fit
    from estimators._linear.report import Row
    from framework.contract import Inference, Request
    from framework.result import Result

#: Draws unless the study says how many: 5 % of them and one more is a whole number.
DRAWS = 9_999
#: Columns of what is not nested in clusters that are written out, and their cells.
_WIDE, _CELLS = 2_000, 400_000_000
#: Share of its size that is left of a column that repeats others.
_REPEATED = 1e-9
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
    if inference.name != "wild_bootstrap":
        return result
    design = fitted.design
    (cluster,) = design.clusters
    v = _multipliers(inference, cluster, request.seed)
    restricted = bool(inference.options.get("restricted", True))
    basis = _basis(design, fitted.solved.X, cluster)
    X, u = fitted.solved.X, fitted.solved.u
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
    return replace(
        result,
        coefficients=coefficients,
        scalars={**result.scalars, "n_bootstrap": float(v.n_draws)},
        notes=(*result.notes, *_notes(inference, cluster, v, restricted=restricted)),
    )


def _multipliers(inference: Inference, cluster: Factor, seed: int) -> Multipliers:
    """A column per cluster in the order of codes; draws belong to the clusters' ids."""
    draws = inference.options.get("draws", DRAWS)
    kind = inference.options.get("weights", "rademacher")
    insists = draws == "every"
    v = multipliers(kind, cluster.n_levels, 1 if insists else int(draws), seed)
    if insists and not v.enumerated:
        raise IdentificationError(
            "I09",
            f"every draw of {kind} weights for {cluster.n_levels} clusters",
            why="There are more than 65,536 of them, or they are not equally likely.",
            fix=f"draws: {DRAWS}",
        )
    # Ids of cells are tuples.
    order = np.argsort(np.array([str(i) for i in cluster.ids]), kind="stable")
    values = np.empty_like(v.values)
    values[:, order] = v.values
    return replace(v, values=values)


def _basis(design: Design, X: Floats, cluster: Factor) -> Floats:
    """Orthonormal columns (n, q) of all that is estimated, but for what is nested.

    Fixed effects and slopes within clusters are orthogonal to every cluster's part of
    a regressor that is free of them, so they need no column.
    """
    own = np.linalg.qr(X)[0]
    inside = [nested(f.codes, cluster.codes) for f in design.fixed_effects]
    slopes_inside = [nested(s.by, cluster.codes) for s in design.slopes]
    across = [
        (f.codes, np.ones(design.n), f.n_levels)
        for f, within in zip(design.fixed_effects, inside, strict=True)
        if not within
    ] + [
        (s.by, s.variable, s.n_levels)
        for s, within in zip(design.slopes, slopes_inside, strict=True)
        if not within
    ]
    width = sum(levels for _, _, levels in across)
    if not width:
        return own
    if width > _WIDE or width * design.n > _CELLS:
        raise NumericalError(
            "N04",
            f"wild_bootstrap beside {width} levels of fixed effects that cross "
            f"clusters of '{cluster.term}'",
            why="Each is a column of the bootstrap's projection, in memory.",
            fix="cluster by a column in which the large fixed effect is nested",
        )
    D = np.zeros((design.n, width))
    at = 0
    for codes, values, levels in across:
        D[np.arange(design.n), at + codes] = values
        at += levels
    within_only = replace(
        design,
        fixed_effects=tuple(
            f for f, ok in zip(design.fixed_effects, inside, strict=True) if ok
        ),
        slopes=tuple(
            s for s, ok in zip(design.slopes, slopes_inside, strict=True) if ok
        ),
    )
    if within_only.fixed_effects or within_only.slopes:
        size = np.linalg.norm(D, axis=0)
        D = demeaned_like(within_only, D[:, size > 0] / size[size > 0])
    D = D * np.sqrt(design.scaled_weights())[:, None]
    return np.column_stack([own, _orthonormal(D)])


def _orthonormal(D: Floats) -> Floats:
    """Orthonormal columns that span those of `D`, which may repeat one another."""
    left, size, _ = np.linalg.svd(D, full_matrices=False)
    return left[:, size > _REPEATED * size[0]]


def _unbounded(term: str, G: int, confidence: float) -> IdentificationError:
    return IdentificationError(
        "I05",
        f"the bootstrap rejects no value of '{term}', however large: its "
        f"{confidence:.0%} interval is the whole line",
        why=f"With {G} clusters, or an effect that rests on very few of them, too many "
        "draws repeat the data.",
        fix="weights: webb, more clusters, or a permutation of the treatment",
    )


def _notes(
    inference: Inference, cluster: Factor, v: Multipliers, *, restricted: bool
) -> list[str]:
    kind = str(inference.options.get("weights", "rademacher")).capitalize()
    null = "null imposed" if restricted else "null not imposed"
    how = f"all {v.n_draws:,}" if v.enumerated else f"{v.n_draws:,} random"
    said = (
        "p values and intervals of the effects: wild cluster bootstrap by "
        f"'{cluster.term}' ({null}, {kind} weights, {how} draws); p is the share of "
        "draws with a strictly larger |t|, the interval holds the values it does not "
        "reject. Standard errors, controls and joint tests are analytic (CRV1)."
    )
    notes = [said]
    if cluster.n_levels < _COARSE and kind == "Rademacher":
        notes.append(
            f"{cluster.n_levels} clusters: p has only {v.n_draws // 2} distinct "
            "values; weights: webb has more."
        )
    return notes
