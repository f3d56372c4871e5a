"""Staggered panels in which a policy touches eligible units only, and requests on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from framework.contract import Request
from tests.build_cohorts import adoption, request_of

#: First treated period of the group -> units.
SIZES = {4.0: 40, 6.0: 60, 7.0: 50, np.inf: 70}
#: The same -> share of eligible units.
SHARES = {4.0: 0.5, 6.0: 0.3, 7.0: 0.7, 9.0: 0.4, np.inf: 0.5}


def partly_eligible(
    seed: int = 0,
    *,
    sizes: dict[float, int] | None = None,
    own_trend_in_x: float = 0.0,
    **more: Any,
) -> pd.DataFrame:
    """Groups adopt; effects on eligible units only; no parallel trends between any two.

    Every cohort has a trend of its own, and so have the eligible, whose share differs
    between cohorts: pooled cohorts are biased, triple differences are not. `own_trend_in_x`
    moves the eligible alone, by `x`, which is larger in treated cohorts. `more`: arguments
    of `adoption`.
    """
    data = adoption(seed, sizes=sizes or SIZES, **more)
    rng = np.random.default_rng([seed, 1])
    unit = data["unit"].str[1:].astype(int).to_numpy()
    draws = rng.random(unit.max() + 1)
    data["eligible"] = (draws[unit] < data["first"].map(SHARES)).astype(float)
    data["y"] -= data["effect"] * (1 - data["eligible"])
    data["effect"] *= data["eligible"]
    own = 2.0 * data["first"].replace(np.inf, 10.0)
    of_eligible = data["eligible"] * (0.2 + own_trend_in_x * data["x"])
    data["y"] += (of_eligible + own) * data["time"]
    data["d × eligible"] = data["d"] * data["eligible"]
    return data


def request_with(data: pd.DataFrame, **changes: Any) -> Request:
    """The request of `interact: eligible`, as the framework makes it."""
    plain: dict[str, Any] = {"judged": ["d × eligible"], "moderators": ["eligible"]}
    controls = [*changes.pop("controls", ()), "eligible"]
    return request_of(data, controls=controls, **(plain | changes))
