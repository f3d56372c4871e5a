"""`new`, `list`, `show`, `schema`, `doctor` and `compare` through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from framework import registry
from framework.commands import cards, doctor
from framework.commands.cards import card_of
from framework.commands.line import main
from framework.commands.listing import _KINDS, glossary_page
from framework.commands.schema import as_text, study_schema
from framework.spec import choices
from framework.spec.loader import load
from framework.spec.study import open_study

ROOT = Path(__file__).parents[2]

PANEL = """\
city,year,y,ai,income,region
""" + "".join(
    f"c{c},{2000 + t},{(c * 7 + t * 3) % 11 + 2.5 * (c >= 12 and t >= 3)}"
    f",{int(c >= 12 and t >= 3)},{(c * 5 + t) % 13},{'east' if c % 2 else 'west'}\n"
    for c in range(24)
    for t in range(6)
)
STUDY = """\
study: tiny
data: {source: data/panel.csv, panel: {unit: city, time: year}}
model:
  outcome: y
  treatment: ai
  fixed_effects: [city, year]
  inference: {cluster: city}
  estimator: twfe
checks:
  main: {plain: {expect: positive}, income: {controls: [income], expect: negative}}
  later: {waits: {estimator: someday}}
"""


@pytest.fixture(autouse=True, scope="module")
def announced():
    """One announced estimator that no later work builds."""
    planned = registry.planned
    someday = registry.Planned("someday", None, "an estimator of the future")

    def more(kind):
        return {**planned(kind)} | ({"someday": someday} if kind == "estimator" else {})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "planned", more)
        yield


@pytest.fixture(autouse=True)
def in_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/panel.csv").write_text(PANEL, "utf-8")
    Path("tiny.yaml").write_text(STUDY, "utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory, announced):
    """Two runs of a study, the second with other standard errors and one line less."""
    folder = tmp_path_factory.mktemp("runs")
    before = Path.cwd()
    os.chdir(folder)
    try:
        Path("data").mkdir()
        Path("data/panel.csv").write_text(PANEL, "utf-8")
        how = ["executor=inline", "tracking=none", "report=quick"]
        Path("tiny.yaml").write_text(STUDY, "utf-8")
        first = main(["run", "tiny.yaml", "--quiet", "--output", "one", *how])
        less = STUDY.replace(", income: {controls: [income], expect: negative}", "")
        Path("tiny.yaml").write_text(less, "utf-8")
        change = ["model.inference=hetero", "seed=3"]
        second = main(["run", "tiny.yaml", "--quiet", "--output", "two", *how, *change])
    finally:
        os.chdir(before)
    assert (first, second) == (9, 9)  # one line waits for a plugin
    return folder


def out(capsys) -> str:
    return capsys.readouterr().out


def said_json(capsys):
    return json.loads(capsys.readouterr().out)


# -- new ------------------------------------------------------------------------------


def test_new_without_data_is_a_study_that_runs_as_it_is(capsys):
    assert main(["new", "first"]) == 0
    text = Path("first.yaml").read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=schemas/study.json\n")
    assert "estimand run first.yaml" in out(capsys)
    assert main(["validate", "first.yaml", "--data"]) == 0
    assert json.loads(Path("schemas/study.json").read_text("utf-8")) == study_schema()


def test_new_goes_to_specs_and_leads_to_the_project_s_schema():
    Path("specs").mkdir()
    Path("pyproject.toml").touch()
    assert main(["new", "first"]) == 0
    text = Path("specs/first.yaml").read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=../schemas/study.json\n")


def test_new_does_not_replace_a_file_unless_it_is_told_to(capsys):
    assert main(["new", "tiny"]) == 6
    assert "--force" in capsys.readouterr().err
    assert Path("tiny.yaml").read_text("utf-8") == STUDY
    assert main(["new", "tiny", "--force"]) == 0
    assert "castle" in Path("tiny.yaml").read_text("utf-8")


def test_new_refuses_a_name_that_is_none(capsys):
    assert main(["new", "2nd try"]) == 2
    assert "can't be a study's name" in capsys.readouterr().err
    assert not Path("2nd try.yaml").exists()


def test_new_reads_the_data_and_guesses(capsys):
    assert main(["new", "mine", "--data", "data/panel.csv"]) == 0
    said = out(capsys)
    assert "unit city, time year" in said
    assert "guesses" in said
    assert main(["validate", "mine.yaml", "--data"]) == 0
    model = open_study(Path("mine.yaml")).model
    assert (model.outcome, model.treatment.column) == ("y", "ai")
    assert model.fixed_effects == ["city", "year"]
    assert model.inference == {"name": "cluster", "by": "city"}
    assert "# guess" in Path("mine.yaml").read_text("utf-8")


@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        ("y,x,d", ["1.5,2.5,0", "2.5,1.0,1", "3.1,4.1,0"], "kind: cross_section"),
        ("城市,年份,GDP: 人均,政策", ["甲,1,2.5,0", "甲,2,1.5,1", "乙,1,3.5,0", "乙,2,4.5,0"],
         'outcome: "GDP: 人均"'),
        ("id,t,no,off", ["1,1,2.5,1", "1,2,1.5,0", "2,1,3.5,0", "2,2,4.5,0"],
         'treatment: {column: "off", kind: reversible}'),
        ("y,x", ["1.5,2.5", "2.5,3.5", "3.5,1.5"], "estimator: describe"),
        ("y,d", ["1.5,0", ",1", "3.5,1"], "missing: drop"),
    ],
    ids=["cross-section", "Chinese names", "switches off", "no treatment", "missing"],
)  # fmt: skip
def test_new_writes_a_valid_study_for_any_shape_of_data(header, rows, expected):
    Path("data/any.csv").write_text("\n".join([header, *rows, ""]), "utf-8")
    assert main(["new", "mine", "--data", "data/any.csv"]) == 0
    assert expected in Path("mine.yaml").read_text("utf-8")
    assert main(["validate", "mine.yaml"]) == 0


def test_new_says_what_is_wrong_with_the_data(capsys, tmp_path_factory):
    assert main(["new", "mine", "--data", "data/pannel.csv"]) == 3
    assert "did you mean 'panel.csv'" in capsys.readouterr().err
    Path("data/text.csv").write_text("a,b\nx,y\n", "utf-8")
    assert main(["new", "mine", "--data", "data/text.csv"]) == 2
    assert "no column of numbers" in capsys.readouterr().err
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "a.csv"
    elsewhere.write_text(PANEL, "utf-8")
    assert main(["new", "mine", "--data", str(elsewhere)]) == 8
    assert "copy it to" in capsys.readouterr().err
    assert not Path("mine.yaml").exists()


# -- list -----------------------------------------------------------------------------


def test_list_has_every_plugin_with_a_line_each(capsys):
    assert main(["list"]) == 0
    text = out(capsys)
    for kind in registry.KINDS:
        for name in (*registry.names(kind), *registry.planned(kind)):
            assert any(line.split()[:1] == [name] for line in text.splitlines())
    assert "[announced, not built yet] an estimator of the future" in text


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("estimators", "twfe"),
        ("steps", "winsorize"),
        ("weights", "analytic"),
        ("inference", "cluster"),
        ("restrictions", "balanced"),
        ("expectations", "flat_pretrend"),
        ("families", "holm"),
        ("glossary", "by_event_time"),
        ("studies", "specs/tiny.yaml"),
        ("more", "more/tiny.yaml"),
    ],
)
def test_list_of_each_kind(what, name, capsys):
    for folder in ("specs", "more"):
        Path(folder).mkdir()
        Path(folder, "tiny.yaml").write_text(STUDY, "utf-8")
    assert main(["list", what]) == 0
    assert name in out(capsys)
    assert main(["list", what, "--json"]) == 0
    items = {item["name"]: item for item in said_json(capsys)}
    assert items[name]["says"]
    assert items[name]["status"] == "built"


def test_list_of_nothing_says_so(capsys):
    assert main(["list", "runs"]) == 0
    assert "no finished runs" in capsys.readouterr().err
    assert main(["list", "estimatorz"]) == 2
    assert "did you mean 'estimators'" in capsys.readouterr().err


def test_list_of_runs_has_date_counts_and_verdicts(two_runs, monkeypatch, capsys):
    monkeypatch.chdir(two_runs)
    assert main(["list", "runs"]) == 0
    first, second = out(capsys).splitlines()
    assert first.startswith("tiny/")
    assert "2 of 3 estimations, holds 1, fails 1" in first
    assert "1 of 2 estimations, holds 1" in second


@pytest.mark.parametrize("later", ["000000", "ffffff"])
def test_runs_of_one_second_are_listed_as_they_were_written(
    later, tmp_path, monkeypatch, capsys
):
    """After the second, a run's name is a hash: it must not order them."""
    earlier = "777777"
    for place, digest in enumerate((earlier, later), start=1):
        run = tmp_path / f"runs/tiny/20260102T030405Z-{digest}"
        run.mkdir(parents=True)
        for file, text in (("manifest.json", "{}"), ("coefficients.csv", "")):
            (run / file).write_text(text, "utf-8")
            os.utime(run / file, ns=(place, place))
    monkeypatch.chdir(tmp_path)
    assert main(["list", "runs"]) == 0
    listed = [line.split()[0][-6:] for line in out(capsys).splitlines()]
    assert listed == [earlier, later]


