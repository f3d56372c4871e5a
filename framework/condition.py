"""Conditions (`year >= 2015 and region in (east, west)`) and small formulas, typed.

A text becomes a frozen tree by a parser of our own and the tree is computed with
arrays: nothing is ever passed to `eval`, `DataFrame.query` or a formula engine, so
neither a study nor a column's name can run code.

Grammar of a condition, loosest first::

    or    := and ("or" and)*
    and   := not ("and" not)*
    not   := "not" not | "(" or ")" | test
    test  := column ("=" | "!=" | "<" | "<=" | ">" | ">=") value
           | column ["not"] "in" "(" value ("," value)* ")"
           | column "is" ["not"] "missing"

Left of an operator stands a column: bare (letters of any script, digits, `_`), or in
backticks or double quotes. Right of it stands a value: a number, a bare word, or text
in single or double quotes; a *column* on the right stands in backticks. A bare word
that is also the name of a column is refused as ambiguous when it is evaluated.

A missing cell makes a comparison unknown (Kleene's three values: unknown and false =
false, unknown or true = true); `is missing` is always known.

Grammar of a formula (step `derive`)::

    sum     := product (("+" | "-") product)*
    product := sign (("*" | "/") sign)*
    sign    := "-" sign | power
    power   := atom ["**" sign]
    atom    := number | column | function "(" sum ("," sum)* ")" | "(" sum ")"

Functions: `log exp sqrt abs` of one argument, `min max` of two or more (by row).
"""

from __future__ import annotations

import math
import operator
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from framework.errors import (
    DataError,
    EstimandError,
    SafetyError,
    SpecError,
    did_you_mean,
    looks_like_code,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]

#: Longest text, most tokens and deepest nesting of a condition or formula.
MAX_LENGTH, MAX_TOKENS, MAX_DEPTH = 10_000, 2_000, 50
#: A formula's tree grows with every operator, so it is kept shorter.
MAX_FORMULA_TOKENS = 300
_MAX_NUMBER = 40

Kind = Literal["number", "text", "date", "empty"]


# --------------------------------------------------------------------- the trees


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written; whole numbers stay exact."""

    value: int | float

    def __str__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True, slots=True)
class Text:
    """A text value; `bare` if it was written without quotes."""

    value: str
    bare: bool = False

    def __str__(self) -> str:
        return self.value if self.bare else "'" + self.value.replace("'", "''") + "'"


@dataclass(frozen=True, slots=True)
class Column:
    """A column, by name; always in backticks as a value."""

    name: str

    def __str__(self) -> str:
        return "`" + self.name.replace("`", "``") + "`"


class Condition:
    """A parsed condition. `str()` gives a text that parses to an equal condition."""

    __slots__ = ()

    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Columns that the condition reads, in order of appearance."""


@dataclass(frozen=True, slots=True)
class Comparison(Condition):
    """`column operator value`."""

    column: str
    operator: str
    value: Number | Text | Column

    def columns(self) -> tuple[str, ...]:
        """The column on the left and, in backticks, the one on the right."""
        right = (self.value.name,) if isinstance(self.value, Column) else ()
        return _distinct((self.column, *right))

    def __str__(self) -> str:
        return f"{_name(self.column)} {self.operator} {self.value}"


@dataclass(frozen=True, slots=True)
class Membership(Condition):
    """`column in (values)` or `column not in (values)`."""

    column: str
    values: tuple[Number | Text, ...]
    negated: bool = False

    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def __str__(self) -> str:
        word = "not in" if self.negated else "in"
        return f"{_name(self.column)} {word} ({', '.join(map(str, self.values))})"


@dataclass(frozen=True, slots=True)
class IsMissing(Condition):
    """`column is missing` or `column is not missing`."""

    column: str
    negated: bool = False

    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def __str__(self) -> str:
        return f"{_name(self.column)} is {'not ' if self.negated else ''}missing"


@dataclass(frozen=True, slots=True)
class Not(Condition):
    """`not (condition)`."""

    part: Condition

    def columns(self) -> tuple[str, ...]:
        """Columns of the part."""
        return self.part.columns()

    def __str__(self) -> str:
        return f"not ({self.part})"


