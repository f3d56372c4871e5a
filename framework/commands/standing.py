"""Where the numbers of a run stand: those that a table prints, and those behind them."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.render.run import Column, RunFolder

#: Files of a run that hold numbers: file -> its columns of numbers.
_TABLES: Mapping[str, tuple[str, ...]] = {
    "coefficients.csv": (
        "estimate",
        "std_error",
        "statistic",
        "p_value",
        "conf_low",
        "conf_high",
    ),
    "scalars.csv": ("number",),
    "tests.csv": ("statistic", "p_value"),
}
_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Stands:
    """Where a number stands in a run's folder.

    Attributes:
        address: of an estimation, or of a line that is summed up over its values.
        file: in the folder.
        line: of a CSV; lines count from 1, the header is line 1. 0 = of no table.
        what: which number of which coefficient, scalar, test, frame or comparison.
        number: in full.
    """

    address: str
    file: str
    line: int
    what: str
    number: float

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


def numbers_of(run: RunFolder) -> Iterator[Stands]:
    """All that tables print: coefficients, scalars, tests, what is made of them, frames."""
    for file, columns in _TABLES.items():
        with (run.path / file).open(encoding="utf-8", newline="") as handle:
            for line, row in enumerate(csv.DictReader(handle), start=2):
                parts = (row["heading"], row["check"], row["value"])
                address = ".".join(part for part in parts if part)
                for column in columns:
                    if row.get(column):
                        number = float(row[column])
                        yield Stands(address, file, line, _what(row, column), number)
    for held in run.columns:
        yield from _compared(held)
    for universe in run.multiverses:
        yield from _summed_up(universe)
    for held in run.columns:
        yield from _framed(run, held, _tabulated(held))


def numbers_behind(run: RunFolder) -> Iterator[Stands]:
    """Cells of frames that no table prints: draws, what figures are drawn from."""
    for held in run.columns:
        yield from _framed(run, held, set(held.frames) - _tabulated(held))


def _tabulated(column: Column) -> set[str]:
    """Frames of an estimation that a table prints."""
    from framework.render.frame_tables import is_diagnostic

    if is_diagnostic(column):
        return set(column.frames)
    return {plot.frame for plot in column.plots if plot.kind == "table"}


def _what(row: Mapping[str, str], column: str) -> str:
    from framework.result import INDEX_COLUMNS

    if "term" not in row:
        return f"{row['name']} {column}" if column != "number" else row["name"]
    index = [f"{n} {row[n]}" for n in INDEX_COLUMNS if row.get(n)]
    of = f"{column} of {row['estimand']} of {row['term']}"
    return ", ".join([of, *index])


def _compared(column: Column) -> Iterator[Stands]:
    """How far it is from another estimation, and its p value across a family."""
    found: list[tuple[str, float]] = []
    if shift := column.shift:
        of = f"of the difference from {shift.against}"
        found += [
            (f"difference from {shift.against}", shift.difference),
            (f"standard error {of}", shift.std_error),
            (f"p_value {of}", shift.p_value),
        ]
    if column.adjusted is not None:
        found.append((column.adjustment or "adjusted p", column.adjusted))
    for what, number in found:
        if math.isfinite(number):
            yield Stands(column.address, _MANIFEST, 0, what, number)


def _summed_up(universe: Mapping[str, Any]) -> Iterator[Stands]:
    """What is said of all values of a line together."""
    address = f"{universe['heading']}.{universe['line']}"
    over = f"over {universe['ran']} specifications"
    found = [
        (f"{which} estimate {over}", universe[key])
        for which, key in (
            ("median", "median"),
            ("lowest", "lowest"),
            ("highest", "highest"),
        )
    ]
    found.append((f"R² of all choices {over}", universe.get("r2")))
    for choice in universe.get("choices") or ():
        found += [
            (f"R² of {choice['path']}, {key}", choice[key])
            for key in ("alone", "last", "shapley")
        ]
        for name, (count, median) in choice["medians"].items():
            said = f"median over {count} specifications, {choice['path']} {name}"
            found.append((said, median))
    for test in universe.get("joint") or ():
        found += [
            (test["what"], test["statistic"]),
            (f"p_value of {test['what']}", test["p_value"]),
        ]
    for what, number in found:
        if number is not None and math.isfinite(number):
            yield Stands(address, _MANIFEST, 0, what, float(number))


def _framed(run: RunFolder, column: Column, names: Collection[str]) -> Iterator[Stands]:
    """Cells of the frames of an estimation, named by the texts of their row."""
    for name, file in column.frames.items():
        frame = run.frame(column, name) if name in names else None
        if frame is None:
            continue
        numeric = [c for c in frame.columns if frame.is_numeric(c)]
        texts = [c for c in frame.columns if c not in numeric]
        values = {c: frame.numbers(c) for c in numeric}
        labels = [frame.text(c) for c in texts]
        for i in range(len(frame.rows)):
            of = ", ".join(label[i] for label in labels if label[i])
            of = f" of {of}" if of else ""
            for c in numeric:
                if math.isfinite(values[c][i]):
                    what = f"{c}{of} in frame {name}"
                    yield Stands(column.address, file, i + 2, what, values[c][i])


__all__ = ["Stands", "numbers_behind", "numbers_of"]
