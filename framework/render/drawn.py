"""What was drawn before, kept by what it shows: a second identical run draws nothing.

A kept file is never trusted by its name alone: it carries the hash of its content, and
one that fails it is drawn again. Losing the folder loses time, nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from framework.cache import engines_hash, source_hash

if TYPE_CHECKING:
    from framework.render.run import Heading, RunFolder
    from framework.render.table import Table

#: Kept files; beyond, the older half goes.
_MOST_KEPT = 4000


@dataclass(frozen=True, slots=True)
class Drawn:
    """Documents and figures by key.

    Attributes:
        folder: where they are kept; None keeps nothing.
    """

    folder: Path | None = None

    def get(
        self, key: str, make: Callable[[], Mapping[str, bytes]]
    ) -> Mapping[str, bytes]:
        """The files of a key: as kept, or made and kept.

        A folder that cannot be written costs the next run time, not this run its files.
        """
        if self.folder is None:
            return make()
        path = self.folder / key[:2] / key
        kept = _read(path)
        if kept is not None:
            return kept
        files = make()
        with suppress(OSError):
            _write(path, files)
        return files

    def tidy(self) -> None:
        """Forget the older half where there are very many."""
        if self.folder is None or not self.folder.is_dir():
            return
        with suppress(OSError):
            found = [p for p in self.folder.glob("*/*") if p.is_file()]
            if len(found) > _MOST_KEPT:
                found.sort(key=lambda p: p.stat().st_mtime)
                for path in found[: len(found) // 2]:
                    path.unlink(missing_ok=True)


def table_key(table: Table, form: str) -> str:
    """Key of a table in one format."""
    return _hash("table", form, repr(table))


def heading_key(run: RunFolder, heading: Heading, formats: Sequence[str]) -> str:
    """Key of a heading's figures: all that any of them can show.

    How long an estimation took, and whether it was cached, is shown by none.
    """
    from framework.render.figures import has_wide_labels

    columns = [replace(c, seconds=0.0, cached=False) for c in heading.columns]
    baseline = run.baseline
    return _hash(
        "figures",
        *formats,
        repr((heading.name, heading.options, columns)),
        repr(replace(baseline, seconds=0.0, cached=False) if baseline else None),
        repr(sorted(run.labels.items())),
        repr(has_wide_labels(run, heading)),
        json.dumps(run.multiverses, sort_keys=True, default=str),
        *_files(run, [f for c in heading.columns for f in c.frames.values()]),
    )


def data_key(run: RunFolder, formats: Sequence[str]) -> str:
    """Key of the figures that the data steps leave behind."""
    return _hash(
        "data",
        *formats,
        repr(run.data_plots),
        repr(sorted(run.labels.items())),
        *_files(run, list(run.data_frames.values())),
    )


def _files(run: RunFolder, names: Sequence[str]) -> list[str]:
    """Name and hash of every frame."""
    found = []
    for name in sorted(set(names)):
        path = run.path / name
        content = path.read_bytes() if path.is_file() else b""
        found.append(f"{name} {hashlib.sha256(content).hexdigest()}")
    return found


def _hash(*parts: str) -> str:
    digest = hashlib.sha256()
    for part in (source_hash(), engines_hash(), *parts):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part.encode())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, bytes] | None:
    """The files of a key; None where they are not there, or not as they were written."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        about = json.loads(head)
        if hashlib.sha256(body).hexdigest() != about["sha256"]:
            return None
        files, start = {}, 0
        for name, size in about["files"]:
            files[str(name)] = body[start : start + size]
            start += size
    except (OSError, ValueError, KeyError, TypeError):
        return None
    with suppress(OSError):
        os.utime(path)  # used: the last to be forgotten
    return files


def _write(path: Path, files: Mapping[str, bytes]) -> None:
    body = b"".join(files.values())
    about = {
        "sha256": hashlib.sha256(body).hexdigest(),
        "files": [[name, len(content)] for name, content in files.items()],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(json.dumps(about).encode() + b"\n" + body)
    temporary.replace(path)


__all__ = ["Drawn", "data_key", "heading_key", "table_key"]
