"""The wild restricted efficient bootstrap of the effect, and of Anderson and Rubin's test."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.across import crossing
from estimators._linear.wild import cluster_multipliers, coarse, how_drawn
from estimators._math.wild_bootstrap import TIE, reach
from estimators._math.wild_instruments import (
    InstrumentSums,
    anderson_rubin,
    drawn_squares,
    p_value,
)
from framework.errors import IdentificationError
from framework.result import Test

if TYPE_CHECKING:
    from estimators._iv.stages import Stages
    from estimators._math.projection import Floats
    from estimators._math.wild_bootstrap import Multipliers
    from framework.contract import Request
    from framework.result import Result


def bootstrapped_iv(result: Result, stages: Stages, request: Request) -> Result:
    """`result` with bootstrapped p value and interval of the effect, and the test.

    Args:
        result: with analytic errors by cluster; the effect is its first row.
        stages: what it was made from.
        request: whose inference is `wild_bootstrap`.

    Raises:
        IdentificationError: I05 the interval has no end; I09 several treatments, or
            `draws: every` of too many.
        NumericalError: N04 too many levels across clusters.
    """
    inference = request.inference
    if stages.p > 1:
        raise IdentificationError(
            "I09",
            f"wild_bootstrap of {stages.p} treatments with instruments",
            why="The null of one leaves the others' effects to be estimated under it.",
            fix="one treatment at a time, or inference: {cluster: …}",
        )
    design = stages.ols.design
    (cluster,) = design.clusters
    G = cluster.n_levels
    v = cluster_multipliers(inference, cluster, request.seed, odd=False)
    restricted = bool(inference.options.get("restricted", True))
    Q = np.column_stack([np.linalg.qr(stages.exogenous)[0], crossing(design, cluster)])
    sums = InstrumentSums.of(stages.y, stages.D[:, 0], stages.Z, Q, cluster.codes, G)
    # One unit of the scaled treatment in the user's units.
    unit = stages.scale[0] / stages.scale[1]
    coefficients = result.coefficients.copy()
    label = coefficients.index[0]
    estimate = float(coefficients.loc[label, "estimate"])
    error = float(coefficients.loc[label, "std_error"])
    level = 1.0 - request.confidence
    fixed = None if restricted else drawn_squares(sums, sums.estimate, v)
    p_at = partial(_p_at, sums, v, fixed)
    below, above = (reach(p_at, error / unit, level, side) * unit for side in (1, -1))
    if not np.isfinite(below + above):
        raise _unbounded(str(coefficients.loc[label, "term"]), request.confidence)
    coefficients.loc[label, "p_value"] = p_at(estimate / unit)
    coefficients.loc[label, "conf_low"] = estimate - below
    coefficients.loc[label, "conf_high"] = estimate + above
    said = how_drawn(inference, cluster, v, restricted=restricted)
    kind = "wild restricted efficient bootstrap" if restricted else "wild bootstrap"
    note = (
        f"p value and interval of the effect: {kind} by {said} Standard errors, other "
        "rows and other tests are analytic (CRV1)."
    )
    return replace(
        result,
        coefficients=coefficients,
        scalars={**result.scalars, "n_bootstrap": float(v.n_draws)},
        tests=(*result.tests, _no_effect(result, sums, v)),
        notes=(
            *result.notes,
            note,
            *coarse(inference, cluster, v),
        ),
    )


def _p_at(
    sums: InstrumentSums, v: Multipliers, fixed: Floats | None, delta: float
) -> float:
    """P of the null `delta` below the estimate; `fixed`: draws that impose none."""
    null = sums.estimate - delta
    if fixed is None:
        return p_value(sums, null, v)
    return float(np.mean(fixed > sums.own(null) * (1.0 + TIE)))


def _no_effect(result: Result, sums: InstrumentSums, v: Multipliers) -> Test:
    """Anderson and Rubin's test with its statistic as printed and a bootstrapped p."""
    null = "no effect, whatever the strength of the instruments"
    (analytic,) = [t for t in result.tests if t.name == "anderson_rubin"]
    found = anderson_rubin(sums, 0.0, v)
    if found is None or analytic.statistic is None:
        reason = analytic.reason or "the covariance of the moments is singular"
        return Test("anderson_rubin_bootstrap", null, reason=reason)
    return Test(
        "anderson_rubin_bootstrap",
        null,
        statistic=analytic.statistic,
        df=f"{v.n_draws} draws",
        p_value=found[1],
    )


def _unbounded(term: str, confidence: float) -> IdentificationError:
    return IdentificationError(
        "I05",
        f"the bootstrap rejects no value of '{term}' on one side, however large: its "
        f"{confidence:.0%} interval has no end",
        why="The instruments are too weak, or the clusters too few, to bound the effect.",
        fix="inference: {cluster: …}, and read Anderson and Rubin's set (frame "
        "anderson_rubin)",
    )
