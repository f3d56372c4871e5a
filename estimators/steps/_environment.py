"""Columns of the environment of production, for second stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estimators.steps._columns import as_numbers
from estimators.steps._frontier import row_names
from framework.condition import require
from framework.errors import DataError, NumericalError
from framework.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]


def columns(panel: Panel, rows: Integers, names: list[str], name: str) -> Floats:
    """(n, k + 1) the environment of rows, the constant last.

    Raises:
        DataError: D06 columns that say the same, D08 infinite cells, L04 missing
            cells, X01 a column does not exist.
    """
    import numpy as np

    for column in names:
        require(panel.frame, column)
    z = np.column_stack([as_numbers(panel.frame[c], c)[rows] for c in names])
    gaps = np.flatnonzero(~np.isfinite(z).all(axis=1))
    if len(gaps):
        raise DataError(
            "L04",
            f"step '{name}': {len(gaps):,} of {len(z):,} rows lack their environment: "
            f"{row_names(panel, rows[gaps])}",
            why="a row without environment has no distribution to be drawn from",
            fix="interpolate, or keep complete rows",
        )
    spread = z.std(axis=0)
    flat = [c for c, s in zip(names, spread, strict=True) if s == 0]
    scaled = (z - z.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    # A correlation of one but for rounding.
    if flat or np.linalg.svd(scaled, compute_uv=False)[-1] < 1e-7 * np.sqrt(len(z)):
        raise DataError(
            "D06",
            f"step '{name}': the environment ({', '.join(names)}) does not vary in "
            f"{len(names)} ways",
            why="a column that is constant or follows from others has no coefficient",
            fix=f"leave out {', '.join(flat) or 'the column that says the same'}",
        )
    return np.column_stack([z, np.ones(len(z))])


def no_regression(name: str) -> NumericalError:
    """There is no truncated regression on the environment."""
    return NumericalError(
        "N07",
        f"step '{name}': the truncated regression of the distances on the environment "
        "has no maximum, or too few rows are inefficient",
        why="without it no efficiency can be drawn",
        fix="fewer columns in bootstrap.environment, more rows, or bootstrap without it",
    )


__all__ = ["columns", "no_regression"]
