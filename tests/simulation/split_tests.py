"""Size and power of the tests of separability and of constant returns.

One input, one output, efficiency half-normal and of another spread in two groups (which
separability allows); the alternative lowers one group's frontier, or bends it.

    python -m tests.simulation.split_tests 200 tests/simulation/split_tests.csv
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from estimators.steps.scale_test import ScaleTest
from estimators.steps.separability import Separability
from framework.panel import Panel


def sample(seed: int, n: int, lower: float, power: float) -> pd.DataFrame:
    """`lower`: share that group 1's frontier lies below; `power`: of the input."""
    rng = np.random.default_rng(seed)
    x, group = rng.uniform(1, 10, n), rng.integers(0, 2, n)
    u = np.abs(rng.normal(0, 0.3 + 0.3 * group, n))
    return pd.DataFrame(
        {"x": x, "y": x**power * np.exp(-u) * (1 - lower * group), "group": group}
    )


def splits_of(kind: str, seed: int, splits: int, **design: float) -> pd.DataFrame:
    """The table `splits` of one sample of 150, and the combined p in `p`."""
    options = {"inputs": "x", "outputs": "y", "orientation": "output"}
    more = {"splits": splits, "halvings": 5, "seed": seed}
    step = (
        ScaleTest(**options, **more)
        if kind == "scale"
        else Separability(**options, **more, by="group", returns="variable")
    )
    out = step.apply(Panel(sample(seed, 150, **design)), "t", frozenset())
    return out.frames["splits"].assign(p=out.frames["test"]["p_value"][0])


def summary(samples: int, splits: int = 5) -> pd.DataFrame:
    """Rejections at 5 % of each test under its null and an alternative."""
    rows = []
    for kind, truth, design in (
        ("separability", "null", {"lower": 0.0, "power": 0.8}),
        ("separability", "frontier 30% lower", {"lower": 0.3, "power": 0.8}),
        ("scale", "null", {"lower": 0.0, "power": 1.0}),
        ("scale", "decreasing, power 0.8", {"lower": 0.0, "power": 0.8}),
    ):
        found = [splits_of(kind, seed, splits, **design) for seed in range(samples)]
        one = np.mean([(t["p_value"] < 0.05).mean() for t in found])
        joint = np.mean([t["p"][0] < 0.05 for t in found])
        rows.append((kind, truth, one, joint, samples, splits))
    names = ["test", "truth", "one_split", "combined", "samples", "splits"]
    return pd.DataFrame(rows, columns=names)


if __name__ == "__main__":
    summary(int(sys.argv[1])).round(4).to_csv(Path(sys.argv[2]), index=False)