def test_a_plugin_of_another_distribution_is_named_and_a_broken_one_costs_nothing(
    monkeypatch, capsys
):
    target = registry.entry("estimator", "twfe").target
    theirs = registry.Entry("estimator", "theirs", target, "their-package")
    broken = registry.Entry("estimator", "broken", "nowhere:Broken", "bad-package")
    monkeypatch.setattr(
        registry,
        "_third_party",
        lambda kind: {e.name: e for e in (theirs, broken) if e.kind == kind},
    )
    choices.plugin.cache_clear()
    try:
        assert main(["list", "estimators"]) == 0
        lines = out(capsys).splitlines()
        assert any(x.startswith("theirs") and "from their-package" in x for x in lines)
        assert any(x.startswith("broken") and "does not import" in x for x in lines)
        assert main(["show", "theirs"]) == 0
        assert "from their-package" in out(capsys)
        assert main(["show", "broken"]) == 2
        assert "bad-package" in capsys.readouterr().err
        assert main(["schema"]) == 0
        assert '"options.estimator.theirs"' in out(capsys)
    finally:
        choices.plugin.cache_clear()


# -- show -----------------------------------------------------------------------------


def test_show_has_what_a_user_needs_of_an_estimator(capsys):
    assert main(["show", "event_study"]) == 0
    text = out(capsys)
    for words in (
        "Reference", "Borusyak", "by_event_time", "never switches off", "driscoll_kraay",
        "acknowledge overrides few_clusters", "window",
        "one of saturate, bin, drop; default saturate",
        "small_sample.two_way", "estimator: {event_study: [-4, 4]}",
    ):  # fmt: skip
        assert words in " ".join(text.split()), words
    assert max(map(len, text.splitlines())) <= 80
    assert main(["show", "event_study", "--json"]) == 0
    (plugin,) = said_json(capsys)["plugins"]
    options = {option["name"]: option for option in plugin["options"]}
    assert options["reference"]["default"] == "null"


