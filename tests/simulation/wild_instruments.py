"""Size of 5 % tests of an instrumented effect with eight clusters.

python -m tests.simulation.wild_instruments writes wild_instruments.csv beside this file.
Eight clusters of ten rows differ in noise and share an error and the instrument; the
treatment responds to the error and has no effect.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

from estimators._math.wild_bootstrap import multipliers
from estimators._math.wild_instruments import InstrumentSums, anderson_rubin, p_value

CLUSTERS, ROWS, LEVEL = 8, 10, 0.05
#: Response of the treatment to the instrument.
STRENGTHS = (0.2, 0.6, 1.5)
REPLICATIONS = 3_000


def sample(strength: float, rng: np.random.Generator) -> InstrumentSums:
    """One draw of the data."""
    n = CLUSTERS * ROWS
    codes = np.repeat(np.arange(CLUSTERS), ROWS)
    spread = rng.uniform(0.5, 2.0, size=CLUSTERS)[codes]
    shared = rng.normal(size=(2, CLUSTERS))[:, codes]
    z = shared[0] + 0.7 * rng.normal(size=n)
    u = spread * (shared[1] + rng.normal(size=n))
    D = strength * z + 0.6 * u + rng.normal(size=n)
    z, u, D = (a - a.mean() for a in (z, u, D))
    constant = np.full((n, 1), 1 / np.sqrt(n))
    return InstrumentSums.of(u, D, z[:, None], constant, codes, CLUSTERS)


def rejections(strength: float, replications: int, seed: int = 8) -> dict[str, float]:
    """Share of samples in which the true null is rejected, by test."""
    rng = np.random.default_rng(seed)
    every = multipliers("rademacher", CLUSTERS, 1, 0, odd=False)
    n = CLUSTERS * ROWS
    factor = CLUSTERS / (CLUSTERS - 1) * (n - 1) / (n - 2)
    critical = student.ppf(1 - LEVEL / 2, CLUSTERS - 1)
    found = {"CV1": 0, "WRE": 0, "AR": 0}
    for _ in range(replications):
        of = sample(strength, rng)
        robust = anderson_rubin(of, 0.0, every)
        if robust is None:
            raise RuntimeError("one instrument has a variance in every sample")
        found["CV1"] += of.own(0.0) / factor > critical**2
        found["WRE"] += p_value(of, 0.0, every) <= LEVEL
        found["AR"] += robust[1] <= LEVEL
    return {kind: count / replications for kind, count in found.items()}


def figures() -> pd.DataFrame:
    """One row per strength; `mc_error` is that of a size of 5 %."""
    rows = [
        {"strength": s, "replications": REPLICATIONS} | rejections(s, REPLICATIONS)
        for s in STRENGTHS
    ]
    error = np.sqrt(LEVEL * (1 - LEVEL) / REPLICATIONS)
    return pd.DataFrame(rows).assign(mc_error=round(error, 4)).round(4)


if __name__ == "__main__":
    figures().to_csv(Path(__file__).with_suffix(".csv"), index=False)
