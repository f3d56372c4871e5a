"""Rendering from a hand-made run folder: castle doctrine, as its issue prints it."""

from __future__ import annotations

import csv
import json
import math
import re
import subprocess
import sys
from itertools import combinations, pairwise
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from framework.data.words import said_inference
from framework.errors import SpecError, StorageError
from framework.render import markdown_table, render, terminal_table
from framework.render import numbers as n
from framework.render.content import regression_table, tables_of
from framework.render.figures import sketches_of, undrawn
from framework.render.html import page
from framework.render.plain import csv_text, harmless
from framework.render.run import RunFolder
from framework.render.style import save
from framework.render.table import Block, Cell, Head, Row, Table, merge_equal
from framework.render.tex import document, escape, latex
from tests.build_rendered import STATES, Maker, castle, hostile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return castle(tmp_path / "castle" / "run")


@pytest.fixture
def hostile_folder(tmp_path: Path) -> Path:
    return hostile(tmp_path / "aipz" / "run")


# --- reading -----------------------------------------------------------------------


def test_a_run_is_read_back_in_the_order_of_the_study(folder: Path) -> None:
    run = RunFolder.read(folder)
    assert [heading.name for heading in run.headings] == [
        "descriptive", "main", "dynamics", "leads", "other_crime", "states", "placebo",
    ]  # fmt: skip
    main = run.heading("main")
    assert [column.line for column in main.columns][-1] == "few"
    assert run.baseline is not None
    assert run.baseline.address == "main.unweighted"
    judged = run.baseline.judged
    assert judged is not None
    assert judged.estimate == 0.0818116169
    events = run.heading("dynamics").columns[1].event_times
    assert [row.at("event_time") for row in events] == [
        -5, -4, -3, -2, 0, 1, 2, 3, 4,
    ]  # fmt: skip


def test_the_run_decides_which_coefficient_is_judged(tmp_path: Path) -> None:
    m = Maker(tmp_path)
    about = {"estimand": "att", "term": "b", "index": {}}
    m.column("h", "l", judged=about)
    m.row("a", 1.0, 0.1)
    m.row("b", 2.0, 0.1)
    column = RunFolder.read(m.finish()).columns[0]
    assert column.judged is not None
    assert column.judged.term == "b"


@pytest.mark.parametrize("content", [None, "{broken", "[1]"])
def test_a_folder_that_is_no_run_says_so(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(StorageError, match="R01"):
        render(tmp_path)


def test_a_truncated_csv_is_refused(folder: Path) -> None:
    file = folder / "coefficients.csv"
    file.write_text(file.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    with pytest.raises(StorageError, match="fields"):
        RunFolder.read(folder)


def test_an_unknown_heading_lists_what_exists(folder: Path) -> None:
    with pytest.raises(StorageError, match="main"):
        terminal_table(RunFolder.read(folder), "mian")


def test_a_frame_outside_the_run_is_not_read(folder: Path) -> None:
    (folder.parent / "secret.csv").write_text("a\n1\n")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["columns"][0]["frames"] = {"x": "../secret.csv"}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    run = RunFolder.read(folder)
    assert run.frame(run.columns[0], "x") is None


# --- numbers -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (0.0818116, 4, "0.0818"),
        (-0.00001, 4, "0.0000"),
        (-0.0, 3, "0.000"),
        (-0.00051, 3, "-0.001"),
        (1234567.891, 1, "1,234,567.9"),
        (1.23e-8, None, "1.23e-08"),
        (math.nan, 3, ""),
        (-math.inf, 3, "-∞"),
    ],
)
def test_fixed(value: float, places: int | None, text: str) -> None:
    assert n.fixed(value, places) == text


@pytest.mark.parametrize(
    ("error", "places"),
    [
        (0.0589, 4),
        (0.31, 3),
        (1.7, 2),
        (130.2, 0),
        (0.0021, 4),
        (0.00031, 5),
        (1e-7, None),
    ],
)
def test_decimals_show_the_digits_of_the_standard_error(
    error: float, places: int | None
) -> None:
    assert n.decimals(error) == places


@pytest.mark.parametrize(
    ("p", "mark"),
    [(0.0099, "***"), (0.01, "**"), (0.05, "*"), (0.1, ""), (math.nan, "")],
)
def test_stars_are_strict(p: float, mark: str) -> None:
    assert n.stars(p) == mark


def test_no_output_ever_prints_minus_zero(folder: Path) -> None:
    files = render(folder, formats=("html", "md", "csv", "tex"), figures=())
    for file in files:
        assert not re.search(r"[-−]0\.0+\b(?!\d)", file.read_text(encoding="utf-8"))


# --- what a table says -------------------------------------------------------------


def _rows(table: Table) -> dict[str, tuple[str, ...]]:
    return {
        r.label: tuple(c.text + c.stars for c in r.cells) for r in table.rows if r.label
    }


