"""What a line that finds spillovers says beside the verdicts of other lines."""

from __future__ import annotations

import pytest

from framework.expect import flags
from framework.expect.interference import NO_INTERFERENCE
from framework.glossary import TESTS
from framework.result import Test
from tests.build_judged import estimation, row


def asked(p, address="spill.report.near", **more):
    numbers = (
        {"reason": "0.1% of the variance is left"} if p is None else {"p_value": p}
    )
    test = Test(NO_INTERFERENCE, "nothing", **numbers)
    donut = {**row(0.5, 0.1), "equation": "donut"}
    return estimation(address, row(0.7, 0.1), donut, tests=(test,), **more)


DID = estimation("baseline.both", row(1.0, 0.1), expect="positive")
OWN = {"baseline.both", "spill.report.near", "other.line"}


def test_a_spillover_is_said_beside_the_number_it_speaks_against():
    found = flags([DID, asked(0.003)], OWN)
    # Not beside the line that holds the neighbours' treatment itself.
    assert list(found) == ["baseline.both"]
    said = found["baseline.both"]
    assert "spillovers are found (spill.report.near: p = 0.0030)" in said
    assert "(donut) it is 0.5 (standard error 0.1)" in said
    assert NO_INTERFERENCE in TESTS


@pytest.mark.parametrize("p", [0.3, 0.0501, None])
def test_what_is_not_found_or_cannot_be_tested_flags_nothing(p):
    assert flags([DID, asked(p)], OWN) == {}


def test_the_study_says_at_which_level():
    assert flags([DID, asked(0.07)], OWN) == {}
    assert flags([DID, asked(0.07, confidence=0.9)], OWN)
    assert flags([DID, asked(0.03, confidence=0.99)], OWN) == {}


def test_several_lines_count_and_the_clearest_is_named():
    lines = [asked(p, f"spill.w{i}") for i, p in enumerate([0.2, 0.01, 1e-9])]
    said = flags([DID, *lines], OWN)["baseline.both"]
    assert "(spill.w2: p < 0.0001, 2 of 3 columns that test it)" in said


@pytest.mark.parametrize(
    "labels",
    [
        {"outcome": "z", "treatment": ["ai"]},
        {"outcome": "y", "treatment": ["other"]},
        {"outcome": "y", "treatment": ["ai", "other"]},
    ],
)
def test_another_outcome_or_treatment_is_another_question(labels):
    other = estimation("other.line", row(1.0, 0.1), labels=labels)
    assert list(flags([DID, other, asked(0.01)], OWN)) == ["baseline.both"]


def test_a_line_that_is_not_about_own_treatment_alone_is_left_alone():
    assert flags([DID, asked(0.01)], {"other.line"}) == {}
    failed = estimation("other.line", row(1.0, 0.1))
    failed = type(failed)("other.line", None, problem="refused")
    assert "other.line" not in flags([DID, failed, asked(0.01)], OWN)


def test_without_a_donut_none_is_named():
    test = Test(NO_INTERFERENCE, "nothing", 9.0, "1", 0.01)
    line = estimation("spill.line", row(0.7, 0.1), tests=(test,))
    said = flags([DID, line], OWN)["baseline.both"]
    assert "donut" not in said
    assert said.endswith("the effect on the treated alone")
