"""Ray, Dask and a batch system: the same bytes as here, data once per worker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from framework.cache import Cell, Failure
from framework.errors import EstimandError
from framework.execute import execute, slot
from framework.execute.cluster import Cluster, Slots
from framework.execute.worker import job_to_bytes
from tests.real_command import ESTIMATIONS, Folder, free_port, numbers, patience
from tests.unit.test_execute import a_job, a_store

pytest.importorskip("ray", reason="the extra cluster is not installed")
pytest.importorskip("distributed", reason="the extra cluster is not installed")
pytest.importorskip("submitit", reason="the extra cluster is not installed")

pytestmark = pytest.mark.system

TASK = "tests.unit.cluster_work:seen"
PROJECT = Path(__file__).parents[2]


def ray_here(_root: Path) -> Slots:
    from framework.execute.on_ray import RaySlots

    return RaySlots(None, 2)


def dask_here(_root: Path) -> Slots:
    from framework.execute.on_dask import DaskSlots

    return DaskSlots(None, 2)


def batch_here(root: Path) -> Slots:
    from framework.execute.on_slurm import SlurmSlots

    return SlurmSlots(root, "local", 2, {"timeout_min": 5})


BACKENDS = [ray_here, dask_here, batch_here]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are started elsewhere, and must find this checkout's tests."""
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The tables of a run with one worker of this machine."""
    folder = Folder.make(tmp_path_factory.mktemp("here"))
    done = folder.run("executor.workers=1", "tracking=none")
    assert done.counts == (ESTIMATIONS, 0)
    return numbers(done.folder)


@pytest.mark.parametrize(
    "settings",
    [
        ("executor=serial",),
        ("executor.workers=2",),
        ("executor=ray", "executor.workers=2"),
        ("executor=dask", "executor.workers=2"),
        ("executor=slurm", "executor.address=local", "executor.workers=2"),
    ],
    ids=["serial", "two", "ray", "dask", "slurm"],
)
def test_the_same_bytes_wherever_it_runs(
    tmp_path: Path, here: dict[str, bytes], settings: tuple[str, ...]
):
    folder = Folder.make(tmp_path / "study")
    done = folder.run(*settings, "tracking=none")
    assert done.exit == 0, done.err
    assert done.counts == (ESTIMATIONS, 0)
    assert numbers(done.folder) == here
    again = folder.run(*settings, "tracking=none")
    assert again.counts == (0, ESTIMATIONS)
    assert list((folder.runs / ".cells").glob("slots/*")) == []


def test_a_running_ray_cluster_of_two_workers(tmp_path: Path, here: dict[str, bytes]):
    # The command of the README, in a folder and at a port of its own.
    folder = Folder.make(tmp_path / "study")
    ray = [str(Path(sys.executable).with_name("ray"))]
    environment = {
        **os.environ,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TMPDIR": "/tmp/estimand-ray",  # a socket's path may have 107 letters
    }
    port = free_port()
    start = f"start --head --num-cpus=2 --port={port} --include-dashboard=false"
    before = set(psutil.pids())
    subprocess.run(
        [*ray, *start.split()], check=True, env=environment, capture_output=True
    )
    try:
        done = folder.run(
            "executor=ray", f"executor.address=127.0.0.1:{port}", "tracking=none"
        )
        assert done.exit == 0, done.err
        assert done.counts == (ESTIMATIONS, 0)
        assert numbers(done.folder) == here
    finally:
        for pid in set(psutil.pids()) - before:
            try:
                process = psutil.Process(pid)
                mine = str(port) in " ".join(process.cmdline())
            except psutil.Error:
                continue
            if mine:
                process.kill()


@pytest.mark.parametrize("backend", BACKENDS)
def test_data_travel_once_and_a_death_costs_one_estimation(
    tmp_path: Path, backend: Callable[[Path], Slots]
):
    store = a_store(tmp_path)
    jobs = [a_job(f"j{i}", add=float(i)) for i in range(12)]
    begun: list[str] = []
    cluster = Cluster(
        tmp_path,
        lambda: backend(tmp_path),
        task=TASK,
        on_start=lambda job: begun.append(job.fingerprint),
    )
    found = execute([*jobs, a_job("bad", do="abort")], store, cluster)
    assert sorted(begun) == sorted(found)
    failed = found.pop("bad")
    assert isinstance(failed, Failure)
    assert failed.problems[0].code == "W01"
    assert "the engine says goodbye" in failed.trace
    cells = [cell for cell in found.values() if isinstance(cell, Cell)]
    assert len(cells) == 12
    assert {cell.labels["read"] for cell in cells} == {1}
    assert len({cell.labels["pid"] for cell in cells}) <= 2
    # The environment that makes the last digits the same.
    assert {cell.labels["PYTHONHASHSEED"] for cell in cells} == {"0"}
    # What travels is the question, not the data.
    assert max(len(job_to_bytes(job)) for job in jobs) < 1000


def test_a_worker_with_other_code_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(slot, "code", lambda: "of another version")
    store = a_store(tmp_path)
    cluster = Cluster(tmp_path, lambda: batch_here(tmp_path), task=TASK)
    with pytest.raises(EstimandError, match="other source files") as refused:
        execute([a_job("a")], store, cluster)
    assert refused.value.problems[0].code == "W08"
    assert store.load("a") is None


def test_nothing_answers(tmp_path: Path):
    folder = Folder.make(tmp_path / "study")
    port = free_port()
    # On a machine with SLURM it would be there.
    for settings in (
        ("executor=ray", f"executor.address=127.0.0.1:{port}"),
        ("executor=dask", f"executor.address=tcp://127.0.0.1:{port}"),
    ):
        with folder.start(*settings, "tracking=none") as process:
            _, err = process.communicate(timeout=patience(120))
        assert process.returncode == 7, err
        assert "(W09)" in err
        assert "Traceback" not in err
