"""Synthetic difference-in-differences where the truth is known.

Only point estimates are simulated: a placebo error is 23 estimates or more.
"""

from __future__ import annotations

import numpy as np
import pytest

from estimators._math.synthetic_did import Span, cohort, regularisation

N, T, BEFORE, EFFECT = 24, 12, 8, 1.0


def outcomes(seed: int, treated: int, loading: float) -> np.ndarray:
    """Two-way effects, noise, the effect; trends if the treated load on them more."""
    rng = np.random.default_rng(seed)
    on = np.arange(N) < treated
    Y = rng.normal(size=(N, 1)) + rng.normal(size=T)
    slope = (rng.uniform(0, 1, N) + loading * on) * (loading > 0)
    Y = Y + np.outer(slope, np.linspace(-3, 3, T)) + 0.3 * rng.normal(size=(N, T))
    return Y + EFFECT * (on[:, None] & (np.arange(T) >= BEFORE))


def errors(draws: int, treated: int, loading: float) -> tuple[np.ndarray, np.ndarray]:
    """Errors (draws,) of synthetic and of plain difference-in-differences."""
    span = Span(BEFORE, BEFORE)
    synthetic, plain = np.empty(draws), np.empty(draws)
    for seed in range(draws):
        Y = outcomes(seed, treated, loading)
        controls, own = Y[treated:], Y[:treated].mean(axis=0)
        zeta = regularisation(controls, span, treated)
        synthetic[seed] = cohort(controls, own, span, zeta).tau - EFFECT
        gap = own - controls.mean(axis=0)
        plain[seed] = gap[BEFORE:].mean() - gap[:BEFORE].mean() - EFFECT
    return synthetic, plain


@pytest.mark.parametrize("treated", [1, 5])
def test_it_is_unbiased_where_trends_are_parallel(treated):
    found, _ = errors(300, treated, 0.0)
    # three Monte Carlo errors
    assert abs(found.mean()) < 3 * found.std() / np.sqrt(len(found))


def test_it_removes_most_of_what_biases_differences_in_differences():
    found, plain = errors(100, 5, 0.4)
    assert plain.mean() > 1.0
    # weights follow the trend as far as the regularisation lets them
    assert abs(found.mean()) < 0.5 * plain.mean()
    assert (found**2).mean() < 0.25 * (plain**2).mean()
