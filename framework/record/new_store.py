"""An empty store as the installed MLflow leaves one, made without loading MLflow.

MLflow makes the tables of its first version and walks through every migration since:
two seconds, as long as a small study. `mlflow-<version>.sql` are the tables it ends
with. Of a version that has no such file MLflow makes its store itself.

`python -m framework.record.new_store` writes the file of the installed version;
`tests/commands/test_new_store.py` compares it with what MLflow makes.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

#: MLflow's experiment 0. It would put the working directory into the SQL as text, and a
#: path with two kinds of quotation marks breaks that.
DEFAULT = (
    "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage,"
    " creation_time, last_update_time, workspace)"
    " VALUES (0, 'Default', :place, 'active', :now, :now, 'default')"
)
_INDEX = ("CREATE INDEX", "CREATE UNIQUE INDEX")


def file_of(version: str) -> Path:
    """Where the tables of a version of MLflow are, if they are known."""
    return Path(__file__).with_name(f"mlflow-{version}.sql")


def make(database: Path, version: str) -> bool:
    """Make a store where there is no file yet; False if the version is not known.

    Raises:
        sqlite3.Error: the disk refused; what is there is no store.
    """
    tables = file_of(version)
    if not tables.exists():
        return False
    with closing(sqlite3.connect(database, isolation_level=None)) as store:
        store.executescript(tables.read_text(encoding="utf-8"))
        store.execute(DEFAULT, default_experiment())
    return True


def default_experiment() -> dict[str, str | int]:
    """What `DEFAULT` is to be filled with."""
    place = Path("mlruns", "0").resolve().as_uri()
    return {"place": place, "now": round(1000 * time.time())}


def tables_of(database: Path) -> str:
    """All tables, indexes and rows of a store as SQL, without its experiments."""
    with closing(sqlite3.connect(database)) as store:
        begin, *rest, commit = store.iterdump()
    said = [s for s in rest if not s.startswith('INSERT INTO "experiments"')]
    # Migrations make indexes in an order that changes with PYTHONHASHSEED.
    said.sort(key=lambda s: (s.startswith(_INDEX), s if s.startswith(_INDEX) else ""))
    # The lines of MLflow's own statements end in blanks.
    lines = [x.rstrip() for s in (begin, *said, commit) for x in s.splitlines()]
    return "\n".join(lines) + "\n"


def _write() -> None:
    """Write the file of the installed MLflow, which makes a store for it."""
    from importlib.metadata import version

    from framework.record.store_place import TrackingConfig
    from framework.record.tracking import make_by_mlflow

    installed = version("mlflow")
    with tempfile.TemporaryDirectory() as folder:
        tracking = TrackingConfig(Path(folder))
        tracking.database.parent.mkdir()
        make_by_mlflow(tracking)
        text = tables_of(tracking.database)
    path = file_of(installed)
    path.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    _write()