def test_many_controls_are_one_row_but_rho_and_the_lagged_treatment_stay(
    tmp_path: Path,
) -> None:
    lags = [f"{w}x{j}" for w in ("", "W × ") for j in range(8)]
    m = Maker(tmp_path)
    m.column("main", "durbin", treatment=["ai"], controls=[f"x{j}" for j in range(8)])
    for term in ("ai", *lags, "W × ai"):
        m.row(term, 1.0, 0.5, "coefficient")
    m.row("rho", 0.5, 0.2, "coefficient", equation="spatial")
    run = RunFolder.read(m.finish())
    table = regression_table(run, run.heading("main"))
    assert table is not None
    labels = list(_rows(table))
    assert labels[:3] == ["ai", "W × ai", "spatial: rho"]
    assert not set(labels) & set(lags)


def test_adjusted_p_values_have_a_row_and_a_note(tmp_path: Path) -> None:
    m = Maker(tmp_path)
    holm = {"p_value": 0.0412, "method": "Holm over 2 columns of main", "reason": ""}
    none = {"p_value": None, "method": "", "reason": "main.third has no p value"}
    for line, adjusted in (("one", holm), ("third", none), ("alone", None)):
        m.column("main", line, adjusted=adjusted)
        m.row("post", 0.5, 0.2)
    run = RunFolder.read(m.finish())
    table = regression_table(run, run.heading("main"))
    assert table is not None
    assert _rows(table)["Adjusted p"] == ("0.041", "", "")
    notes = " ".join(table.footer)
    assert "(1) adjusted p: Holm over 2 columns of main." in notes
    assert "(2) no adjusted p: main.third has no p value." in notes


def test_the_regression_table_of_the_castle_study(folder: Path) -> None:
    run = RunFolder.read(folder)
    table = regression_table(run, run.heading("main"))
    assert table is not None
    assert table.title == "Castle laws and homicide"
    assert table.heads[0].per_column() == (
        "unweighted", "law year", "controls", "two way", "few",
    )  # fmt: skip
    rows = _rows(table)
    assert rows["Castle law"] == ("0.0818", "0.0694", "0.0867***", "0.0818**", "—")
    assert rows["State fixed effects"] == ("Yes", "Yes", "Yes", "Yes", "—")
    assert rows["Observations"] == ("550", "550", "548", "550", "—")
    assert rows["Treated units"][0] == "21"
    assert rows["Mean of outcome before treatment"][0] == "1.524"
    assert rows["R² (within)"] == ("0.007", "0.007", "0.021", "0.007", "—")
    assert rows["Standard errors"][3] == "clustered by sid and year"
    assert rows["Expectations"] == ("?", "", "✓", "", "—")
    # Controls are in the table, so no row summarises them.
    assert "Controls" not in rows
    errors = [r.cells[0].text for r in table.rows if r.role == "error"]
    assert errors[0] == "(0.0589)"
    notes = " ".join(table.footer)
    assert "* p<0.10, ** p<0.05, *** p<0.01" in notes
    assert "(5) refused: the wild bootstrap needs 11" in notes
    assert "Fix: inference: {cluster: sid}" in notes
    assert "(4) refusal knowingly overridden: few_clusters" in notes
    assert "(3) ✓ same_sign holds: 0.0867 and 0.0818" in notes


def test_a_moderator_is_no_control_and_stands_in_its_own_row(tmp_path: Path) -> None:
    many = [f"x{i}" for i in range(13)]
    m = Maker(tmp_path / "castle" / "run")
    for line, terms, controls in (
        ("plain", ["post"], []),
        ("split", ["post", "post × rural", "rural"], []),
        ("full", ["post", *many], many),
        ("both", ["post", "post × x1", *many], many),
    ):
        m.column("main", line, controls=controls)
        for term in terms:
            m.row(term, 0.1, 0.05, "att" if term == "post" else "coefficient")
    run = RunFolder.read(m.finish())
    table = regression_table(run, run.heading("main"))
    assert table is not None
    rows = _rows(table)
    assert rows["Controls"] == ("No", "No", "Yes", "Yes")
    assert rows["rural"] == ("", "0.1000**", "", "")
    assert "x1" not in rows  # among the controls of its column, written by the study


