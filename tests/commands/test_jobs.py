"""The jobs of a run on disk, what failed listed with its retry, and retried alone."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from framework.cache import Failure
from framework.commands import watching
from framework.commands.line import main
from framework.commands.watching import Bar
from framework.errors import Phase, Problem, StorageError
from framework.record import Command, JobBook, Planned, last_failed
from framework.record.jobs import newest, states
from tests.build_run import build_cell
from tests.commands.conftest import QUICK, Lab

#: No row is left in `late`, which the worker finds out; `same` is what `plain` is.
STUDY = """\
study: jobs
data:
  source: data.csv
  panel: {unit: unit, time: time}
model:
  outcome: y
  treatment: d
  fixed_effects: [unit, time]
  inference: {cluster: unit}
  estimator: twfe
checks:
  main:
    plain: {}
    same: {}
    late: {each: {sample.late: {one: time > 9100, two: time > 9200}}}
    controls: {each: {add.controls: [x1, x2]}}
"""
COMMAND = Command("run", "study.yaml")


@pytest.fixture
def study(lab: Lab) -> Lab:
    lab.data(lab.frame())
    lab.study(STUDY)
    return lab


def book(name: str = "jobs") -> Path:
    found = newest(Path("runs"), name)
    assert found is not None
    return found


def fate(name: str = "jobs") -> dict[str, str]:
    """Address -> status, those that share a job apart."""
    return {a: s["status"] for s in states(book(name)) for a in s["addresses"]}


def test_every_job_is_written_down_and_says_what_became_of_it(study: Lab):
    ran = study.run()
    assert ran.exit == 9
    done = {"main.plain", "main.same", "main.controls.x1", "main.controls.x2"}
    failed = {"main.late.one", "main.late.two"}
    assert fate() == dict.fromkeys(done, "done") | dict.fromkeys(failed, "failed")
    manifest = json.loads((book() / "manifest.json").read_text())
    assert manifest["jobs"][0]["addresses"] == ["main.plain", "main.same"]
    assert (manifest["verb"], manifest["file"]) == ("run", "study.yaml")
    first = next(s for s in states(book()) if s["addresses"] == ["main.late.one"])
    assert first["cause"][0]["what"]
    assert Path(first["trace"]).read_text().startswith("Traceback")
    assert first["retry"] == shlex.join(
        ["estimand", "run", "study.yaml", *QUICK, "--only", "main.late.one"]
    )
    assert all(s["seconds"] > 0 for s in states(book()) if s["status"] == "done")
    # The terminal says the same: the cause, the trace's place, the command.
    assert f"Trace: {first['trace']}" in ran.err
    assert f"Again: {first['retry']}" in ran.err
    assert study.run().exit == 9
    assert {fate()[address] for address in done} == {"reused"}


def test_the_command_that_is_printed_is_the_one_that_retries(study: Lab):
    said = study.run().err
    again = re.search(r"Again: estimand (.*)", said)[1]
    study.capture.readouterr()
    assert main(shlex.split(again)) != 0
    assert set(fate()) == {"main.late.one"}
    # Alone, it stops the run; the trace's place is said all the same.
    trace = next(iter(states(book())))["trace"]
    assert Path(trace).exists()


def test_only_what_failed_is_retried(study: Lab):
    assert study.run().exit == 9
    retried = study.run("--retry-failed")
    assert fate() == {"main.late.one": "failed", "main.late.two": "failed"}
    assert "--resume" in retried.err
    # Where nothing has a number, what failed is listed, and how it is tried again.
    assert retried.codes == ["D05", "D05"]
    assert f"None of 2 estimations has numbers; what became of each: {book()}" in (
        retried.err
    )
    assert f"All of them again: {COMMAND.again()} " in retried.err
    elsewhere = study.run("--retry-failed", "--only", "main.plain")
    assert elsewhere.exit == 0
    assert "nothing of main.plain failed in the last run" in elsewhere.err
    assert set(fate()) == {"main.late.one", "main.late.two"}
    # It is mended: the filter is, and what had failed gives numbers now.
    study.study(STUDY.replace("> 9100", "> 2").replace("> 9200", "> 3"))
    assert study.run("--retry-failed").exit == 0
    assert fate() == {"main.late.one": "done", "main.late.two": "done"}
    nothing = study.run("--retry-failed")
    assert nothing.exit == 0
    assert "nothing failed in the last run" in nothing.err
    whole = study.run("--resume")
    assert whole.exit == 0
    assert set(fate().values()) == {"reused"}
    assert len(whole.coefficients[["check", "value"]].drop_duplicates()) == 6


def test_what_failed_and_is_gone_is_named_and_the_rest_retried(study: Lab):
    assert study.run().exit == 9
    # One line's value is renamed, the other is mended.
    study.study(STUDY.replace("one: time > 9100, two: time > 9200", "two: time > 3"))
    retried = study.run("--retry-failed")
    assert retried.exit == 0, retried.err
    assert "2 failed in the last run: main.late.one, main.late.two;" in retried.err
    gone = "1 of them are not in the study any more and are left out: main.late.one\n"
    assert gone in retried.err
    assert fate() == {"main.late.two": "done"}
    # Nothing of it is left: that is said, and nothing else runs in its place.
    study.study(STUDY.replace("one: time > 9100, two: time > 9200", "new: time > 3"))
    books = book()
    nothing = study.run("--retry-failed")
    assert nothing.codes == ["X22"]
    assert "left out: main.late.one\n" in nothing.err
    assert book() == books
    assert study.run().exit == 0


def test_a_named_sweep_that_has_other_values_now_retries_what_it_still_has(
    study: Lab,
):
    shelf = Path("conf/sweep")
    shelf.mkdir(parents=True)
    named = shelf / "late.yaml"
    named.write_text('overrides: ["model.sample.late=time > 9100,time > 9200"]\n')
    command = ["sweep", "study.yaml", "sweep=late", *QUICK]
    assert main(command) != 0
    assert sorted(fate().values()) == ["failed", "failed"]
    named.write_text('overrides: ["model.sample.late=time > 9100,time > 2"]\n')
    study.capture.readouterr()
    assert main([*command, "--retry-failed"]) != 0
    assert "left out: sweep.grid.time > 9200\n" in study.capture.readouterr().err
    assert fate() == {"sweep.grid.time > 9100": "failed"}


def test_what_a_study_says_is_not_identified_is_no_failure(lab: Lab):
    data = lab.frame()
    ever = data.groupby("unit").d.transform("max")
    some = data.unit.astype("category").cat.codes
    lab.data(data.assign(big=ever.where(ever > 0, some % 2)))
    line = {"each": {"interact.with": ["big", "x1"]}}
    lab.study(
        checks={"main": {"groups": line}}, model={"acknowledge": ["not_identified"]}
    )
    for _ in range(2):  # as found by a worker, and as it was refused before
        ran = lab.run("--fail-fast")
        assert ran.exit == 0, ran.err
        assert "failed" not in ran.err
        name = ran.manifest["study"]
        assert fate(name)["main.groups.big"] == "not_identified"
        assert fate(name)["main.groups.x1"] in ("done", "reused")
    nothing = lab.run("--retry-failed")
    assert nothing.exit == 0
    assert "nothing failed in the last run" in nothing.err


def test_one_that_is_tried_alone_leaves_the_others_to_be_retried(study: Lab):
    assert study.run().exit == 9
    assert study.run("--only", "main.plain").exit == 0
    both = {"main.late.one": "failed", "main.late.two": "failed"}
    assert last_failed(Path("runs"), "jobs", COMMAND) == tuple(both)
    # One of them is mended.
    study.study(STUDY.replace("> 9100", "> 2"))
    assert study.run("--only", "main.late.one").exit == 0
    study.run("--retry-failed")
    assert fate() == {"main.late.two": "failed"}
    assert study.run("--only", "main.late.two").exit != 0
    assert last_failed(Path("runs"), "jobs", COMMAND) == ("main.late.two",)
    # The last run of all is where looking back ends.
    study.study(STUDY.replace("> 9100", "> 2").replace("> 9200", "> 3"))
    assert study.run().exit == 0
    assert last_failed(Path("runs"), "jobs", COMMAND) == ()


def test_what_a_run_that_ended_early_did_not_come_to_is_retried(tmp_path: Path):
    planned = [Planned((f"a.{n}",), n) for n in ("one", "two", "three")]

    def opened(*failed: str, done: tuple[str, ...] = (), part: bool = False) -> None:
        book = JobBook.open(tmp_path, "s", COMMAND, planned, part=part)
        for name in (*failed, *done):
            book.started(name)
        for name in failed:
            book.over(name, Failure((Problem(Phase.DATA, "D05", "no rows"),)))
        for name in done:
            book.over(name, build_cell())

    opened("one", "two", done=("three",))
    opened(done=("one",))  # killed there
    assert last_failed(tmp_path, "s", COMMAND) == ("a.two",)
    opened("three")  # stopped there
    assert last_failed(tmp_path, "s", COMMAND) == ("a.three", "a.two")
    opened(done=("one", "two", "three"))
    assert last_failed(tmp_path, "s", COMMAND) == ()


def test_many_parts_do_not_push_out_what_failed_in_the_whole(
    tmp_path: Path, monkeypatch: Any
):
    monkeypatch.setattr("framework.record.jobs.is_alive", lambda process: False)
    whole = an_open_book(tmp_path)
    whole.over("f1", Failure((Problem(Phase.DATA, "D05", "no rows"),)))
    for _ in range(15):
        JobBook.open(tmp_path, "s", COMMAND, [Planned(("h.l0",), "f0")], part=True)
    assert last_failed(tmp_path, "s", COMMAND) == ("h.l1",)
    assert len(list((tmp_path / ".jobs" / "s").glob("[!.]*"))) == 11


def test_where_nothing_has_a_number_every_cause_says_how_it_is_tried_again(
    study: Lab,
):
    ran = study.run("--only", "main.late")
    assert ran.exit != 0
    for state in states(book()):
        assert f"[{state['addresses'][0]}]" in ran.err
        assert f"Trace: {state['trace']}" in ran.err
        assert f"Again: {state['retry']}" in ran.err
    study.study(STUDY.replace("time > 9200", "time > 9100"))
    once = study.run("--only", "main.late", "seed=4")
    # The same rows, the same cause: one job, two addresses.
    assert "[main.late.one] and 1 more" in once.err


def test_what_a_worker_had_when_the_run_ended_waits_again(tmp_path: Path):
    planned = [Planned(("a.one",), "f1"), Planned(("a.two",), "f2")]
    opened = JobBook.open(tmp_path, "study", COMMAND, planned)
    for fingerprint in ("f1", "f2"):
        opened.started(fingerprint)
    opened.over("f1", Failure((Problem(Phase.DATA, "D05", "no rows"),)))
    opened.put_back()
    assert [s["status"] for s in states(opened.folder)] == ["failed", "waiting"]


def test_without_an_earlier_run_there_is_nothing_to_go_on_with(study: Lab):
    for option in ("--retry-failed", "--resume"):
        refused = study.run(option)
        assert refused.exit == 6
        assert refused.codes == ["R26"]
    assert study.run("seed=7").exit == 9
    # Another model is another command; other settings are not.
    assert study.run("--resume").codes == ["R26"]
    assert study.run("seed=7", "executor.time_limit=90", "--resume").exit == 9


def test_fail_fast_stops_at_the_first_failure(study: Lab):
    ran = study.run("--fail-fast")
    assert ran.exit == 9
    assert fate() == {
        "main.plain": "done",
        "main.same": "done",
        "main.late.one": "failed",
        "main.late.two": "waiting",
        "main.controls.x1": "waiting",
        "main.controls.x2": "waiting",
    }
    assert ran.codes.count("W07") == 1
    assert "So are 2 more: main.controls.x1, main.controls.x2" in ran.err.replace(
        "\n     ", ""
    )
    # What was never tried has not failed.
    assert study.run("--retry-failed").exit != 0
    assert set(fate()) == {"main.late.one"}


def test_fail_fast_computes_nothing_where_something_cannot_start(lab: Lab):
    lab.data(lab.frame())
    lab.study(STUDY.replace("[x1, x2]", "[x1, nowhere]"))
    assert lab.run("--fail-fast").exit == 2
    assert not Path("runs/.jobs").exists()
    assert not list(Path("runs/.cells").glob("[!.p]*"))


def test_a_sweep_has_jobs_too(study: Lab):
    typed = ["model.sample.late=time > 9100,time > 2", *QUICK]
    command = ["sweep", "study.yaml", *typed]
    assert main(command) == 9
    assert sorted(fate().values()) == ["done", "failed"]
    retry = next(s for s in states(book()) if s["status"] == "failed")["retry"]
    study.capture.readouterr()
    assert main(shlex.split(retry)[1:]) != 0
    assert list(fate().values()) == ["failed"]
    assert main(["sweep", "study.yaml", *typed, "--retry-failed"]) != 0
    assert list(fate().values()) == ["failed"]
    assert main(["sweep", "study.yaml", *typed, "--resume"]) == 9
    assert sorted(fate().values()) == ["failed", "reused"]


def test_an_option_of_a_swept_choice_holds_for_every_value(study: Lab):
    estimator = "model.estimator=twfe,event_study"
    window = "model.estimator.window=[-2,2]"
    assert main(["sweep", "study.yaml", estimator, window, *QUICK]) == 9
    assert fate() == {"sweep.grid.twfe": "failed", "sweep.grid.event_study": "done"}
    assert "'twfe' has no option 'window'" in study.capture.readouterr().err
    shown = json.loads(Path("runs/jobs/latest/manifest.json").read_text())
    changes = shown["columns"][1]["changes"]
    assert changes["model.estimator.window"] == [-2, 2]
    # One choice is varied: an option that is the same everywhere makes no multiverse.
    assert shown["multiverses"] == []
    # Typed the other way round it is the same.
    assert main(["sweep", "study.yaml", window, estimator, *QUICK]) == 9
    assert fate() == {"sweep.grid.twfe": "failed", "sweep.grid.event_study": "reused"}


def an_open_book(runs: Path, count: int = 2) -> JobBook:
    planned = [Planned((f"h.l{i}",), f"f{i}") for i in range(count)]
    return JobBook.open(runs, "s", COMMAND, planned)


def test_jobs_of_a_killed_run_wait_again(tmp_path: Path):
    killed = an_open_book(tmp_path)
    killed.started("f0")
    path = killed.folder / "manifest.json"
    written = json.loads(path.read_text())
    an_open_book(tmp_path)
    assert [s["status"] for s in states(killed.folder)] == ["running", "waiting"]
    # Another machine's clock, another process: `host|boot|pid|start` of nobody.
    host, boot, _, started = written["process"].split("|")
    path.write_text(json.dumps({**written, "process": f"{host}|{boot}|0|{started}"}))
    an_open_book(tmp_path)
    found = list(states(killed.folder))
    assert [s["status"] for s in found] == ["waiting", "waiting"]
    assert found[0]["cause"] == [{"what": "its run was killed", "fix": "run again"}]


@pytest.mark.parametrize("goes", [False, True], ids=["put right", "gone"])
def test_two_runs_may_put_right_a_killed_one_s_book_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes: bool
):
    killed = an_open_book(tmp_path)
    killed.started("f0")
    path = killed.folder / "manifest.json"
    written = json.loads(path.read_text())
    path.write_text(json.dumps({**written, "process": "nobody"}))
    replace, others = Path.replace, list[str]()

    def beaten(self: Path, target: Path) -> Path:
        # The other one has done the same, or the book was too old for it.
        if target.parent == killed.folder and not others:
            others.append(target.name)
            if goes:
                shutil.rmtree(killed.folder)
            else:
                an_open_book(tmp_path)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", beaten)
    an_open_book(tmp_path)
    assert others == ["0001.json"]
    found = [s["status"] for s in states(killed.folder)]
    assert found == ([] if goes else ["waiting", "waiting"])
    left = [p.name for p in tmp_path.glob(".jobs/s/*/.*")]
    assert left == []


def test_old_books_go_and_a_torn_one_is_no_book(tmp_path: Path):
    for _ in range(14):
        path = an_open_book(tmp_path).folder / "manifest.json"
        path.write_text(path.read_text().replace('"process": "', '"process": "x'))
        written = json.loads(path.read_text())
        written["process"] = "nobody"
        path.write_text(json.dumps(written))
    assert len(list((tmp_path / ".jobs" / "s").glob("[!.]*"))) == 10
    for path in tmp_path.glob(".jobs/s/*/manifest.json"):
        path.write_text("{")
    assert last_failed(tmp_path, "s", COMMAND) is None
    an_open_book(tmp_path)
    assert len(list((tmp_path / ".jobs" / "s").glob("[!.]*"))) == 1


def test_a_book_that_a_killed_process_was_opening_goes(tmp_path: Path):
    draft = an_open_book(tmp_path).folder.with_name(".20261122T135621.5Z-1.draft")
    draft.mkdir()
    (draft / "0001.json").write_text("{}")
    an_open_book(tmp_path)
    assert not draft.exists()


def test_two_books_never_share_a_folder(tmp_path: Path, monkeypatch: Any):
    class Still:
        @staticmethod
        def now(_zone: object) -> Still:
            return Still()

        def strftime(self, _form: str) -> str:
            return "20260101T000000.000000Z"

        def isoformat(self, **_: object) -> str:
            return "2026-01-01"

    monkeypatch.setattr("framework.record.jobs.datetime", Still)
    assert len({an_open_book(tmp_path).folder for _ in range(5)}) == 5


def test_a_failure_without_a_trace_and_a_disk_that_refuses(tmp_path: Path):
    opened = an_open_book(tmp_path)
    opened.over("f0", Failure((Problem(Phase.WORKER, "W05", "cannot start"),)))
    assert opened.trace("h.l0") is None
    assert last_failed(tmp_path, "s", COMMAND) == ("h.l0",)
    (tmp_path / "full").write_text("a file where the folder would be")
    with pytest.raises(StorageError, match="list of jobs") as refused:
        an_open_book(tmp_path / "full")
    assert refused.value.problems[0].code == "R20"


@pytest.mark.parametrize(
    ("seconds", "said"), [(40.4, "40 s"), (720.0, "12 min"), (11100.0, "3 h 5 min")]
)
def test_a_log_is_told_how_long_it_still_takes(
    seconds: float, said: str, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
):
    now = 0.0
    monkeypatch.setattr(watching.time, "monotonic", lambda: now)
    bar = Bar()
    bar.start(total=11, cached=0)
    now = seconds / 10
    monkeypatch.setattr(watching, "_BETWEEN", now - 0.01)
    bar.advance("h.a", 1.0, ok=False)
    told = capsys.readouterr().err
    assert told == f"1 of 11 estimations, 1 failed, about {said} left\n"
    bar.advance("h.b", 1.0, ok=True)
    assert capsys.readouterr().err == ""
    bar.stop()
    told = capsys.readouterr().err
    assert (
        told == f"2 of 11 estimations, 1 failed (0 from earlier runs) in {now:.1f} s\n"
    )
