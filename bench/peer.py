"""Peers: what ours is compared with, each in its own locked environment.

`bench/peers/<name>/` holds a peer's `pyproject.toml`, its `uv.lock` and `tasks.py`. The
environment is made by uv when the peer is first asked, below `.bench/` (not committed);
the data are handed over as a file, and the peer answers in a process of its own, one
timed call at a time, so that both sides are timed in turn and warm.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np

from framework.execute.worker import ENVIRONMENT

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).parent / "peers"
#: Environments of peers; git ignores it.
CACHE = ROOT / ".bench"
#: Our own side in a process of its own, served like a peer.
OURS = "ours"
_OWN_TASKS = Path(__file__).with_name("own_tasks.py")
#: Threads and hash seed of every side, as workers have them.
PINNED: Mapping[str, str] = MappingProxyType(
    {
        **ENVIRONMENT,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_LOGGING_LEVEL": "ERROR",
    }
)


class PeerError(RuntimeError):
    """A peer could not be installed, or its task failed."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One timed call.

    Attributes:
        seconds: of the wall clock.
        cpu: seconds of the processor, all threads.
        peak: largest resident memory of the process so far, bytes.
        values: numbers that it found, to be compared with ours.
    """

    seconds: float
    cpu: float
    peak: float
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Peer:
    """A peer's process, ready to be asked."""

    name: str
    process: subprocess.Popen[str]
    errors: IO[str]

    def run(self, **arguments: Any) -> Reply:
        """Time one call of the task.

        Raises:
            PeerError: it failed; with the end of what it said.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(arguments) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self._fail()
        return Reply(**self._answer())

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self._fail()
        found: dict[str, Any] = json.loads(line)
        return found

    def _fail(self) -> None:
        self.process.wait()
        self.errors.seek(0)
        said = self.errors.read()[-3000:]
        raise PeerError(f"{self.name} ended {self.process.returncode}:\n{said}")


@contextmanager
def asked(
    name: str,
    task: str,
    data: Mapping[str, np.ndarray] | None = None,
    **about: Any,
) -> Iterator[Peer]:
    """A peer that has read its data and waits to be timed.

    Args:
        name: folder in `bench/peers`, or `ours`.
        task: function of its `tasks.py`, called once with (data, about); what it
            returns is timed.
        data: arrays by name, handed over as a file.
        about: whatever else the task needs, as JSON.

    Raises:
        PeerError: it could not be installed or started.
    """
    interpreter = sys.executable if name == OURS else str(python(name))
    tasks = _OWN_TASKS if name == OURS else PEERS / name / "tasks.py"
    own = {"PYTHONPATH": str(ROOT)} if name == OURS else {}
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
    ):
        if data:
            np.savez(Path(folder, "data.npz"), **data)
        Path(folder, "about.json").write_text(json.dumps(about), encoding="utf-8")
        serve = str(PEERS / "serve.py")
        with subprocess.Popen(
            [interpreter, "-P", serve, str(tasks), task, folder],
            env={**clean, **PINNED, **own},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process:
            try:
                peer = Peer(name, process, errors)
                peer._answer()
                yield peer
            finally:
                process.kill()


def in_turn(
    repetitions: int, ours: Callable[[], Any], peer: Peer, **arguments: Any
) -> tuple[list[float], list[Reply]]:
    """Seconds of ours and replies of the peer, taken alternately after one call each."""
    ours()
    peer.run(**arguments)
    own, theirs = [], []
    for _ in range(repetitions):
        theirs.append(peer.run(**arguments))
        start = time.perf_counter()
        ours()
        own.append(time.perf_counter() - start)
    return own, theirs


def names() -> list[str]:
    """Every peer there is."""
    return sorted(path.parent.name for path in PEERS.glob("*/uv.lock"))


def versions(name: str) -> dict[str, str]:
    """What a peer's project asks for by name, in the versions of its lock."""
    project = tomllib.loads((PEERS / name / "pyproject.toml").read_text("utf-8"))
    wanted = [
        _normal(re.split(r"[^\w.-]", requirement, maxsplit=1)[0])
        for requirement in project["project"]["dependencies"]
    ]
    lock = tomllib.loads((PEERS / name / "uv.lock").read_text("utf-8"))
    held = {package["name"]: package.get("version", "") for package in lock["package"]}
    return {package: held[package] for package in wanted}


def label(name: str) -> str:
    """`pyfixest 0.60.0`: the peer itself, in the version that is measured."""
    package, version = next(iter(versions(name).items()))
    return f"{package} {version}"


def place(name: str, interpreter: str = sys.executable) -> Path:
    """Where a peer's environment is, or would be: another lock is another folder."""
    if name not in names():
        raise PeerError(f"no peer '{name}'; there are {names()}")
    digest = hashlib.sha256((PEERS / name / "uv.lock").read_bytes())
    digest.update(f"{interpreter} {sys.version}".encode())
    return CACHE / f"{name}-{digest.hexdigest()[:12]}"


def python(name: str) -> Path:
    """The interpreter of a peer's environment, which is made on first use.

    Raises:
        PeerError: there is no such peer, or uv could not install it.
    """
    folder = place(name)
    done = folder / "installed"
    interpreter = folder / "bin" / "python"
    if not done.exists():
        _install(name, folder)
        done.touch()
    return interpreter


def _install(name: str, folder: Path) -> None:
    local = ROOT / ".tools" / "bin" / "uv"
    uv = str(local) if local.exists() else shutil.which("uv")
    if uv is None:
        raise PeerError("uv is not there: run `make bench`, which installs it")
    print(f"  installing {label(name)} into {folder.relative_to(ROOT)} ...", flush=True)
    clean = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    done = subprocess.run(
        [
            *(uv, "sync", "--frozen", "--quiet"),
            *("--project", str(PEERS / name), "--python", sys.executable),
        ],
        env={
            **clean,
            "UV_PROJECT_ENVIRONMENT": str(folder),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_COMPILE_BYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PeerError(
            f"{name} could not be installed (it needs the package index once):\n"
            f"{done.stderr[-2000:]}"
        )


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
