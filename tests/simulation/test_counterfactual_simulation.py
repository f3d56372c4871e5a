"""Factors that two-way effects miss: bias and coverage, truth known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from estimators.imputation import Imputation
from estimators.interactive_fe import InteractiveFe
from estimators.matrix_completion import MatrixCompletion
from tests.build_cohorts import request_of

DRAWS, N, T = 20, 30, 14


def panel(seed: int) -> pd.DataFrame:
    """Two cohorts among half of the units; loadings on a trending factor differ."""
    rng = np.random.default_rng(seed)
    first = np.where(np.arange(N) < N // 2, 10.0 + np.arange(N) % 2, np.inf)
    loading = 0.7 * rng.normal(size=N) + 0.7 * np.isfinite(first)
    # The factor is the same in every draw, so that the bias of two-way effects is.
    F = np.cumsum(np.tile([0.9, -0.4, 0.6], T)[:T])
    unit, time = np.repeat(np.arange(N), T), np.tile(np.arange(1, T + 1), N)
    event = time - first[unit]
    on = event >= 0
    effect = np.where(on, 0.5 + 0.2 * np.where(on, event, 0.0), 0.0)
    effect = effect + on * 0.3 * rng.normal(size=N)[unit]
    y = rng.normal(size=N)[unit] + 0.1 * time + loading[unit] * F[time - 1] + effect
    return pd.DataFrame(
        {
            "unit": [f"u{u:03d}" for u in unit],
            "time": time,
            "first": first[unit],
            "d": on.astype(float),
            "effect": effect,
            "y": y + 0.5 * rng.normal(size=N * T),
        }
    )


def simulated(plugin, draws: int = DRAWS) -> tuple[np.ndarray, np.ndarray]:
    """Errors of the estimate, and whether the interval holds the truth."""
    gaps, covered = [], []
    for seed in range(draws):
        data = panel(seed)
        # The mean effect in the population of units: heterogeneity is sampled, too.
        event = data.time - data["first"]
        true = (0.5 + 0.2 * event[data.d == 1]).mean()
        row = plugin.estimate(request_of(data)).coefficients.iloc[0]
        gaps.append(row.estimate - true)
        covered.append(row.conf_low <= true <= row.conf_high)
    return np.array(gaps), np.array(covered)


def test_interactive_effects_are_unbiased_and_cover() -> None:
    gaps, covered = simulated(InteractiveFe(factors=1, pretrends=1))
    # four Monte Carlo standard errors: a false alarm in 16,000
    assert abs(gaps.mean()) < 4 * gaps.std(ddof=1) / np.sqrt(DRAWS)
    # 95 % less four binomial standard deviations at 20 draws
    assert covered.mean() >= 0.75


def test_two_way_effects_are_biased_and_completion_less_so() -> None:
    two_way, missed = simulated(Imputation(pretrends=0))
    few = 6
    completed, _ = simulated(MatrixCompletion(penalty=0.1, pretrends=1), few)
    # Loadings of the treated are 0.7 larger, and the factor grows by more than two.
    assert two_way.mean() > 1.0
    assert missed.mean() < 0.5
    # A penalty leaves a part of every factor: about two fifths of the bias here.
    assert (np.abs(completed) < np.abs(two_way[:few])).all()
    assert abs(completed.mean()) < 0.7 * two_way.mean()
