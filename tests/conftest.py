"""What holds for every test."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """A shell starts what follows `&` with interruptions ignored, its children too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
