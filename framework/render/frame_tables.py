"""Frames as tables: diagnostics, plots of the kind `table`, balance of matched samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from framework.render import numbers
from framework.render.run import (
    Column,
    Drawing,
    Frame,
    Heading,
    RunFolder,
    spoken,
)
from framework.render.table import Block, Cell, Head, Row, Table
from framework.render.words import (
    capital,
    file_stem,
    full_stop,
)

#: Rows of a frame that a page shows; the run's `frames/` has all of them.
MOST_FRAME_ROWS = 60
#: Columns of frames that hold dates: 2006, not 2,006.
_DATES = frozenset(
    {"cohort", "period", "base_period", "first_treated", "treated", "control"}
)
#: Columns of frames that hold p values: `< 0.001`, never 0.000.
_P_VALUES = frozenset({"p", "p_value"})
_TRUTH: Mapping[str, str] = {"True": "yes", "False": "no"}
_FRAME_LABELS: Mapping[str, str] = {
    "n": "N",
    "n_obs": "N",
    "count": "N",
    "mean": "Mean",
    "sd": "Std. dev.",
    "std": "Std. dev.",
    "std_dev": "Std. dev.",
    "min": "Min",
    "max": "Max",
    "median": "Median",
    "p": "p",
    "p_value": "p",
    "p25": "25th pct.",
    "p50": "Median",
    "p75": "75th pct.",
    "variable": "Variable",
}


def frame_table(
    stem: str,
    title: str,
    frame: Frame,
    label: Callable[[str], str],
    *,
    stub: str | None = None,
    most: int = MOST_FRAME_ROWS,
    decimals: int | None = None,
) -> Table:
    """A frame as a table.

    Args:
        stem, title: of the table.
        frame: what it shows.
        label: a cell of the stub in words.
        stub: column that names the rows; default: the first of text.
        most: rows that are shown.
        decimals: of all columns but those of whole numbers; default: each as it needs.
    """
    if stub not in frame.columns:
        stub = next((c for c in frame.columns if not frame.is_numeric(c)), None)
    columns = [c for c in frame.columns if c != stub]
    rows = []
    stubs = frame.text(stub) if stub else tuple("" for _ in frame.rows)
    printed = [_frame_cells(frame, name, decimals) for name in columns]
    for number, name in enumerate(stubs[:most]):
        rows.append(Row(label(name), tuple(cells[number] for cells in printed)))
    notes: tuple[str, ...] = ()
    if len(frame.rows) > most:
        rest = "the run's frames folder has all."
        notes = (f"The first {most} of {len(frame.rows)} rows; {rest}",)
    head = Head(
        tuple((_frame_label(name), 1) for name in columns),
        stub=_frame_label(stub) if stub else "",
    )
    return Table(
        stem=stem,
        title=title,
        heads=(head,),
        blocks=(Block(tuple(rows)),),
        notes=notes,
        text_columns=frozenset(
            i for i, name in enumerate(columns) if not frame.is_numeric(name)
        ),
    )


def is_diagnostic(column: Column) -> bool:
    """A column whose numbers are a table of their own, not one estimate."""
    if not column.done:
        return False
    rows = column.coefficients
    if not rows:
        return bool(column.frames)
    return all(row.estimand == "description" for row in rows)


def diagnostic_tables(run: RunFolder, heading: Heading) -> list[Table]:
    """Frames of diagnostics, and those that an estimation has printed beside it."""
    tables = [
        _plotted_table(run, heading, column, plot)
        for column in heading.columns
        for plot in column.plots
        if plot.kind == "table" and column.done
    ]
    found = [column for column in heading.columns if is_diagnostic(column)]
    for column in found:
        parts = _frames_of(run, column)
        for number, (name, frame) in enumerate(parts, start=1):
            words = [] if len(found) == 1 else [column.line, column.value]
            words += [] if len(parts) == 1 else [name]
            words = [word for word in words if word]
            title = ", ".join([heading.title, *(run.label(spoken(w)) for w in words)])
            stem = "_".join(file_stem(word) for word in [heading.name, *words])
            table = frame_table(stem, title, frame, run.label)
            # What the column says of itself stands once, under its last table.
            own = (*column.sample, *column.notes) if number == len(parts) else ()
            notes = (*own, *table.notes)
            tables.append(
                replace(table, notes=tuple(full_stop(note) for note in notes))
            )
    return [table for table in tables if table is not None]


def _plotted_table(
    run: RunFolder, heading: Heading, column: Column, plot: Drawing
) -> Table | None:
    """A frame that an estimation asks to have printed beside its numbers."""
    frame = run.frame(column, plot.frame)
    if frame is None or not frame.rows:
        return None
    words = [word for word in (heading.name, column.line, column.value) if word]
    stem = "_".join(file_stem(word) for word in (*words, plot.frame))
    title = plot.title or ", ".join([heading.title, spoken(plot.frame)])
    options = plot.options
    return frame_table(
        stem,
        title,
        frame,
        run.label,
        stub=options.get("stub"),
        most=options.get("rows", MOST_FRAME_ROWS),
        decimals=options.get("decimals"),
    )


def sample_tables(run: RunFolder, heading: Heading) -> list[Table]:
    """Balance of every column's matched sample; equal ones once."""
    tables: list[Table] = []
    seen: set[tuple[Frame, Frame]] = set()
    for column in heading.columns:
        for plot in column.plots:
            if plot.kind != "balance":
                continue
            place = plot.frame.rpartition(".")[0]
            covariates = run.frame(column, plot.frame)
            overall = run.frame(column, f"{place}.overall" if place else "overall")
            if covariates is None or overall is None or (covariates, overall) in seen:
                continue
            seen.add((covariates, overall))
            words = [word for word in (column.line, column.value) if word]
            said = ", ".join(run.label(spoken(word)) for word in words)
            stem = "_".join(file_stem(w) for w in (heading.name, *words, plot.frame))
            title = f"{heading.title}, {said}: {plot.title}"
            what = str(plot.options.get("what", ""))
            tables.append(_balance_table(run, stem, title, what, covariates, overall))
    return tables


