"""A difference-in-differences beside spillovers: what its controls have been exposed to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from estimators._math import spatial_autocorrelation as statistics
from estimators._math.spatial_ml import Lag
from estimators._spatial.dependence import dependence
from estimators._spatial.model import Errors, Estimated, Lags, estimated
from estimators._spatial.panel import (
    Arrays,
    Regressor,
    arrays_of,
    lag_of,
    survives,
    without,
)
from estimators._spatial.report import effects_in_words, no_interference, tidy
from estimators._spatial.summary import summary
from framework.contract import Request
from framework.errors import EstimandError
from framework.result import Result, Test

_FEWEST = 5


@dataclass(frozen=True, slots=True)
class _Line:
    """A reported coefficient: its equation, model and place."""

    equation: str
    term: str
    model: Estimated
    at: int


def spillover_did(
    request: Request, *, level: float, least_share: float, min_clusters: int
) -> Result:
    """With exposure, without it, and without exposed controls, with the evidence beside.

    Raises:
        EstimandError: as `arrays_of`, `lag_of` and `estimated`.
    """
    import pandas as pd

    arrays = arrays_of(request, min_clusters=min_clusters)
    lag, weights = lag_of(request, "covariates", arrays.ids)
    errors: Errors = request.inference.name  # type: ignore[assignment]  # `needs` lets no other name through
    treated = [r for r in arrays.regressors if r.judged]
    exposed = tuple(Regressor(f"W × {r.term}", lag.W @ r.values, True) for r in treated)
    both = replace(
        arrays, regressors=(*treated, *exposed, *arrays.regressors[len(treated) :])
    )
    with_exposure = estimated(both, Lags(), "lee_yu", errors=errors)
    plain = estimated(arrays, Lags(), "lee_yu", errors=errors)
    q = len(treated)
    lines = [
        *(_Line("main", r.term, with_exposure, j) for j, r in enumerate(treated)),
        *(_Line("main", r.term, with_exposure, q + j) for j, r in enumerate(exposed)),
        *(_Line("without_exposure", r.term, plain, j) for j, r in enumerate(treated)),
    ]
    name = weights.name or "covariates"
    kept, said = _donut(arrays, treated, lag, errors, name)
    if kept is not None:
        lines += [_Line("donut", r.term, kept, j) for j, r in enumerate(treated)]
    variance = np.array([line.model.V[line.at, line.at] for line in lines])
    table = tidy(
        [(line.equation, "coefficient", line.term) for line in lines],
        np.array([line.model.b[line.at] for line in lines]),
        variance,
        request.confidence,
    )
    influence = _influence(arrays, lines, errors)
    shares = {r.term: survives(r.values, lag.W, arrays) for r in treated}
    tests = [_contamination(lines, q, j, influence) for j in range(min(q, 1))]
    tests.append(_interference(with_exposure, q, min(shares.values()), least_share))
    tests.append(dependence(both, request.seed))
    n, t = arrays.y.shape
    scalars = {
        "n_obs": float(n * t),
        "n_units": float(n),
        "n_periods": float(t),
        "df_t": float("inf"),
        "lagged_treatment_residual_share": min(shares.values()),
        "outcome_mean": float(arrays.y.mean()),
    }
    if errors == "cluster" and arrays.cluster is not None:
        scalars["n_clusters"] = float(arrays.cluster.max() + 1)
    judged = _verdict(table, treated, shares, level, least_share, name)
    return Result(
        coefficients=table,
        influence=influence,
        scalars=scalars,
        tests=tuple(tests),
        frames={
            "samples": pd.DataFrame(
                [
                    {
                        "sample": line.equation.replace("_", " "),
                        "units": line.model.arrays.y.shape[0],
                        "ever treated": int(
                            np.any(
                                line.model.arrays.regressors[0].values != 0, axis=1
                            ).sum()
                        ),
                    }
                    for line in lines
                    if line.term == treated[0].term
                ]
            ),
            "autocorrelation": _autocorrelation(arrays, lag),
            "spatial_weights": summary({"covariates": (lag, weights)}),
        },
        notes=(
            (
                f"difference-in-differences with {effects_in_words(arrays)}: with the "
                f"neighbours' treatment by '{name}', without it, and without exposed controls"
            ),
            *judged,
            *said,
            *arrays.notes,
        ),
    )


def _donut(
    arrays: Arrays,
    treated: list[Regressor],
    lag: Lag,
    errors: Errors,
    name: str,
) -> tuple[Estimated | None, list[str]]:
    """The model without units that are never treated and have a treated neighbour."""
    ever = np.any([np.any(r.values != 0, axis=1) for r in treated], axis=0)
    exposed = np.asarray((lag.W != 0).astype(np.float64) @ ever.astype(np.float64)) > 0
    keep = ever | ~exposed
    lost, left = int((~keep).sum()), int((keep & ~ever).sum())
    if not lost:
        return None, [
            "no control has a treated neighbour: the donut is the whole sample"
        ]
    if left < _FEWEST:
        return None, [
            (
                f"no donut by '{name}': {left} controls have no treated neighbour; a "
                "distance makes one (step `exposure`, form: nearest_km)"
            )
        ]
    cluster = arrays.cluster
    if cluster is not None:
        _, cluster = np.unique(cluster[keep], return_inverse=True)
    smaller = replace(
        arrays,
        y=arrays.y[keep],
        regressors=tuple(replace(r, values=r.values[keep]) for r in arrays.regressors),
        ids=tuple(i for i, k in zip(arrays.ids, keep, strict=True) if k),
        cluster=None if cluster is None else cluster.astype(np.int64),
    )
    said = f"donut: {lost} exposed controls left out, {left} controls remain"
    try:
        return estimated(smaller, Lags(), "lee_yu", errors=errors), [said]
    except EstimandError as error:
        return None, [f"no donut by '{name}': {error.problems[0].what}"]


def _influence(arrays: Arrays, lines: list[_Line], errors: Errors) -> Any:
    """Influence of the coefficients of the whole sample."""
    import pandas as pd

    whole = [i for i, line in enumerate(lines) if line.equation != "donut"]
    columns = [
        None if lines[i].model.psi is None else lines[i].model.psi[:, lines[i].at]  # type: ignore[index]  # asked just before
        for i in whole
    ]
    if any(c is None for c in columns):
        return None
    index: Any = pd.Index(arrays.rows, name="row")
    if errors == "cluster":
        index = pd.Index(np.asarray(arrays.cluster_ids), name="cluster")
    return pd.DataFrame(np.column_stack(columns), index=index, columns=whole)  # type: ignore[arg-type]  # none is None


def _contamination(lines: list[_Line], q: int, j: int, influence: Any) -> Test:
    """Whether the estimate moves when the neighbours' treatment is held."""
    from scipy.special import ndtr

    name, null = "difference", "the estimate is the same with the neighbours' treatment"
    if influence is None:
        return Test(name, null, reason="too few rows or clusters for the covariance")
    one, other = lines[j], lines[2 * q + j]
    gap = float(other.model.b[other.at] - one.model.b[one.at])
    psi = influence[2 * q + j] - influence[j]
    error = float(np.sqrt((psi**2).sum()))
    if not error > 0:
        return Test(name, null, reason="the two estimates are the same")
    z = gap / error
    return Test(name, null, z, "", float(2 * ndtr(-abs(z))))


