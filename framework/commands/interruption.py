"""SIGTERM and SIGINT end a command, whatever code they happen to interrupt."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from framework.errors import TERMINATED

#: Seconds after which a request that foreign code swallowed is made again.
_AGAIN = 0.05


class TerminatedError(SystemExit):
    """SIGTERM, as an exception: what was opened is closed on the way out."""


class StoppedError(KeyboardInterrupt):
    """SIGINT, as an exception that can be watched: the built-in one can't."""


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM and SIGINT raise inside the block, until an exception leaves it.

    Raises:
        TerminatedError: SIGTERM came.
        StoppedError: SIGINT came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    request = _Request()
    before = {
        number: signal.signal(number, request)
        for number in (signal.SIGTERM, signal.SIGINT)
        if signal.getsignal(number) is not signal.SIG_IGN  # as `nohup` and `&` leave it
    }
    try:
        yield
        if request.number:  # held by something until the end
            raise request.error(request.number)
    finally:
        request.number = 0
        for number, handler in before.items():
            signal.signal(number, handler)


class _Request:
    """Asks until it is heard.

    An engine's bare `except:`, or C code that clears errors, swallows the exception, and
    the command would go on as if nothing had been asked. While an exception is on its way
    out something holds it; one that nothing holds any more has been swallowed.
    """

    def __init__(self) -> None:
        self.number = 0  # the signal that was asked with; 0 before, and when it is over
        self._watched: list[weakref.ref[BaseException]] = []

    def __call__(self, number: int, _frame: FrameType | None) -> NoReturn:
        # Not bound to a name: the exception's traceback would keep it alive.
        raise self.error(number)

    def error(self, number: int) -> BaseException:
        """What to raise; its end is watched."""
        self.number = number
        terminated = number == signal.SIGTERM
        made = TerminatedError(TERMINATED) if terminated else StoppedError()
        self._watched.append(weakref.ref(made, self._swallowed))
        return made

    def _swallowed(self, _gone: object) -> None:
        # Raising here would be swallowed as well: this runs where the exception died.
        if self.number:
            later = threading.Timer(_AGAIN, self._ask)
            later.daemon = True
            later.start()

    def _ask(self) -> None:
        if self.number:
            os.kill(os.getpid(), self.number)
