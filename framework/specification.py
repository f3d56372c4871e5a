"""What an estimation is, however it was written: `1` or `1.0`, `[a, b]` or `[b, a]`.

A fingerprint names what is computed, to the last bit; this tells whether two variants
of a study are one specification, which a sweep runs once and a multiverse counts once.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from framework.errors import EstimandError
from framework.spec import choices

#: Of a model: lists whose order says nothing about what is estimated.
_SETS = ("controls", "instruments", "mediators", "fixed_effects", "acknowledge")
#: Mappings whose order is the order in which they act.
_IN_ORDER = ("steps", "sample")


def specification(
    data: Mapping[str, Any],
    model: Mapping[str, Any],
    draws: Mapping[str, Any] | None = None,
) -> Hashable:
    """What two trees have in common if and only if they ask for the same estimation.

    Args:
        data, model: trees of an estimation.
        draws: its random repetition, if any.
    """
    return _fields(data), _fields(model), _plain(draws)


def _fields(tree: Mapping[str, Any]) -> Hashable:
    """A tree without what is empty: `controls: []` says what no controls say."""
    said = {key: _field(key, value) for key, value in tree.items() if value is not None}
    return frozenset((k, v) for k, v in said.items() if v not in ((), frozenset()))


def _field(key: str, value: Any) -> Hashable:
    if key in _SETS and isinstance(value, list):
        return frozenset(map(_plain, value))
    if key in _IN_ORDER and isinstance(value, Mapping):
        return tuple(
            (name, _acting(key, flat))
            for name, flat in value.items()
            if flat is not None
        )
    if key == "inference" and isinstance(value, Mapping):
        return _plain({**value, **_clusters(value)})
    if key == "estimator" and isinstance(value, Mapping):
        return _options(value)
    return _plain(value)


def _clusters(inference: Mapping[str, Any]) -> dict[str, Any]:
    """`by: sid` is `by: [sid]`, and two-way clusters have no first way."""
    by = inference.get("by")
    if isinstance(by, str):
        return {"by": frozenset({by})}
    return {"by": frozenset(map(_plain, by))} if isinstance(by, list) else {}


def _options(flat: Mapping[str, Any]) -> Hashable:
    """An estimator with all its options: one that is written out may be the default."""
    try:
        held = choices.build("estimator", flat)
    except (EstimandError, ValueError):  # who runs it says what is wrong with it
        return _plain(flat)
    return flat["name"], _plain(held.model_dump())


def _acting(key: str, flat: Any) -> Hashable:
    """A step or a restriction; a condition as what it says, not as it is spaced."""
    if key != "sample" or not isinstance(flat, Mapping) or "where" not in flat:
        return _plain(flat)
    from framework.condition import parse

    try:
        return "where", parse(str(flat["where"]))
    except EstimandError:
        return _plain(flat)


def _plain(value: Any) -> Hashable:
    if isinstance(value, bool):
        return "truth", value  # Python takes True for 1
    if isinstance(value, Mapping):
        return frozenset((_plain(k), _plain(v)) for k, v in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(map(_plain, value))
    if isinstance(value, set | frozenset):
        return frozenset(map(_plain, value))
    return value if isinstance(value, Hashable) else repr(value)
