"""Learners made of learners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from framework.contract import Learner, written

#: Contiguous folds, as for the penalised learners.
FOLDS = 5


def members(
    learners: Sequence[Learner],
    task: Literal["regression", "classification"],
    seed: int,
) -> list[tuple[str, Any]]:
    """Each learner built, with a name of its own; the same learner twice is two."""
    return [
        (f"{i}_{type(learner).__name__.lower()}", learner.build(task, seed))
        for i, learner in enumerate(learners)
    ]


def names(learners: Sequence[Learner]) -> tuple[str, ...]:
    """What a reader tells them apart by: names, and options where names are equal."""
    pairs = [next(iter(written(learner).items())) for learner in learners]
    made: list[str] = []
    for name, options in pairs:
        alike = [o for n, o in pairs if n == name]
        differ = [k for k in options if any(o[k] != options[k] for o in alike)]
        said = ", ".join(f"{k} {_spoken(options[k])}" for k in differ)
        full = f"{name} ({said})" if said else name
        made.append(full)
    # The same learner twice is two.
    again = [made[:i].count(name) for i, name in enumerate(made)]
    return tuple(
        f"{name} #{a + 1}" if a else name for name, a in zip(made, again, strict=True)
    )


def _spoken(value: object) -> str:
    """An option's value; learners among them by their names."""
    if value is None:
        return "not set"
    if isinstance(value, dict):
        return " + ".join(map(str, value))
    if isinstance(value, list | tuple):
        return " + ".join(_spoken(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
