"""Triple differences with known truth: `triple_did.csv`, and some seeds again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation import triple_did

PAGE = Path(__file__).parents[2] / "docs/estimators/triple_did.md"
#: Rows of the page's table, in its order.
SHOWN = (
    "doubly_robust", "two_dids", "gmm", "never", "pooled", "cell_gmm", "cell_never",
)  # fmt: skip


@pytest.fixture(scope="module")
def kept():
    return triple_did.stored()


def test_the_file_is_of_all_seeds_and_these_programs(kept):
    assert kept["seed"].tolist() == list(triple_did.SEEDS)
    for seed in (0, 421, 999):
        again = triple_did.row(seed)
        for name in triple_did.COLUMNS[1:]:
            # six digits are stored; outcomes near 400 lose ten more of the sixteen
            stored = kept[name][seed]
            assert again[name] == pytest.approx(stored, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("method", triple_did.ESTIMATORS)
def test_no_bias_and_coverage_as_announced(kept, method):
    found = triple_did.summary(kept, method)
    assert abs(found.bias) < 3 * found.monte_carlo
    # the gate from 1000 replications and 100 treated clusters on
    assert abs(found.covers - 0.95) <= 0.025
    assert found.error == pytest.approx(found.spread, rel=0.1)


@pytest.mark.parametrize(
    ("shortcut", "right"), [("two_dids", "doubly_robust"), ("pooled", "gmm")]
)
def test_the_shortcuts_are_biased_by_more_than_the_right_one_errs(
    kept, shortcut, right
):
    wrong, good = (triple_did.summary(kept, m) for m in (shortcut, right))
    assert abs(wrong.bias) > 20 * wrong.monte_carlo
    assert abs(wrong.bias) > good.error


def test_several_comparison_cohorts_are_more_precise_than_one(kept):
    several, one = (triple_did.summary(kept, m) for m in ("cell_gmm", "cell_never"))
    assert several.spread < 0.95 * one.spread


def test_comparison_cohorts_disagree_as_seldom_as_they_should(kept):
    for level in (0.05, 0.10):
        share = (kept["gmm_agree"] < level).mean()
        # three standard deviations of a share of 1000
        assert abs(share - level) < 3 * (level * (1 - level) / len(kept)) ** 0.5


def test_the_page_shows_these_numbers(kept):
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith(("| covariates", "| staggered"))]
    for line, method in zip(table, SHOWN, strict=True):
        found = triple_did.summary(kept, method)
        written = (
            f"{triple_did.TRUTH[method]:.2f} | {found.bias:.3f} | {found.spread:.3f}"
        )
        if method in triple_did.ESTIMATORS:
            written += f" | {found.error:.3f} | {found.covers:.3f}"
        assert written in line
