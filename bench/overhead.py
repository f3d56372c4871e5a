"""What the framework adds to one fit on a warm worker."""

from __future__ import annotations

import importlib
import itertools
import time
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench import peer
from bench.figures import ESTIMATIONS, Figure, empty_folder, ratio
from framework import registry
from framework.cache import Cell, Failure, Job
from framework.commands.preparing import plan_run, start
from framework.contract import Request
from framework.data.design import build
from framework.execute import Processes, execute
from framework.execute.estimation import resolve
from framework.execute.worker import ESTIMATE
from framework.panel import Panel
from framework.result import Result
from framework.spec.study import open_study

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Estimations before a worker is warm: imports, the panel, the allocator.
_WARM_UP = 5
#: Where a cell of the benchmark keeps the seconds of its task.
_TASK = "bench_task_seconds"


@dataclass(frozen=True, slots=True)
class _Times:
    """Seconds of each estimation on a warm worker.

    Attributes:
        whole: from one result in the parent to the next.
        task: in the worker's task: request, fit and checks.
        fit: in the fit alone.
    """

    whole: list[float]
    task: list[float]
    fit: list[float]


def measure() -> list[Figure]:
    """A kept estimation beside the bare engine's fit, and what of it is whose.

    The yardstick is the fit that a user would run without the framework: a fit of ours
    that got faster would make the framework around it look slower.
    """
    own, bare = _fits_alone()
    ours = _run("bench.overhead:estimate_timed")
    around = [whole - fit for whole, fit in zip(ours.whole, ours.fit, strict=True)]
    request = [task - fit for task, fit in zip(ours.task, ours.fit, strict=True)]
    kept = [whole - task for whole, task in zip(ours.whole, ours.task, strict=True)]
    peers = peer.label("pyfixest")
    return [
        ratio(
            f"what one kept TWFE fit costs beyond bare {peers} feols",
            ours.whole,
            bare,
            0.5,
            extra=True,
        ),
        ratio(f"- estimate(request) / bare {peers} feols", own, bare),
        ratio("- framework around it / estimate(request)", around, ours.fit),
        ratio("- of that, request and checks", request, ours.fit),
        ratio("- of that, keeping the result and the parent", kept, ours.fit),
    ]


def _fits_alone() -> tuple[list[float], list[float]]:
    """Seconds of `estimate(request)` of the plain model, and of bare pyfixest's fit."""
    with empty_folder() as folder:
        work = start(open_study(folder / "castle.yaml"), folder / "runs")
        plan_run(work, ["baseline"])
        (job,) = work.jobs.values()
        data, model, estimator = resolve(job)
        request = build(work.panels[job.panel], data, model, estimator).request
    assert request.treatment is not None
    right = " + ".join((*request.treatment.columns, *request.controls))
    formula = f"{request.outcome} ~ {right} | {' + '.join(request.fixed_effects)}"
    columns = {name: request.frame[name].to_numpy() for name in request.frame}
    with (
        peer.asked(
            "pyfixest",
            "feols",
            columns,
            formula=formula,
            cluster=request.inference.clusters[0],
        ) as bare,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        _same(estimator.estimate(request), bare.run().values)
        own, theirs = peer.in_turn(30, lambda: estimator.estimate(request), bare)
    return own, [reply.seconds for reply in theirs]


def _same(ours: Result, theirs: Mapping[str, float]) -> None:
    row = ours.coefficients.iloc[0]
    for column in ("estimate", "std_error"):
        # the order of sums differs between two fits of the same columns
        if not abs(row[column] / theirs[column] - 1) < 1e-8:
            raise RuntimeError(f"{column}: ours {row[column]!r}, theirs {theirs}")


def estimate_timed(job: Job, panel: Panel) -> Cell:
    """A worker's task whose cell holds the seconds inside `estimate(request)`."""
    plugin = registry.estimator(job.model["estimator"]["name"])
    original, seconds = plugin.estimate, []

    def estimate(self: object, request: Request) -> Result:
        start = time.perf_counter()
        result: Result = original(self, request)  # type: ignore[arg-type]  # self is a plugin
        seconds.append(time.perf_counter() - start)
        return result

    module, _, name = ESTIMATE.partition(":")
    task = getattr(importlib.import_module(module), name)
    plugin.estimate = estimate  # type: ignore[method-assign,assignment]  # measured from outside
    start = time.perf_counter()
    try:
        cell: Cell = task(job, panel)
    finally:
        plugin.estimate = original  # type: ignore[method-assign]  # as it was
    whole = time.perf_counter() - start
    return replace(cell, seconds=sum(seconds), labels={**cell.labels, _TASK: whole})


def _run(task: str) -> _Times:
    with empty_folder() as folder:
        work = start(open_study(folder / "castle.yaml"), folder / "runs")
        plan_run(work)
        jobs = list(work.jobs.values())
        for panel in work.panels.values():
            work.store.save_panel(panel)
        ends: list[float] = []
        cells: list[Cell] = []

        def done(_: Job, outcome: Cell | Failure) -> None:
            ends.append(time.perf_counter())
            if isinstance(outcome, Failure):
                raise TypeError(f"{outcome.problems}\n{outcome.trace}")
            cells.append(outcome)

        workers = Processes(folder / "runs", workers=1, task=task)
        execute(jobs, work.store, workers, on_done=done)
    if len(cells) < ESTIMATIONS:
        raise RuntimeError(f"{len(cells)} of {ESTIMATIONS} estimations ran")
    warm = cells[_WARM_UP + 1 :]
    return _Times(
        whole=[after - before for before, after in itertools.pairwise(ends)][_WARM_UP:],
        task=[cell.labels[_TASK] for cell in warm],
        fit=[cell.seconds for cell in warm],
    )
