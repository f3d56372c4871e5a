"""Truncated regression, the second stage of efficiency analysis."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from framework.contract import Estimator, Needs, Request
from framework.result import Result


class Truncated(Estimator):
    """Determinants of an outcome that is seen only inside of its limits.

    The latent mean is linear in the treatment and the controls, errors are normal, and
    rows at or beyond a limit are left out, as efficient units have to be when an
    efficiency score is explained (Simar and Wilson 2007). With `bootstrap` the errors
    and intervals are of their parametric bootstrap: algorithm 1 of the paper with the
    scores of `radial`, algorithm 2 with those that its `bootstrap: {environment: …}`
    corrects.
    """

    paper: ClassVar[str] = (
        "Simar and Wilson (2007), J. Econometrics 136(1); Hausman and Wise (1977), "
        "Econometrica 45(4); Orme and Ruud (2002), Economics Letters 75(2)"
    )
    estimands: ClassVar[tuple[str, ...]] = ("coefficient", "ame")
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel", "repeated_cross_sections", "cross_section"}),
        uses=frozenset({"controls", "inference"}),
        inference=frozenset({"iid", "hetero", "cluster"}),
    )

    lower: float | None = Field(
        None, description="rows at or below it are left out: 1 for distances from 1 on"
    )
    upper: float | None = Field(
        None, description="rows at or above it are left out: 1 for scores up to 1"
    )
    bootstrap: int = Field(
        0,
        ge=0,
        description="draws of the parametric bootstrap; 2,000 for an efficiency score, "
        "whose rows depend on each other; 0 = errors of maximum likelihood",
    )

    def is_random(self) -> bool:
        """Maximum likelihood draws nothing."""
        return self.bootstrap > 0

    @model_validator(mode="after")
    def _limits(self) -> Truncated:
        if self.lower is None and self.upper is None:
            raise ValueError("needs `lower`, `upper` or both; without a limit use ols")
        if None not in (self.lower, self.upper) and not self.lower < self.upper:  # type: ignore[operator]  # neither is None
            raise ValueError("`lower` must be below `upper`")
        if 0 < self.bootstrap < 100:  # noqa: PLR2004 - quantiles of 2.5 % need some draws
            raise ValueError("`bootstrap` needs at least 100 draws")
        return self

    def demands(self) -> Needs:
        """The parametric bootstrap draws rows that are independent and alike."""
        if not self.bootstrap:
            return self.needs
        return Needs(
            kinds=self.needs.kinds,
            uses=self.needs.uses,
            inference=frozenset({"iid"}),
        )

    def estimate(self, request: Request) -> Result:
        """Maximum likelihood; the treatment's rows first, then controls.

        Raises:
            DataError: D05 too few rows inside of the limits, D06, D08.
            IdentificationError: I01 to I05, I08; I09 two-way clusters.
            NumericalError: N07 the likelihood has no maximum.
        """
        from math import inf

        from estimators._truncated.report import regress

        return regress(
            request,
            -inf if self.lower is None else self.lower,
            inf if self.upper is None else self.upper,
            self.bootstrap,
            min_clusters=self.needs.min_clusters,
        )
