"""Fits that several workers make together, each by who comes to it first.

A fit is claimed on the shelf while it is made and put there when it is; who finds it
claimed makes others first. Which worker made a fit moves no number.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import TypeVar

from framework.contract import Shelf

T = TypeVar("T")
#: Fits quicker than this are made again sooner than found in a file.
WORTH_SECONDS = 0.02
#: Whether to wait for who makes a fit; otherwise `ElsewhereError`.
_WAIT: ContextVar[bool] = ContextVar("wait", default=True)


class ElsewhereError(Exception):
    """Other workers make what is missing, and there may be something else to do."""


def in_any_order(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Results of independent tasks.

    A task whose fits other workers are making comes after the others. A failure is that
    of the first task that fails in their own order, as if nobody else were there.

    Raises:
        Exception: what a task raises.
    """
    found: dict[int, T] = {}
    left, put_off = deque(range(len(tasks))), 0
    while left:
        number = left.popleft()
        try:
            # If all that is left is made elsewhere, the first is waited for.
            with _waiting(put_off > len(left)):
                found[number] = tasks[number]()
        except ElsewhereError:
            left.append(number)
            put_off += 1
        except Exception:
            with _waiting(True):
                for earlier in sorted(n for n in left if n < number):
                    tasks[earlier]()
            raise
        else:
            put_off = 0
    return [found[number] for number in range(len(tasks))]


def made_together(
    shelf: Shelf, key: bytes, sizes: Sequence[int], make: Callable[[int], bytes]
) -> tuple[bytes, bool]:
    """The parts of a value, joined, and whether one of them was made here.

    The value is put on the shelf; its parts are there until it is.

    Args:
        shelf: where parts are claimed and found.
        key: of the value.
        sizes: bytes of every part.
        make: makes a part, by its number.

    Raises:
        ElsewhereError: others make what is missing, inside `in_any_order`.
        Exception: what `make` raises.
    """
    parts = _Parts(shelf, key, sizes, make)
    parts.look_for_all()
    left = [k for k in range(len(sizes)) if not parts.take(k, wait=False)]
    if left and not _WAIT.get():
        raise ElsewhereError
    for k in left:
        parts.take(k, wait=True)
    value = b"".join(parts.found[k] for k in range(len(sizes)))
    if not parts.whole:
        shelf.put(key, value)
    for k in parts.shelved:
        shelf.drop(parts.name(k))
    return value, parts.made


class _Parts:
    """Parts of one value as they are found or made."""

    def __init__(
        self,
        shelf: Shelf,
        key: bytes,
        sizes: Sequence[int],
        make: Callable[[int], bytes],
    ) -> None:
        self._shelf, self._key, self._sizes, self._make = shelf, key, sizes, make
        self.found: dict[int, bytes] = {}
        self.shelved: list[int] = []
        self.made = self.whole = False

    def name(self, k: int) -> bytes:
        return self._key + f"part{k}".encode()

    def take(self, k: int, *, wait: bool) -> bool:
        """Find or make part k; False if another worker makes it."""
        if k in self.found or self._look(k):
            return True
        with self._shelf.claim(self.name(k), wait=wait) as mine:
            # It may have been made since, or all of them.
            if self._look(k) or self.look_for_all():
                return True
            if not mine and not wait:
                return False
            start = time.perf_counter()
            self.found[k], self.made = self._make(k), True
            if time.perf_counter() - start > WORTH_SECONDS:
                self._shelf.put(self.name(k), self.found[k])
                self.shelved.append(k)
        return True

    def _look(self, k: int) -> bool:
        held = self._shelf.get(self.name(k))
        if held is None or len(held) != self._sizes[k]:
            return False
        self.found[k] = held
        self.shelved.append(k)
        return True

    def look_for_all(self) -> bool:
        """Whether the whole value is there."""
        held = self._shelf.get(self._key)
        if held is None or len(held) != sum(self._sizes):
            return False
        at = 0
        for k, size in enumerate(self._sizes):
            self.found[k] = held[at : at + size]
            at += size
        self.whole = True
        return True


@contextlib.contextmanager
def _waiting(wait: bool) -> Iterator[None]:
    token = _WAIT.set(wait)
    try:
        yield
    finally:
        _WAIT.reset(token)
