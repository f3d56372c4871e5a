"""`bench/RESULTS.md`: what one run of all measurements found, and where."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil

from bench import peer
from bench.figures import ROOT, Figure

PATH = Path(__file__).with_name("RESULTS.md")
_HEAD = """\
# Measured

Written by `make bench` from one run; a change made by hand is lost. Ratios are the
durable part: both sides of one are taken in the same run, warm and in turn, each with
one thread, and each peer in its own locked environment (`bench/peers/`). "Extrapolated"
says on which part of the work a slow peer was timed. Milliseconds and the bounds of small
ones depend on the load.
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when a run took place."""

    date: str
    commit: str
    python: str
    system: str
    processor: str
    cores: int
    gigabytes: float
    load: float

    @classmethod
    def now(cls) -> Machine:
        """This machine, this minute."""
        return cls(
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            commit=_commit(),
            python=platform.python_version(),
            system=f"{platform.system()} {platform.machine()}",
            processor=_processor(),
            cores=os.cpu_count() or 1,
            gigabytes=psutil.virtual_memory().total / 1e9,
            load=os.getloadavg()[0],
        )

    def __str__(self) -> str:
        return (
            f"{self.date}, Estimand {metadata.version('estimand')} ({self.commit}), "
            f"Python {self.python}, {self.system}, {self.cores} cores"
            f"{f' ({self.processor})' if self.processor else ''}, "
            f"{self.gigabytes:.0f} GB, load {self.load:.1f} before the run"
        )


@dataclass(frozen=True, slots=True)
class Part:
    """One measurement.

    Attributes:
        load: processes that wanted a core in the minute before it.
        failure: why there is no figure; "" where there is.
    """

    name: str
    figures: tuple[Figure, ...]
    seconds: float
    load: float
    failure: str = ""

    def __str__(self) -> str:
        lines = [f"\n{self.name} ({self.seconds:.0f} s, load {self.load:.1f})"]
        lines += [f"  {figure}" for figure in self.figures]
        if self.failure:
            lines.append(f"  FAILED {self.failure}")
        return "\n".join(lines)


def page(machine: Machine, parts: Sequence[Part]) -> str:
    """The page in Markdown."""
    lines = [_HEAD, f"{machine}.", "", "| peer | with |", "| --- | --- |"]
    for name in peer.names():
        (_, version), *rest = peer.versions(name).items()
        beside = ", ".join(f"{package} {held}" for package, held in rest)
        lines.append(f"| {name} {version} | {beside} |")
    for part in parts:
        lines += ["", f"## {part.name}", ""]
        lines += [f"{part.seconds:.0f} s, load {part.load:.1f} when it began.", ""]
        if part.failure:
            lines.append(f"Failed: {part.failure.splitlines()[0]}")
            continue
        lines += ["| what | measured | at most | | parts |"]
        lines += ["| --- | --- | --- | --- | --- |"]
        lines += [_row(figure) for figure in part.figures]
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> str:
    bound = "" if figure.bound is None else f"{figure.bound:.3g}"
    verdict = "" if figure.bound is None else ("ok" if figure.holds else "**missed**")
    cells = [figure.name, figure.measured, bound, verdict, figure.told]
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _commit() -> str:
    """The commit that is measured, and whether files differ from it."""
    told = _git("rev-parse", "--short=10", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    if not told:
        return "no commit"
    return f"{told} with changes" if changed else told


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    """The processor's name where the system tells it."""
    told = Path("/proc/cpuinfo")
    if not told.exists():
        return platform.processor()
    for line in told.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return ""
