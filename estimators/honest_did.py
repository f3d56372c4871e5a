"""Robustness of an event study to violations of parallel trends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from framework.contract import Choice, Estimator, Needs, Request
from framework.result import Result

Size = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class HonestDid(Estimator):
    """Intervals that hold if violations of parallel trends are no larger than M.

    Takes the event study of any estimator, with its full covariance. Relative
    magnitudes: steps of the difference in trends after treatment are at most M times
    the largest one before (hybrid C-LF intervals). Smoothness: its slope changes by at
    most M outcome units per period (shortest intervals of fixed length, FLCI). The
    breakdown value is the M up to which the interval excludes zero.
    """

    main: ClassVar[str | None] = "of"
    paper: ClassVar[str] = (
        "Rambachan and Roth (2023), REStud 90(5); Andrews, Roth and Pakes (2023), "
        "REStud 90(6) on the conditional test"
    )
    estimands: ClassVar[tuple[str, ...]] = ("att",)
    needs: ClassVar[Needs] = Needs(
        uses=frozenset({"controls", "fixed_effects", "weights", "inference"}),
        inference=frozenset({"cluster"}),
        binary=True,
        absorbing=True,
    )

    of: Annotated[Estimator, Choice("estimator")] = Field(
        default="callaway_santanna",
        validate_default=True,
        description="The estimator whose event study is judged, with its options.",
    )
    effect: int | Literal["average"] | tuple[int, ...] | dict[int, float] = Field(
        default=0,
        description="The effect judged: an event time, several (their plain mean), "
        "`average` of all from 0 on, or weights by event time.",
    )
    relative_magnitudes: tuple[Size, ...] = Field(
        default=(0.5, 1.0, 1.5, 2.0),
        description="Largest step after treatment, as a multiple of the largest before.",
    )
    smoothness: tuple[Size, ...] | None = Field(
        default=None,
        description="Largest change of slope per period, outcome units; none written = "
        "five values from 0 to the largest before treatment that is not rejected.",
    )

    @field_validator("of")
    @classmethod
    def _has_event_times(cls, value: Any) -> Any:
        from estimators._sensitivity.choice import event_study_only

        return event_study_only(value)

    @field_validator("effect")
    @classmethod
    def _some_effect(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and not any(value.values()):
            raise ValueError("all weights of `effect` are zero")
        if isinstance(value, tuple) and len(set(value)) != max(len(value), 1):
            raise ValueError("`effect` names each event time once, and at least one")
        return value

    def demands(self) -> Needs:
        """What the estimator in `of` needs."""
        from estimators._sensitivity.choice import demands_of

        return demands_of(self.of)

    def estimate(self, request: Request) -> Result:
        """The effect with its ordinary interval; robust ones in frame `sensitivity`.

        Raises:
            IdentificationError: E12 every reason why the event study is no path of
                differences in trends; those of the estimator in `of`.
            NumericalError: N01.
        """
        from estimators._sensitivity.honest import Options, honest

        effect = self.effect
        weights: dict[int, float] | None
        if effect == "average":
            weights = None
        elif isinstance(effect, int):
            weights = {effect: 1.0}
        elif isinstance(effect, tuple):
            weights = dict.fromkeys(effect, 1 / len(effect))
        else:
            weights = {int(k): float(v) for k, v in effect.items()}
        return honest(
            request,
            self.of,
            Options(weights, self.relative_magnitudes, self.smoothness),
        )
