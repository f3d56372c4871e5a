"""The one internal table: what every writer (LaTeX, Word, HTML, …) is given.

A table is header rows, blocks of body rows and notes, all plain text. Writers escape
and set type; they decide nothing about content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from framework.render.numbers import split_number, typeset

#: Columns that a printed page carries; wider tables continue in a further block.
PAGE_COLUMNS = 8
#: A cell of a column that has no numbers.
DASH = "—"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the body.

    Attributes:
        text: as printed; numbers with ASCII minus and `e` notation (`numbers.typeset`).
        stars: hung behind the number.
        kind: `number` is aligned at its decimal point and never escaped as a formula;
            `text` is a user's words.
    """

    text: str = ""
    stars: str = ""
    kind: Literal["number", "text"] = "text"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the body: the stub and a cell per column.

    `role` is `estimate`, `error` (the line in parentheses below) or `stat`.
    """

    label: str
    cells: tuple[Cell, ...]
    role: Literal["estimate", "error", "stat"] = "stat"


@dataclass(frozen=True, slots=True)
class Block:
    """Rows between two rules; the title may be empty."""

    rows: tuple[Row, ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """One header row: (label, how many columns it spans), left to right.

    `spans` says that labels over several columns carry a rule below them.
    """

    cells: tuple[tuple[str, int], ...]
    stub: str = ""

    def per_column(self) -> tuple[str, ...]:
        """The label above each column."""
        return tuple(label for label, span in self.cells for _ in range(span))


@dataclass(frozen=True, slots=True)
class Table:
    """A finished table.

    Attributes:
        stem: file name without suffix, unique in a run.
        title: caption.
        heads: header rows, top first; all span the same number of columns.
        blocks: the body.
        notes: sentences under the table, in order.
        verdicts: judged expectations in words; they follow the notes.
        text_columns: positions of columns set flush left (descriptive tables).
    """

    stem: str
    title: str
    heads: tuple[Head, ...]
    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    text_columns: frozenset[int] = frozenset()

    @property
    def width(self) -> int:
        """Number of columns right of the stub."""
        return len(self.heads[-1].per_column())

    @property
    def footer(self) -> tuple[str, ...]:
        """Everything under the table."""
        return (*self.notes, *self.verdicts)

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(row for block in self.blocks for row in block.rows)

    def part(self, positions: Sequence[int]) -> Table:
        """The table with these columns only; the notes stay."""
        return replace(
            self,
            heads=tuple(_head_part(head, positions) for head in self.heads),
            blocks=tuple(
                replace(block, rows=_filled(block.rows, positions))
                for block in self.blocks
                if _filled(block.rows, positions)
            ),
            text_columns=frozenset(
                new for new, old in enumerate(positions) if old in self.text_columns
            ),
        )

    def pages(self, columns: int = PAGE_COLUMNS) -> tuple[Table, ...]:
        """Parts of near-equal width that fit a page; only the last has the notes."""
        count = -(-self.width // columns)
        if count <= 1:
            return (self,)
        size = -(-self.width // count)
        parts = [
            self.part(range(start, min(start + size, self.width)))
            for start in range(0, self.width, size)
        ]
        return (
            replace(parts[0], notes=(), verdicts=()),
            *(
                replace(
                    part,
                    title=f"{self.title} (continued)",
                    notes=part.notes if part is parts[-1] else (),
                    verdicts=part.verdicts if part is parts[-1] else (),
                )
                for part in parts[1:]
            ),
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """A number cell cut for alignment: hanging head, digits, hanging tail."""

    head: str
    digits: str
    tail: str
    stars: str

    @property
    def left(self) -> int:
        """Characters left of the decimal point."""
        return len(self.digits.split(".")[0])

    @property
    def right(self) -> int:
        """Characters from the decimal point on."""
        return len(self.digits) - self.left


@dataclass(frozen=True, slots=True)
class Aligned:
    """A number with the paddings (in digits) that align its column.

    `left`/`right` pad the digits; `outer_left`/`outer_right` further pad what hangs
    (sign, brackets, stars), for writers that cannot hang anything.
    """

    piece: Piece
    left: int
    right: int
    outer_left: int
    outer_right: int


def align(table: Table, position: int) -> dict[int, Aligned]:
    """Row number -> paddings, for the coefficient rows of one column.

    Only estimates and their errors share a decimal point; counts and R2 are centred.
    """
    pieces: dict[int, Piece] = {}
    for number, row in enumerate(table.rows):
        cell = row.cells[position]
        if row.role != "stat" and cell.kind == "number" and cell.text:
            head, digits, tail = split_number(cell.text)
            # Powers of ten have no decimal point to share with the others.
            if "e" in digits:
                continue
            pieces[number] = Piece(
                typeset(head), typeset(digits), tail, cell.stars.strip()
            )
    if not pieces:
        return {}
    left = max(piece.left for piece in pieces.values())
    right = max(piece.right for piece in pieces.values())
    hang = max(
        max(len(p.head) - (left - p.left), 0, len(p.tail) + len(p.stars))
        for p in pieces.values()
    )
    return {
        number: Aligned(
            piece,
            left=left - piece.left,
            right=right - piece.right,
            outer_left=hang - len(piece.head),
            outer_right=hang - len(piece.tail) - len(piece.stars),
        )
        for number, piece in pieces.items()
    }


def monospaced(table: Table, position: int) -> dict[int, str]:
    """Row number -> text of equal length, aligned by spaces, of the numbers above."""
    aligned = align(table, position)
    texts = {
        number: " " * (a.left + a.outer_left)
        + f"{a.piece.head}{a.piece.digits}{a.piece.tail}{a.piece.stars}"
        + " " * (a.right + a.outer_right)
        for number, a in aligned.items()
    }
    if not texts:
        return {}
    # Shared blanks at the sides would only widen the column.
    before = min(len(t) - len(t.lstrip()) for t in texts.values())
    after = min(len(t) - len(t.rstrip()) for t in texts.values())
    return {n: t[before : len(t) - after] for n, t in texts.items()}


def merge_equal(labels: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """Neighbours with the same label share one header cell; empty ones stay single."""
    merged: list[tuple[str, int]] = []
    for label in labels:
        if merged and label and merged[-1][0] == label:
            merged[-1] = (label, merged[-1][1] + 1)
        else:
            merged.append((label, 1))
    return tuple(merged)


def _filled(rows: Sequence[Row], positions: Sequence[int]) -> tuple[Row, ...]:
    """The rows cut to these columns, without those that say nothing there."""
    cut = [replace(row, cells=tuple(row.cells[i] for i in positions)) for row in rows]
    return tuple(row for row in cut if any(cell.text for cell in row.cells))


def _head_part(head: Head, positions: Sequence[int]) -> Head:
    labels = head.per_column()
    owner = [i for i, (_, span) in enumerate(head.cells) for _ in range(span)]
    cells: list[tuple[str, int]] = []
    previous: int | None = None
    for position in positions:
        if owner[position] == previous:
            label, span = cells[-1]
            cells[-1] = (label, span + 1)
        else:
            cells.append((labels[position], 1))
        previous = owner[position]
    return replace(head, cells=tuple(cells))
