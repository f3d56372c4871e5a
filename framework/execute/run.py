"""Run what is not finished yet, keep what is, and tell who watches."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from types import FrameType
from typing import NoReturn, Protocol

from framework.cache import Cell, Failure, Job, Store
from framework.errors import TERMINATED, EstimandError, Phase, Problem
from framework.execute.executor import Executor, Outcome

#: Code of an estimation that never ended, because another one failed first.
STOPPED = "W07"


class Progress(Protocol):
    """Who shows how far the run is."""

    def start(self, total: int, cached: int) -> None:
        """`total` different estimations, of which `cached` are finished already."""

    def advance(self, address: str, seconds: float, ok: bool) -> None:
        """One more estimation is over; `ok` if it has not failed."""

    def stop(self) -> None:
        """The run is over, finished or not."""

    def step(self, name: str) -> AbstractContextManager[None]:
        """What surrounds a data step while it is computed."""


class Outcomes(dict[str, "Cell | Failure"]):
    """Fingerprint -> cell or failure, and where the cells come from.

    Attributes:
        reused: fingerprints of cells that were taken as they lay in the store, as this
            run found them: whatever another run finishes or damages before or after
            that look does not change the count.
    """

    def __init__(
        self, found: Mapping[str, Cell | Failure], reused: Collection[str]
    ) -> None:
        super().__init__(found)
        self.reused = frozenset(reused)


def execute(
    jobs: Iterable[Job],
    store: Store,
    executor: Executor,
    on_done: Callable[[Job, Cell | Failure], None] | None = None,
    progress: Progress | None = None,
    *,
    fail_fast: bool = False,
    retry: bool = False,
) -> Outcomes:
    """Fingerprint -> cell or failure of every job, in the order of the jobs.

    What the store holds is not run; jobs with one fingerprint run once. What a design
    cannot answer is refused again as it was; every other failure is never kept, so it
    is tried again the next time.

    Args:
        jobs: the estimations.
        store: where finished ones are, and where the workers put theirs.
        executor: where the rest runs; it writes to the same store.
        on_done: called once per fingerprint, finished ones first, the rest as they end.
        progress: shows how far the run is.
        fail_fast: stop at the first failure (not where the study itself says that a
            design gives no number); what has not ended then fails with W07.
        retry: try again what a design could not answer, too.

    Raises:
        KeyboardInterrupt: after the workers were stopped.
        SystemExit: 143 on SIGTERM, after the workers were stopped.
    """
    wanted: dict[str, Job] = {}
    for job in jobs:
        wanted.setdefault(job.fingerprint, job)
    found: dict[str, Cell | Failure] = {}

    def keep(job: Job, outcome: Cell | Failure) -> None:
        found[job.fingerprint] = outcome
        if on_done:
            on_done(job, outcome)

    store.clear_leftovers()
    with _terminable(), _stopping(executor, progress):
        known = _known(wanted, store, retry=retry)
        if progress:
            progress.start(len(wanted), len(known))
        for name, outcome in known.items():
            keep(wanted[name], outcome)
        reused = {n for n, outcome in known.items() if isinstance(outcome, Cell)}
        fell = any(_has_failed(wanted[n], outcome) for n, outcome in known.items())
        for job in _unknown(wanted, known) if not (fail_fast and fell) else ():
            executor.submit(job)
        for over, outcome in _ended(executor, store, fail_fast=fail_fast):
            if over.reused and isinstance(outcome, Cell):
                reused.add(over.job.fingerprint)
            keep(over.job, outcome)
            if progress:
                ok = not _has_failed(over.job, outcome)
                progress.advance(over.job.address, over.seconds, ok)
        fresh = [n for n, o in found.items() if isinstance(o, Cell) and n not in reused]
        if fresh:
            store.sync(fresh)
    return Outcomes({n: found.get(n) or _stopped(j) for n, j in wanted.items()}, reused)


def _known(
    wanted: Mapping[str, Job], store: Store, *, retry: bool
) -> dict[str, Cell | Failure]:
    """What the store holds of the jobs: cells, and refusals of their designs."""
    known: dict[str, Cell | Failure] = {}
    for name, job in wanted.items():
        cell = store.load(name)
        if cell is not None:
            known[name] = cell
        elif not retry and (refusal := store.load_refusal(name)) is not None:
            problems = tuple(p.at(address=job.address) for p in refusal.problems)
            known[name] = replace(refusal, problems=problems)
    return known


def _has_failed(job: Job, outcome: Cell | Failure) -> bool:
    """Without a number, and the study has not said that there is none."""
    return isinstance(outcome, Failure) and not outcome.is_acknowledged(job.model)


def _unknown(wanted: Mapping[str, Job], known: Collection[str]) -> Iterator[Job]:
    return (job for name, job in wanted.items() if name not in known)


def _ended(
    executor: Executor, store: Store, *, fail_fast: bool
) -> Iterator[tuple[Outcome, Cell | Failure]]:
    for over in executor.results():
        outcome = _fetched(over, store)
        yield over, outcome
        if fail_fast and _has_failed(over.job, outcome):
            executor.cancel()
            return


def _stopped(job: Job) -> Failure:
    problem = Problem(
        Phase.WORKER,
        STOPPED,
        "not estimated: another estimation failed first (--fail-fast)",
        fix="run again without --fail-fast; what is finished is not computed twice",
        address=job.address,
    )
    return Failure((problem,))


def _fetched(over: Outcome, store: Store) -> Cell | Failure:
    failure = over.failure
    # A worker may die between keeping its cell and saying so: kept is finished.
    if failure and not any(p.phase is Phase.WORKER for p in failure.problems):
        return failure
    try:
        cell = store.load(over.job.fingerprint)
    except EstimandError as error:
        return Failure(tuple(p.at(address=over.job.address) for p in error.problems))
    if cell is not None:
        return cell
    return failure or Failure(
        (
            Problem(
                Phase.STORAGE,
                "R13",
                f"the finished estimation cannot be read back from '{store.root}'",
                fix="check the disk and that the workers see the same folder of runs",
                address=over.job.address,
            ),
        )
    )


@contextlib.contextmanager
def _stopping(executor: Executor, progress: Progress | None) -> Iterator[None]:
    try:
        yield
    finally:
        executor.cancel()
        if progress:
            progress.stop()


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM becomes SystemExit(143), so that workers are stopped on the way out."""
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(TERMINATED)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
