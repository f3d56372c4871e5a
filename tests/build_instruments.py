"""Data with endogenous treatments and instruments, and the request for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from estimators.iv_2sls import Iv2sls
from framework.result import Result, Test
from tests.build_request import build_request

#: The effects of `d` and `e` on `y`.
EFFECT, OTHER = 1.0, -0.5


def instruments_panel(
    seed: int = 0, units: int = 40, periods: int = 6, strength: float = 1.0
) -> pd.DataFrame:
    """Units u0, …, periods 2001, …; `z1` to `z3` move `d` and `e`, not the error.

    `d` and `e` share the error `u` of `y`, so least squares is biased. `g` is a second
    clustering dimension, `w` whole-numbered weights, `x` an exogenous control.
    """
    rng = np.random.default_rng(seed)
    n = units * periods
    unit = np.repeat(np.arange(units), periods)
    time = 2001 + np.tile(np.arange(periods), units)
    z1, z2, z3, x, u, v = rng.normal(size=(6, n))
    place, year = rng.normal(size=units)[unit], 0.2 * (time - 2001)
    d = strength * (z1 + 0.5 * z2) + 0.6 * u + 0.5 * v + 0.3 * x + place
    e = strength * (z3 - 0.4 * z2) + 0.4 * u + 0.5 * rng.normal(size=n)
    shock = rng.normal(size=units)[unit] * z1
    y = EFFECT * d + OTHER * e + 0.5 * x + place + year + u + 0.3 * shock
    return pd.DataFrame(
        {
            "unit": [f"u{i:03d}" for i in unit],
            "time": time,
            "g": rng.integers(0, 14, n),
            "w": rng.integers(1, 5, n).astype(float),
            "y": y,
            "d": d,
            "e": e,
            "x": x,
            "z1": z1,
            "z2": z2,
            "z3": z3,
        }
    )


def estimate_iv(
    data: pd.DataFrame, plugin: Iv2sls | None = None, **changes: Any
) -> Result:
    """`y` on `d` and `x` with unit and period effects, instrument `z1`, by unit."""
    plain: dict[str, Any] = {
        "outcome": "y",
        "treatment": "d",
        "instruments": ["z1"],
        "controls": ["x"],
        "fixed_effects": ["unit", "time"],
        "inference": "cluster",
        "clusters": ["unit"],
        "unit": "unit",
        "time": "time",
    }
    return (plugin or Iv2sls()).estimate(build_request(data, **(plain | changes)))


#: A cross-section: no units, periods or effects.
PLAIN: dict[str, Any] = {
    "fixed_effects": [],
    "clusters": [],
    "inference": "hetero",
    "unit": None,
    "time": None,
}


def named_test(result: Result, name: str) -> Test:
    """The test of this name."""
    return next(t for t in result.tests if t.name == name)
