"""Bias of distances whose distribution depends on the environment.

Simar and Wilson (2007), Estimation and inference in two-stage, semi-parametric models of
production processes, J. Econometrics 136: steps 2 to 4 of algorithm 2. Steps 5 to 7 are a
truncated regression of the corrected distances with its own bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from estimators._math.envelopment import Floats, Integers
from estimators._math.smoothed_bootstrap import Corrected, summed
from estimators._math.truncated import Fit, draw, fit

#: Distances up to here are 1: a vertex's rounding.
_ONE = 1 + 1e-9


@dataclass(frozen=True, slots=True)
class Explained:
    """Corrected distances, and the truncated regression that drew them."""

    corrected: Corrected
    fit: Fit
    rows: int


def correct_by_environment(
    distance: Floats,
    z: Floats,
    rescore: Callable[[Floats], Floats],
    times: int,
    rng: np.random.Generator,
    order: Integers,
    level: float = 0.05,
) -> Explained | None:
    """Bias-corrected distances; None where the regression has no maximum.

    Args:
        distance: (n,) Shephard's or Farrell's distances from 1 on.
        z: (n, k) environment of full rank, the constant among its columns.
        rescore: (n,) distances drawn from the model -> (n,) distances of the units to
            the frontier of units that are moved to these distances.
        times: draws, L1 of the paper.
        rng: random numbers.
        order: (n,) the rows in an order that is not that of their names: so the
            draws are given to them.
        level: one minus the confidence of the intervals.
    """
    inefficient = distance > _ONE
    if inefficient.sum() <= z.shape[1] + 1:
        return None
    found = fit(distance[inefficient], z[inefficient], 1.0, np.inf)
    if found is None:
        return None
    mean = z @ found.beta
    draws = np.empty((times, len(distance)))
    for b in range(times):
        uniform = np.empty(len(distance))
        uniform[order] = rng.random(len(distance))
        draws[b] = rescore(draw(mean, found.sigma, 1.0, np.inf, uniform))
    corrected = summed(distance, draws, np.nan, level)
    return Explained(corrected, found, int(inefficient.sum()))


__all__ = ["Explained", "correct_by_environment"]
