"""An estimation among those it may be compared with, and the verdict on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from framework.errors import counted, did_you_mean
from framework.expect.rows import CannotBeJudged, Judged, Row, judged_row
from framework.spec.expectations import Covers, Expectation

Status = Literal["holds", "fails", "cannot be judged"]
HOLDS: Status = "holds"
FAILS: Status = "fails"
UNJUDGED: Status = "cannot be judged"

#: Status and the reason in words.
Finding = tuple[Status, str]


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A p value adjusted for the family its column belongs to.

    Attributes:
        p_value: None where `reason` says why it can't be adjusted.
        method: in words, e.g. `Holm over 3 columns of mechanisms`.
    """

    p_value: float | None
    method: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one expectation.

    Attributes:
        expectation: in words.
        reason: in words, with the numbers.
        of_line: the same verdict holds for all values of the line; count it once.
        flag: what another line of the study says against the number; may be empty.
    """

    expectation: str
    status: Status
    reason: str
    of_line: bool = False
    flag: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a judge sees.

    Attributes:
        this: the estimation that is judged.
        run: all estimations by address, in the study's order.
        adjusted: p values adjusted in families, by address.
        row: one draw of the judged number, when draws are judged one by one.
    """

    this: Judged
    run: Mapping[str, Judged]
    adjusted: Mapping[str, Adjusted] = field(default_factory=dict)
    row: Row | None = None

    def line(self) -> list[Judged]:
        """All values of this estimation's line."""
        return [j for j in self.run.values() if j.line == self.this.line]

    def across(self, options: Expectation) -> bool:
        """Whether the values of the line are compared (not this with another)."""
        return options.against is None and len(self.line()) > 1

    def has_draws(self) -> bool:
        """Whether there are draws to count."""
        return self.this.cell is not None and self.this.cell.draws is not None

    def judged_row(self, options: Expectation) -> Row:
        """The number that is judged.

        Raises:
            CannotBeJudged: there is none, or the draw that is judged failed.
        """
        if self.row is None:
            return judged_row(self.this, options)
        if not math.isfinite(self.row.estimate):
            raise CannotBeJudged("the draw could not be estimated")
        return self.row

    def number(self, options: Covers) -> float:
        """What the interval should contain, of this value of the line.

        Raises:
            CannotBeJudged: numbers by value, and this value has none.
        """
        if isinstance(options.number, float):
            return options.number
        values = [judged.value for judged in self.line()]
        unknown = [name for name in options.number if name not in values]
        if unknown:
            guess = did_you_mean(unknown[0], values)
            raise CannotBeJudged(f"the line has no value '{unknown[0]}', {guess}")
        if self.this.value not in options.number:
            raise CannotBeJudged(f"no number is given for '{self.this.value}'")
        return options.number[self.this.value]

    def against(self, options: Expectation) -> Judged:
        """The estimation to compare with.

        Raises:
            CannotBeJudged: none is named, or the name fits none or several.
        """
        named = options.against or self.this.against
        if not named:
            raise CannotBeJudged("there is nothing to compare with; name an `against`")
        other = _find(named, self.this, self.run)
        if other.address == self.this.address:
            raise CannotBeJudged(
                "it is itself what the others are compared with; name an `against`"
            )
        return other


def _find(address: str, this: Judged, run: Mapping[str, Judged]) -> Judged:
    """`line` of the same heading, or a full address; its same value if it has many."""
    for written in (address, f"{this.heading}.{address}"):
        for full in (written, f"{written}.{this.value}"):
            if full in run:
                return run[full]
        values = [a for a, judged in run.items() if judged.line == written]
        if len(values) == 1:
            return run[values[0]]
        if values:
            listed = ", ".join(values[:4]) + (", …" if values[4:] else "")
            raise CannotBeJudged(
                f"'{address}' is {counted(len(values), 'estimation')} ({listed}); name one"
            )
    raise CannotBeJudged(
        f"no estimation has the address '{address}', {did_you_mean(address, list(run))}"
    )


def decided(*, holds: bool) -> Status:
    """A bool as a status."""
    return HOLDS if holds else FAILS
