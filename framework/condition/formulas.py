"""The value of a formula in every row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from framework.condition.cells import as_numbers, require
from framework.condition.trees import Column, Expression, Formula, Number
from framework.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]


def compute(formula: Formula, frame: pd.DataFrame) -> Floats:
    """The formula's value in every row, float64; a missing operand gives missing.

    Raises:
        SpecError: X01, a column does not exist.
        DataError: D07, a column is not a number; D08, a value that does not exist
            (division by zero, log or root of what has none, overflow), with the count.
    """
    import numpy as np

    for name in formula.columns():
        require(frame, name)
    value = np.asarray(_number(formula.root, frame), dtype=np.float64)
    return np.broadcast_to(value, len(frame)).copy()


def _number(node: Expression, frame: pd.DataFrame) -> Any:
    if isinstance(node, Number):
        return float(node.value)
    if isinstance(node, Column):
        return as_numbers(frame[node.name], node.name)
    import numpy as np

    parts = [_number(part, frame) for part in node.arguments]
    with np.errstate(all="ignore"):
        result = _apply(node.function, parts)
    given = ~np.any([np.isnan(part) for part in np.broadcast_arrays(*parts)], axis=0)
    rows = np.broadcast_to(given & ~np.isfinite(result), len(frame))
    if count := int(rows.sum()):
        why, fix = _FAULTS[node.function]
        raise DataError(
            "D08",
            f"{Formula(node)}: {count:,} of {len(frame):,} rows have no value ({why})",
            fix=fix,
        )
    return result


def _apply(function: str, parts: list[Any]) -> Any:
    import numpy as np

    if function in {"min", "max"}:
        ufunc = np.minimum if function == "min" else np.maximum
        result = parts[0]
        for part in parts[1:]:
            result = ufunc(result, part)
        return result
    functions: Mapping[str, Callable[..., Any]] = {
        "+": np.add,
        "-": np.subtract,
        "*": np.multiply,
        "/": np.divide,
        "**": np.power,
        "negative": np.negative,
        "log": np.log,
        "exp": np.exp,
        "sqrt": np.sqrt,
        "abs": np.abs,
    }
    return functions[function](*parts)


_KEEP = "leave those rows out with a `keep` step before"
_LARGE = ("infinite or too large for a number", "rescale the columns")
_FAULTS: Mapping[str, tuple[str, str]] = {
    "/": ("division by zero", _KEEP),
    "log": ("log of zero or a negative number", f"{_KEEP}, or use asinh or log1p"),
    "sqrt": ("root of a negative number", _KEEP),
    "**": ("power that is infinite or not a real number", _KEEP),
    "exp": _LARGE,
    "+": _LARGE,
    "-": _LARGE,
    "*": _LARGE,
    "negative": _LARGE,
    "abs": _LARGE,
    "min": _LARGE,
    "max": _LARGE,
}
