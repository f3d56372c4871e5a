"""Die at the Nth write below a folder, as after kill -9: nothing is cleaned up.

One process imports what the work needs and forks a child for every instant, so that
all instants of a write can be tried. A driver calls `children` and is itself started as
a fresh interpreter without threads: only such a process may fork.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

#: What changes a folder; Python announces each before it is done.
_CHANGES = frozenset(
    {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.truncate"}
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
#: Exit status of a child that died at its instant.
DIED = 9


class Instants:
    """Counts the writes below `root`; at number `last` the process ends on the spot."""

    def __init__(self, root: Path, last: int) -> None:
        self.root, self.last, self.count = f"{root.resolve()}{os.sep}", last, 0
        sys.addaudithook(self._announced)

    def here(self, *_: Any) -> None:
        """One more instant, announced by somebody else (a database's commit)."""
        self.count += 1
        if self.count == self.last:
            os._exit(DIED)

    def _announced(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            if not (isinstance(flags, int) and flags & _WRITING):
                return
        elif event in _CHANGES:
            path = args[0]
        else:
            return
        if isinstance(path, (str, os.PathLike)):
            whole = os.path.abspath(os.fspath(path))  # noqa: PTH100 - resolving opens files, which is announced
            if whole.startswith(self.root):
                self.here()


def children(
    root: Path, work: Callable[[Instants], None], *, first: int = 1, step: int = 1
) -> Iterator[tuple[int, bool]]:
    """Fork a child per instant; (its number, whether it died there), the last did not.

    Args:
        root: writes below it are counted.
        work: done in the child.
        first: the first instant.
        step: instants from one child to the next.
    """
    number = first
    while True:
        status = forked(lambda last=number: work(Instants(root, last)))
        yield number, status == DIED
        if status == 0:
            return
        number += step


def forked(work: Callable[[], None]) -> int:
    """Do it in a child; its exit status, 0 or `DIED`.

    Raises:
        RuntimeError: it ended in another way.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status not in {0, DIED}:
        raise RuntimeError(f"the child ended {status}")
    return status
