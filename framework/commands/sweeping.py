"""`sweep`: the study's model over a grid, as a Hydra multirun.

A sweep on the command line is the line `sweep.grid` of the study: `path=a,b` is the
same `each`. Hydra composes `conf/` once, our sweeper unfolds the grid, our launcher
hands all jobs over at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from framework.cache import Cell
from framework.commands import printing
from framework.commands.causes import problems_of
from framework.commands.running import Ran, renderer, run_study
from framework.commands.studying import finish, say_gone, wanted
from framework.commands.watching import Bar
from framework.errors import OK, EstimandError, SpecError
from framework.record import Command
from framework.spec.study import Override, open_study
from framework.spec.tree import Origin
from framework.vary import with_line

if TYPE_CHECKING:
    from framework.overrides import Job, StudyOverride
    from framework.settings import Settings


def sweep(options: argparse.Namespace) -> int:
    """Run the grid and report it."""
    from framework.multirun import multirun
    from framework.overrides import split

    found = split(options.overrides)
    finished: list[tuple[Ran | None, Settings]] = []

    def run_jobs(jobs: Sequence[Job], settings: Settings) -> list[Any]:
        ran, values = run_grid(options, jobs, settings)
        finished.append((ran, settings))
        if ran is None:
            return [None] * len(jobs)
        return [_value(ran, values[job.name]) for job in jobs]

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
) -> tuple[Ran | None, Mapping[str, tuple[str, ...]]]:
    """The study with the line `sweep.grid`, of which only that line runs.

    Returns:
        The run, None when the last sweep left nothing to retry; and a job's name ->
        its values of that line: several for `every`, another job's where both are the
        same specification.
    """
    from framework.commands.grids import grid

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
    if "sweep" in study.checks:
        raise SpecError(
            "X22",
            "the study has a heading `sweep` of its own",
            fix="rename that heading: `sweep` is the command line's",
        )
    changed = _changes(options.overrides, settings)
    origins = {change.path: Origin(fixed=change.place) for change in changed}
    found = grid(study, jobs, within, origins)
    for name, like in found.same.items():
        printing.log(f"sweep.grid.{name} is the same specification as {like}: left out")
    command = Command("sweep", str(options.study), tuple(options.overrides))
    only = wanted(options, settings.runs, study.name, command)
    if only is None:
        return None, found.values
    ran = run_study(
        with_line(study, found.line),
        settings,
        only=only or ["sweep"],
        overrides=[change.text for change in changed],
        output=options.output,
        progress=Bar(quiet=options.quiet),
        render=renderer(settings),
        command=command,
        fail_fast=options.fail_fast,
        retry=options.retry_failed,
        gone=say_gone if options.retry_failed else None,
    )
    return ran, found.values


def _changes(typed: Sequence[str], settings: Settings) -> tuple[StudyOverride, ...]:
    """Changes of the study, typed or of the named sweep, settings left out."""
    from framework.overrides import changes, join, split

    return join(changes(settings.sweep.overrides, "sweep"), split(typed).study)


def _value(ran: Ran, names: Sequence[str]) -> Any:
    """A job's cell (a list of them for `every`), or the exception that says why not."""
    addresses = {f"sweep.grid.{name}" for name in names}
    columns = [c for c in ran.columns if c.estimation.address in addresses]
    lost = [c for c in columns if not isinstance(c.outcome, Cell)]
    if lost:
        return EstimandError(p for column in lost for p in problems_of(column))
    cells = [column.outcome for column in columns]
    # None is left out by --only or --retry-failed.
    return cells if cells[1:] else next(iter(cells), None)
