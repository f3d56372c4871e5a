"""What every executor offers: give it jobs, take what is done, stop it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from framework.cache import Failure, Job


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job that is over.

    Attributes:
        failure: None when the finished cell is in the store.
        seconds: time of the estimation, without the start of its worker.
        reused: another run finished it while this one was under way.
    """

    job: Job
    failure: Failure | None
    seconds: float
    reused: bool = False


#: Called with a job that a worker begins.
OnStart = Callable[[Job], None]


class Executor(Protocol):
    """Runs jobs somewhere. The cell goes to the store there, not through here."""

    def submit(self, job: Job) -> None:
        """Queue a job."""

    def results(self) -> Iterator[Outcome]:
        """Every submitted job once, as they end."""

    def cancel(self) -> None:
        """Stop at once, leave no process behind; safe to call twice."""
