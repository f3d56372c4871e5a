"""From words to trees: the grammar that the package's docstring states."""

from __future__ import annotations

from typing import Literal

from framework.condition.tokens import (
    FUNCTIONS,
    MAX_FORMULA_TOKENS,
    MAX_TOKENS,
    Token,
    Tokens,
)
from framework.condition.trees import (
    COMPARISONS,
    Call,
    Column,
    Comparison,
    Condition,
    Expression,
    Formula,
    IsMissing,
    Junction,
    Membership,
    Not,
    Number,
    Text,
)
from framework.errors import did_you_mean


def parse(text: str) -> Condition:
    """The condition that `text` says.

    Raises:
        SpecError: X20, with the position of what can't be read.
        SafetyError: X03, longer or deeper than any sensible condition.
    """
    tokens = Tokens(text, what="condition", limit=MAX_TOKENS)
    if tokens.peek().kind == "end":
        raise tokens.error("nothing is written", 0, "write e.g. year >= 2015")
    condition = _either(tokens)
    _nothing_more(tokens)
    return condition


def _nothing_more(tokens: Tokens) -> None:
    token = tokens.peek()
    if token.kind == "end":
        return
    fix = "join two conditions with `and` or `or`"
    if token.kind == "symbol" and token.text in COMPARISONS:
        fix = "write year >= 2015 and year <= 2019"
        if token.text == "=":
            fix = "equality is one sign: ="
    elif token.kind == "number" and tokens.text[token.start - 1 : token.start] == "-":
        fix = "dates stand in quotes: day >= '2015-01-31'"
    elif token.kind == "word":
        fix = "text of several words stands in single quotes, or join with `and`"
    raise tokens.error(f"unexpected {token.text!r}", fix=fix)


def _either(tokens: Tokens) -> Condition:
    parts = [_both(tokens)]
    while tokens.keyword("or"):
        parts.append(_both(tokens))
    return _joined("or", parts)


def _both(tokens: Tokens) -> Condition:
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


def _negated(tokens: Tokens) -> Condition:
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


def _test(tokens: Tokens) -> Condition:
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
    if token.kind != "symbol" or token.text not in COMPARISONS:
        raise tokens.error(
            f"expected a comparison after {column!r}",
            token.start,
            "= != < <= > >=, in (…), is missing",
        )
    if token.text == "=" and tokens.peek().text == "=":
        raise tokens.error("unexpected '='", fix="equality is one sign: =")
    return Comparison(column, token.text, _value(tokens))


def _left(tokens: Tokens) -> str:
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


def _listed(tokens: Tokens) -> tuple[Number | Text, ...]:
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


def _value(tokens: Tokens) -> Number | Text | Column:
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
    tokens = Tokens(text, what="formula", limit=MAX_FORMULA_TOKENS)
    if tokens.peek().kind == "end":
        raise tokens.error("nothing is written", 0, "write e.g. gdp / population")
    root = _sum(tokens)
    if tokens.peek().kind != "end":
        token = tokens.peek()
        compares = token.kind == "symbol" and token.text in COMPARISONS
        fix = "conditions make a 0/1 column with the step `indicator`"
        raise tokens.error(f"unexpected {token.text!r}", fix=fix if compares else "")
    return Formula(root)


def _sum(tokens: Tokens) -> Expression:
    tokens.enter()
    node = _product(tokens)
    while symbol := tokens.symbol("+", "-"):
        node = Call(symbol, (node, _product(tokens)))
    tokens.leave()
    return node


def _product(tokens: Tokens) -> Expression:
    node = _sign(tokens)
    while symbol := tokens.symbol("*", "/"):
        node = Call(symbol, (node, _sign(tokens)))
    return node


def _sign(tokens: Tokens) -> Expression:
    tokens.enter()
    node = Call("negative", (_sign(tokens),)) if tokens.symbol("-") else _power(tokens)
    tokens.leave()
    return node


def _power(tokens: Tokens) -> Expression:
    base = _atom(tokens)
    return Call("**", (base, _sign(tokens))) if tokens.symbol("**") else base


def _atom(tokens: Tokens) -> Expression:
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


def _function(tokens: Tokens, name: Token) -> Call:
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
