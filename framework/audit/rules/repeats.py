"""Estimate and standard error that repeat to the digit in another column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from framework.audit.finding import Finding
from framework.audit.rule import Rule
from framework.audit.scene import Leaf, Scene, listed

#: Shorter numbers agree by chance.
_DIGITS = 5


def judge(scene: Scene) -> Iterator[Finding]:
    """Groups of columns that print the same pair, and are not the same estimation."""
    groups: dict[tuple[str, str], list[Leaf]] = {}
    for leaf in scene.leaves:
        if leaf.printed.std_error is not None and _digits(leaf) >= _DIGITS:
            key = (str(leaf.printed.number), str(leaf.printed.std_error))
            groups.setdefault(key, []).append(leaf)
    # One finding for the columns, however many of their numbers repeat.
    repeated: dict[tuple[str, ...], list[list[Leaf]]] = {}
    for held in groups.values():
        different = _different(scene, held)
        if len(different) > 1:
            columns = tuple(leaf.column for leaf in different)
            repeated.setdefault(columns, []).append(different)
    for found in repeated.values():
        yield _finding(scene, found[0], len(found) - 1)


def _digits(leaf: Leaf) -> int:
    digits = [leaf.printed.number, leaf.printed.std_error]
    return sum(len(d.as_tuple().digits) for d in digits if d is not None and d)


def _different(scene: Scene, held: list[Leaf]) -> list[Leaf]:
    """One leaf for every different estimation."""
    found: dict[str, Leaf] = {}
    for leaf in held:
        estimation = scene.estimations.get(leaf.column)
        told: Any = leaf.column
        if found and not _agree(scene, next(iter(found.values())), leaf):
            continue  # another number of the two columns tells them apart
        if estimation is not None:
            model = {k: v for k, v in estimation.model.items() if k != "estimand"}
            told = f"{model} {estimation.data}"
        found.setdefault(str(told), leaf)
    return list(found.values())


def _agree(scene: Scene, one: Leaf, other: Leaf) -> bool:
    """All that both columns print is the same: coefficients by name, and R2."""
    columns = scene.columns()
    a, b = columns[one.column], columns[other.column]
    both = [
        (a[name].printed, b[name].printed)
        for name in a
        if name in b and (name == "r2" or a[name].printed.std_error is not None)
    ]
    return all((x.number, x.std_error) == (y.number, y.std_error) for x, y in both)


def _finding(scene: Scene, leaves: list[Leaf], others_too: int) -> Finding:
    first, *others = leaves
    columns = scene.columns()
    fits = [
        columns[leaf.column]["r2"].printed.text
        for leaf in leaves
        if "r2" in columns[leaf.column]
    ]
    same_fit = len(fits) == len(leaves) and len(set(fits)) == 1
    also = f", R2 {fits[0]}" if same_fit else ""
    also += f" and {others_too} more coefficients" if others_too else ""
    why = _same_regressor(scene, first, others)
    return Finding(
        "repeats",
        "inconsistent" if why else "doubtful",
        others[0].address,
        f"{first.printed.text}{also} in {len(leaves)} columns: "
        + listed(leaf.column for leaf in leaves),
        why or "no reason is found in the design",
        "The columns are one regression under several names, not several tests."
        if why
        else "Different regressions do not agree in every digit by chance.",
        f"{len(leaves)} columns with {first.printed.text}",
        spec=scene.spec(others[0].address),
    )


def _same_regressor(scene: Scene, first: Leaf, others: list[Leaf]) -> str:
    """In words, when the columns' regressors are one and the same in the data."""
    for other in others:
        frame = scene.frame(other.column)
        if frame is None or first.name == other.name:
            return ""
        if not {first.name, other.name} <= set(frame.columns):
            return ""
        gap = (frame[first.name] - frame[other.name]).abs().max()
        if gap != 0:
            return ""
    one = others[0].name
    return (
        f"'{one}' equals '{first.name}' in all {len(frame):,} rows"  # type: ignore[arg-type]  # others is not empty, so the loop set it
        if others
        else ""
    )


RULE = Rule("repeats", "does a result repeat to the digit in another column?", judge)
