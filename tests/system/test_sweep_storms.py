"""Sweeps when the disk is full, MLflow's store is locked, or four start at once."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.errors import OK
from tests.killed_sweep import JOBS, Real, gone_on, undisturbed
from tests.real_command import Folder, numbers, whole

pytestmark = pytest.mark.system

#: What the store of estimations leaves free on a disk (bytes).
RESERVE = 16 * 2**20
#: Seconds that another program holds MLflow's database; MLflow itself gives up after 20.
LOCKED = 60


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The tables of a sweep that nothing disturbs."""
    return undisturbed(tmp_path_factory.mktemp("calm"), Real.start)[0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Folder]:
    """A folder whose runs are on a disk of 64 MB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs Linux and root to mount a small disk")
    folder = Folder.make(tmp_path / "study")
    folder.runs.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder.runs)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"may not mount: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder.runs)], check=True)


# Room for some estimations and no more; for the list of jobs, no estimation; for nothing.
@pytest.mark.parametrize("room", [RESERVE + 200_000, 2_000_000, 0])
def test_a_full_disk_loses_nothing(
    small_disk: Folder, calm: dict[str, bytes], room: int
):
    folder = small_disk
    filler = folder.runs / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(folder.runs).free - room))
    code, err = Real.start(folder).end()
    assert code != OK
    assert "Traceback" not in err
    assert "(R10)" in err or "(R20)" in err, err
    assert "make room" in err or "free some space" in err
    finished = folder.finished()
    assert bool(finished) == (room > RESERVE)
    assert len(finished) < JOBS
    for run in folder.folders() if (folder.runs / "laws").exists() else []:
        whole(run)
    filler.unlink()
    gone_on(folder, calm, Real.start)


def test_a_disk_that_fills_after_the_estimations(
    small_disk: Folder, calm: dict[str, bytes]
):
    folder = small_disk
    assert Real.start(folder, "tracking=none").end()[0] == OK
    shutil.rmtree(folder.runs / "laws")
    before = folder.finished()
    assert len(before) == JOBS
    filler = folder.runs / "filler"
    # The list of jobs fits, the run's folder does not.
    filler.write_bytes(bytes(shutil.disk_usage(folder.runs).free - 200_000))
    code, err = Real.start(folder).end()
    assert code != OK
    assert "(R20)" in err, err
    assert "Traceback" not in err
    assert folder.finished() == before
    assert folder.folders() == []
    filler.unlink()
    gone_on(folder, calm, Real.start)


def test_a_store_of_mlflow_that_is_locked_for_a_minute(
    tmp_path: Path, calm: dict[str, bytes]
):
    folder = Folder.make(tmp_path / "study")
    assert Real.start(folder, "seed=1").end()[0] == OK  # makes the store
    database = folder.runs / ".mlflow" / "mlflow.db"
    with sqlite3.connect(database, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        command = Real.start(folder)
        while len(folder.folders()) < 2 and not command.is_over():
            time.sleep(0.1)
        # The record does not wait for MLflow.
        assert numbers(folder.latest()) == calm
        time.sleep(max(0.0, LOCKED - (time.monotonic() - begun)))
        assert not command.is_over()
        other.execute("ROLLBACK")
    code, err = command.end()
    assert code == OK, err
    assert folder.statuses() == ["FINISHED"] * 2 * (JOBS + 1)
    assert folder.left_over() == []


def test_four_sweeps_at_once_on_a_cold_store(tmp_path: Path, calm: dict[str, bytes]):
    folder = Folder.make(tmp_path / "study")
    for command in [Real.start(folder) for _ in range(4)]:
        code, err = command.end()
        assert code == OK, err
    # All started in the same second, and each has a folder of its own.
    assert len(folder.folders()) == 4
    for run in folder.folders():
        whole(run)
        assert numbers(run) == calm
    assert len(list((folder.runs / ".jobs" / "laws").glob("[!.]*"))) == 4
    assert len(folder.finished()) == JOBS
    assert folder.statuses() == ["FINISHED"] * 4 * (JOBS + 1)
    assert folder.left_over() == []
