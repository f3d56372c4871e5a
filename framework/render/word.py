"""Tables as Word documents, by `maketables` (python-docx underneath)."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from framework.render.plain import printed
from framework.render.table import PAGE_COLUMNS, Aligned, Table, align

if TYPE_CHECKING:
    from docx.document import Document
    from docx.text.paragraph import Paragraph

#: Blanks of Times New Roman: as wide as a digit or a star; a digit less a bracket.
_DIGIT, _BRACKET_REST = "\u2007", "\u2006"
#: What XML 1.0 can't hold; a label with such a character would not open in Word.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
#: More columns than this turn the page.
_LANDSCAPE_FROM = 6
_MARGIN_CM, _STUB_CM, _WIDEST_COLUMN_CM = 2.0, 4.8, 3.6
_PORTRAIT_CM, _LANDSCAPE_CM = 17.0, 25.7
#: Rules in eighths of a point.
_HEAVY, _MIDDLE, _LIGHT = 10, 6, 4
_EAST_ASIAN_FONT = "SimSun"


def word(table: Table) -> bytes:
    """A .docx: one page table per `PAGE_COLUMNS` columns, landscape when wide."""
    document: Document | None = None
    for page in table.pages(PAGE_COLUMNS):
        part = _document(page)
        if document is None:
            document = part
        else:
            _append(document, part)
    assert document is not None  # noqa: S101 - pages() is never empty
    _set_page(document, landscape=table.width > _LANDSCAPE_FROM)
    out = io.BytesIO()
    _fix_dates(document)
    document.save(out)
    return out.getvalue()


def _document(table: Table) -> Any:
    from maketables import MTable

    made: Any = MTable(_frame(table), notes=_clean("\n".join(table.footer))).make(
        type="docx",
        docx_style={
            "font_size_pt": 9 if table.width > _LANDSCAPE_FROM - 2 else 10,
            "notes_font_size_pt": 8,
            "notes_align": "left",
            "cell_margins_dxa": {"left": 30, "right": 30, "top": 0, "bottom": 0},
            "table_style_name": "Normal Table",
        },
    )
    _caption(made, table.title)
    _finish(made.tables[0], table)
    return made


def _frame(table: Table) -> Any:
    """The table as MTable wants it: text, header levels as a MultiIndex.

    Blocks are separated by an empty row label group; MTable's own row groups need
    unique names, so titles become rows.
    """
    import pandas as pd

    aligned = [align(table, position) for position in range(table.width)]
    index: list[str] = []
    body: list[list[str]] = []
    number = 0
    for block in table.blocks:
        if block.title:
            index.append(_clean(block.title))
            body.append([""] * table.width)
        for row in block.rows:
            index.append(_clean(row.label))
            body.append(
                [
                    _padded(columns[number])
                    if number in columns
                    else _clean(printed(cell))
                    for cell, columns in zip(row.cells, aligned, strict=True)
                ]
            )
            number += 1
    labels = [[_clean(t) for t in head.per_column()] for head in table.heads]
    if len(labels) == 1:
        columns: Any = pd.Index(labels[0])
    else:
        columns = pd.MultiIndex.from_arrays(labels)
    return pd.DataFrame(body, index=pd.Index(index), columns=columns)


def _padded(number: Aligned) -> str:
    piece = number.piece
    before = _DIGIT * (number.left + number.outer_left)
    after = _DIGIT * (number.right + number.outer_right)
    if piece.head.startswith("("):
        before += _BRACKET_REST
    if piece.tail:
        after = _BRACKET_REST + after
    return f"{before}{piece.head}{piece.digits}{piece.tail}{piece.stars}{after}"


def _clean(text: str) -> str:
    return _CONTROL.sub("\ufffd", text)


def _caption(document: Any, title: str) -> None:
    """The title above the table as a Word caption (found by a list of tables)."""
    from docx.shared import Pt, RGBColor

    paragraph = document.add_paragraph(style="Caption")
    run = paragraph.add_run(_clean(title))
    run.font.name, run.font.size, run.bold = "Times New Roman", Pt(11), True
    run.font.color.rgb = RGBColor(0, 0, 0)
    paragraph.paragraph_format.keep_with_next = True
    document.tables[0]._element.addprevious(paragraph._element)


def _finish(word_table: Any, table: Table) -> None:
    """What MTable leaves undone: rules by block, widths, spacing, a CJK font."""
    rows = [row._tr for row in word_table.rows]
    if not table.footer:
        word_table._tbl.remove(rows.pop())
    _set_rules(rows, table)
    _set_widths(word_table, rows, table)
    _set_type(word_table, rows, table)


def _set_rules(rows: Sequence[Any], table: Table) -> None:
    """Booktabs: heavy at both ends, light under the header and between blocks.

    MTable gives a cell several border elements, which the schema of Word forbids; here
    each cell gets one.
    """
    heads = len(table.heads)
    body = sum(len(block.rows) + bool(block.title) for block in table.blocks)
    tops, bottoms = {0: _HEAVY}, {heads - 1: _MIDDLE, heads + body - 1: _HEAVY}
    line = heads
    for block in table.blocks:
        if line > heads:
            tops[line] = _LIGHT
        line += len(block.rows) + bool(block.title)
    for number, row in enumerate(rows):
        for cell in row.tc_lst:
            spans = number < heads - 1 and cell.grid_span > 1 and _says(cell)
            bottom = bottoms.get(number, _LIGHT if spans else 0)
            _borders(cell, tops.get(number, 0), bottom)


def _says(cell: Any) -> bool:
    from docx.oxml.ns import qn

    return any(text.text for text in cell.iter(qn("w:t")))


def _borders(cell: Any, top: int, bottom: int) -> None:
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    properties = cell.get_or_add_tcPr()
    for old in properties.findall(qn("w:tcBorders")):
        properties.remove(old)
    borders = OxmlElement("w:tcBorders")
    for side, size in (("top", top), ("bottom", bottom)):
        if size:
            line = OxmlElement(f"w:{side}")
            line.set(qn("w:val"), "single")
            line.set(qn("w:sz"), str(size))
            borders.append(line)
    # The schema's order: width, spans, borders, then the rest.
    before = {qn(f"w:{name}") for name in ("tcW", "gridSpan", "hMerge", "vMerge")}
    place = sum(child.tag in before for child in properties)
    properties.insert(place, borders)


def _set_widths(word_table: Any, rows: Sequence[Any], table: Table) -> None:
    from docx.shared import Cm

    page = _LANDSCAPE_CM if table.width > _LANDSCAPE_FROM else _PORTRAIT_CM
    column = min((page - _STUB_CM) / table.width, _WIDEST_COLUMN_CM)
    word_table.autofit = False
    for number, grid in enumerate(word_table._tbl.tblGrid.gridCol_lst):
        grid.w = Cm(column if number else _STUB_CM)
    for row in rows:
        start = 0
        for cell in row.tc_lst:
            stub = _STUB_CM if start == 0 else 0.0
            cell.width = Cm(stub + column * (cell.grid_span - (start == 0)))
            start += cell.grid_span


def _set_type(word_table: Any, rows: Sequence[Any], table: Table) -> None:
    """Tight lines, words flush left, italic block titles, a CJK font."""
    from docx.oxml.ns import qn
    from docx.text.paragraph import Paragraph

    for number, row in enumerate(rows):
        for position, cell in enumerate(row.tc_lst):
            left = position == 0 or position - 1 in table.text_columns
            for paragraph in cell.p_lst:
                _tighten(
                    Paragraph(paragraph, word_table),
                    left=left and number >= len(table.heads),
                )
    line = len(table.heads)
    for block in table.blocks:
        if block.title:
            for run in word_table.cell(line, 0).paragraphs[0].runs:
                run.italic = True
        line += len(block.rows) + bool(block.title)
    for fonts in word_table._element.iter(qn("w:rFonts")):
        fonts.set(qn("w:eastAsia"), _EAST_ASIAN_FONT)


def _tighten(paragraph: Paragraph, *, left: bool) -> None:
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.shared import Pt

    form = paragraph.paragraph_format
    form.space_before, form.space_after, form.line_spacing = Pt(1), Pt(1), 1.0
    if left:
        paragraph.alignment = WD_ALIGN_PARAGRAPH.LEFT


def _append(document: Any, part: Any) -> None:
    """Put the blocks of `part` at the end of `document`."""
    end = document.element.body.sectPr
    for element in list(part.element.body):
        if element is not part.element.body.sectPr:
            end.addprevious(element)


def _set_page(document: Any, *, landscape: bool) -> None:
    from docx.enum.section import WD_ORIENT
    from docx.shared import Cm

    section = document.sections[0]
    section.left_margin = section.right_margin = Cm(_MARGIN_CM)
    section.page_width, section.page_height = Cm(21.0), Cm(29.7)
    if landscape:
        section.orientation = WD_ORIENT.LANDSCAPE
        section.page_width, section.page_height = Cm(29.7), Cm(21.0)


def _fix_dates(document: Any) -> None:
    """The same run gives the same words: no clock in the properties."""
    import datetime as dt

    properties = document.core_properties
    properties.author, properties.title = "estimand", ""
    properties.created = properties.modified = dt.datetime(2000, 1, 1)  # noqa: DTZ001 - OOXML dates are naive
