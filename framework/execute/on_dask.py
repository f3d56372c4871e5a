"""Slots that are workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from framework.errors import WorkerError
from framework.execute.cluster import Answer
from framework.execute.slot import Slot

_LOOK = 0.005
_CONNECT_SECONDS = "20s"
#: Slots of this process, when it is a Dask worker: what they were told -> slot.
_here: dict[str, Slot] = {}


def hello(about: str) -> bytes:
    """In a Dask worker: make its slot."""
    return _slot(about).hello()


def estimate(about: str, message: bytes) -> bytes:
    """In a Dask worker: estimate the job of a message."""
    return _slot(about).estimate(message)


def close(about: str) -> None:
    """In a Dask worker: end its slot."""
    if slot := _here.pop(about, None):
        slot.close()


def _slot(about: str) -> Slot:
    return _here.setdefault(about, Slot(json.loads(about)))


class DaskSlots:
    """One slot per worker process of a Dask cluster.

    Args:
        address: the scheduler's; None starts a cluster of our own on this machine.
        workers: how many; None = all there are (one per core on this machine).

    Raises:
        WorkerError: W09 no scheduler answers.
    """

    def __init__(self, address: str | None, workers: int | None) -> None:
        dask: Any = import_module("dask")
        distributed: Any = import_module("distributed")
        self._workers = workers
        self._own: Any = None
        if address is None:
            # A worker is one process of ours more: what it holds is ours to watch.
            with dask.config.set({"distributed.worker.memory.terminate": False}):
                self._own = distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    dashboard_address=None,
                    silence_logs=50,
                )
        try:
            self._client: Any = distributed.Client(
                self._own or address, timeout=_CONNECT_SECONDS
            )
        except (OSError, ValueError) as error:
            raise WorkerError(
                "W09",
                f"no Dask scheduler answers at {address}: {error}",
                fix="dask scheduler, then executor=dask executor.address=tcp://HOST:8786",
            ) from error
        self._asked: dict[Any, int] = {}
        self._addresses: list[str] = []
        self._about = ""

    def open(self, about: Mapping[str, Any], most: int) -> int:
        """One slot per worker."""
        self._about = json.dumps(dict(about))
        self._client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
        known = sorted(self._client.scheduler_info(n_workers=-1)["workers"])
        self._addresses = known[: min(most, self._workers or len(known))]
        for slot in range(len(self._addresses)):
            self._ask(slot, hello, self._about)
        return len(self._addresses)

    def reopen(self, slot: int) -> None:
        """Take a worker that is not in use, as a nanny starts one in its place."""
        known = set(self._client.scheduler_info(n_workers=-1)["workers"])
        free = sorted(known - set(self._addresses)) or [self._addresses[slot]]
        self._addresses[slot] = free[0]
        self._ask(slot, hello, self._about)

    def give(self, slot: int, message: bytes) -> None:
        """Ask a worker."""
        self._ask(slot, estimate, self._about, message)

    def answers(self, seconds: float) -> list[Answer]:
        """What workers have answered."""
        deadline = time.monotonic() + seconds
        while not (ready := [f for f in self._asked if f.done()]):
            if time.monotonic() > deadline:
                return []
            time.sleep(_LOOK)
        found: list[Answer] = []
        for future in ready:
            slot = self._asked.pop(future)
            error = future.exception()
            found.append((slot, error or future.result()))
        return found

    def close(self) -> None:
        """End the slots; leave the cluster, or end our own."""
        with contextlib.suppress(Exception):
            self._client.run(close, self._about, workers=self._addresses)
        self._asked.clear()
        with contextlib.suppress(Exception):
            self._client.close(timeout=5)
        if self._own is not None:
            self._own.close(timeout=10)
            self._own = None

    def _ask(self, slot: int, what: Any, *arguments: Any) -> None:
        where = [self._addresses[slot]]
        future = self._client.submit(
            what, *arguments, workers=where, pure=False, retries=0
        )
        self._asked[future] = slot
