"""Matrices out of files: pairs, squares and polygons."""

from __future__ import annotations

import itertools
import re
from typing import Any, Literal

import numpy as np
import pandas as pd

from estimators._math.neighbours import from_pairs
from estimators.weights._places import listed, locate, units_of
from framework.errors import DataError, EstimandError, counted, no_column
from framework.panel import Panel

Others = Literal["error", "drop"]

_PAIR = 2
_RING = re.compile(r"\(([^()]+)\)")
_POLYGON = re.compile(r"\s*(MULTI)?POLYGON\b", re.IGNORECASE)


def column_of(frame: pd.DataFrame, column: str, path: str) -> pd.Series[Any]:
    """A column of a file.

    Raises:
        EstimandError: X51 it has none of that name.
    """
    if column not in frame.columns:
        raise EstimandError(no_column(column, path, list(map(str, frame.columns))))
    return frame[column]


def from_edges(panel: Panel, pair: tuple[str, str] | None, others: Others) -> Any:
    """1 for both units of every line, in both directions."""
    frame = panel.frames["edges"]
    if len(frame.columns) < _PAIR:
        raise DataError(
            "S01",
            "the list of neighbours has one column",
            fix="two columns, a unit and its neighbour",
        )
    first, second = pair or tuple(map(str, frame.columns[:_PAIR]))
    a, b = (column_of(frame, c, "pair").dropna() for c in (first, second))
    if len(a) != len(frame) or len(b) != len(frame):
        raise DataError("S01", "the list of neighbours has empty cells")
    ids = pd.concat([a, b], ignore_index=True)
    at = locate(panel, ids, "the list of neighbours", others)
    rows, columns = at[: len(a)], at[len(a) :]
    known = (rows >= 0) & (columns >= 0)
    rows, columns = rows[known], columns[known]
    return from_pairs(
        np.concatenate([rows, columns]),
        np.concatenate([columns, rows]),
        np.ones(2 * len(rows)),
        len(units_of(panel)),
    )


def from_boundaries(
    panel: Panel, id_: str | None, geometry: str, rule: str, others: Others
) -> Any:
    """1 where two polygons have a corner (queen) or an edge (rook) in common."""
    frame = panel.frames["boundaries"]
    at = _once(panel, column_of(frame, id_ or str(panel.unit), "id"), others)
    texts = column_of(frame, geometry, "geometry")
    owners: list[int] = []
    keys: list[Any] = []
    for unit, text in zip(at, texts, strict=True):
        if unit < 0:
            continue
        pieces = _corners(str(text)) if rule == "queen" else _sides(str(text))
        owners += [int(unit)] * len(pieces)
        keys += pieces
    codes = pd.factorize(pd.Index(keys, tupleize_cols=False))[0]
    n = len(units_of(panel))
    touch = from_incidence(np.array(owners), codes, n)
    rows, columns = touch.nonzero()
    return from_pairs(rows, columns, np.ones(len(rows)), n)


def from_incidence(owners: Any, codes: Any, n: int) -> Any:
    """(n, n): how many pieces two owners have in common."""
    from scipy.sparse import csr_array

    width = int(codes.max()) + 1 if len(codes) else 1
    B = csr_array((np.ones(len(owners)), (owners, codes)), shape=(n, width))
    return B @ B.T


def _rings(text: str) -> list[list[tuple[float, float]]]:
    rings = _RING.findall(text)
    if not _POLYGON.match(text) or not rings:
        raise DataError(
            "S06",
            f"'{text[:40]}' is no polygon",
            fix="well-known text: POLYGON ((x y, x y, …)) or MULTIPOLYGON (…)",
        )
    return [
        [(float(p.split()[0]), float(p.split()[1])) for p in ring.split(",")]
        for ring in rings
    ]


def _corners(text: str) -> list[Any]:
    return list({point for ring in _rings(text) for point in ring})


def _sides(text: str) -> list[Any]:
    return list(
        {
            tuple(sorted(side))
            for ring in _rings(text)
            for side in itertools.pairwise(ring)
        }
    )


def from_square(panel: Panel, id_: str | None, others: Others) -> Any:
    """A table with a row and a column for every unit; the header names the columns."""
    frame = panel.frames["weights"]
    key = id_ or str(frame.columns[0])
    ids = column_of(frame, key, "id")
    header = [str(c) for c in frame.columns if c != key]
    written = [str(i) for i in ids]
    if sorted(header) != sorted(written):
        odd = sorted(set(header) ^ set(written))
        raise DataError(
            "S01",
            f"rows and columns of the matrix have other ids: {listed(odd)}",
            why="the table must be square, its header the ids of its first column",
            fix="one column for every row, or a list of pairs: form: pairs",
        )
    at = _once(panel, ids, others)
    values = frame[written].to_numpy(np.float64)
    if np.isnan(values).any():
        raise DataError("S05", "the matrix has empty cells", fix="0 for no neighbour")
    n = len(units_of(panel))
    rows, columns = np.nonzero(values)
    known = (at[rows] >= 0) & (at[columns] >= 0)
    rows, columns = rows[known], columns[known]
    return from_pairs(at[rows], at[columns], values[rows, columns], n)


def from_list(
    panel: Panel, columns: tuple[str, str, str] | None, others: Others
) -> Any:
    """Lines of unit, neighbour and weight, one direction each."""
    frame = panel.frames["weights"]
    names = columns or tuple(map(str, frame.columns[:3]))
    if len(names) <= _PAIR:
        raise DataError("S01", "a list of weights has three columns")
    a, b = (column_of(frame, c, "pairs") for c in names[:_PAIR])
    values = column_of(frame, names[_PAIR], "pairs").to_numpy(np.float64)
    if a.isna().any() or b.isna().any() or np.isnan(values).any():
        raise DataError("S05", "the list of weights has empty cells")
    twice = pd.MultiIndex.from_arrays([a, b]).duplicated()
    if twice.any():
        raise DataError(
            "P01",
            f"{counted(int(twice.sum()), 'pair stands', 'pairs stand')} twice in the "
            f"list of weights: {listed(list(zip(a[twice], b[twice], strict=True)))}",
        )
    at = locate(panel, pd.concat([a, b], ignore_index=True), "the list", others)
    rows, targets = at[: len(a)], at[len(a) :]
    known = (rows >= 0) & (targets >= 0)
    n = len(units_of(panel))
    return from_pairs(rows[known], targets[known], values[known], n)


def _once(panel: Panel, ids: pd.Series[Any], others: Others) -> np.ndarray[Any, Any]:
    if ids.duplicated().any():
        twice = ids[ids.duplicated()]
        raise DataError("P01", f"ids stand twice in the file: {listed(twice.tolist())}")
    at = locate(panel, ids, "the file", others)
    units = units_of(panel)
    absent = units[np.setdiff1d(np.arange(len(units)), at)]
    if len(absent):
        raise DataError(
            "S01",
            f"{counted(len(absent), 'unit')} of the data not in the file: {listed(absent)}",
            why="they would have no neighbours",
            fix="a file with every unit, or leave them out in data.steps",
        )
    return at
