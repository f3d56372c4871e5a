"""Faults of a study, each a small panel with one thing wrong, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from tests.commands.conftest import Lab, Outcome

Build = Callable[[Lab], object]


@dataclass(frozen=True, slots=True)
class Fault:
    """How a fault is built, and what its refusal must say.

    Attributes:
        codes: of all problems, sorted.
    """

    build: Build
    exit: int
    codes: tuple[str, ...]
    words: tuple[str, ...]

    def refused(self, lab: Lab) -> None:
        """The real command refuses it: its code, exit and words, and no estimate."""
        self.build(lab)
        found = lab.refused()
        assert tuple(sorted(found.codes)) == self.codes, found.err
        assert found.exit == self.exit
        for words in self.words:
            assert words in found.err, found.err
        assert not (lab.folder / "canary").exists()
        # Nothing floods the terminal, whatever the file.
        assert len(found.err) < 20_000


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults of one part of a study, each under the name of its builder."""

    found: dict[str, Fault] = field(default_factory=dict)

    def __call__(self, exit_: int, codes: str, *words: str) -> Callable[[Build], Build]:
        """Register a fault."""

        def register(build: Build) -> Build:
            held = Fault(build, exit_, tuple(sorted(codes.split())), words)
            self.found[build.__name__.removeprefix("row_")] = held
            return build

        return register


def cells(frame: pd.DataFrame, column: str, rows: Any, value: Any) -> pd.DataFrame:
    """The frame with other cells in a column."""
    frame = frame.astype({column: object})
    frame.loc[list(rows), column] = value
    return frame


def code(text: str) -> str:
    """A text that leaves a file if anybody runs it."""
    return text.replace("RUN", "__import__('os').system('touch canary')")


def two_clusters(lab: Lab) -> pd.DataFrame:
    """Units with even and odd numbers."""
    frame = lab.frame()
    return frame.assign(g=frame.unit.str[-1].astype(int) % 2)


def one_treated(lab: Lab) -> pd.DataFrame:
    """Only one unit is ever treated."""
    frame = lab.frame()
    unit = frame.unit[frame["first"] < np.inf].iloc[0]
    return frame.assign(d=frame.d.where(frame.unit == unit, 0))


STUDY = """\
study: fault
data:
  source: data.csv
  panel: {unit: unit, time: time}
model:
  outcome: y
  treatment: d
  controls: [x1]
  fixed_effects: [unit, time]
  inference: {cluster: unit}
  estimator: twfe
"""


def written(lab: Lab, old: str, new: str) -> None:
    """The usual study with a piece of its text replaced."""
    assert old in STUDY
    lab.data(lab.frame())
    lab.study(STUDY.replace(old, new))


def added(lab: Lab, text: str) -> None:
    """The usual study with more text at its end."""
    lab.data(lab.frame())
    lab.study(STUDY + text)


def ran(outcome: Outcome) -> Outcome:
    """A run that gave its numbers."""
    assert outcome.exit == 0, outcome.err
    assert np.isfinite(outcome.row()["estimate"])
    return outcome


def notes(outcome: Outcome) -> str:
    """Every note of the run and its data."""
    columns = [note for c in outcome.manifest["columns"] for note in c["notes"]]
    return "\n".join([*columns, *outcome.manifest["data"]["notes"]])


def ledger(outcome: Outcome) -> list[tuple[str, int, int]]:
    """(line, rows in, rows out) of the first column."""
    lines = outcome.manifest["columns"][0]["ledger"]
    return [(line["name"], line["rows_in"], line["rows_out"]) for line in lines]
