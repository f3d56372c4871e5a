"""Double machine learning: effects after flexible controls, by cross-fitting."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, WithJsonSchema, model_validator

from estimators._double.options import Learners
from framework.contract import Estimator, Needs, Request
from framework.result import Result

if TYPE_CHECKING:
    from estimators._double.sample import Kind, Sample
    from estimators._double.scores import Plan
    from estimators._staggered.group_time import GroupTimeOptions

_DIFFERENCES = ("did", "did_multi")
#: What a kind's rows are read as: plpr is plr after a transform.
_READ_AS: dict[str, Kind] = {
    "plr": "plr",
    "plpr": "plr",
    "pliv": "pliv",
    "irm": "irm",
    "iivm": "iivm",
    "ssm": "ssm",
    "qte": "qte",
}
#: Kinds whose sensitivity to omitted confounders is known.
_BOUNDED = ("plr", "irm", "plpr")


class DoubleMl(Estimator):
    """Effect of a treatment after controls that learners take out of it.

    Outcome and treatment are predicted from the controls, every row by learners that
    have not seen its fold; the effect is estimated from what is left, with a score that
    small errors of the learners do not move. Folds keep units and clusters whole.

    The partially linear kinds give one coefficient. Over staggered adoption it is a
    weighted mean of effects in which rows treated already serve as controls: its
    weights are in the frame `weights`, the mean effect of `kind: did_multi` beside it.
    """

    main: ClassVar[str | None] = "kind"
    paper: ClassVar[str] = (
        "Chernozhukov, Chetverikov, Demirer, Duflo, Hansen, Newey and Robins (2018), "
        "Econometrics Journal 21(1); Chiang, Kato, Ma and Sasaki (2022), JBES 40(3) for "
        "clusters; Chang (2020), Econometrics Journal 23(2), Sant'Anna and Zhao (2020) "
        "and Callaway and Sant'Anna (2021), J. Econometrics 219(1) and 225(2) for "
        "differences; Clarke and Polselli (2025), Econometrics Journal 28(3) for panels; "
        "Chernozhukov, Cinelli, Newey, Sharma and Syrgkanis (2022), NBER 30302 for "
        "sensitivity; Kallus, Mao and Uehara (2024), JMLR 25 for quantiles; Bia, Huber "
        "and Laffers (2024), JBES 42(3) for missing outcomes"
    )
    estimands: ClassVar[tuple[str, ...]] = (
        "coefficient",
        "interaction",
        "ate",
        "att",
        "late",
        "by_group",
        "by_event_time",
        "by_cohort",
        "by_period",
        "qte",
        "local_qte",
        "tail_effect",
    )
    needs: ClassVar[Needs] = Needs(
        kinds=frozenset({"panel", "repeated_cross_sections", "cross_section"}),
        uses=frozenset(
            {"controls", "fixed_effects", "inference", "interact", "instruments"}
        ),
        requires=frozenset({"controls"}),
        inference=frozenset({"hetero", "cluster"}),
    )
    random: ClassVar[bool] = True  # folds, and learners
    divisible: ClassVar[bool] = True
    acknowledges: ClassVar[tuple[str, ...]] = (
        "few_clusters",
        "few_treated",
        "small_folds",
        "poor_overlap",
    )

    kind: Literal[
        "plr", "irm", "pliv", "iivm", "did", "did_multi", "qte", "ssm", "plpr"
    ] = Field(
        default="plr",
        description="plr: outcome linear in the treatment; pliv: the same with "
        "instruments; irm: effect of a 0/1 treatment that may differ with the controls; "
        "iivm: its local effect by a 0/1 instrument; did: effect on the treated of one "
        "date of adoption, from changes of the outcome; did_multi: the same by cohort "
        "and period, averaged; qte: effects of a 0/1 treatment on quantiles; ssm: average "
        "effect where outcomes are missing at random given treatment and controls; plpr: "
        "plr for panels, with a transform.",
    )
    learner: Annotated[Learners, WithJsonSchema({"type": ["string", "object"]})] = (
        Field(
            default="lasso",
            validate_default=True,
            description="`lasso`, `{forest: {trees: 500}}`, or `{outcome: …, treatment: …, "
            "instrument: …}`.",
        )
    )
    folds: int = Field(
        default=5,
        ge=2,
        le=50,
        description="Parts of the sample that are left out in turn; with five, four "
        "fifths of it are learned from.",
    )
    repetitions: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="Splits into folds; the median is reported. One split adds noise "
        "that its standard error does not show: 10 in a final run.",
    )
    score: Literal["partialling_out", "iv_type"] = Field(
        default="partialling_out",
        description="plr: residual on residual, or outcome less its part without the "
        "treatment on the treatment's residual.",
    )
    trimming: float = Field(
        default=0.01,
        gt=0,
        lt=0.5,
        description="irm, iivm, did: propensities are moved into [t, 1 - t]; how many is "
        "reported.",
    )
    normalize: bool = Field(
        default=True,
        description="irm, iivm, did: inverse propensities add up to the number of rows "
        "in either arm (Hajek), which keeps single rows from deciding.",
    )
    transform: Literal[
        "none", "first_difference", "within", "correlated_random_effects", "two_way"
    ] = Field(
        default="none",
        description="How unit effects are removed; effects of periods always are. "
        "did, did_multi: changes of the outcome do it.",
    )
    quantity: Literal["pq", "lpq", "cvar"] = Field(
        default="pq",
        description="qte: quantiles of the potential outcomes; quantiles of the "
        "compliers' (with a 0/1 instrument); means beyond a quantile (conditional value "
        "at risk).",
    )
    quantiles: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(0.25, 0.5, 0.75),
        min_length=1,
        description="qte: the quantiles; the first is judged.",
    )
    control_group: Literal["never_treated", "not_yet_treated"] = Field(
        default="not_yet_treated",
        description="did_multi: units never treated, or also those treated later than "
        "the period compared.",
    )
    base_period: Literal["universal", "varying"] = Field(
        default="universal",
        description="did_multi: effects before treatment are measured from the last "
        "period before it (and anticipation), or from the period before their own.",
    )
    overall: Literal["simple", "by_cohort", "by_period", "by_event_time"] = Field(
        default="simple",
        description="did_multi: what `att` averages, as in callaway_santanna.",
    )
    window: tuple[int, int] | None = Field(
        default=None,
        description="did_multi: first and last event time shown and tested; none = all.",
    )
    benchmarks: tuple[str | tuple[str, ...], ...] = Field(
        default=(),
        description="plr, irm: controls (or lists of them) that are left out in turn: "
        "what a confounder as strong as they are would do to the estimate. Each costs "
        "the nuisances once more.",
    )
    figures: tuple[Literal["overlap", "nuisances", "confounding"], ...] | None = Field(
        default=None,
        description="overlap: overlap and calibration of the propensity; nuisances: "
        "which covariates carry them; confounding: contours of the estimate under an "
        "omitted confounder. None written: overlap, and confounding with benchmarks.",
    )
    always_treated: Literal["drop"] | None = Field(
        default=None,
        description="did, did_multi: units treated in all their periods have no base "
        "period; the study must say that they are dropped.",
    )

    beside: Literal["lasso", "same", "none"] = Field(
        default="lasso",
        description="plr, plpr over staggered adoption: who learns the mean effect by "
        "cohort and period (did_multi) that is told beside the coefficient. lasso: one "
        "split, never-treated controls unless control_group is written or there are too "
        "few; same: the learners and splits of the line; none: it is not estimated.",
    )

    @model_validator(mode="after")
    def _window_in_order(self) -> DoubleMl:
        if self.window is not None and not self.window[0] <= self.window[1]:
            raise ValueError("window must go from low to high")
        return self

    @model_validator(mode="after")
    def _quantiles_in_order(self) -> DoubleMl:
        if len(set(self.quantiles)) < len(self.quantiles):
            raise ValueError("quantiles name one twice")
        if self.kind == "plpr" and self.transform == "none":
            raise ValueError(
                "kind plpr needs a transform: first_difference, "
                "correlated_random_effects, within or two_way"
            )
        return self

    @model_validator(mode="after")
    def _benchmarks_where_bounds_are(self) -> DoubleMl:
        if self.benchmarks and self.kind not in _BOUNDED:
            raise ValueError(
                f"benchmarks need kind {' or '.join(_BOUNDED)}: kind {self.kind} has no "
                "bounds on what a confounder does"
            )
        return self

    def demands(self) -> Needs:
        """Instruments for the kinds that have them, interactions for plr."""
        if self.kind in _DIFFERENCES:
            return replace(
                self.needs,
                kinds=frozenset({"panel"}),
                uses=frozenset({"controls", "fixed_effects", "inference"}),
                inference=frozenset({"cluster"}),
                binary=True,
                absorbing=True,
            )
        uses = set(self.needs.uses)
        requires = set(self.needs.requires)
        local = self.kind == "qte" and self.quantity == "lpq"
        if self.kind in {"pliv", "iivm"} or local:
            requires.add("instruments")
        else:
            uses.discard("instruments")
        moderated = self.kind in {"plr", "plpr", "irm"}
        if not moderated or self.score != "partialling_out":
            uses.discard("interact")
        kinds = self.needs.kinds
        return replace(
            self.needs,
            kinds=frozenset({"panel"}) if self.kind == "plpr" else kinds,
            uses=frozenset(uses),
            requires=frozenset(requires),
            unseen_outcome=self.kind == "ssm",
        )

    def gives(self) -> tuple[str, ...]:
        """Estimands of the kind."""
        effects: dict[str, tuple[str, ...]] = {
            "irm": ("ate", "att"),
            "iivm": ("late",),
            "did": ("att",),
            "did_multi": ("att", "by_event_time", "by_cohort", "by_period"),
            "ssm": ("ate",),
            "qte": (
                {"pq": "qte", "lpq": "local_qte", "cvar": "tail_effect"}[self.quantity],
            ),
        }
        moderated = ("interaction", "by_group")
        own = effects.get(self.kind, ("coefficient",))
        return (*own, *moderated) if "interact" in self.demands().uses else own

    def names_errors(self, inference: str, said: str) -> str:
        """Sums of squared influence functions, without a factor for small samples."""
        return "heteroskedasticity-robust" if inference == "hetero" else said

    def effects_left(self, request: Request) -> tuple[str, ...]:
        """Effects of units, where no transform removes them."""
        from estimators._double.sample import unit_effects_left

        if self.kind in _DIFFERENCES:
            return ()  # changes of the outcome have none
        return unit_effects_left(request, self.transform)

    def estimate(self, request: Request) -> Result:
        """Cross-fit, solve, repeat, report.

        Raises:
            SpecError: X23 what a kind can't use.
            DataError: D05, D06.
            IdentificationError: I01, I02, I05, I08, I10, M01 to M04; did, did_multi:
                E04, E05, E10, E11, I09.
            NumericalError: N02.
        """
        from estimators._double.beside import pools
        from estimators._double.report import Wanted, report
        from estimators._double.sample import read
        from estimators._double.scores import repetition
        from estimators._double.shared import in_any_order
        from estimators._math.carried import classes

        plan = self._plan(request)
        if self.kind in _DIFFERENCES:
            return self._told(self._differences(request, plan), plan)
        sample = read(request, _READ_AS[self.kind], self.transform, self.folds)
        features = classes(sample.X)
        found = in_any_order(
            [
                partial(repetition, sample, plan, r, classes=features)
                for r in range(self.repetitions)
            ]
        )
        shown = self._shown(request, sample)
        wanted = Wanted(self._benchmarks(), self._figures())
        result = report(sample, plan, found, request, shown, wanted)
        result = self._told(result, plan)
        return self._beside(result, request, plan) if pools(result) else result

    def _told(self, result: Result, plan: Plan) -> Result:
        """The result with a note of what was done and who learned."""
        from estimators._double.chosen import said_of_learners

        roles = {"outcome": plan.outcome, "treatment": plan.treatment}
        if "instruments" in self.demands().requires:
            roles["instrument"] = plan.instrument
        how = f"kind {self.kind}"
        if self.kind == "qte":
            how += f", quantity {self.quantity}"
        if self.score != "partialling_out":
            used = "" if self.kind in {"plr", "plpr"} else " (not used)"
            how += f", score {self.score}{used}"
        if not self.normalize:
            how += ", inverse propensities not normalised"
        note = f"{how}, {said_of_learners(roles)}"
        return replace(result, notes=(note, *result.notes))

    def for_draws(self) -> DoubleMl:
        """Without the mean effect beside the coefficient, and without benchmarks."""
        return self.model_copy(update={"beside": "none", "benchmarks": ()})

    def _beside(self, result: Result, request: Request, plan: Plan) -> Result:
        """The coefficient with the mean effect by cohort and period."""
        from estimators._double.beside import OWN_LINE, Companion, with_mean_effect
        from estimators._double.options import Learners

        if self.beside == "none":
            note = f"kind did_multi belongs beside it: {OWN_LINE}"
            return replace(result, notes=(*result.notes, note))
        learners = "the same learners"
        options: tuple[GroupTimeOptions, ...] = (self._cells(),)
        if self.beside == "lasso":
            lasso = Learners().outcome
            plan = replace(plan, outcome=lasso, treatment=lasso, repetitions=1)
            learners = "lasso"
            if "control_group" not in self.model_fields_set:
                # One propensity a cohort, where not-yet-treated ones have one a cell.
                never = replace(options[0], control_group="never_treated")
                options = (never, *options)
        how = Companion(plan, options, learners, self.needs.min_clusters)
        return with_mean_effect(result, request, how)

    def _benchmarks(self) -> tuple[tuple[str, ...], ...]:
        return tuple((b,) if isinstance(b, str) else b for b in self.benchmarks)

    def _figures(self) -> frozenset[str]:
        default = {"overlap"} | ({"confounding"} if self.benchmarks else set())
        return frozenset(default if self.figures is None else self.figures)

    def _plan(self, request: Request) -> Plan:
        """Options as the family reads them."""
        from estimators._double.scores import Plan

        treatment = self.learner.treatment
        instrument = self.learner.instrument
        return Plan(
            outcome=self.learner.outcome,
            treatment=self.learner.outcome if treatment is None else treatment,
            instrument=next(
                x
                for x in (instrument, treatment, self.learner.outcome)
                if x is not None
            ),
            folds=self.folds,
            repetitions=self.repetitions,
            score=self.score,
            trimming=self.trimming,
            normalise=self.normalize,
            seed=request.seed,
            by_group=request.estimand[:1] == ("by_group",),
            quantity=self.quantity,
            quantiles=self.quantiles,
        )

    def _differences(self, request: Request, plan: Plan) -> Result:
        """Kinds did and did_multi."""
        from estimators._double.differences import differences

        result = differences(
            request,
            plan,
            self._cells(),
            one_date=self.kind == "did",
            min_clusters=self.needs.min_clusters,
            figures=self._figures(),
        )
        if self.transform == "none":
            return result
        said = (
            f"transform {self.transform} is not used: changes of the outcome remove "
            "unit effects"
        )
        return replace(result, notes=(*result.notes, said))

    def _cells(self) -> GroupTimeOptions:
        """Options of the comparison of cohorts."""
        from estimators._staggered.group_time import GroupTimeOptions

        return GroupTimeOptions(
            "doubly_robust",
            self.control_group,
            self.base_period,
            self.window,
            self.overall,
            self.always_treated,
            bootstrap=0,
        )

    def _shown(self, request: Request, sample: Sample) -> tuple[str, ...]:
        """Estimands of the table, the judged first."""
        default = self.gives()[:1]
        if request.estimand[:1] == ("by_group",):
            return ("by_group",)
        if default == ("coefficient",):
            return default  # with its interactions, which come first
        if self.kind == "qte":
            return default
        own = tuple(e for e in request.estimand if e in {"ate", "att", "late"})
        moderated = ("interaction",) if sample.products else ()
        return (*moderated, *(own or default))
