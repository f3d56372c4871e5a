"""Jobs on a cluster: whoever is free gets the next one, whatever the cluster is.

`Slots` is what differs between Ray, Dask and SLURM; `Cluster` is what does not.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from framework.cache import Failure, Job, Store
from framework.errors import EstimandError, Phase, Problem, WorkerError
from framework.execute.executor import OnStart, Outcome
from framework.execute.slot import told
from framework.execute.worker import ESTIMATE, failure_from_plain, job_to_bytes

#: Seconds to wait for an answer before looking again.
_PATIENCE = 1.0
#: Slots that may be lost in a row, without an answer in between.
_LOST_IN_A_ROW = 3

#: A slot's number and its answer, or how it was lost.
Answer = tuple[int, bytes | Exception]


class Slots(Protocol):
    """The workers of a cluster. Each says hello first, then answers what it is given."""

    def open(self, about: Mapping[str, Any], most: int) -> int:
        """Start as many slots as there are workers, at most `most`; how many."""

    def reopen(self, slot: int) -> None:
        """Start a slot that was lost again."""

    def give(self, slot: int, message: bytes) -> None:
        """Let a slot estimate the job of a message."""

    def answers(self, seconds: float) -> list[Answer]:
        """What has come since; waits for so many seconds for the first."""

    def close(self) -> None:
        """End all slots; safe to call twice."""


@dataclass
class Cluster:
    """Estimations in the slots of a cluster.

    Attributes:
        root: the folder of runs, on a file system that all machines share.
        connect: opens the connection; called when there is something to estimate.
        time_limit, memory_limit: as of `Processes`, for every estimation where it runs.
        task: `module:function` that estimates a job.
        on_start: called with a job that a slot was given.
    """

    root: Path
    connect: Callable[[], Slots]
    time_limit: float | None = None
    memory_limit: float | None = None
    task: str = ESTIMATE
    on_start: OnStart | None = None
    _waiting: deque[Job] = field(default_factory=deque, init=False)
    _slots: Slots | None = field(default=None, init=False)

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self._waiting.append(job)

    def results(self) -> Iterator[Outcome]:
        """Every job once, as they end.

        Raises:
            EstimandError: W08 the cluster's workers are not fit, W09 there is none.
        """
        if not self._waiting:
            return
        slots = self._slots = self.connect()
        about = told(self.root, self.task, self.time_limit, self.memory_limit)
        starting = set(range(slots.open(about, len(self._waiting))))
        store, busy, lost = Store(self.root), dict[int, Job](), 0
        while self._waiting or busy:
            for slot, answer in slots.answers(_PATIENCE):
                job = busy.pop(slot, None)
                if isinstance(answer, Exception):
                    lost += 1
                    if job is not None:
                        yield Outcome(job, _lost(job, answer), 0.0)
                    if lost >= _LOST_IN_A_ROW:
                        raise _no_workers(answer)
                    slots.reopen(slot)
                    starting.add(slot)
                    continue
                lost = 0
                said = json.loads(answer)
                if slot in starting:
                    starting.discard(slot)
                    if said["problem"]:
                        raise EstimandError(
                            failure_from_plain(said["problem"]).problems
                        )
                # The slot goes on while the outcome is looked at.
                finished = list(self._next(slots, slot, store, busy))
                if job is not None:
                    plain = said["failure"]
                    failure = plain and failure_from_plain(plain)
                    yield Outcome(job, failure, said["seconds"], said["reused"])
                yield from finished

    def cancel(self) -> None:
        """End the slots; forget what has not run."""
        self._waiting.clear()
        if self._slots is not None:
            self._slots.close()
            self._slots = None

    def _next(
        self, slots: Slots, slot: int, store: Store, busy: dict[int, Job]
    ) -> Iterator[Outcome]:
        """Give a free slot its next job; jobs that others have finished are over."""
        while self._waiting:
            job = self._waiting.popleft()
            if store.contains(job.fingerprint):
                yield Outcome(job, None, 0.0, reused=True)
                continue
            busy[slot] = job
            slots.give(slot, job_to_bytes(job))
            if self.on_start:
                self.on_start(job)
            return


def connection(
    name: str,
    root: Path,
    address: str | None,
    workers: int | None,
    options: Mapping[str, Any],
) -> Callable[[], Slots]:
    """How to reach a cluster: `ray`, `dask` or `slurm`.

    Args:
        name: which.
        root: the folder of runs.
        address: where it is; None = one of our own on this machine (SLURM: here).
        workers: how many; None = as many as there are (SLURM: must be said).
        options: of submitit.

    Raises:
        WorkerError: W09 its library is not installed, or the number of workers is
            missing.
    """
    library = {"ray": "ray", "dask": "distributed", "slurm": "submitit"}[name]
    if find_spec(library) is None:
        raise WorkerError(
            "W09",
            f"executor {name} needs {library}, which is not installed",
            fix="pip install 'estimand[cluster]', or executor=processes",
        )
    if name == "slurm" and workers is None:
        raise WorkerError(
            "W09",
            "executor slurm needs a number of workers: each is a job of the queue",
            fix="executor.workers=20",
        )

    def connect() -> Slots:
        if name == "ray":
            from framework.execute.on_ray import RaySlots

            return RaySlots(address, workers)
        if name == "dask":
            from framework.execute.on_dask import DaskSlots

            return DaskSlots(address, workers)
        from framework.execute.on_slurm import SlurmSlots

        given = {key: value for key, value in options.items() if value is not None}
        return SlurmSlots(root, address or "slurm", workers or 1, given)

    return connect


def _lost(job: Job, error: Exception) -> Failure:
    problem = Problem(
        Phase.WORKER,
        "W01",
        f"the cluster lost the worker ({type(error).__name__}); others continue",
        why="a machine went away, or the cluster ended the job",
        fix="see the trace, then --retry-failed",
        address=job.address,
    )
    return Failure((problem,), str(error))


def _no_workers(error: Exception) -> WorkerError:
    first = str(error).strip().splitlines()
    return WorkerError(
        "W09",
        f"the cluster lost {_LOST_IN_A_ROW} workers in a row: "
        f"{first[-1] if first else type(error).__name__}",
        why="nothing can be estimated there; what is finished is kept",
        fix="look at the cluster, then run again, or executor=processes",
    )
