"""The real command in processes of its own, and what must hold of its folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from framework.cache import identity
from tests.build_panel import staggered

PROJECT = Path(__file__).parents[1]
STUDY = """\
study: laws
seed: 5
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
    controls: {each: {add.controls: [x1, x2]}, expect: same_sign}
  units:
    one_out: {each: {without.unit: every}}
  placebo:
    timing: {draws: {permute: treatment, times: 99}, expect: extreme}
"""
#: main.plain, two controls, 40 units left out, the placebo.
ESTIMATIONS = 44
NUMBERS = ("coefficients.csv", "scalars.csv", "tests.csv")


@dataclass(frozen=True, slots=True)
class Folder:
    """A working folder with a study, its data, its runs and temporary files."""

    path: Path

    @classmethod
    def make(cls, path: Path, study: str = STUDY) -> Folder:
        """Write the study and its data; nothing has run."""
        (path / "tmp").mkdir(parents=True)
        (path / "study.yaml").write_text(study, encoding="utf-8")
        staggered(seed=3).to_csv(path / "data.csv", index=False)
        return cls(path)

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    def start(
        self,
        *args: str,
        verb: Sequence[str] = ("run", "study.yaml"),
        module: Sequence[str] = ("framework",),
        **env: str,
    ) -> subprocess.Popen[str]:
        """`estimand run study.yaml …`, under way; `module` is what Python runs."""
        environment = {
            **os.environ,
            "TMPDIR": str(self.path / "tmp"),
            "PYTHONPATH": str(PROJECT),
            **env,
        }
        return subprocess.Popen(
            [sys.executable, "-m", *module, *verb, *args],
            cwd=self.path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *args: str, **env: str) -> Done:
        """`estimand run study.yaml --json …`, to its end."""
        with self.start("--json", *args, **env) as process:
            out, err = process.communicate(timeout=patience(300))
        # Nothing but the document is on stdout: json.loads refuses anything beside it.
        return Done(self.path, process.returncode, json.loads(out), err)

    def finished(self) -> dict[str, int]:
        """Fingerprint -> time of the finished mark of every estimation."""
        marks = (self.runs / ".cells").glob("[!.]*/done")
        return {mark.parent.name: mark.stat().st_mtime_ns for mark in marks}

    def folders(self, study: str = "laws") -> list[Path]:
        """The run folders that can be seen, oldest first to the second."""
        found = (self.runs / study).glob("[!.]*")
        return sorted(path for path in found if path.name != "latest")

    def latest(self, study: str = "laws") -> Path:
        """What `latest` names."""
        return (self.runs / study / "latest").resolve(strict=True)

    def statuses(self) -> list[str]:
        """Status of every MLflow run, the bin included, from the database itself."""
        database = self.runs / ".mlflow" / "mlflow.db"
        with sqlite3.connect(database) as connection:
            return [row[0] for row in connection.execute("SELECT status FROM runs")]

    def left_over(self) -> list[str]:
        """Drafts, half-written cells and temporary files."""
        patterns = (".cells/.writing-*", ".cells/.damaged", "**/*.draft", "**/*.new")
        found = [path for p in patterns for path in self.runs.glob(p)]
        found += (self.path / "tmp").iterdir()
        found += (self.runs / ".mlflow").glob("*-journal")
        return [str(path.relative_to(self.path)) for path in found]

    def age_left_overs(self) -> None:
        """Make half-written cells older than the minute that a living writer has."""
        hour_ago = time.time() - 3600
        for folder in (self.runs / ".cells").glob(".writing-*"):
            os.utime(folder, (hour_ago, hour_ago))


@dataclass(frozen=True, slots=True)
class Done:
    """What a finished command said, and where it ran."""

    path: Path
    exit: int
    said: dict[str, Any]
    err: str

    @property
    def folder(self) -> Path:
        return self.path / self.said["folder"]

    @property
    def counts(self) -> tuple[int, int]:
        """Estimations computed, and taken from earlier runs."""
        return self.said["computed"], self.said["reused"]


def whole(folder: Path) -> None:
    """A run's folder holds everything: whoever sees its name sees all of it."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["run_id"] == folder.name
    done = [c for c in manifest["columns"] if c["status"] == "done"]
    lines = (folder / "coefficients.csv").read_text(encoding="utf-8").splitlines()
    addresses = {tuple(line.split(",")[:3]) for line in lines[1:]}
    assert len(addresses) == len(done)
    for name in (*NUMBERS, "spec.yaml", "panel.parquet"):
        assert (folder / name).stat().st_size > 0


def numbers(folder: Path) -> dict[str, bytes]:
    """The bytes of every table of numbers."""
    return {name: (folder / name).read_bytes() for name in NUMBERS}


def descendants(pid: int) -> list[psutil.Process]:
    """Every process that a process started, directly or not."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


#: Ports below those that systems lend to whoever asks for any; no well-known ones.
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A port of this machine that nobody has, and nobody else is given meanwhile."""
    # Tests in processes side by side begin at different ones.
    first = 37 * os.getpid() % len(_PORTS)
    for port in (*_PORTS[first:], *_PORTS[:first]):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


