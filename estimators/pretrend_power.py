"""What a test of pre-trends could have seen, and what it does to the estimates."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from framework.contract import Choice, Estimator, Needs, Request
from framework.result import Result

Share = Annotated[float, Field(gt=0, lt=1)]


class PretrendPower(Estimator):
    """The linear violations of parallel trends that a pre-test sees half the time.

    An event study that passes its pre-test may have had no power. For the event study
    of any estimator: the slope that gives some significant coefficient before treatment
    with the powers named, the bias it leaves after treatment, and that bias given that
    the test was passed.
    """

    main: ClassVar[str | None] = "of"
    paper: ClassVar[str] = "Roth (2022), AER: Insights 4(3)"
    estimands: ClassVar[tuple[str, ...]] = ("by_event_time",)
    needs: ClassVar[Needs] = Needs(
        uses=frozenset({"controls", "fixed_effects", "weights", "inference"}),
        inference=frozenset({"cluster"}),
        binary=True,
        absorbing=True,
    )

    of: Annotated[Estimator, Choice("estimator")] = Field(
        default="event_study",
        validate_default=True,
        description="The estimator whose event study is judged, with its options.",
    )
    power: tuple[Share, ...] = Field(
        default=(0.5, 0.8),
        min_length=1,
        description="Probabilities with which the violations would be detected.",
    )

    @field_validator("of")
    @classmethod
    def _has_event_times(cls, value: Any) -> Any:
        from estimators._sensitivity.choice import event_study_only

        return event_study_only(value)

    def demands(self) -> Needs:
        """What the estimator in `of` needs."""
        from estimators._sensitivity.choice import demands_of

        return demands_of(self.of)

    def estimate(self, request: Request) -> Result:
        """The event study; slopes and biases in the frames `power` and `trends`.

        Raises:
            IdentificationError: E12 every reason why the event study is no path of
                differences in trends; those of the estimator in `of`.
            NumericalError: N01.
        """
        from estimators._sensitivity.power import pretrend_power

        return pretrend_power(request, self.of, self.power)
