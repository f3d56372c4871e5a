"""The effect in bins of a moderator, beside the linear interaction it tests."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from estimators._linear.options import SmallSample
from framework.contract import Estimator, Needs, Request
from framework.result import Result


class BinnedInteraction(Estimator):
    """The effect at the median of each bin of the moderator.

    In every bin the outcome and the effect have a line of their own in the moderator,
    so the effects need not lie on one line, and an effect that no row of the data
    supports is not extrapolated. A Wald test says whether one line would do.
    """

    main: ClassVar[str | None] = "bins"
    paper: ClassVar[str] = (
        "Hainmueller, Mummolo and Xu (2019), Political Analysis 27(2), sec. 4.2 and "
        "eq. 4; Hosking (1990), JRSS B 52(1) for L-kurtosis"
    )
    estimands: ClassVar[tuple[str, ...]] = ("by_group", "interaction")
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel", "repeated_cross_sections", "cross_section"}),
        uses=frozenset(
            {"controls", "fixed_effects", "interact", "weights", "inference"}
        ),
        inference=frozenset({"iid", "hetero", "cluster"}),
        requires=frozenset({"interact"}),
    )

    bins: int = Field(
        default=3,
        ge=2,
        le=20,
        description="Bins of the moderator with about as many rows each; fewer where "
        "values repeat.",
    )
    cuts: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] = Field(
        default=(),
        description="Limits between the bins in the moderator's units, in place of "
        "`bins`; a value on a limit belongs to the lower bin.",
    )
    small_sample: SmallSample = Field(
        default_factory=SmallSample,
        description="Small-sample convention of the covariance matrix.",
    )

    @field_validator("cuts")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(b <= a for a, b in pairwise(value)):
            raise ValueError("limits rise from one to the next")
        return value

    def estimate(self, request: Request) -> Result:
        """A row per bin; support and the linear interaction's effects in `bins`.

        Raises:
            DataError: D03, D05, D06.
            IdentificationError: I01 a bin without a comparison; I02 to I05, I08, I09;
                E15 no bins, or no moderator of its own.
            NumericalError: N01 to N03.
        """
        from estimators._mechanism.bins import binned

        return binned(
            request,
            self.bins,
            self.cuts,
            self.small_sample,
            min_clusters=self.needs.min_clusters,
        )
