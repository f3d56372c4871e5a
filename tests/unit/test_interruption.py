"""A request to stop is heard, even where foreign code swallows it."""

from __future__ import annotations

import os
import signal
import time

import pytest

from framework.commands.interruption import StoppedError, TerminatedError, stoppable

SIGNALS = pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGTERM, TerminatedError), (signal.SIGINT, StoppedError)],
)


@SIGNALS
def test_a_signal_leaves_the_block(number: int, error: type[BaseException]):
    before = signal.getsignal(number)
    went_on = []

    def work() -> None:
        with stoppable():
            os.kill(os.getpid(), number)
            went_on.append(True)

    with pytest.raises(error):
        work()
    assert not went_on
    assert signal.getsignal(number) is before


@SIGNALS
def test_a_swallowed_signal_comes_again(number: int, error: type[BaseException]):
    heard, went_on = [], []

    def work() -> None:
        with stoppable():
            try:
                os.kill(os.getpid(), number)
                time.sleep(60)
            except BaseException as swallowed:  # as engines do
                heard.append(type(swallowed))
            # Nothing is sent from here on: what raises is the request made again.
            time.sleep(60)
            went_on.append(True)

    with pytest.raises(error):
        work()
    assert heard == [error]
    assert not went_on


@SIGNALS
def test_a_signal_that_is_held_raises_at_the_end(
    number: int, error: type[BaseException]
):
    held = []

    def work() -> None:
        with stoppable():
            try:
                os.kill(os.getpid(), number)
            except BaseException as swallowed:  # as engines do
                held.append(swallowed)

    with pytest.raises(error):
        work()
    assert len(held) == 1


def test_what_leaves_the_block_is_not_asked_again():
    with pytest.raises(TerminatedError), stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.3)  # some times longer than it takes to be made again


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stoppable():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