def test_chosen_rows_and_baseline(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["report"] = {
        "main": {"rows": ["post", "nonsense"]},
        "leads": {"baseline": "first", "rows": ["Castle law[-1]", "post"]},
        "dynamics": {"rows": ["post[0]", "post[1]"]},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    run = RunFolder.read(folder)
    table = regression_table(run, run.heading("main"))
    assert table is not None
    rows = _rows(table)
    assert "log income" not in rows
    assert rows["Controls"] == ("No", "No", "Yes", "No", "—")
    assert any("'nonsense'" in note for note in table.notes)
    leads = regression_table(run, run.heading("leads"))
    assert leads is not None
    assert leads.heads[0].per_column() == ("baseline", "anticipation")
    assert _rows(leads)["Castle law"] == ("0.0818", "0.0712")
    dynamics = regression_table(run, run.heading("dynamics"))
    assert dynamics is not None
    assert [r.label for r in dynamics.blocks[0].rows if r.label] == ["0", "1"]


def test_event_times_stand_in_their_own_block_in_order(folder: Path) -> None:
    run = RunFolder.read(folder)
    table = regression_table(run, run.heading("dynamics"))
    assert table is not None
    block = table.blocks[0]
    assert block.title == "Periods since treatment"
    assert [row.label for row in block.rows if row.label] == [
        "−5", "−4", "−3", "−2", "0", "1", "2", "3", "4",
    ]  # fmt: skip
    # A float event time (4.0) of another estimator is the same row.
    assert all(cell.text for cell in block.rows[0].cells)
    assert _rows(table)["Pre-trends, joint p"] == ("0.412", "", "")


def test_leads_and_lags_stand_in_order_of_time(folder: Path) -> None:
    run = RunFolder.read(folder)
    table = regression_table(run, run.heading("leads"))
    assert table is not None
    labels = [r.label for r in table.blocks[0].rows if r.label]
    assert labels == [
        "Castle law, lead 2", "Castle law, lead 1", "Castle law", "Castle law, lag 1",
    ]  # fmt: skip


def test_described_variables_are_a_table(folder: Path) -> None:
    run = RunFolder.read(folder)
    (table,) = tables_of(run, run.heading("descriptive"))
    assert table.heads[0].stub == "Variable"
    assert table.heads[0].per_column() == ("N", "Mean", "Std. dev.", "Min", "Max")
    assert _rows(table)["Castle law"] == ("550", "0.145", "0.353", "0.000", "1.000")


def test_a_long_line_is_a_curve_and_its_table_is_csv_only(folder: Path) -> None:
    files = render(folder, formats=("csv", "md"), figures=())
    names = {file.name for file in files}
    assert "states_leave_one_out.csv" in names
    assert "states_leave_one_out.md" not in names
    with (folder / "tables" / "states_leave_one_out.csv").open(
        encoding="utf-8-sig"
    ) as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == len(STATES)
    done = [float(row["estimate"]) for row in rows if row["status"] == "done"]
    assert done == sorted(done)
    assert rows[-1]["value"] == "Delaware"
    assert "timed out" in rows[-1]["reason"]
    table = markdown_table(RunFolder.read(folder), "states")
    assert "40 values; 1 without a number" in table
    assert r"leave one out ✓ same\_sign holds: all positive" in table
    page_text = render(folder, formats=(), figures=())[0].read_text(encoding="utf-8")
    assert page_text.count("all positive") == 1


def test_verdicts_of_a_curve_are_counted_and_faults_named(tmp_path: Path) -> None:
    m = Maker(tmp_path)
    for number in range(20):
        status = "fails" if number in (3, 9) else "holds"
        said = {"expectation": "same_sign", "status": status, "reason": f"r{number}"}
        m.column("h", "loo", f"v{number}", verdicts=[said])
        m.row("post", 0.1, 0.02)
    (table,) = tables_of(run := RunFolder.read(m.finish()), run.headings[0])
    assert table.verdicts == (
        "loo ✓ same_sign holds: 18 of 20 values.",
        "loo ✗ same_sign fails: 2 of 20 values. v3: r3; v9: r9.",
    )


def test_published_numbers_stand_beside_ours(folder: Path) -> None:
    run = RunFolder.read(folder)
    published = tables_of(run, run.heading("main"))[1]
    rows = _rows(published)
    assert rows["unweighted: Castle law"] == (
        "0.0818 (0.0589)", "0.0818 (0.0589)", "1.2e-05", "✓\u00a0agrees",
    )  # fmt: skip
    assert rows["law year: Castle law"] == (
        "0.0711** (0.0571)", "0.0694 (0.0571)", "-0.0017", "✗\u00a0number, stars",
    )  # fmt: skip
    assert not [note for note in published.notes if note.startswith("printed")]


def test_a_published_number_without_ours_does_not_read_as_different(
    tmp_path: Path,
) -> None:
    m = Maker(tmp_path)
    m.column("h", "raw")
    m.row("post", 0.1, 0.02)
    nothing = {"estimate": None, "std_error": None, "stars": None}
    m.finish(
        published=[
            {
                "address": "h.raw.pots",
                "printed": "0.08",
                "ours": nothing,
                "difference": None,
                "agrees": None,
                "text": "printed 0.08; h.raw has no 'pots', did you mean 'post'?",
            }
        ]
    )
    run = RunFolder.read(tmp_path)
    table = tables_of(run, run.heading("h"))[1]
    ((_, *cells),) = [(r, *r.cells) for b in table.blocks for r in b.rows]
    assert cells[-1].text == "?\u00a0nothing of ours"
    text = render(tmp_path, formats=(), figures=())[0].read_text(encoding="utf-8")
    assert "1 more have nothing of ours beside them" in text


def test_data_prepared_differently_is_told_with_its_columns(tmp_path: Path) -> None:
    m = Maker(tmp_path)
    m.column("h", "raw", panel="k2")
    line = {"stage": "step", "name": "fill", "rows_in": 9, "rows_out": 7}
    m.finish(
        panels={"k2": {"rows": 7, "ledger": [line], "notes": []}},
        overrides=["model.controls=[a]"],
    )
    text = render(tmp_path, formats=(), figures=())[0].read_text(encoding="utf-8")
    assert 'Preparation for <span class="mono">h.raw</span>' in text
    assert "estimand run castle.yaml &#39;model.controls=[a]&#39;" in text


def test_no_column_is_ever_missing(folder: Path) -> None:
    run = RunFolder.read(folder)
    report = render(folder, formats=(), figures=())[0].read_text(encoding="utf-8")
    for column in run.columns:
        if not column.done:
            assert column.address in report


def test_a_heading_without_any_number_says_why(tmp_path: Path) -> None:
    m = Maker(tmp_path)
    m.column(
        "modern", "cs", status="not_built", problems=[{"code": "", "what": "cs is new"}]
    )
    text = terminal_table(RunFolder.read(m.finish()), "modern", 80)
    assert "— not built yet" in text
    assert "cs is new." in text


# --- writers -----------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_terminal_table_fits(
    folder: Path, hostile_folder: Path, width: int
) -> None:
    from rich.cells import cell_len

    for path in (folder, hostile_folder):
        run = RunFolder.read(path)
        for heading in run.headings:
            for line in terminal_table(run, heading.name, width).splitlines():
                assert cell_len(line) <= width, line


def test_the_terminal_aligns_decimal_points(folder: Path) -> None:
    text = terminal_table(RunFolder.read(folder), "leads", 80)
    points = {
        line.index(".") for line in text.splitlines() if re.search(r"0\.0\d{3}", line)
    }
    assert len(points) == 1


def test_the_terminal_repeats_stub_and_numbers_in_every_part(folder: Path) -> None:
    text = terminal_table(RunFolder.read(folder), "main", 60)
    for mark in ("(1)", "(2)", "(3)", "(4)", "(5)"):
        assert mark in text
    assert text.count("Observations") > 1


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", " =1", "\r1"])
def test_text_cells_are_no_formulas(text: str) -> None:
    assert harmless(text) == f"'{text}"


def test_numbers_in_csv_stay_numbers() -> None:
    table = Table(
        stem="t",
        title="t",
        heads=(Head((("=head", 1), ("b", 1))),),
        blocks=(Block((Row("+row", (Cell("-0.5", "", "number"), Cell("-x"))),)),),
    )
    rows = list(csv.reader(csv_text(table).splitlines()))
    assert rows == [["", "'=head", "b"], ["'+row", "-0.5", "'-x"]]


def test_no_label_reaches_a_file_unescaped(hostile_folder: Path) -> None:
    files = render(hostile_folder, formats=("html", "md", "csv", "tex"), figures=())
    for file in files:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix == ".html":
            assert "<script>" not in text
            assert "<i>" not in text
            assert "<b>&amp" not in text
            assert "Content-Security-Policy" in text
            assert "style=" not in text.replace("style-src", "")
        if file.suffix == ".tex":
            assert "\\input" not in text
            assert "\\evil" not in text
        if file.suffix == ".csv":
            for row in csv.reader(text.splitlines()):
                for cell in row:
                    assert not cell.startswith(("=", "+", "@"))
        if file.suffix == ".md":
            assert "<script>" not in text


def test_every_special_character_of_latex_is_escaped() -> None:
    assert escape("100% of a_b & c#{}$~^\\") == (
        r"100\% of a\_b \& c\#\{\}\$\textasciitilde{}\textasciicircum{}\textbackslash{}"
    )


def test_latex_has_booktabs_rules_hanging_stars_and_notes(folder: Path) -> None:
    run = RunFolder.read(folder)
    text = latex(tables_of(run, run.heading("main"))[0])
    assert (
        text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")
    )
    assert r"0.0867\rlap{$^{***}$}" in text
    assert r"\llap{(}0.0589\rlap{)}" in text
    assert r"\begin{tablenotes}" in text
    assert r"\label{tab:main}" in text
    assert text.count("{") == text.count("}") + text.count(r"\{") - text.count(r"\}")


def test_wide_tables_continue_on_a_further_page() -> None:
    table = Table(
        stem="wide",
        title="Wide",
        heads=(
            Head(merge_equal(["line"] * 10)),
            Head(tuple((f"({i})", 1) for i in range(1, 11))),
        ),
        blocks=(
            Block((Row("x", tuple(Cell(str(i), "", "number") for i in range(10))),)),
            Block((Row("first only", (Cell("1"), *[Cell()] * 9)),)),
        ),
        notes=("A note.",),
    )
    first, second = table.pages(8)
    assert (first.width, second.width) == (5, 5)
    assert second.title == "Wide (continued)"
    assert (first.notes, second.notes) == ((), ("A note.",))
    assert first.heads[0].cells == (("line", 5),)
    # A row without a word in a part is left out of it.
    assert [row.label for row in second.rows] == ["x"]
    assert latex(table).count(r"\begin{tabular}") == 2


def test_markdown_keeps_stars_and_pipes(hostile_folder: Path, folder: Path) -> None:
    text = markdown_table(RunFolder.read(folder), "main")
    assert r"0.0867\*\*\*" in text
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in lines]
    assert bars[:20] == [7] * 20
    hostile_text = markdown_table(RunFolder.read(hostile_folder), "regions")
    assert r"=cmd\|' /C" in hostile_text


