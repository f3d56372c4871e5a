"""Kills of a sweep whose command is forked: `python -m tests.forked_sweep TO SHOTS SEED`.

One process imports what the command needs, and forks a child for every command, so that
no kill waits for imports. Its workers are fresh interpreters, as they always are.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from tests.killed_sweep import SWEEP, Shot, killed
from tests.real_command import Folder


@dataclass(slots=True)
class Forked:
    """`estimand` in a child of this process."""

    pid: int
    said: Path
    _status: int | None = None

    @classmethod
    def start(cls, folder: Folder, *options: str) -> Self:
        said = folder.path / "said.txt"
        said.write_text("", encoding="utf-8")  # it may be killed before it says a word
        pid = os.fork()
        if pid == 0:
            _become(folder, said, options)
        return cls(pid, said)

    def is_over(self) -> bool:
        self._wait(os.WNOHANG)
        return self._status is not None

    def end(self) -> tuple[int, str]:
        self._wait(0)
        assert self._status is not None
        return os.waitstatus_to_exitcode(self._status), self.said.read_text("utf-8")

    def _wait(self, options: int) -> None:
        if self._status is None:
            pid, status = os.waitpid(self.pid, options)
            self._status = status if pid else None


def _become(folder: Folder, said: Path, options: tuple[str, ...]) -> None:
    from framework.commands.line import main

    code = 1
    try:
        os.chdir(folder.path)
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder.path / "tmp")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        code = main([*SWEEP, "executor.workers=1", *options])
    finally:
        os._exit(code)


def _warm() -> None:
    """Import what the command would; no thread may be started, or a fork hangs."""
    import mlflow.store.tracking.sqlalchemy_store

    import framework.commands.sweeping
    import framework.execute
    import framework.record.tracking
    import framework.render

    del mlflow, framework


def main(path: Path, shots: int, seed: int) -> None:
    """Shoot, and print every shot, a line of JSON each."""
    _warm()

    def told(shot: Shot) -> None:
        print(json.dumps(asdict(shot)), flush=True)  # noqa: T201 - the answer

    killed(path, shots, random.Random(seed), Forked.start, told)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
