"""Lines with so many values that they are drawn, not tabulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from framework.render import numbers
from framework.render.run import (
    Column,
    Heading,
    Verdict,
    spoken,
)

#: A line with more values than this is a specification curve (DIALECT rule 6).
MOST_VALUES = 12
#: With more coefficients than this the controls are summarised in one row.
#: Values of a curve whose reasons are spelt out where an expectation does not hold.
_MOST_REASONS = 3
#: Below this an estimate is printed in powers of ten.


@dataclass(frozen=True, slots=True)
class Curve:
    """A line with so many values that it is drawn, not tabulated."""

    line: str
    columns: tuple[Column, ...]

    @property
    def done(self) -> tuple[Column, ...]:
        """Columns that have a judged number, each specification once."""
        return tuple(c for c in self.distinct if c.done and c.judged is not None)

    @property
    def distinct(self) -> tuple[Column, ...]:
        """Columns that are no other's specification again."""
        return tuple(c for c in self.columns if not c.same_as)

    @property
    def spread(self) -> str:
        """How the values that are drawn relate to those that were asked for, or ""."""
        asked, done = len(self.columns), len(self.done)
        same = asked - len(self.distinct)
        lost = len(self.distinct) - done
        said = [f"{same} the same as another"] if same else []
        said += [f"{lost} without a number"] if lost else []
        return ", ".join(said)

    @property
    def mixed(self) -> bool:
        """Estimates of different periods, cohorts or groups: they have no middle."""
        return len({c.judged.index for c in self.done if c.judged}) > 1

    def sentence(self) -> str:
        """The curve in words: how many, the middle, the range, signs, significance."""
        rows = [column.judged for column in self.done if column.judged]
        gone = f"; {self.spread}" if self.spread else ""
        if not rows:
            return f"{spoken(self.line)}: {len(self.columns)} values{gone}."
        estimates = [row.estimate for row in rows]
        places = numbers.row_decimals([row.std_error for row in rows])
        low, middle, high = (
            numbers.typeset(numbers.fixed(x, places))
            for x in (min(estimates), median(estimates), max(estimates))
        )
        positive = sum(x > 0 for x in estimates)
        significant = sum(row.p_value < 0.05 for row in rows)  # noqa: PLR2004 - 5%
        span = "" if self.mixed else f"median {middle}, from {low} to {high}; "
        return (
            f"{spoken(self.line)}: {len(self.columns)} values{gone}; {span}{positive} of "
            f"{len(rows)} positive, "
            f"{significant} of {len(rows)} significant at 5%."
        )

    def verdicts(self) -> tuple[Verdict, ...]:
        """One verdict per expectation and status, with how many values share it."""
        grouped: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
        for column in self.columns:
            for verdict in column.verdicts:
                key = (verdict.expectation, verdict.status, verdict.flag)
                grouped.setdefault(key, []).append((column.value, verdict.reason))
        return tuple(
            Verdict(expectation, status, self._reason(status, said), flag)
            for (expectation, status, flag), said in grouped.items()
        )

    def _reason(self, status: str, said: Sequence[tuple[str, str]]) -> str:
        reasons = {reason for _, reason in said}
        if len(reasons) == 1 and len(said) == len(self.columns):
            return reasons.pop()
        count = f"{len(said)} of {len(self.columns)} values"
        if status == "holds":
            return count
        some = "; ".join(f"{value}: {why}" for value, why in said[:_MOST_REASONS])
        more = "; …" if len(said) > _MOST_REASONS else ""
        return f"{count}. {some}{more}"


def curves_of(heading: Heading) -> tuple[Curve, ...]:
    """The lines that are specification curves."""
    return tuple(
        Curve(line, columns)
        for line, columns in heading.lines().items()
        if len(columns) > MOST_VALUES
    )
