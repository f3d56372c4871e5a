"""Data, requests and plans that the tests of double machine learning share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import framework.spec.choices  # noqa: F401 - lets options name learners
from estimators._double.scores import Plan
from estimators.learners.linear import Linear
from framework.contract import Request
from tests.build_request import build_request

EFFECT = 0.5


def rows(n: int = 600, seed: int = 1) -> pd.DataFrame:
    """A cross-section: `d` confounded, `b` 0/1, `z` moves `e`, `w` 0/1 moves `t`."""
    rng = np.random.default_rng(seed)
    x1, x2, x3 = rng.normal(size=(3, n))
    hidden = rng.normal(size=n)
    d = np.sin(x1) + 0.5 * x2 + rng.normal(size=n)
    b = (0.5 * x1 - 0.3 * x2 + rng.logistic(size=n) > 0).astype(float)
    z = 0.5 * x3 + rng.normal(size=n)
    e = z + 0.5 * x1 + hidden + rng.normal(size=n)
    w = (0.4 * x2 + rng.logistic(size=n) > 0).astype(float)
    kind = rng.random(n)  # always, never, or as told
    t = np.where(kind < 0.2, 1.0, np.where(kind < 0.4, 0.0, w))
    curve = x1 + np.cos(x2) + 0.5 * x3
    noise = 0.5 * rng.normal(size=n)
    return pd.DataFrame(
        {
            "y": EFFECT * d + curve + noise,
            "yb": EFFECT * b + curve + noise,
            "ye": EFFECT * e + curve + hidden + noise,
            "yt": EFFECT * t + curve + (kind < 0.2) + noise,
            "d": d,
            "b": b,
            "z": z,
            "e": e,
            "w": w,
            "t": t,
            "x1": x1,
            "x2": x2,
            "x3": x3,
            "g": rng.integers(0, 40, n),
        }
    )


#: kind -> outcome, treatment, instruments of `rows`.
ROLES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "plr": ("y", "d", ()),
    "irm": ("yb", "b", ()),
    "pliv": ("ye", "e", ("z",)),
    "iivm": ("yt", "t", ("w",)),
}


def request(kind: str, data: pd.DataFrame | None = None, **fields: Any) -> Request:
    """A request of that kind on `rows`, independent rows unless clusters are named."""
    y, d, z = ROLES[kind]
    data = rows() if data is None else data
    fields = {"inference": "cluster" if "clusters" in fields else "hetero"} | fields
    fields = {"controls": ("x1", "x2", "x3"), "kind": "cross_section"} | fields
    made = build_request(data, outcome=y, treatment=d, **fields)
    if not z:
        return made
    from dataclasses import replace

    new = {f"z{i}": data[c].to_numpy(dtype=float) for i, c in enumerate(z)}
    return replace(
        made,
        frame=made.frame.assign(**new),
        instruments=tuple(new),
        labels={**made.labels, **dict(zip(new, z, strict=True))},
    )


def plan(**changes: Any) -> Plan:
    """Linear learners, three folds, one split, nothing normalised."""
    settings: dict[str, Any] = {
        "outcome": Linear(),
        "treatment": Linear(),
        "instrument": Linear(),
        "folds": 3,
        "repetitions": 1,
        "score": "partialling_out",
        "trimming": 0.01,
        "normalise": False,
        "seed": 1,
    }
    return Plan(**(settings | changes))


def panel(
    units: int = 60, periods: int = 8, seed: int = 1, effect: float = EFFECT
) -> pd.DataFrame:
    """Staggered adoption; unit effects move treatment, controls and outcome."""
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(units), periods)
    time = np.tile(np.arange(2000, 2000 + periods), units)
    alpha = rng.normal(size=units)
    late = rng.normal(size=units) + alpha
    first = np.where(late > 0.7, 2003.0, np.where(late > -0.2, 2005.0, np.inf))
    d = (time >= first[unit]).astype(float)
    x1 = 0.5 * alpha[unit] + rng.normal(size=len(unit))
    x2 = rng.normal(size=len(unit))
    noise = 0.5 * rng.normal(size=len(unit))
    y = effect * d + x1 - 0.5 * x2 + alpha[unit] + 0.2 * (time - 2000) + noise
    return pd.DataFrame(
        {
            "unit": [f"u{u:03d}" for u in unit],
            "time": time,
            "y": y,
            "d": d,
            "first": first[unit],
            "x1": x1,
            "x2": x2,
            "region": unit // 3,
        }
    )


def panel_request(data: pd.DataFrame | None = None, **fields: Any) -> Request:
    """A request on `panel`, clustered by unit unless said otherwise."""
    given: dict[str, Any] = {
        "outcome": "y",
        "treatment": "d",
        "kind": "absorbing",
        "cohort": "first",
        "controls": ("x1", "x2"),
        "unit": "unit",
        "time": "time",
        "inference": "cluster",
        "clusters": ("unit",),
    }
    return build_request(panel() if data is None else data, **(given | fields))
