"""What stands above and below a regression table: headers, notes, verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from framework.render import numbers
from framework.render.coefficient_rows import (
    is_called,
    terms_of,
)
from framework.render.curves import curves_of
from framework.render.fit_rows import (
    TESTS,
    plugin_name,
)
from framework.render.run import (
    Column,
    Heading,
    RunFolder,
    spoken,
)
from framework.render.table import Head, merge_equal
from framework.render.words import (
    capital,
    column_marks,
    full_stop,
    per_column,
)


def heads_of(
    run: RunFolder, heading: Heading, columns: Sequence[Column]
) -> tuple[Head, ...]:
    """Lines, outcomes, values and numbers above the columns."""
    heads = []
    outcomes = [column.outcome for column in columns]
    lines = [_line_label(heading, column) for column in columns]
    heads.append(Head(merge_equal(lines)))
    if len(set(outcomes)) > 1:
        heads.append(Head(merge_equal([run.label(o) for o in outcomes])))
    values = [run.label(column.value) for column in columns]
    # With one outcome per value the outcome row has said it already.
    if any(values) and [column.value for column in columns] != outcomes:
        heads.append(Head(tuple((value, 1) for value in values)))
    heads.append(Head(tuple((m, 1) for m in column_marks(columns).values())))
    return tuple(heads)


def _line_label(heading: Heading, column: Column) -> str:
    if column.heading != heading.name:
        return "baseline"
    return spoken(column.line)


def notes_of(
    run: RunFolder, heading: Heading, columns: Sequence[Column]
) -> tuple[str, ...]:
    """Convention, curves, samples, notes, overrides, faults."""
    marks = column_marks(columns)
    done = [column for column in columns if column.done]

    def said(prefix: str, texts: Callable[[Column], Sequence[str]]) -> list[str]:
        grouped = per_column(marks, columns, texts)
        return [f"{mark} {prefix}{text}" for mark, text in grouped]

    notes = [
        *_convention(run, columns, done),
        *(f"Drawn, not tabulated: {c.sentence()}" for c in curves_of(heading)),
        *said("sample: ", lambda c: c.sample if c.done else ()),
        *said("", lambda c: c.notes if c.done else ()),
        *said("", _uncomputed),
        *said("", lambda c: [c.adjustment] if c.adjustment and c.done else ()),
        *said("beside it, ", lambda c: [c.beside] if c.beside and c.done else ()),
        *said("the same specification as ", lambda c: [c.same_as] if c.same_as else ()),
        *said("flagged: ", lambda c: [c.flag] if c.flag and c.done else ()),
        *said("no error of the difference: ", _errorless),
        *said("refusal knowingly overridden: ", lambda c: c.acknowledged),
        *said("", lambda c: () if c.done else (c.why_empty(),)),
        *_unmet_options(run, heading, columns),
    ]
    return tuple(full_stop(note) for note in notes)


def _uncomputed(column: Column) -> list[str]:
    """Tests of the table that have a reason instead of a p value."""
    tests = ((label, column.test(name)) for name, label in TESTS)
    return [
        f"no {label}: {test.reason}" for label, test in tests if test and test.reason
    ]


def _errorless(column: Column) -> list[str]:
    """Why a difference has no standard error; that it is nil needs no reason."""
    shift = column.shift
    unknown = shift and math.isnan(shift.std_error) and shift.difference
    return [shift.reason] if shift and unknown else []


def verdicts_of(heading: Heading, columns: Sequence[Column]) -> tuple[str, ...]:
    """Expectations in words, columns with the same verdict together; then curves."""
    found = per_column(
        column_marks(columns), columns, lambda c: [v.sentence() for v in c.verdicts]
    )
    texts = [f"{mark} {text}" for mark, text in found]
    for curve in curves_of(heading):
        texts += [f"{spoken(curve.line)} {v.sentence()}" for v in curve.verdicts()]
    return tuple(full_stop(text) for text in texts)


def _unmet_options(
    run: RunFolder, heading: Heading, columns: Sequence[Column]
) -> list[str]:
    """What `report:` asks for and the run does not have."""
    notes = []
    if heading.options.baseline != "none" and run.baseline is None:
        notes.append("A baseline column was asked for; no `{}` line estimated it")
    terms = terms_of(columns)
    notes += [
        f"No column estimates the row '{name}' that was asked for"
        for name in heading.options.rows
        if not any(is_called(run, key, terms[key], name) for key in terms)
    ]
    return notes


def _convention(
    run: RunFolder, columns: Sequence[Column], done: Sequence[Column]
) -> list[str]:
    """Outcome, estimator, how standard errors are computed, stars, weights."""
    common = []
    outcomes = {column.outcome for column in columns if column.outcome}
    if len(outcomes) == 1:
        common.append(f"Outcome: {run.label(outcomes.pop())}")
    if not done:
        return common
    estimators = {column.estimator for column in done}
    if len(estimators) == 1:
        common.append(f"estimator: {plugin_name(run, estimators.pop())}")
    weights = {column.weights for column in done}
    if len(weights) == 1 and "" not in weights:
        common.append(f"weights: {weights.pop()}")
    kinds = {column.inference for column in done if column.inference}
    how = f", {kinds.pop()}" if len(kinds) == 1 else ""
    notes = [capital("; ".join(common))] if common else []
    return [*notes, f"Standard errors in parentheses{how}. {numbers.STARS_NOTE}"]
