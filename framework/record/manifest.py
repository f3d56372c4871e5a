"""`manifest.json`: what a run is, in one file that other tools read."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from framework.cache import Cell, Failure
from framework.errors import NOT_IDENTIFIED, Problem
from framework.expect import CannotBeJudged, Judged, judged_row
from framework.record.tables import file_name
from framework.result import Plot

if TYPE_CHECKING:
    from framework.plan import Estimation
    from framework.record.inputs import Column, RunInputs

VERDICTS = ("holds", "fails", "cannot be judged")


def manifest(inputs: RunInputs, run_id: str, *, notes: tuple[str, ...]) -> str:
    """The text of `manifest.json`.

    Args:
        inputs: the run.
        run_id: its id.
        notes: what was said while its data were written.
    """
    panel = inputs.panel
    columns = [_column(column) for column in inputs.shown]
    content = {
        "study": inputs.study,
        "run_id": run_id,
        "created": _moment(inputs.created),
        "finished": _moment(inputs.finished) if inputs.finished else None,
        "title": inputs.title,
        "seed": inputs.seed,
        "versions": dict(inputs.versions),
        "hashes": {
            "spec": spec_sha(inputs),
            "data": inputs.base,
            "code": inputs.code,
        },
        "overrides": list(inputs.overrides),
        "generated": inputs.generated,
        "labels": dict(panel.labels) | dict(inputs.labels),
        "report": inputs.report,
        "families": inputs.families,
        "data": {
            "source": inputs.source,
            "sha256": inputs.source_sha256,
            "rows": len(panel.frame),
            "columns": panel.frame.shape[1],
            "unit": panel.unit,
            "time": panel.time,
            "ledger": [asdict(line) for line in panel.ledger],
            "notes": [*panel.notes, *notes],
            "frames": {n: frame_path("data", n) for n in panel.frames},
            "plots": [asdict(_open(plot)) for plot in panel.plots],
        },
        "panels": {
            key: {
                "rows": len(other.frame),
                "ledger": [asdict(line) for line in other.ledger],
                "notes": list(other.notes),
            }
            for key, other in inputs.panels.items()
            if key != inputs.base
        },
        "columns": columns,
        "verdicts": _count(inputs.shown),
        "published": [dict(row) for row in inputs.published],
        "primary": inputs.primary,
        "multiverses": [dict(held) for held in inputs.multiverses],
    }
    text = json.dumps(_plain(content), ensure_ascii=False, indent=1, allow_nan=False)
    return text + "\n"


def _count(columns: Sequence[Column]) -> dict[str, int]:
    """Verdicts by status; one that all values of a line share counts once."""
    seen = {
        (
            column.estimation.heading,
            column.estimation.line,
            "" if verdict.of_line else column.estimation.value,
            place,
        ): verdict.status
        for column in columns
        for place, verdict in enumerate(column.verdicts)
    }
    counted: Counter[str] = Counter(seen.values())
    return {status: counted[status] for status in VERDICTS}


def spec_sha(inputs: RunInputs) -> str:
    """sha256 of the study as run: its text, the files it takes in, the overrides."""
    parts = [inputs.spec, *inputs.overrides]
    for name in sorted(inputs.sources):
        parts += [name, inputs.sources[name]]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def frame_path(address: str, name: str) -> str:
    """Where a frame of an estimation lies below the run's folder."""
    return f"frames/{file_name(address, name)}.csv"


def _column(column: Column) -> dict[str, Any]:
    estimation, outcome = column.estimation, column.outcome
    entry = {
        "address": estimation.address,
        "heading": estimation.heading,
        "line": estimation.line,
        "value": estimation.value,
        "status": column.status,
        **_asked(estimation),
        "changes": dict(estimation.changes),
        "choices": dict(estimation.choices),
        "formula": "",
        "fingerprint": "",
        "panel": column.panel,
        "cached": column.cached,
        "seconds": 0.0,
        "ledger": [],
        "notes": [],
        "acknowledged": [NOT_IDENTIFIED] if column.unidentified else [],
        "problems": _problems(column),
        "verdicts": [
            {
                "expectation": v.expectation,
                "status": v.status,
                "reason": v.reason,
                "flag": v.flag,
            }
            for v in column.verdicts
        ],
        "flag": column.flag,
        "beside": column.beside,
        "same_as": column.same_as,
        "adjusted": asdict(column.adjusted) if column.adjusted else None,
        "shift": _shift(column),
        "plots": [],
        "frames": {},
        "judged": None,
        "draws": dict(estimation.draws) if estimation.draws else None,
    }
    if isinstance(outcome, Cell):
        entry |= _found(outcome, estimation)
    return entry


