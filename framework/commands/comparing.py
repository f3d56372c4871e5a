"""`compare`: runs side by side, from their folders.

Nothing is estimated again, unless it is asked why two numbers differ.
"""

from __future__ import annotations

import argparse
import difflib
import math
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.commands import explained, printing
from framework.errors import OK, SpecError, counted

if TYPE_CHECKING:
    from framework.commands.explaining import Cited, Why
    from framework.render.run import Column, RunFolder

#: Lines of a study's change that are shown; the rest is counted.
_MOST_LINES = 40
_MOST_RUNS = len(string.ascii_uppercase)


@dataclass(frozen=True, slots=True)
class Number:
    """The judged number of an estimation in one run.

    Attributes:
        estimand, term, index: which coefficient it is.
        estimate, std_error, p_value: None where the run has none.
        n_obs: rows used, None where not reported.
        status: `done`, `failed`, `refused`, `not_identified` or `not_built`.
        verdicts: status of each expectation, in order.
    """

    estimand: str = ""
    term: str = ""
    index: str = ""
    estimate: float | None = None
    std_error: float | None = None
    p_value: float | None = None
    n_obs: int | None = None
    status: str = "done"
    verdicts: tuple[str, ...] = ()

    @property
    def what(self) -> str:
        """`att of post`, or why there is no number."""
        index = f" at {self.index}" if self.index else ""
        return f"{self.estimand} of {self.term}{index}" if self.term else ""


@dataclass(frozen=True, slots=True)
class Compared:
    """One address in every run; None where a run does not have it."""

    address: str
    numbers: tuple[Number | None, ...]

    @property
    def same(self) -> bool:
        """Every run has it, with the same doubles."""
        first = self.numbers[0]
        return first is not None and all(number == first for number in self.numbers)


def compare(options: argparse.Namespace) -> int:
    """Print what the runs are, what differs about them, their numbers, and why."""
    # Names of runs hold no `=`: what has one is a setting (executor=inline).
    words = [*options.runs, *options.overrides]
    options.overrides = [word for word in words if "=" in word]
    options.runs = [word for word in words if "=" not in word]
    if any(address for _, address in map(citation, options.runs)):
        return _compare_cited(options)
    runs = _read(options.runs)
    compared = compare_runs(runs)
    pairs = _differing(runs, compared) if options.why else []
    whys = _explained(pairs, options) if options.why else []
    if options.json:
        said = _as_dict(runs, compared)
        if options.why:
            said["why"] = [explained.as_dict(why) for why in whys]
        printing.as_json(said)
        return OK
    marks = string.ascii_uppercase[: len(runs)]
    _say_runs(marks, runs)
    _say_differences(marks, runs)
    _say_numbers(marks, compared)
    _say_missing(marks, compared)
    _say_study(marks, runs)
    for why in whys:
        explained.say(why)
    if not options.why and any(not c.same for c in compared if all(c.numbers)):
        names = " ".join(options.runs)
        printing.out("", f"Why they differ: estimand compare {names} --why")
    return OK


def _compare_cited(options: argparse.Namespace) -> int:
    """Why single estimations differ: `RUN:ADDRESS` beside `RUN[:ADDRESS]`."""
    from framework.commands.explaining import cited

    said = [citation(name) for name in options.runs]
    first = next(address for _, address in said if address)
    runs = _read([name for name, _ in said])
    cells = [
        cited(run, address or first)
        for run, (_, address) in zip(runs, said, strict=True)
    ]
    whys = _explained([(cells[0], other) for other in cells[1:]], options)
    if options.json:
        printing.as_json({"why": [explained.as_dict(why) for why in whys]})
        return OK
    for why in whys:
        explained.say(why)
    return OK


def citation(name: str) -> tuple[str, str]:
    """`RUN:ADDRESS` in its two halves; the address is "" where only a run is named."""
    if Path(name).exists():
        return name, ""
    run, _, address = name.rpartition(":")
    return (run, address) if run else (name, "")


def _differing(
    runs: Sequence[RunFolder], compared: Sequence[Compared]
) -> list[tuple[Cited, Cited]]:
    """Estimations whose numbers differ from those of the first run."""
    from framework.commands.explaining import cited

    return [
        (cited(runs[0], row.address), cited(run, row.address))
        for row in compared
        for run, number in list(zip(runs, row.numbers, strict=True))[1:]
        if row.numbers[0] and number and number != row.numbers[0]
        if row.numbers[0].estimate is not None and number.estimate is not None
    ]


def _explained(
    pairs: Sequence[tuple[Cited, Cited]], options: argparse.Namespace
) -> list[Why]:
    from framework.commands.explaining import explain
    from framework.commands.opening import read_overrides
    from framework.commands.watching import Bar
    from framework.settings import settings

    _, conf = read_overrides(options.overrides)
    return explain(pairs, settings(conf), Bar(quiet=options.json))


