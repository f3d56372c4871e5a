"""`report.html`: the whole run on one page that needs nothing else.

First what the study found, then every heading, then how the numbers came about.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from framework.render.content import number_columns, published_table
from framework.render.curves import curves_of
from framework.render.html import content_policy, prepared, stylesheet, templates
from framework.render.run import (
    STATUS_WORDS,
    Column,
    Heading,
    LedgerRow,
    Preparation,
    RunFolder,
    Verdict,
    spoken,
)
from framework.render.table import Table
from framework.render.words import column_marks


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn figure for the page: SVG bytes, caption, description for readers."""

    svg: bytes
    caption: str
    description: str

    @property
    def source(self) -> str:
        """A data URL: the page stays one file."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode()


@dataclass(frozen=True, slots=True)
class Section:
    """A heading's part of the report."""

    heading: Heading
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]
    undrawn: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Judgement:
    """One verdict with the columns it is about."""

    where: str
    verdict: Verdict

    @property
    def tone(self) -> str:
        return {"holds": "holds", "fails": "fails"}.get(self.verdict.status, "unsure")


@dataclass(frozen=True, slots=True)
class _Sample:
    """A row ledger and the columns that share it."""

    where: str
    rows: tuple[LedgerRow, ...]


#: A line's values that all share a reason or a ledger are named up to this many.
_MOST_NAMED = 6
#: Verdicts of one heading shown one by one; more are summarised, faults first.
_MOST_VERDICTS = 40


def report(
    run: RunFolder, sections: Sequence[Section], data: Sequence[Picture] = ()
) -> str:
    """The page; `data` are the figures that the data steps leave behind."""
    published = [
        table
        for section in sections
        if (table := published_table(run, section.heading)) is not None
    ]
    agreeing = [entry.agrees for entry in run.published]
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            run=run,
            title=run.title or spoken(run.study),
            sections=[
                {
                    "heading": section.heading,
                    "anchor": f"h{number}",
                    "tables": prepared(
                        tuple(t for t in section.tables if t not in published)
                    ),
                    "published": prepared(
                        tuple(t for t in section.tables if t in published)
                    ),
                    "pictures": section.pictures,
                    "undrawn": section.undrawn,
                    "judgements": _worst(judged),
                    "hidden": len(judged) - len(_worst(judged)),
                }
                for number, section in enumerate(sections, start=1)
                for judged in [_judgements(run, section.heading)]
            ],
            data_pictures=data,
            tally=_tally(run),
            flagged=_flagged(run),
            missing=_missing(run),
            samples=_samples(run.columns),
            preparations=_preparations(run),
            formulas=_formulas(run.columns),
            agreeing=sum(agree is True for agree in agreeing),
            compared=len(agreeing) - agreeing.count(None),
            alone=agreeing.count(None),
            done=sum(column.done for column in run.columns),
            cached=sum(column.cached for column in run.columns),
            seconds=sum(column.seconds for column in run.columns),
            style=stylesheet(),
            policy=content_policy(),
            day=(run.finished or run.created)[:10],
        )
    )


def _tally(run: RunFolder) -> list[tuple[str, str, int]]:
    """(tone, words, count) of the verdicts, recounted if the run did not say."""
    counts: Mapping[str, int] = run.verdicts
    if not counts:
        found: dict[str, int] = {}
        for column in run.columns:
            for verdict in column.verdicts:
                found[verdict.status] = found.get(verdict.status, 0) + 1
        counts = found
    if not any(counts.values()):
        return []
    words = (
        ("holds", "holds", "expectations hold"),
        ("fails", "fails", "fail"),
        ("unsure", "cannot be judged", "cannot be judged"),
    )
    return [(tone, said, counts.get(name, 0)) for tone, name, said in words]


def _flagged(run: RunFolder) -> list[tuple[str, str, int]]:
    """(what is said, of which columns, how many verdicts) by other columns of the run."""
    found: dict[str, list[Column]] = {}
    for column in run.columns:
        if column.flag and column.verdicts:
            found.setdefault(column.flag, []).append(column)
    return [
        (text, _named([c.address for c in held]), sum(len(c.verdicts) for c in held))
        for text, held in found.items()
    ]


def _judgements(run: RunFolder, heading: Heading) -> list[_Judgement]:
    """Verdicts in the order of columns; values of a line that agree together."""
    marks = column_marks(number_columns(run, heading))
    curves = curves_of(heading)
    drawn = {curve.line for curve in curves}
    grouped: dict[tuple[str, Verdict], list[Column]] = {}
    for column in heading.columns:
        if column.line in drawn:
            continue
        for verdict in column.verdicts:
            grouped.setdefault((column.line, verdict), []).append(column)
    return [
        *(
            _Judgement(_where(run, heading, marks, columns), verdict)
            for (_, verdict), columns in grouped.items()
        ),
        *(
            _Judgement(spoken(curve.line), verdict)
            for curve in curves
            for verdict in curve.verdicts()
        ),
    ]


def _worst(judgements: Sequence[_Judgement]) -> list[_Judgement]:
    """As many as a page bears, faults first where some must go."""
    if len(judgements) <= _MOST_VERDICTS:
        return list(judgements)
    order = {"fails": 0, "unsure": 1, "holds": 2}
    return sorted(judgements, key=lambda j: order[j.tone])[:_MOST_VERDICTS]


def _where(
    run: RunFolder,
    heading: Heading,
    marks: Mapping[str, str],
    columns: Sequence[Column],
) -> str:
    """`(3) controls`, or the line and those of its values that share the verdict."""
    line = columns[0].line
    if len(columns) > 1 and len(columns) == len(heading.lines()[line]):
        return f"{spoken(line)}, all {len(columns)} values"
    mark = " ".join(marks[c.address] for c in columns if c.address in marks)
    values = _named([run.label(c.value) for c in columns if c.value])
    said = f"{spoken(line)}, {values}" if values else spoken(line)
    return f"{mark} {said}".strip()


def _missing(run: RunFolder) -> list[tuple[str, str, Column]]:
    """(address, status in words, column) of every column without numbers."""
    return [
        (column.address, STATUS_WORDS.get(column.status, column.status), column)
        for column in run.columns
        if not column.done
    ]


def _preparations(run: RunFolder) -> list[tuple[str, Preparation]]:
    """(addresses, preparation) of data that variations prepare differently."""
    return [
        (_named([c.address for c in run.columns if c.panel == other.key]), other)
        for other in run.preparations
    ]


def _samples(columns: Sequence[Column]) -> list[_Sample]:
    """Row ledgers, columns with the same ledger together."""
    grouped: dict[tuple[LedgerRow, ...], list[str]] = {}
    for column in columns:
        if column.ledger:
            grouped.setdefault(column.ledger, []).append(column.address)
    return [_Sample(_named(where), rows) for rows, where in grouped.items()]


def _formulas(columns: Sequence[Column]) -> list[tuple[str, str]]:
    """(formula, addresses): what was estimated, each sentence once."""
    grouped: dict[str, list[str]] = {}
    for column in columns:
        if column.formula:
            grouped.setdefault(column.formula, []).append(column.address)
    return [(formula, _named(where)) for formula, where in grouped.items()]


def _named(addresses: Sequence[str]) -> str:
    shown = ", ".join(addresses[:_MOST_NAMED])
    rest = len(addresses) - _MOST_NAMED
    return f"{shown} and {rest} more" if rest > 0 else shown
