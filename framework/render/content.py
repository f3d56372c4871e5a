"""What a heading's tables say: from columns of the run to `Table`.

`tables_of` is the table of contents: the regression table, the descriptive tables of
diagnostics, and the published numbers beside ours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

from framework.render import numbers
from framework.render.multiverse import multiverse_tables
from framework.render.run import (
    STATUS_WORDS,
    Coefficient,
    Column,
    Drawing,
    Frame,
    Heading,
    OutcomeChange,
    RunFolder,
    Shift,
    Verdict,
    spoken,
)
from framework.render.table import DASH, Block, Cell, Head, Row, Table, merge_equal

#: A line with more values than this is a specification curve (DIALECT rule 6).
MOST_VALUES = 12
#: With more coefficients than this the controls are summarised in one row.
MOST_CONTROL_ROWS = 12
#: Values of a curve whose reasons are spelt out where an expectation does not hold.
_MOST_REASONS = 3
#: Below this an estimate is printed in powers of ten.
_TINY = 1e-3
#: Beside the mark of a verdict that another column of the run speaks against.
FLAG = "⚑"
#: Rows of a frame that a page shows; the run's `frames/` has all of them.
MOST_FRAME_ROWS = 60

#: Estimands that share the rows of the main block: "the" coefficient of a term.
_PLAIN_ESTIMANDS = frozenset(
    {"att", "ate", "late", "coefficient", "interaction", "lead", "lag", ""}
    | {"by_event_time", "by_cohort", "by_period", "by_group", "description"}
)
_BLOCK_TITLES: Mapping[str, str] = {
    "direct": "Direct effects",
    "indirect": "Indirect effects",
    "total": "Total effects",
    "ame": "Average marginal effects",
    "qte": "Effects on quantiles",
    "local_qte": "Effects on quantiles, compliers",
    "tail_effect": "Effects on means beyond quantiles",
    "semi_elasticity": "Semi-elasticities",
    "att_dose": "Effect on the treated by dose",
    "slope_dose": "Slope of the dose response",
    "dose_response": "Dose response",
    "morans_i": "Moran's I",
    "gearys_c": "Geary's C",
    "getis_ord_g": "Getis and Ord's G",
}
#: Of coefficients that stand below effects: those are not what they are.
_COEFFICIENTS = "Coefficients"
#: The same where all columns of the block split an effect over mediators, and where none
#: does: what is indirect goes over the mediators, or over the other units.
_SPLIT_TITLES: Mapping[bool, Mapping[str, str]] = {
    True: {
        "direct": "Direct effects (not through the mediators)",
        "indirect": "Indirect effects (through the mediators)",
    },
    False: {"indirect": "Indirect effects (spillovers)"},
}
#: Scalar, its label, its print; in this order, each only where a column has it.
_SCALARS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("n_obs", "Observations", numbers.plain),
    ("n_seen", "Outcomes observed", numbers.plain),
    ("n_units", "Units", numbers.plain),
    ("n_treated_units", "Treated units", numbers.plain),
    ("n_clusters", "Clusters", numbers.plain),
    ("effective_clusters", "Effective clusters", partial(numbers.fixed, places=1)),
    ("outcome_mean_before", "Mean of outcome before treatment", numbers.plain),
    ("first_stage_f", "First-stage F", numbers.plain),
    ("effective_f", "Effective F", numbers.plain),
    ("kleibergen_paap_f", "Kleibergen-Paap F", numbers.plain),
    ("r2", "R² (overall)", numbers.share),
    ("r2_within", "R² (within)", numbers.share),
    ("n_repetitions", "Splits of the sample", numbers.plain),
    ("split_error", "Monte Carlo error, splits", numbers.plain),
    ("split_low", "Smallest over splits", numbers.plain),
    ("split_high", "Largest over splits", numbers.plain),
    ("nuisance_r2_outcome", "R² of the outcome's learner", numbers.share),
    ("robustness_value", "Robustness value", numbers.share),
    ("robustness_value_interval", "Robustness value, interval", numbers.share),
    ("std_error_resampled", "Resampled standard error", numbers.plain),
    ("std_error_as_given", "Same, outcome as given", numbers.plain),
    ("n_left_out", "Members left out in turn", numbers.plain),
    ("left_out_low", "Smallest estimate without one", numbers.plain),
    ("left_out_high", "Largest estimate without one", numbers.plain),
    ("mde", "Minimum detectable effect", numbers.plain),
    ("leave_out_low", "Smallest with one left out", numbers.plain),
    ("leave_out_high", "Largest with one left out", numbers.plain),
    ("detectable_slope_50", "Slope detected with 50% power", numbers.plain),
    ("detectable_slope_80", "Slope detected with 80% power", numbers.plain),
    ("two_way_estimate", "Two-way estimate", numbers.plain),
    ("n_negative_weights", "Negative weights", numbers.plain),
    ("weight_negative", "Sum of negative weights", numbers.plain),
    (
        "breakdown_relative_magnitudes",
        "Breakdown M (relative magnitudes)",
        numbers.plain,
    ),
    ("breakdown_smoothness", "Breakdown M (smoothness)", numbers.plain),
)
_TESTS: tuple[tuple[str, str], ...] = (
    ("joint_pretrend", "Pre-trends, joint p"),
    ("implied_density", "Functional form, p"),
    ("joint_leads", "Leads, joint p"),
    ("randomization", "Randomization p"),
    ("no_interference", "Spillovers, p"),
    ("kleibergen_paap_lm", "Underidentification p"),
    ("hansen_j", "Hansen J, p"),
    ("sargan", "Sargan, p"),
    ("wu_hausman", "Endogeneity p"),
    ("anderson_rubin", "Anderson-Rubin p"),
)
#: Columns of frames that hold dates: 2006, not 2,006.
_DATES = frozenset({"cohort", "period"})
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
    "p25": "25th pct.",
    "p50": "Median",
    "p75": "75th pct.",
    "variable": "Variable",
}


@dataclass(frozen=True, slots=True)
class Curve:
    """A line with so many values that it is drawn, not tabulated."""

    line: str
    columns: tuple[Column, ...]

    @property
    def done(self) -> tuple[Column, ...]:
        """Columns that have a judged number."""
        return tuple(c for c in self.columns if c.done and c.judged is not None)

    def sentence(self) -> str:
        """The curve in words: how many, the middle, the range, signs, significance."""
        rows = [column.judged for column in self.done if column.judged]
        missing = len(self.columns) - len(rows)
        gone = f"; {missing} without a number" if missing else ""
        if not rows:
            return f"{spoken(self.line)}: {len(self.columns)} values{gone}."
        estimates = [row.estimate for row in rows]
        places = numbers.row_decimals([row.std_error for row in rows])
        low, middle, high = (
            numbers.typeset(numbers.fixed(x, places))
            for x in (min(estimates), median(estimates), max(estimates))
        )
        positive = sum(x > 0 for x in estimates)
        significant = sum(row.p_value < 0.05 for row in rows)  # noqa: PLR2004 - 5%
        return (
            f"{spoken(self.line)}: {len(self.columns)} values{gone}; median {middle}, "
            f"from {low} to {high}; {positive} of {len(rows)} positive, "
            f"{significant} of {len(rows)} significant at 5%."
        )

    def verdicts(self) -> tuple[Verdict, ...]:
        """One verdict per expectation and status, with how many values share it."""
        grouped: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
        for column in self.columns:
            for verdict in column.verdicts:
                key = (verdict.expectation, verdict.status, verdict.flag)
                grouped.setdefault(key, []).append((column.value, verdict.reason))
        return tuple(
            Verdict(expectation, status, self._reason(status, said), flag)
            for (expectation, status, flag), said in grouped.items()
        )

    def _reason(self, status: str, said: Sequence[tuple[str, str]]) -> str:
        reasons = {reason for _, reason in said}
        if len(reasons) == 1 and len(said) == len(self.columns):
            return reasons.pop()
        count = f"{len(said)} of {len(self.columns)} values"
        if status == "holds":
            return count
        some = "; ".join(f"{value}: {why}" for value, why in said[:_MOST_REASONS])
        more = "; …" if len(said) > _MOST_REASONS else ""
        return f"{count}. {some}{more}"


def curves_of(heading: Heading) -> tuple[Curve, ...]:
    """The lines that are specification curves."""
    return tuple(
        Curve(line, columns)
        for line, columns in heading.lines().items()
        if len(columns) > MOST_VALUES
    )


def tables_of(run: RunFolder, heading: Heading) -> tuple[Table, ...]:
    """All tables of a heading; never empty."""
    regression = regression_table(run, heading)
    frames = [*_frame_tables(run, heading), *_sample_tables(run, heading)]
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
        if column.line not in curves and not _is_diagnostic(column)
    ]
    where, baseline = heading.options.baseline, run.baseline
    if where != "none" and baseline is not None:
        columns = [column for column in columns if column is not baseline]
        columns.insert(0 if where == "first" else len(columns), baseline)
    return tuple(columns)


def column_marks(columns: Sequence[Column]) -> dict[str, str]:
    """Address -> `(1)`, `(2)`, … in the order of the table."""
    return {column.address: f"({n})" for n, column in enumerate(columns, start=1)}


def regression_table(run: RunFolder, heading: Heading) -> Table | None:
    """Coefficients over standard errors, one column per line or value."""
    columns = number_columns(run, heading)
    if not columns:
        return None
    shown, hidden = _shown_terms(run, heading, columns)
    if any(column.done for column in columns):
        blocks = [
            *_coefficient_blocks(run, columns, shown),
            *_shift_blocks(run, columns),
            Block(_design_rows(run, columns, hidden)),
            Block(_statistic_rows(columns)),
        ]
    else:
        words = (STATUS_WORDS.get(column.status, column.status) for column in columns)
        cells = tuple(Cell(f"{DASH} {word}") for word in words)
        blocks = [Block((Row("No estimate", cells),))]
    return Table(
        stem=file_stem(heading.name),
        title=heading.title,
        heads=_heads(run, heading, columns),
        blocks=tuple(block for block in blocks if block.rows),
        notes=_notes(run, heading, columns),
        verdicts=_verdicts(heading, columns),
    )


def published_table(run: RunFolder, heading: Heading) -> Table | None:
    """Printed numbers of the paper beside ours, with the difference."""
    rows = []
    for entry in run.published:
        if entry.address.split(".")[0] != heading.name:
            continue
        places = _printed_decimals(entry.printed)
        ours = numbers.fixed(entry.estimate, places)
        if not math.isnan(entry.std_error):
            ours += f"{entry.stars} ({numbers.fixed(entry.std_error, places)})"
        agrees = {
            None: "?\u00a0nothing of ours",
            True: "✓\u00a0agrees",
            False: "✗\u00a0differs",
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
        if e.text and e.address.split(".")[0] == heading.name
    )
    labels = ("Printed", "Ours", "Difference", "")
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


def file_stem(name: str) -> str:
    """A file name from a name in a study: no path, no surprise."""
    return re.sub(r"[^\w-]", "_", name) or "_"


# --- which coefficients, in which rows ---------------------------------------------


@dataclass(frozen=True, slots=True)
class _Key:
    """Which row of a table a coefficient belongs to."""

    block: str
    equation: str
    term: str
    index: tuple[tuple[str, str], ...] = ()


def _key(row: Coefficient) -> _Key:
    block = "" if row.estimand in _PLAIN_ESTIMANDS else row.estimand
    if row.at("event_time") is not None:
        block = "event_time"
    equation = "" if row.equation in ("", "main") else row.equation
    # An event time is one row whatever the estimator calls its term.
    term = "" if block == "event_time" else row.term
    return _Key(block, equation, term, row.index)


def _is_treatment(row: Coefficient, column: Column) -> bool:
    called = {row.term, column.terms.get(row.term, row.term)}
    return row.estimand != "coefficient" or bool(called & set(column.treatment))


def _is_no_control(row: Coefficient, column: Column) -> bool:
    """What no summary of controls may swallow: rho, lambda, W × treatment."""
    parts = {
        part
        for name in (row.term, column.terms.get(row.term, ""))
        for part in name.split(" × ")
    }
    return row.equation == "spatial" or bool(parts & set(column.treatment))


def _shown_terms(
    run: RunFolder, heading: Heading, columns: Sequence[Column]
) -> tuple[tuple[_Key, ...], frozenset[str]]:
    """Row keys in order, treatment first, and the control terms left out."""
    treatment: dict[_Key, None] = {}
    controls: dict[_Key, None] = {}
    for column in columns:
        for row in column.coefficients:
            into = treatment if _is_treatment(row, column) else controls
            into[_key(row)] = None
    for key in treatment:
        controls.pop(key, None)
    wanted = heading.options.rows
    if wanted:
        every = [*treatment, *controls]
        terms = _terms(columns)
        named = (
            key
            for name in wanted
            for key in every
            if _is_called(run, key, terms[key], name)
        )
        shown = tuple(dict.fromkeys(named))
        return shown, frozenset(k.term for k in every if k not in shown)
    if len(controls) > MOST_CONTROL_ROWS:
        kept = {
            _key(row): None
            for column in columns
            for row in column.coefficients
            if _is_no_control(row, column)
        }
        shown = tuple(
            key for key in (*treatment, *controls) if key not in controls or key in kept
        )
        return shown, frozenset(key.term for key in controls if key not in kept)
    return (*treatment, *controls), frozenset()


def _terms(columns: Sequence[Column]) -> dict[_Key, set[str]]:
    """Row -> the terms of its coefficients (an event time may have several)."""
    terms: dict[_Key, set[str]] = {}
    for column in columns:
        for row in column.coefficients:
            terms.setdefault(_key(row), set()).add(row.term)
    return terms


def _is_called(run: RunFolder, key: _Key, terms: set[str], name: str) -> bool:
    """Does `report.rows` mean this row: term, label or `term[index]`?"""
    term, _, index = name.partition("[")
    same = term in {*terms, *map(run.label, terms)}
    values = [value for _, value in key.index]
    return same and (not index or index.rstrip("]") in values)


def _row_label(run: RunFolder, key: _Key) -> str:
    label = run.label(key.term)
    if key.equation:
        label = f"{spoken(key.equation)}: {label}"
    for name, value in key.index:
        if name == "event_time":
            return numbers.typeset(value)
        if name == "order":
            step = int(value)
            word = "lead" if step < 0 else "lag"
            label = f"{label}, {word} {abs(step)}" if step else label
        else:
            label = f"{label}, {name} {run.label(value)}"
    return label


def _coefficient_blocks(
    run: RunFolder, columns: Sequence[Column], shown: Sequence[_Key]
) -> list[Block]:
    found = [{_key(row): row for row in column.coefficients} for column in columns]
    blocks: list[Block] = []
    for name in dict.fromkeys(key.block for key in shown):
        keys = [key for key in shown if key.block == name]
        if name == "event_time":
            keys.sort(key=lambda key: int(dict(key.index)["event_time"]))
        else:
            keys = _ordered_leads(keys)
        rows: list[Row] = []
        for key in keys:
            rows.extend(_two_rows(run, _row_label(run, key), key, found, columns))
        title = _block_title(name, found, columns)
        if not name and blocks:
            title = _COEFFICIENTS
        blocks.append(Block(tuple(rows), title))
    return blocks


def block_word(estimand: str) -> str:
    """What rows of an estimand are called above them; "" for plain coefficients."""
    if estimand in _PLAIN_ESTIMANDS:
        return ""
    return _BLOCK_TITLES.get(estimand, spoken(estimand).capitalize())


def _block_title(
    name: str,
    found: Sequence[Mapping[_Key, Coefficient]],
    columns: Sequence[Column],
) -> str:
    """What a block of rows is about, in the words of the columns that have one."""
    if name in {"", "event_time"}:
        return "Periods since treatment" if name else ""
    mediated = {
        bool(column.mediators)
        for rows, column in zip(found, columns, strict=True)
        if any(key.block == name for key in rows)
    }
    plain = block_word(name)
    if len(mediated) != 1:
        return plain
    return _SPLIT_TITLES[mediated.pop()].get(name, plain)


def _ordered_leads(keys: Sequence[_Key]) -> list[_Key]:
    """Leads and lags of a term stand together in the order of time."""
    first = {key.term: n for n, key in reversed(list(enumerate(keys)))}

    def place(item: tuple[int, _Key]) -> tuple[int, int, int]:
        n, key = item
        order = dict(key.index).get("order")
        return (first[key.term], int(order) if order else 0, n)

    return [key for _, key in sorted(enumerate(keys), key=place)]


def _is_asked(run: RunFolder, key: _Key, column: Column) -> bool:
    """Would this column have had that row? Its treatment's, and every event time."""
    names = {run.label(name) for name in column.treatment}
    return key.block == "event_time" or not names or run.label(key.term) in names


