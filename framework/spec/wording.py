"""What pydantic finds wrong with a value, in the words of a study."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from framework.errors import counted

_LIST = "a list [a, b]"
_BLOCK = "a block {key: value}"
_WHOLE, _NUMBER, _FINITE = "a whole number", "a number", "a finite number"
_SHAPES: Mapping[str, str] = {
    "tuple_type": _LIST,
    "list_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "dict_type": _BLOCK,
    "mapping_type": _BLOCK,
    "model_type": _BLOCK,
    "model_attributes_type": _BLOCK,
    "dataclass_type": _BLOCK,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _FINITE,
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "none_required": "null",
}


def shape(item: Mapping[str, Any]) -> str:
    """What a value should be, where pydantic says a type or a choice; else ""."""
    if item["type"] in ("literal_error", "enum"):
        return str(item["ctx"]["expected"])
    return _SHAPES.get(item["type"], "")


def say(item: Mapping[str, Any], *, secret: bool = False) -> str:
    """One finding of `ValidationError.errors()`, without its path.

    Args:
        item: the finding.
        secret: the value may hold a password and is not shown.
    """
    return say_any([item], secret=secret)


def say_any(items: Sequence[Mapping[str, Any]], *, secret: bool = False) -> str:
    """The findings of all alternatives that one value may take, as `say`."""
    first = items[0]
    given = "" if secret else f", got {_written(first['input'])}"
    shapes = dict.fromkeys(shape(item) for item in items)
    if all(shapes):
        return (
            f"should be {_listed([s for s in shapes if not _within(s, shapes)])}{given}"
        )
    kind, context = first["type"], first.get("ctx") or {}
    if kind == "value_error":
        return str(first["msg"]).removeprefix("Value error, ")
    if kind == "missing":
        return _missing(first["loc"])
    if kind in ("too_short", "too_long"):
        least = kind == "too_short"
        wanted = context["min_length" if least else "max_length"]
        return (
            f"should have at {'least' if least else 'most'} {counted(wanted, 'item')}, "
            f"not {context['actual_length']}"
        )
    message = str(first["msg"]).replace("Input should", "should")
    return f"{message[0].lower()}{message[1:]}{given}"


def _written(value: object) -> str:
    """As YAML has it, cut where it is long."""
    if value is None or isinstance(value, bool):
        return str(value).lower() if value is not None else "null"
    return f"{value!r:.60}"


def _within(one: str, shapes: Container[str]) -> bool:
    return one in (_WHOLE, _FINITE) and _NUMBER in shapes


def _listed(shapes: Sequence[str]) -> str:
    *most, last = shapes
    return f"{', '.join(most)} or {last}" if most else last


def _missing(place: Sequence[str | int]) -> str:
    last = place[-1]
    if isinstance(last, int):
        return f"the list has no item {last + 1}"
    return f"'{last}' is missing"