@dataclass(frozen=True, slots=True)
class Junction(Condition):
    """Two or more conditions joined by `and` or by `or`."""

    word: Literal["and", "or"]
    parts: tuple[Condition, ...]

    def columns(self) -> tuple[str, ...]:
        """Columns of all parts."""
        return _distinct(name for part in self.parts for name in part.columns())

    def __str__(self) -> str:
        return f" {self.word} ".join(
            f"({part})" if isinstance(part, Junction) else str(part)
            for part in self.parts
        )


@dataclass(frozen=True, slots=True)
class Call:
    """An operator (`+ - * / **`, `negative`) or function applied to its arguments."""

    function: str
    arguments: tuple[Expression, ...]

    def __str__(self) -> str:
        if self.function == "negative":
            return f"(-{_term(self.arguments[0])})"
        parts = [_term(argument) for argument in self.arguments]
        if self.function in _OPERATORS:
            return f"({parts[0]} {self.function} {parts[1]})"
        return f"{self.function}({', '.join(parts)})"


Expression = Number | Column | Call


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed formula. `str()` gives a text that parses to an equal formula."""

    root: Expression

    def columns(self) -> tuple[str, ...]:
        """Columns that the formula reads, in order of appearance."""
        return _distinct(_columns_of(self.root))

    def __str__(self) -> str:
        return _term(self.root)


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _columns_of(node: Expression) -> tuple[str, ...]:
    if isinstance(node, Column):
        return (node.name,)
    if isinstance(node, Call):
        return tuple(name for part in node.arguments for name in _columns_of(part))
    return ()


def _term(node: Expression) -> str:
    return _name(node.name) if isinstance(node, Column) else str(node)


def _name(column: str) -> str:
    """A column on the left: bare where that reads back as the same column."""
    tokens = _WORD.fullmatch(column) and not _NUMBER.match(column)
    if tokens and column.lower() not in _KEYWORDS:
        return column
    return str(Column(column))


# ------------------------------------------------------------------- the tokens

_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "missing"})
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?!\w)", re.ASCII)
_SYMBOL = re.compile(r"!=|<=|>=|\*\*|[=<>(),+\-*/]")
_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OPERATORS = frozenset({"+", "-", "*", "/", "**"})
#: Name of a function -> fewest and most arguments (None = any number).
FUNCTIONS: Mapping[str, tuple[int, int | None]] = {
    "log": (1, 1),
    "exp": (1, 1),
    "sqrt": (1, 1),
    "abs": (1, 1),
    "min": (2, None),
    "max": (2, None),
}
_HINTS = {
    "&": "write `and`",
    "|": "write `or`",
    "~": "write `not`",
    "!": "write `not`, or `!=` for different",
    "^": "write `**` for powers",
    "%": "there is no remainder here",
    "[": "lists stand in round brackets: region in (east, west)",
    "'": "a quotation mark is not closed",
    '"': "a quotation mark is not closed",
    "`": "a backtick is not closed",
}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: Literal["number", "word", "single", "double", "backtick", "symbol", "end"]
    text: str
    start: int

    def word(self) -> str:
        """The keyword, if this is one."""
        lowered = self.text.lower()
        return lowered if self.kind == "word" and lowered in _KEYWORDS else ""


_QUOTES: Mapping[str, Literal["single", "double", "backtick"]] = {
    "'": "single",
    '"': "double",
    "`": "backtick",
}


class _Tokens:
    """The tokens of one text, read from left to right."""

    def __init__(self, text: str, *, what: str, limit: int) -> None:
        if len(text) > MAX_LENGTH:
            raise SafetyError(
                "X03",
                f"the {what} has {len(text):,} characters; at most {MAX_LENGTH:,}",
                fix=f"split the {what} into several named ones",
            )
        self.text, self.what, self.depth = text, what, 0
        self._tokens = self._split()
        self._next = 0
        if len(self._tokens) > limit:
            raise SafetyError(
                "X03",
                f"the {what} has {len(self._tokens):,} words; at most {limit:,}",
                fix=f"split the {what} into several named ones",
            )

    def _split(self) -> list[_Token]:
        tokens, at = [], 0
        while at < len(self.text):
            if self.text[at].isspace():
                at += 1
                continue
            token, at = self._token(at)
            tokens.append(token)
        return [*tokens, _Token("end", "", len(self.text))]

    def _token(self, at: int) -> tuple[_Token, int]:
        character = self.text[at]
        if character in _QUOTES:
            return self._quoted(at)
        if match := _NUMBER.match(self.text, at):
            return _Token("number", match.group(), at), match.end()
        if match := _WORD.match(self.text, at):
            return _Token("word", match.group(), at), match.end()
        if match := _SYMBOL.match(self.text, at):
            return _Token("symbol", match.group(), at), match.end()
        raise self.error(f"unexpected {character!r}", at, _HINTS.get(character, ""))

    def _quoted(self, at: int) -> tuple[_Token, int]:
        mark, end, parts = self.text[at], at + 1, []
        while (close := self.text.find(mark, end)) != -1:
            parts.append(self.text[end:close])
            if not self.text.startswith(mark, close + 1):
                return _Token(_QUOTES[mark], mark.join(parts), at), close + 1
            end = close + 2
        raise self.error(f"{mark} is not closed", at, f"close it with {mark}")

    def error(self, what: str, at: int | None = None, fix: str = "") -> EstimandError:
        """A problem at a position (counted from 1), with the text; X04 for code."""
        position = self.peek().start if at is None else at
        code = "X20" if self.what == "condition" else "X21"
        shown = self.text if len(self.text) <= 80 else self.text[:80] + " …"  # noqa: PLR2004 - one terminal line
        what = f"{what} at character {position + 1} of the {self.what} `{shown}`"
        if looks_like_code(self.text):
            return SafetyError(
                "X04",
                what,
                why=f"this looks like code, and a {self.what} is never run as code",
                fix=fix,
            )
        return SpecError(code, what, fix=fix)

    def peek(self) -> _Token:
        return self._tokens[self._next]

    def take(self) -> _Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def symbol(self, *symbols: str) -> str:
        """Take the next token if it is one of these symbols, else return ''."""
        token = self.peek()
        if token.kind == "symbol" and token.text in symbols:
            return self.take().text
        return ""

    def keyword(self, word: str) -> bool:
        """Take the next token if it is this keyword."""
        if self.peek().word() == word:
            self.take()
            return True
        return False

    def expect(self, symbol: str) -> None:
        if not self.symbol(symbol):
            found = self.peek().text or "the end"
            raise self.error(f"expected {symbol!r} but found {found!r}")

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise SafetyError(
                "X03",
                f"the {self.what} is nested more than {MAX_DEPTH} deep",
                fix="take out brackets, or split it into several named ones",
            )

    def leave(self) -> None:
        self.depth -= 1

    def number(self, token: _Token, sign: int = 1) -> Number:
        if len(token.text) > _MAX_NUMBER:
            raise self.error("the number is too long", token.start)
        if token.text.isdigit():
            return Number(sign * int(token.text))
        value = float(token.text)
        if not math.isfinite(value):
            raise self.error("the number is too large", token.start)
        return Number(sign * value)


# ------------------------------------------------------------------ the parsers


def parse(text: str) -> Condition:
    """The condition that `text` says.

    Raises:
        SpecError: X20, with the position of what can't be read.
        SafetyError: X03, longer or deeper than any sensible condition.
    """
    tokens = _Tokens(text, what="condition", limit=MAX_TOKENS)
    if tokens.peek().kind == "end":
        raise tokens.error("nothing is written", 0, "write e.g. year >= 2015")
    condition = _either(tokens)
    _nothing_more(tokens)
    return condition


def _nothing_more(tokens: _Tokens) -> None:
    token = tokens.peek()
    if token.kind == "end":
        return
    fix = "join two conditions with `and` or `or`"
    if token.kind == "symbol" and token.text in _COMPARISONS:
        fix = "write year >= 2015 and year <= 2019"
        if token.text == "=":
            fix = "equality is one sign: ="
    elif token.kind == "number" and tokens.text[token.start - 1 : token.start] == "-":
        fix = "dates stand in quotes: day >= '2015-01-31'"
    elif token.kind == "word":
        fix = "text of several words stands in single quotes, or join with `and`"
    raise tokens.error(f"unexpected {token.text!r}", fix=fix)


def _either(tokens: _Tokens) -> Condition:
    parts = [_both(tokens)]
    while tokens.keyword("or"):
        parts.append(_both(tokens))
    return _joined("or", parts)


def _both(tokens: _Tokens) -> Condition:
    parts = [_negated(tokens)]
    while tokens.keyword("and"):
        parts.append(_negated(tokens))
    return _joined("and", parts)


def _joined(word: Literal["and", "or"], parts: list[Condition]) -> Condition:
    if len(parts) == 1:
        return parts[0]
    flat: list[Condition] = []
    for part in parts:
        same = isinstance(part, Junction) and part.word == word
        flat.extend(part.parts if same and isinstance(part, Junction) else (part,))
    return Junction(word, tuple(flat))


def _negated(tokens: _Tokens) -> Condition:
    tokens.enter()
    try:
        if tokens.keyword("not"):
            return Not(_negated(tokens))
        if tokens.symbol("("):
            inner = _either(tokens)
            tokens.expect(")")
            return inner
        return _test(tokens)
    finally:
        tokens.leave()


def _test(tokens: _Tokens) -> Condition:
    column = _left(tokens)
    if tokens.keyword("is"):
        negated = tokens.keyword("not")
        if not tokens.keyword("missing"):
            raise tokens.error("expected `missing` after `is`", fix="is [not] missing")
        return IsMissing(column, negated)
    negated = tokens.keyword("not")
    if tokens.keyword("in"):
        return Membership(column, _listed(tokens), negated)
    if negated:
        raise tokens.error("expected `in` after `not`")
    token = tokens.take()
    if token.kind != "symbol" or token.text not in _COMPARISONS:
        raise tokens.error(
            f"expected a comparison after {column!r}",
            token.start,
            "= != < <= > >=, in (…), is missing",
        )
    if token.text == "=" and tokens.peek().text == "=":
        raise tokens.error("unexpected '='", fix="equality is one sign: =")
    return Comparison(column, token.text, _value(tokens))


def _left(tokens: _Tokens) -> str:
    token = tokens.take()
    if token.kind in {"backtick", "double"} and token.text:
        return token.text
    if token.kind == "word" and not token.word():
        return token.text
    found = token.text or "the end"
    raise tokens.error(
        f"expected a column but found {found!r}",
        token.start,
        "a test begins with a column: year >= 2015; names with spaces or signs, and "
        "names like a keyword, stand in backticks",
    )


def _listed(tokens: _Tokens) -> tuple[Number | Text, ...]:
    tokens.expect("(")
    values: list[Number | Text] = []
    while True:
        start = tokens.peek().start
        value = _value(tokens)
        if isinstance(value, Column):
            raise tokens.error("a list holds values, not columns", start)
        values.append(value)
        if not tokens.symbol(","):
            break
    tokens.expect(")")
    return tuple(values)


def _value(tokens: _Tokens) -> Number | Text | Column:
    sign = -1 if tokens.symbol("-") else 1
    token = tokens.take()
    if token.kind == "number":
        return tokens.number(token, sign)
    if sign == 1 and token.kind in {"single", "double"}:
        return Text(token.text)
    if sign == 1 and token.kind == "backtick" and token.text:
        return Column(token.text)
    if sign == 1 and token.kind == "word" and not token.word():
        return Text(token.text, bare=True)
    found = token.text or "the end"
    raise tokens.error(
        f"expected a value but found {found!r}",
        token.start,
        "a number, a word, 'a text' or `a column`",
    )


def parse_formula(text: str) -> Formula:
    """The formula that `text` says.

    Raises:
        SpecError: X21, with the position of what can't be read.
        SafetyError: X03, longer or deeper than any sensible formula.
    """
    tokens = _Tokens(text, what="formula", limit=MAX_FORMULA_TOKENS)
    if tokens.peek().kind == "end":
        raise tokens.error("nothing is written", 0, "write e.g. gdp / population")
    root = _sum(tokens)
    if tokens.peek().kind != "end":
        token = tokens.peek()
        compares = token.kind == "symbol" and token.text in _COMPARISONS
        fix = "conditions make a 0/1 column with the step `indicator`"
        raise tokens.error(f"unexpected {token.text!r}", fix=fix if compares else "")
    return Formula(root)


def _sum(tokens: _Tokens) -> Expression:
    tokens.enter()
    node = _product(tokens)
    while symbol := tokens.symbol("+", "-"):
        node = Call(symbol, (node, _product(tokens)))
    tokens.leave()
    return node


def _product(tokens: _Tokens) -> Expression:
    node = _sign(tokens)
    while symbol := tokens.symbol("*", "/"):
        node = Call(symbol, (node, _sign(tokens)))
    return node


def _sign(tokens: _Tokens) -> Expression:
    tokens.enter()
    node = Call("negative", (_sign(tokens),)) if tokens.symbol("-") else _power(tokens)
    tokens.leave()
    return node


def _power(tokens: _Tokens) -> Expression:
    base = _atom(tokens)
    return Call("**", (base, _sign(tokens))) if tokens.symbol("**") else base


def _atom(tokens: _Tokens) -> Expression:
    if tokens.symbol("("):
        inner = _sum(tokens)
        tokens.expect(")")
        return inner
    token = tokens.take()
    if token.kind == "number":
        return tokens.number(token)
    if token.kind in {"backtick", "double"} and token.text:
        return Column(token.text)
    if token.kind == "word" and not token.word():
        return _function(tokens, token) if tokens.symbol("(") else Column(token.text)
    found = token.text or "the end"
    raise tokens.error(f"expected a column or number but found {found!r}", token.start)


def _function(tokens: _Tokens, name: _Token) -> Call:
    if name.text not in FUNCTIONS:
        guess = did_you_mean(name.text, tuple(FUNCTIONS))
        raise tokens.error(f"no function {name.text!r}", name.start, guess)
    arguments = [_sum(tokens)]
    while tokens.symbol(","):
        arguments.append(_sum(tokens))
    tokens.expect(")")
    fewest, most = FUNCTIONS[name.text]
    if len(arguments) < fewest or (most is not None and len(arguments) > most):
        need = "one argument" if most == 1 else f"at least {fewest} arguments"
        raise tokens.error(f"{name.text} takes {need}", name.start)
    return Call(name.text, tuple(arguments))


# ------------------------------------------------------------------- the values


def evaluate(condition: Condition, frame: pd.DataFrame) -> tuple[Flags, Flags]:
    """Where the condition is true and where it is unknown.

    Args:
        condition: parsed by `parse`.
        frame: any frame that has the columns.

    Returns:
        Two boolean arrays of length `len(frame)`, never both true in a row: `true` and
        `unknown` (a missing cell decides). Rows of a sample are those that are true.

    Raises:
        SpecError: X01, a column does not exist; X22, a bare word is also a column.
        DataError: D07, a comparison of text with a number, or of text by size.
    """
    for name in condition.columns():
        require(frame, name)
    return _truth(condition, frame)


def _truth(condition: Condition, frame: pd.DataFrame) -> tuple[Flags, Flags]:
    if isinstance(condition, Comparison):
        return _compare(condition, frame)
    if isinstance(condition, Membership):
        return _member(condition, frame)
    if isinstance(condition, IsMissing):
        missing = _missing(frame[condition.column])
        return (~missing if condition.negated else missing), missing & False
    if isinstance(condition, Not):
        true, unknown = _truth(condition.part, frame)
        return ~true & ~unknown, unknown
    if isinstance(condition, Junction):
        return _join(condition, frame)
    raise TypeError(f"not a condition: {condition!r}")


def _join(condition: Junction, frame: pd.DataFrame) -> tuple[Flags, Flags]:
    true, unknown = _truth(condition.parts[0], frame)
    for part in condition.parts[1:]:
        more, doubt = _truth(part, frame)
        false = ~(true | unknown), ~(more | doubt)
        if condition.word == "and":
            true, unknown = true & more, (unknown | doubt) & ~false[0] & ~false[1]
        else:
            true, unknown = true | more, (unknown | doubt) & ~true & ~more
    return true, unknown


def _compare(test: Comparison, frame: pd.DataFrame) -> tuple[Flags, Flags]:
    left = frame[test.column]
    missing = _missing(left)
    right: Any
    if isinstance(test.value, Column):
        right = frame[test.value.name]
        missing = missing | _missing(right)
        kinds = {kind_of(left), kind_of(right)} - {"empty"}
        if len(kinds) > 1:
            raise DataError(
                "D07",
                f"`{test}` compares {_said(left)} with {_said(right)}",
                fix="give both the same type in data.columns",
            )
        kind = kinds.pop() if kinds else "empty"
    else:
        kind = kind_of(left)
        right = _fitting(test.column, left, test.value, frame)
    if kind == "empty" or missing.all():
        return missing & False, missing | True
    if kind == "text" and test.operator not in {"=", "!="}:
        raise DataError(
            "D07",
            f"`{test}` compares by size, but '{test.column}' is text ({_sample(left)})",
            fix=f"use = or in (…), or data.columns.{test.column}: {{type: number}}",
        )
    true = _flags(_COMPARISONS[test.operator](left, right))
    return true & ~missing, missing


def _member(test: Membership, frame: pd.DataFrame) -> tuple[Flags, Flags]:
    left = frame[test.column]
    missing = _missing(left)
    true = missing & False
    if not missing.all():
        for value in test.values:
            true |= _flags(left == _fitting(test.column, left, value, frame))
    true &= ~missing
    return (~true & ~missing if test.negated else true), missing


def _fitting(
    column: str, left: pd.Series[Any], value: Number | Text, frame: pd.DataFrame
) -> Any:
    """The value to compare a column with, or why the two can't be compared."""
    import pandas as pd

    kind = kind_of(left)
    if isinstance(value, Text) and value.bare and value.value in frame.columns:
        raise SpecError(
            "X22",
            f"'{value.value}' is a column and could also be a value of '{column}'",
            fix=f"write '{value.value}' in single quotes for the value, or in "
            "backticks for the column",
        )
    if kind == "empty":
        return value.value
    if kind == "date":
        if isinstance(value, Text):
            try:
                return pd.Timestamp(value.value)
            except ValueError:
                pass
        fix = "write the date in quotes: '2015-01-31'"
    elif kind == "text":
        if isinstance(value, Text):
            return value.value
        fix = f"write '{value}' in quotes, or data.columns.{column}: {{type: number}}"
    else:
        if isinstance(value, Number):
            return value.value
        fix = "compare with a number; a column on the right stands in backticks"
    said = "the number" if isinstance(value, Number) else "the text"
    raise DataError(
        "D07",
        f"'{column}' is {kind} ({_sample(left)}) and is compared with {said} {value}",
        fix=fix,
    )


