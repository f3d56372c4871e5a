"""Robust intervals cover the effect when the violation is as large as is allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from estimators._math.honest import Path, excludes_zero, original, smoothness

DRAWS = 400
# Monte Carlo error of a share near .95
ERROR = float(np.sqrt(0.95 * 0.05 / DRAWS))


def steps(path: Path, M: np.ndarray) -> list[bool]:
    return excludes_zero(path, M, 0.05)


def curves(path: Path, M: np.ndarray) -> list[bool]:
    return [i.excludes_zero for i in smoothness(path, M, 0.05)]


SIGMA = 0.01 * (0.5 + 0.5 * np.eye(5))
# event times -3, -2, (-1), 0, 1, 2: the reference left out


@pytest.mark.parametrize(
    ("excludes", "M", "delta"),
    [
        # steps before: -.1 and -.05; each step after 1.0 times the largest
        (steps, 1.0, [0.15, 0.05, 0.1, 0.2, 0.3]),
        (steps, 0.5, [0.15, 0.05, -0.05, -0.1, -0.15]),
        # second differences of .05 throughout, the worst case of the smooth class
        (curves, 0.05, [0.1, 0.025, 0.025, 0.1, 0.225]),
    ],
)
def test_coverage_where_the_restriction_binds(
    excludes: Any, M: float, delta: list[float]
) -> None:
    rng = np.random.default_rng(0)
    tau = np.array([0, 0, 1.0, 1.0, 1.0])
    covered = 0
    for beta in rng.multivariate_normal(tau + delta, SIGMA, DRAWS):
        # without the effect, the interval has to hold zero
        path = Path(beta - tau, SIGMA, 2, np.eye(3)[0])
        covered += not excludes(path, np.array([M]))[0]
    # valid, so never below by more than chance; three Monte Carlo errors
    assert covered / DRAWS > 0.95 - 3 * ERROR


def test_the_ordinary_interval_does_not_cover() -> None:
    """The same violation without the robust interval: what the method is for."""
    rng = np.random.default_rng(0)
    mean = np.array([0.15, 0.05, 1.3, 1.6, 1.9])
    covered = 0
    for beta in rng.multivariate_normal(mean, SIGMA, DRAWS):
        found = original(Path(beta, SIGMA, 2, np.eye(3)[0]), 0.05)
        covered += found.lower <= 1.0 <= found.upper
    assert covered / DRAWS < 0.5