def _interference(m: Estimated, q: int, share: float, least: float) -> Test:
    """Whether W x treatment, which follows the `q` treatments, moves the outcome."""
    R = np.zeros((q, len(m.V)))
    R[:, q : 2 * q] = np.eye(q)
    return no_interference(m.b[q : 2 * q], R, m.V, share, least)


def _autocorrelation(arrays: Arrays, lag: Lag) -> Any:
    """Pooled Moran's I of the outcome and of what the model leaves of it."""
    import pandas as pd
    from scipy.special import ndtr

    rows = []
    for what, x in (
        ("outcome", arrays.y),
        ("residuals", without(arrays, arrays.y)),
    ):
        m = statistics.pooled_i(x, lag.W)
        z = (m.value - m.mean) / np.sqrt(m.variance) if m.variance > 0 else np.nan
        rows.append((what, m.value, m.mean, z, float(2 * ndtr(-abs(z)))))
    return pd.DataFrame(rows, columns=["of", "I", "expected", "z", "p"])


def _verdict(
    table: Any,
    treated: list[Regressor],
    shares: dict[str, float],
    level: float,
    least: float,
    name: str,
) -> list[str]:
    """What the numbers say about the difference-in-differences, in words."""
    said = []
    rows = table.set_index(["equation", "term"])
    for r in treated:
        share = shares[r.term]
        said.append(
            f"{share:.1%} of the variance of W × {r.term} is left after fixed effects, "
            f"treatment and controls"
        )
        if share < least:
            said[-1] += (
                f", below {least:.0%}: under '{name}' the data can hardly tell a spillover "
                "from the fixed effects, and neither its presence nor its absence is shown"
            )
            continue
        spill = rows.loc[("main", f"W × {r.term}")]
        plain = rows.loc[("without_exposure", r.term)]
        held = rows.loc[("main", r.term)]
        if spill["p_value"] <= level:
            said.append(
                f"spillovers found (W × {r.term} {spill['estimate']:.4g}, p "
                f"{spill['p_value']:.3g}): units that the difference-in-differences uses "
                f"as controls are treated too. Its {plain['estimate']:.4g} is not the "
                f"effect on the treated; with the exposure held it is "
                f"{held['estimate']:.4g}"
            )
        else:
            said.append(
                f"no spillover at {level:g} (W × {r.term} {spill['estimate']:.4g}, p "
                f"{spill['p_value']:.3g}); one of up to "
                f"{max(abs(spill['conf_low']), abs(spill['conf_high'])):.4g} is not ruled "
                "out"
            )
    return said
