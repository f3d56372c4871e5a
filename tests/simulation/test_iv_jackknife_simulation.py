"""Intervals of two-stage least squares where clusters are few and unequal."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

from estimators._math.instruments import two_stage
from estimators._math.left_out_instruments import left_out
from estimators._math.sandwich import sum_by

SIZES = np.repeat([4, 8, 12, 20, 60], [4, 3, 3, 2, 2])
TRUTH = 1.0
TIMES = 1_500


def intervals(rng: np.random.Generator) -> tuple[float, float, float]:
    """Estimate, CV1 and CV3 errors; errors and instrument share a part by cluster."""
    G, n = len(SIZES), int(SIZES.sum())
    codes = np.repeat(np.arange(G), SIZES)
    u = 0.7 * rng.normal(size=G)[codes] + rng.normal(size=n)
    z = rng.normal(size=G)[codes] + rng.normal(size=n)
    d = 4 * z + 0.5 * u + rng.normal(size=n)
    y = TRUTH * d + u
    E = np.ones((n, 1))
    Y, D, Z = (v - v.mean() for v in (y, d, z))
    fitted = two_stage(Y, D[:, None], Z[:, None]).fitted[:, 0]
    beta = float(fitted @ Y) / float(fitted @ D)
    residual = Y - beta * D
    scores = sum_by((fitted * residual)[:, None], codes, G)[:, 0] / (fitted @ fitted)
    one = np.sqrt(G / (G - 1) * (n - 1) / (n - 2) * scores @ scores)
    found = left_out(
        residual, D[:, None], Z[:, None], E, np.empty((n, 0)), codes, G
    ).shift[:, 0]
    return beta, float(one), float(np.sqrt((G - 1) / G * found @ found))


def test_coverage_of_the_jackknife_beside_clustered_errors() -> None:
    rng = np.random.default_rng(20)
    drawn = np.array([intervals(rng) for _ in range(TIMES)])
    reach = stdtrit(len(SIZES) - 1, 0.975)
    off = np.abs(drawn[:, [0]] - TRUTH)
    one, three = (off <= reach * drawn[:, 1:]).mean(axis=0)
    # Monte Carlo error .006
    assert abs(three - 0.95) <= 0.025
    assert one < 0.92
    # three Monte Carlo errors: strong instruments, so no bias to speak of
    error = drawn[:, 0].std() / np.sqrt(TIMES)
    assert abs(drawn[:, 0].mean() - TRUTH) < 3 * error
