"""Efficiency against the expected best of m units."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator

from estimators.steps._frontier import keys
from estimators.steps._partial import PartialStep
from framework.panel import Panel

if TYPE_CHECKING:
    import pandas as pd

    from estimators._math.partial_frontier import Partial
    from estimators.steps._frontier import Sample, Technology

#: Of Simar (2003): how far beyond the others' frontier a row is suspicious.
_TOLERANCES = (0.05, 0.1, 0.2, 0.3, 0.4)


class OrderM(PartialStep):
    """A row's share of the inputs that the best of m such rows would need, on average.

    The m rows are drawn from those that make at least what the row makes (for
    outputs: use at most what it uses). Single rows hardly move that frontier, there is
    no shape to assume, and it is estimated as fast as a mean: the errors in the
    frame `scores` are of that sampling. A row beyond it scores above 1. Frames:
    `scores`, and for outliers `left_out` and `share_beyond` (Simar 2003).
    """

    paper: ClassVar[str] = (
        "Cazals, Florens and Simar (2002), Nonparametric frontier estimation: a robust "
        "approach; Simar (2003), Detecting outliers in frontier models"
    )
    m: int = Field(
        ge=1, description="rows that a row is compared with; must be written"
    )
    outliers: list[int] = Field(
        [10, 25, 50, 100, 200],
        description="values of m at which every row is scored without itself; [] = none",
    )

    @field_validator("outliers")
    @classmethod
    def _rising(cls, value: list[int]) -> list[int]:
        if any(m < 1 for m in value) or sorted(set(value)) != value:
            raise ValueError("`outliers` are values of m, from 1 on and rising")
        return value

    def _scored(self, found: Sample, tech: Technology) -> Partial:
        from estimators._math.partial_frontier import order_m

        return order_m(
            found.quantities.take(tech.evaluated),
            found.quantities.take(tech.reference),
            tech.own,
            self.orientation,
            self.m,
        )

    def _kind(self) -> str:
        return f"order-{self.m} efficiency"

    def _outliers(
        self, panel: Panel, found: Sample, techs: list[Technology]
    ) -> tuple[dict[str, pd.DataFrame], tuple[str, ...]]:
        """Leave-one-out scores by m, and the share of rows beyond 1 + tolerance.

        As m grows the share falls to that of rows beyond the hull of the others; where
        it stays high, or ends with an elbow, the rows that are still beyond are
        candidates for errors.
        """
        import pandas as pd

        from estimators._math.partial_frontier import order_m

        if not self.outliers:
            return {}, ()
        parts = []
        for tech in techs:
            table = keys(panel, found.rows[tech.evaluated]).assign(
                technology=tech.label
            )
            for m in self.outliers:
                one = order_m(
                    found.quantities.take(tech.evaluated),
                    found.quantities.take(tech.reference),
                    tech.own,
                    self.orientation,
                    m,
                    without_own=True,
                )
                table[f"m_{m}"] = one.value
            parts.append(table.assign(n_compared=one.count))
        rows = pd.concat(parts, ignore_index=True)
        alone = rows["n_compared"] == 0
        shares = pd.DataFrame(
            [
                (m, t, float(((rows[f"m_{m}"] > 1 + t) | alone).mean()))
                for m in self.outliers
                for t in _TOLERANCES
            ],
            columns=["m", "tolerance", "share"],
        )
        last = self.outliers[-1]
        far = int(((rows[f"m_{last}"] > 1 + _TOLERANCES[-1]) & ~alone).sum())
        notes: tuple[str, ...] = ()
        if far or alone.any():
            note = (
                f"{far:,} of {len(rows):,} rows are beyond the order-{last} frontier "
            )
            note += f"of the others by more than {_TOLERANCES[-1]:g}, and "
            note += f"{int(alone.sum()):,} have no others to compare with: see the "
            note += "table 'left_out' for rows that look like errors (Simar 2003)"
            notes = (note,)
        return {"left_out": rows, "share_beyond": shares}, notes


__all__ = ["OrderM"]
