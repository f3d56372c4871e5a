"""MLflow's pages, served on this machine for `estimand ui`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from framework.errors import SafetyError, SpecError, StorageError

_START_SECONDS = 120.0
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_LAST_PORT = 65535


def demand_local(host: str, port: int) -> None:
    """Refuse to listen where other machines can reach the pages.

    Raises:
        SafetyError: X40 the host is not this machine.
    """
    if host not in _LOOPBACK:
        raise SafetyError(
            "X40",
            f"MLflow would listen on {host}",
            why="Its pages have no password: everybody on the network could read "
            "and delete runs.",
            fix=f"leave the host at 127.0.0.1 and use `ssh -L {port}:127.0.0.1:{port}`",
        )


def demand_free(host: str, port: int) -> None:
    """Refuse a port that somebody else listens on.

    Raises:
        SpecError: X15 no such port.
        StorageError: R25 the port is taken.
    """
    if not 0 < port <= _LAST_PORT:
        raise SpecError(
            "X15", f"{port} is no port", fix=f"a number from 1 to {_LAST_PORT}"
        )
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StorageError(
                "R25",
                f"port {port} of {host} is taken ({error.strerror})",
                fix=f"`estimand ui --port {port + 1}`",
            ) from error


def serve_store(
    options: Sequence[str],
    *,
    host: str,
    port: int,
    environment: Mapping[str, str],
    log: Path,
    ready: Callable[[str], None] | None,
) -> int:
    """Run the server until it ends or this process is interrupted.

    Args:
        options: of `mlflow server`, without the store: that stands in `environment`.
        host: this machine's own address.
        port: a free port.
        environment: set beside this process' own.
        log: file for what the server says.
        ready: called with the address once it answers.

    Returns:
        The server's exit code, 0 after an interruption.

    Raises:
        StorageError: R22 it does not start.
    """
    command = [sys.executable, "-m", "mlflow", "server", *options]
    command += ["--workers", "1", "--host", host, "--port", str(port)]
    with (
        _ending_on_signals(),
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - our interpreter, a fixed command, no shell
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        ) as server,
    ):
        try:
            _await(server, host, port, log)
            if ready:
                ready(f"http://{host}:{port}")
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            server.terminate()


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Unwind on SIGTERM, too: a server that nobody owns would keep the port."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    code = 128 + signal.SIGTERM
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(code))
    # Ctrl+C is how a page is closed, not an interruption of work.
    interrupted = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, interrupted)


def _await(server: subprocess.Popen[bytes], host: str, port: int, log: Path) -> None:
    """Wait until the server answers.

    Raises:
        StorageError: R22 it ended, or said nothing for two minutes.
    """
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise StorageError(
        "R22",
        "MLflow's server did not start",
        why=f"Its last words are in {log}.",
        fix="`estimand doctor`, then try again",
    )
