"""Workers: one death fails one estimation, limits hold, nobody is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from framework.cache import Cell, Failure, Job, Store
from framework.errors import Phase, Place, Problem
from framework.execute import ENVIRONMENT, Executor, Inline, Processes, execute, work
from framework.execute import processes as processes_module
from framework.execute.warm_up import imports, warm_up
from framework.execute.worker import (
    failure_from_plain,
    failure_to_plain,
    job_from_bytes,
    job_to_bytes,
)
from framework.panel import Panel
from tests.real_command import alive_after, descendants, patience

TASK = "tests.unit.toy_work:toy"
KEY = "panel"


def a_store(root: Path) -> Store:
    store = Store(root)
    store.save_panel(Panel(pd.DataFrame({"y": np.arange(5.0)}), key=KEY))
    return store


def a_job(name: str, **model: Any) -> Job:
    return Job(name, f"heading.{name}", KEY, {}, model, None, 1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return a_store(tmp_path)


@pytest.fixture
def crew(store: Store) -> Iterator[Processes]:
    executor = Processes(store.root, workers=1, task=TASK)
    yield executor
    executor.cancel()


def code(outcome: Cell | Failure) -> str:
    assert isinstance(outcome, Failure)
    return outcome.problems[0].code


# execute: what runs and what does not


class Seen:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def start(self, total: int, cached: int) -> None:
        self.said.append(("start", total, cached))

    def advance(self, address: str, seconds: float, ok: bool) -> None:
        assert seconds >= 0
        self.said.append((address, ok))

    def stop(self) -> None:
        self.said.append("stop")


def test_each_estimation_runs_once_and_finished_ones_never(store: Store):
    log = store.root / "log"
    jobs = [
        a_job("a", log=str(log)),
        a_job("b", log=str(log), do="raise"),
        a_job("a", log=str(log)),
        a_job("c", log=str(log)),
    ]
    seen, done = Seen(), []
    found = execute(
        jobs,
        store,
        Inline(store.root, TASK),
        lambda job, outcome: done.append((job.fingerprint, type(outcome))),
        seen,
    )
    assert list(found) == ["a", "b", "c"]
    assert log.read_text().split() == ["a", "b", "c"]
    assert done == [("a", Cell), ("b", Failure), ("c", Cell)]
    assert seen.said == [
        ("start", 3, 0),
        ("heading.a", True),
        ("heading.b", False),
        ("heading.c", True),
        "stop",
    ]
    again = Seen()
    execute(jobs, store, Inline(store.root, TASK), progress=again)
    # The failure is tried again, the finished ones are not.
    assert log.read_text().split() == ["a", "b", "c", "b"]
    assert again.said[0] == ("start", 3, 2)


def test_what_a_design_cannot_answer_is_asked_once(store: Store):
    log = store.root / "log"
    jobs = [a_job("no", do="design", log=str(log)), a_job("yes", log=str(log))]
    first = execute(jobs, store, Inline(store.root, TASK))
    seen, done = Seen(), []
    asked = [replace(jobs[0], address="other.name"), jobs[1]]
    again = execute(
        asked, store, Inline(store.root, TASK), lambda *over: done.append(over), seen
    )
    assert log.read_text().split() == ["no", "yes"]
    assert seen.said == [("start", 2, 2), "stop"]
    assert [job.address for job, _ in done] == ["other.name", "heading.yes"]
    one, other = first["no"], again["no"]
    assert isinstance(one, Failure)
    assert isinstance(other, Failure)
    # The same words and trace; the address is that of who asks.
    assert other.trace == one.trace
    assert "toy_work.py" in other.trace
    (was,), (said,) = one.problems, other.problems
    assert was.address == "heading.no"
    assert said == replace(was, address="other.name")
    assert said.acknowledge == "not_identified"
    assert again.reused == {"yes"}


def test_retried_is_what_a_design_could_not_answer_too(store: Store):
    log = store.root / "log"
    job = a_job("no", do="design", log=str(log))
    execute([job], store, Inline(store.root, TASK))
    found = execute([job], store, Inline(store.root, TASK), retry=True)
    assert log.read_text().split() == ["no", "no"]
    assert code(found["no"]) == "I03"
    # What gives a number now is a cell, whatever was refused before.
    mended = a_job("no", log=str(log))
    found = execute([mended], store, Inline(store.root, TASK), retry=True)
    assert isinstance(found["no"], Cell)
    assert isinstance(execute([job], store, Inline(store.root, TASK))["no"], Cell)


@pytest.mark.parametrize("wish", ["numerical", "raise", "no memory", "design and more"])
def test_what_may_go_well_the_next_time_is_tried_again(store: Store, wish: str):
    log = store.root / "log"
    for _ in range(2):
        execute([a_job("a", do=wish, log=str(log))], store, Inline(store.root, TASK))
    assert log.read_text().split() == ["a", "a"]
    problem = Problem(Phase.NUMERICAL, "N01", "no number")
    with pytest.raises(ValueError, match="only what a design cannot answer"):
        store.save_refusal("a", Failure((problem,)))


def test_a_refusal_by_changed_source_or_on_a_bad_disk_is_not_kept(store: Store):
    log = store.root / "log"
    job = a_job("no", do="design", log=str(log))
    # Every source file is newer than the beginning of time.
    assert isinstance(work(job, store.root, task=TASK, newest=0), Failure)
    assert store.load_refusal("no") is None
    execute([job], store, Inline(store.root, TASK))
    assert store.load_refusal("no") is not None
    kept = store.root / ".cells" / "refused" / "no" / "about.json"
    kept.write_text(kept.read_text().replace("not identified", "identified"))
    execute([job], store, Inline(store.root, TASK))
    assert log.read_text().split() == ["no"] * 3
    assert code(execute([job], store, Inline(store.root, TASK))["no"]) == "I03"


def test_the_first_failure_may_be_one_of_an_earlier_run(store: Store):
    log = store.root / "log"
    jobs = [a_job("no", do="design", log=str(log)), a_job("next", log=str(log))]
    execute(jobs[:1], store, Inline(store.root, TASK))
    found = execute(jobs, store, Inline(store.root, TASK), fail_fast=True)
    assert log.read_text().split() == ["no"]
    assert [code(found[name]) for name in ("no", "next")] == ["I03", "W07"]


def test_what_goes_wrong_is_said_with_its_address(store: Store):
    jobs = [a_job("raise", do="raise"), a_job("numerical", do="numerical")]
    found = execute(jobs, store, Inline(store.root, TASK))
    assert code(found["raise"]) == "W04"
    failure = found["numerical"]
    assert isinstance(failure, Failure)
    (problem,) = failure.problems
    assert (problem.code, problem.phase) == ("N01", Phase.NUMERICAL)
    assert problem.address == "heading.numerical"
    assert "toy_work.py" in failure.trace


def test_a_lost_panel_is_a_storage_problem(store: Store):
    lost = work(Job("a", "h.a", "nowhere", {}, {}, None, 1), store.root, task=TASK)
    assert isinstance(lost, Failure)
    assert (lost.problems[0].code, lost.problems[0].phase) == ("R13", Phase.STORAGE)


def test_a_worker_that_died_after_keeping_its_cell_has_finished(store: Store):
    class Dying(Inline):
        def results(self) -> Iterator[Any]:
            for over in super().results():
                died = Problem(Phase.WORKER, "W01", "worker died")
                yield type(over)(over.job, Failure((died,)), over.seconds)

    found = execute([a_job("a")], store, Dying(store.root, TASK))
    assert isinstance(found["a"], Cell)


def test_an_interruption_stops_the_executor(store: Store):
    class Interrupted(Inline):
        cancelled = False

        def results(self) -> Iterator[Any]:
            yield from ()
            raise KeyboardInterrupt

        def cancel(self) -> None:
            self.cancelled = True

    executor, seen = Interrupted(store.root, TASK), Seen()
    with pytest.raises(KeyboardInterrupt):
        execute([a_job("a")], store, executor, progress=seen)
    assert executor.cancelled
    assert seen.said[-1] == "stop"


def test_both_backends_are_executors(store: Store):
    executors: list[Executor] = [Inline(store.root), Processes(store.root)]
    assert len(executors) == 2
    with pytest.raises(ValueError, match="at least one worker"):
        Processes(store.root, workers=0)


# The messages


def test_jobs_and_failures_travel_whole():
    job = a_job("a", limits=(0.1, float("inf")), levels={1: "x"})
    job = Job(
        "a", "h.a", KEY, MappingProxyType({"b": None}), job.model, {"times": 9}, 2
    )
    assert job_from_bytes(job_to_bytes(job)) == job
    problem = Problem(Phase.DESIGN, "I01", "é", "w", "f", "p", "a", None, "few")
    failure = Failure((problem,), "trace")
    assert failure_from_plain(failure_to_plain(failure)) == failure
    placed = Failure((problem.at(place=Place("x.yaml", 1, 2)),), "trace")
    assert failure_from_plain(failure_to_plain(placed)) == failure


def test_the_engines_of_a_plugin_are_found_in_its_source():
    source = """
