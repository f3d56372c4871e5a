"""`validate`, `plan` and `run`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.commands import printing
from framework.commands.opening import (
    beside,
    changes_typed,
    distinct,
    every,
    hidden,
    misspelt,
    open_with,
    read_overrides,
    survey,
)
from framework.errors import (
    EXPECTATION_FAILED,
    OK,
    EstimandError,
    Phase,
    Problem,
    StorageError,
    counted,
)
from framework.named_columns import columns_checked
from framework.plan import Estimation, primary
from framework.plan import plan as plan_study
from framework.spec.study import Study, read_study

if TYPE_CHECKING:
    from framework.commands.running import Ran
    from framework.record import Command


#: Addresses that a sentence names.
_NAMED = 8

# -- validate -------------------------------------------------------------------------


def validate(options: argparse.Namespace) -> int:
    """Check studies against the language, the plugins and the data's header."""
    reports = [_validated(path, data=options.data) for path in options.studies]
    if options.json:
        printing.as_json([_as_dict(r) for r in reports])
    for path, problems, study, planned in reports:
        if problems:
            printing.problems(problems)
            continue
        if not options.json and study is not None:
            _say_valid(path, study, planned)
    found = [p for _, problems, _, _ in reports for p in problems]
    if len(found) > 1:
        printing.log(f"{counted(len(found), 'problem')}.")
    return EstimandError(found).exit_code if found else OK


_Report = tuple[Path, list[Problem], "Study | None", tuple[Estimation, ...]]


def _validated(path: Path, *, data: bool) -> _Report:
    if data:
        problems = survey(path)
        if problems:
            return path, problems, None, ()
    try:
        reading = read_study(path)
    except EstimandError as error:
        return path, list(error.problems), None, ()
    study = reading.study
    if study is None:
        return path, distinct([*reading.problems, *hidden(reading)]), None, ()
    try:
        planned = plan_study(study)
    except EstimandError as error:
        return path, [*error.problems, *beside(study)], None, ()
    problems = [p for e in planned for p in e.problems] + beside(study, planned)
    return path, problems, study, planned


def _say_valid(path: Path, study: Study, planned: tuple[Estimation, ...]) -> None:
    shown = [e for e in planned if not e.hidden]
    waiting = [e for e in shown if e.not_built]
    spread = " (more once `every` meets the data)" if _has_every(shown) else ""
    printing.out(f"{path}: valid, {counted(len(shown), 'estimation')}{spread}")
    if not columns_checked(study):
        printing.out("  columns are not checked: this source needs reading (--data)")
    for name, guess, places in misspelt(study):
        said = (
            f"published: nothing is called '{name}' ({', '.join(places[:3])}); {guess} "
            "It is compared only if the estimator reports it."
        )
        printing.out(*printing.wrapped(said, "    ", "  "))
    needs: dict[str, list[str]] = {}
    for estimation in waiting:
        for what in estimation.not_built:
            needs.setdefault(what, []).append(estimation.address)
    for what, addresses in needs.items():
        listed = ", ".join(addresses[:4]) + (", …" if len(addresses) > 4 else "")  # noqa: PLR2004 - as many as fit a line
        said = f"not built yet: {what} (needed by {len(addresses)}: {listed})"
        printing.out(*printing.wrapped(said, "    ", "  "))


def _has_every(planned: list[Estimation]) -> bool:
    return any("<every value>" in e.value for e in planned)


def _as_dict(report: _Report) -> dict[str, Any]:
    path, problems, study, planned = report
    return {
        "study": study.name if study else None,
        "path": str(path),
        "valid": not problems,
        "problems": [p.to_dict() for p in problems],
        "estimations": [
            {"address": e.address, "not_built": list(e.not_built)}
            for e in planned
            if not e.hidden
        ],
    }


# -- plan -----------------------------------------------------------------------------


def plan(options: argparse.Namespace) -> int:
    """Every estimation with formula, rows, seed and what is cached; nothing is fitted."""
    from framework.commands.planning import described
    from framework.commands.preparing import plan_run, start

    try:
        study, settings = open_with(options.study, options.overrides)
    except EstimandError as error:
        raise every(error, options.study, options.overrides) from None
    work = start(study, settings.runs)
    planned = plan_run(work, options.only, build=False)
    rows = {e.address: described(work, e) for e in planned if not e.hidden}
    if options.json:
        printing.as_json(
            {
                "study": study.name,
                "seed": study.seed,
                "primary": primary(study),
                "estimations": [
                    rows[e.address].to_dict() for e in planned if e.address in rows
                ],
            }
        )
        return OK
    source = next(iter(work.panels.values()), None)
    shown = [e for e in planned if not e.hidden]
    printing.out(
        f"{study.name}: {counted(len(shown), 'estimation')}, seed {study.seed}"
    )
    held = " (as frozen)" if study.frozen else ""
    printing.out(f"  primary specification {primary(study)[:12]}{held}")
    for line in source.ledger if source else ():
        printing.out(*printing.wrapped(_ledger(line), "    ", "  "))
    printing.plan_table(planned, {a: r.lines() for a, r in rows.items()})
    printing.out("", "Nothing was estimated.")
    return OK


