"""MLflow's store, killed at every step while it is made and gets its first run."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import pytest

from framework.execute import ENVIRONMENT
from framework.record import new_store, write_run
from framework.record.store_place import TrackingConfig
from tests.build_run import build_run

PROJECT = Path(__file__).parents[2]
#: A child is forked per instant. What is written below `.mlflow` is one, before and after
#: every wait for the disk is, and every statement that SQLite begins: with room for a
#: few pages only, it writes to its files from the first table on. `draft` is what must
#: not be found by whoever comes next.
DRIVER = """
import os, shutil, sqlite3, sys
from pathlib import Path
from framework.record import storage, tracking
from framework.record.store_place import TrackingConfig
from tests.killed_at import children, forked

origin, at, first, step = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])
shutil.copytree(origin, at, symlinks=True)
runs, connect, fsync = at / "runs", sqlite3.connect, os.fsync

def sync(*folders):
    for folder in folders or sorted((runs / "laws").glob("[!.]*-*")):
        tracking.sync(folder, TrackingConfig(runs))

def work(instants):
    def connected(*args, **kwargs):
        store = connect(*args, **kwargs)
        store.execute("PRAGMA cache_size = 5")
        store.set_trace_callback(instants.here)
        return store

    def synced(handle):
        instants.here()
        fsync(handle)
        instants.here()

    sqlite3.connect, os.fsync = connected, synced
    sync()

for number, died in children(runs / ".mlflow", work, first=first, step=step):
    shutil.copytree(at, at.with_name(f"{at.name}-{number}"), symlinks=True)
    forked(lambda: sync())
    at.rename(at.with_name(f"{at.name}-{number}-again"))
    shutil.copytree(origin, at, symlinks=True)
    print(number, int(died), flush=True)
"""


def driven(
    origin: Path, at: Path, first: int, step: int
) -> tuple[list[tuple[int, Path]], Path]:
    """Instants with the folder that a death there left; and the undisturbed folder."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(origin), str(at), str(first), str(step)],
        cwd=PROJECT,
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    found = [line.split() for line in done.stdout.splitlines()]
    assert [died for _, died in found] == ["1"] * (len(found) - 1) + ["0"]
    *died, whole = [(int(n), at.with_name(f"{at.name}-{n}")) for n, _ in found]
    return died, whole[1]


def shown(config: TrackingConfig) -> Counter[tuple[str, str]]:
    """Names and states of all runs; every table is whole."""
    with sqlite3.connect(config.database) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        names = [n for (n,) in store.execute("SELECT name FROM experiments ORDER BY 1")]
        assert names == ["Default", "laws"]
        return Counter(store.execute("SELECT name, status FROM runs"))


def files(config: TrackingConfig) -> Counter[tuple[str, ...]]:
    """What lies below `.mlflow`, without the ids of the runs."""
    folder = config.database.parent
    found = [p.relative_to(folder).parts for p in folder.rglob("*") if p.is_file()]
    return Counter(
        tuple("run" if len(part) == 32 else part for part in parts) for parts in found
    )


@pytest.mark.slow
def test_a_store_that_is_killed_while_it_is_made(tmp_path: Path):
    origin = tmp_path / "origin"
    write_run(build_run(), origin / "runs")
    instants, undisturbed = driven(origin, tmp_path / "at", 1, 7)
    whole = TrackingConfig(undisturbed / "runs")
    wanted, there = shown(whole), files(whole)
    assert {status for _, status in wanted} == {"FINISHED"}
    tables = new_store.file_of(version("mlflow")).read_text(encoding="utf-8")
    # Every statement that makes the tables is an instant, and the run has some, too.
    assert instants[-1][0] > tables.count(";\n")
    hits: Counter[str] = Counter()
    for number, path in instants:
        died = TrackingConfig(path / "runs")
        then = TrackingConfig(path.with_name(f"{path.name}-again") / "runs")
        hits["no mark"] += died.database.exists() and not died.mark.exists()
        hits["a journal"] += died.database.with_name("mlflow.db-journal").exists()
        hits["a mark"] += died.mark.exists()
        hits["files in a draft"] += bool(
            list(died.database.parent.glob("artifacts/.*.draft"))
        )
        assert shown(then) == wanted, number
        assert files(then) == there, number
        assert then.mark.read_text(encoding="ascii") == version("mlflow")
    assert all(hits[kind] for kind in hits), hits
