"""Envelopment by the step's own path against multipliers by scipy, 286 cities x 9 years.

The step solves the primal (intensities of peers) with columns added as needed, and takes
its optimum again from the basis; here every unit's *dual* (prices of quantities, one row
per peer, nothing left out) goes to scipy's HiGHS. The two share neither program nor data
structure. Super-efficiency and bad outputs in the denominator, both returns.

    python -m tests.reference.two_formulations 286 9 tests/reference/two_formulations.csv
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import linprog

from estimators.steps.sbm import Sbm
from framework.panel import Panel

Floats = npt.NDArray[np.float64]
INPUTS = ["land", "labor", "capital", "energy"]
GOODS = ["value_added", "income", "green_space"]
BADS = ["so2", "wastewater", "soot"]
#: Scores above 1 minus this are scored again without the unit, as in the step.
EFFICIENT = 1e-7
_EXACT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
ATTEMPTS: tuple[dict[str, Any], ...] = (_EXACT, _EXACT | {"presolve": False}, {})
#: scipy's status.
UNBOUNDED = 3


def cities(n: int, years: int, seed: int = 0) -> pd.DataFrame:
    """Units of very different size, more productive every year."""
    rng = np.random.default_rng(seed)
    size = np.exp(np.repeat(rng.normal(0, 1.2, n), years))
    year = np.tile(np.arange(2015, 2015 + years), n)

    def draw(spread: float, growth: float) -> Floats:
        made: Floats = size * np.exp(
            rng.normal(0, spread, n * years) + growth * (year - 2015)
        )
        return made

    columns: dict[str, Any] = {"city": np.repeat(np.arange(n), years), "year": year}
    columns |= {c: draw(0.4, 0.0) for c in INPUTS}
    columns |= {c: draw(0.4, 0.03) for c in GOODS}
    columns |= {c: draw(0.6, -0.02) for c in BADS}
    return pd.DataFrame(columns)


@dataclass(frozen=True, slots=True)
class Multipliers:
    """The duals of one technology: quantities (c, n), the same scaled by rows."""

    x: Floats
    y: Floats
    b: Floats
    variable: bool

    def score(self, o: int) -> float:
        """Both stages of unit o; NaN where the second is infeasible."""
        rho = self._optimum(o, super_stage=False)
        return rho if rho <= 1 - EFFICIENT else self._optimum(o, super_stage=True)

    def _optimum(self, o: int, *, super_stage: bool) -> float:
        """max xi over values v x_o, u y_o, w b_o (and omega): see the comments.

        Raises:
            ArithmeticError: HiGHS found neither an optimum nor none.
        """
        own = self.x[:, [o]], self.y[:, [o]], self.b[:, [o]]
        x, y, b = (q / of for q, of in zip((self.x, self.y, self.b), own, strict=True))
        m, goods, bads = len(x), len(y), len(b)
        p = goods + bads
        # Columns: xi, v, u, w, omega.
        width = 1 + m + p + 1
        itself = np.concatenate(
            [[1.0], np.ones(m), -np.ones(goods), np.ones(bads), [-1]]
        )
        n = x.shape[1]
        peers = np.arange(n) if not super_stage else np.delete(np.arange(n), o)
        # No peer earns a profit: -v X + u Y - w B + omega <= 0, each in its own size.
        profit = np.zeros((len(peers), width))
        profit[:, 1 : 1 + m] = -x[:, peers].T
        profit[:, 1 + m : 1 + m + goods] = y[:, peers].T
        profit[:, 1 + m + goods : -1] = -b[:, peers].T
        profit[:, -1] = 1.0
        profit /= np.abs(profit).max(axis=1, keepdims=True)
        # xi/p <= value of an output (stage 1), >= it (stage 2).
        output = np.zeros((p, width))
        output[:, 0] = 1 / p
        output[:, 1 + m : -1] = -np.eye(p)
        if super_stage:
            output = -output
        # Least value of an input, or the most.
        limits = (0.0, 1 / m) if super_stage else (1 / m, None)
        bounds: list[tuple[float | None, float | None]] = [(None, None)]
        bounds += [limits] * m
        bounds += [(0.0 if super_stage else None, None)] * p
        bounds += [(None, None) if self.variable else (0.0, 0.0)]
        # HiGHS sometimes ends without a status at its tightest tolerances.
        for options in ATTEMPTS:
            found = linprog(
                np.concatenate([[-1.0], np.zeros(width - 1)]),
                np.concatenate([[itself], profit, output]),
                np.concatenate([[1.0], np.zeros(len(peers) + p)]),
                bounds=bounds,
                method="highs",
                options=options,
            )
            if found.status == 0 or (found.status == UNBOUNDED and super_stage):
                break
        else:
            raise ArithmeticError(f"unit {o}: {found.message}")
        # An unbounded dual is an infeasible primal.
        return -float(found.fun) if found.status == 0 else float("nan")


def by_multipliers(frame: pd.DataFrame, returns: str, frontier: str) -> Floats:
    """(rows,) scores of all units."""
    score = np.full(len(frame), np.nan)
    groups = (
        [frame.index]
        if frontier == "pooled"
        else list(frame.groupby("year").groups.values())
    )
    for rows in groups:
        part = frame.loc[rows]
        x, y, b = (
            (part[c] / part[c].mean()).to_numpy().T for c in (INPUTS, GOODS, BADS)
        )
        technology = Multipliers(x, y, b, returns == "variable")
        score[rows] = [technology.score(o) for o in range(len(part))]
    return score


def compared(n: int, years: int) -> Iterator[dict[str, Any]]:
    """One line for each frontier and returns."""
    frame = cities(n, years)
    for frontier, returns in (
        ("pooled", "constant"),
        ("yearly", "constant"),
        ("yearly", "variable"),
    ):
        step = Sbm(
            inputs=INPUTS,
            outputs=GOODS,
            bad_outputs=BADS,
            returns=returns,
            frontier=frontier,
            super_efficiency=True,
        )
        started = time.process_time()
        out = step.apply(Panel(frame, "city", "year"), "s", frozenset())
        ours = out.panel.frame["s"].to_numpy()
        middle = time.process_time()
        theirs = by_multipliers(frame, returns, frontier)
        seconds = (middle - started, time.process_time() - middle)
        status = out.frames["scores"]["status"]
        yield {
            "frontier": frontier,
            "returns": returns,
            "units": len(frame),
            "above_1": int((ours > 1).sum()),
            "infeasible": int((status == "infeasible").sum()),
            "missing_in_one": int((np.isnan(ours) != np.isnan(theirs)).sum()),
            "largest_difference": float(np.nanmax(np.abs(ours - theirs))),
            "seconds_step": round(seconds[0], 2),
            "seconds_scipy": round(seconds[1], 2),
        }


if __name__ == "__main__":
    pd.DataFrame(compared(int(sys.argv[1]), int(sys.argv[2]))).to_csv(
        Path(sys.argv[3]), index=False
    )
