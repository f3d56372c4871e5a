"""Parts that several workers make together: each once, whoever makes it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from estimators._double import shared
from estimators._double.shared import ElsewhereError, in_any_order, made_together
from framework.cache import FolderShelf

SIZES = (4, 4, 4)
WHOLE = b"000011112222"


def part(k: int) -> bytes:
    return WHOLE[4 * k : 4 * k + 4]


@dataclass
class Beside:
    """A shelf with another worker, which makes the parts it has claimed when asked.

    Attributes:
        theirs: parts that it has claimed.
        dies: it ends without making them.
    """

    theirs: set[bytes] = field(default_factory=set)
    dies: bool = False
    held: dict[bytes, bytes] = field(default_factory=dict)
    waits: list[bytes] = field(default_factory=list)

    def get(self, key: bytes) -> bytes | None:
        return self.held.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self.held[key] = value

    def drop(self, key: bytes) -> None:
        self.held.pop(key, None)

    @contextlib.contextmanager
    def claim(self, key: bytes, *, wait: bool) -> Iterator[bool]:
        if key in self.theirs and wait:
            self.waits.append(key)
            self.theirs.discard(key)
            if not self.dies:
                self.held[key] = part(int(key[-1:]))
        yield key not in self.theirs


def counted(made: list[int]) -> Callable[[int], bytes]:
    def make(k: int) -> bytes:
        made.append(k)
        return part(k)

    return make


@pytest.fixture(autouse=True)
def every_part_is_worth_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "WORTH_SECONDS", -1.0)


def test_what_another_worker_has_claimed_is_waited_for_last() -> None:
    shelf, made = Beside({b"keypart0"}), list[int]()
    value = made_together(shelf, b"key", SIZES, counted(made))
    assert value == (WHOLE, True)
    assert made == [1, 2]
    assert shelf.waits == [b"keypart0"]
    assert shelf.held == {b"key": WHOLE}  # the parts of it are gone


def test_what_a_dead_worker_had_claimed_is_made() -> None:
    shelf, made = Beside({b"keypart1"}, dies=True), list[int]()
    assert made_together(shelf, b"key", SIZES, counted(made)) == (WHOLE, True)
    assert made == [0, 2, 1]


@pytest.mark.parametrize("held", [WHOLE, WHOLE + b"x", b""])
def test_the_whole_is_taken_as_it_lies_if_it_is_whole(held: bytes) -> None:
    shelf, made = Beside(held={b"key": held}), list[int]()
    assert made_together(shelf, b"key", SIZES, counted(made))[0] == WHOLE
    assert made == ([] if held == WHOLE else [0, 1, 2])


def test_a_whole_that_came_while_a_part_was_claimed_is_taken() -> None:
    shelf, made = Beside(), list[int]()

    def make(k: int) -> bytes:
        shelf.held = {b"key": WHOLE}  # the other worker was quicker
        return counted(made)(k)

    assert made_together(shelf, b"key", SIZES, make)[0] == WHOLE
    assert made == [0]


def test_quick_parts_are_not_worth_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "WORTH_SECONDS", 9.0)
    shelf = Beside()
    shelf.drop = lambda key: pytest.fail(str(key))  # type: ignore[method-assign]  # nothing to drop
    assert made_together(shelf, b"key", SIZES, part) == (WHOLE, True)


def test_tasks_that_wait_come_after_the_others_and_keep_their_places() -> None:
    shelf, done = Beside({b"apart0"}), list[str]()

    def task(name: str) -> str:
        made_together(shelf, name.encode(), SIZES, part)
        done.append(name)
        return name

    tasks = [lambda name=name: task(name) for name in "abc"]
    assert in_any_order(tasks) == ["a", "b", "c"]
    assert done == ["b", "c", "a"]
    assert shelf.waits == [b"apart0"]


def test_the_first_failure_is_told_in_whatever_order() -> None:
    shelf = Beside({b"apart0"})

    def fails(name: str) -> str:
        made_together(shelf, name.encode(), SIZES, part)
        raise ValueError(name)

    with pytest.raises(ValueError, match="a"):
        in_any_order([lambda name=name: fails(name) for name in "ab"])


def test_outside_of_an_order_nobody_is_told_to_come_later() -> None:
    shelf = Beside({f"keypart{k}".encode() for k in range(3)})
    assert made_together(shelf, b"key", SIZES, part) == (WHOLE, False)
    waiting = Beside({b"keypart0"})
    with shared._waiting(False), pytest.raises(ElsewhereError):
        made_together(waiting, b"key", SIZES, part)


# Claims between processes

_HOLDER = """
import sys
from pathlib import Path
from framework.cache import FolderShelf
with FolderShelf(Path(sys.argv[1])).claim(b"a", wait=False) as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has claimed part a."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.communicate()


def test_a_claim_is_one_parts_and_ends_with_its_process(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    shelf = FolderShelf(tmp_path)
    with shelf.claim(b"a", wait=False) as mine:
        assert not mine
    with shelf.claim(b"b", wait=False) as mine:
        assert mine
    holder.kill()
    with shelf.claim(b"a", wait=True) as mine:
        assert mine


def test_who_was_suspended_is_not_waited_for_long(
    tmp_path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framework.cache.shelf.PATIENCE", 0.1)
    start = time.monotonic()
    with FolderShelf(tmp_path).claim(b"a", wait=True) as mine:
        assert not mine
    assert time.monotonic() - start >= 0.1  # s
    assert holder.poll() is None


def test_where_nothing_can_be_claimed_everything_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    shelf = FolderShelf(tmp_path / "file")
    with shelf.claim(b"a", wait=True) as mine:
        assert mine
    shelf.put(b"a", b"1")
    assert shelf.get(b"a") is None
