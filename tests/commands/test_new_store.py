"""The store that is made without MLflow is the one that MLflow makes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest

from framework.errors import StorageError
from framework.record import new_store, own_store, tracking, write_run
from framework.record.store_place import TrackingConfig
from framework.record.tracking import rebuild, sync
from tests.build_run import build_run

SYNC = (
    "import sys; from pathlib import Path\n"
    "from framework.record import new_store, tracking\n"
    "from framework.record.store_place import TrackingConfig\n"
    "{before}\n"
    "tracking.sync(Path(sys.argv[1]), TrackingConfig(Path(sys.argv[2])))\n"
    "print(sorted({{'mlflow', 'alembic', 'sqlalchemy'}} & set(sys.modules)))"
)


def synced(folder: Path, runs: Path, before: str = "") -> tuple[str, str]:
    """What a process of its own says that shows a run in a new store."""
    script = SYNC.format(before=before)
    command = [sys.executable, "-c", script, str(folder), str(runs)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def experiments(database: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(database) as store:
        return store.execute(
            "SELECT experiment_id, name, artifact_location, lifecycle_stage, workspace"
            " FROM experiments ORDER BY 1"
        ).fetchall()


def statements(sql: str) -> list[list[str]]:
    """Constraints in any order: MLflow's migrations put them in a set."""
    return [
        sorted(line.strip().rstrip(",") for line in statement.splitlines())
        for statement in sql.split(";\n")
    ]


def columns(database: Path, tables: list[str]) -> dict[str, list[object]]:
    """Columns in their order, with type, default and key."""
    with sqlite3.connect(database) as store:
        return {t: store.execute(f"PRAGMA table_info({t})").fetchall() for t in tables}


def test_it_is_the_store_that_mlflow_makes(tmp_path):
    """Table by table, index by index, row by row; and MLflow takes it as its own.

    The file is of the locked version: after a change of the lock it is written anew by
    `python -m framework.record.new_store`.
    """
    ours, theirs = (TrackingConfig(tmp_path / name) for name in ("ours", "theirs"))
    folders = [write_run(build_run(), config.runs) for config in (ours, theirs)]
    assert synced(folders[0], ours.runs) == ("[]\n", "")
    # Of an unknown version MLflow makes its own; it is as quiet.
    unknown = "new_store.file_of = lambda version: Path('/no/such/file')"
    said, chatter = synced(folders[1], theirs.runs, unknown)
    assert said == "['alembic', 'mlflow', 'sqlalchemy']\n"
    assert chatter == ""
    with sqlite3.connect(theirs.database) as store:
        tables = [
            name
            for (name,) in store.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            )
        ]
    assert len(tables) > 40
    for config in (ours, theirs):
        with sqlite3.connect(config.database) as store:
            # The run itself is compared elsewhere (test_bulk.py).
            for table in tables:
                if table not in {"alembic_version", "workspaces"}:
                    store.execute(f"DELETE FROM {table}")
    made = new_store.tables_of(ours.database)
    assert made == new_store.file_of(version("mlflow")).read_text(encoding="utf-8")
    assert statements(made) == statements(new_store.tables_of(theirs.database))
    assert columns(ours.database, tables) == columns(theirs.database, tables)
    assert 'INSERT INTO "alembic_version"' in made


def test_mlflow_has_nothing_to_mend_in_it(tmp_path):
    from mlflow.store.db.utils import (
        _get_latest_schema_revision,
        _get_schema_version,
        create_sqlalchemy_engine_with_retry,
    )

    config = TrackingConfig(tmp_path)
    sync(write_run(build_run(), tmp_path), config)
    engine = create_sqlalchemy_engine_with_retry(config.store)
    assert _get_schema_version(engine) == _get_latest_schema_revision()
    engine.dispose()
    default, study = experiments(config.database)
    place = Path("mlruns", "0").resolve().as_uri()
    assert default == (0, "Default", place, "active", "default")
    assert study[:2] == (1, "laws")


def test_a_store_is_not_there_before_all_of_it_is(tmp_path, monkeypatch):
    """The tables of a store that could not be finished are no store."""
    config = TrackingConfig(tmp_path)
    folder = write_run(build_run(), tmp_path)

    def broken(*_: object) -> None:
        raise OSError("no room for the mark")

    with monkeypatch.context() as patch:
        patch.setattr(own_store, "replace_text", broken)
        assert not tracking._added(config, tracking.read(folder), "", None)
    assert config.database.exists()
    assert not config.mark.exists()
    sync(folder, config)
    assert [name for _, name, *_ in experiments(config.database)] == ["Default", "laws"]


def test_a_store_with_runs_is_kept_without_its_mark(tmp_path):
    """What somebody else wrote into it cannot be written again."""
    config = TrackingConfig(tmp_path)
    folder = write_run(build_run(), tmp_path)
    sync(folder, config)
    with sqlite3.connect(config.database) as store:
        store.execute("UPDATE experiments SET name = 'theirs' WHERE name = 'laws'")
        (before,) = store.execute("SELECT COUNT(*) FROM runs").fetchone()
    config.mark.unlink()
    sync(write_run(build_run(seed=2), tmp_path), config)
    assert config.mark.read_text(encoding="ascii") == version("mlflow")
    names = [name for _, name, *_ in experiments(config.database)]
    assert names == ["Default", "theirs", "laws"]
    with sqlite3.connect(config.database) as store:
        (after,) = store.execute("SELECT COUNT(*) FROM runs").fetchone()
    assert after > before > 0