@pytest.mark.parametrize(
    ("kind", "name"),
    [(k, n) for k in _KINDS for n in choices.names(k) if not choices.is_planned(k, n)],
)
def test_examples_of_every_plugin_are_accepted(kind, name):
    card = card_of(kind, name)
    values = [example.partition(": ")[2] for example in card.examples]
    written = [text for text in values if text.lstrip("{").startswith(name)]
    assert written, "no example"
    for text in written:
        path = Path("example.yaml")
        path.write_text(f"choice: {text}\n", "utf-8")
        flat = choices.parse(kind, load(path).tree["choice"])
        assert choices.check(kind, flat, "") == []
    assert card.doc


def test_show_of_planned_shared_and_unknown_names(capsys):
    assert main(["show", "someday"]) == 0
    assert "announced, not built yet" in out(capsys)
    assert main(["show", "share"]) == 0  # a step and an expectation
    text = out(capsys)
    assert "data step" in text
    assert "expectation" in text
    assert main(["show", "r2_within"]) == 0
    assert "within variance" in out(capsys)
    assert main(["show", "evnt_study"]) == 2
    assert "did you mean 'event_study'" in capsys.readouterr().err
    assert main(["show", "tiny.yaml"]) == 2
    assert "estimand plan tiny.yaml" in capsys.readouterr().err


def test_show_of_a_run(two_runs, monkeypatch, capsys):
    monkeypatch.chdir(two_runs)
    assert main(["show", "one"]) == 0
    text = out(capsys)
    for words in ("tiny/", "Main", "✓ main.plain", "✗ main.income", "Without numbers",
                  "later.waits: not built yet", "report.html"):  # fmt: skip
        assert words in text, words
    assert main(["show", "tiny", "--json"]) == 0
    run = said_json(capsys)
    assert run["seed"] == 3
    plain, waits = run["estimations"]
    assert plain["judged"]["term"] == "ai"
    assert waits["status"] == "not_built"


# -- schema ---------------------------------------------------------------------------