def test_html_has_real_header_cells_and_a_caption(folder: Path) -> None:
    run = RunFolder.read(folder)
    text = page(tables_of(run, run.heading("dynamics"))[0])
    assert '<th scope="colgroup" colspan="2" class="span">modern</th>' in text
    assert "<caption>Dynamics</caption>" in text
    assert '<th scope="row" class="stub inner">−5</th>' in text


def test_word_opens_and_has_one_border_element_per_cell(
    folder: Path, hostile_folder: Path
) -> None:
    from docx import Document
    from docx.oxml.ns import qn

    for path, stem in ((folder, "main"), (hostile_folder, "regions")):
        render(path, formats=("docx",), figures=())
        document = Document(str(path / "tables" / f"{stem}.docx"))
        (table,) = document.tables
        for cell in table._tbl.iter(qn("w:tcPr")):
            assert len(cell.findall(qn("w:tcBorders"))) == 1
    text = [cell.text for row in table.rows for cell in row.cells]
    assert "人工智能试验区" in text


def test_a_table_without_notes_has_no_empty_last_row(tmp_path: Path) -> None:
    from docx import Document

    from framework.render.word import word

    table = Table("t", "T", (Head((("a", 1),)),), (Block((Row("x", (Cell("1"),)),)),))
    file = tmp_path / "t.docx"
    file.write_bytes(word(table))
    assert len(Document(str(file)).tables[0].rows) == 2


