"""Effects by dose in samples with a known curve: bias, coverage, and whose errors hold."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulation import continuous_did as simulated
from tests.simulation.continuous_did import TRUTH, summary

#: Beside these, `one cell` has plain residuals, whose errors are known to be small.
ROWS = [name for name in TRUTH if name != "one cell"]


@pytest.fixture(scope="module")
def kept():
    return simulated.stored()


@pytest.mark.parametrize("name", ROWS)
def test_no_bias_and_intervals_that_cover(name, kept):
    assert list(kept.index) == list(simulated.SEEDS)
    found = summary(kept, name, TRUTH[name])
    assert abs(found.bias) < 3 * found.monte_carlo
    # a thousand samples with 180 treated clusters: gated at 2.5 points
    assert abs(found.covers - 0.95) <= 0.025
    # the spread over a thousand samples is known to 2.2%
    assert found.error == pytest.approx(found.spread, rel=0.08)


def test_the_band_holds_the_whole_curve(kept):
    # three Monte Carlo errors of a share of .95 below it; 399 draws shorten it a little
    assert (
        kept["band holds"].mean() > 0.95 - 3 * np.sqrt(0.95 * 0.05 / len(kept)) - 0.01
    )


def test_doses_taken_as_known_make_errors_of_the_mean_slope_too_small(kept):
    truth = TRUTH["one cell"]
    ours = summary(kept, "one cell", truth)
    known = summary(kept, "one cell", truth, "one cell se known")
    assert abs(ours.bias) < 3 * ours.monte_carlo
    assert known.error < ours.error < ours.spread
    assert known.covers < ours.covers


def test_errors_of_the_mean_slope_in_contdids_design():
    kept = simulated.stored(simulated.NULL_FILE)
    assert list(kept.index) == list(simulated.NULL_SEEDS)
    found = summary(kept, "acrt", 0.0)
    # the spread over 200 samples is known to 5%
    assert found.error == pytest.approx(found.spread, rel=0.15)
    # what its README prints as the standard error of ACRT^o
    assert found.spread > 2 * 0.0485


@pytest.mark.parametrize("seed", [1000, 1409, 1999])
def test_stored_numbers_are_what_the_code_gives(seed, kept):
    found = simulated.estimate(seed)
    assert list(found) == list(kept.columns)
    # five digits are stored
    assert list(found.values()) == pytest.approx(kept.loc[seed].tolist(), rel=1e-4)


def test_the_null_design_gives_what_is_stored():
    kept = simulated.stored(simulated.NULL_FILE)
    found = simulated.null(1007)
    assert list(found.values()) == pytest.approx(kept.loc[1007].tolist(), rel=1e-4)
