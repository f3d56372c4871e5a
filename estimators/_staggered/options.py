"""Options that every estimator of staggered adoption has."""

from __future__ import annotations

from pydantic import Field, field_validator

from framework.contract import Estimator


class Staggered(Estimator):
    """Simultaneous bands on request; a window of event times that is in order."""

    bootstrap: int = Field(
        default=0,
        ge=0,
        description="Multiplier bootstrap draws for bands that hold for all effects at "
        "once (frame `bands`); 0 = none. Standard errors stay analytic.",
    )

    @field_validator("window", check_fields=False)
    @classmethod
    def _window_in_order(cls, window: tuple[int, int] | None) -> tuple[int, int] | None:
        if window is not None and not window[0] <= window[1]:
            raise ValueError("window must go from low to high")
        return window

    def is_random(self) -> bool:
        """The draws of the simultaneous bands."""
        return self.bootstrap > 0
