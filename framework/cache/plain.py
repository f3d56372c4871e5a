"""Values to JSON and back, exactly: tuples, infinities, dates and odd keys survive."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any


def to_plain(value: Any) -> Any:
    """A JSON value from which `from_plain` restores `value`.

    Mappings come back as dict, numpy scalars as Python numbers.

    Raises:
        TypeError: a kind of value that has no exact JSON form.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        number = float(value)
        return number if math.isfinite(number) else {"$float": repr(number)}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {str(key): to_plain(item) for key, item in value.items()}
        return {"$map": [[to_plain(k), to_plain(v)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {"$tuple": [to_plain(item) for item in value]}
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    return _rarer(value)


def _rarer(value: Any) -> Any:
    kind = type(value).__name__
    if kind == "NAType":
        return {"$na": True}
    if kind == "NaTType":
        return {"$nat": True}
    if kind in {"Timestamp", "datetime"}:
        return {"$time": value.isoformat()}
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return to_plain(value.item())
    raise TypeError(f"a {type(value).__module__}.{kind} cannot be stored as JSON")


def from_plain(value: Any) -> Any:
    """The value that `to_plain` was given; equal text is in memory once."""
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, list):
        return [from_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    tag = next(iter(value), "")
    if not tag.startswith("$"):
        return {sys.intern(key): from_plain(item) for key, item in value.items()}
    return _restored(tag, value[tag])


def _restored(tag: str, content: Any) -> Any:
    if tag == "$float":
        return float(content)
    if tag == "$map":
        return {from_plain(k): from_plain(v) for k, v in content}
    if tag == "$tuple":
        return tuple(from_plain(item) for item in content)
    import pandas as pd

    if tag == "$na":
        return pd.NA
    return pd.NaT if tag == "$nat" else pd.Timestamp(content)
