"""Slots that are jobs of a batch system, submitted by submitit.

They speak with the command through files in the folder of runs, so a slot that waits
in the queue keeps nobody waiting: jobs go to those that have said hello.
"""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework.errors import WorkerError
from framework.execute.cluster import Answer
from framework.execute.slot import post, serve_folder

_LOOK = 0.05
#: Seconds between two questions to the batch system.
_ASK = 5.0


class SlurmSlots:
    """Jobs of SLURM, each with one worker.

    Args:
        root: the folder of runs, which all machines share.
        cluster: `slurm`, or `local` for processes of this machine (to try it out).
        workers: how many jobs to submit.
        options: parameters of submitit (`timeout_min`, `slurm_partition`, …).

    Raises:
        WorkerError: W09 there is no SLURM here.
    """

    def __init__(
        self,
        root: Path,
        cluster: str,
        workers: int,
        options: Mapping[str, Any],
    ) -> None:
        import submitit

        self._folder = root.resolve() / ".cells" / "slots" / uuid.uuid4().hex
        for part in ("in", "out", "log"):
            (self._folder / part).mkdir(parents=True)
        try:
            self._executor: Any = submitit.AutoExecutor(
                folder=self._folder / "log", cluster=cluster
            )
            self._executor.update_parameters(name="estimand", **options)
        except (RuntimeError, NameError, ValueError, TypeError) as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise WorkerError(
                "W09",
                f"submitit cannot use '{cluster}': {error}",
                fix="run this where sbatch is, or executor=processes",
            ) from error
        self._workers = workers
        self._jobs: dict[int, Any] = {}
        self._names: dict[int, int] = {}  # slot -> its number in the folder
        self._counts: dict[int, int] = {}  # slot -> messages given
        self._started = 0
        self._about: Mapping[str, Any] = {}
        self._asked_at = time.monotonic()

    def open(self, about: Mapping[str, Any], most: int) -> int:
        """Submit the jobs."""
        self._about = dict(about)
        self._alive()
        count = min(most, self._workers)
        with self._executor.batch():
            for slot in range(count):
                self.reopen(slot)
        return count

    def reopen(self, slot: int) -> None:
        """Submit a job."""
        number, self._started = self._started, self._started + 1
        self._names[slot], self._counts[slot] = number, 0
        self._jobs[slot] = self._executor.submit(
            serve_folder, self._about, str(self._folder), number
        )

    def give(self, slot: int, message: bytes) -> None:
        """Put a message into the folder."""
        self._counts[slot] += 1
        name = f"{self._names[slot]}-{self._counts[slot]}"
        post(self._folder / "in", name, message)

    def answers(self, seconds: float) -> list[Answer]:
        """Answers in the folder, and jobs that ended without one."""
        deadline = time.monotonic() + seconds
        while True:
            self._alive()
            found: list[Answer] = []
            for slot, number in self._names.items():
                path = self._folder / "out" / f"{number}-{self._counts[slot]}"
                if path.exists():
                    found.append((slot, path.read_bytes()))
                    path.unlink()
            if not found:
                found = self._ended()
            if found or time.monotonic() > deadline:
                return found
            time.sleep(_LOOK)

    def close(self) -> None:
        """Tell the slots to end, cancel what waits in the queue."""
        with contextlib.suppress(FileNotFoundError):
            (self._folder / "alive").unlink()
        for job in self._jobs.values():
            with contextlib.suppress(Exception):
                job.cancel(check=False)
        self._jobs.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _alive(self) -> None:
        (self._folder / "alive").touch()

    def _ended(self) -> list[Answer]:
        if time.monotonic() - self._asked_at < _ASK:
            return []
        self._asked_at = time.monotonic()
        return [
            (slot, RuntimeError(job.stderr() or f"job {job.job_id}: {job.state}"))
            for slot, job in self._jobs.items()
            if job.done()
        ]
