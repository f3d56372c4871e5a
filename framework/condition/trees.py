"""What a condition or a formula says: frozen trees that print as they are written."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

KEYWORDS = frozenset({"and", "or", "not", "in", "is", "missing"})
WORD = re.compile(r"\w+")
#: Of formulas, between two parts.
OPERATORS = frozenset({"+", "-", "*", "/", "**"})
#: Of conditions.
COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">="})
NUMBER = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?!\w)", re.ASCII)


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
        if self.function in OPERATORS:
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
    tokens = WORD.fullmatch(column) and not NUMBER.match(column)
    if tokens and column.lower() not in KEYWORDS:
        return column
    return str(Column(column))
