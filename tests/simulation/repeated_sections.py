"""Does `callaway_santanna` find effects where no unit is followed?

`python -m tests.simulation.repeated_sections` writes `repeated_sections.csv` beside this
file: one row per seed 0 to 999, some minutes. Surveys of 200 counties in seven years,
two to four other persons each time; 110 counties adopt a law in one of three years.
Counties have levels and yearly shocks of their own. The outcome's trend depends on a
covariate that is larger among the treated: `plain` leaves it out. `after` and `before`
are the doubly robust effects at event times 2 and -2.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from estimators.callaway_santanna import CallawaySantanna
from framework.contract import Request
from tests.build_request import build_request
from tests.build_sections import YEARS, surveys, truth

FILE = Path(__file__).with_suffix(".csv")
SEEDS = range(1000)
COUNTIES = {2012.0: 45, 2014.0: 35, 2015.0: 30, np.inf: 90}
METHODS = ("doubly_robust", "ipw", "regression", "plain")
ROWS = (*METHODS, "after", "before")
COLUMNS = ("seed", *ROWS, *(f"{r}_error" for r in ROWS))


def _mean(event_time: int | None) -> float:
    """Effect of treated cells (at one event time) by expected size of the cohort."""
    effects, sizes = [], []
    for g, size in COUNTIES.items():
        for year in YEARS:
            e = year - g
            if e >= 0 and event_time in (None, e):
                effects.append(float(truth(e, g)))
                sizes.append(size)
    return float(np.average(effects, weights=sizes))


#: Truth by row.
TRUTH = dict.fromkeys(METHODS, _mean(None)) | {"after": _mean(2), "before": 0.0}


def _request(data: pd.DataFrame, controls: list[str]) -> Request:
    return build_request(
        data,
        outcome="y",
        treatment="d",
        kind="absorbing",
        cohort="first",
        controls=controls,
        inference="cluster",
        clusters=["county"],
        time="year",
        estimand=("att", "by_event_time"),
    )


def row(seed: int) -> dict[str, float]:
    """One line of the file."""
    data = surveys(seed, counties=COUNTIES, rows=(2, 5), trend_in_x=0.2)
    found: dict[str, float] = {"seed": seed}

    def put(name: str, of: pd.Series) -> None:
        found[name] = float(of["estimate"])
        found[f"{name}_error"] = float(of["std_error"])

    for method in METHODS:
        plugin = CallawaySantanna(
            method="doubly_robust" if method == "plain" else method,
            control_group="never_treated",
        )
        controls = [] if method == "plain" else ["x"]
        table = plugin.estimate(_request(data, controls)).coefficients
        put(method, table.iloc[0])
        if method == "doubly_robust":
            at = table.set_index("event_time")
            put("after", at.loc[2])
            put("before", at.loc[-2])
    return found


@dataclass(frozen=True, slots=True)
class Summary:
    """Over seeds: bias and its Monte Carlo error, spread, mean error, coverage."""

    bias: float
    monte_carlo: float
    spread: float
    error: float
    covers: float


def summary(kept: pd.DataFrame, name: str) -> Summary:
    """What the seeds say of a row of `TRUTH`."""
    gap = kept[name] - TRUTH[name]
    errors = kept[f"{name}_error"]
    reach = 1.959963984540054 * errors
    return Summary(
        float(gap.mean()),
        float(gap.std() / np.sqrt(len(gap))),
        float(gap.std()),
        float(errors.mean()),
        float((gap.abs() <= reach).mean()),
    )


def stored() -> pd.DataFrame:
    """The file."""
    return pd.read_csv(FILE)


def main() -> None:
    with FILE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for seed in SEEDS:
            found = row(seed)
            writer.writerow([seed, *(f"{found[c]:.6g}" for c in COLUMNS[1:])])


if __name__ == "__main__":
    main()