def _read(names: Sequence[str]) -> list[RunFolder]:
    from framework.commands.reporting import run_folder
    from framework.render import RunFolder
    from framework.settings import settings

    if not 2 <= len(names) <= _MOST_RUNS:  # noqa: PLR2004 - a comparison has two sides
        raise SpecError(
            "X22",
            f"compare takes 2 to {_MOST_RUNS} runs, got {len(names)}",
            fix="estimand list runs, then estimand compare STUDY/RUN STUDY/RUN",
        )
    runs = settings().runs
    return [RunFolder.read(run_folder(name, runs)) for name in names]


def compare_runs(runs: Sequence[RunFolder]) -> tuple[Compared, ...]:
    """Every address of any run, in the order of the first that has it."""
    held = [{column.address: _number(column) for column in run.columns} for run in runs]
    addresses = dict.fromkeys(address for numbers in held for address in numbers)
    return tuple(
        Compared(address, tuple(numbers.get(address) for numbers in held))
        for address in addresses
    )


def _number(column: Column) -> Number:
    judged = column.judged
    n_obs = column.scalars.get("n_obs")
    verdicts = tuple(verdict.status for verdict in column.verdicts)
    rows = None if n_obs is None or math.isnan(n_obs) else int(n_obs)
    if judged is None:
        return Number(n_obs=rows, status=column.status, verdicts=verdicts)
    return Number(
        judged.estimand,
        judged.term,
        ", ".join(f"{name} {value}" for name, value in judged.index),
        _finite(judged.estimate),
        _finite(judged.std_error),
        _finite(judged.p_value),
        rows,
        column.status,
        verdicts,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


# -- in words -------------------------------------------------------------------------


def _say_runs(marks: str, runs: Sequence[RunFolder]) -> None:
    for mark, run in zip(marks, runs, strict=True):
        moment = run.created[:16].replace("T", " ")
        counts = ", ".join(f"{status} {n}" for status, n in run.verdicts.items() if n)
        printing.out(f"{mark}  {run.study}/{run.run_id}")
        about = [
            moment,
            f"seed {run.seed}",
            f"{counted(len(run.columns), 'estimation')}",
            counts,
        ]
        printing.out(*printing.wrapped(", ".join(a for a in about if a), "   ", "   "))
        if run.overrides:
            text = f"overrides: {' '.join(run.overrides)}"
            printing.out(*printing.wrapped(text, "   ", "   "))
    printing.out("")


def _say_differences(marks: str, runs: Sequence[RunFolder]) -> None:
    """Hashes, seed and versions that are not the same in all runs."""
    differ = list(_differences(runs))
    same = [name for name in ("spec", "data", "code") if name not in dict(differ)]
    if same:
        printing.out(f"Same {', '.join(same)}")
    for name, values in differ:
        said = "   ".join(f"{m} {v}" for m, v in zip(marks, values, strict=True))
        printing.out(*printing.wrapped(f"{name}: {said}", "      ", "Differs  "))


def _differences(runs: Sequence[RunFolder]) -> Iterator[tuple[str, list[str]]]:
    for name in ("spec", "data", "code"):
        hashes = [run.hashes.get(name, "") for run in runs]
        if len(set(hashes)) > 1:
            yield name, [text[:8] or "none" for text in hashes]
    rows = [f"{run.source} {run.data_sha256[:8]}" for run in runs]
    if len(set(rows)) > 1:
        yield "source of the data", rows
    seeds = [str(run.seed) for run in runs]
    if len(set(seeds)) > 1:
        yield "seed", seeds
    for name in dict.fromkeys(name for run in runs for name in run.versions):
        versions = [run.versions.get(name, "none") for run in runs]
        if len(set(versions)) > 1:
            yield f"version of {name}", versions


def _say_numbers(marks: str, compared: Sequence[Compared]) -> None:
    everywhere = [c for c in compared if all(c.numbers)]
    if not everywhere:
        printing.out("", "No estimation is in all of them.")
        return
    same = sum(c.same for c in everywhere)
    total = len(everywhere)
    printing.out("", f"Estimates (standard errors), {same} of {total} the same", "")
    for row in everywhere:
        first = row.numbers[0]
        if row.same and first is not None:
            text = f"{row.address}: {_cell(first, first)}"
            printing.out(*printing.wrapped(text, "      ", "= "))
        else:
            _say_row(marks, row)
    printing.out(
        "", f"{_stars_note()}; = marks numbers that are the same in all digits"
    )


def _say_row(marks: str, row: Compared) -> None:
    """An address whose numbers differ: a line for each run, and what it changes."""
    first = row.numbers[0]
    whats = {number.what for number in row.numbers if number}
    same_thing = len(whats) == 1
    printing.out(f"≠ {row.address}" + (f"  {min(whats)}" if same_thing else ""))
    for mark, number in zip(marks, row.numbers, strict=True):
        if number is None or first is None:
            continue
        what = "" if same_thing or not number.what else f"  {number.what}"
        text = f"{_cell(number, first)}{what}"
        change = _change(number, first) if mark != marks[0] else ""
        said = f"{text}   {mark} - {marks[0]} {change}" if change else text
        printing.out(*printing.wrapped(said, "        ", f"    {mark}   "))


def _cell(number: Number, like: Number) -> str:
    """`0.0818* (0.0589)  N 550`, with the decimals that suit `like`."""
    from framework.render.numbers import decimals, fixed, plain, stars

    rows = "" if number.n_obs is None else f"  N {number.n_obs:,}"
    verdicts = f"  [{', '.join(number.verdicts)}]" if number.verdicts else ""
    if number.estimate is None:
        word = "no single number" if number.status == "done" else number.status
        return f"{word.replace('_', ' ')}{rows}{verdicts}"
    if number.std_error is None:
        return f"{plain(number.estimate)}{rows}{verdicts}"
    places = decimals(like.std_error or number.std_error)
    mark = "" if number.p_value is None else stars(number.p_value)
    shown = (
        f"{fixed(number.estimate, places)}{mark} ({fixed(number.std_error, places)})"
    )
    return f"{shown}{rows}{verdicts}"


def _change(number: Number, first: Number) -> str:
    """The difference of the estimates; a small one in full, so that none looks like 0."""
    gap = _gap(number, first)
    if gap is None:
        return ""
    return "0" if gap == 0 else f"{gap:+.3g}"


def _stars_note() -> str:
    from framework.render.numbers import STARS_NOTE

    return STARS_NOTE


def _say_missing(marks: str, compared: Sequence[Compared]) -> None:
    """Addresses that not all runs have."""
    only: dict[str, list[str]] = {}
    for row in compared:
        where = "".join(m for m, n in zip(marks, row.numbers, strict=True) if n)
        if where != marks:
            only.setdefault(where, []).append(row.address)
    if only:
        printing.out("")
    for where, addresses in only.items():
        head = f"Only in {', '.join(where)}: "
        printing.out(*printing.wrapped(", ".join(addresses), "    ", head))


def _say_study(marks: str, runs: Sequence[RunFolder]) -> None:
    """How the text of each study differs from the first one's."""
    for mark, run in list(zip(marks, runs, strict=True))[1:]:
        lines = _changed(runs[0], run)
        if not lines:
            continue
        printing.out("", f"Study, {marks[0]} (-) and {mark} (+)")
        printing.out(*(f"  {line}" for line in lines[:_MOST_LINES]))
        if len(lines) > _MOST_LINES:
            printing.out(f"  … {len(lines) - _MOST_LINES} more lines")


def _changed(first: RunFolder, other: RunFolder) -> list[str]:
    before, after = first.spec.splitlines(), other.spec.splitlines()
    found = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
    texts = [line for line in found if not line.startswith("@@")]
    for name in sorted({p.name for run in (first, other) for p in _sources(run.path)}):
        pair = [run.path / "sources" / name for run in (first, other)]
        held = [p.read_bytes() if p.is_file() else b"" for p in pair]
        if held[0] != held[1]:
            texts.append(f"  ({name}, which the study reads, differs, too)")
    return texts


def _sources(folder: Path) -> list[Path]:
    return sorted((folder / "sources").glob("*"))


# -- as JSON --------------------------------------------------------------------------


def _as_dict(runs: Sequence[RunFolder], compared: Sequence[Compared]) -> Any:
    return {
        "runs": [_run_as_dict(run) for run in runs],
        "differs": dict(_differences(runs)),
        "estimations": [
            {
                "address": row.address,
                "same": row.same,
                "numbers": [asdict(n) if n else None for n in row.numbers],
                "differences": _gaps(row.numbers),
            }
            for row in compared
        ],
        "study_changes": [_changed(runs[0], run) for run in runs[1:]],
    }


def _gaps(numbers: Sequence[Number | None]) -> list[float | None]:
    """Estimate minus the first run's, None where the two are not the same thing."""
    return [_gap(number, numbers[0]) for number in numbers]


def _gap(number: Number | None, first: Number | None) -> float | None:
    if number is None or first is None or number.what != first.what:
        return None
    if number.estimate is None or first.estimate is None:
        return None
    return number.estimate - first.estimate


def _run_as_dict(run: RunFolder) -> Mapping[str, Any]:
    return {
        "study": run.study,
        "run_id": run.run_id,
        "folder": str(run.path),
        "created": run.created,
        "seed": run.seed,
        "hashes": dict(run.hashes),
        "data_sha256": run.data_sha256,
        "overrides": list(run.overrides),
        "verdicts": dict(run.verdicts),
    }
