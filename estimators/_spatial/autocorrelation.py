"""Moran's I and its relatives by period, and local ones, from a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from estimators._math import spatial_autocorrelation as statistics
from estimators._math.spatial_autocorrelation import Moments, Sums
from estimators._math.spatial_ml import Floats
from estimators._spatial.panel import Arrays, arrays_of, lag_of, without
from estimators._spatial.report import empty_table
from estimators._spatial.summary import summary
from framework.contract import Request
from framework.errors import DataError, NumericalError
from framework.result import COEFFICIENT_COLUMNS, Result

if TYPE_CHECKING:
    pass

Variance = Literal["randomisation", "normal"]
Of = Literal["outcome", "residuals"]
_FEWEST = 4


@dataclass(frozen=True, slots=True)
class _Line:
    """One statistic of one period (None = all together)."""

    name: str
    period: int | None
    moments: Moments
    permuted: float | None
    of: Of = "outcome"
    beside: bool = False

    @property
    def equation(self) -> str:
        """`main` by period, `pooled`; of residuals beside the outcome, these of them."""
        if not self.beside or self.of == "outcome":
            return "main" if self.period is not None else "pooled"
        return "residuals" if self.period is not None else "residuals_pooled"


def global_autocorrelation(
    request: Request,
    *,
    of: Literal["outcome", "residuals", "both"],
    variance: Variance,
    permutations: int,
) -> Result:
    """The statistics asked for, by period and pooled.

    Raises:
        DataError: D05 fewer than four units, D06 a period without variation, P02, S01.
        NumericalError: N02 the variance is not positive.
    """
    import pandas as pd

    kinds: tuple[Of, ...] = ("outcome", "residuals") if of == "both" else (of,)
    lines: list[_Line] = []
    for kind in kinds:
        arrays, x = _values(request, kind)
        lag, weights = lag_of(request, "outcome", arrays.ids)
        found = _lines(request, arrays, x, lag.W, variance=variance, times=permutations)
        lines += [replace(line, of=kind, beside=of == "both") for line in found]
    table = pd.DataFrame(_table(request, lines))
    table["period"] = pd.array([line.period for line in lines], dtype="Int64")
    term = str(request.labels[request.outcome])
    frame = pd.DataFrame(
        {
            "of": [line.of for line in lines],
            "statistic": [line.name for line in lines],
            "period": table["period"],
            "value": [line.moments.value for line in lines],
            "expected": [line.moments.mean for line in lines],
            "sd": table["std_error"],
            "z": table["statistic"],
            "p": table["p_value"],
            "p_permutation": [line.permuted for line in lines],
        }
    )
    what = {
        "outcome": f"'{term}'",
        "residuals": f"the residuals of '{term}'",
        "both": f"'{term}' and of its residuals",
    }[of]
    notes = [
        (
            f"two-sided p of z = (value - expected) / sd, under {variance}; statistics of "
            f"{what}, spatial weights '{weights.name or 'outcome'}'"
        )
    ]
    if len(arrays.periods) > 1:
        notes.append(
            "the pooled row takes values less the mean of their period; its variance "
            "is over all exchanges of the units' whole paths"
        )
    return Result(
        coefficients=table,
        scalars=_counts(arrays),
        frames={
            "autocorrelation": frame,
            "spatial_weights": summary({"outcome": (lag, weights)}),
        },
        notes=tuple(notes),
    )


def _values(
    request: Request, of: Literal["outcome", "residuals"]
) -> tuple[Arrays, Floats]:
    """The panel and the values (N, T) whose correlation is asked for."""
    arrays = arrays_of(request, regressors=of == "residuals")
    n = len(arrays.ids)
    if n < _FEWEST:
        raise DataError("D05", f"{n} units: the variance needs {_FEWEST} or more")
    x = arrays.y if of == "outcome" else without(arrays, arrays.y)
    flat = np.ptp(x, axis=0) <= 1e-12 * np.abs(x).max()
    if flat.any():
        when = ", ".join(map(str, arrays.periods[flat][:3]))
        name = request.labels[request.outcome]
        raise DataError("D06", f"'{name}' is the same in all units in {when}")
    return arrays, x


def _lines(
    request: Request,
    arrays: Arrays,
    x: Floats,
    W: Any,
    *,
    variance: Variance,
    times: int,
) -> Iterator[_Line]:
    sums, normal = Sums.of(W), variance == "normal"
    asked = request.estimand or ("morans_i",)
    given: dict[str, Callable[[Floats], Moments]] = {
        "morans_i": lambda v: statistics.morans_i(v, W, sums, normal=normal),
        "gearys_c": lambda v: statistics.gearys_c(v, W, sums, normal=normal),
        "getis_ord_g": lambda v: _g(request, v, W, sums),
    }
    for name in asked:
        for t, period in enumerate(arrays.periods):
            permuted = None
            moments = given[name](x[:, t])
            if name == "morans_i" and times:
                generator = np.random.default_rng([request.seed, t])
                drawn = statistics.permuted_i(x[:, t], W, times, generator)
                permuted = statistics.share_as_extreme(moments.value, drawn)
            yield _Line(name, int(period), moments, permuted)
        if name == "morans_i" and len(arrays.periods) > 1:
            pooled = statistics.pooled_i(x, W)
            permuted = None
            if times:
                generator = np.random.default_rng([request.seed, len(arrays.periods)])
                drawn = statistics.permuted_i(x, W, times, generator)
                permuted = statistics.share_as_extreme(pooled.value, drawn)
            yield _Line(name, None, pooled, permuted)


def _g(request: Request, x: Floats, W: Any, sums: Sums) -> Moments:
    if (x <= 0).any():
        name = request.labels[request.outcome]
        raise DataError(
            "D08",
            f"'{name}' has {int((x <= 0).sum())} values that are not positive",
            why="Getis and Ord's G concentrates positive quantities",
            fix="estimand: morans_i, or the outcome in levels",
        )
    return statistics.getis_ord_g(x, W, sums)


#: The literature's letter of each statistic: `I[2015]` addresses one.
_LETTER = {"morans_i": "I", "gearys_c": "C", "getis_ord_g": "G"}


def _table(request: Request, lines: list[_Line]) -> dict[str, Any]:
    from scipy.special import ndtr, ndtri

    value = np.array([line.moments.value for line in lines])
    variance = np.array([line.moments.variance for line in lines])
    if not (np.isfinite(variance) & (variance > 0)).all():
        raise NumericalError(
            "N02",
            "the variance without spatial correlation is not positive",
            why="with these weights every order of the units gives the same statistic",
            fix="a matrix in which not everybody is everybody's neighbour",
        )
    sd = np.sqrt(variance)
    z = (value - np.array([line.moments.mean for line in lines])) / sd
    reach = float(ndtri(0.5 + request.confidence / 2)) * sd
    columns = (
        [line.equation for line in lines],
        [line.name for line in lines],
        [_LETTER[line.name] for line in lines],
        value,
        sd,
        z,
        2.0 * ndtr(-np.abs(z)),
        value - reach,
        value + reach,
    )
    return dict(zip(COEFFICIENT_COLUMNS, columns, strict=True))


def _counts(arrays: Arrays) -> dict[str, float]:
    n, t = arrays.y.shape
    return {"n_obs": float(n * t), "n_units": float(n), "n_periods": float(t)}


# -- local -----------------------------------------------------------------------------

_QUADRANTS = ("high-high", "low-high", "low-low", "high-low")


def local_autocorrelation(
    request: Request,
    *,
    of: Literal["outcome", "residuals"],
    permutations: int,
    level: float,
) -> Result:
    """Local Moran's I of every unit and period, as frames.

    Raises:
        DataError: as `global_autocorrelation`.
    """
    import pandas as pd

    arrays, x = _values(request, of)
    lag, weights = lag_of(request, "outcome", arrays.ids)
    tables = []
    for t, period in enumerate(arrays.periods):
        value, z, spatial = statistics.local_i(x[:, t], lag.W)
        generator = np.random.default_rng([request.seed, t])
        p = statistics.local_share(x[:, t], lag.W, permutations, generator)
        corner = np.select(
            [(z >= 0) & (spatial >= 0), (z < 0) & (spatial >= 0), z < 0],
            [0, 1, 2],
            default=3,
        )
        named = np.array(_QUADRANTS)[corner]
        tables.append(
            pd.DataFrame(
                {
                    "unit": list(arrays.ids),
                    "period": int(period),
                    "local_i": value,
                    "z": z,
                    "lag": spatial,
                    "quadrant": named,
                    "p": p,
                    "cluster": np.where(p <= level, named, "not significant"),
                }
            )
        )
    found = pd.concat(tables, ignore_index=True)
    shown = pd.crosstab(found["period"], found["cluster"]).reset_index()
    shown.columns = pd.Index([str(c) for c in shown.columns])
    return Result(
        coefficients=empty_table(),
        scalars=_counts(arrays),
        frames={
            "clusters": shown,
            "local_moran": found,
            "spatial_weights": summary({"outcome": (lag, weights)}),
        },
        notes=(
            (
                f"p values by {permutations} conditional permutations, two-sided, not "
                f"adjusted for {len(arrays.ids)} units; clusters at {level:g}; spatial "
                f"weights '{weights.name or 'outcome'}'"
            ),
        ),
    )
