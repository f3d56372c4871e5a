"""What a heading's tables say: from columns of the run to `Table`.

`tables_of` is the table of contents: the regression table, the descriptive tables of
diagnostics, and the published numbers beside ours.
"""

from __future__ import annotations

import math
from statistics import median

from framework.glossary import SCALARS, TESTS
from framework.render import fit_rows, numbers
from framework.render.coefficient_rows import (
    coefficient_blocks,
    shift_blocks,
    shown_terms,
)
from framework.render.curves import curves_of
from framework.render.fit_rows import (
    design_rows,
    statistic_rows,
)
from framework.render.frame_tables import (
    diagnostic_tables,
    is_diagnostic,
    sample_tables,
)
from framework.render.multiverse import multiverse_tables
from framework.render.run import (
    STATUS_WORDS,
    Column,
    Heading,
    RunFolder,
    spoken,
)
from framework.render.table import DASH, Block, Cell, Head, Row, Table
from framework.render.table_notes import heads_of, notes_of, verdicts_of
from framework.render.words import (
    file_stem,
)

#: A smaller difference is printed as `1.2e-05`.
_SMALL_DIFFERENCE = 0.001


def tables_of(run: RunFolder, heading: Heading) -> tuple[Table, ...]:
    """All tables of a heading; never empty."""
    regression = regression_table(run, heading)
    frames = [*diagnostic_tables(run, heading), *sample_tables(run, heading)]
    published = published_table(run, heading)
    every = multiverse_tables(run, heading, file_stem(heading.name))
    tables = [t for t in (regression, *every, *frames, published) if t is not None]
    if not tables:
        notes = tuple(curve.sentence() for curve in curves_of(heading))
        tables = [_empty_table(heading, notes)]
    return tuple(tables)


def number_columns(run: RunFolder, heading: Heading) -> tuple[Column, ...]:
    """The columns of the regression table, baseline placed as the study says."""
    curves = {curve.line for curve in curves_of(heading)}
    columns = [
        column
        for column in heading.columns
        if column.line not in curves and not is_diagnostic(column)
    ]
    where, baseline = heading.options.baseline, run.baseline
    if where != "none" and baseline is not None:
        columns = [column for column in columns if column is not baseline]
        columns.insert(0 if where == "first" else len(columns), baseline)
    return tuple(columns)


def regression_table(run: RunFolder, heading: Heading) -> Table | None:
    """Coefficients over standard errors, one column per line or value."""
    columns = number_columns(run, heading)
    if not columns:
        return None
    shown, hidden = shown_terms(run, heading, columns)
    if any(column.done for column in columns):
        blocks = [
            *coefficient_blocks(run, columns, shown),
            *shift_blocks(run, columns),
            Block(design_rows(run, columns, hidden)),
            Block(statistic_rows(columns)),
        ]
    else:
        words = (STATUS_WORDS.get(column.status, column.status) for column in columns)
        cells = tuple(Cell(f"{DASH} {word}") for word in words)
        blocks = [Block((Row("No estimate", cells),))]
    return Table(
        stem=file_stem(heading.name),
        title=heading.title,
        heads=heads_of(run, heading, columns),
        blocks=tuple(block for block in blocks if block.rows),
        notes=notes_of(run, heading, columns),
        verdicts=verdicts_of(heading, columns),
    )


def published_table(run: RunFolder, heading: Heading) -> Table | None:
    """Printed numbers of the paper beside ours, with the difference."""
    rows = []
    for entry in run.published:
        if entry.address.split(".")[0] != heading.name:
            continue
        # A run of an older version has not recorded ours as printed.
        ours = entry.ours or numbers.plain(entry.estimate)
        agrees = {
            None: "?\u00a0nothing of ours",
            True: "✓\u00a0agrees",
            False: f"✗\u00a0{', '.join(entry.differing) or 'differs'}",
        }[entry.agrees]
        rows.append(
            Row(
                _published_label(run, entry.address),
                (
                    Cell(entry.printed),
                    Cell(numbers.typeset(ours) if ours else DASH),
                    Cell(_difference(entry.difference), "", "number"),
                    Cell(agrees),
                ),
            )
        )
    if not rows:
        return None
    texts = tuple(
        e.text
        for e in run.published
        # What is beside ours says in its row what differs.
        if e.agrees is None and e.text and e.address.split(".")[0] == heading.name
    )
    labels = ("Printed", "Ours", "Difference", "What differs")
    return Table(
        stem=f"{file_stem(heading.name)}_published",
        title=f"{heading.title}: printed numbers beside ours",
        heads=(Head(tuple((label, 1) for label in labels)),),
        blocks=(Block(tuple(rows)),),
        notes=(
            *dict.fromkeys(texts),
            "Ours is rounded as printed; the difference is taken before rounding.",
        ),
    )


def _empty_table(heading: Heading, notes: tuple[str, ...]) -> Table:
    """A heading whose lines are all curves: the sentence stands for the columns."""
    rows = []
    for curve in curves_of(heading):
        estimates = sorted(c.judged.estimate for c in curve.done if c.judged)
        cells = [numbers.plain(float(len(curve.columns)))]
        if estimates and not curve.mixed:
            places = numbers.row_decimals(
                [c.judged.std_error for c in curve.done if c.judged]
            )
            cells += [
                numbers.fixed(x, places)
                for x in (estimates[0], median(estimates), estimates[-1])
            ]
        else:
            cells += [DASH] * 3
        rows.append(
            Row(spoken(curve.line), tuple(Cell(c, "", "number") for c in cells))
        )
    labels = ("Values", "Smallest", "Median", "Largest")
    return Table(
        stem=file_stem(heading.name),
        title=heading.title,
        heads=(Head(tuple((label, 1) for label in labels)),),
        blocks=(Block(tuple(rows)),),
        notes=notes,
        verdicts=verdicts_of(heading, ()),
    )


def _published_label(run: RunFolder, address: str) -> str:
    """`heading.line[.value].term[index]` in words, without the heading."""
    *path, name = address.split(".")[1:] or [address]
    term, bracket, index = name.partition("[")
    labels = {name: label for name, label, _ in fit_rows.SCALARS}
    # A scalar or test of the glossary that has no words of its own is a slug.
    known = (term in SCALARS or term in TESTS) and term not in run.labels
    said = labels.get(term) or (spoken(term) if known else run.label(term))
    words = [spoken(path[0]), *map(run.label, path[1:])] if path else []
    return ": ".join([*([", ".join(words)] if words else []), said + bracket + index])


def _difference(value: float) -> str:
    if math.isnan(value):
        return ""
    small = abs(value) < _SMALL_DIFFERENCE and value
    return f"{value:.1e}" if small else numbers.plain(value)
