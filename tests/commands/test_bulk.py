"""Runs written many at once are, column by column, those that MLflow's client writes."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from framework.record import bulk, write_run
from framework.record.tracking import TrackingConfig, _log_one, sync
from tests.build_run import build_run

TABLES = ("runs", "tags", "params", "metrics", "latest_metrics")


def rows(database: Path, experiment: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of an experiment, runs by their name instead of their random id."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    with sqlite3.connect(database) as store:
        names = dict(
            store.execute(
                "SELECT run_uuid, name FROM runs WHERE experiment_id = ?", [experiment]
            ).fetchall()
        )
        for table in TABLES:
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
    with bulk.opened(store.store) as engine:
        bulk.insert(engine, other, str(location), some(3))
    database = Path(store.store.removeprefix("sqlite:///"))
    theirs, ours = rows(database, one), rows(database, other)
    for table in TABLES:
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
    with bulk.opened(store.store) as engine, pytest.raises(IntegrityError):
        bulk.insert(engine, experiment, str(store.artifacts), some(2))
    assert client.search_runs([experiment]) == []


def test_a_large_run_is_shown_in_batches(tmp_path: Path, monkeypatch: Any):
    runs = tmp_path / "runs"
    folder = write_run(build_run(), runs)
    monkeypatch.setattr(bulk, "TOGETHER", 2)
    steps: list[tuple[int, int]] = []
    ours = TrackingConfig(runs)
    sync(folder, ours, progress=lambda done, of: steps.append((done, of)))
    # Shown again, nothing is doubled.
    sync(folder, ours, progress=lambda done, of: steps.append((done, of)))
    assert steps == [(2, 2)]
    with sqlite3.connect(runs / ".mlflow" / "mlflow.db") as database:
        counts = database.execute(
            "SELECT status, count(*) FROM runs GROUP BY status"
        ).fetchall()
    assert counts == [("FINISHED", 3)]
