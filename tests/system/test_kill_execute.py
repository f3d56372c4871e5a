"""Kills at any instant: what is finished stays, what is not is done again, once."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from framework.cache import Store
from tests.real_command import alive_after, descendants, patience
from tests.unit.test_cache import same_cell
from tests.unit.test_execute import a_store, parent

pytestmark = pytest.mark.system

JOBS = 30
EVER = 10**9


def wish(root: Path, seconds: float = 0.03) -> dict[str, Any]:
    """Estimations that take a while, as many as they have leave for."""
    return {"do": "leave", "seconds": seconds, "leave": str(root / "leave")}


def give_leave(root: Path, estimations: int) -> None:
    """So many may begin, those of earlier runs among them."""
    draft = root / "leave.new"
    draft.write_text(str(estimations))
    draft.replace(root / "leave")


def finished(store: Store) -> set[str]:
    return {f"j{i}" for i in range(JOBS) if store.load(f"j{i}") is not None}


def ran(root: Path) -> Counter[str]:
    log = root / "log"
    return Counter(log.read_text().split() if log.exists() else [])


def complete(root: Path, workers: int = 1) -> None:
    give_leave(root, EVER)
    with parent(root, JOBS, wish(root), workers) as process:
        out, err = process.communicate(timeout=patience(120))
    assert process.returncode == 0, err
    assert out.count(" Cell\n") == JOBS


def test_kills_at_random_instants_lose_and_repeat_nothing(tmp_path: Path):
    whole = a_store(tmp_path / "whole")
    complete(whole.root)
    store = a_store(tmp_path / "killed")
    rng = random.Random(20)
    kills = 0
    for _ in range(100):
        before, counts = finished(store), ran(store.root)
        if len(before) == JOBS:
            break
        # From before the first worker lives to several estimations later: counted, for
        # how many a second holds is the machine's. It ends no run that it leaves some.
        more = rng.randrange(6)
        give_leave(store.root, counts.total() + more + 2)
        with parent(store.root, JOBS, wish(store.root), workers=2) as process:
            while (ran(store.root) - counts).total() < more and process.poll() is None:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.05 if more else 0.5))
            workers = descendants(process.pid)
            process.kill()
            process.wait()
        kills += 1
        assert alive_after(workers) == 0
        again = ran(store.root) - counts
        assert not before & set(again), "a finished estimation ran again"
        assert before <= finished(store), "a finished estimation was lost"
    assert kills >= 3, "the kills came too late to show anything"
    complete(store.root)
    for i in range(JOBS):
        ours, theirs = store.load(f"j{i}"), whole.load(f"j{i}")
        assert ours is not None
        assert theirs is not None
        frame = ours.result.coefficients
        assert frame.equals(theirs.result.coefficients)
    # Nothing was damaged on the way: every instant left a whole cell or none.
    assert not (store.root / ".cells" / ".damaged").exists()


def test_killed_workers_cost_one_estimation_each(tmp_path: Path):
    store = a_store(tmp_path)
    rng = random.Random(21)
    shots = seen = 0
    # So many at a time that none is left over before three have been shot.
    give_leave(tmp_path, JOBS // 4)
    with parent(store.root, JOBS, wish(tmp_path, 0.1), 2) as process:
        while process.poll() is None:
            time.sleep(rng.uniform(0.05, 0.2))
            started = sum(ran(store.root).values())
            workers = descendants(process.pid)
            # A shot only after something ran since the last: it hits those that work,
            # not again and again those that are still starting.
            if started > seen and workers:
                with suppress(psutil.NoSuchProcess):  # it ended in this very instant
                    rng.choice(workers).kill()
                seen, shots = started, shots + 1
                give_leave(tmp_path, EVER if shots == 3 else started + JOBS // 4)
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert out.count("\n") == JOBS
    assert shots >= 3
    assert out.count(" Failure\n") <= shots
    complete(store.root)


def test_eight_runs_of_one_study_at_once(tmp_path: Path):
    store = a_store(tmp_path)
    give_leave(tmp_path, EVER)
    runs = [parent(store.root, JOBS, wish(tmp_path)) for _ in range(8)]
    for process in runs:
        out, err = process.communicate(timeout=patience(120))
        assert process.returncode == 0, err
        assert out.count(" Cell\n") == JOBS, out
    assert finished(store) == {f"j{i}" for i in range(JOBS)}
    assert list((store.root / ".cells").glob(".writing-*")) == []
    assert not (store.root / ".cells" / ".damaged").exists()
    for i in range(JOBS):
        first, second = store.load(f"j{i}"), store.load(f"j{i}")
        assert first is not None
        assert second is not None
        same_cell(first, second)


def test_half_written_folders_of_the_killed_go_in_time(tmp_path: Path):
    # Writers of large cells, killed while they write.
    store = a_store(tmp_path)
    script = f"""
import sys
sys.path[:] = {[str(p) for p in sys.path]!r}
from pathlib import Path
from tests.unit.test_cache import a_cell, Store
store = Store(Path({str(tmp_path)!r}))
for i in range(1000):
    store.save(a_cell(f"c{{i}}", rows=20000))
    print(i, flush=True)
"""
    rng = random.Random(22)
    cells = tmp_path / ".cells"
    for _ in range(100):
        with subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout
            writer.stdout.readline()
            time.sleep(rng.uniform(0, 0.2))
            writer.kill()
        halves = list(cells.glob(".writing-*"))
        if len(halves) > 1:
            break
    assert len(halves) > 1, "no kill fell into a write; nothing was shown"
    for folder in cells.glob("c*"):
        assert store.load(folder.name) is not None
    for folder in halves:
        subprocess.run(["touch", "-d", "1 hour ago", str(folder)], check=True)
    assert store.clear_leftovers() == len(halves)
