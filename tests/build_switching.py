"""Panels whose treatment goes up and down, and requests on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from framework.contract import Request
from tests.build_request import build_request


def switching(
    seed: int = 0,
    *,
    units: int = 120,
    periods: int = 7,
    values: int = 3,
    noise: float = 1.0,
    move: float = 0.15,
    effect: float = 0.5,
    carry: float = 0.0,
    crossing: bool = True,
) -> pd.DataFrame:
    """Doses 0 to `values` - 1 that change now and then.

    The outcome rises by `effect` per dose in its period and by `carry` per dose of the
    period before. Without `crossing` no unit falls below its first dose and rises above
    it, too.
    """
    rng = np.random.default_rng(seed)
    dose = np.zeros((units, periods), dtype=int)
    dose[:, 0] = rng.integers(0, values, units)
    for t in range(1, periods):
        new = rng.integers(0, values, units)
        moved = rng.random(units) < move
        dose[:, t] = np.where(moved, new, dose[:, t - 1])
    if not crossing:
        away = np.sign(dose - dose[:, :1])
        first = np.argmax(away != 0, axis=1)
        side = away[np.arange(units), first]
        dose = np.where(away * side[:, None] < 0, dose[:, :1], dose)
    unit, time = np.divmod(np.arange(units * periods), periods)
    before = np.column_stack([dose[:, 0], dose[:, :-1]])
    data = pd.DataFrame(
        {
            "unit": unit,
            "time": time + 1,
            "d": dose.ravel().astype(float),
            "region": unit % 4,
            "other": rng.integers(0, 20, units * periods),
        }
    )
    walk = rng.normal(size=(units, periods)).cumsum(axis=1).ravel()
    data["y"] = (
        effect * data.d
        + carry * (before - dose[:, :1]).ravel()
        + rng.normal(size=units)[unit]
        + 0.3 * data.time
        + noise * (0.3 * walk + rng.normal(size=len(data)))
    )
    return data


def switching_request(data: pd.DataFrame, **changes: Any) -> Request:
    """The request of an estimator of changes of treatment, clustered by unit."""
    plain: dict[str, Any] = {
        "outcome": "y",
        "treatment": "d",
        "kind": "reversible",
        "fixed_effects": ["unit", "time"],
        "inference": "cluster",
        "clusters": ["unit"],
        "unit": "unit",
        "time": "time",
        "estimand": ("att",),
    }
    return build_request(data, **(plain | changes))