def kind_of(series: pd.Series[Any]) -> Kind:
    """What the cells of a column are: number, text or date (`empty` = all missing).

    Raises:
        DataError: D07, a column that mixes numbers and text.
    """
    from pandas.api import types

    if types.is_bool_dtype(series.dtype) or types.is_numeric_dtype(series.dtype):
        return "number" if series.notna().any() else "empty"
    if types.is_datetime64_any_dtype(series.dtype):
        return "date"
    inferred = types.infer_dtype(series, skipna=True)
    if inferred == "categorical":
        return kind_of(series.astype(series.cat.categories.dtype))
    known: Mapping[str, Kind] = {"string": "text", "empty": "empty"}
    if inferred in known:
        return "empty" if not series.notna().any() else known[inferred]
    raise DataError(
        "D07",
        f"column '{series.name}' holds {inferred} cells ({_sample(series)})",
        fix=f"say what it is: data.columns.{series.name}: {{type: number}} or text",
    )


def require(frame: pd.DataFrame, column: str) -> None:
    """Raise X01 with a guess unless the frame has the column."""
    if column not in frame.columns:
        raise SpecError(
            "X01",
            f"no column '{column}'",
            fix=did_you_mean(column, [str(name) for name in frame.columns]),
        )


def as_numbers(series: pd.Series[Any], column: str) -> Floats:
    """The column as float64 with NaN for missing cells.

    Raises:
        DataError: D07, the column is not a number; names the first cells that are not.
    """
    import numpy as np

    kind = kind_of(series)
    if kind == "empty":
        return np.full(len(series), np.nan)
    if kind == "number":
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    if kind == "date":
        raise DataError("D07", f"column '{column}' holds dates, not numbers")
    bad = [cell for cell in series.dropna() if not is_number(cell)]
    first = ", ".join(repr(cell) for cell in dict.fromkeys(bad[:50]))[:80]
    if bad:
        raise DataError(
            "D07",
            f"column '{column}' should be a number; {len(bad):,} of {len(series):,} "
            f"cells are not (first: {first})",
            why="text would become one dummy per value",
            fix=number_fix(column, bad),
        )
    raise DataError(
        "D07",
        f"column '{column}' is text that looks like numbers ({_sample(series)})",
        why="codes (leading zeros, more than 15 digits) are kept as text on purpose",
        fix=f"data.columns.{column}: {{type: number}}",
    )


