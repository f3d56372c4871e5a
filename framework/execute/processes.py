"""Warm worker processes, supervised one by one.

A pool of the standard library fails every job when one worker aborts, and starts its
workers through the user's own script. Here each worker is a fresh interpreter with a
socket of its own: when it dies, exactly one job is lost, and a script without
`if __name__ == "__main__"` works.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import IO, Literal

from framework.cache import Failure, Job, Store, source_newest
from framework.errors import Phase, Problem, SpecError
from framework.execute.executor import OnStart, Outcome
from framework.execute.worker import (
    ENVIRONMENT,
    ESTIMATE,
    HELP,
    WHERE_ARE_YOU,
    WORK,
    failure_from_plain,
    job_to_bytes,
)
from framework.registry import Entry, find, load

#: Seconds between two looks at limits and memory.
_TICK = 0.1
#: A worker that is not ready after this many seconds never will be.
_START_LIMIT = 300.0
#: Workers that may die in a row before they are ready.
_START_ATTEMPTS = 3
#: Seconds between two samples of a worker's memory.
_MEMORY_TICK = 0.25
#: Seconds a worker has to write its stack before it is killed, and one that fills the
#: memory, which does not wait.
_STACK_SECONDS, _HURRIED_SECONDS = 5.0, 0.1
#: A stack that has not grown for so many seconds is written.
_STILL_SECONDS = 0.1
#: How faulthandler begins the stack of a thread.
_STACK = "(most recent call first):"
#: Seconds a worker has to end after it closed its socket.
_END_SECONDS = 5.0
#: Another worker must save this many times the seconds its start costs.
_WORTH = 2.0
_TRACE_BYTES = 8000
_BOOT = (
    "import json, sys; about = json.loads(sys.argv[1]); sys.path[:] = about['path'];"
    "from framework.execute.worker import serve;"
    "serve(about['socket'], about['parent'], about)"
)


@dataclass
class Processes:
    """Jobs in worker processes of this machine.

    A worker for which no job is left runs a divisible one beside the worker that has it:
    each makes the parts that the other has not claimed.

    Use from one thread: on Linux a worker ends with the thread that started it.

    Attributes:
        root: the folder of runs; panels are read from and cells kept in its store.
        workers: how many; `auto` starts one, and others (up to the physical cores) when
            the work that is left is worth their start. More workers than jobs are
            started when a divisible job is worth it.
        time_limit: seconds that a job may take in a warm worker; None = no limit.
        memory_limit: MB of resident memory that a worker and what it starts may hold;
            None = no limit.
        task: `module:function` that estimates a job.
        on_start: called with a job that a worker was given.
        path: where workers import from; None = as this process.
    """

    root: Path
    workers: int | Literal["auto"] = "auto"
    time_limit: float | None = None
    memory_limit: float | None = None
    task: str = ESTIMATE
    on_start: OnStart | None = None
    path: Sequence[str] | None = None
    _plugins: set[str] = field(default_factory=set, init=False)
    _waiting: deque[Job] = field(default_factory=deque, init=False)
    _crew: list[_Worker] = field(default_factory=list, init=False)
    _failed_starts: int = field(default=0, init=False)
    _start_seconds: float = field(default=2.0, init=False)
    _job_seconds: list[float] = field(default_factory=list, init=False)
    _divisible: set[str] = field(default_factory=set, init=False)
    _helped: set[tuple[str, int]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        if self.workers != "auto" and self.workers < 1:
            raise ValueError("there must be at least one worker")

    def submit(self, job: Job) -> None:
        """Queue a job; workers start with `results`."""
        self._waiting.append(job)
        estimator = job.model.get("estimator") or {}
        plugin = find("estimator", estimator.get("name", ""))
        if isinstance(plugin, Entry):
            self._plugins.add(plugin.target)
            if not job.draws and _is_divisible(plugin):
                self._divisible.add(job.fingerprint)

    def results(self) -> Iterator[Outcome]:
        """Every job once, as they end. The workers stay warm until `cancel`."""
        store = Store(self.root)
        while self._waiting or any(worker.has_own_job for worker in self._crew):
            self._hire()
            ready = wait([w.connection for w in self._crew], timeout=_TICK)
            for worker in list(self._crew):
                over: list[Outcome] = []
                if worker.connection in ready:
                    over += self._hear(worker)
                # What it has said is heard before it is judged.
                if (
                    worker in self._crew
                    and not worker.connection.poll()
                    and (problem := self._over_limit(worker))
                ):
                    hurry = problem.code == "W02"
                    worker.ask_where(_HURRIED_SECONDS if hurry else _STACK_SECONDS)
                    worker.kill()
                    over += self._dismiss(worker, problem)
                while worker in self._crew and worker.is_free and self._waiting:
                    job = self._waiting.popleft()
                    if store.contains(job.fingerprint):
                        over.append(Outcome(job, None, 0.0, reused=True))
                    else:
                        worker.give(job)
                        if self.on_start:
                            self.on_start(job)
                if worker in self._crew and worker.is_free:
                    self._lend(worker)
                # The worker goes on while the outcome is looked at.
                yield from over

    def cancel(self) -> None:
        """Kill the workers and whatever they started; forget what has not run."""
        self._waiting.clear()
        while self._crew:
            self._crew[-1].kill()
            self._crew.pop().close()

    def _lend(self, helper: _Worker) -> None:
        """Let a free worker help the one that came last to a divisible job."""
        held = [
            worker
            for worker in self._crew
            if worker.has_own_job
            and worker.job is not None
            and worker.job.fingerprint in self._divisible
            and (worker.job.fingerprint, helper.process.pid) not in self._helped
        ]
        if held:
            job = max(held, key=lambda worker: worker.since).job
            assert job is not None  # noqa: S101 - only those that have one were taken
            self._helped.add((job.fingerprint, helper.process.pid))
            helper.give(job, helping=True)

    def _hire(self) -> None:
        while len(self._crew) < self._useful_workers():
            if self._crew and self._failed_starts >= _START_ATTEMPTS:
                return  # those that run carry on; no more attempts beside them
            path = sys.path if self.path is None else self.path
            made = _Worker.start(self.root, self.task, self._plugins, path)
            self._crew.append(made)

    def _useful_workers(self) -> int:
        jobs = len(self._waiting) + sum(w.has_own_job for w in self._crew)
        auto, there = self.workers == "auto", len(self._crew)
        most = _physical_cores() if self.workers == "auto" else self.workers
        least = min(1 if auto else most, jobs)
        if there < least:
            return least
        # The next one is judged when those that are there have come to work.
        if there >= most or not all(w.is_ready and w.job for w in self._crew):
            return there
        saved = self._left() / (there + 1)
        return there + (saved > _WORTH * self._start_seconds)

    def _left(self) -> float:
        """Seconds of work that another worker could share, as far as one can tell."""
        if not self._waiting:
            # What has run for so long will run as long again.
            divisible = (
                w.job_seconds
                for w in self._crew
                if w.job is not None and w.job.fingerprint in self._divisible
            )
            return max(divisible, default=0.0)
        # What is known of a job: the mean of those that ended, or how long one has run.
        ended = self._job_seconds
        running = max((w.job_seconds for w in self._crew if w.job), default=0.0)
        each = max(sum(ended) / len(ended) if ended else 0.0, running)
        return each * len(self._waiting)

    def _hear(self, worker: _Worker) -> Iterator[Outcome]:
        try:
            message = json.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            yield from self._dismiss(worker, None)
            return
        if message["state"] == "ready":
            worker.is_ready = True
            self._start_seconds = time.monotonic() - worker.since
        elif message["state"] == "started":
            worker.has_started, worker.since = True, time.monotonic()
        elif worker.is_helping:
            worker.take_back()
        else:
            self._failed_starts = 0
            job, seconds = worker.take_back()
            self._job_seconds.append(seconds)
            plain = message["failure"]
            yield Outcome(job, plain and failure_from_plain(plain), seconds)

    def _over_limit(self, worker: _Worker) -> Problem | None:
        if not worker.is_ready and time.monotonic() - worker.since > _START_LIMIT:
            return _cannot_start(f"is not ready after {_START_LIMIT:g} s")
        if not worker.has_started:
            return None
        if self.time_limit is not None and worker.job_seconds > self.time_limit:
            return Problem(
                Phase.WORKER,
                "W03",
                f"not finished after {self.time_limit:g} s",
                why="it was stopped; the others continue",
                fix="a longer time limit, a smaller sample or fewer draws",
            )
        if self.memory_limit is not None and worker.megabytes() > self.memory_limit:
            return Problem(
                Phase.WORKER,
                "W02",
                f"worker used more than {self.memory_limit:g} MB",
                why="it was stopped before the machine ran out; the others continue",
                fix="a higher memory limit, fewer workers or a smaller sample",
            )
        return None

    def _dismiss(self, worker: _Worker, problem: Problem | None) -> Iterator[Outcome]:
        """Part with a worker; its job, if any, failed with `problem` or its death."""
        status, trace = worker.wait(), worker.output()
        worker.close()
        self._crew.remove(worker)
        if worker.is_helping and worker.job is not None:
            # The job goes on without help, and is none to die of twice.
            self._divisible.discard(worker.job.fingerprint)
            return
        if worker.has_started:
            job, seconds = worker.take_back()
            problem = (problem or _died(status)).at(address=job.address)
            yield Outcome(job, Failure((problem,), trace), seconds)
            return
        if worker.job is not None:  # it died idle: the job is innocent
            self._waiting.appendleft(worker.job)
        self._failed_starts += 1
        if self._failed_starts >= _START_ATTEMPTS and not self._crew:
            problem = problem or _cannot_start(f"died ({_cause(status)})")
            yield from self._give_up(problem, trace)

    def _give_up(self, problem: Problem, trace: str) -> Iterator[Outcome]:
        while self._waiting:
            job = self._waiting.popleft()
            yield Outcome(job, Failure((problem.at(address=job.address),), trace), 0.0)


@dataclass
class _Worker:
    """One process, its socket and the job it has."""

    process: subprocess.Popen[bytes]
    connection: Connection
    captured: IO[bytes]
    since: float
    is_ready: bool = False
    has_started: bool = False
    job: Job | None = None
    is_helping: bool = False
    _sampled: float = 0.0

    @classmethod
    def start(
        cls, root: Path, task: str, plugins: Iterable[str], path: Iterable[str]
    ) -> _Worker:
        ours, theirs = Pipe()
        captured = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as the worker; `close` closes it
        about = {
            "path": [str(folder) for folder in path],
            "socket": theirs.fileno(),
            "parent": os.getpid(),
            "root": str(root.resolve()),
            "task": task,
            "warm": sorted(plugins),
            "newest": source_newest(),
        }
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            [sys.executable, "-P", "-c", _BOOT, json.dumps(about)],
            stdin=subprocess.DEVNULL,
            stdout=captured,
            stderr=captured,
            env={**os.environ, **ENVIRONMENT},
            pass_fds=[theirs.fileno()],
            # Its own group: Ctrl-C reaches the parent only, and a kill its children.
            start_new_session=True,
        )
        theirs.close()
        return cls(process, ours, captured, time.monotonic())

    @property
    def is_free(self) -> bool:
        return self.is_ready and self.job is None

    @property
    def has_own_job(self) -> bool:
        return self.job is not None and not self.is_helping

    @property
    def job_seconds(self) -> float:
        return time.monotonic() - self.since

    def give(self, job: Job, *, helping: bool = False) -> None:
        self.job, self.since, self.is_helping = job, time.monotonic(), helping
        # A worker that died idle is noticed when its socket is read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send_bytes(HELP if helping else WORK)
            self.connection.send_bytes(job_to_bytes(job))

    def take_back(self) -> tuple[Job, float]:
        job, self.job, self.has_started = self.job, None, False
        self.is_helping = False
        if job is None:
            raise RuntimeError("a worker answered without a job")
        return job, self.job_seconds

    def megabytes(self) -> float:
        """Resident memory of the worker and what it started; 0 between two samples."""
        import psutil

        if time.monotonic() - self._sampled < _MEMORY_TICK:
            return 0.0
        self._sampled = time.monotonic()
        try:
            process = psutil.Process(self.process.pid)
            family = [process, *process.children(recursive=True)]
            used = sum(member.memory_info().rss for member in family)
        except psutil.Error:  # it is ending: its socket says so next
            return 0.0
        return used / 1e6

    def ask_where(self, seconds: float) -> None:
        """Let the worker write its stack to its output, for some seconds at most."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, WHERE_ARE_YOU)
        asked = since = time.monotonic()
        size = self._printed()
        # On a busy machine it may not run for a second.
        while time.monotonic() - asked < seconds and self.process.poll() is None:
            if self._printed() != size:
                size, since = self._printed(), time.monotonic()
            still = time.monotonic() - since > _STILL_SECONDS
            if still and _STACK in self.output():
                return
            time.sleep(_TICK / 10)

    def kill(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def wait(self) -> int:
        """Exit status of a worker whose socket is closed; its children go with it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_SECONDS)
        # While a child lives, the group keeps its number: no other group has it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()

    def output(self) -> str:
        """The end of what the worker printed: panics, faulthandler's stack."""
        first = max(0, self._printed() - _TRACE_BYTES)
        tail = os.pread(self.captured.fileno(), _TRACE_BYTES, first)
        return tail.decode(errors="replace")

    def _printed(self) -> int:
        """Bytes of what the worker printed."""
        return os.fstat(self.captured.fileno()).st_size

    def close(self) -> None:
        self.connection.close()
        self.captured.close()


def _is_divisible(plugin: Entry) -> bool:
    try:
        return bool(getattr(load(plugin), "divisible", False))
    except SpecError:  # the worker says so
        return False


def _died(status: int) -> Problem:
    cause = _cause(status)
    hint = "often the machine ran out of memory; " if cause == "SIGKILL" else ""
    return Problem(
        Phase.WORKER,
        "W01",
        f"worker died ({cause}); others continue",
        why=f"{hint}an engine can end its process without an error",
        fix="see the trace; run this estimation alone, with a smaller model",
    )


def _cannot_start(how: str) -> Problem:
    return Problem(
        Phase.WORKER,
        "W05",
        f"a worker process {how} before it was ready",
        why="nothing can be estimated",
        fix="see the trace; `estimand doctor` looks at the installation",
    )


def _cause(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def _physical_cores() -> int:
    """Physical cores that this process may use."""
    import psutil

    allowed = getattr(os, "sched_getaffinity", None)
    usable = len(allowed(0)) if allowed else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or usable, usable))
