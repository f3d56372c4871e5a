"""Units of a panel, what is constant within them, and the finished weights."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from estimators._math import neighbours
from estimators._math.neighbours import Floats
from estimators.weights._options import Islands
from framework.contract import SpatialWeights
from framework.errors import DataError, counted
from framework.panel import Panel

_SHOWN = 3


def listed(ids: Collection[Any]) -> str:
    """`a, b, c and 4 more`."""
    shown = [str(i) for i in list(ids)[:_SHOWN]]
    more = len(ids) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def units_of(panel: Panel) -> pd.Index[Any]:
    """Every unit once, in the order of the panel.

    Raises:
        DataError: P04 the data have no units, D05 no rows.
    """
    if panel.unit is None:
        raise DataError(
            "P04",
            "spatial weights need units",
            why="neighbours are pairs of units",
            fix="data.panel: {unit: …, time: …}",
        )
    if not len(panel.frame):
        raise DataError("D05", "0 rows left", fix="see the row ledger")
    found: pd.Index[Any] = pd.Index(panel.frame[panel.unit].unique())
    return found


def per_unit(panel: Panel, column: str) -> pd.Series[Any]:
    """The value of a column in each unit, which has the same in all its periods.

    Raises:
        DataError: S06 it varies within a unit, or is missing.
    """
    assert panel.unit is not None  # noqa: S101 - units_of has asked
    grouped = panel.frame.groupby(panel.unit, sort=False)[column]
    varies = grouped.nunique(dropna=True) > 1
    if varies.any():
        raise DataError(
            "S06",
            f"'{column}' differs between the periods of "
            f"{counted(int(varies.sum()), 'unit')}: {listed(varies[varies].index)}",
            why="one matrix holds for all periods",
            fix="a column that is constant within units, or its value at one period: "
            f"data.steps: {{{column}_then: {{at: {{column: {column}, year: …}}}}}}",
        )
    return _complete(grouped.first(), column, "has no value")


def at_period(panel: Panel, column: str, period: int) -> Floats:
    """The value of a column in each unit at one period.

    Raises:
        DataError: S06 no such period, or a unit without a value there.
    """
    units = units_of(panel)
    if panel.time is None:
        raise DataError("P04", "a matrix at a period needs data.panel.time")
    then = panel.frame[panel.frame[panel.time] == period]
    if not len(then):
        known = panel.frame[panel.time]
        raise DataError(
            "S06",
            f"no row at {panel.time} = {period}: the data run from {known.min()} to "
            f"{known.max()}",
            fix="`at` is a period of the data, before the first treatment",
        )
    values = then.set_index(panel.unit)[column].reindex(units)
    return _complete(values, column, f"has no value at {period}").to_numpy(np.float64)


def _complete(values: pd.Series[Any], column: str, what: str) -> pd.Series[Any]:
    missing = values[values.isna()]
    if len(missing):
        raise DataError(
            "S06",
            f"'{column}' {what} in {counted(len(missing), 'unit')}: {listed(missing.index)}",
            why="they would have no place in the matrix",
            fix="complete the column, or leave the units out in data.steps",
        )
    return values


def coordinates(
    panel: Panel, latitude: str, longitude: str
) -> tuple[pd.Index[Any], Floats, Floats]:
    """Units with their latitude and longitude, degrees.

    Raises:
        DataError: S04 two units at one point, S06 no coordinates.
    """
    units = units_of(panel)
    lat = per_unit(panel, latitude).to_numpy(np.float64)
    lon = per_unit(panel, longitude).to_numpy(np.float64)
    for name, values, limit in ((latitude, lat, 90.0), (longitude, lon, 180.0)):
        off = np.abs(values) > limit
        if off.any():
            raise DataError(
                "S06",
                f"'{name}' is outside ±{limit:g} degrees in "
                f"{counted(int(off.sum()), 'unit')}: {listed(units[off])}",
                why="projected coordinates (metres) are no degrees, and every distance "
                "would be wrong",
                fix="longitude and latitude in degrees (WGS 84)",
            )
    points = pd.MultiIndex.from_arrays([lat, lon])
    twice = points.duplicated(keep=False)
    if twice.any():
        raise DataError(
            "S04",
            f"{counted(int(twice.sum()), 'unit shares', 'units share')} coordinates: "
            f"{listed(units[twice])}",
            why="the inverse of no distance is no weight",
            fix="the coordinates of each unit, not of its province",
        )
    return units, lat, lon


def locate(
    panel: Panel, ids: pd.Series[Any], where: str, others: Literal["error", "drop"]
) -> np.ndarray[Any, Any]:
    """Positions (-1 = left out) of a file's ids among the panel's units.

    Raises:
        DataError: S01 ids of another type, or that the panel does not have.
    """
    units = units_of(panel)
    found = np.asarray(units.get_indexer(pd.Index(ids)))
    strange = pd.Index(ids[found < 0]).unique()
    if len(strange) and (others == "error" or (found < 0).all()):
        numbers = [pd.api.types.is_numeric_dtype(x.dtype) for x in (ids, units)]
        kinds = (
            " (one side is text, the other numbers)" if len(set(numbers)) > 1 else ""
        )
        raise DataError(
            "S01",
            f"{counted(len(strange), 'id')} of {where} not among '{panel.unit}' of the data"
            f"{kinds}: {listed(strange)}; the data have {listed(units)}",
            why="weights are matched by unit id, never by position",
            fix="the same ids in both, or `others: drop` to leave these out",
        )
    return found


def finish(
    units: pd.Index[Any],
    W: Any,
    transform: Literal["row", "spectral", "none"],
    islands: Islands = "error",
    notes: Sequence[str] = (),
    places: tuple[Floats, Floats] | None = None,
) -> SpatialWeights:
    """Normalised weights without islands.

    `places` are latitude and longitude of the units, where they are known.

    Raises:
        DataError: S02 units without a neighbour, S05 negative weights.
    """
    if W.nnz and (not np.isfinite(W.data).all() or W.data.min() < 0):
        bad = np.unique(W.nonzero()[0][~(np.isfinite(W.data) & (W.data >= 0))])
        raise DataError(
            "S05",
            f"weights of {len(bad)} units are negative or not finite: "
            f"{listed(units[bad])}",
            why="a negative neighbour turns the sign of the spatial lag around",
            fix="weights of zero or more",
        )
    alone = neighbours.islands(W)
    dropped: tuple[Any, ...] = ()
    said = list(notes)
    points = None if places is None else np.column_stack(places[::-1])
    if len(alone) == len(units):
        raise DataError(
            "S02",
            "no unit has a neighbour",
            fix="a larger cut-off, or other ids in the file",
        )
    while len(alone):
        if islands != "drop":
            raise DataError(
                "S02",
                f"{len(alone)} of {len(units)} units have no neighbour: "
                f"{listed(units[alone])}",
                why="their spatial lag would be zero, which is a number and no answer",
                fix="islands: drop, a larger cut-off, or (where the matrix knows "
                "coordinates) islands: nearest",
            )
        dropped += tuple(units[alone].tolist())
        keep = np.setdiff1d(np.arange(len(units)), alone)
        units, W = units[keep], W[keep][:, keep]
        points = None if points is None else points[keep]
        # A unit that only an island saw has now nobody.
        alone = neighbours.islands(W)
    if dropped:
        said.append(
            f"{counted(len(dropped), 'unit')} without a neighbour: {listed(dropped)}"
        )
    return SpatialWeights(
        ids=tuple(units.tolist()),
        matrix=neighbours.normalised(W, transform),
        transform=transform,
        dropped=dropped,
        notes=tuple(said),
        points=points,
    )


def link_islands(
    units: pd.Index[Any], W: Any, lat: Floats, lon: Floats, power: float
) -> tuple[Any, tuple[str, ...]]:
    """Islands linked with their nearest unit, both ways, and a note that says so.

    Args:
        units: (n,) ids.
        W: (n, n).
        lat, lon: (n,) degrees.
        power: the new weights are km ** -power.
    """
    alone = neighbours.islands(W)
    if not len(alone):
        return W, ()
    near = neighbours.k_nearest(neighbours.on_sphere(lat, lon), 1)[alone]
    rows, columns = np.repeat(alone, np.diff(near.indptr)), near.indices
    km = neighbours.between_km(lat[rows], lon[rows], lat[columns], lon[columns])
    held = W.tocoo()
    linked = neighbours.from_pairs(
        np.concatenate([held.row, rows, columns]),
        np.concatenate([held.col, columns, rows]),
        np.concatenate([held.data, km**-power, km**-power]),
        W.shape[0],
    )
    note = (
        f"{counted(len(alone), 'unit')} without a neighbour linked to the nearest unit "
        f"(up to {km.max():.0f} km away): {listed(units[alone])}"
    )
    return linked, (note,)
