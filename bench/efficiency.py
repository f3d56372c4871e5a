"""Super-efficiency SBM of a panel of cities: our seconds against the plain programs.

The plain ways solve thousands of programs one after the other; they are timed on a few
of each stage, spread over the panel, and their time is extrapolated to all.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench import peer
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
from estimators.steps._programs import solve

CITIES, YEARS = 286, 9
#: Programs of each stage that the slow ways solve; the rest is their mean.
_SAMPLED = 6
#: Times that ours and theirs are taken in turn.
_TURNS = 3
MEASURE = Measure(super_efficiency=True)
_SENSES = {"=": 0, "<": -1, ">": 1}


@dataclass(frozen=True, slots=True)
class _Sample:
    """A few programs of one stage of one frontier, ready to be handed over.

    Attributes:
        arrays: cost (s, c), matrix (s, R, c), sense (R,), rhs (R,).
        all: how many programs the stage has.
        scores: (s,) our optima of the first stage; None for the second.
    """

    arrays: dict[str, np.ndarray]
    all: int
    scores: np.ndarray | None


def measure() -> list[Figure]:
    """Pooled and yearly frontier, growth with the number of units, memory."""
    q = cities(CITIES * YEARS, seed=1)
    slacks_based(q.take(np.arange(20)), q, np.arange(20), MEASURE, solve)  # imports
    every = [np.arange(CITIES * YEARS)]
    yearly = [np.arange(y, CITIES * YEARS, YEARS) for y in range(YEARS)]
    figures = [
        *_frontier(q, "pooled", every, 1 / 50),
        *_frontier(q, "yearly", yearly, 1 / 12),
    ]
    costs = measured()  # each size in a process of its own
    figures += [Figure(f"SBM of {c.rows:,} rows", c.ours, "s CPU") for c in costs]
    figures.append(Figure("growth: power of the rows", exponent(costs), ""))
    (paper,) = [c for c in costs if c.rows == CITIES * YEARS]
    figures.append(Figure("peak memory of 2,574 rows", paper.peak, "MB", 300))
    figures.append(Figure("peak memory of 20,000 rows", costs[-1].peak, "MB", 300))
    return figures


def _frontier(
    q: Quantities, name: str, technologies: list[np.ndarray], bound: float
) -> list[Figure]:
    """Ours in full, and beside it both plain ways on their sample, in turn."""
    samples = [s for rows in technologies for s in _sampled(q.take(rows))]
    data = {
        f"{key}_{i}": array
        for i, sample in enumerate(samples)
        for key, array in sample.arrays.items()
    }
    ours: list[float] = []
    slow: dict[str, list[float]] = {"scipy": [], "pulp": []}
    with (
        peer.asked("scipy", "programs", data) as scipy,
        peer.asked("pulp", "programs", data) as pulp,
    ):
        scipy.run(family=0)
        pulp.run(family=0)
        for _ in range(_TURNS):
            ours.append(_cpu(lambda: [scored(q.take(rows)) for rows in technologies]))
            for way in (scipy, pulp):
                slow[way.name].append(_extrapolated(way, samples))
    own, wanted = statistics.median(ours), sum(s.all for s in samples)
    done = sum(len(s.arrays["cost"]) for s in samples)
    figures = [Figure(f"SBM of 2,574 rows, {name} frontier", own, "s CPU", 1)]
    for way, seconds in slow.items():
        theirs = statistics.median(seconds)
        figures.append(
            Figure(
                f"same, {name}: ours / {peer.label(way)}",
                own / theirs,
                "x",
                bound if way == "scipy" else None,
                f"{own:.2f} s / {theirs:.0f} s CPU",
                f"{done} of {wanted:,} programs",
            )
        )
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


def _extrapolated(way: peer.Peer, samples: list[_Sample]) -> float:
    """CPU seconds of every program, from those of the sample; its optima are ours."""
    total = 0.0
    for i, sample in enumerate(samples):
        reply = way.run(family=i)
        total += reply.cpu / len(sample.arrays["cost"]) * sample.all
        if sample.scores is None:
            continue
        found = np.array(reply.values["objective"], dtype=float)
        # HiGHS stops at 1e-7 by default; ours goes on to 1e-9
        if not np.allclose(found, sample.scores, rtol=0, atol=1e-6):
            raise RuntimeError(f"{way.name}: {found}, ours {sample.scores}")
    return total


def _sampled(q: Quantities) -> list[_Sample]:
    """A few programs of both stages of one frontier."""
    n = q.inputs.shape[1]
    own = np.arange(n)
    scores = scored(q)
    best = int((scores > 1 - EFFICIENT).sum())
    scale, weights = Scale(q, q, "constant"), slack_weights(q, MEASURE)
    some = np.arange(0, n, n // _SAMPLED)
    found = []
    for stage, programs in ((first_stage, n), (second_stage, best)):
        written = _written(stage(scale, weights, own), some)
        held = scores[some] if stage is first_stage else None
        found.append(_Sample(written, programs, held))
    return found


def _written(family: Programs, some: np.ndarray) -> dict[str, np.ndarray]:
    """The programs as dense matrices, every peer a column."""
    cost, matrix = [], []
    for o in map(int, some):
        peers = np.zeros((len(family.rhs), family.peers.shape[1]))
        peers[: len(family.peers)] = family.peers
        matrix.append(np.c_[family.dense_one(o), peers[:, family.allowed(o)]])
        rest = np.zeros(matrix[-1].shape[1] - len(family.cost[o]))
        cost.append(np.r_[family.cost[o], rest])
    sense = np.array([_SENSES[s] for s in family.sense])
    return {
        "cost": np.array(cost),
        "matrix": np.array(matrix),
        "sense": sense,
        "rhs": family.rhs,
    }
