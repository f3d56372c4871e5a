"""What was drawn before is taken as it is, and only where it shows the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from framework.render import render, style, word
from framework.render.drawn import Drawn
from tests.build_rendered import castle


@pytest.fixture
def drawings(monkeypatch):
    """Names of what is really drawn."""
    seen: list[str] = []
    save, document = style.save, word.word

    def drawn(sketch, formats):
        seen.append(sketch.stem)
        return save(sketch, formats)

    def written(table):
        seen.append(f"{table.stem}.docx")
        return document(table)

    monkeypatch.setattr(style, "save", drawn)
    monkeypatch.setattr(word, "word", written)
    return seen


@pytest.fixture
def folder(tmp_path):
    return castle(tmp_path / "castle" / "run")


def content(files):
    return {file: file.read_bytes() for file in files}


def manifest(folder: Path, change):
    path = folder / "manifest.json"
    held = json.loads(path.read_text("utf-8"))
    change(held)
    path.write_text(json.dumps(held), "utf-8")


def test_the_second_time_nothing_is_drawn_and_every_byte_is_the_same(
    folder, tmp_path, drawings
):
    plain = content(render(folder))
    drawings.clear()
    first = content(render(folder, kept=tmp_path / "kept"))
    assert drawings
    drawings.clear()
    again = content(render(folder, kept=tmp_path / "kept"))
    assert drawings == []
    assert first == again
    # Word documents carry the time at which they were made.
    unlike = {file.suffix for file in plain if plain[file] != first[file]}
    assert unlike <= {".docx"}


def test_how_long_it_took_and_whether_it_was_cached_change_no_figure(
    folder, tmp_path, drawings
):
    render(folder, kept=tmp_path / "kept")
    drawings.clear()

    def slower(held):
        for column in held["columns"]:
            column["seconds"], column["cached"] = 99.0, True

    manifest(folder, slower)
    render(folder, kept=tmp_path / "kept")
    assert drawings == []


@pytest.mark.parametrize("what", ["label", "estimate", "frame"])
def test_whatever_a_figure_shows_is_drawn_again(folder, tmp_path, drawings, what):
    render(folder, kept=tmp_path / "kept")
    drawings.clear()
    if what == "label":
        manifest(folder, lambda held: held["labels"].update(ai="Another name"))
    elif what == "estimate":
        path = folder / "coefficients.csv"
        lines = path.read_text("utf-8").splitlines(keepends=True)
        head = lines[0].rstrip("\n").split(",")
        at = head.index("estimate")
        for n, line in enumerate(lines[1:], start=1):
            cells = line.split(",")
            if len(cells) == len(head) and cells[at]:
                cells[at] = repr(float(cells[at]) + 1)
                lines[n] = ",".join(cells)
        path.write_text("".join(lines), "utf-8")
    else:
        for path in (folder / "frames").glob("*.csv"):
            path.write_text(path.read_text("utf-8") + "\n", "utf-8")
    render(folder, kept=tmp_path / "kept")
    assert any(not name.endswith(".docx") for name in drawings)


def test_other_formats_are_drawn(folder, tmp_path, drawings):
    render(folder, formats=(), figures=("png",), kept=tmp_path / "kept")
    drawings.clear()
    render(folder, formats=(), figures=("pdf",), kept=tmp_path / "kept")
    assert drawings


@pytest.mark.parametrize("damage", [b"", b"{}", b"not json\nx", None])
def test_a_damaged_file_is_made_again(tmp_path, damage):
    drawn = Drawn(tmp_path)
    made = {"a.png": b"abc", "b.png": b"\n\n"}
    assert drawn.get("ab12", lambda: made) == made
    path = tmp_path / "ab" / "ab12"
    held = path.read_bytes()
    path.write_bytes(held[:-1] + b"x" if damage is None else damage)
    assert drawn.get("ab12", lambda: made) == made
    assert path.read_bytes() == held  # and kept as it should be


def test_a_kept_file_is_what_was_made(tmp_path):
    drawn = Drawn(tmp_path)
    made = {"a.png": b"abc", "empty": b"", "b.png": b"\n\n"}
    drawn.get("ab12", lambda: made)

    def never():
        raise AssertionError("made again")

    assert drawn.get("ab12", never) == made


def test_where_nothing_can_be_kept_it_is_made(tmp_path):
    (tmp_path / "kept").write_text("a file is in the way", "utf-8")
    assert Drawn(tmp_path / "kept").get("ab12", lambda: {"a": b"b"}) == {"a": b"b"}


def test_very_many_are_halved(tmp_path, monkeypatch):
    monkeypatch.setattr("framework.render.drawn._MOST_KEPT", 4)
    drawn = Drawn(tmp_path)
    for n in range(6):
        drawn.get(f"{n:02}key", lambda: {"a": b"b"})
    drawn.tidy()
    assert len(list(tmp_path.glob("*/*"))) == 3
