"""Does `continuous_did` find effects by dose, and do its errors cover them?

`python -m tests.simulation.continuous_did` writes, beside this file, about three minutes:

- `continuous_did.csv`, seeds 1000 to 1999. 300 units in six periods; a dose, uniform from
  0.5 to 4, starts in period 3 (probability .3), 5 (.3) or never. Its effect is
  BASE(d) (1 + GROWTH e) after e periods; errors are a random walk and noise. Beside the
  rows of the plugin: whether its band holds the whole curve, and the slope ACRT^o of
  cohort 3 in period 3 alone with its error as it is and with the doses taken as known.
- `continuous_did_null.csv`, seeds 1000 to 1199: the design of the README of R's contdid,
  5,000 units without any effect, and the estimate of ACRT^o with its error.

The seeds are consecutive and were not chosen.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from estimators._math.dose_response import Spline, effects
from estimators.continuous_did import ContinuousDid
from tests.build_doses import request_of

FILE = Path(__file__).with_suffix(".csv")
NULL_FILE = FILE.with_name("continuous_did_null.csv")
SEEDS, NULL_SEEDS = range(1000, 2000), range(1000, 1200)
UNITS, PERIODS, GROWTH = 300, 6, 0.2
LOW, HIGH = 0.5, 4.0
DOSES = (1.0, 2.25, 3.5)
#: Mean over cohorts 3 and 5 of the mean growth over their periods.
MEAN_GROWTH = 1 + GROWTH * (np.mean([0, 1, 2, 3]) + np.mean([0, 1])) / 2


def base(d: Any) -> Any:
    """Effect of a dose in its first period."""
    return 0.4 + 1.6 * np.asarray(d) - 0.3 * np.asarray(d) ** 2


def slope(d: Any) -> Any:
    """Its derivative."""
    return 1.6 - 0.6 * np.asarray(d)


#: Mean of D and of D squared, uniform.
_D, _D2 = (LOW + HIGH) / 2, (HIGH**3 - LOW**3) / (3 * (HIGH - LOW))
TRUTH = {
    "att": MEAN_GROWTH * (0.4 + 1.6 * _D - 0.3 * _D2),
    "acrt": MEAN_GROWTH * (1.6 - 0.6 * _D),
    **{f"att_dose {d:g}": MEAN_GROWTH * float(base(d)) for d in DOSES},
    **{f"slope_dose {d:g}": MEAN_GROWTH * float(slope(d)) for d in DOSES},
    **{f"by_event_time {e}": 0.0 for e in (-4, -3, -2)},
    **{
        f"by_event_time {e}": (1 + GROWTH * e) * (0.4 + 1.6 * _D - 0.3 * _D2)
        for e in (0, 1, 2, 3)
    },
    "one cell": 1.6 - 0.6 * _D,
}


def sample(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    first = rng.choice([3.0, 5.0, np.inf], UNITS, p=[0.3, 0.3, 0.4])
    size = np.where(np.isfinite(first), rng.uniform(LOW, HIGH, UNITS), 0.0)
    time = np.arange(1, PERIODS + 1)
    e = time - first[:, None]
    effect = np.where(
        e >= 0, base(size)[:, None] * (1 + GROWTH * np.maximum(e, 0)), 0.0
    )
    walk = 0.5 * rng.normal(size=(UNITS, PERIODS)).cumsum(axis=1)
    y = effect + walk + 0.7 * rng.normal(size=(UNITS, PERIODS)) + 0.2 * time
    return pd.DataFrame(
        {
            "unit": np.repeat(np.arange(UNITS), PERIODS),
            "time": np.tile(time, UNITS),
            "first": np.repeat(first, PERIODS),
            "size": np.repeat(size, PERIODS),
            "dose": np.where(e >= 0, size[:, None], 0.0).ravel(),
            "y": y.ravel(),
        }
    )


def estimate(seed: int) -> dict[str, float]:
    """Numbers of a seed by their name; errors are called `name se`."""
    data = sample(seed)
    asked = ("att", "acrt", "att_dose", "slope_dose", "by_event_time")
    result = ContinuousDid(degree=3, doses=DOSES, bootstrap=399).estimate(
        request_of(data, *asked, seed=seed)
    )
    found: dict[str, float] = {}
    for row in result.coefficients.itertuples():
        place = row.dose if "dose" in row.estimand else row.event_time
        name = row.estimand if pd.isna(place) else f"{row.estimand} {place:g}"
        found |= {name: row.estimate, f"{name} se": row.std_error}
    curve = result.frames["dose_response"]
    curve = curve[curve.estimand == "att_dose"]
    truth = MEAN_GROWTH * base(curve.dose)
    held = (curve.band_low <= truth) & (truth <= curve.band_high)
    found["band holds"] = float(held.all())
    return found | _one_cell(data)


def _one_cell(data: pd.DataFrame) -> dict[str, float]:
    """ACRT^o of cohort 3 in period 3, its error, and that with the doses known."""
    wide = data.pivot_table(index="unit", columns="time", values="y").to_numpy()
    units = data.groupby("unit").first()
    first, d = units["first"].to_numpy(), units["size"].to_numpy()
    some = (first == 3) | np.isinf(first)
    dy, d = (wide[:, 2] - wide[:, 1])[some], d[some]
    own, ones = d > 0, np.ones(len(d))
    basis = Spline(3, (), d[own].min(), d[own].max())
    fit = effects(dy, own, d, ones[:, None], ones, basis)
    known = fit.psi_beta @ basis.slopes(d[own]).mean(axis=0)
    return {
        "one cell": fit.acrt,
        "one cell se": float(np.linalg.norm(fit.psi_acrt)),
        "one cell se known": float(np.linalg.norm(known)),
    }


def null(seed: int) -> dict[str, float]:
    """ACRT^o and its error where a dose does nothing, as contdid's README has it."""
    rng = np.random.default_rng(seed)
    n, T = 5000, 4
    first = rng.choice([np.inf, 2.0, 3.0, 4.0], n)
    size = np.where(np.isfinite(first), rng.uniform(0, 1, n), 0.0)
    time = np.arange(1, T + 1)
    data = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n), T),
            "time": np.tile(time, n),
            "dose": np.where(time >= first[:, None], size[:, None], 0.0).ravel(),
            "y": rng.normal(size=n * T),
        }
    )
    result = ContinuousDid(degree=3, knots=1).estimate(request_of(data, "acrt"))
    row = result.coefficients.iloc[0]
    return {"acrt": row.estimate, "acrt se": row.std_error}