def _two_rows(
    run: RunFolder,
    label: str,
    key: _Key,
    found: Sequence[Mapping[_Key, Coefficient]],
    columns: Sequence[Column],
) -> tuple[Row, Row]:
    usual = numbers.row_decimals([c[key].std_error for c in found if key in c])
    estimates, errors = [], []
    for column, rows in zip(columns, found, strict=True):
        row = rows.get(key)
        if row is None:
            dash = not column.done and _is_asked(run, key, column)
            estimates.append(Cell(DASH if dash else ""))
            errors.append(Cell())
            continue
        places = numbers.cell_decimals(usual, row.std_error)
        missing = math.isnan(row.std_error) or row.std_error == 0
        # Only an estimate that is tiny itself is printed in powers of ten.
        shown = 4 if places is None and abs(row.estimate) >= _TINY else places
        estimates.append(
            Cell(
                numbers.fixed(row.estimate, shown),
                numbers.stars(row.p_value),
                "number",
            )
        )
        error = "" if missing else f"({numbers.fixed(row.std_error, places)})"
        errors.append(Cell(error, "", "number"))
    return (
        Row(label, tuple(estimates), "estimate"),
        Row("", tuple(errors), "error"),
    )


# --- how far a column is from the one it is compared with --------------------------


def _shift_blocks(run: RunFolder, columns: Sequence[Column]) -> list[Block]:
    """A block per column of comparison: the difference, and the outcome's where new."""
    others = dict.fromkeys(c.shift.against for c in columns if c.shift)
    return [
        Block(
            (*_difference_rows(shifts), *_outcome_rows(shifts)),
            f"Compared with {_address_in_words(run, columns, other)}",
        )
        for other in others
        for shifts in [
            [c.shift if c.shift and c.shift.against == other else None for c in columns]
        ]
    ]


