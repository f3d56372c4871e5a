"""What an omitted confounder would do, beside what the observed ones do.

Chernozhukov, Cinelli, Newey, Sharma and Syrgkanis (2022): a confounder that explains the
share C_Y of the outcome's residual variance and adds the share C_D to what the features
know of the treatment moves the estimate by at most
`sqrt(sigma2 nu2) sqrt(C_Y C_D / (1 - C_D))`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from estimators._double.sample import SHOWN, Sample
from estimators._double.scores import Plan, Repetition, repetition
from estimators._double.shared import in_any_order
from framework.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd

#: Points of the contour plot along either axis.
POINTS = 41
#: The plot reaches this far at least, and this much beyond what it has to show.
REACH, BEYOND = 0.1, 1.25
#: The treatment's share is below one, where the bound is infinite.
MOST = 0.95


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What leaving some controls out does.

    Attributes:
        controls: their names.
        outcome_share, treatment_share: C_Y and C_D of a confounder as strong as they.
        shift: estimate without them less the estimate.
        rho: correlation that the shift implies, with the shift's sign; 1 = the worst
            that a confounder of that strength can do.
    """

    controls: tuple[str, ...]
    outcome_share: float
    treatment_share: float
    shift: float
    rho: float

    @property
    def name(self) -> str:
        return ", ".join(self.controls)


def benchmarks(
    sample: Sample,
    plan: Plan,
    found: Sequence[Repetition],
    key: str,
    at: int,
    wanted: Sequence[tuple[str, ...]],
) -> tuple[Benchmark, ...]:
    """Every set of controls left out in turn, in the same folds; medians over splits.

    Args:
        found: the splits with all controls.
        key, at: of the judged estimate.
        wanted: names of controls; their unit means and lags go with them.

    Raises:
        SpecError: X23 a name that is no control, or a judged effect without a bound.
    """
    if wanted and key not in found[0].nu2:
        raise SpecError(
            "X23",
            f"benchmarks need one effect to bound; '{key}' has none",
            fix="benchmarks on a line without interact or by_group",
            path="model.estimator.benchmarks",
        )
    _known(sample, wanted)
    return tuple(_benchmark(sample, plan, found, key, at, names) for names in wanted)


def _known(sample: Sample, wanted: Sequence[tuple[str, ...]]) -> None:
    # Controls that the transform left no variation are named in a note of their own.
    unknown = [n for names in wanted for n in names if n not in sample.features]
    if unknown:
        listed = ", ".join(f"'{f}'" for f in sorted(sample.controls)[:SHOWN])
        listed += " …" if len(sample.controls) > SHOWN else ""
        raise SpecError(
            "X23",
            "no control that varies is called "
            + ", ".join(f"'{n}'" for n in dict.fromkeys(unknown)),
            fix=f"benchmarks names controls as the table does: {listed}",
            path="model.estimator.benchmarks",
        )


def _benchmark(
    sample: Sample,
    plan: Plan,
    found: Sequence[Repetition],
    key: str,
    at: int,
    names: tuple[str, ...],
) -> Benchmark:
    gone = {f for n in names for f in (n, f"mean of {n}", f"{n} before")}
    kept = [j for j, f in enumerate(sample.features) if f not in gone]
    if not kept:
        raise SpecError(
            "X23",
            f"nothing is left to learn from without {', '.join(names)}",
            fix="fewer controls in one benchmark",
            path="model.estimator.benchmarks",
        )
    short = replace(
        sample,
        X=np.ascontiguousarray(sample.X[:, kept]),
        features=tuple(sample.features[j] for j in kept),
    )
    shares_y, shares_d, shifts, rhos = [], [], [], []
    # Rows without ids have folds named by their controls: these stay as they were.
    folds = [sample.folds(plan.folds, plan.seed, r) for r in range(len(found))]
    others = in_any_order(
        [partial(repetition, short, plan, r, fold) for r, fold in enumerate(folds)]
    )
    for long, other in zip(found, others, strict=True):
        more_y = other.sigma2[key] - long.sigma2[key]
        more_d = long.nu2[key] - other.nu2[key]
        shift = float(other.solved[key].theta[at] - long.solved[key].theta[at])
        shares_y.append(np.clip(more_y / long.sigma2[key], 0, 1))
        shares_d.append(np.clip(more_d / other.nu2[key], 0, 1))
        shifts.append(shift)
        both = more_y > 0 and more_d > 0
        size = min(abs(shift) / np.sqrt(more_y * more_d), 1.0) if both else 1.0
        rhos.append(np.sign(shift) * size)
    return Benchmark(
        names, *(float(np.median(x)) for x in (shares_y, shares_d, shifts, rhos))
    )


def bound(
    estimate: float, scale: float, outcome_share: float, treatment_share: float
) -> float:
    """The estimate moved toward zero, and past it, as far as a confounder can.

    Args:
        scale: sqrt(sigma2 nu2).
    """
    reach = scale * np.sqrt(outcome_share * treatment_share / (1 - treatment_share))
    return float(estimate - np.sign(estimate) * reach)


def contour(
    estimate: float, scale: float, robust: float, marks: Sequence[Benchmark]
) -> pd.DataFrame:
    """The bound on a grid of both shares.

    Args:
        robust: robustness value, which the plot has to reach.
    """
    import pandas as pd

    shares_d = [robust, *(b.treatment_share for b in marks)]
    shares_y = [robust, *(b.outcome_share for b in marks)]
    across = np.linspace(0, _reach(shares_d, MOST), POINTS)
    up = np.linspace(0, _reach(shares_y, 1.0), POINTS)
    rows = [(d, y, bound(estimate, scale, y, d)) for y in up for d in across]
    return pd.DataFrame(rows, columns=["treatment_share", "outcome_share", "bound"])


def _reach(shares: Sequence[float], most: float) -> float:
    return min(max(REACH, BEYOND * max(shares)), most)


def frame_of(marks: Sequence[Benchmark], estimate: float, scale: float) -> pd.DataFrame:
    """Benchmarks as a table; `bound` is the estimate under a confounder like them."""
    import pandas as pd

    rows = [
        (
            b.name,
            b.outcome_share,
            b.treatment_share,
            b.rho,
            b.shift,
            bound(
                estimate, scale, b.outcome_share, min(b.treatment_share, 1 - 1e-9)
            ),  # a share of one has no finite bound
        )
        for b in marks
    ]
    names = ["controls", "outcome_share", "treatment_share", "rho", "shift", "bound"]
    return pd.DataFrame(rows, columns=names)
