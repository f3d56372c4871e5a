"""`report`, `rebuild` and `ui`: what is made from finished runs."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from framework.commands import printing
from framework.commands.opening import read_overrides
from framework.errors import OK, SpecError, StorageError, did_you_mean
from framework.settings import Settings, settings

if TYPE_CHECKING:
    from framework.record.store_place import TrackingConfig


def report(options: argparse.Namespace) -> int:
    """Tables, figures and the report of a run again, from its record."""
    from framework.render import render

    chosen = _settings(options)
    folder = run_folder(options.run, chosen.runs)
    asked = [f for f in options.formats.split(",") if f]
    written = render(
        folder,
        asked or chosen.report.formats,
        chosen.report.figures,
        kept=chosen.runs / ".cells" / "drawn",
    )
    printing.out(*(str(path) for path in written))
    return OK


def rebuild(options: argparse.Namespace) -> int:
    """Every run of `runs/` in MLflow, again or for the first time."""
    from framework.record.tracking import rebuild as make

    tracking = _tracking(_settings(options))
    count = make(tracking, progress=_counted("runs shown"), waits=printing.log)
    printing.out(f"{count} runs are in MLflow.")
    return OK


def ui(options: argparse.Namespace) -> int:
    """MLflow's pages on this machine, until interrupted."""
    from framework.record.tracking import serve, view_url
    from framework.run_folders import newest_run

    tracking = _tracking(_settings(options))

    def ready(base: str) -> None:
        page = base
        if options.study:
            page = view_url(tracking, options.study, base=base)
        elif newest := newest_run(tracking.runs):
            with suppress(StorageError):  # it was run with tracking=none
                page = view_url(tracking, newest.parent.name, base=base)
        printing.out(f"MLflow is at {page} (ctrl-c ends it)")

    return serve(tracking, port=options.port, ready=ready, waits=printing.log)


def run_folder(name: str, runs: Path) -> Path:
    """A run by its folder, by `STUDY/RUN` or by its study's name (the latest).

    Raises:
        StorageError: there is none.
        SpecError: no study of that name has run.
    """
    from framework.record import read_latest

    for folder in (Path(name), runs / name):
        if (folder / "manifest.json").is_file():
            return folder
    if (runs / name).is_dir():
        latest = read_latest(runs / name)
        if latest is not None:
            return runs / name / latest.name  # as it was asked for, not resolved
        raise StorageError("R24", f"the study '{name}' has no finished run in {runs}")
    known = (
        [p.name for p in sorted(runs.iterdir()) if p.is_dir() and p.name[0] != "."]
        if runs.is_dir()
        else []
    )
    raise SpecError(
        "X22",
        f"no run '{name}'",
        fix=did_you_mean(name, known) or "run a study first: estimand run STUDY",
    )


def _settings(options: argparse.Namespace) -> Settings:
    changes, conf = read_overrides(options.overrides)
    if changes:
        raise SpecError(
            "X22",
            f"{changes[0].text} changes a study, and this verb reads finished runs",
            fix=f"estimand run STUDY {changes[0].text}",
        )
    return settings(conf)


def _tracking(chosen: Settings) -> TrackingConfig:
    from framework.record.store_place import TrackingConfig

    return TrackingConfig(chosen.runs, **chosen.tracking.model_dump())


class _counted:  # noqa: N801 - used as a function
    """`3 of 20 runs shown` on a terminal's stderr."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __call__(self, count: int, total: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if count == total else ""
            print(f"\r{count} of {total} {self.what}", end=end, file=sys.stderr)
