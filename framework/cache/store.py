"""Finished estimations and prepared panels on disk, whole or not there.

A folder is written under a temporary name, the list of hashes (`done`) last, and then
renamed: whatever instant a process is killed, a name either holds everything or does
not exist. What is read is verified against the hashes, so a folder that a power cut or
a bad disk has damaged is a miss, never a number. `sync` brings what was saved to the
disk, many cells at a time: a wait for the disk after each would cost as much as the
estimations.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import mmap
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from framework.cache.cells import Cell, Failure
from framework.cache.identity import computed_with
from framework.cache.plain import from_plain, to_plain
from framework.cache.shelf import FolderShelf
from framework.errors import Phase, Problem, StorageError
from framework.panel import Calendar, LedgerLine, Panel
from framework.result import Plot, Result, Test

if TYPE_CHECKING:
    import pandas as pd

_FORMAT = 1
_DONE = "done"
_TEMPORARY = ".writing-"
_DAMAGED = ".damaged"
#: A temporary folder that nobody holds is left over once it is this old (seconds).
_GRACE = 60.0
#: Others may put theirs in place while a damaged one is put aside.
_PUT_ATTEMPTS = 5
#: Space that is left free on the disk (bytes).
_RESERVE = 16 * 2**20
#: Files whose way to the disk is awaited at the same time.
_SYNCED_AT_ONCE = 16
#: Cells whose files are listed at the same time: a list is some kB a cell.
_SYNCED_TOGETHER = 100
#: What a refusal says; its address and place belong to who asked.
_SAID = ("code", "what", "why", "fix", "path", "acknowledge")
T = TypeVar("T")
_ENTRY = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<name>[a-z0-9-]+\.[a-z]+)")
_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Store:
    """Cells in `<root>/.cells/<fingerprint>/`, panels in `<root>/.cells/panels/<key>/`.

    What a design cannot answer has no cell; that it was refused, and why, is kept in
    `<root>/.cells/refused/<fingerprint>/`.

    Safe for any number of processes at once; the numbers of a name never change.

    Attributes:
        root: the folder of runs.
    """

    root: Path

    def contains(self, fingerprint: str) -> bool:
        """Whether a finished estimation is there (`load` verifies its content)."""
        return (self._cell(fingerprint) / _DONE).exists()

    def load(self, fingerprint: str) -> Cell | None:
        """The finished estimation, or None; a damaged one is moved aside.

        Raises:
            StorageError: the disk does not let us read what is there.
        """
        return self._read(self._cell(fingerprint), _read_cell)

    def save(self, cell: Cell) -> None:
        """Keep a finished estimation.

        Raises:
            StorageError: R10 no room, R11 not writable, R12 a value without a form on
                disk. What was there before is untouched.
        """
        result = cell.result
        frames = {"coefficients": result.coefficients}
        if result.influence is not None:
            frames["influence"] = result.influence
        if cell.draws is not None:
            frames["draws"] = cell.draws
        named = _numbered(result.frames, frames)
        about = {
            "fingerprint": cell.fingerprint,
            "scalars": result.scalars,
            "tests": [asdict(test) for test in result.tests],
            "plots": [_plot_fields(plot) for plot in result.plots],
            "result_notes": result.notes,
            "frames": named,
            "ledger": [asdict(line) for line in cell.ledger],
            "labels": cell.labels,
            "notes": cell.notes,
            "acknowledged": cell.acknowledged,
            "seconds": cell.seconds,
        }
        self._write(self._cell(cell.fingerprint), frames, about)

    def save_refusal(self, fingerprint: str, failure: Failure) -> None:
        """Keep why a design gives no number; errors as `save`.

        Raises:
            ValueError: not every problem is the design's: what a machine, an engine or
                a limit has done may go well the next time, so it is never kept.
        """
        if any(problem.phase is not Phase.DESIGN for problem in failure.problems):
            raise ValueError("only what a design cannot answer is kept as refused")
        about = {
            "fingerprint": fingerprint,
            "problems": [
                {name: getattr(problem, name) for name in _SAID}
                for problem in failure.problems
            ],
            "trace": failure.trace,
        }
        self._write(self._refused(fingerprint), {}, about)

    def load_refusal(self, fingerprint: str) -> Failure | None:
        """Why there is no number, without the address of who asked; or None."""
        return self._read(self._refused(fingerprint), _read_refusal)

    def panel_path(self, key: str) -> Path:
        """Where the prepared panel's rows are, or would be: an Arrow file."""
        return self._panel(key) / "panel.arrow"

    def contains_panel(self, key: str) -> bool:
        """Whether the prepared panel is there (`load_panel` verifies its content)."""
        return (self._panel(key) / _DONE).exists()

    def save_panel(self, panel: Panel) -> None:
        """Keep a prepared panel under its key; errors as `save`."""
        frames = {"panel": panel.frame}
        named = _numbered(panel.frames, frames)
        about = {
            "key": panel.key,
            "unit": panel.unit,
            "time": panel.time,
            "labels": panel.labels,
            "ledger": [asdict(line) for line in panel.ledger],
            "frames": named,
            "notes": panel.notes,
            "plots": [_plot_fields(plot) for plot in panel.plots],
            "calendar": panel.calendar and asdict(panel.calendar),
            "unusable": panel.unusable,
        }
        self._write(self._panel(panel.key), frames, about)
        folder = self._panel(panel.key)
        _sync(*folder.iterdir(), folder)

    def load_panel(self, key: str) -> Panel | None:
        """The prepared panel, or None; a damaged one is moved aside."""
        return self._read(self._panel(key), _read_panel)

    def sync(self, fingerprints: Iterable[str] = ()) -> None:
        """Bring cells and all names to the disk.

        Before this call a power cut may lose what was saved last; a kill may not.

        Args:
            fingerprints: cells that were saved since the last call.

        Raises:
            StorageError: R11, the disk fails.
        """
        folders = [f for f in (self._cells, self._cells / "panels") if f.exists()]
        left = iter(fingerprints)
        try:
            while some := list(islice(left, _SYNCED_TOGETHER)):
                cells = [self._cell(fingerprint) for fingerprint in some]
                files = [f for cell in cells if cell.exists() for f in cell.iterdir()]
                _sync(*files, *cells)
            _sync(*folders)
        except OSError as error:
            raise self._unwritable(error) from error

    def clear_leftovers(self) -> int:
        """Remove what dead processes left half written; how many folders.

        A writer holds a lock on its folder for as long as it lives, on whatever
        machine, so a folder that can be locked belongs to nobody.
        """
        removed = 0
        for folder in self._cells.glob(f"{_TEMPORARY}*"):
            with contextlib.suppress(OSError):
                if time.time() - folder.stat().st_mtime > _GRACE:
                    with _held(folder):
                        shutil.rmtree(folder)
                        removed += 1
        return removed

    def shelf(self, sound: Callable[[], None] | None = None) -> FolderShelf:
        """Parts of estimations by the source files and engines of this process.

        Args:
            sound: raises once source files have changed since they were hashed.
        """
        parts = self._cells / "parts"
        return FolderShelf(parts / computed_with(), root=parts, sound=sound)

    @property
    def _cells(self) -> Path:
        return self.root / ".cells"

    def _cell(self, fingerprint: str) -> Path:
        return self._cells / _slug(fingerprint)

    def _refused(self, fingerprint: str) -> Path:
        return self._cells / "refused" / _slug(fingerprint)

    def _panel(self, key: str) -> Path:
        return self._cells / "panels" / _slug(key)

    def _read(
        self, folder: Path, parse: Callable[[_Files], T], *, again: bool = True
    ) -> T | None:
        try:
            return parse(_Files(folder))
        except (_DamagedError, ValueError, KeyError, TypeError, IndexError):
            self._put_aside(folder)
            return None
        except (FileNotFoundError, NotADirectoryError):
            if not folder.exists():
                return None
            if again:
                # Another process may have put it in place since we looked: what has
                # its name now is whole, so it is read once more.
                return self._read(folder, parse, again=False)
            self._put_aside(folder)
            return None
        except OSError as error:
            raise StorageError(
                "R11",
                f"cannot read '{folder}': {error.strerror or error}",
                fix="check the permissions of the folder of runs and its disk",
            ) from error

    def _put_aside(self, folder: Path) -> None:
        """Out of the way, but kept for who wants to know what happened."""
        shelf = self._cells / _DAMAGED
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            shelf.mkdir(exist_ok=True)
            folder.rename(shelf / f"{folder.name}-{time.time_ns()}")

    def _write(
        self,
        folder: Path,
        frames: Mapping[str, pd.DataFrame],
        about: Mapping[str, Any],
    ) -> None:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._check_room(frames)
            with self._temporary() as temporary:
                _fill(temporary, frames, about)
                self._put_in_place(temporary, folder)
        except OSError as error:
            raise self._unwritable(error) from error
        except (TypeError, ValueError) as error:
            raise StorageError(
                "R12",
                f"this result has no exact form on disk: {error}",
                fix="the plugin should return numbers, text and dates only",
            ) from error

    def _unwritable(self, error: OSError) -> StorageError:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        return StorageError(
            "R10" if full else "R11",
            f"cannot write to '{self.root}': {error.strerror or error}",
            why="the estimation is done but cannot be kept; finished ones are safe",
            fix="make room and run again: finished estimations are not repeated"
            if full
            else "check the permissions of the folder of runs",
        )

    def _check_room(self, frames: Mapping[str, pd.DataFrame]) -> None:
        needed = 8 * sum(frame.size for frame in frames.values()) + _RESERVE
        free = shutil.disk_usage(self.root).free
        if free < needed:
            raise OSError(
                errno.ENOSPC,
                f"{free / 2**20:.0f} MB free, {needed / 2**20:.0f} MB needed",
            )

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Path]:
        path = self._cells / f"{_TEMPORARY}{uuid.uuid4().hex}"
        path.mkdir()
        try:
            with _held(path):
                yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def _put_in_place(self, temporary: Path, folder: Path) -> None:
        for attempt in range(_PUT_ATTEMPTS):
            try:
                temporary.rename(folder)
            except OSError as error:
                taken = error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}
                if not taken or attempt == _PUT_ATTEMPTS - 1:
                    raise
            else:
                return
            # Somebody finished the same estimation: equal by construction.
            try:
                _Files(folder)
            except (_DamagedError, OSError):
                self._put_aside(folder)
            else:
                return


