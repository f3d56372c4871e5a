"""Finished MLflow runs written into our own database, without MLflow's client.

The client needs four transactions for a run, each awaited on the disk, and importing
it takes longer than a second run of a whole study. Here a hundred runs are one
transaction, so each is there whole or not at all, and Python's own `sqlite3` is all
that is loaded. The rows are those that the client writes
(`tests/commands/test_bulk.py` compares them column by column); a store that is not
exactly as it is left by the installed MLflow is the client's business.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Runs in one transaction.
TOGETHER = 100
#: Seconds to wait for another program's lock, as MLflow's own client does.
_PATIENCE = 20


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that is over.

    Attributes:
        begun, ended: milliseconds since 1970.
        key: its id in MLflow.
    """

    name: str
    begun: int
    ended: int
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    parameters: Mapping[str, str]
    key: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True, slots=True)
class Experiment:
    """A study in MLflow.

    Attributes:
        key: its number.
        artifacts: URI of the folder that holds its runs' files.
    """

    key: int
    artifacts: str

    def files(self, run: str) -> str:
        """URI of a run's files."""
        return f"{self.artifacts}/{run}/artifacts"


@contextmanager
def writing(database: Path) -> Iterator[sqlite3.Connection]:
    """One transaction: all that is written in the block, or nothing.

    A block that ends with `rollback()` writes nothing.

    Raises:
        sqlite3.Error: the database refused; nothing was written.
    """
    connection = sqlite3.connect(database, timeout=_PATIENCE, isolation_level=None)
    with closing(connection):
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        if connection.in_transaction:
            connection.execute("COMMIT")


def in_order(
    connection: sqlite3.Connection, study: str, run: str, others: Collection[str]
) -> bool:
    """Whether a run is all that its study's experiment lacks.

    Args:
        connection: of a store that the installed MLflow made.
        study: name of the experiment.
        run: id of the run that is to be written.
        others: ids of the study's other runs, all of them shown before.
    """
    begun = "SELECT 1 FROM runs JOIN tags USING (run_uuid) WHERE key = ?"
    left = f"{begun} AND status = 'RUNNING' AND lifecycle_stage = 'active'"
    there = f"{begun} AND value = ?"
    if connection.execute(left, ["estimand.run_id"]).fetchone():
        return False
    if connection.execute(there, ["estimand.run_id", run]).fetchone():
        return False
    found = _experiments(connection, study)
    if not found:
        return not others
    if len(found) > 1 or found[0][2] != "active":
        return False
    shown = connection.execute(
        "SELECT id.value FROM runs"
        " JOIN tags AS id USING (run_uuid) JOIN tags AS kind USING (run_uuid)"
        " WHERE experiment_id = ? AND id.key = 'estimand.run_id'"
        " AND kind.key = 'kind' AND kind.value = 'study'",
        [found[0][0]],
    )
    return set(others) <= {row[0] for row in shown}


def experiment(
    connection: sqlite3.Connection,
    study: str,
    artifacts: str,
    tags: Mapping[str, str],
) -> Experiment:
    """The study's experiment, made where there is none.

    Args:
        connection: as `in_order`.
        study: its name.
        artifacts: where a new one keeps its files.
        tags: what a new one is tagged with.
    """
    found = _experiments(connection, study)
    if not found:
        now = round(1000 * time.time())
        row = {
            "name": study,
            "artifact_location": artifacts,
            "lifecycle_stage": "active",
            "creation_time": now,
            "last_update_time": now,
        }
        _insert(connection, "experiments", [row])
        found = _experiments(connection, study)
        made = Experiment(found[0][0], artifacts)
        for name, text in tags.items():
            tag(connection, made, name, text)
    return Experiment(found[0][0], found[0][1])


def tag(
    connection: sqlite3.Connection, experiment: Experiment, name: str, text: str
) -> None:
    """Set a tag of an experiment."""
    connection.execute(
        "INSERT OR REPLACE INTO experiment_tags (experiment_id, key, value)"
        " VALUES (?, ?, ?)",
        [experiment.key, name, text],
    )


def insert(
    connection: sqlite3.Connection, experiment: Experiment, runs: Sequence[Finished]
) -> None:
    """Write finished runs.

    Args:
        connection: as `writing` gives it.
        experiment: theirs.
        runs: at most some hundred.

    Raises:
        sqlite3.Error: the database refused.
    """
    rows: dict[str, list[dict[str, Any]]] = {}

    def add(table: str, **row: Any) -> None:
        rows.setdefault(table, []).append(row)

    for run in runs:
        add(
            "runs",
            run_uuid=run.key,
            name=run.name,
            artifact_uri=experiment.files(run.key),
            experiment_id=experiment.key,
            source_type="UNKNOWN",
            source_name="",
            entry_point_name="",
            user_id=run.tags.get("mlflow.user"),
            status="FINISHED",
            start_time=run.begun,
            end_time=run.ended,
            deleted_time=None,
            source_version="",
            lifecycle_stage="active",
        )
        tags = {**run.tags, "mlflow.runName": run.name}
        for name, text in tags.items():
            add("tags", run_uuid=run.key, key=name, value=text)
        for name, text in run.parameters.items():
            add("params", run_uuid=run.key, key=name, value=text)
        for name, value in run.metrics.items():
            metric = {
                "run_uuid": run.key,
                "key": name,
                "value": value,
                "timestamp": run.ended,
                "step": 0,
                "is_nan": False,
            }
            add("metrics", **metric)
            add("latest_metrics", **metric)
    for table, held in rows.items():
        _insert(connection, table, held)


def _experiments(
    connection: sqlite3.Connection, study: str
) -> list[tuple[int, str, str]]:
    return connection.execute(
        "SELECT experiment_id, artifact_location, lifecycle_stage FROM experiments"
        " WHERE name = ?",
        [study],
    ).fetchall()


def _insert(
    connection: sqlite3.Connection, table: str, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Rows of equal columns; names of tables and columns are ours, never data."""
    names = list(rows[0])
    marks = ", ".join(f":{name}" for name in names)
    connection.executemany(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})",  # noqa: S608 - constants of this file
        rows,
    )
