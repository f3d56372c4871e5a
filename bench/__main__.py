"""Run every measurement, or those named: `python -m bench startup rerun`."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time

from bench.figures import Figure

#: Quick ones first; each module has one function, `measure`.
MEASUREMENTS = (
    "startup",
    "overhead",
    "recording",
    "rerun",
    "memory",
    "cold",
    "efficiency",
    "spatial",
    "staggered",
    "honest",
    "double_ml",
)


def main(names: list[str]) -> int:
    """Print one line per figure; 1 if a bound was missed."""
    unknown = set(names) - set(MEASUREMENTS)
    if unknown:
        print(f"no measurement {sorted(unknown)}; there are {list(MEASUREMENTS)}")
        return 2
    print(
        f"Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} cores"
    )
    figures: list[Figure] = []
    for name in names or MEASUREMENTS:
        start = time.perf_counter()
        found = importlib.import_module(f"bench.{name}").measure()
        print(f"\n{name} ({time.perf_counter() - start:.0f} s)")
        for figure in found:
            print(f"  {figure}", flush=True)
        figures += found
    missed = [figure.name for figure in figures if not figure.holds]
    print(f"\n{len(figures)} figures, {len(missed)} bounds missed")
    return 1 if missed else 0


sys.exit(main(sys.argv[1:]))
