"""Run every measurement, or those named: `python -m bench startup rerun`.

A run of all of them writes `bench/RESULTS.md`; a selection only prints.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path

from bench import peer, results
from bench.figures import Figure

#: Quick ones first; each is a module of `bench` with one function, `measure`.
MEASUREMENTS = (
    "startup",
    "overhead",
    "recording",
    "rerun",
    "memory",
    "thousand",
    "cold",
    "efficiency",
    "spatial",
    "placebo",
    "staggered",
    "honest",
    "double_ml",
    "double_ml_study",
    "double_ml_growth",
)


def selected(words: list[str]) -> tuple[str, ...]:
    """The measurements named, in their own order, all without a name.

    Args:
        words: names, apart or joined by commas.

    Raises:
        ValueError: a name that is none.
    """
    names = [name for word in words for name in word.replace(",", " ").split()]
    if unknown := [name for name in names if name not in MEASUREMENTS]:
        raise ValueError(
            f"no measurement {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}"
        )
    return tuple(m for m in MEASUREMENTS if m in names) if names else MEASUREMENTS


def main(words: list[str], path: Path = results.PATH) -> int:
    """Print one line per figure; 1 if a bound was missed or a measurement failed."""
    try:
        chosen = selected(words)
    except ValueError as error:
        print(error)
        return 2
    machine = results.Machine.now()
    print(machine)
    parts: list[results.Part] = []
    for name in chosen:
        load, start = os.getloadavg()[0], time.perf_counter()
        figures: tuple[Figure, ...] = ()
        failure = ""
        try:
            figures = tuple(importlib.import_module(f"bench.{name}").measure())
        except Exception as error:  # the others are measured all the same
            failure = f"{type(error).__name__}: {error}"
        part = results.Part(name, figures, time.perf_counter() - start, load, failure)
        print(part, flush=True)
        parts.append(part)
    missed = [f for part in parts for f in part.figures if not f.holds]
    failed = [part for part in parts if part.failure]
    total = sum(len(part.figures) for part in parts)
    print(
        f"\n{total} figures, {len(missed)} bounds missed, "
        f"{len(failed)} measurements failed"
    )
    if chosen == MEASUREMENTS:
        path.write_text(results.page(machine, parts), encoding="utf-8")
        print(f"written to {path}")
    return 1 if missed or failed else 0


if __name__ == "__main__":
    if not peer.PINNED.items() <= os.environ.items():
        # Threads and the hash seed are read when Python and its libraries start.
        command = [sys.executable, "-m", "bench", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **peer.PINNED})
    sys.exit(main(sys.argv[1:]))
