"""`trace`: from a printed number to its line of the study, data, code and run."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framework.commands import printing
from framework.commands.comparing import citation
from framework.commands.reporting import run_folder
from framework.commands.standing import Stands, numbers_behind, numbers_of
from framework.errors import OK, SpecError, counted, did_you_mean

if TYPE_CHECKING:
    from framework.record import Resolved
    from framework.render.run import Column, RunFolder

#: Places of a number that are listed.
_MOST = 40
#: A number as tables print it: brackets and stars around it, a true minus sign.
_PRINTED = re.compile(r"[(\[]?\s*([-+]?[\d,]*\.?\d+(?:[eE][-+]?\d+)?)\s*\**\s*[)\]]?")


def trace(options: argparse.Namespace) -> int:
    """Resolve a number, or an address, to everything it was made from."""
    from framework.render import RunFolder
    from framework.settings import settings

    name, address = citation(options.cell)
    run = RunFolder.read(run_folder(name, settings().runs))
    if not address and options.number is None:
        raise SpecError(
            "X22",
            f"which number of {run.study}/{run.run_id}?",
            fix=f"estimand trace {name}:{run.columns[0].address if run.columns else ''}, "
            f"or the number as printed: estimand trace {name} 0.0818",
        )
    places = list(_places(run, address, options.number))
    addresses = list(dict.fromkeys(place.address for place in places))
    traced = [_traced(run, a, [p for p in places if p.address == a]) for a in addresses]
    if options.json:
        printing.as_json(traced)
        return OK
    if len(traced) == 1:
        _say(traced[0])
        return OK
    printing.out(f"{options.number} is what these round to:")
    for place in places[:_MOST]:
        said = f"{place.address}: {place.what} {place.number!r}, {place.where}"
        printing.out(*printing.wrapped(said, "      ", "  "))
    if len(places) > _MOST:
        printing.out(f"  … and {len(places) - _MOST} more: give more digits")
    printing.out("", f"One of them: estimand trace {name}:{addresses[0]}")
    return OK


def _places(run: RunFolder, address: str, printed: str | None) -> Iterator[Stands]:
    known = tuple(column.address for column in run.columns)
    if address and address not in known:
        raise SpecError(
            "X22",
            f"{run.study}/{run.run_id} has no estimation '{address}'",
            fix=did_you_mean(address, known),
        )
    wanted = None if printed is None else _Rounded.read(printed)

    def asked(place: Stands) -> bool:
        if address and place.address != address:
            return False
        return wanted is None or wanted.is_of(place.number)

    found = list(filter(asked, numbers_of(run)))
    if not found and wanted is not None:
        found = list(filter(asked, numbers_behind(run)))
    if not found and wanted is not None:
        where = address or f"{run.study}/{run.run_id}"
        raise SpecError(
            "X22",
            f"no number of {where} rounds to {printed}",
            why="Estimates, standard errors, statistics, p-values, bounds of "
            "intervals, scalars, tests, differences, multiverses and frames were "
            "searched.",
            fix="trace the run that printed it (estimand list runs), or give fewer "
            "digits",
        )
    if not found:
        found = [Stands(address, "", 0, "no number", math.nan)]
    yield from found


@dataclass(frozen=True, slots=True)
class _Rounded:
    """A printed number: every double that rounds to it is what was printed."""

    value: float
    half: float  # half a unit of its last digit

    @classmethod
    def read(cls, printed: str) -> _Rounded:
        """Raises SpecError: X22 it is no number."""
        matched = _PRINTED.fullmatch(printed.strip().replace("−", "-"))
        if matched is None:
            raise SpecError(
                "X22",
                f"'{printed}' is no printed number",
                fix="write it as the table does: 0.0818, -1.39***, (0.0589); an address "
                "follows a colon: estimand trace STUDY:ADDRESS",
            )
        text = matched[1].replace(",", "")
        digits, _, power = text.lower().partition("e")
        places = len(digits.partition(".")[2]) - int(power or 0)
        return cls(float(text), 0.5 * 10.0**-places)

    def is_of(self, number: float) -> bool:
        """Whether `number` is printed so; a tie rounds to either side."""
        gap = abs(number - self.value)
        return gap <= self.half + math.ulp(abs(self.value) + self.half)


def _traced(run: RunFolder, address: str, places: list[Stands]) -> dict[str, Any]:
    from framework.record import read_resolved

    # A line that is summed up over its values has their study, data, code and run.
    # Names of values may hold dots: `grid.1` is not summed up over `grid.1.5`.
    of_it = [c for c in run.columns if c.address == address] or [
        c for c in run.columns if f"{c.address}.".startswith(f"{address}.")
    ]
    column = of_it[0]
    asked = read_resolved(run.path)[column.address]
    model = _model(column, asked)
    if column.address != address:
        model |= {
            "formula": f"{len(of_it)} specifications, each traced by its address",
            "changes": {},
            "rows": [],
        }
    return {
        "address": address,
        "numbers": [
            {
                "what": p.what,
                "number": p.number if math.isfinite(p.number) else None,
                "file": p.file,
                "line": p.line or None,
            }
            for p in places
            if p.file
        ],
        "study": _study(run, asked),
        "model": model,
        "data": _data(run, column),
        "code": _code(run, column),
        "run": {
            "folder": str(run.path),
            "id": run.run_id,
            "created": run.created,
            "fingerprint": column.fingerprint if column.address == address else "",
            "taken_from_an_earlier_run": column.cached,
            "seconds": column.seconds,
        },
        "published": [
            row.text for row in run.published if row.address.startswith(f"{address}.")
        ],
    }


def _study(run: RunFolder, asked: Resolved) -> dict[str, Any]:
    return {
        "name": run.study,
        "spec": str(run.path / "spec.yaml"),
        "sha256": run.hashes.get("spec", ""),
        "written": asked.written,
        "line": asked.line.strip(),
        "overrides": list(run.overrides),
        "seed": run.seed,
    }


def _model(column: Column, asked: Resolved) -> dict[str, Any]:
    return {
        "estimator": column.estimator,
        "formula": column.formula,
        "inference": column.inference,
        "changes": dict(column.changes),
        "draws": dict(asked.draws or {}),
        "rows": [f"{x.name}: {x.rows_in} -> {x.rows_out}" for x in column.ledger],
        "acknowledged": list(column.acknowledged),
    }


def _data(run: RunFolder, column: Column) -> dict[str, Any]:
    prepared = next((p for p in run.preparations if p.key == column.panel), None)
    ledger = prepared.ledger if prepared else run.data_ledger
    return {
        "source": run.source,
        "sha256": run.data_sha256,
        "prepared": column.panel or run.hashes.get("data", ""),
        "generated": run.generated,
        "steps": [
            f"{x.name}: {x.rows_in} -> {counted(x.rows_out, 'row')}, {x.cells} cells"
            for x in ledger
        ],
    }


def _code(run: RunFolder, column: Column) -> dict[str, Any]:
    from framework.cache import source_hash
    from framework.record import versions

    here = versions()
    differ = {
        name: f"{version} then, {here[name]} here"
        for name, version in run.versions.items()
        if name in here and here[name] != version
    }
    return {
        "sha256": run.hashes.get("code", ""),
        "same_as_here": run.hashes.get("code", "") == source_hash(),
        "estimator": column.estimator,
        "python": run.versions.get("python", ""),
        "estimand": run.versions.get("estimand", ""),
        "other_versions_here": differ,
    }


def _say(traced: Mapping[str, Any]) -> None:
    printing.out(traced["address"])
    for held in traced["numbers"]:
        at = f"{held['file']}:{held['line']}" if held["line"] else held["file"]
        said = f"{held['what']} = {held['number']!r}  ({at})"
        printing.out(*printing.wrapped(said, "      ", "  "))
    if not traced["numbers"]:
        printing.out("  It has no numbers.")
    for text in traced["published"]:
        printing.out(*printing.wrapped(text, "      ", "  published  "))
    for name, said in _parts(traced):
        printing.out(*printing.wrapped(said, "           ", f"{name:9}  "))


def _parts(traced: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What it was made from, a line each: name, words."""
    study, model, data = traced["study"], traced["model"], traced["data"]
    code, run = traced["code"], traced["run"]
    yield "line", study["written"] or "the model itself"
    if study["line"]:
        yield "", study["line"]
    for path, value in model["changes"].items():
        yield "changes", f"{path}: {value}"
    if study["overrides"]:
        yield "overrides", " ".join(study["overrides"])
    yield "study", f"{study['spec']}, sha256 {study['sha256'][:12]}"
    yield "model", f"{model['estimator']}: {model['formula']}"
    yield "errors", model["inference"] or "none"
    if model["draws"]:
        yield "draws", ", ".join(f"{k} {v}" for k, v in model["draws"].items())
    for text in model["rows"]:
        yield "rows", text
    for text in model["acknowledged"]:
        yield "override", text
    yield "data", f"{data['source']}, sha256 {data['sha256'][:12]}"
    if data["generated"]:
        yield "", data["generated"]
    for text in data["steps"]:
        yield "step", text
    yield "seed", str(study["seed"])
    same = "the same as here" if code["same_as_here"] else "another than here"
    version = f"estimand {code['estimand']}, Python {code['python']}"
    yield "code", f"{version}, sha256 {code['sha256'][:12]}, {same}"
    for name, said in code["other_versions_here"].items():
        yield "version", f"{name} {said}"
    earlier = ", taken from an earlier run" if run["taken_from_an_earlier_run"] else ""
    yield "run", f"{run['folder']}, {run['created'][:16].replace('T', ' ')}{earlier}"
    yield "cell", run["fingerprint"][:16] or "none"


__all__ = ["Stands", "trace"]
