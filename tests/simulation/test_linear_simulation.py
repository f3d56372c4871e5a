"""Known truth: no bias beyond Monte Carlo error, coverage in a wide stated band."""

from __future__ import annotations

import numpy as np
import pytest

from estimators.event_study import EventStudy
from estimators.twfe import Twfe
from tests.build_panel import staggered
from tests.build_request import build_request

DRAWS = 120
TRUTH = 1.0


@pytest.mark.parametrize("plugin", [Twfe(), EventStudy()], ids=["twfe", "event_study"])
def test_bias_and_coverage(plugin):
    estimates, covered = [], []
    for seed in range(DRAWS):
        data = staggered(seed, units=60, periods=6, effect=TRUTH)
        request = build_request(
            data,
            outcome="y",
            treatment="d",
            kind="absorbing",
            cohort="first",
            controls=["x1"],
            fixed_effects=["unit", "time"],
            inference="cluster",
            clusters=["unit"],
            unit="unit",
            time="time",
            estimand=("att",),
        )
        row = plugin.estimate(request).coefficients.iloc[0]
        assert row.estimand == "att"
        estimates.append(row.estimate)
        covered.append(row.conf_low <= TRUTH <= row.conf_high)
    error = np.std(estimates, ddof=1) / np.sqrt(DRAWS)
    # four Monte Carlo standard errors: a false alarm in 16,000
    assert abs(np.mean(estimates) - TRUTH) < 4 * error
    # 95 % less or more four binomial standard deviations at 120 draws
    assert 0.87 <= np.mean(covered) <= 1.0


def test_undercoverage_with_few_treated_is_why_they_are_refused():
    covered = []
    for seed in range(80):
        data = staggered(seed, units=60, periods=6, effect=TRUTH, never=0.7)
        few = data[(data["first"] == np.inf) | (data["unit"] < "u001")]
        request = build_request(
            few,
            outcome="y",
            treatment="d",
            kind="absorbing",
            cohort="first",
            fixed_effects=["unit", "time"],
            inference="cluster",
            clusters=["unit"],
            unit="unit",
            time="time",
            acknowledge=frozenset({"few_treated"}),
        )
        row = Twfe().estimate(request).coefficients.iloc[0]
        covered.append(row.conf_low <= TRUTH <= row.conf_high)
    assert np.mean(covered) < 0.6
