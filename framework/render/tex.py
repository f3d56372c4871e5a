r"""Tables as LaTeX fragments: booktabs rules and threeparttable notes.

`maketables` 0.2 is not used here: it sets notes in a minipage of the line's width
instead of under the table, rules under empty spanners, centres numbers without a
common decimal point, and passes user text unescaped.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from framework.render.numbers import typeset
from framework.render.table import PAGE_COLUMNS, Aligned, Cell, Table, align

PACKAGES = ("booktabs", "threeparttable", "amssymb")
#: A header wider than this many characters is broken into stacked lines.
_HEADER_WIDTH = 14
#: Words in a cell are broken at this width.
_CELL_WIDTH = 18
#: With more columns the type gets smaller; (columns, size, gap).
_SIZES = (
    (4, r"\normalsize", "8pt"),
    (6, r"\small", "6pt"),
    (99, r"\footnotesize", "4pt"),
)

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': r"\textquotedbl{}",
    "|": r"\textbar{}",
    "²": r"\textsuperscript{2}",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "−": r"$-$",
    "∞": r"$\infty$",
    "✓": r"$\checkmark$",
    "✗": r"$\times$",
    "—": r"---",
    "–": r"--",
    "…": r"\dots{}",
    "\u00a0": "~",
}
# T1's " exists in OT1 too when written as two apostrophes.
_ESCAPES['"'] = "''"
_SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_POWER = re.compile("×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)")


def latex(table: Table) -> str:
    """A fragment to be input; its packages are named in the first line.

    Non-Latin labels need XeLaTeX or LuaLaTeX with a font that has them.
    """
    head = f"% needs \\usepackage{{{','.join(PACKAGES)}}}\n"
    pages = table.pages(PAGE_COLUMNS)
    return head + "\n".join(
        _page(page, f"tab:{table.stem}" if number == 0 else "")
        for number, page in enumerate(pages)
    )


def escape(text: str) -> str:
    """User text as LaTeX text: no command survives."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def _page(table: Table, label: str) -> str:
    size, gap = next((s, g) for limit, s, g in _SIZES if table.width <= limit)
    columns = "".join(
        "l" if i in table.text_columns else "c" for i in range(table.width)
    )
    lines = [
        r"\begin{table}[htbp]",
        r"\centering",
        r"\begin{threeparttable}",
        rf"\caption{{{escape(table.title)}}}",
        *([rf"\label{{{label}}}"] if label else []),
        size,
        rf"\setlength{{\tabcolsep}}{{{gap}}}",
        rf"\begin{{tabular}}{{@{{}}l{columns}@{{}}}}",
        r"\toprule",
        *_heads(table),
        *_body(table),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if table.footer:
        lines += [
            r"\begin{tablenotes}[flushleft]\footnotesize",
            *(rf"\item {escape(note)}" for note in table.footer),
            r"\end{tablenotes}",
        ]
    return "\n".join([*lines, r"\end{threeparttable}", r"\end{table}", ""])


def _heads(table: Table) -> list[str]:
    lines = []
    for head in table.heads:
        cells, rules, position = [escape(head.stub)], [], 2
        for text, span in head.cells:
            cells.append(_header(text, span))
            if span > 1 and text:
                rules.append(rf"\cmidrule(lr){{{position}-{position + span - 1}}}")
            position += span
        lines.append(" & ".join(cells) + r" \\")
        if rules:
            lines.append(" ".join(rules))
    return lines


def _header(text: str, span: int) -> str:
    parts = textwrap.wrap(text, _HEADER_WIDTH * span) or [""]
    inner = r"\\".join(escape(part) for part in parts)
    if len(parts) > 1:
        inner = rf"\shortstack{{{inner}}}"
    return rf"\multicolumn{{{span}}}{{c}}{{{inner}}}" if span > 1 else inner


def _body(table: Table) -> list[str]:
    aligned = [align(table, position) for position in range(table.width)]
    lines, number = [], 0
    for block in table.blocks:
        lines.append(r"\midrule")
        if block.title:
            title = escape(block.title)
            lines.append(
                rf"\multicolumn{{{table.width + 1}}}{{@{{}}l}}{{\emph{{{title}}}}} \\"
            )
        for row in block.rows:
            # A line that opens with [ would be read as the option of the \\ above.
            label = ("\\quad " if block.title and row.label else "") + escape(row.label)
            label = "{" + label + "}" if label.startswith("[") else label
            cells = [
                _number(columns[number]) if number in columns else _cell(cell)
                for cell, columns in zip(row.cells, aligned, strict=True)
            ]
            lines.append(" & ".join([label, *cells]) + r" \\")
            if row.role == "error" and row is not block.rows[-1]:
                lines.append(r"\addlinespace[2pt]")
            number += 1
    return lines


def _cell(cell: Cell) -> str:
    if cell.kind == "number":
        return _digits(typeset(cell.text)) + _stars(cell.stars)
    parts = textwrap.wrap(cell.text, _CELL_WIDTH) or [""]
    if len(parts) == 1:
        return escape(cell.text)
    stacked = r"\\".join(escape(part) for part in parts)
    return rf"\begin{{tabular}}[t]{{@{{}}c@{{}}}}{stacked}\end{{tabular}}"


def _number(number: Aligned) -> str:
    """Digits centred at a common decimal point; sign, brackets and stars hang."""
    piece = number.piece
    head = rf"\llap{{{_digits(piece.head)}}}" if piece.head else ""
    tail = piece.tail + _stars(piece.stars)
    tail = rf"\rlap{{{tail}}}" if tail else ""
    return (
        _phantom(number.left)
        + head
        + _digits(piece.digits)
        + tail
        + _phantom(number.right)
    )


def _phantom(digits: int) -> str:
    return rf"\phantom{{{'0' * digits}}}" if digits > 0 else ""


def _digits(text: str) -> str:
    power = _POWER.search(text)
    if power:
        exponent = power[1].translate(_SUPERSCRIPTS)
        return (
            escape(text[: power.start()])
            + rf"$\times10^{{{exponent}}}$"
            + escape(text[power.end() :])
        )
    return escape(text)


def _stars(stars: str) -> str:
    return rf"$^{{{stars}}}$" if stars else ""


def document(fragments: Sequence[str]) -> str:
    """A whole document around fragments, for a look at the tables."""
    packages = "".join(rf"\usepackage{{{name}}}" + "\n" for name in PACKAGES)
    return (
        "\\documentclass{article}\n\\usepackage[T1]{fontenc}\n"
        "\\usepackage[margin=2cm]{geometry}\n"
        f"{packages}\\begin{{document}}\n" + "\n".join(fragments) + "\\end{document}\n"
    )
