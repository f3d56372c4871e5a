"""Files that are there whole or not at all, whenever the process is killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from framework.errors import StorageError

#: Files whose way to the disk is awaited at the same time.
_SYNCED_AT_ONCE = 16
#: Seconds of waiting from which on it is said what for.
NOTICED = 1.0


@contextmanager
def storage_errors(doing: str, *, fix: str) -> Iterator[None]:
    """Turn what the disk says into one sentence of ours.

    Raises:
        StorageError: R20 with the path and the system's own words.
    """
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise StorageError(
            "R20",
            f"{doing}: {error.strerror or error}{where}",
            why="Finished estimations are kept in the run store; nothing is lost "
            "and no earlier file was touched.",
            fix=fix,
        ) from error


def sync_folder(folder: Path) -> None:
    """Flush a folder's own entries to disk."""
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Flush every file below a folder, then the folders, deepest first."""
    walked = [(Path(parent), files) for parent, _, files in os.walk(folder)]
    # At the same time: a disk does many in the time of one.
    with ThreadPoolExecutor(_SYNCED_AT_ONCE) as pool:
        list(pool.map(_sync, (parent / name for parent, f in walked for name in f)))
    for parent, _ in reversed(walked):
        _sync(parent)


def replace_text(path: Path, text: str) -> None:
    """Write a small file beside its name, flush it, then give it the name."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def point_latest(folder: Path) -> None:
    """Make `latest` beside a run's folder name it, in one step.

    A symbolic link; a text file with the name where the file system has no links.
    """
    latest = folder.with_name("latest")
    draft = folder.with_name(f".latest.{os.getpid()}.draft")
    draft.unlink(missing_ok=True)
    try:
        draft.symlink_to(folder.name, target_is_directory=True)
    except (OSError, NotImplementedError):
        replace_text(latest, folder.name + "\n")
        return
    try:
        draft.replace(latest)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(latest.parent)


def read_latest(study: Path) -> Path | None:
    """The newest run's folder of `runs/<study>`, None before the first run."""
    latest = study / "latest"
    if latest.is_dir():
        return latest.resolve()
    if latest.is_file():
        named = study / latest.read_text(encoding="utf-8").strip()
        return named if named.is_dir() else None
    return None


@contextmanager
def exclusive(
    path: Path, *, seconds: float, waits: Callable[[], None] | None = None
) -> Iterator[None]:
    """Hold a lock file; the system frees it when the holder dies, however it dies.

    Args:
        path: the file, made where there is none.
        seconds: how long to wait for who has it.
        waits: called once, when the wait is one that a user notices.

    Raises:
        StorageError: R23 after `seconds` of waiting.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as handle:
        begun = time.monotonic()
        said = waits is None
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waited = time.monotonic() - begun
                if waits is not None and not said and waited >= NOTICED:
                    waits()
                    said = True
                if waited >= seconds:
                    raise StorageError(
                        "R23",
                        f"{path} is held by another process for more than "
                        f"{seconds:g} s",
                        why="Two writers at once would spoil the store.",
                        fix="wait for the other run to end, then `estimand rebuild`",
                    ) from None
                time.sleep(0.05)
        yield


@contextmanager
def drafts(folder: Path) -> Iterator[None]:
    """Write drafts in `folder`; drafts that a killed process left behind go first.

    Writers share the lock. Whoever gets it alone knows that no writer lives, so every
    draft in the folder is an orphan.
    """
    with (folder / ".lock").open("a+b") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        except OSError:  # a file system without locks: drafts stay, nothing breaks
            yield
            return
        else:
            for orphan in folder.glob(".*.draft"):
                if orphan.is_symlink() or orphan.is_file():
                    orphan.unlink(missing_ok=True)
                else:
                    shutil.rmtree(orphan, ignore_errors=True)
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield


def remove_quietly(folder: Path) -> None:
    """Remove a draft; a disk too full or too read-only to do so is no new problem."""
    with suppress(OSError):
        shutil.rmtree(folder)
