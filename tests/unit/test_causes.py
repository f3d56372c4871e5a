"""Causes of failures: each once, wherever the lines that meet it chose what met it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from framework.cache import Failure
from framework.commands.causes import causes
from framework.errors import Phase, Place, Problem


def failed(address: str, line: int, what: str) -> Any:
    place = Place("study.yaml", line, 9)
    found = Problem(Phase.DESIGN, "E05", what, address=address, place=place)
    estimation = SimpleNamespace(address=address)
    return SimpleNamespace(outcome=Failure((found,), ""), estimation=estimation)


def test_one_cause_in_several_places_is_said_at_the_first() -> None:
    columns = [failed("a.cs", 20, "12 units"), failed("a.sa", 24, "12 units")]
    columns.append(failed("a.short", 30, "3 units"))
    found = causes(columns)
    first, other = found
    assert found == {first: ["a.cs", "a.sa"], other: ["a.short"]}
    assert first == columns[0].outcome.problems[0]
    assert other == replace(first, what="3 units", address="a.short", place=other.place)
