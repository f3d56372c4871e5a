"""Wrong values are told in the words of a study, whichever plugin they are given to."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from framework.errors import EstimandError, counted, with_article
from framework.spec import choices
from framework.spec.model import read_data, read_model

#: What pydantic calls things.
FOREIGN = re.compile(
    r"\b(valid|dictionary|[Tt]uple|instance|parse|Input|integer|string|None|validation)\b"
)
WRONG = ("foo", 3.7, [], [1, 2, 3, 4], [None], {"a": 1}, None, float("inf"))
BUILT = [
    (kind, name)
    for kind in get_args(choices.ChoiceKind)
    for name in choices.names(kind)
    if choices.options(kind, name)
]


@pytest.mark.parametrize(("kind", "name"), BUILT, ids=lambda v: v)
def test_no_plugin_speaks_of_anything_but_the_study(kind, name):
    for option in choices.options(kind, name):
        for value in WRONG:
            for problem in choices.check(kind, {"name": name, option: value}, "at"):
                said = problem.what.split(", got ")[0].split(", not ")[0]
                assert not FOREIGN.search(said), problem.what


def estimator(**options):
    (problem,) = choices.check("estimator", {"name": "event_study", **options}, "e")
    return problem.path, problem.what


@pytest.mark.parametrize(
    ("window", "path", "said"),
    [
        (5, "e.window", "should be a list [a, b], got 5"),
        ([-5], "e.window", "the list has no item 2"),
        ([-5, 4, 6], "e.window", "should have at most 2 items, not 3"),
        (["a", 4], "e.window.0", "should be a whole number, got 'a'"),
        (True, "e.window", "should be a list [a, b], got true"),
    ],
)
def test_a_list_is_called_one(window, path, said):
    assert estimator(window=window) == (path, said)


def test_what_may_be_one_of_several_names_them_all():
    flat = {"name": "honest_did", "effect": None}
    (problem,) = choices.check("estimator", flat, "e")
    assert problem.what == (
        "should be a whole number, 'average', a list [a, b] or a block {key: value}, "
        "got null"
    )
    # A list is what it may be, so only the faulty item of it is told.
    flat = {"name": "honest_did", "effect": [1, "x"]}
    assert [p.path for p in choices.check("estimator", flat, "e")] == ["e.effect.1"]


def test_a_block_is_called_one():
    _, problems = read_data({"source": {"path": "a"}, "panel": {}, "columns": 1})
    assert [p.what for p in problems] == ["should be a block {key: value}, got 1"]


def test_numbers_keep_their_bounds_and_choices_their_names():
    tree = {"outcome": "y", "estimator": {"name": "ols"}, "confidence": 95}
    _, (problem,) = read_model(tree, {})
    assert problem.what == "should be less than 1, got 95"
    with pytest.raises(EstimandError, match="an estimator is `name`"):
        choices.parse("estimator", 3)


@pytest.mark.parametrize(
    ("count", "given", "said"),
    [
        (1, ("row",), "1 row"),
        (0, ("row",), "0 rows"),
        (2, ("treated unit",), "2 treated units"),
        (1234, ("cell",), "1,234 cells"),
        (1, ("city", "cities"), "1 city"),
        (3, ("city", "cities"), "3 cities"),
        (1, ("unit has", "units have"), "1 unit has"),
        (2, ("unit has", "units have"), "2 units have"),
    ],
)
def test_a_count_and_its_noun_agree(count, given, said):
    assert counted(count, *given) == said


def test_kinds_have_their_article():
    assert [with_article(k) for k in ("step", "estimator")] == [
        "a step",
        "an estimator",
    ]
