"""What MLflow shows of a run, read from the run's folder."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.errors import StorageError
from framework.result import INDEX_COLUMNS
from framework.run_folders import is_run

#: The ten metrics of an estimation; every other number stays in the folder, because
#: MLflow's table becomes unusable with many names.
METRICS = (
    "estimate",
    "std_error",
    "p_value",
    "conf_low",
    "conf_high",
    "n_obs",
    "n_clusters",
    "r2_within",
    "n_treated_units",
    "seconds",
)
#: Parameters that every estimation has.
PARAMETERS = (
    "estimator",
    "outcome",
    "controls",
    "fixed_effects",
    "sample",
    "inference",
)
#: Most parameters that a study's own choices may add; more make the compare page
#: unreadable.
MOST_VARYING = 7

# MLflow shortens longer values without an error: tags at 8,000 characters, parameters
# at 6,000; a table cell reads well up to about this.
_LONGEST_NOTE, _LONGEST_VALUE = 7_900, 120


@dataclass(frozen=True, slots=True)
class Estimation:
    """What MLflow shows of one estimation."""

    address: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run's folder.

    Attributes:
        varying: parameter names of the choices that vary most.
        estimations: the finished ones, in the order of the study.
    """

    folder: Path
    study: str
    run_id: str
    manifest: Mapping[str, Any]
    varying: tuple[str, ...]
    estimations: tuple[Estimation, ...]


def read(folder: Path) -> Recorded:
    """A run's folder as MLflow will show it.

    Raises:
        StorageError: R24 there is no finished run, or it was changed by hand.
    """
    if not is_run(folder):
        raise StorageError(
            "R24",
            f"{folder} is not a finished run's folder",
            why="It has no manifest.json or no coefficients.csv.",
            fix="give a folder runs/<study>/<run id>",
        )
    try:
        return _recorded(folder)
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            "R24",
            f"the record in {folder} cannot be read ({type(error).__name__}: {error})",
            why="Its files are written whole, so something else changed them.",
            fix="run the study again, or move that folder out of runs/",
        ) from error


def _recorded(folder: Path) -> Recorded:
    text = (folder / "manifest.json").read_text(encoding="utf-8")
    manifest: dict[str, Any] = json.loads(text)
    coefficients = _by_column(folder / "coefficients.csv")
    scalars = _by_column(folder / "scalars.csv")
    done = [column for column in manifest["columns"] if column["status"] == "done"]
    varying = _varying(done)
    estimations = []
    for column in done:
        key = (column["heading"], column["line"], column["value"])
        numbers = {r["name"]: r["number"] for r in scalars.get(key, ())}
        judged = _judged_row(coefficients.get(key, ()), column["judged"])
        estimations.append(
            Estimation(
                column["address"],
                _parameters(column, varying),
                _metrics({**numbers, **judged, "seconds": column["seconds"]}),
                _tags(column, manifest),
            )
        )
    return Recorded(
        folder.resolve(),
        manifest["study"],
        manifest["run_id"],
        manifest,
        tuple(varying.values()),
        tuple(estimations),
    )


def _judged_row(
    rows: Sequence[Mapping[str, str]], judged: Mapping[str, Any] | None
) -> Mapping[str, str]:
    """The one coefficient that an estimation is about; empty for a table of many.

    Rows that differ by event time, cohort or another index are many answers: none of
    them may stand for the estimation.
    """
    if judged is None or judged["index"]:
        return {}
    for row in rows:
        found = row["estimand"] == judged["estimand"] and row["term"] == judged["term"]
        if found and not any(row[name] for name in INDEX_COLUMNS):
            return row
    return {}


def _by_column(path: Path) -> dict[tuple[str, str, str], list[dict[str, str]]]:
    found: dict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            found[row["heading"], row["check"], row["value"]].append(row)
    return found