def _shift(column: Column) -> dict[str, Any] | None:
    """The distance from what it is compared with, and how the outcome differs."""
    if column.shift is None:
        return None
    gap = column.shift.gap
    return {
        "against": column.shift.against,
        "difference": 0.0 if gap.identical else gap.estimate,
        "std_error": gap.std_error,
        "p_value": gap.p_value,
        "reason": gap.reason,
        "outcome": asdict(column.change) if column.change else None,
    }


def _problems(column: Column) -> list[dict[str, object]]:
    """Why there is no number: refused, failed or waiting for a plugin."""
    problems: tuple[Problem, ...] = column.estimation.problems
    if isinstance(column.outcome, Failure):
        problems = (*problems, *column.outcome.problems)
    missing: list[dict[str, object]] = [
        {"code": "", "what": f"needs {name}", "why": "", "fix": ""}
        for name in column.estimation.not_built
    ]
    return [problem.to_dict() for problem in problems] + missing


def _asked(estimation: Estimation) -> dict[str, Any]:
    """The model in words, as far as it is known before anything ran."""
    model = estimation.model
    return {
        "estimator": str(model["estimator"]["name"]),
        "outcome": _words(model.get("outcome")),
        "treatment": _list(_treatment(model.get("treatment"))),
        "controls": _list(model.get("controls")),
        "mediators": _list(model.get("mediators")),
        "fixed_effects": _list(model.get("fixed_effects")),
        "inference": _words(model.get("inference")),
        "weights": _words(model.get("weights")),
        "sample": list(model.get("sample") or ()),
        "estimand": next(iter(_list(model.get("estimand"))), ""),
        "confidence": model.get("confidence", 0.95),
    }


def _found(cell: Cell, estimation: Estimation) -> dict[str, Any]:
    """What the design resolved and the estimation left behind."""
    result = cell.result
    frames = {n: frame_path(estimation.address, n) for n in result.frames}
    found: dict[str, Any] = {
        name: cell.labels[name]
        for name in (
            "outcome",
            "treatment",
            "controls",
            "fixed_effects",
            "inference",
            "weights",
            "sample",
            "formula",
        )
        if name in cell.labels
    }
    judged = _judged(cell, estimation)
    if judged is not None:
        found |= {"judged": judged, "estimand": judged["estimand"]}
    if cell.draws is not None:
        frames["draws"] = frame_path(estimation.address, "draws")
    return found | {
        "terms": cell.labels.get("terms", {}),
        "fingerprint": cell.fingerprint,
        "seconds": cell.seconds,
        "ledger": [asdict(line) for line in cell.ledger],
        "notes": [*result.notes, *(n for n in cell.notes if n not in result.notes)],
        "acknowledged": list(cell.acknowledged),
        "plots": [asdict(_open(plot)) for plot in result.plots],
        "frames": frames,
    }


def _judged(cell: Cell, estimation: Estimation) -> dict[str, Any] | None:
    """Which coefficient the column is about, as expectations see it."""
    asked = tuple(_list(estimation.model.get("estimand")))
    try:
        row = judged_row(Judged(estimation.address, cell, estimand=asked))
    except CannotBeJudged:
        return None
    return {"estimand": row.estimand, "term": row.term, "index": dict(row.index)}


def _open(plot: Plot) -> Plot:
    """A plot whose options are a plain mapping (`asdict` cannot copy a proxy)."""
    return replace(plot, options=dict(plot.options))


def _treatment(term: Any) -> Any:
    if isinstance(term, Mapping) and "column" in term:
        return term["column"]
    return term


def _list(term: Any) -> list[str]:
    if term is None:
        return []
    if isinstance(term, str) or not isinstance(term, list | tuple):
        return [_words(term)]
    return [_words(item) for item in term]


def _words(term: Any) -> str:
    """A term or choice as a reader would say it: `a × b`, `cluster sid`."""
    if term is None:
        return ""
    if isinstance(term, Mapping):
        if set(term) == {"name"}:
            return str(term["name"])
        name = str(term.get("name", ""))
        options = (
            _words(value) if key == name else f"{key} {_words(value)}"
            for key, value in term.items()
            if key != "name"
        )
        return f"{name} {', '.join(options)}".strip()
    if isinstance(term, list | tuple):
        return " × ".join(_words(item) for item in term)
    return str(term)


def _plain(value: Any) -> Any:
    """JSON: mappings and tuples opened, numpy's scalars plain, no NaN or infinity."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
