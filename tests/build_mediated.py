"""Samples in which two mediators carry a known part of an effect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from framework.contract import Request
from tests.build_request import build_request

#: Effects through m1, m2 and beside them.
FIRST, SECOND, DIRECT = 0.8 * 0.5, -0.4 * 0.7, 0.3


def sample(seed: int, n: int = 400, moderated: float = 0.0) -> Any:
    """A treatment drawn at random by cluster pair, 40 clusters, one control."""
    rng = np.random.default_rng(seed)
    g = np.arange(n) % 40
    x, d = rng.normal(size=n), rng.integers(0, 2, n).astype(float)
    shock = 0.5 * rng.normal(size=(3, 40))[:, g]
    m1 = 0.8 * d + 0.3 * x + shock[0] + rng.normal(size=n)
    m2 = -0.4 * d + 0.2 * x + shock[1] + rng.normal(size=n)
    y = DIRECT * d + 0.5 * m1 + 0.7 * m2 + moderated * d * m1 + x + shock[2]
    y += rng.normal(size=n)
    return pd.DataFrame({"y": y, "d": d, "m1": m1, "m2": m2, "x": x, "g": g})


def request_of(data: pd.DataFrame, *mediators: str, **changes: Any) -> Request:
    """`mediators` as the model's; columns of `controls` as its controls."""
    fields: dict[str, Any] = {
        "outcome": "y",
        "treatment": "d",
        "kind": "cross_section",
        "controls": ["x", *mediators],
        "inference": "cluster",
        "clusters": ["g"],
    } | changes
    made = build_request(data, **fields)
    alias = {name: key for key, name in made.labels.items()}
    inside = tuple(alias[m] for m in mediators)
    rest = tuple(c for c in made.controls if c not in inside)
    return replace(made, controls=rest, mediators=inside)
