"""Running a study: prepare, estimate, judge, record, render; MLflow comes last."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from framework import registry
from framework.cache import Cell, Failure, Job, source_hash
from framework.commands.causes import causes, problems_of, remedies
from framework.commands.judged import (
    adjusted_of,
    compared_with_others,
    judged_of,
    multiverses_of,
    with_verdicts,
)
from framework.commands.preparing import Work, plan_run, prepare_line, start
from framework.commands.timing import Stopwatch
from framework.errors import FINISHED_WITH_FAILURES, OK, EstimandError, Problem
from framework.expect import Judged, shifts
from framework.multiverse import Multiverse
from framework.plan import Estimation, primary
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
from framework.spec.study import Study, project_root
from framework.specification import specification

if TYPE_CHECKING:
    from framework.execute import Executor, OnStart, Progress
    from framework.expect import Verdict
    from framework.settings import Settings


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
    judged = judged_of(columns, work.keys)
    adjusted = adjusted_of(study, judged)
    columns = with_verdicts(columns, judged, adjusted)
    multiverses = multiverses_of(columns, judged)
    columns = compared_with_others(columns, work.panels, shifts(judged))
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


def _demand_sound(work: Work) -> None:
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


def _planned(work: Work) -> list[Planned]:
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
    work: Work,
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
    work: Work,
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
            prepared = prepare_line(work, estimation)
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
    work: Work, outcomes: Mapping[str, tuple[Cell | Failure, bool]]
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


def _inputs(
    work: Work,
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