# --- the whole ---------------------------------------------------------------------


def test_render_writes_every_format_and_the_same_bytes_again(folder: Path) -> None:
    first = {file: file.read_bytes() for file in render(folder)}
    names = {file.relative_to(folder).as_posix() for file in first}
    assert {f"tables/main.{s}" for s in ("tex", "docx", "html", "md", "csv")} <= names
    assert {"figures/main.png", "figures/main.pdf", "figures/states.png"} <= names
    assert {"figures/dynamics_event_study.pdf", "figures/placebo.png"} <= names
    # Leads have one column, descriptive has none: nothing to draw.
    assert not {"figures/leads.png", "figures/descriptive.png"} & names
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    kept = [c for c in manifest["columns"] if c["heading"] in ("main", "states")]
    (folder / "manifest.json").write_text(json.dumps({**manifest, "columns": kept}))
    _, *again = render(folder, formats=("html", "md", "csv", "tex"))
    assert len(again) > 10
    assert [file.name for file in again if file.read_bytes() != first[file]] == []
    assert not [f for f in folder.rglob(".*") if f.is_file()]


def test_the_report_opens_with_the_verdicts_and_needs_nothing_else(
    hostile_folder: Path, folder: Path
) -> None:
    text = render(folder, formats=(), figures=("png",))[0].read_text(encoding="utf-8")
    assert text.index("expectations hold") < text.index("<nav")
    assert "Do stand-your-ground laws raise homicides?" in text
    assert "fixed_effects: [sid, year]" in text
    assert "data:image/svg+xml;base64," in text
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    assert "<script" not in text
    simulated = render(hostile_folder, formats=(), figures=())[0]
    page_text = simulated.read_text(encoding="utf-8")
    assert page_text.index("These data are simulated") < page_text.index("<nav")


def test_the_content_policy_names_the_style_sheet_exactly(folder: Path) -> None:
    import base64
    import hashlib

    text = render(folder, formats=(), figures=())[0].read_text(encoding="utf-8")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = re.search(r'Policy" content="(.*?)"', text)
    assert policy is not None
    assert f"sha256-{digest}" in policy[1].replace("&#39;", "'").replace("&#43;", "+")


def test_figures_are_drawn_for_chinese_labels_and_choices(hostile_folder: Path) -> None:
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        render(hostile_folder, formats=(), figures=("png",))
    assert (hostile_folder / "figures" / "curve.png").stat().st_size > 10_000
    from framework.render.style import _fonts

    if len(_fonts()) > 1:  # without a CJK font matplotlib rightly warns
        assert [str(w.message) for w in caught if "Glyph" in str(w.message)] == []


COMPARISONS = [
    ["never", 0.59, 0.07],
    ["never", 0.17, 0.11],
    ["later", 0.02, -0.08],
    ["later", "", 0.3],
]


def scatter(path: Path, rows: list[list[Any]], **options: Any) -> RunFolder:
    """A run of one column that asks for a scatter of its frame `comparisons`."""
    m = Maker(path)
    asked = {"x": "weight", "y": "estimate", "group": "kind", "line": 0.08, **options}
    plot = {"kind": "scatter", "frame": "comparisons", "title": "", "options": asked}
    m.column("bacon", "pairs", plots=[plot])
    m.frame("comparisons", ["kind", "weight", "estimate"], rows)
    return RunFolder.read(m.finish())


