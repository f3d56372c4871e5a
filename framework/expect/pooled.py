"""One coefficient over staggered adoption, and the effects by cohort beside it.

A coefficient that pools cohorts and periods weighs them by what is left of the treatment,
compares with rows treated already, and may give some effects a negative weight. Whoever
reads it needs the mean of effects by cohort and period of the same outcome: it is named
under the column, and where neither a line nor the column itself has it, the column is
flagged if the weights are bad.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from framework.expect.rows import CannotBeJudged, Finished, Judged, Row, all_rows

#: Scalars of a coefficient that pools: what it compares with, and its negative weights.
_ALREADY, _NEGATIVE = "weight_already_treated", "weight_negative"
#: Of the mean effect by cohort and period, where the column itself has it.
_MEAN = "cohort_att"
#: Weights below it move no printed digit of an estimate.
HARMLESS = 0.01
#: Lines that a note names.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside a pooled coefficient: a note, or that nothing does."""

    note: str = ""
    flag: str = ""


def pooled(run: Iterable[Judged], by_cohort: Collection[str]) -> dict[str, Beside]:
    """Address of a pooled coefficient -> what stands beside it; only where it pools.

    Args:
        run: all estimations of a run.
        by_cohort: addresses of estimations that average effects by cohort and period.
    """
    finished = [(j, j.cell) for j in run if j.cell is not None]
    others: dict[object, list[tuple[Judged, Finished]]] = {}
    for judged, cell in finished:
        if judged.address in by_cohort and _mean_effect(judged) is not None:
            others.setdefault(_question(cell), []).append((judged, cell))
    found = {}
    for judged, cell in finished:
        scalars = cell.result.scalars
        if _ALREADY not in scalars:
            continue
        known = others.get(_question(cell), [])
        if known:
            found[judged.address] = Beside(note=_note(cell, known))
        elif _MEAN not in scalars and (
            flag := _flag(scalars[_ALREADY], scalars.get(_NEGATIVE, 0.0))
        ):
            found[judged.address] = Beside(flag=flag)
    return found


def _question(cell: Finished) -> tuple[str, tuple[str, ...]]:
    treated = cell.labels.get("treatment") or ()
    return str(cell.labels.get("outcome")), tuple(sorted(map(str, treated)))


def _mean_effect(judged: Judged) -> Row | None:
    try:
        rows = all_rows(judged)
    except CannotBeJudged:
        return None
    return next((row for row in rows if row.estimand == "att"), None)


def _note(cell: Finished, known: Sequence[tuple[Judged, Finished]]) -> str:
    """The effects by cohort and period, those of the same rows first."""
    rows = cell.result.scalars.get("n_obs")

    def apart(other: Finished) -> bool:
        return other.result.scalars.get("n_obs") != rows

    said = []
    for judged, other in sorted(known, key=lambda pair: apart(pair[1]))[:_NAMED]:
        row = _mean_effect(judged)
        assert row is not None  # noqa: S101 - only such lines are known
        text = f"{row.estimate:.4g} ({row.std_error:.4g}) in {judged.address}"
        if apart(other) and "n_obs" in other.result.scalars:
            text += f" ({other.result.scalars['n_obs']:,.0f} rows)"
        said.append(text)
    more = f", and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return f"the mean effect by cohort and period: {', '.join(said)}{more}"


def _flag(already: float, negative: float) -> str:
    """What is wrong with the weights, if anything, and what no line tells."""
    wrong = []
    if already >= HARMLESS:
        wrong.append(
            f"{already:.1%} of the weight of its comparisons is on units treated "
            "already, whose effects may still change"
        )
    if negative >= HARMLESS:
        wrong.append(
            "some effects by cohort and period enter with negative weights "
            f"({-negative:.3f} in all), so that it can lie outside their range"
        )
    if not wrong:
        return ""
    return (
        f"this coefficient pools staggered adoption: {'; '.join(wrong)}; and "
        "no line of the study averages effects by cohort and period of this outcome"
    )


__all__ = ["Beside", "pooled"]
