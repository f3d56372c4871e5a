"""Estimations that misbehave, named to workers as `tests.unit.toy_work:toy`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from framework.cache import Cell, Job
from framework.contract import SHELF
from framework.errors import (
    EstimandError,
    IdentificationError,
    NumericalError,
    Phase,
    Problem,
)
from framework.panel import Panel
from framework.result import Result

RAISED: Mapping[str, Exception] = {
    "raise": KeyError("v000"),
    "numerical": NumericalError("N01", "no trustworthy number"),
    "design": IdentificationError(
        "I03", "not identified", acknowledge="not_identified"
    ),
    "design and more": EstimandError(
        [
            Problem(phase, "I03", "not identified")
            for phase in (Phase.DESIGN, Phase.NUMERICAL)
        ]
    ),
    "no memory": MemoryError(),
}


def toy(job: Job, panel: Panel) -> Cell:
    """Do what `job.model["do"]` says, then return a cell with the panel's mean."""
    import pandas as pd

    wish = job.model.get("do", "")
    if log := job.model.get("log"):
        # One atomic append per estimation that is really run.
        with Path(log).open("a") as file:
            file.write(f"{job.fingerprint}\n")
    if wish in RAISED:
        raise RAISED[wish]
    if wish:
        DEEDS[wish](job)
    facts = {
        "hash": hash("estimand"),
        "pid": os.getpid(),
        **{k: os.environ.get(k) for k in ("PYTHONHASHSEED", "OMP_NUM_THREADS")},
    }
    estimate = float(panel.frame["y"].mean()) + float(job.model.get("add", 0.0))
    coefficients = pd.DataFrame({"term": ["post"], "estimate": [estimate]})
    return Cell(job.fingerprint, Result(coefficients), labels=facts)


def _abort(_: Job) -> None:
    sys.stderr.write("the engine says goodbye\n")
    sys.stderr.flush()
    os.abort()


def _abort_after(job: Job) -> None:
    """Leave a thread behind that aborts once a file is there."""

    def abort() -> None:
        while not Path(job.model["when"]).exists():
            time.sleep(0.01)
        os.abort()

    threading.Thread(target=abort, daemon=True).start()


def _fill_memory(_: Job) -> None:
    """A gigabyte and no more: who is to stop it may be kept from looking for long."""
    hoard = []
    for _ in range(50):
        hoard.append(bytearray(b"x" * 20_000_000))
        time.sleep(0.01)
    while True:
        time.sleep(1)


def _have_a_child(job: Job) -> None:
    child = subprocess.Popen(["sleep", "60"])
    Path(job.model["pid"]).write_text(str(child.pid))
    time.sleep(60)


def _wait_for_leave(job: Job) -> None:
    """Go on once `leave` estimations may have begun, however slow who says so is."""
    log, leave = Path(job.model["log"]), Path(job.model["leave"])
    while len(log.read_text().split()) > int(leave.read_text()):
        time.sleep(0.005)
    time.sleep(job.model["seconds"])


def _wait_for_another(job: Job) -> None:
    """Its worker is free, and helps, only when the other has come to its own job."""
    while not _at_it(Path(job.model["folder"]), job.model["after"]).exists():
        time.sleep(0.01)


def _at_it(folder: Path, fingerprint: str) -> Path:
    return folder / f"{fingerprint} is at it"


def _sleep(job: Job) -> None:
    if mark := job.model.get("mark"):
        Path(mark).write_text("asleep")
    time.sleep(job.model["seconds"])


def _keep_pace(made: Path, parts: int) -> None:
    """Wait for the other worker while it is two parts behind, until all are made."""
    while True:
        by = [line.split()[1] for line in made.read_text().splitlines()]
        ours = by.count(str(os.getpid()))
        if len(by) == parts or ours < len(by) - ours + 2:
            return
        time.sleep(0.01)


def _make_parts(job: Job) -> None:
    """Parts, a line of who made each; a helper may go wrong.

    Both keep pace with each other, whomever the machine lets run. Of one whose helper
    goes wrong a part takes a fifth of a second, in which another might come to help.
    """
    shelf = SHELF.get()
    assert shelf is not None
    folder = Path(job.model["folder"])
    made = folder / "made"
    first = _at_it(folder, job.fingerprint)
    helped = folder / f"{job.fingerprint} is helped"
    wish = job.model.get("helper", "")
    try:
        first.touch(exist_ok=False)
        # Who helps may take long to start, and then would find nothing left to do.
        while not helped.exists():
            time.sleep(0.01)
    except FileExistsError:
        helped.touch()
        if wish == "abort":
            os.abort()
        if wish in RAISED:
            (folder / "raised").touch()
            raise RAISED[wish] from None
    for wait in (False, True):
        for k in range(job.model["parts"]):
            key = f"{job.fingerprint} {k}".encode()
            with shelf.claim(key, wait=wait) as mine:
                if (mine or wait) and shelf.get(key) is None:
                    with made.open("a") as file:
                        file.write(f"{k} {os.getpid()}\n")
                    if wish:
                        time.sleep(0.2)
                    else:
                        _keep_pace(made, job.model["parts"])
                    shelf.put(key, b"1")


DEEDS: Mapping[str, Callable[[Job], object]] = {
    "abort": _abort,
    "abort after": _abort_after,
    "after": _wait_for_another,
    "child": _have_a_child,
    "exit": lambda _: os._exit(3),
    "killed": lambda _: os.kill(os.getpid(), 9),
    "leave": _wait_for_leave,
    "memory": _fill_memory,
    "parts": _make_parts,
    "sleep": _sleep,
}
