"""Matched difference-in-differences where the truth is known.

Units with a larger x adopt more often and grow faster, so that trends are parallel
only between units with the same x. Adoption raises the outcome by 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build_matched import build_candidates, choose

REPLICATIONS, UNITS, EFFECT = 40, 300, 1.0
METHODS: dict[str, dict[str, Any]] = {
    "kernel": {"method": "kernel", "bandwidth": 0.03},
    "radius": {"method": "radius", "caliper": 0.02},
    "neighbour": {"method": "nearest"},
    "mahalanobis": {"distance": "mahalanobis", "caliper": 0.2},
    "pairs": {"replacement": False, "caliper": 0.02},
}


@pytest.fixture(scope="module")
def estimates() -> dict[str, Any]:
    found: dict[str, list[float]] = {name: [] for name in (*METHODS, "unmatched")}
    for seed in range(REPLICATIONS):
        rng = np.random.default_rng([7, seed])
        X = rng.normal(size=(UNITS, 2))
        d = X[:, 0] - 0.5 * X[:, 1] + rng.logistic(size=UNITS) > 1.2
        growth = 0.8 * X[:, 0] + rng.normal(size=UNITS)
        change = growth + EFFECT * d
        found["unmatched"].append(float(change[d].mean() - change[~d].mean()))
        given = build_candidates(d, X)
        for name, options in METHODS.items():
            chosen = choose(given, **options)
            w = chosen.rows.astype(float)
            w = w if chosen.weights is None else chosen.weights
            treated = np.average(change[d], weights=w[d])
            found[name].append(float(treated - np.average(change[~d], weights=w[~d])))
    return {name: np.array(values) for name, values in found.items()}


def test_the_unmatched_difference_is_biased(estimates):
    assert estimates["unmatched"].mean() - EFFECT > 0.5


@pytest.mark.parametrize("name", METHODS)
def test_matching_finds_the_effect(estimates, name):
    values = estimates[name]
    error = values.std(ddof=1) / np.sqrt(len(values))
    # A caliper leaves differences within it: 0.8 times about a tenth of a standard
    # deviation of x at the worst (Mahalanobis), less for a score of two hundredths.
    left = 0.08 if name == "mahalanobis" else 0.03
    assert abs(values.mean() - EFFECT) < 3 * error + left
    assert error < 0.05  # so that the bias of the unmatched one would be seen