def drawn(run: RunFolder, name: str) -> Any:
    """The axes of a heading's only figure."""
    (sketch,) = sketches_of(run, run.heading(name))
    (axes,) = sketch.draw().axes
    return axes


def points(axes: Any, marker: str) -> list[list[tuple[float, float]]]:
    """Points of every series that is drawn with a marker, the legend's left out."""
    lines = [line for line in axes.get_lines() if line.get_marker() == marker]
    found = [[(float(x), float(y)) for x, y in line.get_xydata()] for line in lines]
    return [series for series in found if series]


def test_a_scatter_may_have_a_slope_through_the_origin(tmp_path: Path) -> None:
    rows = [["high", 1.0, 0.5], ["low", -1.0, -0.5]]
    axes = drawn(scatter(tmp_path, rows, slope=0.5, line=None), "bacon")
    assert any("slope 0.5" in t.get_text() for t in axes.texts)
    assert len([line for line in axes.get_lines() if hasattr(line, "get_slope")]) == 1


def test_a_map_has_units_at_their_places(tmp_path: Path) -> None:
    m = Maker(tmp_path)
    options = {
        "longitude": "lon",
        "latitude": "lat",
        "group": "cluster",
        "background": "none",
    }
    plot = {"kind": "map", "frame": "places", "title": "Clusters", "options": options}
    m.column("lisa", "clusters", plots=[plot])
    rows = [["hot", 110.0, 30.0], ["none", 112.0, 31.0], ["none", 114.0, 60.0]]
    m.frame("places", ["cluster", "lon", "lat"], rows)
    run = RunFolder.read(m.finish())
    (sketch,) = sketches_of(run, run.heading("lisa"))
    assert "Clusters" in sketch.caption
    axes = drawn(run, "lisa")
    # The background comes last in the legend and is drawn behind.
    assert points(axes, "o") == [[(110.0, 30.0)], [(112.0, 31.0), (114.0, 60.0)]]
    texts = [t.get_text() for t in axes.get_legend().get_texts()]
    assert texts == ["hot (1)", "none (2)"]
    assert save(sketch, ["png"])["png"].startswith(b"\x89PNG")


