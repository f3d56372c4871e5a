"""The default store on the disk: made, current, its copied files; without MLflow."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from filecmp import cmp
from importlib.metadata import version
from pathlib import Path

from framework.record import new_store
from framework.record.storage import replace_text
from framework.record.store_place import TrackingConfig, local_folder

#: Folder of a run's files before the run is in the database.
DRAFT = ".{}.draft"


def made(tracking: TrackingConfig) -> bool:
    """Make our own store where there is none, without loading MLflow.

    The mark is written last. A store without it and without runs was left by a process
    that was killed while making it; MLflow never mends such a store.

    Returns:
        False where there is one, or where only MLflow knows how to make it.
    """
    database, mark = tracking.database, tracking.mark
    for draft in mark.parent.glob(f".{mark.name}.*.draft"):
        draft.unlink()  # of a process that was killed: this one holds the lock
    if is_there(tracking):
        return False
    for name in (database.name, f"{database.name}-journal"):
        database.with_name(name).unlink(missing_ok=True)
    installed = version("mlflow")
    if not new_store.make(database, installed):
        return False
    replace_text(mark, installed)
    return True


def is_there(tracking: TrackingConfig) -> bool:
    """Whether our own store was made, by whatever version.

    One without its mark that holds runs is no draft: somebody took the mark away, or
    MLflow itself has made it.
    """
    database = tracking.database
    if not database.exists() or not database.stat().st_size:
        return False
    return tracking.mark.exists() or _holds_runs(database)


def _holds_runs(database: Path) -> bool:
    """Whether there is a run in a store; one that can't be looked at may have some."""
    try:
        with closing(sqlite3.connect(database)) as store:
            return bool(
                store.execute("SELECT EXISTS(SELECT 1 FROM runs)").fetchone()[0]
            )
    except sqlite3.OperationalError as error:
        return "locked" in str(error)
    except sqlite3.DatabaseError:
        return False


def is_current(tracking: TrackingConfig) -> bool:
    """Whether our own store is one of the installed MLflow."""
    mark = tracking.mark
    marked = mark.read_text(encoding="ascii") if mark.exists() else ""
    return marked == version("mlflow") and tracking.database.exists()


def settle_files(tracking: TrackingConfig) -> None:
    """Copies of a process that was killed: to their run if it is there, else away.

    The caller holds the lock, so nobody is making any.

    Raises:
        sqlite3.Error: the database does not say which runs there are.
        OSError: the disk refused.
    """
    place = local_folder(tracking.artifacts or "")
    drafts = list(place.glob(DRAFT.format("*"))) if place and place.is_dir() else []
    if not drafts:
        return
    with closing(sqlite3.connect(tracking.database)) as store:
        for draft in drafts:
            key = draft.name.removeprefix(".").removesuffix(".draft")
            asked = "SELECT 1 FROM runs WHERE run_uuid = ?"
            if store.execute(asked, [key]).fetchone():
                draft.rename(draft.with_name(key))
            else:
                shutil.rmtree(draft)


def copy_changed(source: Path, local: Path, folder: Path) -> None:
    """Copy a file or a folder's files, what differs only."""
    for file in [source] if source.is_file() else sorted(source.rglob("*")):
        target = local / file.relative_to(folder)
        if file.is_file() and not (target.exists() and cmp(file, target, False)):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
