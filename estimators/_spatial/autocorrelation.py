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
from framework.contract import Request, SpatialWeights
from framework.errors import DataError, NumericalError, counted
from framework.result import COEFFICIENT_COLUMNS, Plot, Result

if TYPE_CHECKING:
    import pandas as pd

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
        raise DataError(
            "D05", f"{counted(n, 'unit')}: the variance needs {_FEWEST} or more"
        )
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
    _positive(request, x)
    return statistics.getis_ord_g(x, W, sums)


def _positive(request: Request, x: Floats) -> None:
    if (x <= 0).any():
        name = request.labels[request.outcome]
        raise DataError(
            "D08",
            f"'{name}' has {int((x <= 0).sum())} values that are not positive",
            why="Getis and Ord's G concentrates positive quantities",
            fix="Moran's I, or the outcome in levels",
        )


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
_NONE = "not significant"


def local_autocorrelation(
    request: Request,
    *,
    of: Literal["outcome", "residuals"],
    permutations: int,
    level: float,
    period: int | None = None,
) -> Result:
    """Local Moran's I of every unit and period, as frames, with figures of one period.

    Raises:
        DataError: as `global_autocorrelation`; T04 no such period.
    """
    import pandas as pd

    arrays, x = _values(request, of)
    lag, weights = lag_of(request, "outcome", arrays.ids)
    tables = []
    for t, when in enumerate(arrays.periods):
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
                    "period": int(when),
                    "local_i": value,
                    "z": z,
                    "lag": spatial,
                    "quadrant": named,
                    "p": p,
                    "cluster": np.where(p <= level, named, _NONE),
                }
            )
        )
    found = pd.concat(tables, ignore_index=True)
    figures, pictured, said = _pictures(
        found, weights, arrays, period=period, what=str(request.labels[request.outcome])
    )
    shown = pd.crosstab(found["period"], found["cluster"]).reset_index()
    shown.columns = pd.Index([str(c) for c in shown.columns])
    return Result(
        coefficients=empty_table(),
        scalars=_counts(arrays),
        frames={
            "clusters": shown,
            "local_moran": found,
            **pictured,
            "spatial_weights": summary({"outcome": (lag, weights)}),
        },
        notes=(
            (
                f"p values by {permutations} conditional permutations, two-sided, not "
                f"adjusted for {counted(len(arrays.ids), 'unit')}; clusters at "
                f"{level:g}; spatial weights '{weights.name or 'outcome'}'"
            ),
            *said,
        ),
        plots=figures,
    )


def _pictures(
    found: pd.DataFrame,
    weights: SpatialWeights,
    arrays: Arrays,
    *,
    period: int | None,
    what: str,
) -> tuple[tuple[Plot, ...], dict[str, pd.DataFrame], list[str]]:
    """Moran scatter and map of one period: plots, their frames, what can't be drawn."""
    when = int(arrays.periods[-1]) if period is None else period
    if when not in set(arrays.periods.tolist()):
        raise DataError(
            "T04",
            f"no period {when} in the sample",
            fix=f"period: one of {arrays.periods[0]} to {arrays.periods[-1]}",
            path="model.estimator.period",
        )
    one = found[found["period"] == when].reset_index(drop=True)
    # The slope of the lag on z through the origin is the global I where rows sum to one.
    z, lag = (one[c].to_numpy(np.float64) for c in ("z", "lag"))
    slope = float(z @ lag) / float(z @ z)
    names = {"z": "standardised_value", "lag": "spatial_lag"}
    scatter = one[["unit", "z", "lag", "cluster"]].rename(columns=names)
    groups = {"group": "cluster", "groups": _QUADRANTS, "background": _NONE}
    frames = {"moran_scatter": scatter}
    plots = [
        Plot(
            "scatter",
            "moran_scatter",
            f"Moran scatter of {what}, {when}",
            {"x": "standardised_value", "y": "spatial_lag", "slope": slope, **groups},
        )
    ]
    if weights.points is None:
        return (
            tuple(plots),
            frames,
            [
                (
                    "no map: the weights know no places (give the matrix latitude and "
                    "longitude)"
                )
            ],
        )
    frames["lisa_map"] = one[["unit", "cluster", "local_i", "p"]].assign(
        longitude=weights.points[:, 0], latitude=weights.points[:, 1]
    )
    plots.append(
        Plot(
            "map",
            "lisa_map",
            f"Local Moran clusters of {what}, {when}",
            {"longitude": "longitude", "latitude": "latitude", **groups},
        )
    )
    return tuple(plots), frames, []


def local_concentration(
    request: Request,
    *,
    star: bool,
    permutations: int,
    level: float,
) -> Result:
    """Local G or G* of every unit and period, as frames.

    Raises:
        DataError: as `global_autocorrelation`; D08 values that are not positive.
    """
    import pandas as pd
    from scipy.special import ndtr

    arrays, x = _values(request, "outcome")
    lag, weights = lag_of(request, "outcome", arrays.ids)
    _positive(request, x)
    tables = []
    for t, period in enumerate(arrays.periods):
        value, z = statistics.local_g(x[:, t], lag.W, star=star)
        if not np.isfinite(z).all():
            alone = [arrays.ids[int(i)] for i in np.flatnonzero(~np.isfinite(z))[:3]]
            raise NumericalError(
                "N02",
                f"the variance of G is zero at {', '.join(map(str, alone))}",
                why="a unit that sees everybody alike has the same G in any order",
                fix="a matrix with a cut-off",
            )
        generator = np.random.default_rng([request.seed, t])
        # Given x_i, ordering by G_i is ordering by the lag of the others.
        p = statistics.local_share(x[:, t], lag.W, permutations, generator)
        named = np.where(z >= 0, "hot", "cold")
        normal = 2.0 * ndtr(-np.abs(z))
        tables.append(
            pd.DataFrame(
                {
                    "unit": list(arrays.ids),
                    "period": int(period),
                    "local_g": value,
                    "z": z,
                    "p": normal,
                    "p_permutation": p,
                    "cluster": np.where(normal <= level, named, "not significant"),
                }
            )
        )
    found = pd.concat(tables, ignore_index=True)
    shown = pd.crosstab(found["period"], found["cluster"]).reset_index()
    shown.columns = pd.Index([str(c) for c in shown.columns])
    what = "G*, the unit itself included" if star else "G, without the unit itself"
    return Result(
        coefficients=empty_table(),
        scalars=_counts(arrays),
        frames={
            "clusters": shown,
            "local_getis_ord": found,
            "spatial_weights": summary({"outcome": (lag, weights)}),
        },
        notes=(
            (
                f"{what}; p of the normal approximation, two-sided, not adjusted for "
                f"{counted(len(arrays.ids), 'unit')}; p_permutation by {permutations} "
                "conditional "
                f"permutations; hot and cold spots at {level:g}; spatial weights "
                f"'{weights.name or 'outcome'}'"
            ),
        ),
    )
