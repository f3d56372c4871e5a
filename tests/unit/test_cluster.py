"""The loop that gives jobs to the slots of a cluster, on slots of this process."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from framework.cache import Cell, Failure, Store, identity
from framework.errors import EstimandError, Phase, Problem, WorkerError
from framework.execute import Cluster, connection, execute, slot
from framework.execute.cluster import Answer
from framework.execute.slot import post, serve_folder, told
from framework.execute.worker import failure_to_plain, job_from_bytes, work
from framework.settings import settings
from tests.unit.test_execute import TASK, a_job, a_store

UNFIT = Failure((Problem(Phase.WORKER, "W08", "other source files"),))


class Here:
    """Slots that answer at once; some are lost when they are asked the nth time."""

    def __init__(
        self,
        root: Path,
        *,
        count: int = 2,
        lost: tuple[int, ...] = (),
        fit: bool = True,
    ) -> None:
        self.root, self.count, self.lost, self.fit = root, count, lost, fit
        self.ready: deque[Answer] = deque()
        self.asked: list[tuple[int, str]] = []
        self.reopened: list[int] = []
        self.closed = 0

    def open(self, about: Mapping[str, Any], most: int) -> int:
        for number in range(min(self.count, most)):
            self.hello(number)
        return min(self.count, most)

    def hello(self, number: int) -> None:
        problem = None if self.fit else failure_to_plain(UNFIT)
        self.ready.append((number, json.dumps({"problem": problem}).encode()))

    def reopen(self, number: int) -> None:
        self.reopened.append(number)
        self.hello(number)

    def give(self, number: int, message: bytes) -> None:
        job = job_from_bytes(message)
        self.asked.append((number, job.fingerprint))
        if len(self.asked) in self.lost:
            self.ready.append((number, ConnectionError("the machine is gone")))
            return
        done = work(job, self.root, task=TASK)
        failure = failure_to_plain(done) if isinstance(done, Failure) else None
        said = {"failure": failure, "seconds": 0.5, "reused": False}
        self.ready.append((number, json.dumps(said).encode()))

    def answers(self, seconds: float) -> list[Answer]:
        # The last first: nothing may depend on the order in which slots answer.
        return [self.ready.pop()] if self.ready else []

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return a_store(tmp_path)


def test_every_job_runs_once_and_failures_stay_alone(store: Store):
    slots = Here(store.root)
    jobs = [a_job(f"j{i}") for i in range(5)] + [a_job("bad", do="raise")]
    found = execute(jobs, store, Cluster(store.root, lambda: slots, task=TASK))
    assert [*found] == [job.fingerprint for job in jobs]
    assert isinstance(found.pop("bad"), Failure)
    assert all(isinstance(cell, Cell) for cell in found.values())
    assert sorted(name for _, name in slots.asked) == sorted(
        j.fingerprint for j in jobs
    )
    assert slots.closed == 1


def test_a_finished_study_needs_no_cluster(store: Store):
    job = a_job("a")
    slots = Here(store.root)
    execute([job], store, Cluster(store.root, lambda: slots, task=TASK))

    def never() -> Here:
        raise AssertionError

    found = execute([job], store, Cluster(store.root, never, task=TASK))
    assert found.reused == {"a"}


def test_what_another_run_finished_meanwhile_is_not_sent(store: Store):
    class Slow(Here):
        def open(self, about: Mapping[str, Any], most: int) -> int:
            work(a_job("b"), self.root, task=TASK)
            return super().open(about, most)

    slots = Slow(store.root, count=1)
    cluster = Cluster(store.root, lambda: slots, task=TASK)
    found = execute([a_job("a"), a_job("b")], store, cluster)
    assert [name for _, name in slots.asked] == ["a"]
    assert found.reused == {"b"}


def test_a_lost_slot_costs_its_job_and_comes_back(store: Store):
    slots = Here(store.root, lost=(2,))
    jobs = [a_job(f"j{i}") for i in range(6)]
    found = execute(jobs, store, Cluster(store.root, lambda: slots, task=TASK))
    failed = [f for f in found.values() if isinstance(f, Failure)]
    assert len(failed) == len(slots.reopened) == 1
    assert failed[0].problems[0].code == "W01"
    assert failed[0].trace == "the machine is gone"


def test_a_cluster_that_loses_all_it_gets_is_given_up(store: Store):
    class Broken(Here):
        def hello(self, number: int) -> None:
            self.ready.append((number, ConnectionError("no such image\n")))

    slots = Broken(store.root)
    with pytest.raises(WorkerError, match="no such image") as raised:
        execute([a_job("a")], store, Cluster(store.root, lambda: slots, task=TASK))
    assert raised.value.problems[0].code == "W09"
    assert slots.closed == 1


def test_a_slot_that_is_not_fit_stops_everything(store: Store):
    slots = Here(store.root, fit=False)
    with pytest.raises(EstimandError, match="other source files"):
        execute([a_job("a")], store, Cluster(store.root, lambda: slots, task=TASK))
    assert slots.asked == []


def test_a_slot_says_when_it_is_elsewhere(tmp_path: Path, monkeypatch: Any):
    about = told(tmp_path, TASK, None, None)
    said = json.loads(slot.Slot(about).hello())["problem"]["problems"][0]
    assert (said["code"], said["what"][-len(str(tmp_path)) :]) == ("W08", str(tmp_path))
    (tmp_path / ".cells").mkdir()
    other = slot.Slot({**about, "code": "of another version"})
    assert (
        "other source files"
        in json.loads(other.hello())["problem"]["problems"][0]["what"]
    )


def test_a_slot_that_hears_nothing_ends(tmp_path: Path, monkeypatch: Any):
    for part in ("in", "out"):
        (tmp_path / part).mkdir()
    about = told(tmp_path, TASK, None, None)
    serve_folder(about, str(tmp_path), 3)  # nobody is alive: it says hello and ends
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["3-0"]
    (tmp_path / "alive").touch()
    monkeypatch.setattr(slot, "_SILENCE", -1.0)
    serve_folder(about, str(tmp_path), 4)
    post(tmp_path / "in", "x", b"whole")
    assert [p.read_bytes() for p in (tmp_path / "in").iterdir()] == [b"whole"]


def test_a_cluster_that_is_not_installed_says_so(tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr("framework.execute.cluster.find_spec", lambda _name: None)
    with pytest.raises(WorkerError, match=r"estimand\[cluster\]") as missing:
        connection("ray", tmp_path, None, None, {})
    assert missing.value.problems[0].code == "W09"
    monkeypatch.setattr("framework.execute.cluster.find_spec", lambda _name: True)
    with pytest.raises(WorkerError, match="number of workers"):
        connection("slurm", tmp_path, None, None, {})


def test_clusters_are_settings(monkeypatch: Any, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    found = settings(["executor=slurm", "executor.options.slurm_partition=short"])
    assert found.executor.options["slurm_partition"] == "short"
    assert found.executor.workers == 10
    found = settings(["executor=ray", "executor.address=auto"])
    assert (found.executor.address, found.executor.workers) == ("auto", None)


def test_installing_the_extra_renames_no_estimation(tmp_path: Path):
    (tmp_path / "METADATA").write_text(
        "Requires-Dist: numpy\nRequires-Dist: ray ; extra == 'cluster'\n"
        "Requires-Dist: torch ; extra == 'deep'\n\n"
    )
    assert identity._requirements(tmp_path, extras=True) == ["numpy", "torch"]
