"""Tables as text: CSV for spreadsheets, Markdown for notes, columns for a terminal.

`maketables` writes none of the three.
"""

from __future__ import annotations

import csv
import io
import json
import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from framework.render.numbers import typeset
from framework.render.table import Cell, Head, Table, monospaced

if TYPE_CHECKING:
    from framework.render.curves import Curve

#: A cell that a spreadsheet would run as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MARKDOWN = re.compile(r"([\\`*_|\[\]#~$])")
_NARROWEST = 5
#: Words in a cell are wrapped at this width.
_WORDS = 13


def csv_text(table: Table) -> str:
    """The table as printed, for a spreadsheet. No cell can act as a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for head in table.heads:
        writer.writerow([harmless(t) for t in (head.stub, *head.per_column())])
    for block in table.blocks:
        if block.title:
            writer.writerow([harmless(block.title)])
        for row in block.rows:
            cells = [
                f"{cell.text}{cell.stars}"
                if cell.kind == "number"
                else harmless(cell.text)
                for cell in row.cells
            ]
            writer.writerow([harmless(row.label), *cells])
    for note in table.footer:
        writer.writerow([harmless(note)])
    return out.getvalue()


def curve_csv(curve: Curve) -> str:
    """A specification curve as rows, sorted as drawn, at full precision."""
    paths = list(dict.fromkeys(path for c in curve.columns for path in c.changes))
    numbers = ("estimate", "std_error", "p_value", "conf_low", "conf_high")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["value", *map(harmless, paths), "status", *numbers, "reason"])
    rows = [(c, c.judged if c.done else None) for c in curve.columns]
    done = sorted((r.estimate, i) for i, (_, r) in enumerate(rows) if r)
    order = [i for _, i in done] + [i for i, (_, r) in enumerate(rows) if not r]
    for column, row in (rows[i] for i in order):
        writer.writerow(
            [
                harmless(column.value),
                *(harmless(_choice(column.changes.get(path, ""))) for path in paths),
                column.status,
                *(repr(getattr(row, name)) if row else "" for name in numbers),
                "" if column.done else harmless(column.why_empty()),
            ]
        )
    return out.getvalue()


def _choice(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def harmless(text: str) -> str:
    """Text that no spreadsheet runs: a leading `= + - @` is quoted (OWASP)."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def markdown(table: Table) -> str:
    """The table in GitHub's Markdown, title in bold above, notes below."""
    lines = [f"**{_md(table.title)}**", ""]
    names = [
        " ".join(dict.fromkeys(t for t in labels if t))
        for labels in zip(*(head.per_column() for head in table.heads), strict=True)
    ]
    lines.append(_md_row([table.heads[-1].stub, *names]))
    sides = [
        ":--" if position in table.text_columns else ":-:"
        for position in range(table.width)
    ]
    lines.append("| " + " | ".join([":--", *sides]) + " |")
    blank = [""] * table.width
    for block in table.blocks:
        if block.title:
            lines.append(_md_row([block.title, *blank], emphasis=True))
        lines += [_md_row([row.label, *map(printed, row.cells)]) for row in block.rows]
    lines.append("")
    lines += [f"{_md(note)}  " for note in table.footer]
    return "\n".join(lines).rstrip() + "\n"


