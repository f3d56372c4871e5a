"""One finished run in the terminal: its tables, verdicts and what has no numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.commands import printing

if TYPE_CHECKING:
    from framework.render import RunFolder


def runs_folder() -> Path:
    """Where this folder's settings keep runs."""
    from framework.settings import settings

    return settings().runs


def moment(text: object) -> str:
    """`2026-03-01 12:30` of an ISO time."""
    return str(text or "")[:16].replace("T", " ")


def run_named(name: str) -> RunFolder | None:
    """A run by its folder, `STUDY/RUN` or its study's name (the latest)."""
    runs = runs_folder()
    there = [Path(name), runs / name]
    if not any(path.is_dir() for path in there):
        return None
    from framework.commands.reporting import run_folder
    from framework.render import RunFolder

    return RunFolder.read(run_folder(name, runs))


def say_run(run: RunFolder) -> None:
    """A run in the terminal."""
    from framework.render import terminal_table

    done = sum(column.done for column in run.columns)
    title = f": {run.title}" if run.title else ""
    printing.out(f"{run.study}/{run.run_id}{title}")
    printing.out(
        f"  {moment(run.created)}, {done} of {len(run.columns)} estimations, "
        f"seed {run.seed}, {run.source} ({run.data_rows:,} rows)",
        "",
    )
    for heading in run.headings:
        printing.out(terminal_table(run, heading.name, printing.width()), "")
    judged = [(c.address, v) for c in run.columns for v in c.verdicts]
    if judged:
        printing.out("Expectations")
    for address, verdict in judged:
        mark, _, said = verdict.sentence().partition(" ")
        printing.out(*printing.wrapped(f"{mark} {address}: {said}", "      ", "  "))
    empty = [column for column in run.columns if not column.done]
    if empty:
        printing.out(*([""] if judged else []), "Without numbers")
    for column in empty:
        text = f"{column.address}: {column.why_empty()}"
        printing.out(*printing.wrapped(text, "      ", "  "))
    printing.out("", f"Report: {run.path / 'report.html'}")


def run_as_dict(run: RunFolder) -> dict[str, Any]:
    """A run for `--json`."""
    held: dict[str, Any] = _finite(_run_held(run))
    return held


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null instead."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _run_held(run: RunFolder) -> dict[str, Any]:
    return {
        "study": run.study,
        "run_id": run.run_id,
        "folder": str(run.path),
        "created": run.created,
        "seed": run.seed,
        "hashes": dict(run.hashes),
        "verdicts": dict(run.verdicts),
        "estimations": [
            {
                "address": column.address,
                "status": column.status,
                "estimator": column.estimator,
                "formula": column.formula,
                "judged": asdict(column.judged) if column.judged else None,
                "scalars": dict(column.scalars),
                "verdicts": [asdict(verdict) for verdict in column.verdicts],
                "problems": [asdict(problem) for problem in column.problems],
            }
            for column in run.columns
        ],
    }
