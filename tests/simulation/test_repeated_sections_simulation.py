"""Repeated cross-sections with known truth: `repeated_sections.csv`, and some seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation import repeated_sections as simulated

PAGE = Path(__file__).parents[2] / "docs/estimators/callaway_santanna.md"
#: First cell of the page's table, and the rows of the file, in its order.
SHOWN = {
    "doubly_robust": "doubly_robust",
    "ipw": "ipw",
    "regression": "regression",
    "doubly_robust, event time 2": "after",
    "doubly_robust, event time -2": "before",
    "without the covariate": "plain",
}


@pytest.fixture(scope="module")
def kept():
    return simulated.stored()


def test_the_file_is_of_all_seeds_and_this_program(kept):
    assert kept["seed"].tolist() == list(simulated.SEEDS)
    for seed in (0, 999):
        again = simulated.row(seed)
        for name in simulated.COLUMNS[1:]:
            # six digits are stored
            assert again[name] == pytest.approx(kept[name][seed], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", [r for r in simulated.ROWS if r != "plain"])
def test_no_bias_and_coverage_as_announced(kept, name):
    found = simulated.summary(kept, name)
    assert abs(found.bias) < 3 * found.monte_carlo
    # the gate from 1000 replications and 100 treated clusters on
    assert abs(found.covers - 0.95) <= 0.025
    assert found.error == pytest.approx(found.spread, rel=0.1)


def test_the_trend_of_the_covariate_is_taken_for_an_effect_without_it(kept):
    found = simulated.summary(kept, "plain")
    assert found.bias > 20 * found.monte_carlo
    assert found.covers < 0.8


def test_the_page_shows_these_numbers(kept):
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for first, name in SHOWN.items():
        found = simulated.summary(kept, name)
        written = (
            f"| {first} | {simulated.TRUTH[name]:.3f} | {found.bias:+.4f} "
            f"({found.monte_carlo:.4f}) | {found.spread:.3f} | {found.error:.3f} | "
            f"{found.covers:.3f} |"
        )
        assert written in lines