#: Seconds that a free core needs to start Python and import pandas.
_START = 1.0


@cache
def _pace() -> float:
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", "import pandas"], check=True)
    return (time.monotonic() - start) / _START


def patience(seconds: float) -> float:
    """A deadline for this machine as busy as it is now: longer, never shorter.

    Ask again while waiting: others may have begun to work.
    """
    per_core = os.getloadavg()[0] / (os.cpu_count() or 1)
    return seconds * max(1.0, per_core, _pace())


def alive_after(processes: Sequence[psutil.Process], seconds: float = 10.0) -> int:
    """How many are still there, given the seconds that they need to notice."""
    start = time.monotonic()
    while True:
        living = [p for p in processes if _lives(p)]
        if not living or time.monotonic() > start + patience(seconds):
            return len(living)
        time.sleep(0.02)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# Moments of a run, seen from outside; `before` = estimations that were finished when
# it began.
Moment = Callable[["Folder", int], bool]


def estimating(folder: Folder, before: int) -> bool:
    """Some estimations are finished, not all."""
    return before < len(folder.finished()) < ESTIMATIONS


def writing(folder: Folder, before: int) -> bool:
    """The run's folder is being filled, under its temporary name."""
    return any((folder.runs / "laws").glob(".*-*.draft"))


#: Moments at which `tests.held` can hold a run.
_HOLDS = (estimating, writing)


def _is_held(folder: Folder, _before: int) -> bool:
    return (folder.path / "held").exists()


def _start_held(
    folder: Folder, moment: Moment | None, *args: str
) -> subprocess.Popen[str]:
    if moment not in _HOLDS:
        return folder.start(*args)
    for name in ("held", "go"):
        (folder.path / name).unlink(missing_ok=True)
    module = ("tests.held", moment.__name__, str(folder.path))
    return folder.start(*args, module=module)


def wait_for(
    moment: Moment, folder: Folder, before: int, process: subprocess.Popen[str]
) -> None:
    """Return once the moment is there; a run that ends without it fails the test."""
    start = time.monotonic()
    while not moment(folder, before):
        assert process.poll() is None, "the run ended before its moment came"
        assert time.monotonic() < start + patience(120)
        time.sleep(0.005)


def killed(
    folder: Folder,
    delay: float,
    moment: Moment | None = None,
    number: int = signal.SIGKILL,
    *args: str,
) -> tuple[int, str]:
    """Run, send a signal `delay` seconds after a moment (or the start); exit and stderr.

    With no delay the run is held at the moment until the signal comes, however late.

    What must hold after it whatever was hit: nothing finished is lost or was computed
    again, every visible run is whole, `latest` names one, no process is left.
    """
    before = folder.finished()
    with ended(_start_held(folder, moment, *args)) as process:
        if moment is not None:
            seen = _is_held if moment in _HOLDS else moment
            wait_for(seen, folder, len(before), process)
            assert moment(folder, len(before))
        if delay:
            (folder.path / "go").touch()
            time.sleep(delay)
        children = descendants(process.pid)
        process.send_signal(number)
        _, err = process.communicate(timeout=patience(60))
    assert alive_after(children) == 0
    after = folder.finished()
    assert before.items() <= after.items(), "a finished estimation was lost or redone"
    for run in folder.folders():
        whole(run)
    if folder.folders():
        assert folder.latest() in folder.folders()
    return process.returncode, err


def named_by() -> tuple[str, str]:
    """What names every estimation beside its model: our source and the engines, now."""
    identity._installed.cache_clear()
    return identity._source.__wrapped__()[0], json.dumps(
        dict(identity.engine_versions.__wrapped__())
    )


#: As it was when the tests began.
NAMED_BY = named_by()


def completes(folder: Folder, undisturbed: Mapping[str, bytes]) -> None:
    """Run once more: the rest is computed, once; the same numbers; nothing lies about."""
    # Else all of it is rightly computed again, and the counts below mean nothing.
    assert named_by() == NAMED_BY, (
        "framework/, estimators/ or an engine was changed while the test ran; run it again"
    )
    before = folder.finished()
    folder.age_left_overs()
    done = folder.run()
    assert done.exit == 0, done.err
    computed, reused = done.counts
    after = folder.finished()
    found = (
        f"{computed} computed, {reused} reused; {len(before)} were finished before, "
        f"{len(after)} are now, of which {len(set(after) - set(before))} are new; "
        f"left over: {folder.left_over()}"
    )
    assert (computed, reused) == (ESTIMATIONS - len(before), len(before)), found
    assert before.items() <= after.items()
    assert len(after) == ESTIMATIONS
    assert numbers(done.folder) == undisturbed
    assert folder.latest() == done.folder
    assert (done.folder / "report.html").stat().st_size > 0
    for run in folder.folders():
        whole(run)
    assert set(folder.statuses()) <= {"FINISHED", "KILLED"}
    assert folder.left_over() == []


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Whatever the test does, the command does not outlive it."""
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
