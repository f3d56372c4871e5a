"""`sweep`: the study's model over a grid, as a Hydra multirun.

A sweep on the command line is the line `sweep.grid` of the study: `path=a,b` is the
same `each`. Hydra composes `conf/` once, our sweeper unfolds the grid, our launcher
hands all jobs over at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from framework.cache import Cell
from framework.commands.causes import problems_of
from framework.commands.running import Ran, renderer, run_study
from framework.commands.studying import finish, say_gone, wanted
from framework.commands.watching import Bar
from framework.errors import OK, EstimandError, SpecError
from framework.record import Command
from framework.spec.lines import Values
from framework.spec.study import Override, open_study
from framework.spec.tree import Origin
from framework.vary import sweep_line, with_line

if TYPE_CHECKING:
    from framework.overrides import Job
    from framework.settings import Settings


def sweep(options: argparse.Namespace) -> int:
    """Run the grid and report it."""
    from framework.multirun import multirun
    from framework.overrides import split

    found = split(options.overrides)
    finished: list[tuple[Ran | None, Settings]] = []

    def run_jobs(jobs: Sequence[Job], settings: Settings) -> list[Any]:
        ran = run_grid(options, jobs, settings)
        finished.append((ran, settings))
        if ran is None:
            return [None] * len(jobs)
        return [_value(ran, f"sweep.grid.{job.name}") for job in jobs]

    multirun(found, run_jobs)
    if not finished:
        raise SpecError(
            "X22",
            "nothing to sweep",
            fix="name several values: model.estimator=twfe,event_study, or a named "
            "sweep: sweep=robustness",
        )
    ran, settings = finished[0]
    if ran is None:
        return OK
    return finish(ran, settings, options)


def run_grid(
    options: argparse.Namespace, jobs: Sequence[Job], settings: Settings
) -> Ran | None:
    """The study with the line `sweep.grid`, of which only that line runs.

    None when the last sweep left nothing to retry.
    """
    swept = jobs[0].swept if jobs else ()
    if not swept:
        raise SpecError(
            "X22",
            "no override names several values",
            fix="model.estimator=twfe,event_study, or `estimand run` for one",
        )
    if "seed" in swept:
        raise SpecError("X22", "a seed is not swept: every value has the same draws")
    # What is within a swept block would be lost with the block, were it set before.
    within = [p for p in jobs[0].changes if any(p.startswith(f"{s}.") for s in swept)]
    fixed = tuple(
        Override(path, value, text=f"{path}={name}", position=i)
        for i, (path, (name, value)) in enumerate(jobs[0].changes.items(), start=1)
        if path not in swept and path not in within
    )
    study = open_study(options.study, fixed)
    varied = [path for path in dict.fromkeys((*swept, *within)) if path not in within]
    cases = tuple(
        (job.name, {path: job.changes[path][1] for path in (*varied, *within)})
        for job in jobs
    )
    origins = _origins(options.overrides, settings)
    first = origins.get(swept[0], Origin(study.document))
    line = sweep_line(Values("case", cases, first, origins=origins))
    if "sweep" in study.checks:
        raise SpecError(
            "X22",
            "the study has a heading `sweep` of its own",
            fix="rename that heading: `sweep` is the command line's",
        )
    command = Command("sweep", str(options.study), tuple(options.overrides))
    only = wanted(options, settings.runs, study.name, command)
    if only is None:
        return None
    return run_study(
        with_line(study, line),
        settings,
        only=only or ["sweep"],
        overrides=options.overrides,
        output=options.output,
        progress=Bar(quiet=options.quiet),
        render=renderer(settings),
        command=command,
        fail_fast=options.fail_fast,
        retry=options.retry_failed,
        gone=say_gone if options.retry_failed else None,
    )


def _origins(typed: Sequence[str], settings: Settings) -> dict[str, Origin]:
    """Path -> the override, typed or of the named sweep, that a fault is shown at."""
    from framework.overrides import changes, join, split

    named = changes(settings.sweep.overrides, "sweep")
    return {
        override.path: Origin(fixed=override.place)
        for override in join(named, split(typed).study)
    }


def _value(ran: Ran, address: str) -> Any:
    """A job's cell, or the exception that says why there is none."""
    for column in ran.columns:
        if column.estimation.address == address:
            if isinstance(column.outcome, Cell):
                return column.outcome
            return EstimandError(problems_of(column))
    return None  # left out by --only or --retry-failed
