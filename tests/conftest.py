"""What holds for every test."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

# The same examples on every machine, however slow: whether a change passes is no draw.
# `pytest -m hypothesis --hypothesis-profile=default` looks at others.
settings.register_profile(
    "same",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("same")
# Numbers that stand in our modules are drawn, too: of those that happen to be imported
# by then, which depends on the tests that ran before in the same process.
providers._get_local_constants = lambda: providers._local_constants


def pytest_configure() -> None:
    """A shell starts what follows `&` with interruptions ignored, its children too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
