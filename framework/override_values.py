"""Values as typed after the `=` of an override, to plain values and back.

The grammar is Hydra's, with one kindness: what Hydra's lexer can't read is text. A
value is cut at its top-level commas, then into the items of its lists and blocks, and
every item that Hydra can't read, or takes for a function it does not have, is text as
written. So `绿色效率`, `log(y)` and `year >= 2015` need no second quotes.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from framework.composition import quoted, read_item
from framework.errors import SafetyError, SpecError

_OPENING, _CLOSING = "([{", ")]}"
_DEEPEST = 24
_MISLEADING = re.compile(
    r"[-+]?0[0-9_]+(\.[0-9]*)?|[-+]?0[xob][0-9a-fA-F_]+|[-+]?[0-9][0-9.]*_[0-9_.]*([eE][-+]?[0-9_]+)?"
    r"|[-+]?\.?(inf|nan)|~",
    re.IGNORECASE,
)
_PLAIN_TEXT = re.compile(r"[A-Za-z_][\w./-]*", re.ASCII)
_RESERVED = {"null", "true", "false", "nan", "inf", "every"}


def read_values(text: str) -> tuple[list[Any], bool]:
    """The values of the text after `=`, and whether it sweeps.

    Raises:
        SpecError: the text is not a value, or means different things to different
            readers (`010`).
        SafetyError: it names code.
    """
    if not text:
        raise SpecError(
            "X14", "no value after `=`", fix="null removes it, '' is empty text"
        )
    inside = _inside(text, "choice")
    items = _items(text if inside is None else inside)
    values: list[Any] = []
    sweeps = inside is not None or len(items) > 1
    for item in items:
        read, item_sweeps = _item(item, depth=0)
        values += read
        sweeps = sweeps or item_sweeps
    return values, sweeps


def write_value(value: Any) -> str:
    """A plain value in the override grammar; reading it back gives the same value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        pairs = (f"{write_value(str(k))}: {write_value(v)}" for k, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(write_value, value)) + "]"
    text = str(value)
    if _PLAIN_TEXT.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    return quoted(text)


def _item(text: str, depth: int) -> tuple[Sequence[Any], bool]:
    """The value (or values) of one item."""
    if depth > _DEEPEST:
        raise SafetyError("X03", f"nesting deeper than {_DEEPEST}", fix="flatten it")
    if not text:
        raise SpecError(
            "X14", "nothing between two commas", fix="null, or '' for no text"
        )
    if text[0] == "[":
        return [[_single(t, depth) for t in _items(_enclosed(text), empty=True)]], False
    if text[0] == "{":
        pairs = [_pair(t, depth) for t in _items(_enclosed(text), empty=True)]
        block = dict(pairs)
        if len(block) < len(pairs):
            raise SpecError("X02", f"a key given twice in {text}", fix="write it once")
        return [block], False
    if _MISLEADING.fullmatch(text):
        fix = "null" if text == "~" else f"a plain decimal number, or '{text}' for text"
        raise SpecError(
            "X02", f"{text} means different things to different readers", fix=fix
        )
    read = read_item(text)
    if read is not None:
        if not read.quoted:
            _refuse_infinite(read.values, text)
        return read.values, read.sweeps
    if text[0] in "'\"":
        raise SpecError("X13", f"{text}: the quotes end too early or not at all")
    return [text], False


def _single(text: str, depth: int) -> Any:
    values, sweeps = _item(text, depth + 1)
    if sweeps:
        raise SpecError(
            "X15",
            f"{text} sweeps inside a list or block",
            fix="sweep over whole values: [a,b],[a,c]",
        )
    return values[0]


def _pair(text: str, depth: int) -> tuple[str, Any]:
    parts = list(_cuts(text, ":"))
    key = parts[0].strip()
    if len(parts) == 1 or not key:
        raise SpecError("X13", f"'{text}' in a block is no `key: value`")
    if key[0] in "'\"":
        key = str(_single(key, depth))
    if key == "_target_":
        raise SafetyError("X05", "`_target_`", fix="name a registered plugin")
    return key, _single(text[len(parts[0]) + 1 :].strip(), depth)


def _refuse_infinite(values: Sequence[Any], text: str) -> None:
    if any(isinstance(v, float) and not math.isfinite(v) for v in values):
        raise SpecError(
            "X02", f"{text} is not a finite number", fix=f"'{text}' for text"
        )


def _inside(text: str, function: str) -> str | None:
    """What stands in the brackets of `function(…)`; None if the text is not that."""
    match = re.match(rf"{function}\s*(?=\()", text)
    if not match or _closing(text) != len(text) - 1:
        return None
    return text[match.end() + 1 : -1]


def _enclosed(text: str) -> str:
    if _closing(text) != len(text) - 1:
        raise SpecError(
            "X13", f"{text}: text after the bracket", fix=f"'{text}' for text"
        )
    return text[1:-1]


def _items(text: str, *, empty: bool = False) -> list[str]:
    """The items between top-level commas, stripped."""
    if empty and not text.strip():
        return []
    return [item.strip() for item in _cuts(text, ",")]


def _cuts(text: str, mark: str) -> list[str]:
    """`text` cut at every `mark` outside brackets and quotes.

    Raises:
        SpecError: a bracket that is never closed, or never opened.
    """
    places = [at for at, here, depth in _walk(text) if here == mark and not depth]
    edges = itertools.pairwise([-1, *places, len(text)])
    return [text[start + 1 : end] for start, end in edges]


def _closing(text: str) -> int:
    """Where the first bracket of `text` closes."""
    closed = (at for at, here, depth in _walk(text) if here in _CLOSING and not depth)
    return next(closed, -1)


def _walk(text: str) -> Iterator[tuple[int, str, int]]:
    """Every character outside quotes: (place, character, brackets open after it).

    A quote opens only where an item begins, so that `Côte d'Ivoire` is a word; a
    backslash takes away the meaning of the next character, as in Hydra.
    """
    brackets: list[str] = []
    at, item_begins = 0, True
    while at < len(text):
        here = text[at]
        if here == "\\":
            at, item_begins = at + 2, False
            continue
        if item_begins and here in "'\"":
            at, item_begins = _end_of_quotes(text, at) + 1, False
            continue
        if here in _OPENING:
            brackets.append(_CLOSING[_OPENING.index(here)])
        elif here in _CLOSING and (not brackets or brackets.pop() != here):
            raise _unbalanced(text, f"`{here}` closes nothing")
        yield at, here, len(brackets)
        item_begins = here in "([{,:=" or (item_begins and here.isspace())
        at += 1
    if brackets:
        raise _unbalanced(text, f"`{brackets[-1]}` is missing")


def _unbalanced(text: str, what: str) -> SpecError:
    return SpecError("X13", f"{text}: {what}", fix="quote it if it is text")


def _end_of_quotes(text: str, opening: int) -> int:
    closing = re.compile(rf"(?<!\\)(\\\\)*{text[opening]}").search(text, opening + 1)
    if closing is None:
        raise SpecError("X13", f"{text}: the quote is never closed")
    return closing.end() - 1