def _difference_rows(shifts: Sequence[Shift | None]) -> tuple[Row, Row]:
    usual = numbers.row_decimals([s.std_error for s in shifts if s])
    values, errors = [], []
    for shift in shifts:
        if shift is None:
            values.append(Cell())
            errors.append(Cell())
            continue
        places = numbers.cell_decimals(usual, shift.std_error)
        shown = 4 if math.isnan(shift.std_error) and places is None else places
        stars = numbers.stars(shift.p_value)
        values.append(Cell(numbers.fixed(shift.difference, shown), stars, "number"))
        known = shift.std_error > 0
        error = f"({numbers.fixed(shift.std_error, places)})" if known else ""
        errors.append(Cell(error, "", "number"))
    label = "Difference"
    return Row(label, tuple(values), "estimate"), Row("", tuple(errors), "error")


def _outcome_rows(shifts: Sequence[Shift | None]) -> tuple[Row, ...]:
    """Whose outcome another preparation of the data has changed, and by how much."""
    changes = [s.outcome if s else None for s in shifts]
    if not any(changes):
        return ()
    who = ", ".join(dict.fromkeys(c.who for c in changes if c))
    shown: tuple[tuple[str, Callable[[OutcomeChange], str]], ...] = (
        (f"Outcomes changed, {who}", lambda c: f"{100 * c.changed:.1f}%"),
        ("mean absolute change", lambda c: numbers.plain(c.mean)),
        ("largest change", lambda c: numbers.plain(c.largest)),
        ("Outcomes lost", lambda c: numbers.plain(c.lost)),
        ("Outcomes gained", lambda c: numbers.plain(c.gained)),
    )
    rows = [
        Row(label, tuple(Cell(text(c), "", "number") if c else Cell() for c in changes))
        for label, text in shown
    ]
    return tuple(rows if any(c.gained for c in changes if c) else rows[:-1])