def is_number(cell: object) -> bool:
    """Whether a text cell reads as a number (`1,234` and `.` do not)."""
    return bool(_CELL.fullmatch(str(cell).strip()))


_CELL = re.compile(
    r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|inf|Inf|infinity)", re.ASCII
)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)


def number_fix(column: str, bad: Iterable[object]) -> str:
    """How cells that are no numbers may be read: the right file option, or missing."""
    cells = [str(cell).strip() for cell in bad]
    grouped = all(_THOUSANDS.fullmatch(cell) for cell in cells)
    if all(_DECIMAL_COMMA.fullmatch(cell) for cell in cells):
        decimal = 'data.source: {path: …, decimal: ","}'
        if not grouped:
            return decimal
        # Nobody can tell 1,234 from 1,234: a guess could move it by a thousand.
        return (
            f'{decimal} if {cells[0]} is {cells[0].replace(",", ".")}; thousands: ","'
            f" if it is {cells[0].replace(',', '')}"
        )
    if grouped:
        return 'data.source: {path: …, thousands: ","}'
    listed = ", ".join(f"'{cell}'" for cell in dict.fromkeys(cells[:50]))[:80]
    return f"if they mean missing: data.columns.{column}: {{missing: [{listed}]}}"


def _flags(values: Any) -> Flags:
    import numpy as np

    return np.asarray(values.to_numpy(dtype=bool, na_value=False), dtype=np.bool_)


