"""Efficiency against a quantile of the units."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from estimators.steps._partial import PartialStep

if TYPE_CHECKING:
    from estimators._math.partial_frontier import Partial
    from estimators.steps._frontier import Sample, Technology


class OrderAlpha(PartialStep):
    """A row's share of the inputs at which a share 1 - alpha of its like needs less.

    Its like are the rows that make at least what the row makes (for outputs: use at
    most what it uses). Less moved by outliers than `order_m`; alpha = 1 is the free
    disposal hull. Frame: `scores`.
    """

    paper: ClassVar[str] = (
        "Aragon, Daouia and Thomas-Agnan (2005), Nonparametric frontier estimation: a "
        "conditional quantile-based approach; Daouia and Simar (2007), J. Econometrics "
        "140(2)"
    )
    alpha: float = Field(
        gt=0, le=1, description="order of the quantile; must be written"
    )

    def _scored(self, found: Sample, tech: Technology) -> Partial:
        from estimators._math.partial_frontier import order_alpha

        return order_alpha(
            found.quantities.take(tech.evaluated),
            found.quantities.take(tech.reference),
            tech.own,
            self.orientation,
            self.alpha,
        )

    def _kind(self) -> str:
        return f"order-alpha efficiency, alpha {self.alpha:g}"


__all__ = ["OrderAlpha"]
