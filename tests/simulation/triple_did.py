"""Do triple differences find the effect where the usual shortcuts do not?

`python -m tests.simulation.triple_did` writes `triple_did.csv` beside this file: one row
per seed 0 to 999, about three minutes. Two designs.

*covariates*: two periods, one cohort and never-treated units, 500 each. The trend of the
eligible depends on a covariate that is larger in the treated cohort. `two_dids` is the
difference of two doubly robust differences-in-differences, eligible less ineligible, in
either cohort: it takes the second over the covariates of the never treated.

*staggered*: no covariates, three cohorts and never-treated units, 500 in all. Every
cohort and the eligible have trends of their own, and the share of eligible units differs
between cohorts. `gmm` combines all comparison cohorts, `never` takes one, `pooled` all
units not treated yet as one; `cell_` is the effect of cohort 4 in period 4; `gmm_agree`
is the p value of the test that all comparison cohorts give the same effects, which they do.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from estimators._math.two_period import att
from estimators.triple_did import TripleDid
from tests.build_cohorts import truth
from tests.build_eligible import SHARES, partly_eligible, request_with

FILE = Path(__file__).with_suffix(".csv")
SEEDS = range(1000)
ONE = {4.0: 500, np.inf: 500}
SIZES = {4.0: 120, 6.0: 120, 7.0: 100, np.inf: 160}
PERIODS, BASE = 8, 3
METHODS = (
    "doubly_robust", "ipw", "regression", "two_dids",
    "gmm", "never", "pooled", "cell_gmm", "cell_never",
)  # fmt: skip
#: Methods with a standard error.
ESTIMATORS = (
    "doubly_robust", "ipw", "regression", "gmm", "never", "cell_gmm", "cell_never",
)  # fmt: skip
COLUMNS = ("seed", *METHODS, *(f"{m}_error" for m in ESTIMATORS), "gmm_agree")


def true_att() -> float:
    """Effect of the staggered design, treated cells by expected cohort size."""
    effects, sizes = [], []
    for g in (4, 6, 7):
        for t in range(g, PERIODS + 1):
            effects.append(float(truth(t - g, g)))
            sizes.append(SIZES[g] * SHARES[g])
    return float(np.average(effects, weights=sizes))


#: Truth by method.
TRUTH = dict.fromkeys(METHODS, float(truth(0, 4)))
TRUTH |= dict.fromkeys(("gmm", "never", "pooled"), true_att())


def _estimate(
    data: pd.DataFrame, name: str, controls: list[str], **options: str
) -> dict[str, float]:
    """The att, and the effect of cohort 4 in period 4."""
    request = request_with(data, controls=controls)
    result = TripleDid(**options).estimate(request)
    tests = {t.name: t.p_value for t in result.tests}
    whole, cell = result.coefficients.iloc[0], result.frames["group_time"]
    cell = cell[(cell["cohort"] == 4) & (cell["period"] == 4)].iloc[0]
    return {f"{name}_agree": tests.get("joint_comparisons", np.nan)} | {
        f"{prefix}{name}{what}": float(of[column])
        for prefix, of in (("", whole), ("cell_", cell))
        for what, column in (("", "estimate"), ("_error", "std_error"))
    }


def two_dids(data: pd.DataFrame) -> float:
    """The shortcut: a doubly robust difference-in-differences in either state."""
    first = data[data.time == BASE]
    change = data[data.time > BASE].y.to_numpy() - first.y.to_numpy()
    Q, own = first.eligible.to_numpy(), np.isfinite(first["first"].to_numpy())
    X = np.column_stack([np.ones(len(Q)), first.x])
    one, two = (
        att(change[s], Q[s], X[s], np.ones(s.sum()), "doubly_robust").estimate
        for s in (own, ~own)
    )
    return one - two


def pooled(data: pd.DataFrame) -> float:
    """The shortcut: all units not treated yet are one comparison group."""
    wide = data.pivot(index="unit", columns="time", values="y")
    of = data.groupby("unit")[["first", "eligible"]].first().loc[wide.index]
    first, Q = of["first"].to_numpy(), of["eligible"].to_numpy() == 1
    effects, sizes = [], []
    for g in (4, 6, 7):
        for t in range(g, PERIODS + 1):
            change = (wide[t] - wide[g - 1]).to_numpy()
            own, other = first == g, first > t
            gap = change[own & Q].mean() - change[own & ~Q].mean()
            gap -= change[other & Q].mean() - change[other & ~Q].mean()
            effects.append(gap)
            sizes.append((own & Q).sum())
    return float(np.average(effects, weights=sizes))


def row(seed: int) -> dict[str, float]:
    """Everything of one seed."""
    found: dict[str, float] = {"seed": seed}
    data = partly_eligible(
        seed, sizes=ONE, periods=4, own_trend_in_x=1.0, trend_in_x=0.3
    )
    data = data[data.time >= BASE]
    for method in ESTIMATORS[:3]:
        found |= _estimate(data, method, ["x"], method=method)
    found["two_dids"] = two_dids(data)
    data = partly_eligible(seed, sizes=SIZES)
    for name, group in (("gmm", "not_yet_treated"), ("never", "never_treated")):
        found |= _estimate(data, name, [], control_group=group)
    found["pooled"] = pooled(data)
    return found


@dataclass(frozen=True)
class Summary:
    """What the seeds say of one method.

    Attributes:
        bias: mean less truth; `monte_carlo` is its standard error.
        spread: standard deviation of the estimates.
        error: mean standard error, nan without one.
        covers: share of 95 % intervals with the truth in them.
    """

    bias: float
    monte_carlo: float
    spread: float
    error: float
    covers: float


def summary(kept: pd.DataFrame, method: str) -> Summary:
    """Of the rows of the file, or of some."""
    off = kept[method] - TRUTH[method]
    spread = float(off.std())
    error = kept.get(f"{method}_error", pd.Series(np.nan, index=kept.index))
    return Summary(
        float(off.mean()),
        spread / float(np.sqrt(len(kept))),
        spread,
        float(error.mean()),
        float((off.abs() <= 1.959964 * error).mean()),
    )


def stored() -> pd.DataFrame:
    """The rows of the file."""
    return pd.read_csv(FILE)


def main() -> None:
    """Write the file."""
    with FILE.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(COLUMNS)
        for seed in SEEDS:
            found = row(seed)
            out.writerow([seed, *(f"{found[name]:.6g}" for name in COLUMNS[1:])])


if __name__ == "__main__":
    main()
