"""Printed numbers: what they say, and whether ours are the same."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import pytest

from framework.errors import SpecError
from framework.expect import Judged
from framework.published import agrees, as_printed, compare, faults, parse, stars_of
from framework.result import COEFFICIENT_COLUMNS as COLUMNS
from framework.result import Result, Test
from tests.build_judged import Cell, estimation, row


@pytest.mark.parametrize(
    ("text", "number", "error", "stars"),
    [
        ("0.1140** (0.0556)", "0.1140", "0.0556", 2),
        ("0.0818 (0.0589)", "0.0818", "0.0589", 0),
        ("0.0818 (0.0589)***", "0.0818", "0.0589", 3),
        ("-.0800*(.05)", "-0.0800", "0.05", 1),
        ("\N{MINUS SIGN}0.0010", "-0.0010", None, None),
        ("2,574", "2574", None, None),
        ("1,234,567.80", "1234567.80", None, None),
        ("0.8335", "0.8335", None, None),
        ("1.2e-05", "0.000012", None, None),
        (" 3*** ", "3", None, 3),
        (2574, "2574", None, None),
    ],
)
def test_printed_numbers_are_read_exactly(text, number, error, stars):
    printed = parse(text)
    assert printed.number == Decimal(number)
    assert printed.number.as_tuple().exponent == (
        Decimal(number).as_tuple().exponent
        if "e" not in str(text)
        else Decimal("1.2e-05").as_tuple().exponent
    )
    assert printed.std_error == (None if error is None else Decimal(error))
    assert printed.stars == stars


@pytest.mark.parametrize(
    "text",
    ["", "n.a.", "0,114", "1,23", "0.1 0.2", "(0.05)", "0.1 (", "--1", "nan", "inf",
     0.114, True, None, "0.1 (0,05)"],
)  # fmt: skip
def test_what_no_table_prints_is_refused(text):
    with pytest.raises(SpecError):
        parse(text)


def test_a_bare_float_has_lost_its_zeros():
    with pytest.raises(SpecError, match="trailing zeros"):
        parse(0.114)


@pytest.mark.parametrize(
    ("ours", "printed", "same"),
    [
        (0.11403, "0.1140", True),
        (0.11395, "0.1140", True),  # a tie agrees either way
        (0.11394, "0.1140", False),
        (0.11394, "0.114", True),  # fewer digits claim less
        (0.1136, "0.1140", False),
        (-0.00004, "0.0000", True),
        (2574.0, "2574", True),
        (2574.6, "2574", False),
        (float("nan"), "0", False),
    ],
)
def test_agreement_is_at_the_printed_precision(ours, printed, same):
    assert agrees(ours, Decimal(printed)) is same


def test_ours_is_shown_with_the_digits_the_paper_prints():
    assert as_printed(0.1139999, Decimal("0.1140")) == "0.1140"
    assert as_printed(2574.0, Decimal(2574)) == "2,574"
    assert as_printed(-0.00001, Decimal("0.0000")) == "0.0000"


def test_stars_are_below_their_bounds():
    assert [stars_of(p) for p in (0.1, 0.099, 0.05, 0.049, 0.01, 0.009)] == [
        "", "*", "*", "**", "**", "***",
    ]  # fmt: skip


BASELINE = estimation(
    "baseline.both",
    row(0.06383, 0.02551),  # t = 2.50, p = .0124
    row(0.19, 0.04, term="eco"),
    scalars={"n_obs": 2574.0, "r2": 0.83349},
)


def compared(leaves, *run):
    return compare({"baseline": {"both": leaves}}, run or [BASELINE])


def test_a_table_beside_ours():
    same = compared({"ai": "0.0638** (0.0255)", "n_obs": "2,574", "r2": "0.8335"})
    assert [c.agrees for c in same] == [True, True, True]
    assert [c.address for c in same] == [
        "baseline.both.ai", "baseline.both.n_obs", "baseline.both.r2",
    ]  # fmt: skip
    assert same[0].text == (
        "printed 0.0638** (0.0255), ours 0.0638** (0.0255): the same"
    )
    assert same[0].difference == pytest.approx(0.00003)
    assert same[0].to_dict()["ours"] == {
        "estimate": 0.06383, "std_error": 0.02551, "stars": "**",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        ("0.0639** (0.0255)", "number differs"),
        ("0.0638* (0.0255)", "stars differ"),
        ("0.0638 (0.0255)", "stars differ"),
        ("0.0638** (0.0256)", "standard error differs"),
        ("0.0639*** (0.0256)", "number, stars and standard error differ"),
    ],
)
def test_what_is_off_is_named(printed, words):
    (off,) = compared({"ai": printed})
    assert not off.agrees
    assert off.text.endswith(words)
    assert all(what in words for what in off.differing)
    assert words.count("number") + words.count("stars") + words.count("error") == len(
        off.differing
    )
    assert off.ours.startswith("0.0638**")


def test_a_number_alone_makes_no_claim_about_stars():
    (same,) = compared({"ai": "0.0638"})
    assert same.agrees


def test_what_is_not_there_is_said_with_a_guess():
    (lost,) = compared({"n_ob": "2,574"})
    assert lost.agrees is None
    assert "did you mean 'n_obs'" in lost.text
    (column,) = compare({"baseline": {"bth": {"ai": "1"}}}, [BASELINE])
    assert "did you mean 'baseline.both'" in column.text
    (failed,) = compared({"ai": "1"}, Judged("baseline.both", None, problem="lost"))
    assert "lost" in failed.text
    assert failed.difference is None


def test_values_of_an_each_and_an_index():
    rows = [row(b, 1, term="I", period=k) for k, b in [(2015, 0.027), (2016, 0.038)]]
    run = [estimation("moran.by_year.distance", *rows)]

    def one(name):
        leaf = {"by_year": {"distance": {name: "0.038"}}}
        (found,) = compare({"moran": leaf}, run)
        return found

    assert one("I[2016]").agrees
    assert not one("I[2015]").agrees
    assert "2 rows" in one("I").text
    assert "has no 'I[2020]'" in one("I[2020]").text


def test_faults_are_told_with_their_paths_before_anything_is_run():
    written = {"a": {"b": {"ai": 0.5, "n_obs": "550"}, "c": {"ai": "abc"}}}
    assert [(p.code, p.path) for p in faults(written)] == [
        ("X30", "published.a.b.ai"),
        ("X30", "published.a.c.ai"),
    ]


def test_a_p_value_in_brackets_is_compared_too():
    run = [estimation("moran.all", row(0.027, 0.01, term="I", p=0.0004))]

    def one(text):
        (found,) = compare({"moran": {"all": {"I": text}}}, run)
        return found

    assert one("0.027 [0.000]").agrees
    off = one("0.027 [0.001]")
    assert not off.agrees
    assert off.text.endswith("ours 0.027 [0.000]: p value differs")
    with pytest.raises(SpecError):
        parse("0.027 [0,1]")


def test_a_test_stands_beside_the_printed_statistic():
    found = (
        Test("kleibergen_paap_lm", "no strength", 20.7911, "1", 5e-6),
        Test("hansen_j", "one effect", reason="just identified"),
    )
    iv = estimation("iv.phones", row(0.06, 0.02), tests=found)

    def one(name, text):
        (result,) = compare({"iv": {"phones": {name: text}}}, [iv])
        return result

    assert one("kleibergen_paap_lm", "20.791 [0.0000]").agrees
    assert not one("kleibergen_paap_lm", "20.792").agrees
    assert "p value differs" in one("kleibergen_paap_lm", "20.791 [0.0100]").text
    assert "just identified" in one("hansen_j", "1.0").text
    assert "did you mean 'kleibergen_paap_lm'" in one("kleibergen_papp_lm", "1").text


def test_a_bare_name_is_the_row_without_a_lead_and_an_equation_can_be_named():
    leads = [row(b, 1, order=k) for k, b in [(float("nan"), 0.1), (-1, 0.2)]]
    first = row(0.0899, 0.0016, term="phones") | {"equation": "first_stage"}
    reduced = row(0.0056, 0.0016, term="phones") | {"equation": "reduced_form"}
    run = [estimation("a.leads", *leads), estimation("a.iv", first, reduced)]

    def one(line, name, text):
        (found,) = compare({"a": {line: {name: text}}}, run)
        return found

    assert one("leads", "ai", "0.1").agrees
    assert one("leads", "ai[-1]", "0.2").agrees
    assert one("iv", "first_stage[phones]", "0.0899*** (0.0016)").agrees
    assert "2 rows" in one("iv", "phones", "0.0899").text


def test_of_several_estimands_the_first_is_meant_unless_another_is_asked_for():
    rows = [row(b, 1, estimand=e) for e, b in [("coefficient", 0.1), ("total", 0.3)]]

    def one(text, **asked):
        found = estimation("spatial.sar", *rows, **asked)
        (result,) = compare({"spatial": {"sar": {"ai": text}}}, [found])
        return result

    assert one("0.1").agrees
    assert one("0.3", estimand=("total",)).agrees


def test_a_cell_of_a_table_is_its_column_and_row():
    frame = pd.DataFrame(
        {"variable": ["eco", "fe"], "n": [9, 9], "mean": [10.93469, 17.79]}
    )
    cell = Cell(Result(pd.DataFrame(columns=COLUMNS), frames={"d": frame}))
    run = [Judged("descriptive.summary", cell)]

    def one(name, text):
        (found,) = compare({"descriptive": {"summary": {name: text}}}, run)
        return found

    assert one("mean[eco]", "10.9347").agrees
    assert one("n[fe]", "9").agrees
    assert not one("mean[fe]", "17.80").agrees
    for lost in ("mean[ur]", "variable[eco]", "median[eco]", "mean"):
        assert "has no" in one(lost, "1").text


def test_claims_are_no_numbers():
    published = {
        "claims": {"said": {"m.a": {"where": "here"}}},
        "m": {"a": {"ai": "1"}},
    }
    assert faults(published) == []
    assert [c.address for c in compare(published, [])] == ["m.a.ai"]
    (fault,) = faults({"claims": {"said": {"m.a": {"wher": "here"}}}})
    assert (fault.code, fault.path) == ("X31", "published.claims.said.m.a.wher")
