"""Jobs in this process, one after the other: for tests and debuggers."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from framework.cache import Job, Store, source_newest
from framework.execute.executor import OnStart, Outcome
from framework.execute.worker import ESTIMATE, work


@dataclass
class Inline:
    """No supervision: an engine that aborts takes this process with it.

    Threads and the hash seed are this process's, so the last digits of a number may
    differ from a worker's.

    Attributes:
        root: the folder of runs.
        task: `module:function` that estimates a job.
        on_start: called with a job before it runs.
    """

    root: Path
    task: str = ESTIMATE
    on_start: OnStart | None = None
    _waiting: deque[Job] = field(default_factory=deque, init=False)

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self._waiting.append(job)

    def results(self) -> Iterator[Outcome]:
        """Run the jobs in order."""
        while self._waiting:
            job = self._waiting.popleft()
            if Store(self.root).contains(job.fingerprint):
                yield Outcome(job, None, 0.0, reused=True)
                continue
            if self.on_start:
                self.on_start(job)
            start = time.perf_counter()
            done = work(job, self.root, task=self.task, newest=source_newest())
            failure = None if isinstance(done, str) else done
            yield Outcome(job, failure, time.perf_counter() - start)

    def cancel(self) -> None:
        """Forget what has not run."""
        self._waiting.clear()