def test_schema_is_printed_written_and_checked(capsys):
    assert main(["schema"]) == 0
    assert said_json(capsys) == study_schema()
    assert main(["schema", "--output", "made/study.json"]) == 0
    assert main(["schema", "--check", "made/study.json"]) == 0
    assert "current" in out(capsys)
    text = Path("made/study.json").read_text("utf-8")
    Path("made/study.json").write_text(text.replace("absorbing", "absorbed"), "utf-8")
    assert main(["schema", "--check", "made/study.json"]) == 2
    assert "estimand schema --output" in capsys.readouterr().err
    assert main(["schema", "--check", "nowhere.json"]) == 2
    Path("ours.json").write_text(as_text(study_schema(third_party=False)), "utf-8")
    assert main(["schema", "--check", "ours.json"]) == 0


# -- doctor ---------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    """`doctor` without its slow half: what processes of their own would answer."""
    answers = {"solving": ["HiGHS"], "looking": ["DejaVu Sans", "Noto Sans CJK SC"]}

    def answer(doing, code, **environment):
        value = answers.get(doing.split()[0])
        error = answers.get(doing, "")
        return doctor._Tried(value, error if isinstance(error, str) else "", 0.1)

    monkeypatch.setattr(doctor, "_try", answer)
    return answers


def test_doctor_finds_this_environment_sound(quick, capsys):
    assert main(["doctor"]) == 0
    text = out(capsys)
    for words in ("Python: 3.", "requirements are met", "GB free", "telemetry: off",
                  "import pandas", "linear programs", "no store yet", "LaTeX"):  # fmt: skip
        assert words in text, words
    assert "fail  " not in text
    assert not Path("runs").exists()


def test_doctor_names_what_fails_and_the_way_out(quick, capsys):
    quick["importing pandas"] = "ImportError: no libz"
    quick["solving"] = []
    quick["looking"] = ["DejaVu Sans"]
    assert main(["doctor", "--json"]) == 6
    said = said_json(capsys)
    found = {finding["name"]: finding for finding in said["findings"]}
    assert found["import pandas"]["status"] == "fail"
    assert "no libz" in found["import pandas"]["says"]
    assert "pip install" in found["import pandas"]["fix"]
    assert found["linear programs"]["status"] == "fail"
    assert found["fonts"]["status"] == "warn"
    assert said["counts"]["fail"] == 2


def test_doctor_sees_a_folder_that_cannot_be_written(quick, capsys):
    Path("taken").touch()
    assert main(["doctor", "runs=taken/runs", "tracking=none"]) == 6
    assert "fail  taken/runs/: can't be written" in out(capsys)


def test_doctor_really_asks_other_processes():
    good = doctor._try("counting", "print('noise'); print('[1, 2]')")
    assert (good.value, good.error) == ([1, 2], "")
    assert (
        doctor._try("failing", "raise ValueError('this')").error == "ValueError: this"
    )
    assert (
        "signal 9" in doctor._try("dying", "import os; os.kill(os.getpid(), 9)").error
    )
    assert doctor._solver().status == "ok"


def test_doctor_names_a_hydra_plugin_that_does_not_import(tmp_path):
    plugin = tmp_path / "lib" / "hydra_plugins" / "broken_one" / "__init__.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text("raise RuntimeError('out of date')\n", "utf-8")
    code = "from framework.commands.doctor import _settings; print(_settings(())[1])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path / 'lib'}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "status='fail'" in done.stdout
    assert "broken_one" in done.stdout
    assert "out of date" in done.stdout


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("3.11.7", ">=3.11,<3.14", True),
        ("3.14.0", ">=3.11,<3.14", False),
        ("2.2", ">=2.2.0", True),
        ("3.18.0", ">=3.17.2,<3.18", False),
        ("3.17.10", ">=3.17.2,<3.18", True),
        ("1.4.2", "~=1.4", True),
        ("2.0", "~=1.4", False),
        ("1.4.2", "==1.4.*", True),
        ("1.4.2", "!=1.4.2", False),
        ("1.0rc1", "", True),
    ],
)
def test_versions_are_held_against_requirements(version, wanted, fits):
    assert doctor._fits(version, wanted) is fits


# -- compare --------------------------------------------------------------------------


