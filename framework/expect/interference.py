"""What other lines of a study say against a number: its units are treated by others.

An effect of a unit's own treatment is read off a comparison with units that nothing has
happened to. A line that finds that the neighbours' treatment moves the outcome says that
something has, so it is said beside every verdict that rests on the comparison.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from framework.expect.rows import CannotBeJudged, Finished, Judged, Row, all_rows
from framework.result import Test

#: Test of a result: the treatment of other units does not move a unit's outcome.
NO_INTERFERENCE = "no_interference"
#: Equation of the estimate without exposed comparison units.
_DONUT = "donut"
#: Printed p values are at least this.
_LEAST = 0.0001


@dataclass(frozen=True, slots=True)
class _Tested:
    """A line that asks whether the neighbours' treatment matters."""

    judged: Judged
    cell: Finished
    p_value: float

    @property
    def found(self) -> bool:
        # 1 - 0.95 is not 0.05 in doubles.
        return self.p_value <= round(1 - self.judged.confidence, 12)


def flags(run: Iterable[Judged], owned: Collection[str]) -> dict[str, str]:
    """Address -> what is to be said beside its numbers; only where there is something.

    Args:
        run: all estimations of a run.
        owned: addresses of estimations that take a unit's outcome to depend on its own
            treatment alone.
    """
    everything = list(run)
    tested: dict[object, list[_Tested]] = {}
    for judged in everything:
        test = _test_of(judged)
        if judged.cell is not None and test is not None and test.p_value is not None:
            about = _Tested(judged, judged.cell, test.p_value)
            tested.setdefault(_question(judged.cell), []).append(about)
    said = {
        question: _said(lines)
        for question, lines in tested.items()
        if any(line.found for line in lines)
    }
    return {
        judged.address: said[question]
        for judged in everything
        if judged.cell is not None
        and judged.address in owned
        and _test_of(judged) is None
        and (question := _question(judged.cell)) in said
    }


def _test_of(judged: Judged) -> Test | None:
    tests = judged.cell.result.tests if judged.cell else ()
    return next((test for test in tests if test.name == NO_INTERFERENCE), None)


def _question(cell: Finished) -> tuple[str, tuple[str, ...]]:
    """Outcome and treatments: what is found of one says nothing about another."""
    treated = cell.labels.get("treatment") or ()
    return str(cell.labels.get("outcome")), tuple(sorted(map(str, treated)))


def _said(lines: Sequence[_Tested]) -> str:
    """The sentence: who found it, what follows, and the estimate that avoids it."""
    found = sorted((line for line in lines if line.found), key=lambda x: x.p_value)
    first = found[0]
    p = f"p = {first.p_value:.4f}" if first.p_value >= _LEAST else f"p < {_LEAST}"
    count = f", {len(found)} of {len(lines)} columns that test it"
    text = (
        f"spillovers are found ({first.judged.address}: {p}"
        f"{count if len(lines) > 1 else ''}): units that serve as comparisons are treated "
        "through their neighbours, so the number is not the effect on the treated alone"
    )
    donut = next((row for line in found if (row := _donut(line)) is not None), None)
    if donut is None:
        return text
    return (
        f"{text}; without comparison units that have a treated neighbour (donut) it is "
        f"{donut.estimate:.4g} (standard error {donut.std_error:.4g})"
    )


def _donut(line: _Tested) -> Row | None:
    treated = [str(t) for t in line.cell.labels.get("treatment") or ()]
    try:
        rows = all_rows(line.judged)
    except CannotBeJudged:
        return None
    held = (r for r in rows if r.equation == _DONUT and r.term in treated)
    return next(held, None)
