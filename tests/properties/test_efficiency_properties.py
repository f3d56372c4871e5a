"""What must not change a slacks-based score, and what bounds it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimators._math.efficiency import Measure, Quantities, Scores, slacks_based
from estimators.steps._programs import solve

MEASURES = st.builds(
    Measure,
    st.sampled_from(["non", "input", "output"]),
    st.sampled_from(["constant", "variable"]),
    st.sampled_from(["denominator", "numerator"]),
    st.just(True),
)
SEEDS = st.integers(0, 10_000)
few = settings(max_examples=12, deadline=None)


def units(seed: int, n: int = 12) -> Quantities:
    rng = np.random.default_rng(seed)
    size = np.exp(rng.normal(0, 1, n))
    inputs, goods, bads = (size * np.exp(rng.normal(0, 0.5, (k, n))) for k in (2, 2, 1))
    return Quantities(inputs, goods, bads)


def scores(q: Quantities, measure: Measure) -> Scores:
    return slacks_based(q, q, np.arange(q.inputs.shape[1]), measure, solve)


def equal(a: Any, b: Any) -> None:
    # Two exact vertices of the same program differ by rounding.
    np.testing.assert_allclose(a, b, rtol=1e-9, equal_nan=True)


@few
@given(SEEDS, MEASURES, st.lists(st.floats(-9, 9), min_size=5, max_size=5))
def test_units_of_measure(seed: int, measure: Measure, powers: list[float]) -> None:
    q = units(seed)
    by = 10.0 ** np.array(powers)[:, None]
    other = Quantities(q.inputs * by[:2], q.goods * by[2:4], q.bads * by[4:])
    a, b = scores(q, measure), scores(other, measure)
    equal(a.score, b.score)
    assert a.status == b.status


@few
@given(SEEDS, MEASURES, st.permutations(range(12)))
def test_order_of_units(seed: int, measure: Measure, order: list[int]) -> None:
    q = units(seed)
    a, b = scores(q, measure), scores(q.take(np.array(order)), measure)
    equal(a.score[order], b.score)


@few
@given(SEEDS, MEASURES)
def test_replication_of_units(seed: int, measure: Measure) -> None:
    """A second copy of everybody leaves the first stage and ends all leads."""
    q = units(seed)
    a = scores(q, measure)
    b = scores(q.take(np.tile(np.arange(12), 2)), measure)
    equal(np.tile(a.first, 2), b.first)
    equal(np.tile(np.minimum(a.first, 1), 2), b.score)


@few
@given(SEEDS, MEASURES, st.floats(1, 100))
def test_scale_of_units_under_constant_returns(
    seed: int, measure: Measure, by: float
) -> None:
    if measure.returns == "variable":
        return
    q = units(seed)
    rng = np.random.default_rng(seed)
    each = np.exp(rng.normal(0, np.log(by) / 3, 12))
    other = Quantities(q.inputs * each, q.goods * each, q.bads * each)
    equal(scores(q, measure).score, scores(other, measure).score)


@few
@given(SEEDS, MEASURES)
def test_who_may_be_above_1(seed: int, measure: Measure) -> None:
    found = scores(units(seed), measure)
    ahead = found.score > 1
    assert (found.first[ahead] == 1).all()
    low = found.first < 1
    equal(found.score[low], found.first[low])
    assert (found.first[low] > 0).all()
    outputs_count = measure.bads == "denominator" and measure.orientation != "input"
    if outputs_count and measure.returns == "constant":
        # 2 goods and 1 bad output: (2 + 1) / 1.
        assert np.nanmax(found.score) <= 3 * (1 + 1e-9)


@few
@given(SEEDS, MEASURES)
def test_an_inefficient_unit_never_leads(seed: int, measure: Measure) -> None:
    """Its second stage is 1: it may stay as it is, its peers reach it."""
    from estimators._math.efficiency import Scale, second_stage, slack_weights

    q = units(seed)
    found = scores(q, measure)
    low = np.flatnonzero(found.first < 1 - 1e-6)
    if not len(low):
        return
    scale, weights = Scale(q, q, measure.returns), slack_weights(q, measure)
    delta = solve(second_stage(scale.take(low), weights.take(low), low))
    equal(delta.objective, np.ones(len(low)))


@few
@given(SEEDS, MEASURES)
def test_more_units_never_help(seed: int, measure: Measure) -> None:
    few_units = scores(units(seed).take(np.arange(8)), measure)
    more = scores(units(seed), measure)
    now, before = more.first[:8], few_units.first
    assert (now <= before * (1 + 1e-9)).all()


def test_sizes_of_cities_a_million_times_apart() -> None:
    """Nothing of an absolute tolerance is left in the score of a small unit."""
    q = units(5)
    by = 10.0 ** np.linspace(-6, 6, 12)
    other = Quantities(q.inputs * by, q.goods * by, q.bads * by)
    a = scores(q, Measure(super_efficiency=True))
    b = scores(other, Measure(super_efficiency=True))
    assert a.score == pytest.approx(b.score, rel=1e-12)


def test_wild_data_are_solved_and_proven() -> None:
    """Sizes and mixes of units up to 1e9 apart: some need their own scale."""
    rng = np.random.default_rng(0)
    size = np.exp(rng.normal(0, 5, 300))
    inputs, goods, bads = (size * np.exp(rng.normal(0, 3, (k, 300))) for k in (4, 3, 3))
    for returns in ("constant", "variable"):
        measure = Measure(returns=returns, bads="numerator", super_efficiency=True)  # type: ignore[arg-type]  # parametrised
        found = scores(Quantities(inputs, goods, bads), measure)
        assert "not proven" not in found.status
        assert np.nanmax(found.gap) <= 1e-9
