"""Where the seconds of a run went."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: Place of the time of start among the fields behind a process's name (proc(5)).
_STARTED = 19
#: Lines named one by one below a stage.
_NAMED = 3
#: Seconds below which a part is not worth its line.
_LEAST = 0.05


@dataclass(slots=True)
class Stopwatch:
    """Seconds by stage, in the order in which stages first ended.

    Attributes:
        spent: stage -> wall-clock seconds.
    """

    spent: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.perf_counter)

    @classmethod
    def of_process(cls) -> Stopwatch:
        """Started with this process: what it took to get here is the stage `start`."""
        watch = cls()
        watch._since -= _age()
        watch.lap("start")
        return watch

    def lap(self, stage: str) -> None:
        """What has passed since the last lap belongs to `stage`."""
        now = time.perf_counter()
        self.spent[stage] = self.spent.get(stage, 0.0) + now - self._since
        self._since = now

    def around(
        self, call: Callable[[Path], None] | None, before: str, during: str
    ) -> Callable[[Path], None] | None:
        """The call, as a stage of its own between others."""
        if call is None:
            return None

        def timed(folder: Path) -> None:
            self.lap(before)
            call(folder)
            self.lap(during)

        return timed


def _age() -> float:
    """Seconds since this process was started."""
    try:
        # To a hundredth; psutil would add the boot's time, which is in whole seconds.
        fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2]
        ticks = int(fields.split()[_STARTED]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks
    except (OSError, AttributeError):  # no Linux
        import psutil

        return time.time() - psutil.Process().create_time()


def said(
    spent: Mapping[str, float],
    steps: Mapping[str, float],
    lines: Iterable[tuple[str, float]],
) -> list[str]:
    """The table: stages with their seconds, below them the largest parts.

    Args:
        spent: stage -> seconds.
        steps: data step or reading -> seconds, part of the stage `data`.
        lines: heading.line -> seconds of its estimations in the workers; workers run
            side by side, so these may add up to more than their stage.
    """
    work: dict[str, float] = {}
    for line, seconds in lines:
        work[line] = work.get(line, 0.0) + seconds
    parts = {"data": dict(steps), "estimations": work}
    table = [f"Where the seconds went: {sum(spent.values()):.1f} s"]
    for stage, seconds in spent.items():
        table.append(f"  {seconds:7.2f}  {stage}{_largest(parts.get(stage, {}))}")
    return table


def _largest(parts: Mapping[str, float]) -> str:
    worth = sorted(
        ((name, s) for name, s in parts.items() if s >= _LEAST), key=lambda p: -p[1]
    )
    if not worth:
        return ""
    named = [f"{name} {seconds:.2f}" for name, seconds in worth[:_NAMED]]
    rest = sum(seconds for _, seconds in worth[_NAMED:])
    if rest >= _LEAST:
        named.append(f"others {rest:.2f}")
    return f" ({', '.join(named)})"
