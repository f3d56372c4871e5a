"""`estimand run`, killed at each of its writes: cells, record, report and MLflow.

Unlike the kills of `test_kill_run.py`, which fall where the clock has them fall, every
instant is a write or a commit, and the next run of this test has the same ones.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from framework.execute import ENVIRONMENT
from tests.real_command import NAMED_BY, PROJECT, Folder, named_by, numbers, whole

pytestmark = pytest.mark.system

STUDY = """\
study: laws
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
  main: {plain: {}, controls: {each: {add.controls: [x1, x2]}, expect: same_sign}}
"""
ESTIMATIONS = 3
#: A child is forked per instant from a process that has imported everything and started
#: no thread. It works in a copy of the folder, which is kept; then another child runs the
#: same again, to its end.
DRIVER = """
import json, os, shutil, sys
from pathlib import Path
from framework.execute.estimation import estimate
from framework.execute.warm_up import warm_up
from tests.killed_at import children, forked
from tests.real_command import Folder
import framework.record.tracking
import framework.render, framework.commands.running
from framework.commands.line import main
warm_up("framework.execute.estimation:estimate", ["estimators.twfe:Twfe"])

origin, at, first, step = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])
shutil.copytree(origin, at, symlinks=True)
os.chdir(at)
command = ["run", "study.yaml", "executor=inline", "report=quick", "--json"]

def again():
    log = os.open(at / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1), os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    code = main(command)
    sys.stdout.flush()
    if code:
        raise SystemExit(code)

def work(instants):
    again()

for number, died in children(at / "runs", work, first=first, step=step):
    shutil.copytree(at, at.with_name(f"{at.name}-{number}"), symlinks=True)
    Folder(at).age_left_overs()
    forked(again)
    at.rename(at.with_name(f"{at.name}-{number}-again"))
    shutil.copytree(origin, at, symlinks=True)
    os.chdir(at)
    print(number, int(died), flush=True)
"""


def driven(origin: Path, at: Path, first: int, step: int) -> list[tuple[int, Path]]:
    """Instants with the folder that a death there left, the undisturbed run last."""
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
    return [(int(n), at.with_name(f"{at.name}-{n}")) for n, _ in found]


def shown(folder: Folder) -> dict[str, Counter[str]]:
    """Run id -> addresses that MLflow shows as finished, those in the bin left out."""
    found: dict[str, Counter[str]] = {}
    query = """
        SELECT r.value, a.value FROM runs
        JOIN tags r ON r.run_uuid = runs.run_uuid AND r.key = 'estimand.run_id'
        JOIN tags a ON a.run_uuid = runs.run_uuid AND a.key = 'address'
        WHERE status = 'FINISHED' AND lifecycle_stage = 'active'
    """
    with sqlite3.connect(folder.runs / ".mlflow" / "mlflow.db") as connection:
        for run_id, address in connection.execute(query):
            found.setdefault(run_id, Counter())[address] += 1
    return found


def test_every_write_of_a_run(tmp_path: Path):
    origin = Folder.make(tmp_path / "origin", STUDY)
    # The store of MLflow is made once: `tests/commands/test_kill_store.py` kills that.
    first = origin.run("executor=inline", "report=quick")
    assert first.exit == 0, first.err
    tables = numbers(first.folder)
    shutil.rmtree(origin.runs / ".cells")
    instants = driven(origin.path, tmp_path / "at", 1, 4)
    assert len(instants) > 15, "cells, record, links and commits are more than that"
    assert named_by() == NAMED_BY, "framework/ was changed while the test ran"
    hits: Counter[str] = Counter()
    for number, path in instants:
        folder, then = Folder(path), Folder(path.with_name(f"{path.name}-again"))
        before = folder.finished()
        hits[f"{len(before)} cells"] += 1
        hits["a draft"] += bool(list((folder.runs / "laws").glob(".*.draft")))
        # MLflow has a run whole or not at all.
        assert "RUNNING" not in folder.statuses(), number
        hits["a run that MLflow lacks"] += len(folder.folders()) > len(shown(folder))
        for run in folder.folders():
            whole(run)
        assert folder.latest() in folder.folders(), number
        said = json.loads((then.path / "said").read_text(encoding="utf-8"))
        counts = said["computed"], said["reused"]
        assert counts == (ESTIMATIONS - len(before), len(before)), number
        assert before.items() <= then.finished().items(), number
        assert numbers(then.path / said["folder"]) == tables, number
        assert set(then.statuses()) <= {"FINISHED", "KILLED"}, number
        runs = shown(then)
        # A run killed between its folder and MLflow is in `runs/` alone: the record is
        # whole, and `estimand rebuild` shows it.
        assert set(runs) <= {run.name for run in then.folders()}, number
        assert then.latest().name in runs, number
        for run_id, addresses in runs.items():
            assert set(addresses.values()) == {1}, (number, run_id)
            assert len(addresses) == ESTIMATIONS, (number, run_id)
        assert then.left_over() == [], number
    # All kinds of instants were among them.
    assert set(hits) >= {f"{n} cells" for n in range(ESTIMATIONS + 1)}
    assert hits["a draft"] > 2
    assert hits["a run that MLflow lacks"] > 0
