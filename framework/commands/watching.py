"""A progress bar on stderr, for work that takes more than a second."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_PATIENCE = 1.0
#: Seconds between two lines in a pipe.
_BETWEEN = 30.0
#: Below this, seconds are said as such.
_SHORT = 100


@dataclass(slots=True)
class Bar:
    """`framework.execute.Progress` on a terminal; silent in pipes and when quick."""

    quiet: bool = False
    _total: int = 0
    _done: int = 0
    _cached: int = 0
    _failed: int = 0
    _started: float = 0.0
    _said: float = 0.0
    _bar: Any = None
    _task: Any = field(default=None)

    def start(self, total: int, cached: int) -> None:
        """Begin; the bar appears only when work is left."""
        self._total, self._cached, self._done = total, cached, cached
        self._started = self._said = time.monotonic()
        if self.quiet or cached == total or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task("estimating", total=total, completed=cached)

    def advance(self, address: str, seconds: float, ok: bool) -> None:
        """One more is over."""
        del seconds
        self._done += 1
        self._failed += not ok
        if self._bar is not None:
            self._bar.update(
                self._task, advance=1, description=f"estimated {address}{self._fallen}"
            )
        elif not self.quiet and time.monotonic() - self._said > _BETWEEN:
            self._said = time.monotonic()
            print(self._how_far(), file=sys.stderr, flush=True)

    @property
    def _fallen(self) -> str:
        return f", {self._failed} failed" if self._failed else ""

    def _how_far(self) -> str:
        pace = (time.monotonic() - self._started) / (self._done - self._cached)
        left = pace * (self._total - self._done)
        return (
            f"{self._done} of {self._total} estimations{self._fallen}, about "
            f"{_clock(left)} left"
        )

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show a data step that takes more than a second, with the seconds so far."""
        if self.quiet:
            yield
            return
        started = time.monotonic()
        shown: list[Any] = []
        timer = threading.Timer(_PATIENCE, _show_step, (name, shown))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            for bar in shown:
                bar.stop()
            took = time.monotonic() - started
            if took > _PATIENCE:
                print(f"data step {name}: {took:.1f} s", file=sys.stderr)

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        took = time.monotonic() - self._started
        if not self.quiet and not sys.stderr.isatty() and took > _PATIENCE:
            print(
                f"{self._done} of {self._total} estimations{self._fallen} "
                f"({self._cached} from earlier runs) in {took:.1f} s",
                file=sys.stderr,
            )


def _clock(seconds: float) -> str:
    """Seconds as who waits reads them: 40 s, 12 min, 3 h 5 min."""
    hours, rest = divmod(round(seconds), 3600)
    if hours:
        return f"{hours} h {rest // 60} min"
    return f"{seconds:.0f} s" if seconds < _SHORT else f"{rest // 60} min"


def _show_step(name: str, shown: list[Any]) -> None:
    """A line in a pipe, a clock on a terminal; the clock goes into `shown`."""
    if not sys.stderr.isatty():
        print(f"data step {name} …", file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    clock = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    clock.start()
    clock.add_task(f"data step {name}")
    shown.append(clock)
