"""Names and sentences of tables: files, columns, full stops."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from framework.render.run import (
    Column,
)


def file_stem(name: str) -> str:
    """A file name from a name in a study: no path, no surprise."""
    return re.sub(r"[^\w-]", "_", name) or "_"


def column_marks(columns: Sequence[Column]) -> dict[str, str]:
    """Address -> `(1)`, `(2)`, … in the order of the table."""
    return {column.address: f"({n})" for n, column in enumerate(columns, start=1)}


def per_column(
    marks: Mapping[str, str],
    columns: Sequence[Column],
    texts: Callable[[Column], Sequence[str]],
) -> list[tuple[str, str]]:
    """(`(1), (3)`, text): columns that say the same share one note."""
    said: dict[str, list[str]] = {}
    for column in columns:
        for text in dict.fromkeys(texts(column)):
            said.setdefault(text, []).append(marks[column.address])
    return [(_ranges(where), text) for text, where in said.items()]


def _ranges(marks: Sequence[str]) -> str:
    """`(1)`, `(2)`, `(3)`, `(5)` -> `(1)–(3), (5)`."""
    values = [int(mark.strip("()")) for mark in marks]
    parts: list[str] = []
    start = previous = values[0]
    for value in [*values[1:], -1]:
        if value == previous + 1:
            previous = value
            continue
        parts.append(f"({start})" if start == previous else f"({start})–({previous})")
        start = previous = value
    return ", ".join(parts)


def full_stop(text: str) -> str:
    """The text with one at its end."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def capital(text: str) -> str:
    """The text with its first letter large."""
    return text[:1].upper() + text[1:]