def _missing(series: pd.Series[Any]) -> Flags:
    import numpy as np

    return np.asarray(series.isna().to_numpy(), dtype=np.bool_)


def _sample(series: pd.Series[Any]) -> str:
    values = list(dict.fromkeys(series.dropna().head(50)))[:3]
    return ", ".join(repr(v) if isinstance(v, str) else str(v) for v in values)


def _said(series: pd.Series[Any]) -> str:
    return f"'{series.name}' ({kind_of(series)}: {_sample(series)})"


# ----------------------------------------------------------------- the formulas


def compute(formula: Formula, frame: pd.DataFrame) -> Floats:
    """The formula's value in every row, float64; a missing operand gives missing.

    Raises:
        SpecError: X01, a column does not exist.
        DataError: D07, a column is not a number; D08, a value that does not exist
            (division by zero, log or root of what has none, overflow), with the count.
    """
    import numpy as np

    for name in formula.columns():
        require(frame, name)
    value = np.asarray(_number(formula.root, frame), dtype=np.float64)
    return np.broadcast_to(value, len(frame)).copy()


def _number(node: Expression, frame: pd.DataFrame) -> Any:
    if isinstance(node, Number):
        return float(node.value)
    if isinstance(node, Column):
        return as_numbers(frame[node.name], node.name)
    import numpy as np

    parts = [_number(part, frame) for part in node.arguments]
    with np.errstate(all="ignore"):
        result = _apply(node.function, parts)
    given = ~np.any([np.isnan(part) for part in np.broadcast_arrays(*parts)], axis=0)
    rows = np.broadcast_to(given & ~np.isfinite(result), len(frame))
    if count := int(rows.sum()):
        why, fix = _FAULTS[node.function]
        raise DataError(
            "D08",
            f"{Formula(node)}: {count:,} of {len(frame):,} rows have no value ({why})",
            fix=fix,
        )
    return result


