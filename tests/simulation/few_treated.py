"""Coverage of 95 % intervals with few clusters, few of them treated.

python -m tests.simulation.few_treated writes few_treated.csv beside this file. 25
clusters of 2 or 8 units over 6 periods, errors that a cluster and period share and that
persist; the treated clusters are small; no effect (what is covered is zero). Few treated
is where errors fail, and the figures say how.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from estimators.twfe import Twfe
from framework.errors import EstimandError
from tests.build_request import build_request

CLUSTERS, PERIODS = 25, 6
#: Units of the clusters: the first ones, which are treated, are small.
UNITS = np.where(np.arange(CLUSTERS) % 2 == 0, 2, 8)
UNITS[:4] = 2
TREATED = (1, 2, 4, 10)
REPLICATIONS = 250
KINDS: dict[str, dict[str, Any]] = {
    "CV1": {"inference": "cluster"},
    "CV3": {"inference": "cluster", "options": {"type": "CV3"}},
    "WCR": {"inference": "wild_bootstrap", "options": {"draws": 999}},
    "WCU": {
        "inference": "wild_bootstrap",
        "options": {"restricted": False, "draws": 999},
    },
    "FP": {"inference": "ferman_pinto", "options": {"draws": 999}},
}


def panel(treated: int, rng: np.random.Generator) -> pd.DataFrame:
    """One draw of the data; the treated clusters' errors are like the others'."""
    owner = np.repeat(np.arange(CLUSTERS), UNITS)
    cluster = np.repeat(owner, PERIODS)
    unit = np.repeat(np.arange(len(owner)), PERIODS)
    year = np.tile(np.arange(PERIODS), len(owner))
    shock = rng.normal(size=(CLUSTERS, PERIODS))
    for t in range(1, PERIODS):
        shock[:, t] += 0.7 * shock[:, t - 1]
    y = 0.5 * shock[cluster, year] + 2.0 * rng.normal(size=len(unit))
    d = ((cluster < treated) & (year >= PERIODS // 2)).astype(float)
    return pd.DataFrame({"s": cluster, "u": unit, "t": year, "d": d, "y": y})


def intervals(treated: int, replications: int, seed: int = 20260301) -> pd.DataFrame:
    """Whether intervals hold zero, by kind (columns); missing where there is none."""
    rng = np.random.default_rng([seed, treated])
    return pd.DataFrame(
        [
            {kind: holds_zero(data, changes) for kind, changes in KINDS.items()}
            for data in (panel(treated, rng) for _ in range(replications))
        ]
    )


def holds_zero(data: pd.DataFrame, changes: dict[str, Any]) -> float:
    """1 or 0; missing where the inference refuses (one treated cluster in CV3)."""
    request = build_request(
        data,
        outcome="y",
        treatment="d",
        fixed_effects=["u", "t"],
        clusters=["s"],
        unit="u",
        time="t",
        acknowledge=frozenset({"few_treated"}),
        **changes,
    )
    try:
        row = Twfe().estimate(request).coefficients.iloc[0]
    except EstimandError as reason:
        if {p.code for p in reason.problems} != {"I05"}:
            raise
        return np.nan
    return float(row.conf_low <= 0 <= row.conf_high)


def figures(replications: int = REPLICATIONS) -> pd.DataFrame:
    """Coverage where there is an interval, its Monte Carlo error, share without one."""
    rows = []
    for treated in TREATED:
        found = intervals(treated, replications)
        for kind in KINDS:
            given = found[kind].dropna()
            share = given.mean() if len(given) else np.nan
            rows.append(
                {
                    "treated": treated,
                    "clusters": CLUSTERS,
                    "replications": replications,
                    "kind": kind,
                    "coverage": share,
                    "mc_error": np.sqrt(share * (1 - share) / max(len(given), 1)),
                    "refused": 1.0 - len(given) / replications,
                }
            )
    return pd.DataFrame(rows).round(4)


if __name__ == "__main__":
    figures().to_csv(Path(__file__).with_suffix(".csv"), index=False)