def terminal(table: Table, width: int) -> str:
    """The table for a terminal of `width` columns; wide ones continue below.

    Widths are counted in terminal cells, so that Chinese labels line up.
    """
    stub = min(
        _longest([row.label for row in table.rows] + [table.heads[-1].stub]),
        max(width // 3, 8),
    )
    room = width - stub
    columns = [_terminal_column(table, i) for i in range(table.width)]
    sizes = [
        max(min(size, room - 2), _NARROWEST)
        for size in (_column_size(i, table, texts) for i, texts in enumerate(columns))
    ]
    lines = _wrap(table.title, width)
    for positions in _fitting(sizes, room):
        lines += _terminal_part(table, positions, sizes, stub, width)
    for note in table.footer:
        lines += _wrap(note, width)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def printed(cell: Cell) -> str:
    """A cell's text in Unicode typography."""
    if cell.kind == "number":
        return typeset(cell.text) + cell.stars
    return cell.text


def _md(text: str) -> str:
    text = _MARKDOWN.sub(r"\\\1", text.replace("\n", " "))
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _md_row(cells: Sequence[str], *, emphasis: bool = False) -> str:
    escaped = [_md(cell) for cell in cells]
    if emphasis:
        escaped[0] = f"*{escaped[0]}*"
    return "| " + " | ".join(escaped) + " |"


def _terminal_column(table: Table, position: int) -> list[str]:
    """The body of one column, numbers aligned at the decimal point."""
    aligned = monospaced(table, position)
    return [
        aligned.get(number, printed(row.cells[position]))
        for number, row in enumerate(table.rows)
    ]


def _column_size(position: int, table: Table, texts: Sequence[str]) -> int:
    """Cells a column needs: numbers whole, words wrapped at `_WORDS`."""
    number_size, word_size = 0, 0
    for row, text in zip(table.rows, texts, strict=True):
        if row.cells[position].kind == "number":
            number_size = max(number_size, _cells(text))
        else:
            word_size = max(word_size, min(_cells(text), _WORDS))
            word_size = max(word_size, _longest(text.split()))
    # A label over this column alone is not cut inside a word; wider ones have room.
    own = [label for h in table.heads if (label := _alone(h, position))]
    header = _longest([word for label in own for word in label.split()])
    return max(number_size, word_size, header)


def _alone(head: Head, position: int) -> str:
    """The label that a header row has over this column and no other."""
    start = 0
    for label, span in head.cells:
        if start == position and span == 1:
            return label
        start += span
    return ""


def _fitting(sizes: Sequence[int], room: int) -> list[range]:
    """Cut the columns into runs that fit, each at least one column."""
    parts: list[range] = []
    start, used = 0, 0
    for number, size in enumerate(sizes):
        if number > start and used + size + 2 > room:
            parts.append(range(start, number))
            start, used = number, 0
        used += size + 2
    parts.append(range(start, len(sizes)))
    return parts


def _terminal_part(
    table: Table, positions: range, sizes: Sequence[int], stub: int, width: int
) -> list[str]:
    part = table.part(positions)
    columns = [_terminal_column(part, i) for i in range(part.width)]
    # Spare room goes to the columns, so that headers need not be wrapped.
    spare = max((width - stub - sum(sizes[i] + 2 for i in positions)) // part.width, 0)
    wide = [sizes[i] + min(spare, 8) for i in positions]
    rule = "─" * min(stub + sum(wide) + 2 * part.width, width)
    lines = [rule]
    for head in part.heads:
        lines += _terminal_head(head.cells, head.stub, wide, stub)
    number = 0
    for block in part.blocks:
        lines.append(rule)
        if block.title:
            lines.append(block.title)
        for row in block.rows:
            texts = [
                [columns[i][number]]
                if cell.kind == "number"
                else _wrap(cell.text, wide[i])
                for i, cell in enumerate(row.cells)
            ]
            lines += _terminal_row(row.label, texts, wide, stub, part.text_columns)
            number += 1
    return [*lines, rule]


def _terminal_row(
    label: str,
    texts: Sequence[Sequence[str]],
    wide: Sequence[int],
    stub: int,
    left: frozenset[int],
) -> list[str]:
    """One row of the body, as many lines as its longest cell needs."""
    labels = _wrap(label, stub) or [""]
    height = max(len(labels), *(len(text) for text in texts))
    lines = []
    for level in range(height):
        line = _pad(labels[level] if level < len(labels) else "", stub)
        for i, text in enumerate(texts):
            said = _cut(text[level], wide[i]) if level < len(text) else ""
            line += "  " + (_pad if i in left else _centre)(said, wide[i])
        lines.append(line)
    return lines


def _terminal_head(
    cells: Sequence[tuple[str, int]],
    stub_label: str,
    wide: Sequence[int],
    stub: int,
) -> list[str]:
    """One header row, wrapped to as many lines as its longest label needs."""
    wrapped: list[tuple[list[str], int]] = []
    position = 0
    for label, span in cells:
        size = sum(wide[position : position + span]) + 2 * (span - 1)
        wrapped.append((_wrap(label, size) or [""], size))
        position += span
    height = max(len(texts) for texts, _ in wrapped)
    lines = []
    for level in range(height):
        line = _pad(stub_label if level == height - 1 else "", stub)
        for texts, size in wrapped:
            text = texts[level] if level < len(texts) else ""
            line += "  " + _centre(_cut(text, size), size)
        lines.append(line)
    return lines


def _longest(texts: Sequence[str]) -> int:
    return max([_cells(text) for text in texts], default=0)


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _cut(text: str, size: int) -> str:
    from rich.cells import set_cell_size

    return text if _cells(text) <= size else set_cell_size(text, size - 1) + "…"


def _pad(text: str, size: int) -> str:
    return text + " " * max(size - _cells(text), 0)


def _centre(text: str, size: int) -> str:
    spare = max(size - _cells(text), 0)
    return " " * (spare // 2) + text + " " * (spare - spare // 2)


def _wrap(text: str, size: int) -> list[str]:
    """Lines of at most `size` cells, broken at spaces where there are any."""
    from rich.cells import chop_cells

    if _cells(text) <= size:
        return [text] if text else []
    lines: list[str] = []
    if _cells(text) == len(text):
        return textwrap.wrap(text, max(size, 1))
    for word in text.split(" "):
        for piece in chop_cells(word, max(size, 2)):
            if lines and _cells(f"{lines[-1]} {piece}") <= size:
                lines[-1] = f"{lines[-1]} {piece}"
            else:
                lines.append(piece)
    return lines
