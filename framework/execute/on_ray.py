"""Slots that are Ray actors."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from framework.errors import WorkerError
from framework.execute.cluster import Answer
from framework.execute.slot import Slot

#: Seconds in which a cluster answers that there is one.
_PATIENCE = 10


class RaySlots:
    """Actors on a Ray cluster, one CPU each.

    Args:
        address: `auto`, `host:port` or `ray://…`; None starts a Ray of our own here.
        workers: how many; None = one per CPU of the cluster.

    Raises:
        WorkerError: W09 Ray does not answer at that address.
    """

    def __init__(self, address: str | None, workers: int | None) -> None:
        # Ray reports its use to its makers unless told not to.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        # `ray start` makes a token; by `host:port` it is shown only if this is set.
        token = os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")
        if address and Path(token).expanduser().is_file():
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        import ray

        self._ray: Any = ray
        self._workers = workers
        # A socket's path may have some hundred letters, of which Ray takes sixty.
        self._folder = "" if address else tempfile.mkdtemp(prefix="ray-", dir="/tmp")
        own: dict[str, Any] = {
            "include_dashboard": False,
            "num_cpus": workers,
            "_temp_dir": self._folder,
        }
        try:
            _knock(address)
            with _own_signals():
                ray.init(
                    address=address or "local",
                    log_to_driver=False,
                    configure_logging=False,
                    **({} if address else own),
                )
        except (OSError, RuntimeError, ValueError) as error:
            raise WorkerError(
                "W09",
                f"no Ray cluster answers at {address or 'this machine'}: {error}",
                fix="ray start --head, then executor=ray executor.address=auto",
            ) from error
        self._actors: list[Any] = []
        self._asked: dict[Any, int] = {}

    def open(self, about: Mapping[str, Any], most: int) -> int:
        """Start the actors."""
        cores = int(self._ray.cluster_resources().get("CPU", 1))
        self._about = about
        for slot in range(max(1, min(most, self._workers or cores))):
            self._actors.append(None)
            self.reopen(slot)
        return len(self._actors)

    def reopen(self, slot: int) -> None:
        """Start an actor."""
        actor = self._ray.remote(num_cpus=1)(Slot).remote(self._about)
        self._actors[slot] = actor
        self._asked[actor.hello.remote()] = slot

    def give(self, slot: int, message: bytes) -> None:
        """Ask an actor."""
        self._asked[self._actors[slot].estimate.remote(message)] = slot

    def answers(self, seconds: float) -> list[Answer]:
        """What actors have answered."""
        asked = list(self._asked)
        ready, _ = self._ray.wait(asked, num_returns=1, timeout=seconds)
        found: list[Answer] = []
        for reference in ready:
            slot = self._asked.pop(reference)
            try:
                found.append((slot, self._ray.get(reference)))
            except self._ray.exceptions.RayError as error:
                found.append((slot, error))
        return found

    def close(self) -> None:
        """Kill the actors, and with each its worker; leave the cluster."""
        for actor in self._actors:
            with contextlib.suppress(Exception):
                self._ray.kill(actor)
        self._actors.clear()
        self._asked.clear()
        self._ray.shutdown()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray puts a handler of its own on SIGTERM; ours stays."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _knock(address: str | None) -> None:
    """Ray itself waits for minutes before it says that nobody is there.

    Raises:
        OSError: nothing listens at `host:port`.
    """
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        with socket.create_connection((host, int(port)), timeout=_PATIENCE):
            pass
