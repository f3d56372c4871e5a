"""Which coefficients a table shows, in which rows, and how far columns lie apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from framework.render import numbers
from framework.render.run import (
    Coefficient,
    Column,
    Heading,
    OutcomeChange,
    RunFolder,
    Shift,
    spoken,
)
from framework.render.table import DASH, Block, Cell, Row
from framework.render.words import (
    column_marks,
)

#: With more coefficients than this the controls are summarised in one row.
MOST_CONTROL_ROWS = 12
#: Below this an estimate is printed in powers of ten.
_TINY = 1e-3
#: Estimands that share the rows of the main block: "the" coefficient of a term.
_PLAIN_ESTIMANDS = frozenset(
    {"att", "ate", "late", "coefficient", "interaction", "lead", "lag", ""}
    | {"by_event_time", "by_cohort", "by_period", "by_group", "description"}
)
#: Beside one of these an effect is no "the" coefficient: it is not per unit of the dose.
_BY_DOSE = frozenset({"acrt", "att_dose", "slope_dose"})
_BLOCK_TITLES: Mapping[str, str] = {
    "att": "Mean effect on the treated, whatever their dose",
    "direct": "Direct effects",
    "indirect": "Indirect effects",
    "total": "Total effects",
    "ame": "Average marginal effects",
    "qte": "Effects on quantiles",
    "local_qte": "Effects on quantiles, compliers",
    "tail_effect": "Effects on means beyond quantiles",
    "semi_elasticity": "Semi-elasticities",
    "acrt": "Average slope of the effect in the dose",
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


@dataclass(frozen=True, slots=True)
class Key:
    """Which row of a table a coefficient belongs to."""

    block: str
    equation: str
    term: str
    index: tuple[tuple[str, str], ...] = ()


def _key(row: Coefficient, column: Column) -> Key:
    block = "" if row.estimand in _PLAIN_ESTIMANDS else row.estimand
    if row.estimand == "att" and any(
        other.estimand in _BY_DOSE for other in column.coefficients
    ):
        block = "att"
    if row.at("event_time") is not None:
        block = "event_time"
    equation = "" if row.equation in ("", "main") else row.equation
    # An event time is one row whatever the estimator calls its term.
    term = "" if block == "event_time" else row.term
    return Key(block, equation, term, row.index)


def _is_treatment(row: Coefficient, column: Column) -> bool:
    called = {row.term, column.terms.get(row.term, row.term)}
    return row.estimand != "coefficient" or bool(called & set(column.treatment))


def _is_no_control(row: Coefficient, column: Column) -> bool:
    """What no summary of controls may swallow: rho, W × treatment, a moderator."""
    if row.equation == "spatial" or _parts(row, column) & set(column.treatment):
        return True
    moderators = {
        part
        for other in column.coefficients
        if (parts := _parts(other, column)) & set(column.treatment)
        for part in parts
    }
    return row.term in moderators - set(column.controls)


def _parts(row: Coefficient, column: Column) -> set[str]:
    """The names that a product is made of, as written and as labelled."""
    names = (row.term, column.terms.get(row.term, ""))
    return {part for name in names for part in name.split(" × ")}


def shown_terms(
    run: RunFolder, heading: Heading, columns: Sequence[Column]
) -> tuple[tuple[Key, ...], frozenset[str]]:
    """Row keys in order, treatment first, and the control terms left out."""
    treatment: dict[Key, None] = {}
    controls: dict[Key, None] = {}
    for column in columns:
        for row in column.coefficients:
            into = treatment if _is_treatment(row, column) else controls
            into[_key(row, column)] = None
    for key in treatment:
        controls.pop(key, None)
    wanted = heading.options.rows
    if wanted:
        every = [*treatment, *controls]
        terms = terms_of(columns)
        named = (
            key
            for name in wanted
            for key in every
            if is_called(run, key, terms[key], name)
        )
        shown = tuple(dict.fromkeys(named))
        return shown, frozenset(k.term for k in every if k not in shown)
    if len(controls) > MOST_CONTROL_ROWS:
        kept = {
            _key(row, column): None
            for column in columns
            for row in column.coefficients
            if _is_no_control(row, column)
        }
        shown = tuple(
            key for key in (*treatment, *controls) if key not in controls or key in kept
        )
        return shown, frozenset(key.term for key in controls if key not in kept)
    return (*treatment, *controls), frozenset()


def terms_of(columns: Sequence[Column]) -> dict[Key, set[str]]:
    """Row -> the terms of its coefficients (an event time may have several)."""
    terms: dict[Key, set[str]] = {}
    for column in columns:
        for row in column.coefficients:
            terms.setdefault(_key(row, column), set()).add(row.term)
    return terms


def is_called(run: RunFolder, key: Key, terms: set[str], name: str) -> bool:
    """Does `report.rows` mean this row: term, label or `term[index]`?"""
    term, _, index = name.partition("[")
    same = term in {*terms, *map(run.label, terms)}
    values = [value for _, value in key.index]
    return same and (not index or index.rstrip("]") in values)


def _row_label(run: RunFolder, key: Key) -> str:
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


def coefficient_blocks(
    run: RunFolder, columns: Sequence[Column], shown: Sequence[Key]
) -> list[Block]:
    """Blocks of estimates over their errors, event times in the order of time."""
    found = [
        {_key(row, column): row for row in column.coefficients} for column in columns
    ]
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
    found: Sequence[Mapping[Key, Coefficient]],
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
    plain = _BLOCK_TITLES.get(name) or block_word(name)
    if len(mediated) != 1:
        return plain
    return _SPLIT_TITLES[mediated.pop()].get(name, plain)


def _ordered_leads(keys: Sequence[Key]) -> list[Key]:
    """Leads and lags of a term stand together in the order of time."""
    first = {key.term: n for n, key in reversed(list(enumerate(keys)))}

    def place(item: tuple[int, Key]) -> tuple[int, int, int]:
        n, key = item
        order = dict(key.index).get("order")
        return (first[key.term], int(order) if order else 0, n)

    return [key for _, key in sorted(enumerate(keys), key=place)]


def _is_asked(run: RunFolder, key: Key, column: Column) -> bool:
    """Would this column have had that row? Its treatment's, and every event time."""
    names = {run.label(name) for name in column.treatment}
    return key.block == "event_time" or not names or run.label(key.term) in names


def _two_rows(
    run: RunFolder,
    label: str,
    key: Key,
    found: Sequence[Mapping[Key, Coefficient]],
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


def shift_blocks(run: RunFolder, columns: Sequence[Column]) -> list[Block]:
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
