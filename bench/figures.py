"""Figures of the benchmark, and how a command is timed."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
STUDY = ROOT / "specs" / "replications" / "castle_doctrine.yaml"
ESTIMAND = str(Path(sys.executable).with_name("estimand"))


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number.

    Attributes:
        name: what was measured, against what.
        value: the number.
        unit: `x` for a ratio, `s`, `ms`, `MB`, or a count's noun.
        bound: what it may at most be; None where nothing was promised.
        parts: the two sides of the ratio, in words.
        extrapolated: the subset that a slow peer was timed on, `6 of 2,574 programs`;
            "" where it did the whole work.
    """

    name: str
    value: float
    unit: str
    bound: float | None = None
    parts: str = ""
    extrapolated: str = ""

    @property
    def holds(self) -> bool:
        return self.bound is None or self.value <= self.bound

    def __str__(self) -> str:
        bound = "" if self.bound is None else f"at most {self.bound:.3g}"
        verdict = "" if self.bound is None else ("ok" if self.holds else "MISSED")
        row = f"{self.name:<62} {self.measured:>14}  {bound:<16}{verdict:<8}"
        return f"{row}{self.told}".rstrip()

    @property
    def measured(self) -> str:
        """Three digits of the number with its unit; a count in full."""
        whole = float(self.value).is_integer() and abs(self.value) >= 1
        text = f"{self.value:.0f}" if whole else f"{self.value:.3g}"
        return f"{text} {self.unit}"

    @property
    def told(self) -> str:
        """The parts, and what the peer's is extrapolated from."""
        said = f"extrapolated from {self.extrapolated}" if self.extrapolated else ""
        return "; ".join(part for part in (self.parts, said) if part)


def ratio(
    name: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    bound: float | None = None,
    *,
    extra: bool = False,
    extrapolated: str = "",
) -> Figure:
    """Median of ours over median of theirs.

    Args:
        name: of the figure.
        ours: seconds, one per repetition.
        theirs: seconds of the yardstick, taken alternately with ours.
        bound: what the ratio may at most be.
        extra: what ours costs on top of theirs, instead of the whole.
        extrapolated: as in `Figure`.
    """
    own, other = statistics.median(ours), statistics.median(theirs)
    if extra:
        own -= other
    parts = f"{_seconds(own)} / {_seconds(other)}"
    return Figure(name, own / other, "x", bound, parts, extrapolated)


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if abs(value) >= 1 else f"{1000 * value:.1f} ms"


def alternate(
    repetitions: int, **timed: Callable[[], object]
) -> Mapping[str, list[float]]:
    """Seconds of each call, taken in turn so that a busy machine hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(repetitions):
        for name, call in timed.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; a failure shows what it said."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} ended {done.returncode}:\n{done.stderr[-3000:]}")
    return done


#: Linear models only, so that no other engine is loaded; the data ship with a package.
TWFE_STUDY = """\
study: castle
data:
  source: {package: causaldata, dataset: castle}
  panel: {unit: sid, time: year}
model:
  outcome: l_homicide
  treatment: post
  fixed_effects: [sid, year]
  inference: {cluster: sid}
  estimator: twfe
checks:
  baseline: {plain: {}}
  robustness:
    controls: {each: {add.controls: [l_income, l_prisoner, poverty]}}
    states:   {each: {without.sid: every}}
"""
#: Headings, lines and values above, the states counted.
ESTIMATIONS = 54


@contextmanager
def empty_folder() -> Iterator[Path]:
    """A folder that holds the TWFE study as `castle.yaml` and no earlier run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "castle.yaml").write_text(TWFE_STUDY, encoding="utf-8")
        yield folder
