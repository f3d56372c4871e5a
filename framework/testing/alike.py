"""Whether two results, frames or requests are the same."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from framework.result import COEFFICIENT_COLUMNS, Result

T = TypeVar("T")

#: Columns of numbers that every coefficient row has.
NUMBERS = COEFFICIENT_COLUMNS[3:]


def same_frame(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Bit for bit: cells, types, names and order."""
    return (
        list(a.columns) == list(b.columns)
        and bool((a.dtypes == b.dtypes).all())
        and a.index.equals(b.index)
        and all(_same_cells(a[c], b[c]) for c in a.columns)
    )


def _same_cells(a: pd.Series[Any], b: pd.Series[Any]) -> bool:
    if isinstance(a.dtype, np.dtype) and a.dtype.kind == "f":
        # Bits, so that -0.0 and 0.0 are two numbers and NaN is itself.
        return a.to_numpy().tobytes() == b.to_numpy().tobytes()
    return bool(a.equals(b))


def snapshot(value: T) -> T:
    """A copy that shares nothing with what a plugin is given."""
    return copy.deepcopy(value)


def changed(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Paths at which two values differ, frames and arrays bit for bit."""
    parts = _parts(before)
    if parts is None:
        if not _same_leaf(before, after):
            yield path
        return
    others = _parts(after)
    if others is None or list(parts) != list(others):
        yield path
        return
    for key, part in parts.items():
        yield from changed(part, others[key], f"{path}{key}".lstrip("."))


def _parts(value: Any) -> dict[str, Any] | None:
    """What a dataclass, mapping or list holds, by the end of its path."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f".{f.name}": getattr(value, f.name) for f in fields(value)}
    if isinstance(value, Mapping):
        return {f"[{key!r}]": part for key, part in value.items()}
    if isinstance(value, list | tuple):
        return {f"[{i}]": part for i, part in enumerate(value)}
    return None


def _same_leaf(a: Any, b: Any) -> bool:
    if isinstance(a, pd.DataFrame):
        return isinstance(b, pd.DataFrame) and same_frame(a, b)
    if isinstance(a, np.ndarray) and a.ndim > 1:
        return isinstance(b, np.ndarray) and np.array_equal(a, b)
    if isinstance(a, np.ndarray | pd.Index):
        return len(a) == len(b) and pd.Index(a).equals(pd.Index(b))
    if hasattr(a, "toarray"):
        return bool(np.array_equal(a.toarray(), b.toarray()))
    both_nan = isinstance(a, float) and isinstance(b, float) and a != a and b != b  # noqa: PLR0124 - NaN
    return bool(a is b or both_nan or a == b)


def farthest(
    a: Result,
    b: Result,
    *,
    scale: Mapping[str, float] | None = None,
    rows: Sequence[Any] | None = None,
) -> tuple[str, float]:
    """The number of `b` that is farthest from that of `a`, and how far.

    Args:
        a, b: results with the same rows.
        scale: column -> factor that takes `a` to `b`.
        rows: labels of the rows compared; all.

    Returns:
        `estimate of 'd'` and |difference| / max(1, |value|); infinite if the rows are
        not the same.
    """
    words = list(COEFFICIENT_COLUMNS[:3])
    left, right = a.coefficients, b.coefficients
    if rows is not None:
        left, right = left.loc[list(rows)], right.loc[right.index.isin(rows)]
    if len(left) != len(right) or list(left.columns) != list(right.columns):
        return "the number of coefficients", float("inf")
    if (
        not left[words]
        .reset_index(drop=True)
        .equals(right[words].reset_index(drop=True))
    ):
        return "the order of coefficients", float("inf")
    worst = ("", 0.0)
    for column in NUMBERS:
        x = left[column].to_numpy(dtype=np.float64) * (scale or {}).get(column, 1.0)
        y = right[column].to_numpy(dtype=np.float64)
        with np.errstate(invalid="ignore"):
            apart = np.abs(x - y) / np.maximum(1.0, np.abs(x))
        apart[np.isnan(apart)] = np.inf
        apart[(x == y) | (np.isnan(x) & np.isnan(y))] = 0.0
        if len(apart) and apart.max() > worst[1]:
            at = int(apart.argmax())
            worst = (f"{column} of '{left['term'].iloc[at]}'", float(apart[at]))
    return worst


__all__ = ["NUMBERS", "changed", "farthest", "same_frame", "snapshot"]
