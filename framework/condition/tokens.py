"""The words of a condition or formula, with their places."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from framework.condition.trees import KEYWORDS, NUMBER, WORD, Number
from framework.errors import (
    EstimandError,
    SafetyError,
    SpecError,
    looks_like_code,
)

#: Longest text, most tokens and deepest nesting of a condition or formula.
MAX_LENGTH, MAX_TOKENS, MAX_DEPTH = 10_000, 2_000, 50
#: A formula's tree grows with every operator, so it is kept shorter.
MAX_FORMULA_TOKENS = 300
_MAX_NUMBER = 40
_SYMBOL = re.compile(r"!=|<=|>=|\*\*|[=<>(),+\-*/]")
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
class Token:
    """A word with where it starts in the text."""

    kind: Literal["number", "word", "single", "double", "backtick", "symbol", "end"]
    text: str
    start: int

    def word(self) -> str:
        """The keyword, if this is one."""
        lowered = self.text.lower()
        return lowered if self.kind == "word" and lowered in KEYWORDS else ""


_QUOTES: Mapping[str, Literal["single", "double", "backtick"]] = {
    "'": "single",
    '"': "double",
    "`": "backtick",
}


class Tokens:
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

    def _split(self) -> list[Token]:
        tokens, at = [], 0
        while at < len(self.text):
            if self.text[at].isspace():
                at += 1
                continue
            token, at = self._token(at)
            tokens.append(token)
        return [*tokens, Token("end", "", len(self.text))]

    def _token(self, at: int) -> tuple[Token, int]:
        character = self.text[at]
        if character in _QUOTES:
            return self._quoted(at)
        if match := NUMBER.match(self.text, at):
            return Token("number", match.group(), at), match.end()
        if match := WORD.match(self.text, at):
            return Token("word", match.group(), at), match.end()
        if match := _SYMBOL.match(self.text, at):
            return Token("symbol", match.group(), at), match.end()
        raise self.error(f"unexpected {character!r}", at, _HINTS.get(character, ""))

    def _quoted(self, at: int) -> tuple[Token, int]:
        mark, end, parts = self.text[at], at + 1, []
        while (close := self.text.find(mark, end)) != -1:
            parts.append(self.text[end:close])
            if not self.text.startswith(mark, close + 1):
                return Token(_QUOTES[mark], mark.join(parts), at), close + 1
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

    def peek(self) -> Token:
        return self._tokens[self._next]

    def take(self) -> Token:
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

    def number(self, token: Token, sign: int = 1) -> Number:
        if len(token.text) > _MAX_NUMBER:
            raise self.error("the number is too long", token.start)
        if token.text.isdigit():
            return Number(sign * int(token.text))
        value = float(token.text)
        if not math.isfinite(value):
            raise self.error("the number is too large", token.start)
        return Number(sign * value)