def test_a_scatter_has_its_groups_and_its_line(tmp_path: Path) -> None:
    run = scatter(tmp_path, COMPARISONS)
    axes = drawn(run, "bacon")
    assert points(axes, "o") == [[(0.59, 0.07), (0.17, 0.11)]]
    assert points(axes, "^") == [[(0.02, -0.08)]]  # a cell is missing in the fourth
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["never", "later"]
    assert [t.get_text() for t in axes.texts] == ["estimate 0.0800"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Weight", "Estimate")
    (sketch,) = sketches_of(run, run.heading("bacon"))
    assert sketch.description == "points: never 2; later 1"
    assert undrawn(run.heading("bacon")) == ()
    assert save(sketch, ("pdf",)) == save(sketch, ("pdf",))


def test_groups_beyond_the_colours_are_drawn_as_one(tmp_path: Path) -> None:
    rows = [[f"group {k}", 0.1 * k, 0.2] for k in range(9)]
    axes = drawn(scatter(tmp_path, rows, line=None), "bacon")
    assert len(points(axes, "o")[0]) == 9
    assert axes.get_legend() is None
    assert list(axes.texts) == []


@pytest.mark.parametrize("options", [{"x": "n"}, {"y": None}])
def test_a_scatter_of_columns_that_are_not_there_is_no_figure(
    options: dict[str, Any], tmp_path: Path
) -> None:
    run = scatter(tmp_path, COMPARISONS, **options)
    assert sketches_of(run, run.heading("bacon")) == ()


def test_a_scatter_of_chinese_groups_asks_for_a_font_that_has_them(
    tmp_path: Path,
) -> None:
    run = scatter(tmp_path, [["\u4e1c\u90e8", 0.1, 0.2], ["west", 0.2, 0.1]])
    (sketch,) = sketches_of(run, run.heading("bacon"))
    assert sketch.wide


def test_simultaneous_bands_stand_around_the_intervals(tmp_path: Path) -> None:
    options = {"reference": -1, "bands": "bands"}
    plot = {"kind": "event_study", "frame": "coefficients", "options": options}
    m = Maker(tmp_path)
    m.column("dynamics", "events", plots=[{**plot, "title": ""}])
    for time in (-2, 0, 1):
        m.row("post", 0.1 * time, 0.05, "by_event_time", event_time=time)
    header = ["estimand", "event_time", "conf_low", "conf_high"]
    bands = [["by_event_time", t, 0.1 * t - 0.2, 0.1 * t + 0.2] for t in (-2, 0, 1)]
    m.frame("bands", header, [["att", "", -0.3, 0.3], *bands])
    run = RunFolder.read(m.finish())
    assert points(drawn(run, "dynamics"), "_") == [
        [(t, 0.1 * t - 0.2), (t, 0.1 * t + 0.2)] for t in (-2, 0, 1)
    ]
    (sketch,) = sketches_of(run, run.heading("dynamics"))
    assert sketch.caption.endswith("(thin: bands that hold for all periods at once)")


@pytest.mark.parametrize(
    ("options", "circles"),
    [
        ({"reference": -5}, [(-5.0, 0.0)]),
        ({"test": "joint_pretrend"}, None),
        (None, [(-1.0, 0.0)]),
    ],
    ids=["named", "none", "no plot"],
)
def test_a_reference_is_drawn_where_the_plot_names_one(
    tmp_path: Path, options: dict[str, Any] | None, circles: Any
) -> None:
    plot = {"kind": "event_study", "frame": "coefficients", "title": ""}
    m = Maker(tmp_path)
    m.column(
        "dynamics",
        "events",
        plots=[] if options is None else [plot | {"options": options}],
    )
    for time in (-10, 0, 5):
        m.row("post", 0.3, 0.05, "by_event_time", event_time=time)
    drawn_dots = points(drawn(RunFolder.read(m.finish()), "dynamics"), "o")
    hollow = [dots for dots in drawn_dots if all(y == 0 for _, y in dots)]
    assert hollow == ([circles] if circles else [])


@pytest.mark.parametrize(
    ("times", "units", "shown"),
    [
        (range(-5, 5), 30, list(range(-5, 5))),
        (range(-14, 13), 30, list(range(-14, 13, 2))),
        (range(-10, 12), 100_000, [-10, -5, 0, 5, 10]),
        (range(-40, 61), 30, list(range(-40, 61, 10))),
        ([-30, -1, 0, 1, 2, 30], 30, [-30, 0, 30]),
    ],
    ids=["all fit", "every second", "long counts", "a hundred", "gaps"],
)
def test_labels_of_event_times_stand_side_by_side(
    tmp_path: Path, times: Any, units: int, shown: list[int]
) -> None:
    options = {"reference": -1}
    plot = {"kind": "event_study", "frame": "coefficients", "options": options}
    m = Maker(tmp_path)
    m.column("dynamics", "events", plots=[{**plot, "title": ""}])
    for time in times:
        if time != -1:
            m.row("post", 0.01 * time, 0.05, "by_event_time", event_time=time)
    m.frame("support", ["event_time", "treated_units"], [[t, units] for t in times])
    ticks = drawn(RunFolder.read(m.finish()), "dynamics").get_xticklabels()
    first = [t.get_text().split("\n")[0].replace("\u2212", "-") for t in ticks]
    assert sorted(map(int, first)) == shown
    boxes = sorted((t.get_window_extent() for t in ticks), key=lambda box: box.x0)
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


def test_matplotlib_and_word_load_only_when_needed(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from framework.render import render;"
        f"render(Path({str(folder)!r}), formats=('html','md','csv','tex'), figures=());"
        "print([m for m in ('matplotlib','docx','pandas','maketables','mlflow')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_an_unknown_format_is_named_with_a_guess(folder: Path) -> None:
    with pytest.raises(SpecError, match="did you mean 'docx'"):
        render(folder, formats=("dox",))


def test_a_folder_that_cannot_be_written_is_a_storage_error(folder: Path) -> None:
    (folder / "tables").write_text("in the way")
    with pytest.raises(StorageError, match="R03"):
        render(folder, formats=("md",), figures=())


@pytest.mark.system
@pytest.mark.skipif(which("pdflatex") is None, reason="no LaTeX on this machine")
def test_the_fragments_compile(folder: Path, tmp_path: Path) -> None:
    render(folder, formats=("tex",), figures=())
    files = sorted((folder / "tables").glob("*.tex"))
    source = document([file.read_text(encoding="utf-8") for file in files])
    (tmp_path / "all.tex").write_text(source, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


def test_first_treated_periods_are_dates_not_counts(tmp_path: Path) -> None:
    m = Maker(tmp_path)
    m.column("bacon", "weights", estimator="goodman_bacon", estimand="description")
    m.frame(
        "comparisons",
        ["treated", "control", "weight", "n_units"],
        [[2005, "never", 0.9, 1200], [2006, "2005", 0.1, 1300]],
    )
    run = RunFolder.read(m.finish())
    tables = tables_of(run, run.heading("bacon"))
    texts = [
        cell.text for t in tables for b in t.blocks for r in b.rows for cell in r.cells
    ]
    assert {"2005", "2006", "1,200"} <= set(texts) | {
        row.label for t in tables for b in t.blocks for row in b.rows
    }


def test_p_values_that_are_drawn_have_a_row(tmp_path: Path) -> None:
    """No standard error stands for them, so that stars alone would say them."""
    m = Maker(tmp_path)
    drawn = said_inference({"name": "wild_bootstrap", "cluster": "sid"})
    m.column("main", "wild", inference=drawn)
    m.row("post", 0.1, 0.05)
    m.column("main", "plain")
    m.row("post", 0.1, 0.05)
    run = RunFolder.read(m.finish())
    table = regression_table(run, run.heading("main"))
    assert table is not None
    assert _rows(table)["p value of the draws"] == ("0.046", "")


@pytest.mark.parametrize(
    ("draws", "said"), [(99, "< 0.011"), (999, "< 0.002"), (9_999, "< 0.001")]
)
def test_no_drawn_p_value_is_finer_than_its_draws(
    draws: int, said: str, tmp_path: Path
) -> None:
    m = Maker(tmp_path)
    drawn = said_inference({"name": "wild_bootstrap", "cluster": "sid"})
    m.column("main", "wild", inference=drawn)
    m.row("post", 0.1, 0.001)  # 100 standard errors: no draw is as far out
    m.scalar(n_bootstrap=draws)
    run = RunFolder.read(m.finish())
    table = regression_table(run, run.heading("main"))
    assert table is not None
    assert _rows(table)["p value of the draws"] == (said,)


def test_what_an_instrument_is_held_against_stands_in_the_table(tmp_path: Path) -> None:
    m = Maker(tmp_path)
    m.column("iv", "one", estimator="iv_2sls", estimand="late")
    m.row("post", 0.1, 0.05, "late")
    m.scalar(
        first_stage_f=17.5, critical_cragg_donald_f=16.38, std_error_tf=0.0672,
        ols_estimate=0.074, ols_std_error=0.0036,
    )  # fmt: skip
    run = RunFolder.read(m.finish())
    table = regression_table(run, run.heading("iv"))
    assert table is not None
    rows = _rows(table)
    assert rows["Stock-Yogo value, 10% size"] == ("16.38",)
    assert rows["tF standard error"] == ("0.0672",)
    assert rows["Least squares, same sample"] == ("0.0740",)


def test_a_column_of_several_tables_says_its_notes_once(tmp_path: Path) -> None:
    m = Maker(tmp_path)
    m.column("tests", "selection", notes=["selected: SLX"])
    m.frame("models", ["model", "selected"], [["SLX", True], ["SAR", False]])
    m.frame("nulls", ["null", "p"], [["no lag", 0.00004], ["no errors", 0.129]])
    run = RunFolder.read(m.finish())
    models, nulls = tables_of(run, run.headings[0])
    assert _rows(models) == {"SLX": ("yes",), "SAR": ("no",)}
    assert _rows(nulls) == {"no lag": ("< 0.001",), "no errors": ("0.129",)}
    assert models.notes == ()
    assert nulls.notes == ("selected: SLX.",)


def test_a_value_above_one_column_is_not_cut_inside_a_word(tmp_path: Path) -> None:
    m = Maker(tmp_path)
    for value in ("callaway_santanna", "sun_abraham", "imputation"):
        m.column("modern", "each", value)
        m.row("post", 0.1, 0.02)
    text = terminal_table(RunFolder.read(m.finish()), "modern", 60)
    assert "callaway_santanna" in text


def test_a_printed_scalar_is_named_in_words(tmp_path: Path) -> None:
    m = Maker(tmp_path)
    m.column("h", "iv")
    m.row("post", 0.1, 0.02)
    ours = {"estimate": 24.05, "std_error": None, "stars": None}
    entry = {
        "address": "h.iv.kleibergen_paap_lm",
        "printed": "20.791 [0.0000]",
        "ours": ours,
        "difference": 3.26,
        "agrees": False,
        "text": "printed 20.791 [0.0000], ours 24.051 [0.0000]: number differs",
        "as_printed": "24.051 [0.0000]",
        "differing": ["number"],
    }
    run = RunFolder.read(m.finish(published=[entry]))
    assert _rows(tables_of(run, run.heading("h"))[1]) == {
        "iv: kleibergen paap lm": (
            "20.791 [0.0000]", "24.051 [0.0000]", "3.260", "✗\u00a0number",
        ),
    }  # fmt: skip


@pytest.mark.parametrize("estimate", [-0.09, 0.0, 0.021, 0.12])
def test_words_over_random_draws_cover_nothing(estimate: float, tmp_path: Path) -> None:
    m = Maker(tmp_path)
    options = {"column": "estimate", "p_values": "p_value", "line": estimate}
    plot = {"kind": "density", "frame": "draws", "title": "", "options": options}
    m.column("placebo", "cities", plots=[{**plot, "p_value": 0.02}])
    m.row("post", estimate, 0.02)
    # Draws at one edge of the figure, as where a permutation keeps most treated.
    rows = [[0.02 + 0.001 * k, 0.5] for k in range(-15, 16)]
    m.frame("draws", ["estimate", "p_value"], rows)
    run = RunFolder.read(m.finish())
    (sketch,) = sketches_of(run, run.heading("placebo"))
    figure: Any = sketch.draw()
    axes = figure.axes[0]
    figure.canvas.draw()
    beside = [label for other in figure.axes for label in other.get_yticklabels()]
    titles = [t for t in axes.get_children() if t.__class__.__name__ == "Text"]
    boxes = [
        text.get_window_extent()
        for text in (*dict.fromkeys([*axes.texts, *titles]), *beside)
        if text.get_text()
    ]
    assert len(boxes) == 2 + 3
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert all(box.y0 > axes.bbox.y1 for box in boxes[:2])
