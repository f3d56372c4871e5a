"""What the kit found: every broken promise, each once, in one sentence."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from framework.errors import EstimandError, did_you_mean

T = TypeVar("T")

#: What may break, and what it means. `exempt` names these.
RULES: Mapping[str, str] = MappingProxyType(
    {
        "declaration": "documented, typed, named after its file, refuses unknown options",
        "imports": "importing the module loads no package but pydantic",
        "columns": "coefficients have the columns of every table, in order",
        "glossary": "columns, estimands, scalars and tests have names of the glossary",
        "judged": "the first row is the estimand and the treatment asked for",
        "numbers": "finite, standard errors positive, intervals and p values agree",
        "confidence": "intervals have the confidence that the study asks for",
        "influence": "influence functions reproduce the standard errors",
        "counts": "the rows, units and clusters that are used are counted right",
        "names": "results speak of columns by the user's names, whatever these are",
        "pickle": "results travel between processes",
        "purity": "what is given is not changed, nor any state outside",
        "determinism": "the same request, the same numbers, bit for bit",
        "row_order": "the order of rows moves no number",
        "unit_names": "the names of units and their order move no number",
        "aliases": "the names of the working columns move no number",
        "outcome_scale": "an outcome in other units gives the estimate in these units",
        "estimands": "every estimand that is declared is given when it is asked for",
        "truth": "the estimate is near the effect that made the data",
        "refusals": "what can't be estimated or made is refused with a reason",
        "ledger": "one line in the ledger, with the rows before and after",
        "protected": "columns that the study does not list stay as they are",
        "reads": "the step reads the columns it says, and no others",
        "makes": "the step makes and touches the columns it says, and no others",
        "rows": "rows keep their order, keys and index",
        "term": "a step that makes one column can stand in place of a column",
        "output": "what is built is what the contract says",
    }
)


class NotConforming(AssertionError):  # noqa: N818 - a failed assertion, not a fault of a study
    """A plugin breaks the contract.

    Attributes:
        violations: one sentence each, `rule: what happened`.
    """

    def __init__(self, plugin: str, violations: Iterable[str]) -> None:
        self.violations = tuple(violations)
        count = len(self.violations)
        places = "one place" if count == 1 else f"{count} places"
        listed = "\n".join(f"  - {v}" for v in self.violations)
        super().__init__(f"{plugin} breaks the contract in {places}:\n{listed}")


@dataclass(slots=True)
class Findings:
    """Collects broken promises while the checks go on.

    Attributes:
        plugin: name of the class.
        exempt: rule -> reason why it can't hold for this plugin.
    """

    plugin: str
    exempt: Mapping[str, str]
    _found: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _excused: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for rule, reason in self.exempt.items():
            if rule not in RULES:
                guess = did_you_mean(rule, tuple(RULES), limit=len(RULES))
                raise ValueError(f"no rule '{rule}' to be exempt from; {guess}")
            if not reason.strip():
                raise ValueError(f"the exemption from '{rule}' needs its reason")

    def add(self, rule: str, what: str, case: str = "") -> None:
        """Note a broken promise; the same in several cases counts once."""
        if rule in self.exempt:
            self._excused.add(rule)
        else:
            self._found.setdefault((rule, what), []).append(case)

    def __bool__(self) -> bool:
        return bool(self._found)

    def conclude(self) -> None:
        """Say everything that was found.

        Raises:
            NotConforming: something was, or an exemption is not needed any more.
        """
        said = [_sentence(*key, cases) for key, cases in self._found.items()]
        said += [
            f"{rule}: exempt ({reason}), but it holds: take the exemption out"
            for rule, reason in self.exempt.items()
            if rule not in self._excused
        ]
        if said:
            raise NotConforming(self.plugin, said)

    @contextmanager
    def surviving(self, rule: str, doing: str, case: str = "") -> Iterator[None]:
        """Turn whatever is raised inside into a broken promise."""
        try:
            yield
        except EstimandError as error:
            self.add(rule, f"{doing} is refused: {_first_line(error)}", case)
        except Exception as error:
            self.add(rule, f"{doing} raises {_said(error)}", case)

    def attempt(
        self, make: Callable[[], T], rule: str, doing: str, case: str = ""
    ) -> T | None:
        """What `make` gives; None and a broken promise if it raises."""
        made: list[T] = []
        with self.surviving(rule, doing, case):
            made.append(make())
        return made[0] if made else None

    def refusal(
        self, make: Callable[[], Any], doing: str, case: str = "", *, demanded: bool
    ) -> None:
        """`make` has to raise an EstimandError, or may also work if not `demanded`."""
        try:
            with np.errstate(all="ignore"):
                make()
        except EstimandError as error:
            if not all(p.code and p.what for p in error.problems):
                self.add("refusals", f"{doing}: a problem has no code or text", case)
        except Exception as error:
            self.add(
                "refusals",
                f"{doing} raises {_said(error)} in place of an EstimandError that "
                "says what is wrong",
                case,
            )
        else:
            if demanded:
                self.add("refusals", f"{doing} gives numbers and is not refused", case)

    @contextmanager
    def untouched_state(self) -> Iterator[None]:
        """Nothing inside may draw from the random numbers that all share."""
        shared, plain = np.random.get_state(), random.getstate()
        yield
        after: Any = np.random.get_state()
        before: Any = shared
        same = all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        if not same or random.getstate() != plain:
            self.add(
                "purity",
                "it draws from the random numbers that all share; draw from "
                "numpy.random.default_rng(seed)",
            )


def _sentence(rule: str, what: str, cases: list[str]) -> str:
    if not cases[0]:
        return f"{rule}: {what}"
    more = f" and {len(cases) - 1} more cases" if len(cases) > 1 else ""
    return f"{rule}: {what} ({cases[0]}{more})"


def _first_line(error: EstimandError) -> str:
    problem = error.problems[0]
    return f"{problem.what} ({problem.code})"


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    most = 160
    return f"{type(error).__name__}: {text[:most]}"