def _varying(columns: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Changed path -> parameter name, for the choices that vary most."""
    values: dict[str, set[str]] = defaultdict(set)
    seen: Counter[str] = Counter()
    for column in columns:
        for path, value in column["changes"].items():
            if path.removeprefix("model.") in PARAMETERS:
                continue  # every estimation shows these anyway
            values[path].add(_short(value))
            seen[path] += 1
    most = sorted(values, key=lambda path: (-len(values[path]), -seen[path]))
    chosen = {*most[:MOST_VARYING]}
    names: dict[str, str] = {}
    for path in values:
        if path in chosen:
            name = re.sub(r"[^\w./ -]", "_", path.removeprefix("model."))[:200]
            while name in names.values() or name in PARAMETERS:
                name += "_"
            names[path] = name
    return names


def _parameters(
    column: Mapping[str, Any], varying: Mapping[str, str]
) -> dict[str, str]:
    shown = {name: _short(column[name]) for name in PARAMETERS}
    for path, name in varying.items():
        if path in column["changes"]:
            shown[name] = _short(column["changes"][path])
    return shown


def _metrics(numbers: Mapping[str, Any]) -> dict[str, float]:
    """The fixed metrics that are finite: MLflow would store infinity as 1.8e308."""
    found: dict[str, float] = {}
    for name in METRICS:
        if numbers.get(name) in {None, ""}:
            continue
        number = float(numbers[name])
        if math.isfinite(number):
            # MLflow's table cuts 5.71e-11 to "5.71"; full precision is in the CSV.
            found[name] = round(number, 6) if name == "p_value" else number
    return found


def _tags(column: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, str]:
    statuses = {verdict["status"] for verdict in column["verdicts"]}
    verdict = next(
        (s for s in ("fails", "cannot be judged", "holds") if s in statuses),
        "no expectation",
    )
    if column.get("flag") and statuses:
        verdict = f"{verdict}, flagged"
    return {
        "study": manifest["study"],
        "kind": "estimation",
        "address": column["address"],
        "heading": column["heading"],
        "estimator": column["estimator"],
        "estimand": column["estimand"],
        "fingerprint": column["fingerprint"],
        "spec_sha": manifest["hashes"]["spec"],
        "data_sha": manifest["hashes"]["data"],
        "verdict": verdict,
    }


def _short(value: Any) -> str:
    """A value as a table cell; a long one ends in a hash, so that two stay two."""
    if value is None:
        text = "none"
    elif isinstance(value, str):
        text = value
    elif isinstance(value, list) and all(isinstance(v, str) for v in value):
        text = ", ".join(value)
    else:
        text = json.dumps(value, ensure_ascii=False)
    if len(text) <= _LONGEST_VALUE:
        return text or "none"
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    return f"{text[: _LONGEST_VALUE - 8]}… {digest}"


def parent_tags(recorded: Recorded) -> dict[str, str]:
    """Tags of the run as a whole."""
    manifest = recorded.manifest
    statuses = Counter(column["status"] for column in manifest["columns"])
    verdicts = Counter({k: v for k, v in manifest["verdicts"].items() if v})
    return {
        "study": recorded.study,
        "kind": "study",
        "title": manifest["title"] or recorded.study,
        "seed": str(manifest["seed"]),
        "spec_sha": manifest["hashes"]["spec"],
        "data_sha": manifest["hashes"]["data"],
        "estimations": ", ".join(f"{n} {s}" for s, n in statuses.items()) or "none",
        "verdict": ", ".join(f"{n} {s}" for s, n in verdicts.items())
        or "no expectation",
    }


def description(recorded: Recorded, note: str) -> str:
    """The run's description: the tables, cut between lines where MLflow would cut."""
    note = note or "\n\n".join(
        path.read_text(encoding="utf-8") for path in _tables(recorded)
    )
    sentence = recorded.manifest.get("generated")
    if sentence:
        note = f"**{sentence}**\n\n{note}"
    if len(note) <= _LONGEST_NOTE:
        return note
    kept = note[:_LONGEST_NOTE].rsplit("\n", 1)[0]
    return f"{kept}\n\n… the rest is in report.html (Artifacts)."


def _tables(recorded: Recorded) -> list[Path]:
    """`tables/*.md` in the order of the study; a heading may have several."""
    headings = list(dict.fromkeys(c["heading"] for c in recorded.manifest["columns"]))

    def place(path: Path) -> tuple[int, str]:
        own = [h for h in headings if path.stem == h or path.stem.startswith(f"{h}_")]
        # `controls_added` is a heading of its own, not the second table of `controls`.
        name = max(own, key=len, default="")
        return (headings.index(name) if own else len(headings)), path.stem

    return sorted((recorded.folder / "tables").glob("*.md"), key=place)