def _address_in_words(run: RunFolder, columns: Sequence[Column], address: str) -> str:
    """`(2)` for a column of the table, else `baseline: both` or `the model`."""
    marks = column_marks(columns)
    if address in marks:
        return marks[address]
    heading, *path = address.split(".")
    words = ", ".join([*map(spoken, path[:1]), *map(run.label, path[1:])])
    return f"{spoken(heading)}: {words}" if words else f"the {spoken(heading)}"


# --- the rows below the coefficients -----------------------------------------------


def _design_rows(
    run: RunFolder, columns: Sequence[Column], hidden: frozenset[str]
) -> tuple[Row, ...]:
    """Fixed effects, controls and whatever of the design differs between columns."""
    rows = []
    effects = {c.address: [run.label(e) for e in c.fixed_effects] for c in columns}
    for effect in dict.fromkeys(
        e for c in columns if c.done for e in effects[c.address]
    ):
        label = f"{_capital(effect)} fixed effects"
        said = [_yes(effect in effects[column.address]) for column in columns]
        rows.append(_words(label, columns, said))
    shown = {
        row.term for c in columns for row in c.coefficients if row.term not in hidden
    }
    labelled = shown | {run.label(term) for term in shown}
    if any(set(column.controls) - labelled for column in columns if column.done):
        said = [_yes(bool(column.controls)) for column in columns]
        rows.append(_words("Controls", columns, said))
    varying: tuple[tuple[str, Callable[[Column], str]], ...] = (
        ("Estimator", lambda c: _name(run, c.estimator)),
        ("Estimand", lambda c: spoken(c.estimand)),
        ("Weights", lambda c: c.weights or "No"),
        ("Standard errors", lambda c: c.inference),
    )
    for label, text in varying:
        if len({text(c) for c in columns if c.done}) > 1:
            rows.append(_words(label, columns, [text(c) for c in columns]))
    return tuple(rows)


