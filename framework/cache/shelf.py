"""Parts of estimations, kept on disk for others that need the same part.

A part is a file named by its key in a folder named by all source files, engines and
Python: another version of any of them finds nothing. A file is written under a
temporary name, renamed when whole, and starts with the hash of its content; one that
is damaged counts as not there. All folders together have a bound: beyond it the parts
that were written or read longest ago go.

Who makes a part claims it: a lock on one byte of a file, at a place that the key names,
which the kernel frees when its process ends. A claim saves work and decides no number:
where it cannot be had, or not in time, a part is made twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_HASH = 32
#: What is kept of all versions together, some 40,000 predictions of 3,000 rows.
KEPT_BYTES = 2_000_000_000
#: Share of the bound that is left after it was met, so that not every keep meets it.
_LEFT = 0.9
#: Seconds that a claim of another process is respected: it may have been suspended.
PATIENCE = 60.0
#: Seconds between two looks at a claim, at first and at most.
_LOOK, _LONG_LOOK = 0.002, 0.05
_CLAIMS = ".claims"
#: Seconds after which a draft that nobody has finished is nobody's.
_ABANDONED = 3_600.0


@dataclass(frozen=True, slots=True, order=True)
class _Part:
    """A file: when it was last asked for (ns), where it is, its bytes."""

    asked: int
    path: Path
    size: int


@dataclass(slots=True)
class FolderShelf:
    """Parts in `folder`, which is made when the first one is kept.

    Attributes:
        folder: named by what its parts were computed with.
        root: folder of the folders of all versions, which share the bound; None = this
            one alone.
        limit: the bound, in bytes.
        sound: called before a part is kept; raises if it was not computed with what
            the folder is named by.
        kept: whether a part was kept.
    """

    folder: Path
    root: Path | None = None
    limit: int = KEPT_BYTES
    sound: Callable[[], None] | None = None
    kept: bool = False

    def get(self, key: bytes) -> bytes | None:
        """The part, if it is there and whole."""
        try:
            held = self._path(key).read_bytes()
        except OSError:
            return None
        value = held[_HASH:]
        if _digest(key, value) != held[:_HASH]:
            return None
        with contextlib.suppress(OSError):  # a folder that may only be read
            os.utime(self._path(key))
        return value

    def put(self, key: bytes, value: bytes) -> None:
        """Keep a part. A disk that is full loses it, never an estimation.

        Raises:
            WorkerError: W06 source files have changed (`sound` says so).
        """
        if self.sound is not None:
            self.sound()
        with contextlib.suppress(OSError):
            self._write(key, value)
            self.kept = True

    def drop(self, key: bytes) -> None:
        """Forget a part."""
        with contextlib.suppress(OSError):
            self._path(key).unlink()

    @contextlib.contextmanager
    def claim(self, key: bytes, *, wait: bool) -> Iterator[bool]:
        """Say that this process makes a part, until the end of the block.

        Args:
            key: of the part.
            wait: until who makes it has done so, or died; a minute at most.

        Returns:
            False if another process makes it.
        """
        place = int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 2
        mine = True
        with contextlib.suppress(OSError):  # no locks there: nobody makes it
            claims = _claims(self.folder)
            mine = _locked(claims, place, PATIENCE if wait else 0.0)
        try:
            yield mine
        finally:
            if mine:
                with contextlib.suppress(OSError):
                    fcntl.lockf(_claims(self.folder), fcntl.LOCK_UN, 1, place)

    def make_room(self) -> None:
        """Hold the bound, if a part was kept."""
        if self.kept:
            with contextlib.suppress(OSError):
                self._make_room()
        self.kept = False

    def _make_room(self) -> None:
        """Let the parts go that were asked for longest ago. Another worker may, too."""
        parts = sorted(self._parts())
        size = sum(part.size for part in parts)
        if size <= self.limit:
            return
        for part in parts:
            if size <= _LEFT * self.limit:
                return
            part.path.unlink(missing_ok=True)
            size -= part.size

    def _parts(self) -> Iterator[_Part]:
        folders = [self.folder]
        if self.root is not None:
            folders = [Path(f.path) for f in os.scandir(self.root) if f.is_dir()]
        for folder in folders:
            for file in os.scandir(folder):
                if file.name == _CLAIMS or not file.is_file():
                    continue
                with contextlib.suppress(FileNotFoundError):
                    about = file.stat()
                    if file.name.startswith("."):
                        # A draft is its worker's, which may have been killed.
                        if time.time() - about.st_mtime > _ABANDONED:
                            Path(file.path).unlink()
                        continue
                    yield _Part(about.st_mtime_ns, Path(file.path), about.st_size)

    def _write(self, key: bytes, value: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f".{uuid.uuid4().hex}.draft"
        try:
            draft.write_bytes(_digest(key, value) + value)
            draft.replace(self._path(key))
        finally:
            draft.unlink(missing_ok=True)

    def _path(self, key: bytes) -> Path:
        return self.folder / hashlib.sha256(key).hexdigest()


@cache
def _claims(folder: Path) -> int:
    """The file of the claims: open for good, closing it would free all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    return os.open(folder / _CLAIMS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _locked(descriptor: int, place: int, patience: float) -> bool:
    """Whether the byte could be locked before patience ended."""
    end, pause = time.monotonic() + patience, _LOOK
    while True:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= end:
                return False
        else:
            return True
        time.sleep(pause)
        pause = min(2 * pause, _LONG_LOOK)


def _digest(key: bytes, value: bytes) -> bytes:
    """Of key and value: a file under another name is not whole either."""
    return hashlib.sha256(len(key).to_bytes(8, "big") + key + value).digest()
