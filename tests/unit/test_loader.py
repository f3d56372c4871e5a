"""The YAML loader: values, places, and refusals; fuzzed."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework.errors import EstimandError, Phase, SafetyError, SpecError
from framework.spec.loader import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    MAX_PROBLEMS,
    load,
    loads,
)

STUDY = """\
study: laws
data:
  source: data.csv            # a comment
  panel: {unit: sid, time: year}
model:
  outcome: y
  controls: [a, b]
  estimator: {twfe: {leads: [1, 2]}}
checks:
  main: {plain: {}, timing: {treatment.shift: -1, expect: same_sign}}
"""


def problems(text):
    with pytest.raises(EstimandError) as caught:
        loads(text, "s.yaml")
    return caught.value.problems


def codes(text):
    return [p.code for p in problems(text)]


# -- values ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("off", "off"),
        ("y", "y"),
        ("12:30", "12:30"),
        ("12:30:45", "12:30:45"),
        ("2015-01-31", "2015-01-31"),
        ("1e-3", 0.001),
        ("1E5", 1e5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-0.5", -0.5),
        ("+3", 3),
        ("0", 0),
        ("-7", -7),
        ("1_000", "1_000"),
        ("1,000", "1,000"),
        ("'010'", "010"),
        ('"1"', "1"),
        ("'true'", "true"),
        ("'null'", "null"),
        ("true", True),
        ("false", False),
        ("null", None),
        ("东部", "东部"),
        ("''", ""),
        ("{}", {}),
        ("[]", []),
        ("|\n    two\n    lines", "two\nlines\n"),
    ],
)
def test_a_scalar_has_one_meaning(written, value):
    found = loads(f"a:\n  b: {written}\n").tree["a"]["b"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "written",
    [
        "010",
        "-007",
        "0x1F",
        "0o17",
        "0b11",
        ".inf",
        "-.inf",
        ".nan",
        ".NaN",
        "~",
        "Null",
        "NULL",
        "True",
        "TRUE",
        "False",
        "1e999",
        "-1e999",
    ],
)
def test_a_scalar_with_two_meanings_is_refused(written):
    (problem,) = problems(f"a: {written}\n")
    assert problem.code == "X02"
    assert problem.phase is Phase.SPEC
    assert written in problem.what


@pytest.mark.parametrize("written", ["True", "~"])
def test_the_fix_for_a_word_is_the_word(written):
    (problem,) = problems(f"a: {written}\n")
    right = {"True": "write true,", "~": "write null,"}[written]
    assert right in problem.fix


def test_keys_are_text_whatever_they_look_like():
    document = loads("2015: a\ntrue: b\nnull: c\n1e3: d\n010: e\n")
    assert list(document.tree) == ["2015", "true", "null", "1e3", "010"]


def test_a_key_without_a_value_is_said():
    (problem,) = problems("a: 1\nb:\nc: 2\n")
    assert problem.code == "X14"
    assert "null" in problem.fix
    assert problem.place is not None
    assert problem.place.line == 2


# -- refusals --------------------------------------------------------------------------


def test_duplicate_keys_name_both_lines():
    (problem,) = problems("a: 1\nb: {c: 1,\n  d: 2, c: 3}\n")
    assert problem.code == "X02"
    assert problem.what == "'c' given twice, lines 2 and 3"


def test_a_key_given_three_times_is_said_twice():
    assert codes("a: 1\na: 2\na: 3\n") == ["X02", "X02"]


def test_the_same_key_in_two_mappings_is_fine():
    assert loads("a: {x: 1}\nb: {x: 1}\n").tree == {"a": {"x": 1}, "b": {"x": 1}}


@pytest.mark.parametrize(
    ("text", "code", "what"),
    [
        ("a: &x 1\n", "X03", "anchor &x"),
        ("a: &x {b: 1}\n", "X03", "anchor &x"),
        ("a: &x [1]\n", "X03", "anchor &x"),
        ("a: {<<: {b: 1}}\n", "X03", "merge key"),
        ("a: !!python/object/apply:os.system [ls]\n", "X04", "os.system"),
        ("a: !!str 1\n", "X04", "tag"),
        ("a: !custom {}\n", "X04", "!custom"),
        ("a: {_target_: os.system}\n", "X05", "`_target_`"),
        ("a: {'_target_': os.system}\n", "X05", "`_target_`"),
        ('a: {"_targ\\x65t_": os.system}\n', "X05", "`_target_`"),
        ("a: ${oc.env:HOME}\n", "X06", "interpolation"),
        ("a: 'x ${y} z'\n", "X06", "interpolation"),
        ("${y}: 1\n", "X06", "interpolation"),
        ("a: |\n  ${y}\n", "X06", "interpolation"),
    ],
)
def test_what_could_run_or_grow_is_refused_for_safety(text, code, what):
    (problem,) = problems(text)
    assert problem.code == code
    assert what in problem.what
    assert problem.phase is Phase.SAFETY
    assert problem.place is not None


def test_an_alias_never_grows():
    bomb = "a: &a [x, x, x]\n" + "".join(
        f"{new}: &{new} [*{old}, *{old}, *{old}]\n"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    started = time.process_time()
    found = problems(bomb)
    assert {p.code for p in found} == {"X03"}
    assert len(found) == 9 + 24
    # Expanded, it would be 3**9 values; reading it is milliseconds.
    assert time.process_time() - started < 1


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_stops_early(opening):
    started = time.process_time()
    (problem, *_) = problems("x: 1\ny: " + opening * 20_000)[-1:]
    assert problem.code in ("X03", "X13")
    # The parser is left where the bound is met, not at the end of the text.
    assert time.process_time() - started < 2


def test_depth_up_to_the_bound_is_read():
    deep = MAX_DEPTH - 1
    tree = loads("a: " + "[" * deep + "]" * deep).tree["a"]
    for _ in range(deep - 1):
        (tree,) = tree
    assert tree == []
    assert codes("a: " + "[" * (deep + 1) + "]" * (deep + 1)) == ["X03"]


def test_too_many_values():
    with pytest.raises(SafetyError, match="more than 50,000 values"):
        loads("a: [" + "1," * (MAX_NODES + 1) + "]")


def test_a_flood_of_problems_is_cut():
    found = problems("a: [" + "~," * 10_000 + "]")
    assert len(found) == MAX_PROBLEMS
    # A line of 20,000 characters is not repeated fifty times.
    assert len("\n".join(map(str, found))) < 50 * 600


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "should be a mapping"),
        ("just text", "should be a mapping"),
        ("- a\n- b\n", "should be a mapping"),
        ("# only a comment\n", "should be a mapping"),
        ("a: 1\n---\nb: 2\n", "second document"),
        ("a: [1, 2\n", "not readable YAML"),
        ("a: 'open\n", "not readable YAML"),
        ("a: b: c\n", "not readable YAML"),
        ("\tx: 1\n", "not readable YAML"),
        ("a: \x00\n", "not readable YAML"),
        ("a: *nowhere\n", "alias *nowhere"),
        ("[a, b]: 1\n", "a key must be text"),
        ("? {a: 1}\n: 2\n", "a key must be text"),
        ('a: "\\ud800"\n', "no character"),
        ('"\\ud83d\\ude00": 1\n', "no character"),
        ("%YAML 3.0\n---\na: 1\n", "not readable YAML"),
    ],
)
def test_what_is_no_study_is_said(text, words):
    assert any(words in p.what for p in problems(text))


def test_a_character_that_no_file_may_hold_has_its_place():
    (found,) = problems("study: a\ntitle: 'x\0y'\n")
    assert str(found.place) == "s.yaml:2:10"
    assert found.what == (
        "not readable YAML: the character U+0000, which no YAML file may hold"
    )
    assert found.place is not None
    assert "\0" not in found.place.excerpt


def test_all_problems_come_at_once_in_the_order_of_the_file():
    found = problems("a: 010\nb: ~\nc: &x 1\nd: ${e}\na: 2\n")
    assert [p.code for p in found] == ["X02", "X02", "X03", "X06", "X02"]
    assert [p.place.line for p in found if p.place] == [1, 2, 3, 4, 5]


def test_the_lowest_phase_is_the_exit_code():
    with pytest.raises(EstimandError) as caught:
        loads("a: 010\nb: &x 1\n")
    assert caught.value.exit_code == 2


# -- places ----------------------------------------------------------------------------


def test_every_key_and_value_has_its_place():
    document = loads(STUDY, "laws.yaml")
    at = {
        ("study",): (1, 8),
        ("data", "panel", "time"): (4, 28),
        ("model", "controls", 1): (7, 17),
        ("model", "estimator", "twfe", "leads", 0): (8, 30),
        ("checks", "main", "timing", "treatment.shift"): (10, 47),
    }
    for path, place in at.items():
        found = document.place(path)
        assert found is not None
        assert (found.line, found.column) == place, path
        assert str(found) == f"laws.yaml:{place[0]}:{place[1]}"
        assert found.excerpt == STUDY.splitlines()[place[0] - 1]
    key = document.place(("data", "panel", "time"), key=True)
    assert key is not None
    assert (key.line, key.column) == (4, 22)


def test_a_path_that_was_not_written_has_the_place_of_its_nearest_ancestor():
    document = loads(STUDY)
    found = document.place(("data", "panel", "wave", "deeper"))
    assert found == document.place(("data", "panel"))
    assert document.place(("nowhere",)) == document.place(())


def test_the_caret_stands_under_the_fault():
    text = str(EstimandError(problems("model:\n  outcome: ~\n")))
    line, caret = text.splitlines()[1:3]
    assert line[caret.index("^")] == "~"


# -- files -----------------------------------------------------------------------------


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + STUDY.encode())
    assert load(path).tree["study"] == "laws"


def test_lines_of_windows_are_lines(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(STUDY.replace("\n", "\r\n").encode())
    document = load(path)
    assert document.tree == loads(STUDY).tree
    found = document.place(("model", "outcome"))
    assert found is not None
    assert (found.line, found.excerpt) == (6, "  outcome: y")


def test_a_file_that_is_not_there_names_its_neighbours(tmp_path):
    (tmp_path / "laws.yaml").write_text(STUDY)
    with pytest.raises(SpecError, match=r"cannot read .*lawz\.yaml") as caught:
        load(tmp_path / "lawz.yaml")
    assert "laws.yaml" in caught.value.problems[0].fix


def test_a_folder_is_no_study(tmp_path):
    with pytest.raises(SpecError, match="cannot read"):
        load(tmp_path)


def test_bytes_that_are_not_utf_8(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes("study: 北京\n".encode("gb18030"))
    with pytest.raises(SpecError, match="not UTF-8"):
        load(path)


def test_a_large_file_is_not_parsed(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(SafetyError, match="at most 524,288"):
        load(path)


# -- fuzz ------------------------------------------------------------------------------

#: Characters that mean something in YAML, and some that do not.
MARKS = st.text("abc01.:-?,[]{}#&*!|>'\"%@`~ \n\t\\$_=+<\x00\x85\u2028é北", max_size=80)
#: JSON writes characters beyond these as pairs of escapes, which YAML does not join.
WORDS = st.text(
    st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=8
)
FUZZ = settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def attempt(function, argument):
    """(what it returns, None) or (None, the problems); any other error is a fault."""
    started = time.process_time()
    try:
        return function(argument), None
    except EstimandError as error:
        return None, error
    finally:
        # Milliseconds each; nothing of such a length may take seconds to read.
        assert time.process_time() - started < 5


def read(text):
    """A tree of plain values with a place for each, or problems in words."""
    document, error = attempt(loads, text)
    if document is None:
        assert all(p.code.startswith("X") for p in error.problems)
        assert error.exit_code in (2, 8)
        # Every problem is short, whatever the text, and can be printed.
        assert len(str(error).encode()) < 1_000 * len(error.problems)
        return None
    stack = [((), document.tree)]
    while stack:
        path, value = stack.pop()
        assert path in document.values
        if isinstance(value, dict):
            assert all(isinstance(key, str) for key in value)
            stack += [((*path, key), held) for key, held in value.items()]
        elif isinstance(value, list):
            stack += [((*path, at), held) for at, held in enumerate(value)]
        else:
            assert value is None or type(value) in (str, int, float, bool)
            assert not isinstance(value, float) or math.isfinite(value)
    return document


@FUZZ
@given(MARKS)
def test_any_text_is_read_or_refused_in_words(text):
    read(text)


@FUZZ
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_in_words(tmp_path, raw):
    path = tmp_path / "s.yaml"
    path.write_bytes(raw)
    document, error = attempt(load, path)
    assert document is not None or error.exit_code in (2, 8)


@FUZZ
@given(st.data())
def test_a_study_with_a_piece_changed_is_read_or_refused_in_words(data):
    start = data.draw(st.integers(0, len(STUDY)))
    end = data.draw(st.integers(start, min(len(STUDY), start + 12)))
    read(STUDY[:start] + data.draw(MARKS) + STUDY[end:])


@FUZZ
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | WORDS,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_what_any_writer_quotes_comes_back(tree):
    """JSON is YAML: a tree written by another program is read as it was meant."""
    text = json.dumps({"top": tree}, ensure_ascii=True)
    document = read(text)
    if document is None:
        # Only what a study never holds: interpolation, targets and merge keys.
        assert any(word in text for word in ("${", "_target_", "<<"))
    else:
        assert document.tree == {"top": tree}


def test_the_studies_of_the_dialect_load():
    folder = Path(__file__).parents[1] / "dialect"
    for path in folder.glob("*.yaml"):
        assert load(path).tree["study"]
