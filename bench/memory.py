"""Resident memory of a study of linear models, process by process."""

from __future__ import annotations

import subprocess
import tempfile
import time

import psutil

from bench.figures import ESTIMAND, Figure, empty_folder

_MEGABYTE = 1e6
#: Seconds between two looks: processes here live for seconds.
_PAUSE = 0.02


def measure() -> list[Figure]:
    """Peak of the largest process, and of all together (shared pages count in each)."""
    together = 0.0
    peaks: dict[int, float] = {}
    with empty_folder() as folder, tempfile.TemporaryFile("w+") as said:
        parent = psutil.Popen(
            [ESTIMAND, "run", "castle.yaml"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        while parent.poll() is None:
            now: dict[int, float] = {}
            for process in _family(parent):
                try:
                    now[process.pid] = process.memory_info().rss / _MEGABYTE
                except psutil.NoSuchProcess:
                    continue
            for pid, size in now.items():
                peaks[pid] = max(size, peaks.get(pid, 0))
            together = max(together, sum(now.values()))
            time.sleep(_PAUSE)
        if parent.returncode:
            said.seek(0)
            raise RuntimeError(f"the study ended {parent.returncode}:\n{said.read()}")
    largest = max(peaks.values())
    each = ", ".join(f"{size:.0f}" for size in sorted(peaks.values(), reverse=True))
    return [
        Figure("largest process of a TWFE study", largest, "MB", 350, f"peaks: {each}"),
        Figure("all its processes together", together, "MB"),
    ]


def _family(parent: psutil.Process) -> list[psutil.Process]:
    try:
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
