"""Natural direct and indirect effects by double machine learning."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, WithJsonSchema, model_validator

from estimators._double.options import Learners
from framework.contract import Estimator, Needs, Request
from framework.result import Result


class DmlMediation(Estimator):
    """How much of an effect goes through mediators, after flexible controls.

    The total effect of a 0/1 treatment is the part that mediators carry and the rest.
    Outcomes under mediators that a row did not have are learned twice over: given
    mediators and controls, then their mean given controls alone, on rows that neither
    has seen. The scores are efficient, and small errors of the learners do not move them.
    """

    main: ClassVar[str | None] = "learner"
    paper: ClassVar[str] = (
        "Farbmacher, Huber, Laffers, Langen and Spindler (2022), Econometrics Journal "
        "25(2); Tchetgen Tchetgen and Shpitser (2012), Annals of Statistics 40(3)"
    )
    estimands: ClassVar[tuple[str, ...]] = ("indirect", "direct", "total")
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel", "repeated_cross_sections", "cross_section"}),
        uses=frozenset({"controls", "fixed_effects", "inference", "mediators"}),
        requires=frozenset({"controls", "mediators"}),
        inference=frozenset({"hetero", "cluster"}),
        binary=True,
    )
    random: ClassVar[bool] = True  # folds, and learners
    divisible: ClassVar[bool] = True
    acknowledges: ClassVar[tuple[str, ...]] = (
        "few_clusters",
        "few_treated",
        "small_folds",
        "poor_overlap",
    )

    learner: Annotated[Learners, WithJsonSchema({"type": ["string", "object"]})] = (
        Field(
            default="lasso",
            validate_default=True,
            description="`lasso`, `{forest: {trees: 500}}`, or `{outcome: …, treatment: "
            "…}`.",
        )
    )
    folds: int = Field(
        default=5,
        ge=3,
        le=50,
        description="Parts of the sample that are left out in turn; half of the rest "
        "learns outcomes given the mediators, half their means.",
    )
    repetitions: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="Splits into folds; the median is reported.",
    )
    direct_at: Literal["untreated", "treated"] = Field(
        default="untreated",
        description="Mediators under which the direct effect is taken: those without "
        "treatment (natural direct effect) or with it. The indirect effect is the rest.",
    )
    trimming: float = Field(
        default=0.01,
        gt=0,
        lt=0.5,
        description="Probabilities of treatment are moved into [t, 1 - t]; how many is "
        "reported.",
    )
    normalize: bool = Field(
        default=True,
        description="Inverse probabilities have mean one (Hajek), which keeps single "
        "rows from deciding.",
    )
    transform: Literal["none", "correlated_random_effects"] = Field(
        default="none",
        description="How unit effects are removed: not, or by the controls' unit means "
        "as features. Effects of periods always are.",
    )

    @model_validator(mode="after")
    def _no_instrument(self) -> DmlMediation:
        if self.learner.instrument is not None:
            raise ValueError("mediation has no instrument to learn")
        return self

    def names_errors(self, inference: str, said: str) -> str:
        """Sums of squared influence functions, without a factor for small samples."""
        return "heteroskedasticity-robust" if inference == "hetero" else said

    def effects_left(self, request: Request) -> tuple[str, ...]:
        """Effects of units, where no transform removes them."""
        from estimators._double.sample import unit_effects_left

        return unit_effects_left(request, self.transform)

    def estimate(self, request: Request) -> Result:
        """Cross-fit, solve, repeat, report.

        Raises:
            DataError: D05, D06.
            SpecError: X20 no controls or mediators, X23 what it can't use.
            IdentificationError: I01, I02, I05, I08, I10, M01 to M04.
            NumericalError: N02.
        """
        from estimators._double.mediation import mediation
        from estimators._double.scores import Plan

        treatment = self.learner.treatment
        learner = self.learner.outcome if treatment is None else treatment
        plan = Plan(
            outcome=self.learner.outcome,
            treatment=learner,
            instrument=learner,
            folds=self.folds,
            repetitions=self.repetitions,
            score="partialling_out",
            trimming=self.trimming,
            normalise=self.normalize,
            seed=request.seed,
        )
        return mediation(request, plan, self.transform, self.direct_at)
