"""`plan.json`: every estimation of a run as it was resolved, exactly.

`manifest.json` says in words what was estimated; this file holds the trees, from which
the same estimation, or a mixture of two, can be made again without the study's file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.cache import from_plain, to_plain
from framework.errors import StorageError

if TYPE_CHECKING:
    from framework.record.inputs import RunInputs

FILE = "plan.json"


@dataclass(frozen=True, slots=True)
class Resolved:
    """One estimation of a finished run, as it was asked for.

    Attributes:
        folder: where the study's relative paths started from.
        project: folder that they may not leave.
        written: `file:line:column` of its line, "" for the model itself.
        line: text of that line.
        data, model: its trees, normalised.
        base: the study's own model, whose treatment, instruments and weights no step
            touches unless it lists them.
    """

    folder: Path
    project: Path
    seed: int
    address: str
    written: str
    line: str
    data: Mapping[str, Any]
    model: Mapping[str, Any]
    base: Mapping[str, Any]
    draws: Mapping[str, Any] | None
    expect: tuple[Mapping[str, Any], ...] = ()


def resolved_text(inputs: RunInputs) -> str:
    """The text of `plan.json`."""
    data: dict[str, Any] = {}
    estimations: dict[str, Any] = {}
    for column in inputs.shown:
        estimation = column.estimation
        tree = to_plain(estimation.data)
        said = json.dumps(tree, sort_keys=True, ensure_ascii=False)
        key = hashlib.sha256(said.encode()).hexdigest()[:16]
        data.setdefault(key, tree)
        place = estimation.place
        estimations[estimation.address] = {
            "written": str(place or ""),
            "line": place.excerpt if place else "",
            "data": key,
            "model": to_plain(estimation.model),
            "draws": to_plain(estimation.draws),
            "expect": to_plain(list(estimation.expect)),
        }
    content = {
        "folder": str(inputs.folder),
        "project": str(inputs.project),
        "seed": inputs.seed,
        "base": to_plain(inputs.model),
        "data": data,
        "estimations": estimations,
    }
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def read_resolved(run: Path) -> dict[str, Resolved]:
    """Address -> estimation of the run in a folder.

    Raises:
        StorageError: R01 the run has no such file, or it cannot be read.
    """
    try:
        content = json.loads((run / FILE).read_text(encoding="utf-8"))
        data = {key: from_plain(tree) for key, tree in content["data"].items()}
        return {
            address: Resolved(
                folder=Path(content["folder"]),
                project=Path(content["project"]),
                seed=int(content["seed"]),
                address=address,
                written=held["written"],
                line=held["line"],
                data=data[held["data"]],
                model=from_plain(held["model"]),
                base=from_plain(content["base"]),
                draws=from_plain(held["draws"]),
                expect=tuple(from_plain(held["expect"])),
            )
            for address, held in content["estimations"].items()
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            "R01",
            f"{run / FILE} cannot be read ({error})",
            why="It holds what every estimation of the run was asked for.",
            fix="run the study again: what is finished is not computed again",
        ) from error
