"""Why estimations have no numbers: every cause once, with what to look at and type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from framework.cache import Failure
from framework.errors import Phase, Problem

if TYPE_CHECKING:
    from framework.record import Column, JobBook


def problems_of(column: Column) -> tuple[Problem, ...]:
    """Why a column has no numbers."""
    if isinstance(column.outcome, Failure):
        return column.outcome.problems
    found = column.estimation.problems
    if not found and column.outcome is None:
        found = tuple(
            Problem(
                Phase.SPEC,
                "X10",
                f"needs {what}, which is announced but not built",
                address=column.estimation.address,
                place=column.estimation.place,
            )
            for what in column.estimation.not_built
        )
    return found


def causes(columns: Iterable[Column]) -> dict[Problem, list[str]]:
    """Cause -> addresses that met it, in the order in which they met it first.

    A cause has the address and the place of the first: lines that each chose an
    estimator meet one cause in as many places.
    """
    from framework.execute import STOPPED

    met: dict[Problem, list[str]] = {}
    first: dict[Problem, Problem] = {}
    for column in columns:
        for found in problems_of(column):
            # What was not reached has nothing to do with the line it stands in.
            problem = replace(found, place=None) if found.code == STOPPED else found
            same = replace(problem, address="", place=None)
            first.setdefault(same, problem)
            met.setdefault(same, []).append(column.estimation.address)
    return {replace(first[p], address=found[0]): found for p, found in met.items()}


def remedies(addresses: Sequence[str], book: JobBook) -> Iterator[str]:
    """The trace's place and the command that tries again; copied, so not broken."""
    if trace := book.trace(addresses[0]):
        yield f"    Trace: {trace}"
    yield f"    Again: {book.again(addresses[0])}"
