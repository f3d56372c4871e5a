"""A place of a cluster where one estimation runs at a time, supervised there.

Whatever the cluster is, the estimation itself runs in a worker process of ours on that
machine (`Processes` with one worker): the same environment, limits and traces as
without a cluster, so the same numbers to the last digit. The job that travels holds no
data: a worker reads a prepared panel from the folder of runs once and keeps it.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from framework.cache import Failure, engines_hash, source_hash
from framework.errors import Phase, Problem
from framework.execute.processes import Processes
from framework.execute.worker import failure_to_plain, job_from_bytes

#: Seconds between two looks at a folder of messages.
_LOOK = 0.05
#: A command that has not been seen for so many seconds is dead.
_SILENCE = 120.0
_MOST = 2000
_WHERE = (
    "import json, sys; from framework.execute.slot import code;"
    "print(json.dumps({'code': code(), 'path': sys.path}))"
)


def told(
    root: Path, task: str, time_limit: float | None, memory_limit: float | None
) -> dict[str, Any]:
    """All that a slot is told at its start (JSON)."""
    return {
        "root": str(root.resolve()),
        "task": task,
        "time_limit": time_limit,
        "memory_limit": memory_limit,
        "code": code(),
    }


class Slot:
    """One worker, started by its first job.

    Args:
        about: what `told` made.
    """

    def __init__(self, about: Mapping[str, Any]) -> None:
        self._about = about
        # On Linux a worker ends with the thread that started it, so it has its own.
        self._thread = ThreadPoolExecutor(1)
        self._crew: Processes | None = None
        self._here: dict[str, Any] = {}

    def hello(self) -> bytes:
        """Whether estimations may run here: `{"problem": …}` or null."""
        # A cluster's own process imports from folders of the cluster's library, which
        # hold other versions of what we need; a fresh interpreter does not.
        asked = subprocess.run(  # noqa: S603 - our own interpreter and code
            [sys.executable, "-P", "-c", _WHERE],
            capture_output=True,
            text=True,
            check=False,
        )
        self._here = (
            json.loads(asked.stdout.splitlines()[-1])
            if asked.returncode == 0
            else {"code": asked.stderr[-_MOST:], "path": []}
        )
        return json.dumps({"problem": self._unfit()}).encode()

    def estimate(self, message: bytes) -> bytes:
        """Estimate the job of a message; `{failure, seconds, reused}`."""
        return self._thread.submit(self._estimate, message).result()

    def close(self) -> None:
        """End the worker."""
        if self._crew is not None:
            self._thread.submit(self._crew.cancel).result()
        self._thread.shutdown()

    def _estimate(self, message: bytes) -> bytes:
        job = job_from_bytes(message)
        if self._crew is None:
            about = self._about
            self._crew = Processes(
                Path(about["root"]),
                workers=1,
                time_limit=about["time_limit"],
                memory_limit=about["memory_limit"],
                task=about["task"],
                path=self._here["path"],
            )
        self._crew.submit(job)
        (over,) = self._crew.results()
        failure = over.failure and failure_to_plain(over.failure)
        said = {"failure": failure, "seconds": over.seconds, "reused": over.reused}
        return json.dumps(said).encode()

    def _unfit(self) -> dict[str, Any] | None:
        here = f"the worker on {socket.gethostname()}"
        if self._here["code"] != self._about["code"]:
            said = Problem(
                Phase.WORKER,
                "W08",
                f"{here} has other source files, engines or another Python",
                why="its numbers would be kept under the name of this installation's",
                fix="install the same lock file there",
            )
        elif not (Path(self._about["root"]) / ".cells").is_dir():
            said = Problem(
                Phase.WORKER,
                "W08",
                f"{here} does not see {self._about['root']}",
                why="panels are read from and estimations kept in the folder of runs",
                fix="put it on a file system that all machines share: runs=/shared/runs",
            )
        else:
            return None
        return failure_to_plain(Failure((said,)))


def serve_folder(about: Mapping[str, Any], folder: str, number: int) -> None:
    """A slot that reads its messages from a shared folder, until told to stop.

    Args:
        about: what `told` made.
        folder: `in/N-K` holds message K to slot N, `out/N-K` its answer; `alive` is
            touched by the command for as long as it lives.
        number: N.
    """
    shared, slot, count = Path(folder), Slot(about), 0
    try:
        post(shared / "out", f"{number}-0", slot.hello())
        while _goes_on(shared):
            message = shared / "in" / f"{number}-{count + 1}"
            if not message.exists():
                time.sleep(_LOOK)
                continue
            count += 1
            answer = slot.estimate(message.read_bytes())
            post(shared / "out", f"{number}-{count}", answer)
    finally:
        slot.close()


def post(folder: Path, name: str, message: bytes) -> None:
    """A file that is whole as soon as it is seen."""
    draft = folder / f".{name}"
    draft.write_bytes(message)
    draft.replace(folder / name)


def _goes_on(shared: Path) -> bool:
    try:
        seen = (shared / "alive").stat().st_mtime
    except FileNotFoundError:
        return False
    return time.time() - seen < _SILENCE


def code() -> str:
    """Names everything of an installation that can move a number."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"{source_hash()} {engines_hash()} {python}"
