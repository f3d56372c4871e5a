"""Which process wrote something, and whether it still lives."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def _boot() -> str:
    """An id that changes with every start of the machine."""
    if _BOOT_ID.exists():
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return str(int(psutil.boot_time()))


def this_process() -> str:
    """`host|boot|pid|start`: names this process for ever, even when its pid returns."""
    pid = os.getpid()
    started = psutil.Process(pid).create_time()
    return f"{socket.gethostname()}|{_boot()}|{pid}|{started:.2f}"


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
        process = psutil.Process(int(pid))
        return (
            f"{process.create_time():.2f}" == started
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return False
