"""Many finished MLflow runs at once, in our own database.

MLflow's client needs four transactions for a run, each awaited on the disk: of a sweep
of 1,000 that is most of the time. Here a hundred runs are one transaction, so each is
there whole or not at all. The rows are those that the client writes
(`tests/commands/test_bulk.py` compares them column by column).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Engine

#: Runs in one transaction.
TOGETHER = 100
#: Seconds to wait for another program's lock, as MLflow's own client does.
_PATIENCE = 20


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that is over.

    Attributes:
        begun, ended: milliseconds since 1970.
    """

    name: str
    begun: int
    ended: int
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    parameters: Mapping[str, str]


@contextmanager
def opened(store: str) -> Iterator[Engine]:
    """The database of a store, closed again."""
    from sqlalchemy import create_engine

    engine = create_engine(store, connect_args={"timeout": _PATIENCE})
    try:
        yield engine
    finally:
        engine.dispose()


def insert(
    engine: Engine, experiment: str, artifacts: str, runs: Sequence[Finished]
) -> None:
    """Write finished runs in one transaction.

    Args:
        engine: of a store that MLflow has made.
        experiment: id of their experiment.
        artifacts: its artifact location.
        runs: at most some hundred.

    Raises:
        SQLAlchemyError: the database refused; none of them is there.
    """
    from mlflow.store.tracking.dbmodels import models
    from sqlalchemy import insert as into

    rows: dict[Any, list[dict[str, Any]]] = {}

    def add(table: Any, **row: Any) -> None:
        rows.setdefault(table, []).append(row)

    for run in runs:
        key = uuid.uuid4().hex
        add(
            models.SqlRun,
            run_uuid=key,
            name=run.name,
            artifact_uri=f"{artifacts}/{key}/artifacts",
            experiment_id=int(experiment),
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
            add(models.SqlTag, run_uuid=key, key=name, value=text)
        for name, text in run.parameters.items():
            add(models.SqlParam, run_uuid=key, key=name, value=text)
        for name, value in run.metrics.items():
            metric = {
                "run_uuid": key,
                "key": name,
                "value": value,
                "timestamp": run.ended,
                "step": 0,
                "is_nan": False,
            }
            add(models.SqlMetric, **metric)
            add(models.SqlLatestMetric, **metric)
    with engine.begin() as connection:
        for table, held in rows.items():
            connection.execute(into(table.__table__), held)
