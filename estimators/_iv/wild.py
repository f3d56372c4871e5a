"""The wild restricted efficient bootstrap of the effect, and of Anderson and Rubin's test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from estimators._iv.words import in_words
from estimators._linear.across import crossing
from estimators._linear.wild import cluster_multipliers, coarse, how_drawn
from estimators._math.wild_bootstrap import TIE, accepted
from estimators._math.wild_instruments import (
    InstrumentSums,
    anderson_rubin,
    drawn_squares,
    p_value,
)
from framework.errors import IdentificationError
from framework.result import Test

if TYPE_CHECKING:
    import pandas as pd

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
        IdentificationError: I09 several treatments, or `draws: every` of too many.
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
    pieces = estimate + unit * np.array(accepted(p_at, error / unit, level))
    coefficients.loc[label, "p_value"] = p_at(estimate / unit)
    around = pieces[(pieces[:, 0] <= estimate) & (estimate <= pieces[:, 1])][0]
    coefficients.loc[label, ["conf_low", "conf_high"]] = around
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
        frames={**result.frames, "bootstrap_set": _frame(pieces)},
        notes=(
            *result.notes,
            note,
            *_said(pieces, str(coefficients.loc[label, "term"]), request.confidence),
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


def _frame(pieces: Floats) -> pd.DataFrame:
    """The set that the bootstrap does not reject, a row for each piece."""
    import pandas as pd

    return pd.DataFrame({"conf_low": pieces[:, 0], "conf_high": pieces[:, 1]})


def _said(pieces: Floats, term: str, confidence: float) -> Iterator[str]:
    """A note on a set that is unbounded or no interval."""
    percent = f"{100 * confidence:g} %"
    words = in_words([(float(low), float(high)) for low, high in pieces])
    if len(pieces) > 1:
        yield (
            f"The bootstrap's {percent} set of '{term}' is no interval but {words} "
            "(frame bootstrap_set); the interval printed is its part around the estimate."
        )
    elif not np.isfinite(pieces).all():
        yield (
            f"The bootstrap's {percent} set of '{term}' is unbounded: {words}. The "
            "instruments are too weak, or the clusters too few, to bound the effect."
        )