def _apply(function: str, parts: list[Any]) -> Any:
    import numpy as np

    if function in {"min", "max"}:
        ufunc = np.minimum if function == "min" else np.maximum
        result = parts[0]
        for part in parts[1:]:
            result = ufunc(result, part)
        return result
    functions: Mapping[str, Callable[..., Any]] = {
        "+": np.add,
        "-": np.subtract,
        "*": np.multiply,
        "/": np.divide,
        "**": np.power,
        "negative": np.negative,
        "log": np.log,
        "exp": np.exp,
        "sqrt": np.sqrt,
        "abs": np.abs,
    }
    return functions[function](*parts)


_KEEP = "leave those rows out with a `keep` step before"
_LARGE = ("infinite or too large for a number", "rescale the columns")
_FAULTS: Mapping[str, tuple[str, str]] = {
    "/": ("division by zero", _KEEP),
    "log": ("log of zero or a negative number", f"{_KEEP}, or use asinh or log1p"),
    "sqrt": ("root of a negative number", _KEEP),
    "**": ("power that is infinite or not a real number", _KEEP),
    "exp": _LARGE,
    "+": _LARGE,
    "-": _LARGE,
    "*": _LARGE,
    "negative": _LARGE,
    "abs": _LARGE,
    "min": _LARGE,
    "max": _LARGE,
}
