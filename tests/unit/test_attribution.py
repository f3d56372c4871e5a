"""A difference split over its parts: shares sum, and are right where they are known."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.attribution import MOST_PARTS, attribute, mixtures, orders


def numbers(parts, value):
    """Every mixture of the parts with its number."""
    return {
        frozenset(taken): value(frozenset(taken))
        for size in range(len(parts) + 1)
        for taken in itertools.combinations(parts, size)
    }


def test_parts_that_add_up_have_what_they_add():
    worth = {"sample": 2.0, "controls": -0.5, "seed": 0.0}
    found = attribute(
        tuple(worth), numbers(tuple(worth), lambda m: 1 + sum(worth[p] for p in m))
    )
    assert found.total == 1.5
    assert found.orders == found.asked == 6
    for share in found.shares:
        assert share.share == share.low == share.high == worth[share.part]


def test_an_interaction_is_halved_and_the_range_shows_it():
    # f(S) = 1[a and b]: each has 0 when switched first and 1 when switched last.
    found = attribute("ab", numbers("ab", lambda m: float(m == {"a", "b"})))
    assert [(s.share, s.low, s.high) for s in found.shares] == [(0.5, 0.0, 1.0)] * 2


def test_the_glove_game_of_shapley():
    """Two left gloves and one right: 1/6, 1/6, 2/3 (the textbook's values)."""

    def pairs(mixture):
        return float(min(len(mixture & {"l1", "l2"}), len(mixture & {"r"})))

    found = attribute(("l1", "l2", "r"), numbers(("l1", "l2", "r"), pairs))
    assert [s.share for s in found.shares] == pytest.approx([1 / 6, 1 / 6, 2 / 3])


@given(st.lists(st.floats(-1e3, 1e3), min_size=16, max_size=16))
def test_shares_sum_to_the_difference(values):
    held = dict(zip(numbers("abcd", lambda _: 0.0), values, strict=True))
    found = attribute("abcd", held)
    # Sums of at most 24 numbers of size 1e3 in another order.
    assert sum(s.share for s in found.shares) == pytest.approx(found.total, abs=1e-9)
    assert all(
        s.low <= s.share + 1e-9 and s.share <= s.high + 1e-9 for s in found.shares
    )


def test_an_impossible_mixture_leaves_the_orders_around_it():
    held = numbers("ab", lambda m: float(len(m) ** 2))
    del held[frozenset("b")]
    found = attribute("ab", held)
    assert (found.orders, found.asked) == (1, 2)
    assert [s.share for s in found.shares] == [1.0, 3.0]  # a first, then b


@pytest.mark.parametrize("lost", [(), ("a", "b")])
def test_without_an_end_nothing_is_split(lost):
    held = numbers("ab", lambda m: float(len(m)))
    del held[frozenset(lost)]
    assert attribute("ab", held) is None


def test_without_a_way_between_the_ends_nothing_is_split():
    assert attribute("ab", {frozenset(): 0.0, frozenset("ab"): 1.0}) is None


def test_the_same_thing_differs_by_nothing():
    found = attribute((), {frozenset(): 3.0})
    assert (found.total, found.shares) == (0.0, ())


def test_many_parts_are_switched_in_two_orders():
    parts = tuple("abcdefgh"[: MOST_PARTS + 1])
    assert list(orders(parts)) == [parts, parts[::-1]]
    wanted = mixtures(parts)
    assert len(wanted) == 2 * len(parts)  # both ends are on both ways
    found = attribute(parts, {m: float(len(m)) ** 2 for m in wanted})
    assert sum(s.share for s in found.shares) == found.total == len(parts) ** 2


def test_up_to_six_parts_every_mixture_is_asked_for():
    assert len(mixtures("abcdef"[:MOST_PARTS])) == 2**MOST_PARTS
