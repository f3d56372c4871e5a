"""Stacked event study: one clean data set per cohort (Cengiz et al. 2019)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from estimators._staggered.options import Staggered
from framework.contract import Needs, Request
from framework.result import Result


class Stacked(Staggered):
    """Every cohort beside units untreated in its whole window, stacked in one regression.

    Sub-experiment-by-unit and sub-experiment-by-period effects are absorbed; effects by
    event time are common. Least squares weighs sub-experiments by their variance, which
    is no average of effects over treated units; `weighting: treated` makes it one.
    """

    main: ClassVar[str | None] = "window"
    paper: ClassVar[str] = (
        "Cengiz, Dube, Lindner and Zipperer (2019), QJE 134(3); Wing, Freedman and "
        "Hollingsworth (2024), NBER WP 32054 on weights"
    )
    estimands: ClassVar[tuple[str, ...]] = ("att", "by_event_time")
    needs: ClassVar[Needs] = Needs(
        uses=frozenset({"controls", "weights", "inference", "fixed_effects"}),
        inference=frozenset({"cluster"}),
        binary=True,
        absorbing=True,
    )

    window: tuple[int, int] = Field(
        default=(-3, 3),
        description="First and last event time of every sub-experiment; cohorts without "
        "all of them are left out and named.",
    )
    reference: int | None = Field(
        default=None,
        description="Event time set to zero; its coefficient is left out. None = the "
        "last period before treatment, or before its anticipation: -1, or -(k + 1) with "
        "treatment.anticipation: k.",
    )
    weighting: Literal["treated", "variance"] = Field(
        default="treated",
        description="Sub-experiments weigh by their treated units (corrective weights "
        "of the controls), or by variance, as plain least squares does.",
    )
    controls_are: Literal["not_yet_treated", "never_treated"] = Field(
        default="not_yet_treated",
        description="Clean controls: untreated until the window ends, or for ever.",
    )
    always_treated: Literal["drop"] | None = Field(
        default=None,
        description="Units treated in all their periods: they are in no "
        "sub-experiment, so the study must say that they are dropped.",
    )

    @model_validator(mode="after")
    def _window_holds_reference(self) -> Stacked:
        low, high = self.window
        reference = -1 if self.reference is None else self.reference
        if not low <= reference < 0 <= high:
            raise ValueError(
                f"window [{low}, {high}] must hold the reference {reference}, "
                "which is before treatment, and event time 0"
            )
        return self

    def estimate(self, request: Request) -> Result:
        """Rows of the estimands asked for; sub-experiments in the frame `stacks`.

        Raises:
            DataError: D03, D05, D06, D08, E01, E06.
            IdentificationError: E02 a window without the reference, E05 always-treated,
                E07 a reference within anticipation, E10 no whole
                window, E11 other fixed effects, I01, I05, I08, I09.
        """
        from estimators._staggered.stacks import StackOptions, stacked

        return stacked(
            request,
            StackOptions(
                self.window,
                self.reference,
                self.weighting,
                self.controls_are == "never_treated",
                self.always_treated,
                self.bootstrap,
            ),
            min_clusters=self.needs.min_clusters,
        )
