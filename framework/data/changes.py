"""How much of an outcome another preparation of the data changes, and for whom.

A step that measures rows against each other (a frontier, weights of an index) can change
the outcome of rows that a policy never touched. In a comparison of two estimations that
is a number of its own, beside their estimates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framework.data.treatment import assign
from framework.errors import EstimandError

if TYPE_CHECKING:
    import numpy as np

    from framework.panel import Panel
    from framework.spec.model import TreatmentSpec

#: Relative differences below this are rounding.
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class OutcomeChange:
    """The outcome of control rows in two preparations.

    Attributes:
        who: in words, which rows are the controls.
        rows: controls that have the outcome in both.
        changed: share of them whose outcome is another.
        mean, largest: absolute change, over all `rows`.
        lost, gained: rows of any kind whose outcome is missing only now, only before.
    """

    who: str
    rows: int
    changed: float
    mean: float
    largest: float
    lost: int
    gained: int


def outcome_change(
    now: Panel, before: Panel, column: Any, treatment: TreatmentSpec | None
) -> OutcomeChange | None:
    """Compare a column of two panels row by row, matched by unit and time.

    Args:
        now, before: the two preparations.
        column: the outcome's name.
        treatment: tells who is a control; None = every row is.

    Returns:
        None where the panels have not the same keys, the column is none or no number,
        or nothing differs.
    """
    import numpy as np
    import pandas as pd

    keys = [k for k in (now.unit, now.time) if k]
    both = (now, before)
    if not keys or keys != [k for k in (before.unit, before.time) if k]:
        return None
    if not all(isinstance(column, str) and column in p.frame.columns for p in both):
        return None
    if not all(pd.api.types.is_numeric_dtype(p.frame[column].dtype) for p in both):
        return None
    if any(p.frame.duplicated(keys).any() for p in both):
        return None
    here = now.frame[keys].assign(
        now=now.frame[column].to_numpy(dtype="float64", na_value=np.nan),
    )
    there = before.frame[keys].assign(
        before=before.frame[column].to_numpy(dtype="float64", na_value=np.nan),
    )
    who, control = _controls(before, treatment)
    merged = there.assign(control=control).merge(here, on=keys, how="inner")
    a, b = merged["now"].to_numpy(), merged["before"].to_numpy()
    lost, gained = np.isnan(a) & ~np.isnan(b), ~np.isnan(a) & np.isnan(b)
    held = merged["control"].to_numpy() & ~np.isnan(a) & ~np.isnan(b)
    gap = np.abs(a - b)[held]
    differs = gap > _SAME * np.maximum(np.abs(a), np.abs(b))[held]
    everywhere = np.abs(a - b) > _SAME * np.maximum(np.abs(a), np.abs(b))
    if not (everywhere.any() or lost.any() or gained.any()) or not len(gap):
        return None
    return OutcomeChange(
        who,
        len(gap),
        float(differs.mean()),
        float(gap.mean()),
        float(gap.max()),
        int(lost.sum()),
        int(gained.sum()),
    )


def _controls(
    panel: Panel, treatment: TreatmentSpec | None
) -> tuple[str, np.ndarray[Any, Any]]:
    """Rows of never-treated units; without such units the untreated rows."""
    import numpy as np

    everybody = "all rows", np.ones(len(panel.frame), dtype=np.bool_)
    if treatment is None:
        return everybody
    column = treatment.column
    values = (
        {column: panel.frame[column]}
        if isinstance(column, str) and column in panel.frame.columns
        else {}
    )
    if not values and not treatment.first_treated:
        return everybody
    try:
        assigned = assign(panel, treatment, values)
    except EstimandError:
        return everybody  # what is wrong with it is said where it is estimated
    if assigned.cohort is not None and np.isinf(assigned.cohort).any():
        return "never-treated units", np.isinf(assigned.cohort)
    main = next(iter(assigned.columns.values()))
    return "untreated rows", main == 0


__all__ = ["OutcomeChange", "outcome_change"]
