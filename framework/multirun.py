"""A sweep: a Hydra multirun whose jobs are all known before the first one runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework import composition
from framework.overrides import Batch, Job, Overrides
from framework.settings import Settings, conf_directories, from_conf


@dataclass(frozen=True, slots=True)
class Launched:
    """A job and what became of it: `error` is None, or `value` is."""

    job: Job
    value: Any
    error: Exception | None


def multirun(
    overrides: Overrides,
    run_jobs: Callable[[Sequence[Job], Settings], Sequence[Any]],
    directories: Sequence[Path] | None = None,
) -> tuple[Launched, ...]:
    """Run a sweep through Hydra: our sweeper unfolds it, our launcher hands it over.

    Hydra composes `conf/` once; a job is never composed. The changes are those of the
    named sweep (`sweep=robustness`) and of the command line, which wins.

    Args:
        overrides: the split command line.
        run_jobs: called once with all jobs and the settings; gives one value per job,
            in order, where an exception is a failed job.
        directories: as in `settings.settings`.

    Returns:
        Every job, failed ones too.

    Raises:
        EstimandError: the settings or the sweep are not well written; whatever
            `run_jobs` itself raises.
    """
    launched: list[Launched] = []

    def task(batch: Batch) -> list[Any]:
        values = list(run_jobs(batch.jobs, from_conf(batch.conf)))
        for job, value in zip(batch.jobs, values, strict=True):
            failed = isinstance(value, Exception)
            launched.append(
                Launched(job, None if failed else value, value if failed else None)
            )
        return values

    texts = [o.text for o in overrides.study]
    composition.launch(overrides.conf, texts, conf_directories(directories), task)
    return tuple(launched)
