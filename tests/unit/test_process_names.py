"""A name of a process for ever: living, dead, or another one with its number."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

from framework.record.process import is_alive, this_process

NAME = "from framework.record.process import this_process; print(this_process())"


def test_a_process_lives_until_it_ends() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", f"{NAME}; import sys; sys.stdout.flush(); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        name = other.stdout.readline().strip()
        assert is_alive(name)
        other.kill()
        # Dead, and not asked for its status yet: a zombie.
        while psutil.Process(other.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert not is_alive(name)
    assert not is_alive(name)


def test_its_number_may_come_back() -> None:
    host, boot, pid, started = this_process().split("|")
    assert is_alive(f"{host}|{boot}|{pid}|{started}")
    assert not is_alive(f"{host}|{boot}|{pid}|1")
    assert not is_alive(f"{host}|another|{pid}|{started}")
    assert is_alive(f"elsewhere|another|{pid}|1")
    assert not is_alive("nobody")


@pytest.mark.skipif(sys.platform != "linux", reason="where the clock is read apart")
@pytest.mark.parametrize("seconds", [-1.0, 1.0, 3600.0])
def test_a_clock_that_is_set_ends_nobody(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    name = this_process()
    booted = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + seconds)
    assert is_alive(name)
    assert this_process() == name
