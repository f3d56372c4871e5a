"""Parts of estimations, kept on disk for others that need the same part.

A part is a file named by its key in a folder named by all source files, engines and
Python: another version of any of them finds nothing. A file is written under a
temporary name, renamed when whole, and starts with the hash of its content; one that
is damaged counts as not there. All folders together have a bound: beyond it the parts
that were written or read longest ago go.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_HASH = 32
#: Parts of one estimation that wait for its end: those beyond this size are let go.
WAITING_BYTES = 256_000_000
#: What is kept of all versions together, some 40,000 predictions of 3,000 rows.
KEPT_BYTES = 2_000_000_000
#: Share of the bound that is left after it was met, so that not every keep meets it.
_LEFT = 0.9


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
        waiting: put since the last `keep`.
        size: bytes of them.
    """

    folder: Path
    root: Path | None = None
    limit: int = KEPT_BYTES
    waiting: dict[bytes, bytes] = field(default_factory=dict)
    size: int = 0

    def get(self, key: bytes) -> bytes | None:
        """The part, if it is there and whole."""
        if key in self.waiting:
            return self.waiting[key]
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
        """Have a part wait until the estimation is known to be sound."""
        if key not in self.waiting and self.size + len(value) <= WAITING_BYTES:
            self.waiting[key] = value
            self.size += len(value)

    def keep(self) -> None:
        """Write what waits. A disk that is full loses parts, never an estimation."""
        with contextlib.suppress(OSError):
            if self.waiting:
                self.folder.mkdir(parents=True, exist_ok=True)
            for key, value in self.waiting.items():
                self._write(key, value)
            if self.waiting:
                self._make_room()
        self.waiting.clear()
        self.size = 0

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
                # Drafts of other workers are theirs.
                if file.name.startswith(".") or not file.is_file():
                    continue
                with contextlib.suppress(FileNotFoundError):
                    about = file.stat()
                    yield _Part(about.st_mtime_ns, Path(file.path), about.st_size)

    def _write(self, key: bytes, value: bytes) -> None:
        draft = self.folder / f".{uuid.uuid4().hex}.draft"
        try:
            draft.write_bytes(_digest(key, value) + value)
            draft.replace(self._path(key))
        finally:
            draft.unlink(missing_ok=True)

    def _path(self, key: bytes) -> Path:
        return self.folder / hashlib.sha256(key).hexdigest()


def _digest(key: bytes, value: bytes) -> bytes:
    """Of key and value: a file under another name is not whole either."""
    return hashlib.sha256(len(key).to_bytes(8, "big") + key + value).digest()
