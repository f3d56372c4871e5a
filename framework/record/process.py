"""Which process wrote something, and whether it still lives."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Place of the time of start among the fields behind a process's name (proc(5)).
_STARTED = 19


def _boot() -> str:
    """An id that changes with every start of the machine."""
    if _BOOT_ID.exists():
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return str(int(psutil.boot_time()))


def this_process() -> str:
    """`host|boot|pid|start`: names this process for ever, even when its pid returns."""
    pid = os.getpid()
    return f"{socket.gethostname()}|{_boot()}|{pid}|{_started(pid)}"


def _started(pid: int) -> str:
    """When a process began, by a clock that nobody sets where there is one.

    Raises:
        psutil.NoSuchProcess: there is none.
    """
    if sys.platform != "linux":
        return f"{psutil.Process(pid).create_time():.2f}"
    # psutil adds the time of day of the boot, which moves when the clock is set.
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    return fields.rpartition(")")[2].split()[_STARTED]


def is_alive(name: str) -> bool:
    """Whether the process of that name runs; another machine's counts as alive."""
    try:
        host, boot, pid, started = name.split("|")
    except ValueError:
        return False
    if host != socket.gethostname():
        return True
    if boot != _boot():
        return False
    try:
        return (
            _started(int(pid)) == started
            and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return False
