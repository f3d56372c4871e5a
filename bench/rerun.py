"""What a second, identical run computes: nothing."""

from __future__ import annotations

import time
from pathlib import Path

from bench.figures import ESTIMAND, Figure, empty_folder, ratio, run
from framework.cache import source_hash


def cells(folder: Path) -> dict[Path, int]:
    """Finished estimations with their inodes: what is computed again replaces a file.

    Being read again is no computation, though it sets a file's time.
    """
    return {
        path: path.stat().st_ino
        for path in (folder / "runs" / ".cells").rglob("*")
        if path.is_file()
    }


def measure() -> list[Figure]:
    """Files that the second run wrote among the finished estimations, and its time."""
    seconds, found = [], []
    source = source_hash()
    with empty_folder() as folder:
        for _ in range(2):
            start = time.perf_counter()
            run(ESTIMAND, "run", "castle.yaml", cwd=folder)
            seconds.append(time.perf_counter() - start)
            found.append(cells(folder))
    if source_hash() != source:
        raise RuntimeError("the software was changed while it was measured")
    first, second = found
    if not first:
        raise RuntimeError("the first run left no finished estimation to read again")
    new = [path for path, written in second.items() if first.get(path) != written]
    return [
        Figure(
            "estimations that an identical run computes again", len(new), "files", 0
        ),
        ratio("identical run / first run", seconds[1:], seconds[:1]),
    ]
