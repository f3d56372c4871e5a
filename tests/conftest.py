"""What holds for every test."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

# How long an example takes is the machine's. "same" has the same ones everywhere:
# whether a change passes is no draw; `--hypothesis-profile=other` looks at others.
slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("other", slow)
settings.register_profile("same", slow, derandomize=True, database=None)
settings.load_profile("same")
# Numbers that stand in our modules are drawn, too: of those that happen to be imported
# by then, which depends on the tests that ran before in the same process.
assert hasattr(providers, "_get_local_constants"), "hypothesis has renamed it"
providers._get_local_constants = lambda: providers._local_constants


def pytest_configure() -> None:
    """A shell starts what follows `&` with interruptions ignored, its children too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
