"""Conditions and formulas: grammar, three-valued logic, refusals, no code."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.condition import (
    MAX_DEPTH,
    Column,
    Comparison,
    Condition,
    IsMissing,
    Junction,
    Membership,
    Not,
    Number,
    Text,
    compute,
    evaluate,
    parse,
    parse_formula,
)
from framework.errors import DataError, EstimandError, SafetyError, SpecError


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "year": [2014, 2015, 2016, 2017],
            "region": ["east", "west", None, "north east"],
            "gdp": [1.0, np.nan, 3.0, -4.0],
            "first treat": [2015.0, 2015.0, np.nan, 2018.0],
            "day": pd.to_datetime(["2014-01-01", "2015-06-30", None, "2017-01-01"]),
            "城市": [1, 2, 3, 4],
        }
    )


def rows(text: str, frame: pd.DataFrame) -> tuple[list[int], list[int]]:
    true, unknown = evaluate(parse(text), frame)
    return list(np.flatnonzero(true)), list(np.flatnonzero(unknown))


@pytest.mark.parametrize(
    ("text", "true", "unknown"),
    [
        ("year >= 2015", [1, 2, 3], []),
        ("year>=2015 and year<=2016", [1, 2], []),
        ("year = 2014 or year = 2017", [0, 3], []),
        ("region = east", [0], [2]),
        ("region = 'north east'", [3], [2]),
        ('region = "north east"', [3], [2]),
        ("region != east", [1, 3], [2]),
        ("region in (east, west)", [0, 1], [2]),
        ("region not in (east, west)", [3], [2]),
        ("region is missing", [2], []),
        ("region is not missing", [0, 1, 3], []),
        ("not region = east", [1, 3], [2]),
        ("gdp > -4", [0, 2], [1]),
        ("gdp = -4.0", [3], [1]),
        ("year >= `first treat`", [1], [2]),
        ('"first treat" = 2015', [0, 1], [2]),
        ("城市 < 3", [0, 1], []),
        ("day >= '2015-06-30'", [1, 3], [2]),
        # Kleene: false decides `and`, true decides `or`, whatever is unknown.
        ("gdp > 0 and year = 2014", [0], []),
        ("gdp > 0 and year = 2015", [], [1]),
        ("gdp > 0 or year = 2015", [0, 1, 2], []),
        ("gdp > 0 or year = 2014", [0, 2], [1]),
        ("not (gdp > 0 or region = east)", [3], [1]),
        ("NOT (year = 2014) AND year IS NOT MISSING", [1, 2, 3], []),
    ],
)
def test_truth_table(
    frame: pd.DataFrame, text: str, true: list[int], unknown: list[int]
) -> None:
    before = frame.copy(deep=True)
    assert rows(text, frame) == (true, unknown)
    pd.testing.assert_frame_equal(frame, before)


def test_and_binds_tighter_than_or() -> None:
    assert parse("a = 1 or b = 2 and c = 3") == parse("a = 1 or (b = 2 and c = 3)")
    assert parse("a = 1 or b = 2 and c = 3") != parse("(a = 1 or b = 2) and c = 3")


def test_columns_in_order_once() -> None:
    text = "b > 1 and (a is missing or b < `c d`) and not e in (1, x)"
    assert parse(text).columns() == ("b", "a", "c d", "e")


@pytest.mark.parametrize(
    ("text", "position", "word"),
    [
        ("", 1, "nothing"),
        ("   ", 1, "nothing"),
        ("year", 5, "comparison"),
        ("year >= ", 9, "value"),
        ("year == 2015", 7, "'='"),
        ("2015 <= year", 1, "column"),
        ("year >= 2015 & x = 1", 14, "'&'"),
        ("2014 < year <= 2016", 1, "column"),
        ("year > 2014 <= 2016", 13, "'<='"),
        ("(year = 1", 10, "')'"),
        ("year in 2015", 9, "'('"),
        ("year in ()", 10, "value"),
        ("region = 'east", 10, "not closed"),
        ("region is nothing", 11, "missing"),
        ("region not = 3", 12, "`in`"),
        ("region = north east", 16, "'east'"),
        ("and = 3", 1, "column"),
        ("day > 2015-01-01", 11, "unexpected '-'"),
        ("x = 1e999", 5, "too large"),
        ("x = 1" + "0" * 60, 5, "too long"),
        ("year in (`a`, 2)", 10, "not columns"),
        ("x = -east", 6, "value"),
    ],
)
def test_syntax_errors_say_where(text: str, position: int, word: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(text)
    assert caught.value.problems[0].code == "X20"
    assert f"at character {position} of" in str(caught.value)
    assert word in str(caught.value)


def test_types_must_agree(frame: pd.DataFrame) -> None:
    for text, fix in [
        ("region = 11", "'11'"),
        ("region > east", "= or in"),
        ("year = east", "backticks"),
        ("year = `region`", "same type"),
        ("day > 3", "quotes"),
        ("region in (east, 3)", "quotes"),
    ]:
        with pytest.raises(DataError) as caught:
            rows(text, frame)
        assert caught.value.problems[0].code == "D07", text
        assert fix in caught.value.problems[0].fix, text


def test_bare_word_that_is_a_column_is_ambiguous(frame: pd.DataFrame) -> None:
    with pytest.raises(SpecError) as caught:
        rows("region = year", frame)
    assert caught.value.problems[0].code == "X22"
    assert rows("region = 'year'", frame) == ([], [2])


def test_misspelt_column_gets_a_guess(frame: pd.DataFrame) -> None:
    with pytest.raises(SpecError, match="did you mean 'region'"):
        rows("regoin = east", frame)


def test_all_missing_column_is_unknown(frame: pd.DataFrame) -> None:
    frame["empty"] = np.nan
    assert rows("empty = east or year = 2014", frame) == ([0], [1, 2, 3])


def test_mixed_column_is_refused() -> None:
    mixed = pd.DataFrame({"x": pd.Series([1, "a"], dtype=object)})
    with pytest.raises(DataError, match="mixed"):
        rows("x = a", mixed)


def test_large_integers_stay_exact() -> None:
    # 2**53 + 1 is not a float64; a float comparison would call these two equal.
    ids = pd.DataFrame({"id": [2**53, 2**53 + 1]})
    assert rows(f"id = {2**53 + 1}", ids) == ([1], [])


@pytest.mark.parametrize(
    "text",
    [
        "(" * (MAX_DEPTH + 1) + "x = 1" + ")" * (MAX_DEPTH + 1),
        "not " * 5000 + "x = 1",
        "x = 1 or " * 5000 + "x = 1",
        "x in (" + "1," * 4000 + "1)",
    ],
)
def test_size_and_depth_are_limited(text: str) -> None:
    with pytest.raises(SafetyError) as caught:
        parse(text)
    assert caught.value.problems[0].code == "X03"
    assert caught.value.exit_code == 8


# ------------------------------------------------------------------- properties

names = st.text(min_size=1, max_size=8)
words = st.from_regex(r"[^\W\d]\w{0,6}", fullmatch=True).filter(
    lambda word: word.lower() not in {"and", "or", "not", "in", "is", "missing"}
)
numbers = st.one_of(
    st.integers(-(10**15), 10**15),
    st.floats(allow_nan=False, allow_infinity=False),
).map(Number)
values = st.one_of(
    numbers,
    st.text(max_size=8).map(Text),
    words.map(lambda word: Text(word, bare=True)),
)
tests = st.one_of(
    st.builds(
        Comparison,
        names,
        st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
        st.one_of(values, names.map(Column)),
    ),
    st.builds(
        Membership, names, st.lists(values, min_size=1).map(tuple), st.booleans()
    ),
    st.builds(IsMissing, names, st.booleans()),
)


def junction(parts: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    def build(word: str, items: list[Condition]) -> Condition:
        same = [i for i in items if isinstance(i, Junction) and i.word == word]
        return items[0] if same else Junction(word, tuple(items))

    return st.one_of(
        parts.map(Not),
        st.builds(build, st.sampled_from(["and", "or"]), st.lists(parts, min_size=2)),
    )


conditions = st.recursive(tests, junction, max_leaves=6)


@given(conditions)
@settings(max_examples=150, deadline=None)
def test_str_parses_back_to_the_same_condition(condition: Condition) -> None:
    assert parse(str(condition)) == condition


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_parses_or_is_refused_kindly(text: str) -> None:
    for reader in (parse, parse_formula):
        outcome: object = None
        try:
            outcome = reader(text)
        except EstimandError as refusal:
            outcome = refusal.problems[0].what
        assert outcome


@given(
    st.lists(st.sampled_from([0.0, 1.0, None]), min_size=1, max_size=6),
    st.lists(st.sampled_from([0.0, 1.0, None]), min_size=1, max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_de_morgan_in_three_values(
    a: list[float | None], b: list[float | None]
) -> None:
    size = min(len(a), len(b))
    frame = pd.DataFrame({"a": a[:size], "b": b[:size]}, dtype=float)
    left = evaluate(parse("not (a = 1 and b = 1)"), frame)
    right = evaluate(parse("not a = 1 or not b = 1"), frame)
    assert np.array_equal(left[0], right[0])
    assert np.array_equal(left[1], right[1])


ATTACKS = [
    "__import__('os').system('touch {canary}')",
    "x = __import__('os').system('touch {canary}')",
    "@pd.io.common.os.system('touch {canary}')",
    "`__import__('os').system('touch {canary}')` = 1",
    "x = '${{oc.env:HOME}}' or open('{canary}', 'w')",
    "(lambda: open('{canary}', 'w'))()",
    "exp(__import__('pathlib').Path('{canary}').touch())",
    "x.__class__.__mro__ = 1",
    "x := open('{canary}')",
    "f\"{{open('{canary}','w')}}\" = 1",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_runs_code(attack: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    text = attack.format(canary=canary)
    frame = pd.DataFrame({"x": [1.0], text: [1.0]})
    for read, use in ((parse, evaluate), (parse_formula, compute)):
        with contextlib.suppress(EstimandError):
            use(read(text), frame)  # type: ignore[arg-type,operator]  # a pair of doors
    assert not canary.exists()


def test_a_hostile_header_is_only_a_name(tmp_path: Path) -> None:
    header = f"__import__('os').system('touch {tmp_path / 'canary'}')"
    frame = pd.DataFrame({header: [1.0, 2.0]})
    assert rows(f"`{header}` > 1", frame) == ([1], [])
    assert list(compute(parse_formula(f"`{header}` * 2"), frame)) == [2.0, 4.0]
    assert not (tmp_path / "canary").exists()


# --------------------------------------------------------------------- formulas


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * 2", [21.0, 42.0]),
        ("(a + b) * 2", [22.0, 44.0]),
        ("-a ** 2", [-1.0, -4.0]),
        ("2 ** 3 ** 2 + 0 * a", [512.0, 512.0]),
        ("2 ** -a", [0.5, 0.25]),
        ("b - a - 1", [8.0, 17.0]),
        ("b / a / 2", [5.0, 5.0]),
        ("log(exp(a))", [1.0, 2.0]),
        ("sqrt(a ** 2)", [1.0, 2.0]),
        ("abs(-a)", [1.0, 2.0]),
        ("min(a, b, 1.5)", [1.0, 1.5]),
        ("max(a, 1.5)", [1.5, 2.0]),
        ("`log` + log", [14.0, 16.0]),
        ("3", [3.0, 3.0]),
    ],
)
def test_formula(text: str, expected: list[float]) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [10.0, 20.0], "log": [7, 8]})
    formula = parse_formula(text)
    # One rounding of exp and log.
    assert compute(formula, frame) == pytest.approx(expected, rel=1e-15)
    assert parse_formula(str(formula)) == formula


def test_missing_propagates_and_is_no_fault() -> None:
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": [np.nan, 0.0]})
    assert np.isnan(compute(parse_formula("a / b"), frame)).all()
    assert np.isnan(compute(parse_formula("max(a, b)"), frame)).all()


@pytest.mark.parametrize(
    ("text", "count", "word"),
    [
        ("1 / a", 2, "division by zero"),
        ("a / a", 2, "division by zero"),
        ("log(a)", 3, "log of zero"),
        ("sqrt(a)", 1, "root"),
        ("a ** 0.5", 1, "power"),
        ("a ** -1", 2, "power"),
        ("exp(b)", 1, "too large"),
        ("b * 1e308", 2, "too large"),
    ],
)
def test_values_that_do_not_exist(text: str, count: int, word: str) -> None:
    frame = pd.DataFrame({"a": [0.0, 0.0, -1.0, 2.0], "b": [1.0, 2.0, 1.0, 1e5]})
    with pytest.raises(DataError) as caught:
        compute(parse_formula(text), frame)
    problem = caught.value.problems[0]
    assert problem.code == "D08"
    assert f"{count} of 4 rows" in problem.what
    assert word in problem.what
    assert problem.fix


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "nothing"),
        ("a +", "column or number"),
        ("tan(a)", "no function"),
        ("log(a, b)", "one argument"),
        ("min(a)", "at least 2"),
        ("a > 1", "unexpected '>'"),
        ("a b", "unexpected 'b'"),
        ("'text' + 1", "column or number"),
        ("a.b", "'.'"),
    ],
)
def test_formula_syntax(text: str, word: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_formula(text)
    assert caught.value.problems[0].code == "X21"
    assert word in str(caught.value)


@pytest.mark.parametrize("text", ["(" * 60 + "a", "-" * 60 + "a", "a+" * 400 + "a"])
def test_formula_limits(text: str) -> None:
    with pytest.raises(SafetyError):
        parse_formula(text)


def test_formula_of_text_is_refused() -> None:
    frame = pd.DataFrame({"a": ["1", ".", "1,234"]})
    with pytest.raises(DataError) as caught:
        compute(parse_formula("a + 1"), frame)
    assert caught.value.problems[0].code == "D07"
    assert "'.'" in caught.value.problems[0].what


def test_needs_no_pandas_to_parse() -> None:
    code = (
        "import sys; from framework.condition import parse, parse_formula; "
        "parse('a = 1'); parse_formula('a + 1'); "
        "sys.exit(any(m in sys.modules for m in ('pandas', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