@dataclass(frozen=True)
class Summary:
    """What the seeds say of one number.

    Attributes:
        bias: mean less truth; `monte_carlo` its standard error.
        spread: standard deviation over seeds; `error` the mean standard error.
        covers: share of 95% intervals with the truth in them.
    """

    bias: float
    monte_carlo: float
    spread: float
    error: float
    covers: float


def summary(rows: pd.DataFrame, name: str, truth: float, error: str = "") -> Summary:
    off, se = rows[name] - truth, rows[error or f"{name} se"]
    spread = float(off.std())
    return Summary(
        float(off.mean()),
        spread / np.sqrt(len(off)),
        spread,
        float(se.mean()),
        float((off.abs() <= 1.959964 * se).mean()),
    )


def stored(file: Path = FILE) -> pd.DataFrame:
    """Rows of a file by seed."""
    return pd.read_csv(file, index_col="seed")


def _lines(
    run: Callable[[int], dict[str, float]], seeds: range
) -> Iterator[list[object]]:
    for n, seed in enumerate(seeds):
        found = run(seed)
        if n == 0:
            yield ["seed", *found]
        yield [seed, *(f"{number:.5g}" for number in found.values())]


def main() -> None:
    for file, run, seeds in (
        (FILE, estimate, SEEDS),
        (NULL_FILE, null, NULL_SEEDS),
    ):
        with file.open("w", encoding="utf-8", newline="") as handle:
            csv.writer(handle, lineterminator="\n").writerows(_lines(run, seeds))


if __name__ == "__main__":
    main()