def test_compare_shows_numbers_and_what_differs(two_runs, monkeypatch, capsys):
    monkeypatch.chdir(two_runs)
    assert main(["compare", "one", "two"]) == 0
    text = out(capsys)
    for words in ("Same data, code", "Differs  spec", "Differs  seed: A 0   B 3",
                  "overrides: ", "model.inference=hetero",
                  "≠ main.plain  att of ai", "N 144", "B - A 0",
                  "Only in A: main.income", "Study, A (-) and B (+)",
                  "= later.waits: not built"):  # fmt: skip
        assert words in text, words
    table = text.partition("Study, ")[0]
    assert max(map(len, table.splitlines())) <= 80


def test_compare_of_a_run_with_itself_finds_nothing(two_runs, monkeypatch, capsys):
    monkeypatch.chdir(two_runs)
    assert main(["compare", "one", "one", "one"]) == 0
    text = out(capsys)
    assert "Same spec, data, code" in text
    assert "3 of 3 the same" in text
    assert "≠" not in text
    assert "Study, " not in text


def test_compare_as_json(two_runs, monkeypatch, capsys):
    monkeypatch.chdir(two_runs)
    assert main(["compare", "one", "two", "--json"]) == 0
    said = said_json(capsys)
    rows = {row["address"]: row for row in said["estimations"]}
    first, second = rows["main.plain"]["numbers"]
    assert first["estimate"] == second["estimate"]
    assert first["std_error"] != second["std_error"]
    assert rows["main.plain"]["differences"] == [0, 0]
    assert rows["main.income"]["numbers"][1] is None
    assert rows["main.income"]["differences"] == [0, None]
    assert set(said["differs"]) == {"spec", "seed"}
    assert any("income" in line for line in said["study_changes"][0])


def test_compare_sees_a_difference_in_the_last_digit(two_runs, tmp_path, capsys):
    import shutil

    shutil.copytree(two_runs / "one", "b")
    path = Path("b/coefficients.csv")
    table = path.read_text("utf-8")
    number = next(x for x in table.splitlines()[1].split(",") if x.count(".") == 1)
    shifted = repr(float(number) * (1 + 1e-12))
    path.write_text(table.replace(number, shifted, 1), "utf-8")
    assert main(["compare", str(two_runs / "one"), "b"]) == 0
    text = out(capsys)
    assert "≠ main.plain" in text
    assert "e-12" in text


def test_json_of_a_run_has_no_number_that_json_lacks(two_runs, capsys):
    import shutil

    shutil.copytree(two_runs / "one", "b")
    table = Path("b/scalars.csv").read_text("utf-8").splitlines()
    name, _, _ = table[1].rpartition(",")
    Path("b/scalars.csv").write_text("\n".join([table[0], f"{name},inf", ""]), "utf-8")
    assert main(["show", "b", "--json"]) == 0
    text = out(capsys)
    assert "Infinity" not in text
    assert list(json.loads(text)["estimations"][0]["scalars"].values()) == [None]


def test_compare_needs_two_runs_that_exist(two_runs, monkeypatch, capsys):
    monkeypatch.chdir(two_runs)
    assert main(["compare", "one"]) == 2
    assert main(["compare", "one", "tinny"]) == 2
    assert "did you mean 'tiny'" in capsys.readouterr().err


# -- what these verbs load, and the page made from the glossary ------------------------


@pytest.mark.parametrize(
    "args",
    [
        ["list"], ["list", "steps", "--json"], ["show", "twfe"], ["show", "nothing"],
        ["schema"], ["new", "light"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_light_verbs_load_nothing_heavy(args, tmp_path):
    heavy = ["pandas", "numpy", "mlflow", "pyfixest", "matplotlib", "scipy"]
    code = (
        "import sys; from framework.commands.line import main; "
        f"code = main({args!r}); print(code, file=sys.stderr); "
        f"print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    *_, exit_code, loaded = done.stderr.splitlines()
    assert loaded == "[]"
    assert exit_code == ("2" if "nothing" in args else "0")


def test_the_glossary_page_is_current():
    page = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    assert page == glossary_page()
    assert "`att`" in page


def test_the_page_on_commands_has_every_verb(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")  # what the terminal has is the user's
    with pytest.raises(SystemExit):
        main(["--help"])
    verbs = [line.split()[0] for line in out(capsys).splitlines()
             if line.startswith("    ") and line[4] != " "]  # fmt: skip
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert len(verbs) == 17
    for verb in verbs:
        assert f"## {verb}\n" in page, verb
        assert f"estimand {verb}" in page, verb
    assert cards.ANNOUNCED in page
    assert main(["show", "winsorize"]) == 0
    assert f"$ estimand show winsorize\n{out(capsys)}" in page