_BALANCE: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("treated", "Treated", numbers.plain),
    ("untreated", "Untreated", numbers.plain),
    ("difference", "Std. diff.", partial(numbers.fixed, places=3)),
    ("variance_ratio", "Var. ratio", partial(numbers.fixed, places=3)),
)
#: Row of the whole, its place among the four columns of `_BALANCE`.
_BALANCE_ROWS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Mean |difference|", ("", "", "mean_difference", "")),
    ("Median |difference|", ("", "", "median_difference", "")),
    ("Score index (B, R)", ("", "", "rubin_b", "rubin_r")),
    ("Number", ("n_treated", "n_untreated", "", "")),
)


def _balance_table(
    run: RunFolder,
    stem: str,
    title: str,
    what: str,
    covariates: Frame,
    overall: Frame,
) -> Table:
    """Means, standardised differences and variance ratios before and after."""

    def cell(value: float, form: Callable[[float], str]) -> Cell:
        return Cell(form(value) if math.isfinite(value) else "n/a", "", "number")

    whens = ("before", "after")
    held = [
        (covariates.numbers(f"{name}_{when}"), form)
        for when in whens
        for name, _, form in _BALANCE
    ]
    names = covariates.text("variable")
    rows = tuple(
        Row(run.label(name), tuple(cell(values[i], form) for values, form in held))
        for i, name in enumerate(names)
    )
    of_all = tuple(
        Row(
            label,
            tuple(
                cell(overall.numbers(name)[row], form) if name else Cell()
                for row in range(len(whens))
                for name, (_, _, form) in zip(wanted, _BALANCE, strict=True)
            ),
        )
        for label, wanted in _BALANCE_ROWS
    )
    labels = tuple((label, 1) for _ in whens for _, label, _ in _BALANCE)
    spans = tuple((f"{capital(w)} {what}".strip(), len(_BALANCE)) for w in whens)
    units = (
        f"Differences in standard deviations before {what}, the root of the mean of "
        "both groups' variances. B and R are Rubin's (2001), of the index of a score "
        "fitted to the rows on each side."
    )
    said = " and ".join(
        f"{numbers.fixed(r2, 3)} {when}"
        + (f" (χ² {numbers.fixed(chi2, 1)}, p {numbers.p_value(p)})" if p == p else "")  # noqa: PLR0124 - NaN
        for when, r2, chi2, p in zip(
            whens,
            *(overall.numbers(c) for c in ("pseudo_r2", "lr_chi2", "p_value")),
            strict=True,
        )
        if math.isfinite(r2)
    )
    return Table(
        stem=stem,
        title=title,
        heads=(Head(spans), Head(labels, stub="Covariate")),
        blocks=(Block(rows), Block(of_all)),
        notes=(
            units,
            *((f"Pseudo-R² of the score: {said}.",) if said else ()),
        ),
    )


def _frames_of(run: RunFolder, column: Column) -> list[tuple[str, Frame]]:
    """(name, frame) to print: described coefficients turned, else the frames."""
    if column.coefficients:
        return [("", _description(column))]
    read = ((name, run.frame(column, name)) for name in column.frames)
    return [(name, frame) for name, frame in read if frame is not None and frame.rows]


def _description(column: Column) -> Frame:
    """Rows with estimand `description`, turned: variable x statistic."""
    statistics = list(dict.fromkeys(row.term for row in column.coefficients))
    values: dict[str, dict[str, float]] = {}
    for row in column.coefficients:
        name = dict(row.index).get("variable", row.equation)
        values.setdefault(name, {})[row.term] = row.estimate
    # A description without an index is one number per variable.
    if set(values) <= {"", "main"}:
        rows = tuple((row.term, repr(row.estimate)) for row in column.coefficients)
        return Frame(("variable", "value"), rows)
    return Frame(
        ("variable", *statistics),
        tuple(
            (name, *(repr(cells.get(s, math.nan)) for s in statistics))
            for name, cells in values.items()
        ),
    )


def _frame_cells(frame: Frame, name: str, decimals: int | None = None) -> list[Cell]:
    if not frame.is_numeric(name):
        return [Cell(_TRUTH.get(text, text)) for text in frame.text(name)]
    values = frame.numbers(name)
    if name in _P_VALUES:
        return [Cell(numbers.p_value(value), "", "number") for value in values]
    if name in _DATES and all(value.is_integer() for value in values):
        return [Cell(f"{value:.0f}", "", "number") for value in values]
    whole = all(value == value // 1 for value in values)
    if decimals is None or whole:
        texts = numbers.uniform(values)
    else:
        texts = [numbers.fixed(value, decimals) for value in values]
    return [Cell(text, "", "number") for text in texts]


def _frame_label(name: str) -> str:
    return _FRAME_LABELS.get(name.lower(), capital(spoken(name)))