def _statistic_rows(columns: Sequence[Column]) -> tuple[Row, ...]:
    rows = [
        Row(
            label,
            tuple(
                Cell(form(c.scalars[name]), "", "number")
                if name in c.scalars
                else _nothing(c)
                for c in columns
            ),
        )
        for name, label, form in _SCALARS
        if any(name in c.scalars for c in columns)
    ]
    for name, label in _TESTS:
        tests = [column.test(name) for column in columns]
        if any(tests):
            cells = (
                Cell(numbers.p_value(t.p_value) or "n/a", "", "number")
                if t
                else _nothing(c)
                for c, t in zip(columns, tests, strict=True)
            )
            rows.append(Row(label, tuple(cells)))
    if any(column.adjusted is not None for column in columns):
        p_values = (
            _nothing(c)
            if c.adjusted is None
            else Cell(numbers.p_value(c.adjusted), "", "number")
            for c in columns
        )
        rows.append(Row("Adjusted p", tuple(p_values)))
    if any(column.verdicts for column in columns):
        said = [
            " ".join(f"{v.mark}{FLAG if v.flag else ''}" for v in column.verdicts)
            for column in columns
        ]
        rows.append(_words("Expectations", columns, said))
    return tuple(rows)


def _words(label: str, columns: Sequence[Column], texts: Sequence[str]) -> Row:
    """A row of words; a dash where the column has no numbers at all."""
    cells = (
        Cell(text) if column.done else _nothing(column)
        for column, text in zip(columns, texts, strict=True)
    )
    return Row(label, tuple(cells))


