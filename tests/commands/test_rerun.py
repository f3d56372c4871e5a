"""The same study again: what is computed, what is reused, and the very same numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework.commands.line import main
from tests.commands.conftest import Lab
from tests.real_command import (
    Folder,
    completes,
    ended,
    estimating,
    killed,
    numbers,
    patience,
    whole,
    writing,
)

CASTLE = """\
study: castle
data:
  source: castle.csv
  panel: {unit: sid, time: year}
model:
  outcome: l_homicide
  treatment: {column: post, shift: -1}
  fixed_effects: [sid, year]
  inference: {cluster: sid}
  estimator: twfe
checks:
  baseline:  {law_year: {}}
  controls:  {one_by_one: {each: {add.controls: [l_income, l_prisoner, poverty]}}}
  dynamics:  {event_study: {estimator: {event_study: {window: [-5, 4]}}}}
  placebo:   {states: {draws: {permute: treatment, times: 50}, expect: extreme}}
"""
# bacondecomp's vignette and Stata 18, both printed with more digits than are compared.
ESTIMATE, STD_ERROR = 0.0818116169, 0.0588742181
CHECKS: dict[str, Any] = {
    "main": {"plain": {}, "controlled": {"controls": ["x1"]}},
    "more": {"weighted": {"weights": {"analytic": "w"}}, "robust": {}},
    "placebo": {"timing": {"draws": {"permute": "treatment", "times": 50}}},
}
CHECKS["more"]["robust"] = {"inference": "hetero"}


def counts(lab: Lab, *args: str, **parts: Any) -> tuple[int, int]:
    """Run the study with some parts replaced: computed, reused."""
    lab.study(**{"checks": CHECKS, "seed": 1} | parts)
    outcome = lab.run("--json", *args)
    assert outcome.exit == 0, outcome.err
    said = json.loads(outcome.out)
    return said["computed"], said["reused"]


@pytest.fixture
def ran(lab: Lab) -> Lab:
    """A laboratory whose study has run once."""
    lab.data(lab.frame())
    assert counts(lab) == (5, 0)
    return lab


def marks(lab: Lab) -> dict[str, int]:
    return Folder(lab.folder).finished()


# What is computed again


def test_an_identical_run_computes_nothing(ran: Lab):
    folder, first = Folder(ran.folder), marks(ran)
    (one,) = folder.folders("fault")
    assert counts(ran) == (0, 5)
    assert marks(ran) == first
    (two,) = {*folder.folders("fault")} - {one}
    assert folder.latest("fault") == two
    assert numbers(one) == numbers(two)


def test_a_damaged_estimation_counts_as_computed(ran: Lab):
    # Its mark is there when the run begins, its content is not what was written.
    about = next((ran.folder / "runs" / ".cells").glob("[!.]*/about.json"))
    about.write_text(about.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert counts(ran) == (1, 4)
    assert counts(ran) == (0, 5)


def test_names_and_order_are_not_computed(ran: Lab):
    first = marks(ran)
    renamed = {
        "z_last": {"permuted": CHECKS["placebo"]["timing"]},
        "more": {"heter": CHECKS["more"]["robust"]},
        "another_name": {"w": CHECKS["more"]["weighted"]},
        "main": {"b": CHECKS["main"]["controlled"], "a": {}},
    }
    assert counts(ran, checks=renamed) == (0, 5)
    assert counts(ran, study="other", title="Another title") == (0, 5)
    assert marks(ran) == first


def test_one_changed_line_is_one_estimation(ran: Lab):
    changed = CHECKS | {"main": {"plain": {}, "controlled": {"controls": ["x2"]}}}
    assert counts(ran, checks=changed) == (1, 4)
    added = changed | {"also": {"both": {"controls": ["x1", "x2"]}}}
    assert counts(ran, checks=added) == (1, 5)
    # And what was taken back is still there.
    assert counts(ran) == (0, 5)


def test_what_everything_depends_on_is_computed_again(ran: Lab):
    frame = ran.frame()
    ran.data(frame.assign(y=frame.y.where(frame.index != 7, frame.y + 1e-9)))
    assert counts(ran) == (5, 0)
    ran.data(frame)
    assert counts(ran) == (0, 5)


def test_the_seed_moves_only_what_is_drawn(ran: Lab):
    before = ran.run().coefficients
    draws = sorted(ran.folder.glob("runs/fault/*/frames/placebo.timing.draws*.csv"))
    # Of five estimations only the placebo draws: the others are not computed again.
    assert counts(ran, seed=2) == (1, 4)
    assert counts(ran, seed=2) == (0, 5)
    after = ran.run().coefficients
    pd.testing.assert_frame_equal(before, after, check_exact=True)
    again = sorted(ran.folder.glob("runs/fault/*/frames/placebo.timing.draws*.csv"))
    old, new = draws[0].read_text(), (set(again) - set(draws)).pop().read_text()
    assert old != new


def test_only_runs_what_is_asked(lab: Lab):
    lab.data(lab.frame())
    assert counts(lab, "--only", "main") == (2, 0)
    assert counts(lab, "--only", "main.plain", "--only", "more.robust") == (1, 1)
    table = lab.run("--only", "more.robust").coefficients
    assert set(zip(table.heading, table.check, strict=True)) == {("more", "robust")}
    assert counts(lab) == (2, 3)
    outcome = lab.run("--only", "more.robus")
    assert outcome.exit == 2
    assert "more.robust" in outcome.err


# Exit codes, --json and overrides


def test_a_failed_expectation_is_a_finding_unless_strict(lab: Lab):
    lab.data(lab.frame())
    lab.study(checks={"main": {"plain": {"expect": "negative"}}})
    assert lab.run().exit == 0
    assert lab.run("--strict").exit == 10
    lab.study(checks={"main": {"plain": {"expect": "positive"}}})
    assert lab.run("--strict").exit == 0


def test_a_refused_line_leaves_the_others(lab: Lab):
    lab.data(lab.frame(flat=1.0))
    checks = {
        "main": {"plain": {"expect": "negative"}, "empty": {"treatment": "flat"}},
    }
    lab.study(checks=checks)
    for strict in ((), ("--strict",)):
        outcome = lab.run("--json", *strict)
        assert outcome.exit == 9
        said = json.loads(outcome.out)
        assert said["failed"] == ["main.empty"]
        assert said["estimations"] == 2
        assert set(outcome.coefficients.check) == {"plain"}
        assert "Traceback" not in outcome.err


def test_json_is_alone_on_stdout_whatever_happens(lab: Lab):
    lab.data(lab.frame())
    lab.study()
    good = lab.run("--json")
    assert set(json.loads(good.out)) >= {"study", "folder", "computed", "verdicts"}
    lab.study(model={"outcome": "yy"})
    bad = lab.run("--json")
    said = json.loads(bad.out)
    assert (bad.exit, said["exit_code"]) == (2, 2)
    assert [p["code"] for p in said["problems"]] == ["X51"]


def test_an_override_is_a_line_of_the_study(lab: Lab):
    frame = lab.frame()
    lab.data(frame.rename(columns={"region": "省份", "x1": "人均收入 (元)"}))
    lab.study()
    unit = lab.run().row()
    province = lab.run("model.inference.cluster=省份")
    assert province.exit == 0, province.err
    assert province.manifest["overrides"] == ["model.inference.cluster=省份"]
    assert province.manifest["columns"][0]["inference"] == "clustered by 省份"
    assert province.row().estimate == unit.estimate
    assert province.row().std_error != unit.std_error
    # The same sentence in the file gives the same numbers, without computing.
    lab.study(model={"inference": {"cluster": "省份"}})
    same = lab.run("--json")
    assert json.loads(same.out)["computed"] == 0
    assert same.row().std_error == province.row().std_error
    income = lab.run("model.controls=['人均收入 (元)']")
    assert income.exit == 0, income.err
    assert income.manifest["columns"][0]["controls"] == ["人均收入 (元)"]
    assert income.row().estimate != unit.estimate


# --output


def test_output_holds_the_same_folder(lab: Lab):
    lab.data(lab.frame())
    lab.study(checks=CHECKS)
    out = lab.folder / "deep" / "out put"
    for changed in ((), ("model.controls=[x1]",)):
        assert lab.run("--output", str(out), *changed).exit == 0
        record = Folder(lab.folder).latest("fault")
        ours, theirs = files(record), files(out)
        assert ours == theirs
        assert numbers(record) == numbers(out)
        assert [p.name for p in out.parent.iterdir()] == [out.name]


def test_output_never_replaces_anything_else(lab: Lab):
    lab.data(lab.frame())
    lab.study()
    keep = lab.folder / "thesis" / "chapter.tex"
    keep.parent.mkdir()
    keep.write_text("three years of work")
    outcome = lab.run("--output", "thesis")
    assert outcome.exit == 6
    assert outcome.codes == ["R21"]
    # Said before anything is estimated, not after.
    assert outcome.coefficients is None
    assert keep.read_text() == "three years of work"


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# The same numbers wherever and however


def castle(folder: Path, rows: bool = False, columns: bool = False) -> Folder:
    """The castle study on a CSV whose rows or columns may be shuffled."""
    from causaldata import castle as source

    data = source.load_pandas().data
    # Stata's floats are doubles of few digits; their own short text is another double.
    data = data.astype(dict.fromkeys(data.select_dtypes("float32"), "float64"))
    rng = np.random.default_rng(4)
    if rows:
        data = data.iloc[rng.permutation(len(data))]
    if columns:
        data = data[list(rng.permutation(data.columns))]
    made = Folder.make(folder, CASTLE)
    data.to_csv(folder / "castle.csv", index=False)
    return made


@pytest.mark.slow
def test_neither_hash_seed_nor_order_moves_a_bit(tmp_path: Path):
    found = []
    # Workers have a fixed hash seed; in line, the command's own is in force.
    for seed, executor in enumerate(["processes", "inline", "serial", "inline"]):
        folder = castle(tmp_path / str(seed), rows=seed > 0, columns=seed > 1)
        done = folder.run(
            *("tracking=none", "report=quick", f"executor={executor}"),
            PYTHONHASHSEED=str(seed),
        )
        assert done.exit == 0, done.err
        assert done.counts == (6, 0)
        found.append(numbers(done.folder))
    assert found[1:] == found[:1] * 3
    table = pd.read_csv(tmp_path / "0/runs/castle/latest/coefficients.csv")
    row = table[table.check == "law_year"].iloc[0]
    # Ten digits are printed in the sources.
    assert row.estimate == pytest.approx(ESTIMATE, abs=1e-9)
    assert row.std_error == pytest.approx(STD_ERROR, abs=1e-9)


@pytest.mark.slow
def test_two_runs_at_once_share_one_folder(tmp_path: Path):
    folder = castle(tmp_path / "both")
    with ended(folder.start("--json")) as one, ended(folder.start("--json")) as two:
        said = [json.loads(p.communicate(timeout=patience(300))[0]) for p in (one, two)]
        assert (one.returncode, two.returncode) == (0, 0)
    first, second = (folder.path / s["folder"] for s in said)
    assert first != second
    assert folder.folders("castle") == sorted([first, second])
    assert folder.latest("castle") in (first, second)
    whole(first)
    whole(second)
    assert numbers(first) == numbers(second)
    # One parent and six estimations of each.
    assert folder.statuses() == ["FINISHED"] * 14
    assert folder.left_over() == []
    assert folder.run("tracking=none", "report=quick").counts == (0, 6)


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path):
    whole_run = Folder.make(tmp_path / "undisturbed")
    done = whole_run.run("tracking=none", "report=quick")
    assert done.exit == 0, done.err
    folder = Folder.make(tmp_path / "killed")
    for moment in (estimating, estimating, writing):
        killed(folder, 0.0, moment)
    completes(folder, numbers(done.folder))


def test_a_run_does_not_need_what_can_be_made_again(ran: Lab):
    shutil.rmtree(ran.folder / "runs" / ".cells")
    first, *_ = Folder(ran.folder).folders("fault")
    assert counts(ran) == (5, 0)
    assert numbers(first) == numbers(Folder(ran.folder).latest("fault"))
    assert main(["run", "study.yaml", "tracking=none", "executor=inline"]) == 0
