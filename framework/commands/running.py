"""Running a study: prepare, estimate, judge, record, render; MLflow comes last."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework import registry
from framework.cache import (
    Cell,
    Failure,
    Job,
    Store,
    engines_hash,
    fingerprint,
    source_hash,
)
from framework.commands.causes import causes, problems_of, remedies
from framework.commands.opening import beside
from framework.commands.timing import Stopwatch
from framework.contract import Estimator
from framework.data.changes import outcome_change
from framework.data.prepare import Prepared
from framework.errors import (
    FINISHED_WITH_FAILURES,
    OK,
    EstimandError,
    Problem,
    SpecError,
)
from framework.expect import Beside, Judged, Shift, flags, judge, pooled, shifts
from framework.families import adjust
from framework.multiverse import Multiverse, Universe, multiverse
from framework.plan import (
    Estimation,
    is_built,
    levels_of,
    panel_of,
    plan,
    primary,
    protected,
    trees,
)
from framework.published import Compared, compare
from framework.record import (
    Column,
    Command,
    JobBook,
    Planned,
    RunInputs,
    versions,
    write_run,
)
from framework.spec import choices
from framework.spec.inference import NOT_RANDOM
from framework.spec.study import Study, project_root
from framework.specification import specification
from framework.vary import unfold

if TYPE_CHECKING:
    from framework.execute import Executor, OnStart, Progress
    from framework.expect import Adjusted, Verdict
    from framework.panel import Panel
    from framework.settings import Settings
    from framework.vary import Levels


@dataclass(frozen=True, slots=True)
class Ran:
    """A finished run.

    Attributes:
        folder: `runs/<study>/<run id>`.
        columns: every estimation and what became of it, in the study's order.
        computed, reused: estimations computed now, and taken from earlier runs.
        book: every job, its state, its trace and the command that retries it.
        watch: where the seconds went so far.
        steps: data step -> seconds it took.
    """

    study: Study
    folder: Path
    columns: tuple[Column, ...]
    computed: int
    reused: int
    book: JobBook
    watch: Stopwatch = field(default_factory=Stopwatch)
    steps: Mapping[str, float] = field(default_factory=dict)

    @property
    def shown(self) -> tuple[Column, ...]:
        return tuple(c for c in self.columns if not c.estimation.hidden)

    @property
    def failed(self) -> tuple[Column, ...]:
        """Without a number, and nobody said that there is none."""
        return tuple(
            c
            for c in self.shown
            if not isinstance(c.outcome, Cell) and not c.unidentified
        )

    @property
    def expectations_failed(self) -> bool:
        return any(v.status == "fails" for c in self.columns for v in c.verdicts)

    @property
    def exit_code(self) -> int:
        return FINISHED_WITH_FAILURES if self.failed else OK


@dataclass(slots=True)
class _Work:
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


def run_study(
    study: Study,
    settings: Settings,
    *,
    only: Sequence[str] = (),
    overrides: Sequence[str] = (),
    output: Path | None = None,
    progress: Progress | None = None,
    render: Callable[[Path], None] | None = None,
    watch: Stopwatch | None = None,
    command: Command | None = None,
    fail_fast: bool = False,
    retry: bool = False,
    gone: Callable[[Sequence[str]], None] | None = None,
) -> Ran:
    """Run a study and write its record.

    Args:
        study: as opened.
        settings: how to run.
        only: addresses to keep.
        overrides: changes of the study as typed, for the record.
        output: a second copy of the run's folder.
        progress: shows how far it is.
        render: draws tables and figures into the folder.
        watch: takes the time of each stage.
        command: what was typed, for the commands that retry; None = `run`.
        fail_fast: stop at the first estimation that fails.
        retry: try again what the design could not answer in an earlier run, too.
        gone: as `plan_run`.

    Raises:
        EstimandError: a problem of the whole study (nothing was run, or nothing gave a
            number), or of the disk.
    """
    created = datetime.now(UTC)
    watch = watch or Stopwatch()
    work = start(study, settings.runs, progress)
    plan_run(work, only, gone=gone)
    watch.lap("data")
    if fail_fast:
        _demand_sound(work)
    command = command or Command("run", study.document.source, tuple(overrides))
    planned = _planned(work)
    book = JobBook.open(settings.runs, study.name, command, planned, part=bool(only))
    outcomes = _execute(
        work, settings, progress, book, fail_fast=fail_fast, retry=retry
    )
    watch.lap("estimations")
    columns = _columns(work, outcomes)
    _stop_if_nothing(columns, book)
    judged = _judged(work, columns)
    adjusted = _adjusted(study, judged)
    columns = _with_verdicts(columns, judged, adjusted)
    multiverses = _multiverses(columns, judged)
    columns = _compared_with_others(work, columns, shifts(judged))
    compared = _compared(study, judged, changed=bool(only or overrides))
    shown = tuple(c for c in columns if not c.estimation.hidden)
    inputs = _inputs(work, shown, compared, multiverses, overrides, created)
    watch.lap("expectations and printed numbers")
    drawing = watch.around(render, "record", "tables, figures and report")
    folder = write_run(inputs, settings.runs, output=output, render=drawing)
    watch.lap("record")
    return Ran(
        study,
        folder,
        columns,
        computed=sum(isinstance(o, Cell) and not c for o, c in outcomes.values()),
        reused=sum(c for _, c in outcomes.values()),
        book=book,
        watch=watch,
        steps=work.prepared.seconds,
    )


def _compared(
    study: Study, judged: Sequence[Judged], *, changed: bool
) -> tuple[Compared, ...]:
    """Printed numbers beside ours; of a part of the study, only those of that part.

    A study with overrides is another study: nothing was printed about it.
    """
    if not study.published:
        return ()
    rows = compare(study.published, judged)
    if not changed:
        return rows
    known = {j.address for j in judged}
    untouched = not study.overridden
    return tuple(
        row
        for row in rows
        if untouched and any(row.address.startswith(f"{a}.") for a in known)
    )


def start(study: Study, runs: Path, progress: Progress | None = None) -> _Work:
    """The store and the preparation of a study's data, shown step by step."""
    store = Store(runs)
    code = f"{source_hash()} {engines_hash()}"
    watch = progress.step if progress else None
    prepared = Prepared(study.root, project_root(study), store, code, watch)
    return _Work(study, runs, store, prepared)


