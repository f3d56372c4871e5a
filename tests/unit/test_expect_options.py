"""What may be written in `expect`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from framework.contract import Plugin
from framework.expect.judging import _JUDGES
from framework.spec import choices
from framework.spec.expectations import (
    EXPECTATIONS,
    FAMILIES,
    Expectation,
    flatten,
    read,
)


def test_every_expectation_has_a_judge_a_sentence_and_is_a_plugin():
    assert set(EXPECTATIONS) == set(_JUDGES)
    for options in EXPECTATIONS.values():
        assert issubclass(options, Plugin)
        assert options.__doc__
        assert options.__doc__.strip().splitlines()[0].endswith(".")
        assert options.main is None or options.main in options.model_fields


@pytest.mark.parametrize(
    ("written", "flat"),
    [
        ("positive", {"name": "positive"}),
        ({"equivalent": 0.03}, {"name": "equivalent", "bound": 0.03}),
        ({"equivalent": {"bound": 0.03}}, {"name": "equivalent", "bound": 0.03}),
        ({"same_sign": "main.plain"}, {"name": "same_sign", "against": "main.plain"}),
        (
            {"share": {"of": "same_sign", "at_least": 0.9}},
            {"name": "share", "of": {"name": "same_sign"}, "at_least": 0.9},
        ),
        (
            {"any": ["positive", {"significant": 0.1}]},
            {
                "name": "any",
                "of": [{"name": "positive"}, {"name": "significant", "level": 0.1}],
            },
        ),
        (
            {"not": {"any": "negative"}},
            {"name": "not", "of": {"name": "any", "of": [{"name": "negative"}]}},
        ),
    ],
)
def test_choices_are_stored_flat_and_flat_ones_stay(written, flat):
    assert flatten(written) == flat
    assert flatten(flat) == flat


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("postive", "did you mean 'positive'"),
        ({"positive": 3}, "no main option"),
        ({"equivalent": {"bond": 1}}, "equivalent.bond"),
        ({"equivalent": {"bound": -1}}, "greater than 0"),
        ({"equivalent": {"bound": float("inf")}}, "finite"),
        ({"share": {"of": "same_sgn", "at_least": 1}}, "did you mean 'same_sign'"),
        ({"not": {"equivalent": {"bond": 1}}}, "equivalent.bond"),
        ({"equal": {"bound": 1, "tolerance": 1}}, "not both"),
        ({"any": []}, "at least 1"),
        (["positive", "negative"], "several make a list"),
        ({"positive": {"against": "a.b"}}, "against would do nothing"),
        ({"within": {"number": 1, "tolerance": 1, "level": 0.1}}, "level would do"),
        ({"extreme": {"term": "x"}}, "term would do nothing"),
        ({"not": {"of": "positive", "term": "x"}}, "write it inside `of`"),
        ({"significant": 0.6}, "less than 0.5"),
    ],
)
def test_what_is_wrong_is_said(written, words):
    with pytest.raises(ValueError, match=words):
        flatten(written)


def test_options_are_frozen_and_read_back():
    name, options = read({"name": "equivalent", "bound": 0.03, "event_time": -1})
    assert (name, options.level) == ("equivalent", 0.05)
    assert options.index() == {"event_time": -1}
    with pytest.raises(ValidationError):
        options.level = 0.1  # type: ignore[misc]  # that is the point


PAGE = (Path(__file__).parents[2] / "docs" / "expectations.md").read_text("utf-8")


def test_the_page_has_every_expectation_with_its_main_option():
    rows = re.findall(r"^\| `(\w+)` \| (?:`(\w+)`)? ?\| ", PAGE, re.MULTILINE)
    written = {name: main or None for name, main in rows}
    known = EXPECTATIONS | FAMILIES
    assert set(known) <= set(written)
    assert {n: written[n] for n in known} == {n: o.main for n, o in known.items()}
    for option in Expectation.model_fields:
        assert f"`{option}`" in PAGE


def test_expectations_in_the_page_s_study_are_valid():
    block, *_ = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    lines = [
        line for heading in yaml.safe_load(block)["checks"].values()
        for line in heading.values()
    ]  # fmt: skip
    written = [w for line in lines for w in _listed(line["expect"])]
    assert len(written) == 8
    for one in written:
        assert flatten(one)["name"] in EXPECTATIONS
        # What the study's own reader makes of it is read the same way.
        assert choices.check("expectation", choices.parse("expectation", one), "") == []


def _listed(written):
    return written if isinstance(written, list) else [written]


def test_a_nested_choice_as_the_study_s_reader_stores_it():
    stored = choices.parse("expectation", {"not": {"equivalent": 0.03}})
    assert choices.check("expectation", stored, "expect") == []
    _, options = read(stored)
    assert options.of == {"name": "equivalent", "bound": 0.03}
    wrong = choices.parse("expectation", {"not": {"equivalent": {"bond": 1}}})
    (problem,) = choices.check("expectation", wrong, "expect")
    assert "equivalent.bond" in problem.what
