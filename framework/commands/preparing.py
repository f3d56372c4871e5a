"""From a study to jobs: its data prepared, its plan against them, a key for each."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from framework.cache import Job, Store, engines_hash, fingerprint, source_hash
from framework.commands.opening import beside
from framework.contract import Estimator
from framework.data.prepare import Prepared
from framework.errors import EstimandError, SpecError
from framework.plan import (
    Estimation,
    is_built,
    levels_of,
    panel_of,
    plan,
    protected,
    trees,
)
from framework.spec import choices
from framework.spec.inference import NOT_RANDOM
from framework.spec.study import Study, project_root
from framework.vary import unfold

if TYPE_CHECKING:
    from framework.execute import Progress
    from framework.panel import Panel
    from framework.vary import Levels


@dataclass(slots=True)
class Work:
    """What the steps of a run hand to each other."""

    study: Study
    runs: Path
    store: Store
    prepared: Prepared
    estimations: list[Estimation] = field(default_factory=list)
    panels: dict[str, Panel] = field(default_factory=dict)
    sources: dict[str, Panel] = field(default_factory=dict)  # before their steps
    keys: dict[str, str] = field(default_factory=dict)  # address -> panel key
    jobs: dict[str, Job] = field(default_factory=dict)  # address -> job


def start(study: Study, runs: Path, progress: Progress | None = None) -> Work:
    """The store and the preparation of a study's data, shown step by step."""
    store = Store(runs)
    code = f"{source_hash()} {engines_hash()}"
    watch = progress.step if progress else None
    prepared = Prepared(study.root, project_root(study), store, code, watch)
    return Work(study, runs, store, prepared)


def plan_run(
    work: Work,
    only: Sequence[str] = (),
    *,
    build: bool = True,
    gone: Callable[[Sequence[str]], None] | None = None,
) -> list[Estimation]:
    """Estimations with their panels prepared and their jobs made.

    A problem of the data that the study's own model has is the whole study's; one that
    a line brings in (another step, another filter) is that line's.

    Args:
        work: the study and its store.
        only: addresses to keep.
        build: compute costly steps; False leaves the estimations that need one without
            a panel.
        gone: told which of `only`, addresses of an earlier run, the study does not have
            any more; None = each of them must be there.

    Raises:
        SpecError: X22 an address that is not there, or none of an earlier run's is.
    """
    study, prepared = work.study, work.prepared
    if unread := beside(study):
        raise EstimandError(unread)
    levels = levels_of(study, prepared, build=build)
    if gone is not None:
        only = _still_there(study, levels, only, gone)
    planned = plan(study, levels=levels, only=only)
    if not only and (unread := beside(study, planned)):
        raise EstimandError(unread)  # the values of `every` are known by now
    for estimation in planned:
        ready = estimation.runs and (build or is_built(study, estimation, prepared))
        work.estimations.append(prepare_line(work, estimation) if ready else estimation)
    return work.estimations


def _still_there(
    study: Study,
    levels: Levels,
    only: Sequence[str],
    gone: Callable[[Sequence[str]], None],
) -> list[str]:
    there = {variation.address for variation in unfold(study, levels=levels)}
    kept = [address for address in only if address in there]
    if lost := [address for address in only if address not in there]:
        gone(lost)
    if not kept:
        raise SpecError(
            "X22",
            "nothing of what failed in the last run is in the study any more",
            why="Its lines were renamed or removed, or its values are others now.",
            fix="run the study without --retry-failed: what is finished is not computed "
            "twice",
        )
    return kept


def prepare_line(work: Work, estimation: Estimation) -> Estimation:
    """An estimation with its panel prepared, or with why it can't be."""
    try:
        panel = panel_of(work.study, estimation, work.prepared)
    except EstimandError as error:
        if estimation.data == work.study.tree["data"]:
            raise EstimandError(
                p.at(place=work.study.origins.place(p.path.split(".")))
                for p in error.problems
            ) from error
        problems = tuple(estimation.located(p) for p in error.problems)
        return replace(estimation, problems=problems)
    work.panels.setdefault(panel.key, panel)
    work.keys[estimation.address] = panel.key
    job = job_of(work.study.seed, estimation, panel.key)
    draws = estimation.draws or {}
    if draws.get("rebuild") or "leave_out" in draws:
        data, model = trees(estimation)
        source = work.prepared.unprepared(data)
        work.sources[source.key] = source
        shielded = tuple(sorted(protected(work.study, model)))
        job = replace(job, source=source.key, protected=shielded)
    work.jobs[estimation.address] = job
    return estimation


def job_of(seed: int, estimation: Estimation, panel: str) -> Job:
    """The job of an estimation, named by everything its numbers depend on."""
    plugins = list(choices.entries("estimator", estimation.model["estimator"]))
    for flat in (estimation.data.get("spatial_weights") or {}).values():
        plugins += choices.entries("matrix", flat)
    for flat in (estimation.model.get("sample") or {}).values():
        plugins += choices.entries("restriction", flat)
    beside = {
        key: estimation.data.get(key)
        for key in ("groups", "spatial_weights", "missing", "panel")
    }
    data_key = f"{panel} {json.dumps(beside, sort_keys=True, default=str)}"
    drawn = seed if is_random(estimation) else None
    name = fingerprint(estimation.model, data_key, estimation.draws, drawn, plugins)
    return Job(
        fingerprint=name,
        address=estimation.address,
        panel=panel,
        data=estimation.data,
        model=estimation.model,
        draws=estimation.draws,
        seed=drawn or 0,
    )


def is_random(estimation: Estimation) -> bool:
    """Whether the study's seed can move its numbers."""
    inference = estimation.model.get("inference") or {}
    plugin = choices.build("estimator", estimation.model["estimator"])
    return (
        bool(estimation.draws)
        or str(inference.get("name", "iid")) not in NOT_RANDOM
        or (isinstance(plugin, Estimator) and plugin.is_random())
    )