def _yes(condition: bool) -> str:
    return "Yes" if condition else "No"


def _name(run: RunFolder, plugin: str) -> str:
    """A plugin's label, or its name in words."""
    return run.labels.get(plugin) or spoken(plugin)


def _nothing(column: Column) -> Cell:
    return Cell("" if column.done else DASH)


# --- headers and notes -------------------------------------------------------------


def _heads(
    run: RunFolder, heading: Heading, columns: Sequence[Column]
) -> tuple[Head, ...]:
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


def _notes(
    run: RunFolder, heading: Heading, columns: Sequence[Column]
) -> tuple[str, ...]:
    """Convention, curves, samples, notes, overrides, faults."""
    marks = column_marks(columns)
    done = [column for column in columns if column.done]

    def said(prefix: str, texts: Callable[[Column], Sequence[str]]) -> list[str]:
        grouped = _per_column(marks, columns, texts)
        return [f"{mark} {prefix}{text}" for mark, text in grouped]

    notes = [
        *_convention(run, columns, done),
        *(f"Drawn, not tabulated: {c.sentence()}" for c in curves_of(heading)),
        *said("sample: ", lambda c: c.sample if c.done else ()),
        *said("", lambda c: c.notes if c.done else ()),
        *said("", _uncomputed),
        *said("", lambda c: [c.adjustment] if c.adjustment and c.done else ()),
        *said("flagged: ", lambda c: [c.flag] if c.flag and c.done else ()),
        *said("no error of the difference: ", _errorless),
        *said("refusal knowingly overridden: ", lambda c: c.acknowledged),
        *said("", lambda c: () if c.done else (c.why_empty(),)),
        *_unmet_options(run, heading, columns),
    ]
    return tuple(_full_stop(note) for note in notes)