import json
from mine.near import options
if TYPE_CHECKING:
    import unneeded
    from unneeded.too import Named
class Twfe:
    def estimate(self):
        import lazy as z
        import engine.deep
        from engine import fit, _own
        from . import beside
        return z.feols(1), json.dumps
"""
    inner = [(i.module, i.name) for i in imports(source) if i.inner]
    outer = [(i.module, i.name) for i in imports(source) if not i.inner]
    assert inner == [
        ("lazy", ""),
        ("lazy", "feols"),
        ("engine.deep", ""),
        ("engine", "fit"),
        ("engine", "_own"),
    ]
    assert outer == [("json", ""), ("json", "dumps"), ("mine.near", "options")]


def test_warming_up_goes_through_the_plugins_own_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files = {
        "warm_plugin/__init__.py": "",
        "warm_plugin/mine.py": "def estimate():\n from warm_plugin.fit import go",
        "warm_plugin/fit.py": "def go():\n import warm_engine as e\n e.lazy\n"
        "def broken():\n import no_such_engine",
        "warm_engine.py": "asked = []\ndef __getattr__(name):\n asked.append(name)",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    warm_up(TASK, ["warm_plugin.mine:Mine", "no_such_plugin:X"])
    assert "lazy" in sys.modules["warm_engine"].asked


def test_estimators_that_never_regress_warm_no_regression_engine():
    for name in ("double_ml", "callaway_santanna"):
        script = (
            "import sys; from framework.execute.warm_up import warm_up;"
            f"warm_up('json:dumps', ['estimators.{name}:X']);"
            "sys.exit('pyfixest' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-P", "-c", script], check=False)
        assert done.returncode == 0, name


# Workers


def test_one_abort_fails_one_estimation(store: Store, crew: Processes):
    wishes = ["", "abort", "", "exit", "killed", "raise", ""]
    jobs = [a_job(f"j{i}", do=wish, add=i) for i, wish in enumerate(wishes)]
    found = execute(jobs, store, crew)
    kinds = [type(outcome) for outcome in found.values()]
    assert kinds == [Cell, Failure, Cell, Failure, Failure, Failure, Cell]
    whats = [o.problems[0].what for o in found.values() if isinstance(o, Failure)]
    assert "worker died (SIGABRT); others continue" in whats[0]
    assert "exit status 3" in whats[1]
    assert "SIGKILL" in whats[2]
    assert "KeyError" in whats[3]
    aborted = found["j1"]
    assert isinstance(aborted, Failure)
    assert aborted.problems[0].address == "heading.j1"
    # The engine's last words and the stack of the abort.
    assert "the engine says goodbye" in aborted.trace
    assert "toy_work.py" in aborted.trace
    last = found["j6"]
    assert isinstance(last, Cell)
    assert last.result.coefficients["estimate"].tolist() == [2.0 + 6]


def test_a_worker_is_warm_fresh_and_pinned(store: Store, crew: Processes):
    found = execute([a_job(f"j{i}") for i in range(3)], store, crew)
    facts = [o.labels for o in found.values() if isinstance(o, Cell)]
    assert len({fact["pid"] for fact in facts}) == 1
    assert facts[0]["pid"] != os.getpid()
    # The seed came into effect, not only into the environment.
    expected = subprocess.run(
        [sys.executable, "-c", "print(hash('estimand'))"],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert facts[0]["hash"] == int(expected.stdout)
    assert facts[0]["PYTHONHASHSEED"] == ENVIRONMENT["PYTHONHASHSEED"] == "0"
    assert facts[0]["OMP_NUM_THREADS"] == "1"


def limited(
    crew: Processes,
    monkeypatch: pytest.MonkeyPatch,
    mark: Path,
    due: Callable[[int], object] = lambda _: None,
) -> None:
    """A limit of half a second, in force once the job has written its mark.

    However late that is; `due` is told the worker that is about to be stopped.
    """
    judge = crew._over_limit

    def judged(worker: Any) -> Problem | None:
        there = mark.exists() and mark.read_text() and worker.has_started
        crew.time_limit = 0.5 if there else None
        problem = judge(worker)
        if problem:
            mark.unlink()  # the next job has no limit
            due(worker.process.pid)
        return problem

    monkeypatch.setattr(crew, "_over_limit", judged)


def test_a_limit_of_time(
    store: Store, crew: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    mark = tmp_path / "mark"
    limited(crew, monkeypatch, mark)
    jobs = [a_job("slow", do="sleep", seconds=1e6, mark=str(mark)), a_job("fine")]
    slow, fine = execute(jobs, store, crew).values()
    assert isinstance(fine, Cell)
    assert isinstance(slow, Failure)
    assert code(slow) == "W03"
    assert "toy_work.py" in slow.trace  # where it was when it was stopped


def test_where_a_job_was_is_waited_for_on_a_busy_machine(
    store: Store, crew: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def kept_from_running(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        waking = psutil.Process(pid)
        threading.Timer(0.7, waking.resume).start()

    mark = tmp_path / "mark"
    limited(crew, monkeypatch, mark, kept_from_running)
    job = a_job("slow", do="sleep", seconds=1e6, mark=str(mark))
    slow = execute([job], store, crew)["slow"]
    assert code(slow) == "W03"
    assert isinstance(slow, Failure)
    assert "toy_work.py" in slow.trace


def test_a_worker_that_cannot_say_where_it_was_is_not_waited_for_long(
    store: Store, crew: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(processes_module, "_STACK_SECONDS", 0.1)
    monkeypatch.setattr(processes_module, "WHERE_ARE_YOU", 0)  # it is never asked
    mark = tmp_path / "mark"
    limited(crew, monkeypatch, mark)
    job = a_job("slow", do="sleep", seconds=1e6, mark=str(mark))
    slow = execute([job], store, crew)["slow"]
    assert code(slow) == "W03"
    assert isinstance(slow, Failure)
    assert slow.trace == ""


def test_what_has_ended_is_heard_before_limits_are_looked_at(
    store: Store, crew: Processes, monkeypatch: pytest.MonkeyPatch
):
    looked: list[bool] = []

    def late(connections: list[Any], timeout: float) -> list[Any]:
        ready: list[Any] = processes_module_wait(connections, timeout)
        (worker,) = crew._crew
        if worker.has_started and not looked:
            # We saw nothing, and were kept from running until it had ended.
            looked.append(worker.connection.poll(None))
            crew.time_limit = 0.0
            return []
        return ready

    processes_module_wait = processes_module.wait
    monkeypatch.setattr(processes_module, "wait", late)
    crew.submit(a_job("a", do="design"))
    (over,) = crew.results()
    assert looked == [True]
    assert over.failure is not None
    assert code(over.failure) == "I03"


def test_a_limit_of_memory(store: Store):
    crew = Processes(store.root, 1, memory_limit=400, task=TASK)
    big, fine = execute(
        [a_job("big", do="memory"), a_job("fine")], store, crew
    ).values()
    assert isinstance(fine, Cell)
    assert isinstance(big, Failure)
    assert code(big) == "W02"
    assert "more than 400 MB" in big.problems[0].what


def test_a_job_is_innocent_of_the_death_before_it(
    store: Store, crew: Processes, tmp_path: Path
):
    # The first job leaves a thread behind that aborts its worker after its end.
    found = {}
    over_and_heard = tmp_path / "over"
    crew.submit(a_job("first", do="abort after", when=str(over_and_heard)))
    for over in crew.results():
        found[over.job.fingerprint] = over.failure
    over_and_heard.touch()
    (worker,) = crew._crew
    # It dies, and the crew has not looked yet.
    assert alive_after([psutil.Process(worker.process.pid)]) == 0
    crew.submit(a_job("second"))
    for over in crew.results():
        found[over.job.fingerprint] = over.failure
    assert found == {"first": None, "second": None}


def test_a_worker_that_cannot_start_is_said(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(processes_module, "ENVIRONMENT", {"PYTHONHASHSEED": "nonsense"})
    crew = Processes(store.root, 1, task=TASK)
    found = execute([a_job("a"), a_job("b")], store, crew)
    assert [code(o) for o in found.values()] == ["W05", "W05"]
    failure = found["a"]
    assert isinstance(failure, Failure)
    assert "PYTHONHASHSEED" in failure.trace


def test_a_number_of_changed_source_is_not_kept(store: Store):
    job = a_job("a")
    changed = work(job, store.root, task=TASK, newest=0)
    assert isinstance(changed, Failure)
    assert code(changed) == "W06"
    assert "framework.panel" in changed.problems[0].what
    assert store.load("a") is None
    assert work(job, store.root, task=TASK, newest=2**63) == "a"


@pytest.mark.parametrize(
    # Five wait; a start costs 2 s, and two workers must save twice that.
    ("seconds", "useful"),
    [(0.1, 1), (1.5, 1), (1.7, 2), (60.0, 2)],
)
def test_more_workers_only_when_they_are_worth_their_start(
    store: Store, monkeypatch: pytest.MonkeyPatch, seconds: float, useful: int
):
    monkeypatch.setattr(processes_module, "_physical_cores", lambda: 4)
    crew = Processes(store.root, task=TASK)
    for i in range(5):
        crew.submit(a_job(f"j{i}"))
    assert crew._useful_workers() == 1
    there: Any = SimpleNamespace(
        job=a_job("j5"), job_seconds=seconds, is_ready=True, has_own_job=True
    )
    crew._crew.append(there)
    assert crew._useful_workers() == useful
    crew._start_seconds = 100.0
    assert crew._useful_workers() == 1


def divided(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, **model: Any
) -> tuple[Cell | Failure, list[str]]:
    """One divisible job of fifteen parts and a quick one, two workers; who made what."""
    monkeypatch.setattr(processes_module, "_is_divisible", lambda _: True)
    long = {"do": "parts", "parts": 15, "folder": str(folder)} | model
    jobs = [
        a_job("long", estimator={"name": "describe"}, **long),
        a_job(
            "quick",
            estimator={"name": "describe"},
            do="after",
            after="long",
            folder=str(folder),
        ),
    ]
    # A job that nobody comes to help ends at its limit.
    limit = patience(60.0)
    crew = Processes(store.root, 2, time_limit=limit, task=TASK)
    found = execute(jobs, store, crew)
    assert isinstance(found["quick"], Cell)
    made = (folder / "made").read_text().splitlines()
    assert sorted(int(line.split()[0]) for line in made) == list(range(15))
    return found["long"], [line.split()[1] for line in made]


def test_a_worker_without_work_helps_with_what_can_be_divided(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    outcome, by = divided(store, tmp_path, monkeypatch)
    assert isinstance(outcome, Cell)
    # Half each: they keep pace with each other.
    assert sorted(by.count(pid) for pid in set(by)) == [7, 8]


@pytest.mark.parametrize("wish", ["abort", "numerical", "design", "no memory"])
def test_a_helper_that_fails_harms_nobody(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wish: str
):
    outcome, by = divided(store, tmp_path, monkeypatch, helper=wish)
    assert isinstance(outcome, Cell)
    assert len(set(by)) == 1
    assert store.load_refusal("long") is None


def test_what_is_drawn_or_whole_is_nobody_elses(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    crew = Processes(store.root, 2, task=TASK)
    crew.submit(a_job("whole", estimator={"name": "describe"}))
    learned = a_job("learned", estimator={"name": "double_ml"})
    crew.submit(learned)
    crew.submit(
        replace(learned, fingerprint="drawn", draws={"permute": "d", "times": 9})
    )
    assert crew._divisible == {"learned"}


def test_cancel_kills_what_a_worker_started(
    store: Store, crew: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pid, children = tmp_path / "pid", list[psutil.Process]()
    limited(
        crew,
        monkeypatch,
        pid,
        lambda worker: children.extend(psutil.Process(worker).children()),
    )
    found = execute([a_job("a", do="child", pid=str(pid))], store, crew)
    assert code(found["a"]) == "W03"
    assert len(children) == 1
    assert alive_after(children) == 0


# The parent's end

PARENT = """
import sys
sys.path[:] = {path!r}
from pathlib import Path
from tests.unit.test_execute import TASK, a_job
from framework.cache import Cell, Store
from framework.execute import Processes, execute
root = Path({root!r})
jobs = [a_job(f"j{{i}}", add=i, log=str(root / "log"), **{model!r}) for i in range({n})]
def done(job, outcome):
    print(job.fingerprint, type(outcome).__name__, flush=True)
execute(jobs, Store(root), Processes(root, workers={workers}, task=TASK), done)
"""


def parent(root: Path, n: int, model: dict[str, Any], workers: int = 1) -> Any:
    # No `if __name__ == "__main__"`: a plain script must do.
    script = PARENT.format(
        path=[str(p) for p in sys.path],
        root=str(root),
        n=n,
        model=model,
        workers=workers,
    )
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143), (signal.SIGKILL, -9)],
)
def test_no_worker_outlives_its_parent(store: Store, number: int, status: int):
    # So many that the parent is at work when the signal comes, however late.
    with parent(store.root, 60, {"do": "sleep", "seconds": 1.0}) as process:
        assert process.stdout.readline() == "j0 Cell\n"
        workers = descendants(process.pid)
        assert workers
        process.send_signal(number)
        assert process.wait(timeout=patience(60)) == status
    assert alive_after(workers) == 0
    # What was finished is kept, and the next run does the rest only.
    log = store.root / "log"
    jobs = [a_job(f"j{i}", add=i, log=str(log)) for i in range(3)]
    found = execute(jobs, store, Inline(store.root, TASK))
    assert all(isinstance(outcome, Cell) for outcome in found.values())
    assert log.read_text().split().count("j0") == 1
