"""Super-efficiency SBM of a panel of cities: our seconds against the plain programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import pulp
from scipy.optimize import linprog
from threadpoolctl import threadpool_limits

from bench.figures import Figure
from bench.growth import exponent, measured
from estimators._math.efficiency import (
    EFFICIENT,
    Measure,
    Quantities,
    Scale,
    first_stage,
    second_stage,
    slack_weights,
    slacks_based,
)
from estimators._math.envelopment import Programs
from estimators.steps._programs import solve, written

CITIES, YEARS = 286, 9
#: Programs of each stage that the slow ways solve; the rest is their mean.
_SAMPLED = 6
#: Scored against the others where efficient, as in the paper.
MEASURE = Measure(super_efficiency=True)


def measure() -> list[Figure]:
    """Pooled and yearly frontier, growth with the number of units, memory."""
    with threadpool_limits(1):  # as workers are pinned
        return _figures()


def _figures() -> list[Figure]:
    q = cities(CITIES * YEARS, seed=1)
    slacks_based(q.take(np.arange(20)), q, np.arange(20), MEASURE, solve)  # imports
    every = [np.arange(CITIES * YEARS)]
    yearly = [np.arange(y, CITIES * YEARS, YEARS) for y in range(YEARS)]
    figures: list[Figure] = []
    for name, technologies, bound in (
        ("pooled", every, 1 / 50),
        ("yearly", yearly, 1 / 12),
    ):
        ours = _cpu(lambda t=technologies: [scored(q.take(rows)) for rows in t])
        figures.append(Figure(f"SBM of 2,574 rows, {name} frontier", ours, "s CPU", 1))
        for way, alone in (("scipy", by_scipy), ("plain pulp", _by_pulp)):
            slow = sum(extrapolated(q.take(rows), alone) for rows in technologies)
            told = f"{slow / ours:.0f} times faster: {ours:.2f} s / {slow:.0f} s "
            told += "(from a sample)"
            limit = bound if way == "scipy" else None
            figures.append(
                Figure(f"same, {name}: ours over {way}", ours / slow, "x", limit, told)
            )
    costs = measured()  # each size in a process of its own
    figures += [Figure(f"SBM of {c.rows:,} rows", c.ours, "s CPU") for c in costs]
    figures.append(Figure("growth: power of the rows", exponent(costs), ""))
    (paper,) = [c for c in costs if c.rows == CITIES * YEARS]
    figures.append(Figure("peak memory of 2,574 rows", paper.peak, "MB", 300))
    figures.append(Figure("peak memory of 20,000 rows", costs[-1].peak, "MB", 300))
    return figures


def cities(n: int, seed: int) -> Quantities:
    """4 inputs, 3 good and 3 bad outputs that grow with a city's size."""
    rng = np.random.default_rng(seed)
    size = np.exp(rng.normal(0, 1, n))
    inputs = size * np.exp(rng.normal(0, 0.3, (4, n)))
    late = rng.exponential(0.3, n)
    goods = size * np.exp(rng.normal(0, 0.3, (3, n)) - late)
    return Quantities(inputs, goods, size * np.exp(rng.normal(0, 0.4, (3, n))))


def scored(q: Quantities) -> np.ndarray:
    """Scores of all against all: our way."""
    own = np.arange(q.inputs.shape[1])
    return slacks_based(q, q, own, MEASURE, solve).first


def _cpu(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def extrapolated(
    q: Quantities, alone: Callable[[Programs, Sequence[int]], object]
) -> float:
    """Seconds of one program after the other, from a few of each stage."""
    n = q.inputs.shape[1]
    own = np.arange(n)
    best = int((scored(q) > 1 - EFFICIENT).sum())
    scale, weights = Scale(q, q, "constant"), slack_weights(q, MEASURE)
    total = 0.0
    for stage, programs in ((first_stage, n), (second_stage, best)):
        family = stage(scale, weights, own)
        some = range(0, n, n // _SAMPLED)
        total += _cpu(lambda f=family, s=some: alone(f, s)) / len(some) * programs
    return total


def by_scipy(family: Programs, some: Sequence[int]) -> None:
    """Build and solve each program with scipy's HiGHS."""
    equal = np.array([s == "=" for s in family.sense])
    sign = np.array([-1.0 if s == ">" else 1.0 for s in family.sense])
    for o in some:
        peers = np.zeros((len(family.rhs), family.peers.shape[1]))
        peers[: len(family.peers)] = family.peers
        matrix = np.c_[family.dense_one(o), peers[:, family.allowed(o)]]
        cost = np.r_[family.cost[o], np.zeros(matrix.shape[1] - len(family.cost[o]))]
        low = (matrix * sign[:, None])[~equal]
        linprog(
            cost,
            low if len(low) else None,
            (family.rhs * sign)[~equal] if len(low) else None,
            matrix[equal],
            family.rhs[equal],
            method="highs",
        )


def _by_pulp(family: Programs, some: Sequence[int]) -> None:
    """Build each program with pulp, solve it with pulp's HiGHS."""
    for o in some:
        written(family, o).solve(pulp.HiGHS(msg=False))
