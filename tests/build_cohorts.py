"""Staggered panels with effects that differ by cohort and grow, and requests on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from framework.contract import Request
from tests.build_request import build_request

#: First treated period -> units.
SIZES = {4.0: 9, 6.0: 12, 7.0: 7, np.inf: 22}


def truth(event_time: Any, cohort: Any) -> Any:
    """Effect by event time: grows, and is larger in earlier cohorts."""
    return 0.5 + 0.2 * np.asarray(event_time) + 0.1 * (7.0 - np.asarray(cohort))


def adoption(
    seed: int = 0,
    *,
    sizes: dict[float, int] | None = None,
    periods: int = 8,
    gaps: float = 0.0,
    noise: float = 1.0,
    effects: bool = True,
    trend_in_x: float = 0.0,
) -> pd.DataFrame:
    """Units adopt in three periods or never; errors persist within units.

    `trend_in_x`: the covariate `x` (constant within units) is larger among the treated
    and moves the outcome by this much per period: parallel trends hold given `x` only.
    """
    rng = np.random.default_rng(seed)
    sizes = sizes or SIZES
    first = np.repeat(list(sizes), list(sizes.values()))
    n = len(first)
    unit = np.repeat(np.arange(n), periods)
    time = np.tile(np.arange(1, periods + 1), n)
    x = rng.normal(size=n) + 0.5 * np.isfinite(first)
    data = pd.DataFrame(
        {
            "unit": [f"u{u:04d}" for u in unit],
            "time": time,
            "first": first[unit],
            "x": x[unit],
            "z": rng.normal(size=len(unit)),
            "w": rng.integers(1, 4, n)[unit].astype(float),
            "region": [f"r{u % 13:02d}" for u in unit],
        }
    )
    data["d"] = (data.time >= data["first"]).astype(float)
    on = data.d.to_numpy() == 1
    effect = np.zeros(len(data))
    effect[on] = truth(data.time[on] - data["first"][on], data["first"][on])
    walk = rng.normal(size=(n, periods)).cumsum(axis=1).ravel()
    data["effect"] = effect * effects
    data["y"] = (
        data.effect
        + rng.normal(size=n)[unit]
        + 0.3 * time
        + trend_in_x * data.x * time
        + noise * (0.3 * walk + rng.normal(size=len(unit)))
    )
    if gaps:
        data = data[rng.random(len(data)) > gaps]
    return data.reset_index(drop=True)


def request_of(data: pd.DataFrame, **changes: Any) -> Request:
    """The request of a staggered estimator, clustered by unit."""
    plain: dict[str, Any] = {
        "outcome": "y",
        "treatment": "d",
        "kind": "absorbing",
        "cohort": "first",
        "fixed_effects": ["unit", "time"],
        "inference": "cluster",
        "clusters": ["unit"],
        "unit": "unit",
        "time": "time",
        "estimand": ("att",),
    }
    return build_request(data, **(plain | changes))
