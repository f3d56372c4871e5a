"""Whether two trees ask for the same estimation, however they are written."""

from __future__ import annotations

import pytest

from framework.specification import specification

SAME = [
    ({"controls": []}, {}),
    ({"controls": ["a", "b"]}, {"controls": ["b", "a"]}),
    ({"controls": [{"log": "a"}, "b"]}, {"controls": ["b", {"log": "a"}]}),
    ({"fixed_effects": ["i", "t"]}, {"fixed_effects": ["t", "i"]}),
    ({"confidence": 1}, {"confidence": 1.0}),
    ({"weights": None}, {}),
    (
        {"inference": {"name": "cluster", "by": "i"}},
        {"inference": {"by": ["i"], "name": "cluster"}},
    ),
    (
        {"inference": {"name": "cluster", "by": ["i", "t"]}},
        {"inference": {"name": "cluster", "by": ["t", "i"]}},
    ),
    (
        {"sample": {"late": {"name": "where", "where": "year>=2005"}}},
        {"sample": {"late": {"name": "where", "where": "year >= 2005.0"}}},
    ),
    ({"estimator": {"name": "twfe"}}, {"estimator": {"name": "twfe", "leads": []}}),
]
UNLIKE = [
    ({"controls": ["a"]}, {"controls": ["a", "b"]}),
    ({"confidence": 1}, {"confidence": True}),
    ({"controls": ["1"]}, {"controls": [1]}),
    ({"treatment": ["a", "b"]}, {"treatment": ["b", "a"]}),  # the first is judged
    (
        {"inference": {"name": "cluster", "by": ["i", "t"]}},  # two ways
        {"inference": {"name": "cluster", "by": [["i", "t"]]}},  # their cells
    ),
    (
        {"sample": {"a": {"name": "balanced"}, "b": {"name": "complete"}}},
        {"sample": {"b": {"name": "complete"}, "a": {"name": "balanced"}}},
    ),
    ({"estimator": {"name": "twfe"}}, {"estimator": {"name": "twfe", "leads": [1]}}),
    ({"estimator": {"name": "no_such"}}, {"estimator": {"name": "no_such", "a": 1}}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_is_written_differently_and_means_the_same(one, other):
    assert specification({}, one) == specification({}, other)
    assert hash(specification({}, one)) == hash(specification({}, other))


@pytest.mark.parametrize(("one", "other"), UNLIKE)
def test_what_differs(one, other):
    assert specification({}, one) != specification({}, other)


def test_data_and_draws_belong_to_it():
    steps = {"steps": {"a": {"name": "log"}, "b": {"name": "lag"}}}
    other = {"steps": dict(reversed(steps["steps"].items()))}
    assert specification(steps, {}) != specification(other, {})
    assert specification({}, {}) != specification({}, {}, {"permute": "treatment"})
