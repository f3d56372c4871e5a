"""A sweep of 30 jobs, its command or a worker killed at random instants, gone on with."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from framework.errors import FINISHED_WITH_FAILURES, OK
from framework.record.jobs import newest, states
from tests.real_command import (
    Folder,
    alive_after,
    descendants,
    numbers,
    patience,
    whole,
)

JOBS = 30
#: Kills that a folder takes before it is gone on with.
PER_FOLDER = 5
#: Five sets of controls, three kinds of standard errors, two samples.
SWEEP = (
    "sweep",
    "study.yaml",
    "model.controls=[],[x1],[x2],[x1,x2],[w]",
    "model.inference=iid,hetero,{cluster: unit}",
    "model.sample.late=time > 1999,time > 2000",
    "report=quick",
)
#: There was no such sweep: it was killed before its jobs were written down.
_NEVER_BEGAN = "(R26)"


class Command(Protocol):
    """A command under way: a process of its own, or a child of this one."""

    pid: int

    def is_over(self) -> bool:
        """Whether it has ended."""

    def end(self) -> tuple[int, str]:
        """Wait for it; exit status (negative: the signal) and what it said."""


Start = Callable[..., Command]


@dataclass(slots=True)
class Real:
    """`estimand` as it is typed."""

    process: subprocess.Popen[str]

    @classmethod
    def start(cls, folder: Folder, *options: str) -> Real:
        return cls(folder.start("executor.workers=2", *options, verb=SWEEP))

    @property
    def pid(self) -> int:
        return self.process.pid

    def is_over(self) -> bool:
        return self.process.poll() is not None

    def end(self) -> tuple[int, str]:
        with self.process:
            _, err = self.process.communicate(timeout=patience(300))
        return self.process.returncode, err


@dataclass(frozen=True, slots=True)
class Shot:
    """One kill -9.

    Attributes:
        at: seconds after the start, or after the first worker's.
        who: `command` or `worker`.
        finished: estimations that were finished afterwards.
        fresh: of them, by this sweep.
        lost, redone: estimations that had been finished before it and were gone, or
            were computed again.
        left: processes that outlived the command.
    """

    at: float
    who: str
    finished: int
    fresh: int
    lost: int
    redone: int
    left: int


def shoot(
    folder: Folder,
    who: str,
    rng: random.Random,
    longest: float,
    start: Start,
    *,
    at_work: bool,
) -> Shot | None:
    """Start the sweep, kill somebody at a random instant, wait for the rest, count.

    Args:
        folder: the study's.
        who: `command`, at an instant of the whole sweep, or `worker`, at one of the
            first half after there is one.
        rng: draws the instant and the worker.
        longest: seconds that the sweep takes.
        start: starts it.
        at_work: as soon as it has finished an estimation instead, if one is left: on an
            idle machine that time is short, and random instants seldom fall into it.

    Returns:
        None when at that instant there was nobody to kill any more.
    """
    before = folder.finished()
    # Where all is estimated, half of the time is left: the record and MLflow.
    at = rng.uniform(0, longest if len(before) < JOBS else longest / 2)
    command = start(folder)
    if at_work and len(before) < JOBS:
        started = time.monotonic()
        while len(folder.finished()) == len(before) and not command.is_over():
            time.sleep(0.005)
        at = time.monotonic() - started
    else:
        if who == "worker":
            at /= 2
            while not (descendants(command.pid) or command.is_over()):
                time.sleep(0.01)
        time.sleep(at)
    children = descendants(command.pid)
    # One that is over is nobody's number any more.
    hit = not command.is_over() and (who == "command" or bool(children))
    with suppress(psutil.NoSuchProcess):  # it ended in this very instant
        if hit:
            targets = children if who == "worker" else [psutil.Process(command.pid)]
            rng.choice(targets).kill()
    code, err = command.end()
    assert "Traceback" not in err
    if not hit or (who == "command" and code == OK):
        assert code == OK, err
        return None
    # The job of a worker is lost with it; one that had none leaves nothing to tell.
    expected = {-signal.SIGKILL} if who == "command" else {OK, FINISHED_WITH_FAILURES}
    assert code in expected, err
    left = alive_after(children)
    after = folder.finished()
    for run in folder.folders() if (folder.runs / "laws").exists() else []:
        whole(run)
    return Shot(
        at,
        who,
        len(after),
        len(after.keys() - before.keys()),
        lost=len(before.keys() - after.keys()),
        redone=sum(after.get(name, mark) != mark for name, mark in before.items()),
        left=left,
    )


def gone_on(folder: Folder, undisturbed: Mapping[str, bytes], start: Start) -> None:
    """`--resume` ends what was killed, and nothing tells that it was."""
    before = folder.finished()
    folder.age_left_overs()
    code, err = start(folder, "--resume").end()
    if _NEVER_BEGAN in err:
        code, err = start(folder).end()
    assert code == OK, err
    after = folder.finished()
    assert before.items() <= after.items(), "a finished job was lost or done again"
    assert len(after) == JOBS
    assert numbers(folder.latest()) == undisturbed
    book = newest(folder.runs, "laws")
    assert book is not None
    fates = [state["status"] for state in states(book)]
    assert fates.count("reused") == len(before)
    assert fates.count("done") == JOBS - len(before)
    assert set(folder.statuses()) <= {"FINISHED", "KILLED"}
    for run in folder.folders():
        whole(run)
    assert folder.left_over() == []


def undisturbed(path: Path, start: Start) -> tuple[dict[str, bytes], float]:
    """The tables of a sweep that nobody disturbs, and the seconds it takes."""
    folder = Folder.make(path)
    started = time.monotonic()
    code, err = start(folder).end()
    assert code == OK, err
    assert len(folder.finished()) == JOBS
    assert folder.statuses() == ["FINISHED"] * (JOBS + 1)
    return numbers(folder.latest()), time.monotonic() - started


def killed(
    path: Path,
    shots: int,
    rng: random.Random,
    start: Start,
    told: Callable[[Shot], object] = lambda _: None,
) -> list[Shot]:
    """So many kills, five to a folder, each folder gone on with; every one counted.

    Half of them at random instants, half as soon as an estimation is finished.

    A folder whose sweep ends before its instant has come is looked at, and the next
    kill is another folder's.

    Args:
        path: where the folders are made.
        shots: kills.
        rng: draws the instants.
        start: starts a sweep.
        told: hears of every kill.
    """
    tables, longest = undisturbed(path / "undisturbed", start)
    found: list[Shot] = []
    for number in range(10 * shots):
        folder = Folder.make(path / str(number))
        for _ in range(min(PER_FOLDER, shots - len(found))):
            who = ("command", "worker")[len(found) % 2]
            if who == "worker" and len(folder.finished()) == JOBS:
                break  # nothing is left for a worker to do
            work = len(found) % 4 > 1
            shot = shoot(folder, who, rng, longest, start, at_work=work)
            if shot is None:
                break
            found.append(shot)
            told(shot)
        gone_on(folder, tables, start)
        if len(found) == shots:
            break
    return found
