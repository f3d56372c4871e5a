"""What can go wrong, said once: a problem, where it is, why it matters and the fix.

Every phase of a study has one exception class. An exception carries *all* problems
that its phase found, never only the first, and knows the exit code of the command.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum


class Phase(IntEnum):
    """Where a problem belongs; the value is the exit code of the command."""

    SPEC = 2
    DATA = 3
    DESIGN = 4
    NUMERICAL = 5
    STORAGE = 6
    WORKER = 7
    SAFETY = 8


#: Name for `model.acknowledge`: a column that the design does not identify is shown as
#: such, and is no failure.
NOT_IDENTIFIED = "not_identified"
#: Code of a column that is named and that the data lack.
NO_COLUMN = "X51"
#: Code of a value that can't stand where it is written.
BAD_VALUE = "X15"
#: Exit codes that are not a phase.
OK, FINISHED_WITH_FAILURES, EXPECTATION_FAILED = 0, 9, 10
INTERRUPTED, TERMINATED = 130, 143


@dataclass(frozen=True, slots=True)
class Place:
    """A spot in a study file (lines and columns count from 1) or on the command line."""

    source: str
    line: int | None = None
    column: int | None = None
    excerpt: str = ""

    def __str__(self) -> str:
        if self.line is None:
            return self.source
        return f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: `code what, where. why. Fix: fix`.

    Attributes:
        code: stable identifier such as `D01`; the letter is the family.
        what: the fault, with the name and the count that show it.
        why: why the number would be wrong if nothing were said; may be empty.
        fix: the way out, as the user would write it.
        path: path of the study's tree, e.g. `model.estimator.leads`.
        address: `heading.line[.value]` where the problem is one estimation's.
        place: where it was written, if it was written anywhere.
        acknowledge: name for `model.acknowledge` that overrides this refusal.
    """

    phase: Phase
    code: str
    what: str
    why: str = ""
    fix: str = ""
    path: str = ""
    address: str = ""
    place: Place | None = None
    acknowledge: str = ""

    def at(
        self,
        *,
        path: str | None = None,
        address: str | None = None,
        place: Place | None = None,
    ) -> Problem:
        """The same problem with its whereabouts filled in (never overwritten)."""
        return replace(
            self,
            path=self.path or path or "",
            address=self.address or address or "",
            place=self.place or place,
        )

    def __str__(self) -> str:
        where = f"{self.place}  " if self.place else ""
        path = f"{self.path}: " if self.path else ""
        address = f"[{self.address}] " if self.address else ""
        lines = [f"{where}{address}{path}{self.what} ({self.code})"]
        if self.place and self.place.excerpt:
            lines.append("    " + self.place.excerpt.strip("\n"))
            if self.place.column:
                lines.append("    " + " " * (self.place.column - 1) + "^")
        if self.why:
            lines.append(f"    {self.why}")
        if self.fix:
            lines.append(f"    Fix: {self.fix}")
        if self.acknowledge:
            lines.append(
                f"    To go on knowingly: acknowledge: [{self.acknowledge}] "
                "(printed under the table)"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        """For `--json` and the manifest."""
        return {
            "code": self.code,
            "phase": self.phase.name.lower(),
            "what": self.what,
            "why": self.why,
            "fix": self.fix,
            "path": self.path,
            "address": self.address,
            "place": str(self.place) if self.place else "",
            "acknowledge": self.acknowledge,
        }


class EstimandError(Exception):
    """One or more problems; `exit_code` is the lowest phase among them."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        found = (problems,) if isinstance(problems, Problem) else tuple(problems)
        if not found:
            raise ValueError("an EstimandError needs at least one problem")
        # Problems that name lines come in the order of the file.
        self.problems: tuple[Problem, ...] = tuple(
            sorted(found, key=lambda p: (p.place.line or 0) if p.place else 0)
        )
        super().__init__("\n".join(str(p) for p in self.problems))

    @property
    def exit_code(self) -> int:
        return int(min(p.phase for p in self.problems))

    def __reduce__(self) -> tuple[type[EstimandError], tuple[tuple[Problem, ...]]]:
        # Errors travel from workers to the parent.
        return (EstimandError, (self.problems,))


class _OnePhaseError(EstimandError):
    phase = Phase.SPEC

    def __init__(
        self,
        code: str,
        what: str,
        *,
        why: str = "",
        fix: str = "",
        path: str = "",
        place: Place | None = None,
        acknowledge: str = "",
    ) -> None:
        super().__init__(
            Problem(
                self.phase,
                code,
                what,
                why=why,
                fix=fix,
                path=path,
                place=place,
                acknowledge=acknowledge,
            )
        )


class SpecError(_OnePhaseError):
    """The study does not say something this software understands. Mend the YAML."""

    phase = Phase.SPEC


class DataError(_OnePhaseError):
    """The data are not what the study says they are. Mend the data or say how."""

    phase = Phase.DATA


class IdentificationError(_OnePhaseError):
    """The design cannot give the quantity asked for. Change the model or sample."""

    phase = Phase.DESIGN


class NumericalError(_OnePhaseError):
    """The computation did not give a trustworthy number, so none is printed."""

    phase = Phase.NUMERICAL


class StorageError(_OnePhaseError):
    """A result could not be written or read. Nothing finished is lost."""

    phase = Phase.STORAGE


class WorkerError(_OnePhaseError):
    """A worker process died or ran out of time; the other estimations go on."""

    phase = Phase.WORKER


class SafetyError(_OnePhaseError):
    """The study asks for something that could run code or read foreign files."""

    phase = Phase.SAFETY


def counted(count: int, one: str, many: str = "") -> str:
    """`1 row`, `1,234 rows`; `many` where the plural is not `one` with an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def with_article(noun: str) -> str:
    """`a step`, `an estimator`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def did_you_mean(name: str, known: Sequence[str], *, limit: int = 12) -> str:
    """`did you mean 'x'?` or a list of what exists; empty when nothing is known."""
    known = [str(k) for k in known]
    folded = {k.casefold(): k for k in reversed(known)}
    close = difflib.get_close_matches(name.casefold(), list(folded), n=2, cutoff=0.6)
    if close:
        guess = " or ".join(f"'{folded[c]}'" for c in close)
        return f"did you mean {guess}?"
    if not known:
        return ""
    listed = ", ".join(known[:limit])
    more = f", … ({len(known)} in all)" if len(known) > limit else ""
    return f"there is: {listed}{more}"


#: Dunder names, calls of methods and of what runs text: no column or value has these.
_CODE = re.compile(
    r"__\w+__|@\w+\.|[A-Za-z_]\.[A-Za-z_]\w*\("
    r"|\b(?:eval|exec|getattr|globals|compile|open)\s*\("
)


def looks_like_code(text: str) -> bool:
    """Whether somebody meant `text` to be run; a study holds names and values only."""
    return bool(_CODE.search(text))


def no_column(column: str, path: str, known: Sequence[str]) -> Problem:
    """A study names a column that does not exist: X51, or X04 where it is code."""
    if looks_like_code(column):
        return Problem(
            Phase.SAFETY,
            "X04",
            f"'{column[:80]}' is code and no column",
            why="names in a study are data and are never run",
            fix="name a column; conditions and `derive` compute what is needed",
            path=path,
        )
    fix = did_you_mean(column, known)
    if "(" in column:
        fix = "a column that is computed is written {log: x}, {dummies: x} or [a, b]"
    return Problem(Phase.SPEC, NO_COLUMN, f"no column '{column}'", fix=fix, path=path)
