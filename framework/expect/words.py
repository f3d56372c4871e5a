"""Numbers in sentences: short, but never rounded onto what they are held against."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

_TINY = 1e-4


def number(x: float, *, near: Iterable[float] = ()) -> str:
    """Four significant digits, more where these would hide a difference from `near`."""
    held = [v for v in near if v != x]
    for digits in (4, 6, 9, 12):
        text = f"{x:.{digits}g}"
        if all(float(text) != float(f"{v:.{digits}g}") for v in held):
            return text.removesuffix(".0")
    return repr(float(x))


def above(x: float) -> str:
    """Four significant digits, rounded up: a bound that is respected."""
    if x == 0 or not math.isfinite(x):
        return number(x)
    unit = 10.0 ** (math.floor(math.log10(abs(x))) - 3)
    return number(math.ceil(x / unit) * unit)


def p_equals(p: float, *, level: float | None = None) -> str:
    """`p = 0.0123`; `p < 0.0001` for the smallest."""
    if p < _TINY and (level is None or level > _TINY):
        return "p < 0.0001"
    if level is not None and round(p, 4) == round(level, 4) and p != level:
        return f"p = {number(p, near=[level])}"
    return f"p = {p:.4f}" if p >= _TINY else f"p = {p:.2g}"


def percent(share: float) -> str:
    """`5%`, `2.5%`."""
    return f"{100 * share:.6g}%"


def bounds(low: float, high: float, *, near: Iterable[float] = ()) -> str:
    """`from -0.01 to 0.02`."""
    held = tuple(near)
    return f"from {number(low, near=held)} to {number(high, near=held)}"


def listed(items: Iterable[str]) -> str:
    """`a, b and c`."""
    *most, last = list(items)
    return f"{', '.join(most)} and {last}" if most else last


def whereabouts(term: str, index: Mapping[str, Any]) -> str:
    """`ai`, `ai at event time -2`."""
    if not index:
        return term
    at = ", ".join(f"{k.replace('_', ' ')} {_plain(v)}" for k, v in index.items())
    return f"{term} at {at}" if term else at


def _plain(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value)
