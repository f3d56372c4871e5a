"""Tables, figures and the report from a finished run's folder; nothing is refitted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from framework.errors import SpecError, StorageError, did_you_mean
from framework.render.drawn import Drawn
from framework.render.run import RunFolder

if TYPE_CHECKING:
    from framework.render.report import Picture
    from framework.render.run import Heading
    from framework.render.table import Table

FORMATS = ("html", "md", "csv", "tex", "docx")
FIGURES = ("png", "pdf")
#: Where the captions stand among the files of a heading's figures.
_CAPTIONS = "captions"

__all__ = [
    "FIGURES",
    "FORMATS",
    "RunFolder",
    "markdown_table",
    "render",
    "terminal_table",
]


def render(
    run_dir: Path,
    formats: Sequence[str] = FORMATS,
    figures: Sequence[str] = FIGURES,
    *,
    kept: Path | None = None,
) -> tuple[Path, ...]:
    """Write `tables/`, `figures/` and `report.html` of a finished run.

    Args:
        run_dir: `runs/<study>/<run id>`.
        formats: of tables, some of `FORMATS`.
        figures: formats of figures, some of `FIGURES` and `svg`; none draws nothing.
        kept: folder of what was drawn before; what shows the same is taken from there.

    Returns:
        The files written, the report first.

    Raises:
        StorageError: R01 the folder is no readable run, R03 a file can't be written.
        SpecError: R04 a format that does not exist.
    """
    from framework.render import plain
    from framework.render.content import tables_of
    from framework.render.curves import curves_of
    from framework.render.figures import undrawn
    from framework.render.report import Section, report
    from framework.render.words import file_stem

    _check_formats(formats, figures)
    run = RunFolder.read(Path(run_dir))
    drawn = Drawn(kept)
    drawn.tidy()
    written: list[Path] = []
    sections: list[Section] = []
    for heading in run.headings:
        tables = tables_of(run, heading)
        for table in tables:
            for suffix, content in _documents(table, formats, drawn):
                written.append(_write(run.path / "tables", table.stem, suffix, content))
        if "csv" in formats:
            for curve in curves_of(heading):
                content = plain.curve_csv(curve).encode("utf-8-sig")
                stem = f"{file_stem(heading.name)}_{file_stem(curve.line)}"
                written.append(_write(run.path / "tables", stem, "csv", content))
        pictures, files = _pictures(run, heading, figures, drawn)
        written += files
        sections.append(Section(heading, tables, pictures, undrawn(heading)))
    pictures, files = _pictures(run, None, figures, drawn)
    written += files
    text = report(run, sections, pictures)
    page = _write(run.path, "report", "html", text.encode())
    return (page, *written)


def terminal_table(run: RunFolder, heading: str, width: int = 80) -> str:
    """A heading's tables for a terminal of `width` columns.

    Raises:
        StorageError: R02 the run has no such heading.
    """
    from framework.render.content import tables_of
    from framework.render.plain import terminal

    tables = tables_of(run, run.heading(heading))
    return "\n".join(terminal(table, width) for table in tables)


def markdown_table(run: RunFolder, heading: str) -> str:
    """A heading's tables in Markdown, e.g. for the description of an MLflow run.

    Raises:
        StorageError: R02 the run has no such heading.
    """
    from framework.render.content import tables_of
    from framework.render.plain import markdown

    return "\n".join(markdown(t) for t in tables_of(run, run.heading(heading)))


def _check_formats(formats: Sequence[str], figures: Sequence[str]) -> None:
    allowed = ((formats, FORMATS, "formats"), (figures, (*FIGURES, "svg"), "figures"))
    for asked, known, path in allowed:
        for name in asked:
            if name not in known:
                raise SpecError(
                    "R04",
                    f"there is no format '{name}'",
                    fix=did_you_mean(name, known),
                    path=f"report.{path}",
                )


def _documents(
    table: Table, formats: Sequence[str], drawn: Drawn
) -> Iterator[tuple[str, bytes]]:
    """(suffix, bytes) in the formats asked for; Word's libraries load only for docx."""
    from framework.render import html, plain, tex
    from framework.render.drawn import table_key

    if "html" in formats:
        yield "html", html.page(table).encode()
    if "md" in formats:
        yield "md", plain.markdown(table).encode()
    if "csv" in formats:
        # The mark lets spreadsheets see that the file is UTF-8.
        yield "csv", plain.csv_text(table).encode("utf-8-sig")
    if "tex" in formats:
        key = table_key(table, "tex")
        made = drawn.get(key, lambda: {"tex": tex.latex(table).encode()})
        yield "tex", made["tex"]
    if "docx" in formats:
        key = table_key(table, "docx")
        yield "docx", drawn.get(key, lambda: {"docx": _word(table)})["docx"]


def _word(table: Table) -> bytes:
    from framework.render import word

    return word.word(table)


def _pictures(
    run: RunFolder, heading: Heading | None, formats: Sequence[str], drawn: Drawn
) -> tuple[tuple[Picture, ...], list[Path]]:
    """A heading's figures (None = the data's): for the report as SVG, and on disk."""
    if not formats:
        return (), []
    from framework.render.drawn import data_key, heading_key
    from framework.render.report import Picture

    key = (
        data_key(run, formats)
        if heading is None
        else heading_key(run, heading, formats)
    )
    files = drawn.get(key, lambda: _drawings(run, heading, formats))
    pictures, written = [], []
    for stem, caption, description in json.loads(files[_CAPTIONS]):
        pictures.append(Picture(files[f"{stem}.svg"], caption, description))
        written += [
            _write(run.path / "figures", stem, form, files[f"{stem}.{form}"])
            for form in formats
        ]
    return tuple(pictures), written


def _drawings(
    run: RunFolder, heading: Heading | None, formats: Sequence[str]
) -> dict[str, bytes]:
    """File name -> bytes of every figure, and the captions in the order of the page."""
    from framework.render import figures, frame_figures, style, trajectories

    sketches = (
        [
            *figures.sketches_of(run, heading),
            *frame_figures.heading_sketches(run, heading),
            *trajectories.heading_sketches(run, heading),
        ]
        if heading is not None
        else list(frame_figures.data_sketches(run))
    )
    said = [(s.stem, s.caption, s.description) for s in sketches]
    files = {_CAPTIONS: json.dumps(said).encode()}
    for sketch in sketches:
        made = style.save(sketch, tuple(dict.fromkeys(("svg", *formats))))
        files |= {f"{sketch.stem}.{form}": content for form, content in made.items()}
    return files


def _write(folder: Path, stem: str, suffix: str, content: bytes) -> Path:
    """Write under a temporary name, then rename: no half file is ever seen."""
    target = folder / f"{stem}.{suffix}"
    temporary = folder / f".{stem}.{suffix}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(target)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StorageError(
            "R03",
            f"cannot write '{target}': {error.strerror or error}",
            fix="free space or make the folder writable, then `estimand report` again",
        ) from error
    return target
