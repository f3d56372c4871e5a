"""A line with several choices as a table: which choice moves the estimates, and tests."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from framework.render import numbers
from framework.render.run import Heading, RunFolder, spoken
from framework.render.table import Block, Cell, Head, Row, Table

_HEADS = ("Specifications", "Median", "R² alone", "R² last", "R² share")
_NOTE = (
    "R² of the estimates on the categories of a choice: by itself, on top of all other "
    "choices, and averaged over the orders in which choices are added (Shapley), so "
    "that shares sum to the R² of all choices together."
)


def multiverse_tables(run: RunFolder, heading: Heading, stem: str) -> Iterator[Table]:
    """One table for every line of a heading that is a multiverse.

    Args:
        stem: of the heading's files.
    """
    for held in run.multiverses:
        if held["heading"] != heading.name:
            continue
        title = f"{heading.title}, {spoken(held['line'])}: all specifications"
        yield Table(
            stem=f"{stem}_{held['line']}_choices",
            title=title,
            heads=(Head(tuple((label, 1) for label in _HEADS), "Choice"),),
            blocks=tuple(_block(run, choice) for choice in held["choices"])
            or (Block((Row("All", _cells(held["ran"], held["median"])),)),),
            notes=(summary(held), *mixture(held), *_notes(held)),
        )


def summary(held: Mapping[str, Any]) -> str:
    """Counts, median, range, signs and significance of a multiverse in a sentence."""
    lost = [
        f"{held[key]} {word}"
        for key, word in (("failed", "failed"), ("refused", "without a number"))
        if held[key]
    ]
    struck = f", {held['excluded']} excluded by `except`" if held["excluded"] else ""
    if same := held.get("same"):
        struck += f", {same} the same as another and counted once"
    gone = f", {', '.join(lost)}" if lost else ""
    down, up = held["significant"]
    span = ""
    if held["median"] is not None:
        middle, low, high = (_number(held[k]) for k in ("median", "lowest", "highest"))
        span = f"Median estimate {middle}, from {low} to {high}; "
    unjudged = held.get("unjudged")
    unsure = f", {unjudged} without a p value" if unjudged else ""
    return (
        f"{held['planned']} specifications planned{struck}; {held['ran']} ran{gone}. "
        f"{span}{held['positive']} positive, {held['ran'] - held['positive']} negative; "
        f"significant at 5%: {up} positive, {down} negative{unsure}."
    )


def mixture(held: Mapping[str, Any]) -> Iterator[str]:
    """What the estimates do not have in common, as sentences."""
    quantities = held.get("quantities") or {}
    if len(quantities) > 1:
        listed = ", ".join(f"{what} ({n})" for what, n in quantities.items())
        said = "the median and the R² mix them" if held["median"] is not None else ""
        none = "so no median and no R² is given"
        yield f"The estimates are of different quantities, {listed}: {said or none}."
    outcomes = held.get("outcomes") or ()
    if len(outcomes) > 1 and held["median"] is not None:
        yield (
            f"The estimates are of {len(outcomes)} outcomes: their median and R² mean "
            "something only where all are in one unit."
        )


def joint_sentences(held: Mapping[str, Any]) -> Iterator[str]:
    """The joint tests, or why there are none."""
    reasons = dict.fromkeys(t["reason"] for t in held["joint"] if t["reason"])
    for reason in reasons:
        yield f"No joint test: {reason}."
    for test in held["joint"]:
        if test["p_value"] is not None:
            yield (
                f"No effect in any specification, by {test['what']}: "
                f"{_number(test['statistic'])}, p = {numbers.plain(test['p_value'])} "
                f"({test['draws']} permutations, the same in every specification)."
            )


def _block(run: RunFolder, choice: Mapping[str, Any]) -> Block:
    r2 = [choice["alone"], choice["last"], choice["shapley"]]
    head = Row(
        run.label(spoken(choice["path"].split(".")[-1])),
        (Cell(), Cell(), *(_share(value) for value in r2)),
    )
    rows = [
        Row(f"  {run.label(name)}", _cells(count, median))
        for name, (count, median) in choice["medians"].items()
    ]
    return Block((head, *rows))


def _cells(count: int, median: float | None) -> tuple[Cell, ...]:
    middle = "" if median is None else _plain(median)
    shown = (Cell(str(count), "", "number"), Cell(middle, "", "number"))
    return (*shown, Cell(), Cell(), Cell())


def _share(value: float) -> Cell:
    return Cell(numbers.fixed(max(value, 0.0), 3), "", "number")


def _notes(held: Mapping[str, Any]) -> Sequence[str]:
    if held["choices"]:
        told = f"{_NOTE} All together: {numbers.fixed(held['r2'], 3)}."
    else:
        told = f"No choice is judged: {held['choices_reason']}."
    return (*joint_sentences(held), told)


def _plain(value: float) -> str:
    return numbers.plain(value) if math.isfinite(value) else ""


def _number(value: float) -> str:
    return numbers.typeset(_plain(value))
