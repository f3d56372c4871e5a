"""Parts of estimations, kept on disk for others that need the same part.

A part is a file named by its key in a folder named by all source files, engines and
Python: another version of any of them finds nothing. A file is written under a
temporary name, renamed when whole, and starts with the hash of its content; one that
is damaged counts as not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from dataclasses import dataclass, field
from pathlib import Path

_HASH = 32
#: Parts of one estimation that wait for its end: those beyond this size are let go.
WAITING_BYTES = 256_000_000


@dataclass(slots=True)
class FolderShelf:
    """Parts in `folder`, which is made when the first one is kept.

    Attributes:
        folder: named by what its parts were computed with.
        waiting: put since the last `keep`.
        size: bytes of them.
    """

    folder: Path
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
        return value if _digest(key, value) == held[:_HASH] else None

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
        self.waiting.clear()
        self.size = 0

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
