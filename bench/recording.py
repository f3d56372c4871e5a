"""What it costs to show one estimation in MLflow, against the bare client."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from bench.figures import ESTIMATIONS, Figure, empty_folder, ratio
from framework.commands.running import run_study
from framework.record.tracking import TrackingConfig, sync
from framework.settings import settings
from framework.spec.study import open_study

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def measure() -> list[Figure]:
    """Seconds per estimation, taken in turn in one SQLite store, the same payload."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
    from mlflow import MlflowClient

    with empty_folder() as folder:
        runs = folder / "runs"
        how = settings(["tracking=none", "executor.workers=1"])
        study = open_study(folder / "castle.yaml")
        ran = run_study(study, how.model_copy(update={"runs": runs}))
        first = TrackingConfig(runs)
        sync(ran.folder, first)
        payloads = _payloads(MlflowClient(first.store))
        if len(payloads) < ESTIMATIONS:
            raise RuntimeError(f"{len(payloads)} of {ESTIMATIONS} were shown")

        second = TrackingConfig(runs, uri=f"sqlite:///{folder / 'second.db'}")
        sync(ran.folder, TrackingConfig(runs, uri=second.uri))
        client = MlflowClient(second.store)
        for experiment in client.search_experiments():
            if experiment.name != "Default":
                for run in client.search_runs([experiment.experiment_id]):
                    client.delete_run(run.info.run_id)
        bare_experiment = client.create_experiment("bare")
        ours: list[float] = []
        bare: list[float] = []
        begun: list[float] = []

        def in_turn(done: int, _: int) -> None:
            now = time.perf_counter()
            if begun:
                ours.append(now - begun[-1])
            bare.append(_record(client, bare_experiment, payloads[done - 1]))
            begun.append(time.perf_counter())

        sync(ran.folder, second, progress=in_turn)
    return [ratio("recording an estimation / bare MlflowClient", ours, bare, 1.3)]


def _payloads(client: MlflowClient) -> list[Run]:
    (experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    return [run for run in runs if "mlflow.parentRunId" in run.data.tags]


def _record(client: MlflowClient, experiment: str, payload: Run) -> float:
    """Seconds of create_run + log_batch + set_terminated."""
    from mlflow.entities import Metric, Param

    data = payload.data
    start = time.perf_counter()
    made = client.create_run(
        experiment, run_name=payload.info.run_name, tags=dict(data.tags)
    )
    client.log_batch(
        made.info.run_id,
        metrics=[Metric(k, v, 0, 0) for k, v in data.metrics.items()],
        params=[Param(k, v) for k, v in data.params.items()],
    )
    client.set_terminated(made.info.run_id)
    return time.perf_counter() - start
