"""Runs written many at once are, column by column, those that MLflow's client writes."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from framework.record import bulk, write_run
from framework.record.store_place import TrackingConfig
from framework.record.tracking import _log_one, sync
from tests.build_run import build_run

TABLES = (
    "experiments",
    "experiment_tags",
    "runs",
    "tags",
    "params",
    "metrics",
    "latest_metrics",
)

#: Columns of an experiment that hold the moment at which it was written.
WRITTEN = ("creation_time", "last_update_time")


def rows(database: Path, experiment: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of an experiment, runs by their name instead of their random id."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    with sqlite3.connect(database) as store:
        names = dict(
            store.execute(
                "SELECT run_uuid, name FROM runs WHERE experiment_id = ?", [experiment]
            ).fetchall()
        )
        for table in TABLES[2:]:
            held = store.execute(f"SELECT * FROM {table}").fetchall()
            columns = [c[1] for c in store.execute(f"PRAGMA table_info({table})")]
            at = columns.index("run_uuid")
            found[table] = sorted(
                (
                    tuple(
                        str(value).replace(row[at], names[row[at]])
                        if isinstance(value, str)
                        else value
                        for value in row
                    )
                    for row in held
                    if row[at] in names
                ),
                key=repr,
            )
    return found


@pytest.fixture
def store(tmp_path: Path) -> TrackingConfig:
    from framework.record.tracking import _open

    tracking = TrackingConfig(tmp_path / "runs")
    with _open(tracking):
        pass
    return tracking


def some(count: int) -> list[bulk.Finished]:
    return [
        bulk.Finished(
            f"h.l.v{i}",
            1000 + i,
            2000 + i,
            {"mlflow.user": "me", "address": f"h.l.v{i}", "note": "绿色 'x'"},
            {"estimate": 0.1 + i, "n_obs": 550.0, "p_value": 1e-300},
            {"outcome": "y", "controls": "x1, x2"},
        )
        for i in range(count)
    ]


def test_the_rows_are_those_of_the_client(store: TrackingConfig):
    from mlflow import MlflowClient

    client = MlflowClient(store.store)
    location = store.artifacts
    one, other = (
        client.create_experiment(name, artifact_location=location)
        for name in ("client", "bulk")
    )
    for run in some(3):
        _log_one(client, one, run)
    with bulk.writing(store.database) as database:
        bulk.insert(database, bulk.Experiment(int(other), str(location)), some(3))
    theirs, ours = rows(store.database, one), rows(store.database, other)
    for table in TABLES[2:]:
        assert len(theirs[table]) >= 3
        # Only the experiment's own number differs.
        assert [tuple(v for v in r if v != int(one)) for r in theirs[table]] == [
            tuple(v for v in r if v != int(other)) for r in ours[table]
        ]
    found = client.search_runs(
        [other], "metrics.estimate > 1", order_by=["metrics.estimate"]
    )
    assert [run.info.run_name for run in found] == ["h.l.v1", "h.l.v2"]
    assert found[0].data.params == {"outcome": "y", "controls": "x1, x2"}


def test_a_batch_is_there_whole_or_not_at_all(store: TrackingConfig, monkeypatch: Any):
    from mlflow import MlflowClient

    client = MlflowClient(store.store)
    experiment = client.create_experiment("e", artifact_location=store.artifacts)

    class Same:
        hex = "0" * 32

    monkeypatch.setattr(bulk.uuid, "uuid4", Same)
    theirs = bulk.Experiment(int(experiment), str(store.artifacts))
    with pytest.raises(sqlite3.IntegrityError), bulk.writing(store.database) as rows:
        bulk.insert(rows, theirs, some(2))
    assert client.search_runs([experiment]) == []


def table(database: Path, name: str) -> list[dict[str, Any]]:
    with sqlite3.connect(database) as store:
        columns = [c[1] for c in store.execute(f"PRAGMA table_info({name})")]
        found = store.execute(f"SELECT * FROM {name}").fetchall()
    return [dict(zip(columns, row, strict=True)) for row in found]


def comparable(database: Path, name: str) -> list[str]:
    """Rows without what no two writings share: random ids, moments of writing."""
    keys = {row["run_uuid"]: row["name"] for row in table(database, "runs")}
    said = []
    for row in table(database, name):
        text = repr({k: v for k, v in row.items() if k not in WRITTEN})
        for key, run in keys.items():
            text = text.replace(key, run)
        said.append(text)
    return sorted(said)


def copied(config: TrackingConfig) -> list[tuple[str, str, bytes]]:
    """Run, place and content of every file that its MLflow runs carry."""
    keys = {row["run_uuid"]: row["name"] for row in table(config.database, "runs")}
    place = config.database.with_name("artifacts")
    return sorted(
        (keys[key], "/".join(rest), path.read_bytes())
        for path in place.rglob("*")
        if path.is_file()
        for key, *rest in [path.relative_to(place).parts]
        if key in keys
    )


def test_a_run_is_shown_without_mlflow_as_its_client_shows_it(
    tmp_path: Path, monkeypatch: Any
):
    """All tables, and every copied file, of two studies of which one has a run."""
    from framework.record import tracking

    runs, aside = tmp_path / "runs", tmp_path / "aside"
    config = TrackingConfig(runs)
    with tracking._open(config):
        pass
    empty = config.database.read_bytes()
    aside.mkdir()
    shown = [write_run(build_run(seed=n), runs).rename(aside / str(n)) for n in (7, 8)]
    names = [json.loads((f / "manifest.json").read_text())["run_id"] for f in shown]
    added: list[bool] = []
    add = tracking._added

    def ours(*given: Any) -> bool:
        added.append(add(*given))
        return added[-1]

    found: dict[str, list[Any]] = {}
    for way in (ours, lambda *_: False):
        monkeypatch.setattr(tracking, "_added", way)
        config.database.write_bytes(empty)
        for folder, name in zip(shown, names, strict=True):
            # A run appears and is shown: nothing else is missing in the store.
            shutil.copytree(folder, runs / "laws" / name)
            sync(runs / "laws" / name, config)
        for name in TABLES:
            found.setdefault(name, []).append(comparable(config.database, name))
        found.setdefault("files", []).append(copied(config))
        shutil.rmtree(runs / "laws")
    assert added == [True, True]
    for name, (one, other) in found.items():
        assert one, name
        assert one == other


def test_a_large_run_is_shown_in_batches(tmp_path: Path, monkeypatch: Any):
    runs = tmp_path / "runs"
    # Two runs that were never shown are the client's business.
    folder, _ = (write_run(build_run(seed=n), runs) for n in (7, 8))
    monkeypatch.setattr(bulk, "TOGETHER", 1)
    steps: list[tuple[int, int]] = []
    ours = TrackingConfig(runs)
    sync(folder, ours, progress=lambda done, of: steps.append((done, of)))
    # Shown again, nothing is doubled.
    sync(folder, ours, progress=lambda done, of: steps.append((done, of)))
    assert steps == [(1, 2), (2, 2)]
    with sqlite3.connect(runs / ".mlflow" / "mlflow.db") as database:
        counts = database.execute(
            "SELECT status, count(*) FROM runs GROUP BY status"
        ).fetchall()
    assert counts == [("FINISHED", 6)]
