"""Does two-way fixed effects find the effect of the clean preset, and cover it?

`python -m tests.simulation.clean_coverage` writes `clean_coverage.csv` beside this file:
one row per seed 1000 to 1199, generated without inputs and outputs (they do not touch the
outcome). About a minute. The seeds are consecutive and were not chosen.

Only 18 of 286 cities are treated, so the usual clustered standard error may be too small.
Besides it (CR1) there is the cluster jackknife (CR3: MacKinnon, Nielsen and Webb 2023,
Journal of Econometrics 232(2)), and for both critical values of t(285) and, as few
clusters carry the treatment, of t(17).
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from estimators.generators import _aipz

if TYPE_CHECKING:
    import pandas as pd

FILE = Path(__file__).with_suffix(".csv")
SEEDS = range(1000, 1200)
TRUTH = 0.0638
CITIES, PERIODS, TREATED = 286, 9, 18
COLUMNS = ("seed", "estimate", "cr1", "cr3")


@dataclass(frozen=True)
class Estimate:
    """Coefficient of the treatment and its two clustered standard errors."""

    estimate: float
    cr1: float
    cr3: float


@dataclass(frozen=True)
class Summary:
    """What the seeds say together.

    Attributes:
        monte_carlo: standard error of the mean.
        covers: share of 95% intervals with the truth in them, by method.
        band: half the width of the 95% band of that share were it .95.
    """

    mean: float
    spread: float
    monte_carlo: float
    errors: dict[str, float]
    covers: dict[str, float]
    band: float


def sample(seed: int) -> pd.DataFrame:
    """The rows of 2015 to 2023 with the study's logarithms."""
    frame, truth = _aipz.panel_and_truth(seed, clean=True, efficiency=False)
    assert math.isclose(truth["estimands"]["att"], TRUTH, rel_tol=1e-12)
    kept = frame[frame["year"] >= _aipz.WINDOW].copy()
    logs = (("eco", "gdp_pc"), ("fe", "loans_deposits"), ("op", "fdi"))
    for name, column in logs:
        kept[name] = np.log(kept[column])
    return kept


def estimate(frame: pd.DataFrame) -> Estimate:
    """Two-way fixed effects with the six controls, errors clustered by city."""
    names = ("ai", *_aipz.CONTROLS)
    shape = (CITIES, PERIODS)
    own = [frame[name].to_numpy(float).reshape(shape) for name in names]
    years = [np.tile(row, (CITIES, 1)) for row in np.eye(PERIODS)[1:]]
    X = np.stack([x - x.mean(axis=1, keepdims=True) for x in (*own, *years)])
    y = frame["ulgue_simulated"].to_numpy().reshape(shape)
    y = y - y.mean(axis=1, keepdims=True)
    A = np.einsum("kgt,lgt->gkl", X, X)
    b = np.einsum("kgt,gt->gk", X, y)
    found = np.linalg.solve(A.sum(axis=0), b.sum(axis=0))
    scores = b - A @ found
    bread = np.linalg.inv(A.sum(axis=0))
    small = CITIES / (CITIES - 1) * (y.size - 1) / (y.size - len(names) - PERIODS)
    cr1 = small * (bread @ scores.T @ scores @ bread)[0, 0]
    without = np.linalg.solve(A.sum(axis=0) - A, (b.sum(axis=0) - b)[:, :, None])
    moved = without[:, 0, 0] - found[0]
    cr3 = (CITIES - 1) / CITIES * float(moved @ moved)
    return Estimate(float(found[0]), math.sqrt(cr1), math.sqrt(cr3))


def summary(rows: np.ndarray) -> Summary:
    """Of rows (seeds, 3): estimate, CR1, CR3."""
    from scipy.special import stdtrit

    estimates = rows[:, 0]
    reach = {f"t({df})": stdtrit(df, 0.975) for df in (CITIES - 1, TREATED - 1)}
    off = np.abs(estimates - TRUTH)
    covers = {
        f"{kind}, {name}": float((off <= wide * rows[:, column]).mean())
        for column, kind in ((1, "CR1"), (2, "CR3"))
        for name, wide in reach.items()
    }
    return Summary(
        mean=float(estimates.mean()),
        spread=float(estimates.std(ddof=1)),
        monte_carlo=float(estimates.std(ddof=1) / math.sqrt(len(rows))),
        errors={"CR1": float(rows[:, 1].mean()), "CR3": float(rows[:, 2].mean())},
        covers=covers,
        band=1.96 * math.sqrt(0.95 * 0.05 / len(rows)),
    )


def stored() -> dict[int, tuple[float, float, float]]:
    """Seed -> estimate, CR1 and CR3 of the file."""
    with FILE.open(encoding="utf-8", newline="") as file:
        return {
            int(row["seed"]): (
                float(row["estimate"]),
                float(row["cr1"]),
                float(row["cr3"]),
            )
            for row in csv.DictReader(file)
        }


def main() -> None:
    with FILE.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(COLUMNS)
        for seed in SEEDS:
            found = estimate(sample(seed))
            numbers = (found.estimate, found.cr1, found.cr3)
            lines.writerow([seed, *(f"{number:.8g}" for number in numbers)])


if __name__ == "__main__":
    main()