class _DamagedError(Exception):
    """The content is not what was written."""


class _Files:
    """The verified files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = (folder / _DONE).read_text(encoding="utf-8").splitlines()
        self._content = {}
        for line in listed:
            entry = _ENTRY.fullmatch(line)
            if entry is None:
                raise _DamagedError(_DONE)
            content = _mapped(folder / entry["name"])
            if hashlib.sha256(content).hexdigest() != entry["digest"]:
                raise _DamagedError(entry["name"])
            self._content[entry["name"]] = content

    def about(self) -> dict[str, Any]:
        """The values beside the frames."""
        stored = json.loads(bytes(self._content["about.json"]))
        if stored.pop("format") != _FORMAT:
            raise _DamagedError("format")
        # A list of hashes that lost a line must not lose its file in silence.
        if {*stored.pop("files"), "about.json"} != set(self._content):
            raise _DamagedError(_DONE)
        about: dict[str, Any] = from_plain(stored)
        return about

    def frame(self, name: str) -> pd.DataFrame:
        import pyarrow as pa

        from framework.cache.frames import read_frame

        return read_frame(pa.py_buffer(self._content[f"{name}.arrow"]))

    def has(self, name: str) -> bool:
        return f"{name}.arrow" in self._content


def _read_cell(files: _Files) -> Cell:
    about = files.about()
    if about["fingerprint"] != files.folder.name:
        raise _DamagedError("fingerprint")
    result = Result(
        coefficients=files.frame("coefficients"),
        influence=files.frame("influence") if files.has("influence") else None,
        scalars=about["scalars"],
        tests=tuple(Test(**test) for test in about["tests"]),
        frames={name: files.frame(file) for name, file in about["frames"].items()},
        plots=tuple(Plot(**plot) for plot in about["plots"]),
        notes=about["result_notes"],
    )
    return Cell(
        fingerprint=about["fingerprint"],
        result=result,
        ledger=tuple(LedgerLine(**line) for line in about["ledger"]),
        labels=about["labels"],
        draws=files.frame("draws") if files.has("draws") else None,
        notes=about["notes"],
        acknowledged=about["acknowledged"],
        seconds=about["seconds"],
    )


def _read_refusal(files: _Files) -> Failure:
    about = files.about()
    if about["fingerprint"] != files.folder.name:
        raise _DamagedError("fingerprint")
    problems = tuple(Problem(Phase.DESIGN, **said) for said in about["problems"])
    return Failure(problems, about["trace"])


def _read_panel(files: _Files) -> Panel:
    about = files.about()
    if about["key"] != files.folder.name:
        raise _DamagedError("key")
    return Panel(
        frame=files.frame("panel"),
        unit=about["unit"],
        time=about["time"],
        labels=about["labels"],
        ledger=tuple(LedgerLine(**line) for line in about["ledger"]),
        frames={name: files.frame(file) for name, file in about["frames"].items()},
        notes=about["notes"],
        plots=tuple(Plot(**plot) for plot in about["plots"]),
        key=about["key"],
        calendar=Calendar(**about["calendar"]) if about["calendar"] else None,
        unusable=about["unusable"],
    )


def _numbered(
    named: Mapping[str, pd.DataFrame], frames: dict[str, pd.DataFrame]
) -> dict[str, str]:
    """Add `named` to `frames` under file names of ours; name -> file."""
    files = {name: f"frame-{i}" for i, name in enumerate(named)}
    frames.update({files[name]: frame for name, frame in named.items()})
    return files


def _plot_fields(plot: Plot) -> dict[str, Any]:
    # Not asdict: it deep-copies the options, which may be a read-only mapping.
    return {
        "kind": plot.kind,
        "frame": plot.frame,
        "title": plot.title,
        "options": plot.options,
    }


def _fill(
    folder: Path, frames: Mapping[str, pd.DataFrame], about: Mapping[str, Any]
) -> None:
    from framework.cache.frames import write_frame

    for name, frame in frames.items():
        write_frame(frame, folder / f"{name}.arrow")
    head = {"format": _FORMAT, "files": [f"{name}.arrow" for name in frames]}
    text = json.dumps({**head, **to_plain(about)}, ensure_ascii=False)
    (folder / "about.json").write_text(text, encoding="utf-8")
    written = sorted(folder.iterdir())
    # The form of sha256sum: `sha256sum -c done` checks a folder by hand.
    lines = [f"{_hash(path)}  {path.name}\n" for path in written]
    (folder / _DONE).write_text("".join(lines), encoding="utf-8")


def _hash(path: Path) -> str:
    return hashlib.sha256(_mapped(path)).hexdigest()


def _mapped(path: Path) -> mmap.mmap | bytes:
    """The bytes of a file, large ones without a copy in memory."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < 2**20:
            return file.read()
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _sync(*paths: Path) -> None:
    """Bring files and folders to the disk; returns when all are there."""
    # At the same time: a disk does many in the time of one.
    with ThreadPoolExecutor(_SYNCED_AT_ONCE) as pool:
        list(pool.map(_sync_one, paths))


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        full = getattr(fcntl, "F_FULLFSYNC", None)
        if full is not None:
            # macOS: fsync alone leaves the data in the memory of the disk. Not every
            # file system there knows more than fsync.
            with contextlib.suppress(OSError):
                fcntl.fcntl(descriptor, full)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """An exclusive lock on a folder, freed by the kernel when its holder dies.

    Raises:
        BlockingIOError: somebody holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _slug(name: str) -> str:
    if not _KEY.fullmatch(name):
        raise ValueError(f"'{name}' is no fingerprint or key")
    return name
