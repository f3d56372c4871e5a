"""What the documents say is what the code does."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

import pytest

from framework import registry
from framework.contract import Estimator
from framework.errors import Phase
from framework.spec import choices
from framework.spec.expectations import EXPECTATIONS, FAMILIES, Expectation
from framework.spec.inference import INFERENCE, WEIGHTS
from framework.spec.lines import DIRECTIVES
from framework.spec.loader import loads
from framework.spec.model import (
    ColumnEntry,
    Data,
    InteractSpec,
    Model,
    PanelKeys,
    Source,
    SpatialUse,
    TreatmentSpec,
)
from framework.spec.restrictions import RESTRICTIONS
from framework.spec.study import TOP, open_study

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]
DIALECT = (ROOT / "docs" / "dialect.md").read_text(encoding="utf-8")


def fields(model: type) -> list[str]:
    return [f.alias or name for name, f in model.model_fields.items()]  # type: ignore[attr-defined]  # pydantic models


WORDS = {
    "key of a study": [*TOP],
    "key of a line": [*DIRECTIVES],
    "key of data": [*fields(Data), *fields(Source), *fields(PanelKeys)],
    "key of a column": fields(ColumnEntry),
    "key of a model": [*fields(Model), *fields(InteractSpec), *fields(SpatialUse)],
    "key of a treatment": fields(TreatmentSpec),
    "restriction": [*RESTRICTIONS],
    "inference": [*INFERENCE],
    "weights": [*WEIGHTS],
    "expectation": [*EXPECTATIONS],
    "option of expectations": fields(Expectation),
    "family": [*FAMILIES],
    "estimator": registry.names("estimator"),
    "step": registry.names("step"),
    "matrix": registry.names("matrix"),
    "learner": registry.names("learner"),
}


@pytest.mark.parametrize(
    ("kind", "word"),
    [(kind, word) for kind, words in WORDS.items() for word in dict.fromkeys(words)],
)
def test_the_language_page_has_every_word(kind: str, word: str) -> None:
    code = " ".join(
        re.findall(r"`[^`\n]+`|^```.*?^```", DIALECT, re.DOTALL | re.MULTILINE)
    )
    assert re.search(rf"(?<![\w.]){re.escape(word)}(?!\w)", code), f"{kind} {word}"


def yaml_blocks() -> list[tuple[str, str]]:
    return [
        (f"{page.name}-{number}", block)
        for page in PAGES
        for number, block in enumerate(
            re.findall(
                r"^```yaml\n(.*?)^```",
                page.read_text("utf-8"),
                re.DOTALL | re.MULTILINE,
            )
        )
    ]


@pytest.mark.parametrize(
    "block", [pytest.param(b, id=name) for name, b in yaml_blocks() if "…" not in b]
)
def test_examples_are_readable(block: str) -> None:
    if len(set(re.findall(r"^(\w+):", block, re.MULTILINE))) < len(
        re.findall(r"^\w+:", block, re.MULTILINE)
    ):
        # Alternatives of one key, a line each.
        for line in block.splitlines():
            loads(line)
    else:
        loads(block)


@pytest.mark.parametrize(
    "block",
    [pytest.param(b, id=n) for n, b in yaml_blocks() if b.startswith("study:")],
)
def test_whole_studies_of_the_documents_are_valid(block: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(block, encoding="utf-8")
    assert open_study(path).checks


def test_checks_of_the_language_page_are_valid(tmp_path: Path) -> None:
    blocks = [b for name, b in yaml_blocks() if name.startswith("dialect")]
    (study,) = [b for b in blocks if b.startswith("study:")]
    tree, _, _ = study.partition("checks:")
    tree = tree.replace(
        "data/counties.csv",
        "data/counties.csv\n  steps: {outliers: {winsorize: [0, 1]}}",
    )
    lines = [
        line
        for block in blocks
        if re.match(r"checks:|one_by_one:", block)
        for line in block.splitlines()
        if not re.match(r"checks:|  robustness:$", line)
    ]
    text = "\n".join("    " + line.strip() for line in lines)
    path = tmp_path / "study.yaml"
    path.write_text(f"{tree}checks:\n  all:\n{text}\n", encoding="utf-8")
    assert len(open_study(path).checks["all"]) == 12


def choices_of_the_tables() -> list[tuple[choices.ChoiceKind, str]]:
    kinds: tuple[choices.ChoiceKind, ...] = ("step", "matrix", "learner")
    tables = {
        kind: DIALECT.partition(f"\n| {kind} |")[2].partition("\n\n")[0]
        for kind in kinds
    }
    return [
        (kind, written)
        for kind, table in tables.items()
        for written in re.findall(r"`({[^`]*})`", table)
    ]


@pytest.mark.parametrize(("kind", "written"), choices_of_the_tables())
def test_choices_of_the_tables_are_written_right(
    kind: choices.ChoiceKind, written: str
) -> None:
    flat = choices.parse(kind, loads(f"choice: {written}").tree["choice"])
    assert choices.check(kind, flat, "its.path") == []


def test_the_index_leads_to_every_page() -> None:
    index = ROOT / "docs" / "index.md"
    linked = set(re.findall(r"\]\(([^)\s#:]+)\)", index.read_text(encoding="utf-8")))
    pages = {str(p.relative_to(index.parent)) for p in index.parent.rglob("*.md")}
    assert pages - linked == {"index.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)", text)
    assert [t for t in targets if not (page.parent / t).exists()] == []


def test_exit_codes_are_those_of_the_phases() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert {int(phase) for phase in Phase} <= codes
    assert codes - {int(phase) for phase in Phase} == {0, 9, 10}


def test_groups_of_entry_points_are_the_registry_s() -> None:
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    groups = {shelf.group for shelf in registry._SHELVES.values()}
    assert groups == set(re.findall(r"`(estimand\.\w+)`", text))


def test_the_first_estimator_of_contributing_declares_what_the_contract_reads():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = text.partition("```python\n")[2].partition("```")[0]
    (written,) = [
        n for n in ast.parse(textwrap.dedent(block)).body if isinstance(n, ast.ClassDef)
    ]
    declared = {
        n.target.id
        for n in written.body
        if isinstance(n, ast.AnnAssign)
        and isinstance(n.target, ast.Name)
        and "ClassVar" in ast.unparse(n.annotation)
    }
    assert declared
    assert declared <= set(dir(Estimator))
