"""Known truth: no bias beyond Monte Carlo error, coverage with strong and weak
instruments."""

from __future__ import annotations

import numpy as np

from tests.build_instruments import EFFECT, estimate_iv, instruments_panel

DRAWS = 60


def simple(seed: int, strength: float) -> dict[str, float]:
    data = instruments_panel(seed, strength=strength)
    # one treatment: the other's part is taken off the outcome
    data["y"] += 0.5 * data["e"]
    result = estimate_iv(data)
    row = result.coefficients.iloc[0]
    pieces = result.frames["anderson_rubin"].to_numpy()
    return {
        "estimate": row.estimate,
        "ols": result.scalars["ols_estimate"],
        "covered": row.conf_low <= EFFECT <= row.conf_high,
        "robust": any(low <= EFFECT <= high for low, high in pieces),
        "length": row.conf_high - row.conf_low,
        "weak": any("V01" in note for note in result.notes),
    }


def test_bias_and_coverage_with_a_strong_instrument():
    found = [simple(seed, 1.0) for seed in range(DRAWS)]
    estimates = np.array([f["estimate"] for f in found])
    error = estimates.std(ddof=1) / np.sqrt(DRAWS)
    # four Monte Carlo standard errors: a false alarm in 16,000
    assert abs(estimates.mean() - EFFECT) < 4 * error
    assert np.mean([f["ols"] for f in found]) > EFFECT + 0.1
    # 95 % less or more four binomial standard deviations at 60 draws
    assert 0.83 <= np.mean([f["covered"] for f in found]) <= 1.0
    assert 0.83 <= np.mean([f["robust"] for f in found]) <= 1.0
    assert not any(f["weak"] for f in found)


def test_the_robust_set_covers_with_an_irrelevant_instrument():
    found = [simple(1000 + seed, 0.0) for seed in range(DRAWS)]
    # as above; the usual interval would be judged by an F that is flagged
    assert 0.83 <= np.mean([f["robust"] for f in found]) <= 1.0
    # F(1, 39) exceeds 10 once in 300 draws
    assert np.mean([f["weak"] for f in found]) >= 0.95


def test_overidentification_rejects_an_instrument_that_is_not_valid():
    rejected = []
    for seed in range(20):
        data = instruments_panel(seed)
        data["y"] += 0.5 * data["z2"]
        result = estimate_iv(data, instruments=["z1", "z2"])
        j = next(t for t in result.tests if t.name == "hansen_j")
        rejected.append(j.p_value is not None and j.p_value < 0.05)
    assert np.mean(rejected) > 0.9