def _ledger(line: Any) -> str:
    rows = f"{line.rows_in} -> {counted(line.rows_out, 'row')}"
    rows = f"{counted(line.rows_out, 'row')}" if line.rows_in == line.rows_out else rows
    cells = f", {counted(line.cells, 'cell')}" if line.cells else ""
    detail = f" ({line.detail})" if line.detail else ""
    return f"{line.name}: {rows}{cells}{detail}"


# -- run ------------------------------------------------------------------------------


def run(options: argparse.Namespace) -> int:
    """Estimate a study; tables come before MLflow is written."""
    from framework.commands.running import renderer, run_study
    from framework.commands.timing import Stopwatch
    from framework.commands.watching import Bar
    from framework.record import Command, check_output

    watch = Stopwatch.of_process() if options.whole_process else Stopwatch()
    try:
        study, settings = open_with(options.study, options.overrides)
        plan_study(study)
    except EstimandError as error:
        raise every(error, options.study, options.overrides) from None
    if settings.sweep.overrides:
        read_overrides(settings.sweep.overrides)
    if options.output is not None:
        check_output(options.output)
    command = Command("run", str(options.study), tuple(options.overrides))
    only = wanted(options, settings.runs, study.name, command)
    if only is None:
        return OK
    watch.lap("study")
    try:
        ran = run_study(
            study,
            settings,
            only=only,
            overrides=changes_typed(options.overrides),
            output=options.output,
            progress=Bar(quiet=options.quiet),
            render=renderer(settings),
            watch=watch,
            command=command,
            fail_fast=options.fail_fast,
            retry=options.retry_failed,
            gone=say_gone if options.retry_failed else None,
        )
    except EstimandError as error:
        if error.exit_code > Phase.DESIGN or any(p.address for p in error.problems):
            raise
        # The data stopped it before the model met them: say what is wrong with both.
        more = survey(options.study, options.overrides)
        raise EstimandError(distinct([*error.problems, *more])) from None
    return finish(ran, settings, options)


def wanted(
    options: argparse.Namespace, runs: Path, study: str, command: Command
) -> list[str] | None:
    """The addresses to run, [] for all; None when there is nothing to retry.

    Raises:
        StorageError: R26 `--retry-failed` or `--resume` without an earlier run.
    """
    from framework.record import last_failed

    only: list[str] = list(options.only)
    if not (options.retry_failed or options.resume):
        return only
    failed = last_failed(runs, study, command)
    if failed is None:
        raise StorageError(
            "R26",
            f"no earlier `{command.again()}` in {runs}",
            why="What failed, or where it ended, is not known.",
            fix="run it without --retry-failed and --resume",
        )
    if options.resume:
        return only
    if not failed:
        printing.log("nothing failed in the last run")
        return None
    some = [f for f in failed if not only or any(_within(f, o) for o in only)]
    if not some:
        printing.log(f"nothing of {', '.join(only)} failed in the last run")
        return None
    again = command.again("--resume")
    printing.log(
        f"{len(some)} failed in the last run: {_listed(some)}; for the whole record "
        f"afterwards: {again}"
    )
    return some


def say_gone(addresses: Sequence[str]) -> None:
    """Say what failed in an earlier run and is no estimation of the study any more."""
    printing.log(
        f"{len(addresses)} of them are not in the study any more and are left out: "
        f"{_listed(addresses)}"
    )


def _listed(addresses: Sequence[str]) -> str:
    more = len(addresses) - _NAMED
    listed = ", ".join(addresses[:_NAMED])
    return f"{listed} and {more} more" if more > 0 else listed


def _within(address: str, part: str) -> bool:
    return f"{address}.".startswith(f"{part}.")


def finish(ran: Ran, settings: Any, options: argparse.Namespace) -> int:
    """Say what came out, then show it in MLflow."""
    from framework.commands.running import sync

    if options.json:
        printing.as_json(_ran_as_dict(ran))
    else:
        printing.tables(ran)
        printing.verdicts(ran)
        printing.published(ran)
    printing.failures(ran)
    if not options.json:
        printing.summary(ran)
    ran.watch.lap("terminal")
    sync(ran.folder, settings, None if options.quiet else printing.log)
    ran.watch.lap("MLflow")
    if not options.json:
        printing.spent(ran)
    if ran.failed:
        return ran.exit_code
    if options.strict and ran.expectations_failed:
        return EXPECTATION_FAILED
    return OK


def _ran_as_dict(ran: Ran) -> dict[str, Any]:
    from framework.commands.running import verdicts_of

    return {
        "study": ran.study.name,
        "folder": str(ran.folder),
        "report": str(ran.folder / "report.html"),
        "computed": ran.computed,
        "reused": ran.reused,
        "seconds": {stage: round(s, 3) for stage, s in ran.watch.spent.items()},
        "estimations": len(ran.shown),
        "failed": [c.estimation.address for c in ran.failed],
        "not_identified": [c.estimation.address for c in ran.shown if c.unidentified],
        "verdicts": [
            {
                "address": address,
                "expectation": v.expectation,
                "status": v.status,
                "reason": v.reason,
                "flag": v.flag,
            }
            for address, v in verdicts_of(ran)
        ],
    }