# -- stores of other versions, and spoilt ones ------------------------------------------

OLDER = """\
import sys
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.initial_models import Base

engine = utils.create_sqlalchemy_engine_with_retry(sys.argv[1])
Base.metadata.create_all(engine)
config = utils._get_alembic_config(sys.argv[1])
known = [r.revision for r in ScriptDirectory.from_config(config).walk_revisions()]
with engine.begin() as connection:
    config.attributes["connection"] = connection
    command.upgrade(config, known[8])
"""
KILLED = """\
import os, sys
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine

left = int(sys.argv[2])

@event.listens_for(Engine, "before_cursor_execute")
def count(connection, cursor, statement, *rest):
    global left
    left -= statement.lstrip().startswith(("CREATE", "ALTER", "DROP"))
    if left < 0:
        os._exit(9)

from framework.record.tracking import TrackingConfig, rebuild
rebuild(TrackingConfig(Path(sys.argv[1])))
"""
LOGGED = """\
import os, sqlite3, sys

store = sqlite3.connect(sys.argv[1])
store.execute("PRAGMA journal_mode = WAL")
store.execute(
    "INSERT INTO experiments (name, artifact_location, lifecycle_stage)"
    " VALUES ('of the user', 'somewhere', 'active')"
)
store.commit()
os._exit(9)
"""


def run(script: str, *words: str) -> int:
    return subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, check=False
    ).returncode


def test_an_upgrade_that_is_killed_leaves_the_older_store(tmp_path):
    """MLflow's migrations commit as they go, and none takes up the half of another."""
    config = TrackingConfig(tmp_path)
    write_run(build_run(), tmp_path)
    config.database.parent.mkdir()
    assert run(OLDER, config.store) == 0
    config.mark.write_text("3.0.0", "ascii")
    with sqlite3.connect(config.database) as store:
        store.execute(
            "INSERT INTO experiments (name, artifact_location, lifecycle_stage)"
            " VALUES ('of the user', 'somewhere', 'active')"
        )
    before = config.database.read_bytes()
    assert run(KILLED, str(tmp_path), "2") == 9
    assert config.database.read_bytes() == before
    assert config.mark.read_text("ascii") == "3.0.0"
    assert tracking.rebuild(config) == 1
    assert [name for _, name, *_ in experiments(config.database)] == [
        "Default", "of the user", "laws"]  # fmt: skip
    assert config.mark.read_text("ascii") == version("mlflow")
    left = {path.name for path in config.database.parent.iterdir()}
    assert left == {"artifacts", "lock", "mlflow.db", "schema"}


def test_an_upgrade_keeps_a_link_its_rights_and_what_the_log_holds(tmp_path):
    config = TrackingConfig(tmp_path)
    write_run(build_run(), tmp_path)
    config.database.parent.mkdir()
    elsewhere = tmp_path / "elsewhere.db"
    config.database.symlink_to(elsewhere)
    assert run(OLDER, f"sqlite:///{elsewhere}") == 0
    elsewhere.chmod(0o640)
    config.mark.write_text("3.0.0", "ascii")
    # A write-ahead log is left behind by a process that is killed.
    assert run(LOGGED, str(elsewhere)) == 9
    log = elsewhere.with_name(f"{elsewhere.name}-wal")
    assert log.stat().st_size > 0
    assert rebuild(config) == 1
    assert not log.exists()
    assert config.database.is_symlink()
    assert elsewhere.stat().st_mode & 0o777 == 0o640
    assert [name for _, name, *_ in experiments(elsewhere)] == [
        "Default", "of the user", "laws"]  # fmt: skip


@pytest.mark.parametrize("spoilt", ["newer", "header", "half"])
def test_a_store_that_nothing_mends_names_the_way_to_a_new_one(tmp_path, spoilt):
    config = TrackingConfig(tmp_path)
    folder = write_run(build_run(), tmp_path)
    sync(folder, config)
    if spoilt == "newer":
        config.mark.write_text("99.0.0", "ascii")
        with closing(sqlite3.connect(config.database)) as store, store:
            store.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    elif spoilt == "header":
        config.database.write_bytes(b"no database at all" * 100)
    else:
        whole = config.database.read_bytes()
        config.database.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(StorageError) as caught:
        rebuild(config)
    [problem] = caught.value.problems
    assert problem.code == "R22"
    assert f"mv '{config.database}'" in problem.fix
    assert ("99.0.0" in problem.why) is (spoilt == "newer")
    config.database.rename(f"{config.database}.old")
    # In a process of its own, as it is typed: MLflow keeps connections open.
    synced(folder, config.runs)
    assert [name for _, name, *_ in experiments(config.database)] == ["Default", "laws"]


def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(tmp_path):
    config = TrackingConfig(tmp_path)
    folder = write_run(build_run(), tmp_path)
    config.database.parent.write_text("a file where the folder should be")
    for shown in (lambda: sync(folder, config), lambda: rebuild(config)):
        with pytest.raises(StorageError) as caught:
            shown()
        assert caught.value.problems[0].code == "R22"
        assert "File exists" in caught.value.problems[0].what