def plan_run(
    work: _Work,
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
        work.estimations.append(_prepare(work, estimation) if ready else estimation)
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


def _prepare(work: _Work, estimation: Estimation) -> Estimation:
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


def _demand_sound(work: _Work) -> None:
    """With --fail-fast nothing is computed when some estimation cannot even start."""
    columns = [Column(e) for e in work.estimations if e.address not in work.jobs]
    problems = [
        problem
        for column in columns
        if not (column.unidentified or column.estimation.hidden)
        for problem in problems_of(column)
    ]
    if problems:
        raise EstimandError(problems)


def _planned(work: _Work) -> list[Planned]:
    """Every job in the study's order; estimations that are the same share one."""
    addresses: dict[str, list[str]] = {}
    for address, job in work.jobs.items():
        addresses.setdefault(job.fingerprint, []).append(address)
    found: list[Planned] = []
    for estimation in work.estimations:
        address = estimation.address
        if address in work.jobs:
            job = work.jobs[address]
            shared = addresses[job.fingerprint]
            if shared[0] == address:
                found.append(Planned(tuple(shared), job.fingerprint))
        else:
            problems = problems_of(Column(estimation))
            found.append(Planned((address,), problems=problems))
    return found


def _execute(
    work: _Work,
    settings: Settings,
    progress: Progress | None,
    book: JobBook | None = None,
    *,
    fail_fast: bool = False,
    retry: bool = False,
) -> dict[str, tuple[Cell | Failure, bool]]:
    """Fingerprint -> outcome, and whether it was finished before."""
    from framework.execute import execute

    jobs = list(work.jobs.values())
    for job in jobs:
        known = work.store.contains(job.fingerprint)
        if not known and not work.store.contains_panel(job.panel):
            work.store.save_panel(work.panels[job.panel])
        if job.source and not work.store.contains_panel(job.source):
            work.store.save_panel(work.sources[job.source])
    begun: set[str] = set()

    def started(job: Job) -> None:
        begun.add(job.fingerprint)
        if book:
            book.started(job.fingerprint)

    def over(job: Job, outcome: Cell | Failure) -> None:
        if book:
            book.over(
                job.fingerprint,
                outcome,
                reused=job.fingerprint not in begun,
                acknowledged=isinstance(outcome, Failure)
                and outcome.is_acknowledged(job.model),
            )

    try:
        outcomes = execute(
            jobs,
            work.store,
            executor_of(settings, work.runs, started),
            on_done=over,
            progress=progress,
            fail_fast=fail_fast,
            retry=retry,
        )
    finally:
        if book:
            book.put_back()
    return {n: (outcome, n in outcomes.reused) for n, outcome in outcomes.items()}


def executor_of(
    settings: Settings, runs: Path, on_start: OnStart | None = None
) -> Executor:
    """The executor that the settings name.

    Raises:
        WorkerError: W09 it needs an extra that is not installed.
    """
    from framework.execute import Inline, Processes

    chosen = settings.executor
    if chosen.name in ("serial", "inline"):
        return Inline(runs, on_start=on_start)
    if chosen.name != "processes":
        from framework.execute import Cluster, connection

        return Cluster(
            runs,
            connection(
                chosen.name, runs, chosen.address, chosen.workers, chosen.options
            ),
            time_limit=chosen.time_limit,
            memory_limit=chosen.memory_limit,
            on_start=on_start,
        )
    return Processes(
        runs,
        workers=chosen.workers or "auto",
        time_limit=chosen.time_limit,
        memory_limit=chosen.memory_limit,
        on_start=on_start,
    )


def estimated(
    work: _Work,
    estimations: Sequence[Estimation],
    settings: Settings,
    progress: Progress | None = None,
) -> dict[str, Cell | tuple[Problem, ...]]:
    """Address -> cell of estimations that no line of the study is, or why there is none.

    They run and are kept as those of a run; nothing is recorded or drawn.

    Args:
        work: as `start` made it.
        estimations: with addresses of their own.
        settings: how to run.
        progress: shows how far it is.
    """
    refused: dict[str, tuple[Problem, ...]] = {}
    for estimation in estimations:
        if not estimation.runs:
            waiting = Column(estimation, None)
            refused[estimation.address] = problems_of(waiting)
            continue
        try:
            prepared = _prepare(work, estimation)
        except EstimandError as error:
            refused[estimation.address] = error.problems
            continue
        if prepared.problems:
            refused[estimation.address] = prepared.problems
    outcomes = _execute(work, settings, progress)
    found: dict[str, Cell | tuple[Problem, ...]] = dict(refused)
    for address, job in work.jobs.items():
        outcome, _ = outcomes[job.fingerprint]
        found[address] = outcome if isinstance(outcome, Cell) else outcome.problems
    return found


def _columns(
    work: _Work, outcomes: Mapping[str, tuple[Cell | Failure, bool]]
) -> tuple[Column, ...]:
    columns: list[Column] = []
    same = _same(work.estimations)
    for estimation in work.estimations:
        job = work.jobs.get(estimation.address)
        outcome, cached = outcomes[job.fingerprint] if job else (None, False)
        if isinstance(outcome, Failure):
            outcome = replace(
                outcome,
                # A cell shared by two lines has failed for both.
                problems=tuple(
                    estimation.located(replace(p, address="")) for p in outcome.problems
                ),
            )
        columns.append(
            Column(
                estimation,
                outcome,
                cached=cached,
                panel=work.keys.get(estimation.address, ""),
                same_as=same.get(estimation.address, ""),
            )
        )
    return tuple(columns)


def _same(estimations: Sequence[Estimation]) -> dict[str, str]:
    """Address -> an earlier value of its line that is the same specification."""
    first: dict[tuple[str, str, Hashable], str] = {}
    found: dict[str, str] = {}
    for e in estimations:
        if not (e.value and e.runs):
            continue
        key = (e.heading, e.line, specification(e.data, e.model, e.draws))
        if (like := first.setdefault(key, e.address)) != e.address:
            found[e.address] = like
    return found


def _stop_if_nothing(columns: Sequence[Column], book: JobBook) -> None:
    """Where nothing gave a number, the problems are the study's."""
    if any(isinstance(c.outcome, Cell) for c in columns):
        return
    found = causes(columns)
    error = EstimandError(found)
    if len(columns) == 1 and (trace := book.trace(columns[0].estimation.address)):
        error.add_note(f"Trace: {trace}")
    if len(columns) > 1:
        for addresses in found.values():
            more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
            error.add_note(f"[{addresses[0]}]{more}")
            for line in remedies(addresses, book):
                error.add_note(line)
        error.add_note(
            f"None of {len(columns)} estimations has numbers; what became of each: "
            f"{book.folder}"
        )
        error.add_note(f"All of them again: {book.command.again('--retry-failed')}")
    raise error


def _judged(work: _Work, columns: Sequence[Column]) -> list[Judged]:
    found: list[Judged] = []
    for column in columns:
        e = column.estimation
        asked = e.model.get("estimand")
        estimand = (asked,) if isinstance(asked, str) else tuple(asked or ())
        problem = "; ".join(p.what for p in problems_of(column)[:1])
        found.append(
            Judged(
                address=e.address,
                cell=column.outcome if isinstance(column.outcome, Cell) else None,
                estimand=estimand,
                confidence=float(e.model.get("confidence", 0.95)),
                expect=e.expect,
                against=e.against if e.against != e.address else "",
                problem=problem,
                draws=e.draws,
                panel=work.keys.get(e.address, ""),
            )
        )
    return found


def _with_verdicts(
    columns: Sequence[Column],
    judged: Sequence[Judged],
    adjusted: Mapping[str, Adjusted],
) -> tuple[Column, ...]:
    """Columns with their verdicts and with what other columns say against them."""
    verdicts = judge(judged, adjusted)
    owned = {c.estimation.address for c in columns if _is_own_effect(c.estimation)}
    against = flags(judged, owned)
    by_cohort = {c.estimation.address for c in columns if _is_by_cohort(c.estimation)}
    companions = pooled(judged, by_cohort)
    filled = []
    for column in columns:
        address = column.estimation.address
        other = companions.get(address, Beside())
        flag = "; ".join(filter(None, (against.get(address), other.flag)))
        said = tuple(replace(v, flag=flag) for v in verdicts.get(address, ()))
        filled.append(
            replace(
                column,
                verdicts=said,
                adjusted=adjusted.get(address),
                flag=flag,
                beside=other.note,
            )
        )
    return tuple(filled)


def _is_own_effect(estimation: Estimation) -> bool:
    """Whether it takes a unit's outcome to depend on the unit's own treatment alone."""
    if not estimation.runs:
        return False
    plugin = choices.build("estimator", estimation.model["estimator"])
    return (
        isinstance(plugin, Estimator)
        and type(plugin).estimates == "treatment"
        and "spatial_weights" not in plugin.demands().uses
    )


def _is_by_cohort(estimation: Estimation) -> bool:
    """Whether it averages effects by cohort and period."""
    if not estimation.runs:
        return False
    plugin = choices.build("estimator", estimation.model["estimator"])
    if not isinstance(plugin, Estimator) or type(plugin).estimates != "treatment":
        return False
    return {"att", "by_cohort"} <= set(plugin.gives())


def _compared_with_others(
    work: _Work, columns: Sequence[Column], found: Mapping[str, Shift]
) -> tuple[Column, ...]:
    """Columns with their shift; where the data differ, with the outcome's, too."""
    at = {c.estimation.address: c for c in columns}
    filled: list[Column] = []
    for column in columns:
        shift = found.get(column.estimation.address)
        if shift is None:
            filled.append(column)
            continue
        other, change = at[shift.against], None
        outcome = column.estimation.model.get("outcome")
        same = outcome == other.estimation.model.get("outcome")
        if same and column.panel != other.panel:
            now, before = (work.panels[c.panel] for c in (column, other))
            _, model = trees(other.estimation)
            change = outcome_change(now, before, outcome, model.treatment)
        filled.append(replace(column, shift=shift, change=change))
    return tuple(filled)


def _adjusted(study: Study, judged: Sequence[Judged]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, choice in study.families.items():
        family = [
            j for j in judged if j.address == name or j.address.startswith(f"{name}.")
        ]
        found |= adjust(family, choice, name=name, seed=study.seed)
    return found


def _multiverses(
    columns: Sequence[Column], judged: Sequence[Judged]
) -> tuple[Multiverse, ...]:
    """Every line whose `each` has several paths, summed up."""
    lines: dict[tuple[str, str], list[Universe]] = {}
    for column, number in zip(columns, judged, strict=True):
        e = column.estimation
        if e.hidden or len(e.choices) < 2:  # noqa: PLR2004 - one choice is a table
            continue
        universe = Universe(
            number, e.choices, e.excluded, column.status, column.same_as
        )
        lines.setdefault((e.heading, e.line), []).append(universe)
    found = (multiverse(h, line, held) for (h, line), held in lines.items())
    return tuple(m for m in found if m is not None)


def _inputs(
    work: _Work,
    columns: tuple[Column, ...],
    compared: Sequence[Compared],
    multiverses: Sequence[Multiverse],
    overrides: Sequence[str],
    created: datetime,
) -> RunInputs:
    study = work.study
    base = next(
        (
            c.panel
            for c in columns
            if c.panel and c.estimation.data == study.tree["data"]
        ),
        next(iter(work.panels)),
    )
    panel = work.panels[base]
    first = panel.ledger[0] if panel.ledger else None
    labels = {
        name: entry.label for name, entry in study.data.columns.items() if entry.label
    }
    return RunInputs(
        study=study.name,
        title=study.title or None,
        seed=study.seed,
        spec=study.document.text,
        sources=dict(study.texts[1:]),
        overrides=tuple(overrides),
        panels=work.panels,
        base=base,
        source=first.name if first else "",
        source_sha256=work.prepared.source_sha(study.data),
        columns=columns,
        versions={**versions(), **_plugin_versions(columns)},
        code=source_hash(),
        labels={**labels, **study.labels},
        report=study.report,
        families=study.families,
        published=tuple(c.to_dict() for c in compared),
        multiverses=tuple(asdict(m) for m in multiverses),
        primary=primary(study),
        generated=work.prepared.simulated(study.data),
        folder=study.root.resolve(),
        project=project_root(study),
        model=study.tree["model"],
        created=created,
        finished=datetime.now(UTC),
    )


def _plugin_versions(columns: Sequence[Column]) -> dict[str, str]:
    """Distributions of other people's estimators and steps that were used."""
    from importlib import metadata

    used = {("estimator", c.estimation.model["estimator"]["name"]) for c in columns}
    used |= {
        ("step", flat["name"])
        for c in columns
        for flat in (c.estimation.data.get("steps") or {}).values()
    }
    found = [registry.find(kind, name) for kind, name in used]  # type: ignore[arg-type]  # two literals
    names = {e.distribution for e in found if isinstance(e, registry.Entry)} - {""}
    return {name: metadata.version(name) for name in sorted(names)}


def renderer(settings: Settings) -> Callable[[Path], None]:
    """Draws tables, figures and the report as the settings ask."""

    def draw(folder: Path) -> None:
        from framework.render import render

        render(
            folder,
            settings.report.formats,
            settings.report.figures,
            kept=settings.runs / ".cells" / "drawn",
        )

    return draw


def sync(
    folder: Path, settings: Settings, waits: Callable[[str], None] | None = None
) -> str:
    """Show a run in MLflow; the page or experiment, "" when tracking is off.

    Args:
        folder: of the run.
        settings: where MLflow is.
        waits: told, in a sentence, what another program makes it wait for.
    """
    if not settings.tracking.enabled:
        return ""
    from framework.record.store_place import TrackingConfig
    from framework.record.tracking import sync as show

    tracking = TrackingConfig(settings.runs, **settings.tracking.model_dump())
    return show(folder, tracking, waits=waits)


def verdicts_of(ran: Ran) -> list[tuple[str, Verdict]]:
    """(address, verdict) of every expectation, those of a line once."""
    found: list[tuple[str, Verdict]] = []
    seen: set[tuple[str, str]] = set()
    for column in ran.shown:
        e = column.estimation
        for verdict in column.verdicts:
            line = f"{e.heading}.{e.line}"
            if verdict.of_line:
                if (line, verdict.expectation) in seen:
                    continue
                seen.add((line, verdict.expectation))
            found.append((line if verdict.of_line else e.address, verdict))
    return found
