"""A generator of data against its contract."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from framework.contract import Generator
from framework.testing.alike import changed, same_frame, snapshot
from framework.testing.declaration import check_declaration
from framework.testing.findings import Findings

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def check_generator(
    cls: type[Generator],
    /,
    *,
    exempt: Mapping[str, str] = _NOTHING,
    **options: Any,
) -> None:
    """Hold a generator to the contract: frame and truth, the same for the same seed.

    Raises:
        NotConforming: every promise that it breaks.
    """
    found = Findings(cls.__name__, exempt)
    generator = check_declaration(cls, Generator, options, found)
    if generator is not None:
        with found.untouched_state():
            made = found.attempt(lambda: generator.generate(1), "output", "generate(1)")
        if made is not None and _whole(made, found):
            kept = snapshot(made)
            again, other = generator.generate(1), generator.generate(2)
            if not same_frame(kept[0], again[0]) or list(changed(kept[1], again[1])):
                found.add("determinism", "the same seed gives other data")
            if same_frame(kept[0], other[0]):
                found.add("determinism", "another seed gives the same data")
    found.conclude()


def _whole(made: Any, found: Findings) -> bool:
    """Whether it is (panel, truth), both with something in them."""
    if not (isinstance(made, tuple) and len(made) == 2):  # noqa: PLR2004 - (panel, truth)
        found.add("output", "generate returns (panel, truth)")
        return False
    frame, truth = made
    if not isinstance(frame, pd.DataFrame) or not len(frame):
        found.add("output", "the panel is no frame with rows")
        return False
    if not isinstance(truth, Mapping) or not truth:
        found.add("output", "the truth is a mapping that names at least one number")
        return False
    if any(not isinstance(column, str) for column in frame.columns):
        found.add("output", "a column's name is no text")
    numbers = frame.select_dtypes("number").to_numpy(dtype=np.float64)
    if np.isinf(numbers).any():
        found.add("output", "a cell is infinite")
    return True


__all__ = ["check_generator"]
