"""Panels with a dose that starts once, and requests on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from framework.contract import Request
from tests.build_request import build_request

#: Periods of the panels.
PERIODS = 6


def att(d: Any) -> Any:
    """The effect of a dose."""
    return 0.4 + 0.8 * np.asarray(d) - 0.1 * np.asarray(d) ** 2


def acrt(d: Any) -> Any:
    """Its slope."""
    return 0.8 - 0.2 * np.asarray(d)


def doses(
    seed: int = 0,
    *,
    units: int = 90,
    starts: tuple[float, ...] = (3.0, 5.0, np.inf),
    levels: tuple[float, ...] = (),
    noise: float = 1.0,
    gaps: float = 0.0,
) -> pd.DataFrame:
    """Rows of units with a dose (`dose`, 0 before `first`) and covariates.

    Args:
        seed: of everything.
        units: number of units, dealt to `starts` in turn.
        starts: first periods with a dose, inf = never.
        levels: the doses there are; none = uniform from 0.5 to 4.
        noise: standard deviation of what is no effect.
        gaps: share of rows left out, none around the start.
    """
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(units), PERIODS)
    time = np.tile(np.arange(1, PERIODS + 1), units)
    first = np.array(starts)[np.arange(units) % len(starts)]
    size = rng.choice(levels, units) if levels else rng.uniform(0.5, 4.0, units)
    size = np.where(np.isfinite(first), size, 0.0)
    data = pd.DataFrame({"unit": [f"u{u:03d}" for u in unit], "time": time})
    data["first"], data["size"] = first[unit], size[unit]
    on = (data.time >= data["first"]).to_numpy()
    data["dose"] = np.where(on, size[unit], 0.0)
    data["on"] = on.astype(float)
    data["x"] = rng.normal(size=len(data))
    data["w"] = rng.uniform(0.5, 2.0, units)[unit]
    data["place"] = unit // 3
    data["y"] = (
        np.where(on, att(size[unit]), 0.0)
        + rng.normal(size=units)[unit]
        + 0.3 * time
        + 0.5 * data.x
        + noise * rng.normal(size=len(data))
    )
    if gaps:
        near = (data.time - data["first"]).isin([-1, 0])
        data = data[near | (rng.random(len(data)) > gaps)]
    return data.reset_index(drop=True)


def request_of(data: pd.DataFrame, *estimands: str, **changes: Any) -> Request:
    """The request of an estimator of doses, clustered by unit."""
    plain: dict[str, Any] = {
        "outcome": "y",
        "treatment": "dose",
        "kind": "dose",
        "fixed_effects": ["unit", "time"],
        "inference": "cluster",
        "clusters": ["unit"],
        "unit": "unit",
        "time": "time",
        "estimand": estimands or ("att",),
    }
    return build_request(data, **(plain | changes))
