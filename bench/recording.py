"""What it costs to show one estimation in MLflow, against the bare client."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from bench import peer
from bench.figures import ESTIMATIONS, Figure, empty_folder, ratio
from framework.commands.running import run_study
from framework.record.store_place import TrackingConfig
from framework.record.tracking import sync
from framework.settings import settings
from framework.spec.study import open_study

if TYPE_CHECKING:
    from mlflow import MlflowClient


def measure() -> list[Figure]:
    """Seconds per estimation, taken in turn, the same payload, each a SQLite store."""
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
        sync(ran.folder, TrackingConfig(runs, uri=second.uri))  # its tables are made
        _forget(MlflowClient(second.store))
        ours: list[float] = []
        bare: list[float] = []
        begun: list[float] = []
        with peer.asked(
            "mlflow",
            "record",
            store=f"sqlite:///{folder / 'bare.db'}",
            payloads=payloads,
        ) as client:
            client.run(payload=0)

            def in_turn(done: int, _: int) -> None:
                now = time.perf_counter()
                if begun:
                    ours.append(now - begun[-1])
                bare.append(client.run(payload=done - 1).seconds)
                begun.append(time.perf_counter())

            sync(ran.folder, second, progress=in_turn)
    name = f"recording an estimation / bare client of {peer.label('mlflow')}"
    return [ratio(name, ours, bare, 1.3)]


def _payloads(client: MlflowClient) -> list[dict[str, Any]]:
    """What every estimation of the study shows, as the bare client takes it."""
    (experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    return [
        {
            "name": run.info.run_name,
            "tags": dict(run.data.tags),
            "metrics": dict(run.data.metrics),
            "params": dict(run.data.params),
        }
        for run in runs
        if "mlflow.parentRunId" in run.data.tags
    ]


def _forget(client: MlflowClient) -> None:
    """Throw away what is shown, so that it is all shown again."""
    for experiment in client.search_experiments():
        if experiment.name != "Default":
            for run in client.search_runs([experiment.experiment_id], max_results=1000):
                client.delete_run(run.info.run_id)