def _uncomputed(column: Column) -> list[str]:
    """Tests of the table that have a reason instead of a p value."""
    tests = ((label, column.test(name)) for name, label in _TESTS)
    return [
        f"no {label}: {test.reason}" for label, test in tests if test and test.reason
    ]


def _errorless(column: Column) -> list[str]:
    """Why a difference has no standard error; that it is nil needs no reason."""
    shift = column.shift
    unknown = shift and math.isnan(shift.std_error) and shift.difference
    return [shift.reason] if shift and unknown else []


def _verdicts(heading: Heading, columns: Sequence[Column]) -> tuple[str, ...]:
    """Expectations in words, columns with the same verdict together; then curves."""
    found = _per_column(
        column_marks(columns), columns, lambda c: [v.sentence() for v in c.verdicts]
    )
    texts = [f"{mark} {text}" for mark, text in found]
    for curve in curves_of(heading):
        texts += [f"{spoken(curve.line)} {v.sentence()}" for v in curve.verdicts()]
    return tuple(_full_stop(text) for text in texts)


def _unmet_options(
    run: RunFolder, heading: Heading, columns: Sequence[Column]
) -> list[str]:
    """What `report:` asks for and the run does not have."""
    notes = []
    if heading.options.baseline != "none" and run.baseline is None:
        notes.append("A baseline column was asked for; no `{}` line estimated it")
    terms = _terms(columns)
    notes += [
        f"No column estimates the row '{name}' that was asked for"
        for name in heading.options.rows
        if not any(_is_called(run, key, terms[key], name) for key in terms)
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
        common.append(f"estimator: {_name(run, estimators.pop())}")
    weights = {column.weights for column in done}
    if len(weights) == 1 and "" not in weights:
        common.append(f"weights: {weights.pop()}")
    kinds = {column.inference for column in done if column.inference}
    how = f", {kinds.pop()}" if len(kinds) == 1 else ""
    notes = [_capital("; ".join(common))] if common else []
    return [*notes, f"Standard errors in parentheses{how}. {numbers.STARS_NOTE}"]


def _per_column(
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


def _full_stop(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# --- descriptive tables ------------------------------------------------------------


def _is_diagnostic(column: Column) -> bool:
    """A column whose numbers are a table of their own, not one estimate."""
    if not column.done:
        return False
    rows = column.coefficients
    if not rows:
        return bool(column.frames)
    return all(row.estimand == "description" for row in rows)


def _frame_tables(run: RunFolder, heading: Heading) -> list[Table]:
    tables = [
        _plotted_table(run, heading, column, plot)
        for column in heading.columns
        for plot in column.plots
        if plot.kind == "table" and column.done
    ]
    found = [column for column in heading.columns if _is_diagnostic(column)]
    for column in found:
        parts = _frames_of(run, column)
        for name, frame in parts:
            words = [] if len(found) == 1 else [column.line, column.value]
            words += [] if len(parts) == 1 else [name]
            words = [word for word in words if word]
            title = ", ".join([heading.title, *(run.label(spoken(w)) for w in words)])
            stem = "_".join(file_stem(word) for word in [heading.name, *words])
            table = frame_table(stem, title, frame, run.label)
            notes = (*column.sample, *column.notes, *table.notes)
            tables.append(
                replace(table, notes=tuple(_full_stop(note) for note in notes))
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


def _sample_tables(run: RunFolder, heading: Heading) -> list[Table]:
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
    spans = tuple((f"{_capital(w)} {what}".strip(), len(_BALANCE)) for w in whens)
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
        return [Cell(text) for text in frame.text(name)]
    values = frame.numbers(name)
    if name in _DATES and all(value.is_integer() for value in values):
        return [Cell(f"{value:.0f}", "", "number") for value in values]
    whole = all(value == value // 1 for value in values)
    if decimals is None or whole:
        texts = numbers.uniform(values)
    else:
        texts = [numbers.fixed(value, decimals) for value in values]
    return [Cell(text, "", "number") for text in texts]


def _frame_label(name: str) -> str:
    return _FRAME_LABELS.get(name.lower(), _capital(spoken(name)))


def _empty_table(heading: Heading, notes: tuple[str, ...]) -> Table:
    """A heading whose lines are all curves: the sentence stands for the columns."""
    rows = []
    for curve in curves_of(heading):
        estimates = sorted(c.judged.estimate for c in curve.done if c.judged)
        cells = [numbers.plain(float(len(curve.columns)))]
        if estimates:
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
        verdicts=_verdicts(heading, ()),
    )


# --- small prints ------------------------------------------------------------------


def _printed_decimals(printed: str) -> int:
    """Decimals of a number as printed, so that ours is rounded alike."""
    match = re.search(r"\d[\d,]*(?:\.(\d+))?", printed)
    return len(match[1]) if match and match[1] else 0


def _published_label(run: RunFolder, address: str) -> str:
    """`heading.line[.value].term[index]` in words, without the heading."""
    *path, name = address.split(".")[1:] or [address]
    term, bracket, index = name.partition("[")
    scalars = {name: label for name, label, _ in _SCALARS}
    said = scalars.get(term) or run.label(term)
    words = [spoken(path[0]), *map(run.label, path[1:])] if path else []
    return ": ".join([*([", ".join(words)] if words else []), said + bracket + index])


def _difference(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.1e}" if value else "0"
