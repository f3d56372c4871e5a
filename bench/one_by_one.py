"""The slow way to efficiency scores: each program built and solved by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import linprog

from bench.efficiency import MEASURE, scored
from estimators._math.efficiency import (
    EFFICIENT,
    Quantities,
    Scale,
    first_stage,
    second_stage,
    slack_weights,
)
from estimators._math.envelopment import Programs

#: Programs of each stage that are solved; the rest is their mean.
_SAMPLED = 6


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
        start = time.process_time()
        alone(family, some)
        total += (time.process_time() - start) / len(some) * programs
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
