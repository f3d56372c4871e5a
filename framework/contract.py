"""The contract between the framework and a plugin.

A plugin is a frozen pydantic model whose fields *are* its options: documentation,
JSON schema and YAML block in one place. Its file name is its name in a study
(`estimators/twfe.py` holds `Twfe`).
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from framework.panel import LedgerLine, Panel
from framework.result import Plot, Result

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Plugin(BaseModel):
    """What all plugins share: fields are options, `main` may be written bare."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=False, defer_build=True
    )

    #: Option that a study may write without its name: `{winsorize: [0.01, 0.99]}`.
    main: ClassVar[str | None] = None
    #: The paper or book that defines the method; shown by `estimand show NAME`.
    paper: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Marks an option that is itself a choice of a plugin.

    `learner: Annotated[Learner, Choice("learner")]` is written `lasso`,
    `{forest: 500}` or `{forest: {trees: 500}}` and holds the plugin with its options,
    checked when the study is.
    """

    kind: str

    #: kind, choice as written -> plugin. The registry stands above the contract, so
    #: `framework.spec.choices` puts its own function here when it is imported.
    resolve: ClassVar[Callable[[str, Any], Plugin] | None] = None

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> Any:
        def chosen(written: Any) -> Plugin:
            if isinstance(written, Plugin):
                return written
            if Choice.resolve is None:
                raise ValueError("import framework.spec.choices to name plugins")
            return Choice.resolve(self.kind, written)

        shape = {"type": ["string", "object"]}
        made = (
            PlainValidator(chosen),
            PlainSerializer(written),
            WithJsonSchema(shape),
        )
        return handler.generate_schema(Annotated[Any, *made])


def written(plugin: Plugin) -> dict[str, Any]:
    """The choice that gives this plugin; its name is its class's, as files are named."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(plugin).__name__).lower()
    return {name: plugin.model_dump(by_alias=True)}


@dataclass(frozen=True, slots=True)
class Needs:
    """What an estimator demands; refused before any computation.

    Attributes:
        kinds: data structures it accepts.
        uses: fields of the model beyond outcome and treatment that it reads. A field
            that is set and not read becomes a note under the table; `instruments`,
            `mediators`, `interact` and `weights` that would be ignored are refused.
        inference: names of inference it can do; empty = it has no use for one.
        hetero: types of heteroskedasticity-robust errors it can do.
        cluster: types of cluster-robust errors it can do.
        binary, absorbing, never_treated, balanced: of the treatment and the panel.
        treatment: False for estimators that need none (`describe`).
        outcome: False for estimators that need none.
        min_clusters: fewest clusters for a usable standard error.
        unseen_outcome: rows without an outcome are used, too (sample selection); their
            outcome is NaN in the request's frame.
    """

    kinds: frozenset[str] = frozenset({"panel"})
    uses: frozenset[str] = frozenset({"controls", "fixed_effects", "inference"})
    inference: frozenset[str] = frozenset()
    hetero: frozenset[str] = frozenset({"HC1"})
    cluster: frozenset[str] = frozenset({"CV1"})
    treatment: bool = True
    outcome: bool = True
    binary: bool = False
    absorbing: bool = False
    never_treated: bool = False
    balanced: bool = False
    min_clusters: int = 10
    requires: frozenset[str] = frozenset()
    unseen_outcome: bool = False


@dataclass(frozen=True, slots=True)
class Slope:
    """`{slope: {variable: year, by: sid}}`: one coefficient on `variable` per `by`."""

    variable: str
    by: str


@dataclass(frozen=True, slots=True)
class Weights:
    """`kind`: `analytic` (precision), `frequency` (copies), `probability` (sampling)."""

    kind: Literal["analytic", "frequency", "probability"]
    column: str


@dataclass(frozen=True, slots=True)
class Inference:
    """How standard errors are computed.

    Attributes:
        name: `iid`, `hetero`, `cluster`, `newey_west`, `driscoll_kraay`, or another
            that the estimator declares.
        clusters: aliases of integer-coded cluster columns (1 or 2) when clustered.
        places: aliases of the columns of latitude and longitude, where it needs them.
        options: the remaining options as written (`lags`, `draws`, `cutoff_km`, …).
    """

    name: str
    clusters: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Treatment:
    """The treatment as the design sees it (aliases are columns of `Request.frame`).

    Attributes:
        kind: `absorbing`, `reversible`, `dose`, `levels` or `cross_section`.
        columns: treatment columns, the main one first.
        judged: the columns whose coefficients are the answer: with `interact` the
            products of treatment and moderator, which stand beside `columns` in the
            regression; otherwise `columns` themselves.
        moderators: with `interact`, the moderator's own columns (a number, or a 0/1
            column for every group but the first), in the order of the products; none
            where the study leaves the main effect out.
        first_group: name of that first group; empty for a moderator that is a number.
        cohort: first treated period per row (float, `inf` = never treated), absorbing
            treatments in panels only.
        anticipation: periods of allowed anticipation.
        series: source of leads and lags: frame with columns unit, time, value for the
            whole prepared panel, before the sample restrictions (same unit and time
            codes as `Request.frame`); None in cross-sections.
    """

    kind: Literal["absorbing", "reversible", "dose", "levels", "cross_section"]
    columns: tuple[str, ...]
    judged: tuple[str, ...]
    moderators: tuple[str, ...] = ()
    cohort: str | None = None
    anticipation: int = 0
    series: pd.DataFrame | None = None
    first_group: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One estimation, resolved to plain columns.

    `frame` holds the rows that are used, sorted by (unit, time), float64 columns named
    `v000, v001, …` (an alias) with the outcome first, then the treatment; fixed effects
    and clusters are int64 codes. Nothing is missing. A plugin never sees a user's
    column name except through `labels`, and never parses one. An outcome is missing only
    where the estimator says that it uses such rows (`Needs.unseen_outcome`).

    Attributes:
        labels: alias -> the user's name of that column, for the result's `term`.
        unit, time: aliases of the int64 unit code and of the int64 period; None where
            the data have none.
        ids: alias -> array of the user's values in code order (units, clusters).
        rows: positions of the frame's rows in the prepared panel, which name a row in
            every sample; None = positions in the frame.
        spatial: role -> spatial weights, for estimators that use them.
        estimand: which quantities to report; the first is judged.
        seed: of all random numbers; the study's for an estimator that says it draws
            some (`Estimator.is_random`), under a random inference and in draws, else 0.
    """

    frame: pd.DataFrame
    outcome: str
    treatment: Treatment | None
    controls: tuple[str, ...] = ()
    fixed_effects: tuple[str, ...] = ()
    slopes: tuple[Slope, ...] = ()
    instruments: tuple[str, ...] = ()
    mediators: tuple[str, ...] = ()
    weights: Weights | None = None
    inference: Inference = field(default_factory=lambda: Inference("iid"))
    unit: str | None = None
    time: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, Any] = field(default_factory=dict)
    rows: np.ndarray[Any, Any] | None = None
    spatial: Mapping[str, SpatialWeights] = field(default_factory=dict)
    estimand: tuple[str, ...] = ()
    confidence: float = 0.95
    seed: int = 0
    acknowledge: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Assignments:
    """Treatment paths permuted between units in B draws, absorbing treatments only.

    Attributes:
        first: (C,) first treated periods, ascending; inf = never.
        of_unit: (B, N) position in `first`, units in the order of their codes; every
            row holds each position as often as the first.
    """

    first: np.ndarray[Any, Any]
    of_unit: np.ndarray[Any, Any]


class Shelf(Protocol):
    """Where an estimation leaves parts of its work for others, under way and later.

    What is found was put there by the same source files and engines. The key names all
    else that the value is made from; nothing may depend on whether a value is found.
    """

    def get(self, key: bytes) -> bytes | None:
        """The value as it was put, or None."""

    def put(self, key: bytes, value: bytes) -> None:
        """Keep a value; others find it at once, whatever becomes of the estimation."""

    def drop(self, key: bytes) -> None:
        """Forget a value that is part of another one by now."""

    def claim(self, key: bytes, *, wait: bool) -> AbstractContextManager[bool]:
        """Say that a value is being made; False if a worker that lives said so before.

        With `wait` that worker is waited for (a minute at most): look again whether the
        value is there, and make it if not.
        """


#: The shelf of the estimation under way; None where nothing outlives the process.
SHELF: ContextVar[Shelf | None] = ContextVar("shelf", default=None)


class Estimator(Plugin):
    """Request -> Result. Pure: same request, same result, bit for bit."""

    estimates: ClassVar[Literal["treatment", "diagnostic"]] = "treatment"
    estimands: ClassVar[tuple[str, ...]] = ("att",)
    needs: ClassVar[Needs] = Needs()
    #: It draws random numbers from `request.seed`. What does not is given seed 0
    #: whatever the study's is, and is not computed again under another.
    random: ClassVar[bool] = False
    #: Its parts are claimed and put on the shelf one by one: a worker without work of
    #: its own may run the same estimation beside, and make what is not claimed.
    divisible: ClassVar[bool] = False
    #: Names of refusals that a study may override (`model.acknowledge`).
    acknowledges: ClassVar[tuple[str, ...]] = (
        "few_clusters",
        "few_treated",
        "onset_in_gap",
    )

    def demands(self) -> Needs:
        """What these options need: `needs`, where options do not change it."""
        return type(self).needs

    def gives(self) -> tuple[str, ...]:
        """Estimands of these options, the default first; some of `estimands`."""
        return type(self).estimands

    def is_random(self) -> bool:
        """Whether these options draw from `request.seed`: `random`, if always alike."""
        return type(self).random

    def names_errors(self, inference: str, said: str) -> str:
        """What the table's note calls the standard errors of these options.

        Args:
            inference: name of the inference that the study asks for.
            said: what it is called where an estimator has nothing to add, such as
                `heteroskedasticity-robust (HC1)`.
        """
        del inference
        return said

    def effects_left(self, request: Request) -> tuple[str, ...]:
        """Fixed effects of the request that these options leave in the estimate.

        The table does not say that they are in the model; a note says why.
        """
        del request
        return ()

    def for_draws(self) -> Estimator:
        """These options as draws run them: the same judged row, and nothing beside it."""
        return self

    def unbuilt(self) -> tuple[str, ...]:
        """What these options ask for that is announced, not built; `plan` names it."""
        return ()

    @abstractmethod
    def estimate(self, request: Request) -> Result:
        """Estimate.

        Raises:
            IdentificationError: the design can't give the estimand; says which.
            NumericalError: no trustworthy number came out.
        """

    def estimate_assignments(
        self, request: Request, assignments: Assignments
    ) -> np.ndarray[Any, Any] | None:
        """As `estimate_draws`, from what units get.

        Where no rows need to be made, or where regressors follow from the first treated
        period (leads, lags, event times).

        Args:
            request: as in `estimate_draws`.
            assignments: which unit gets which path, draw by draw.

        Returns:
            As `estimate_draws`, which is asked where this is None.
        """
        del request, assignments
        return None

    def estimate_draws(
        self, request: Request, treatments: np.ndarray[Any, Any]
    ) -> np.ndarray[Any, Any] | None:
        """The judged number under many assignments at once, where that is cheaper.

        Args:
            request: the true estimation; one treatment column, and where it is
                interacted its products with `Treatment.moderators`, which are those of
                the true assignment: a draw has its own.
            treatments: (n, draws), rows as in `request.frame`.

        Returns:
            (draws, 2) the judged row's estimate and standard error (with `interact` the
            first product's, else the first estimand's; by event time the first from 0
            on), NaN for a draw without a number;
            None where there is no closed form, and each draw is estimated in full.
        """
        del request, treatments
        return None


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What a step hands back.

    Attributes:
        panel: the new panel (with its ledger line).
        frames: further tables (weights, slacks, peers) by name.
        notes: sentences for the report.
        plots: figures of these frames, by their name here.
    """

    panel: Panel
    frames: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    plots: tuple[Plot, ...] = ()


class Step(Plugin):
    """Panel -> panel. `name` is the user's name of the step: its column, if it makes one."""

    #: `costly` steps are cached on disk and shown as "not built yet" by `plan`.
    cost: ClassVar[Literal["cheap", "costly"]] = "cheap"

    def reads(self, name: str) -> tuple[str, ...]:
        """Columns the step names; a misspelt one is found before data are read."""
        del name
        return ()

    def makes(self, name: str) -> tuple[str, ...] | None:
        """Columns that exist after the step and did not before; None = data tell."""
        del name
        return ()

    def alternatives(self, treatment: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """What `each: {data.steps.NAME: every}` varies: name -> options that change.

        Args:
            treatment: `model.treatment` as written; empty where there is none.
        """
        del treatment
        return {}

    def files(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        """Sources the step needs beside the panel, by the name of the frame.

        A step opens no files: they arrive in `panel.frames`, and it takes them out.
        """
        del name
        return {}

    def touches(self, name: str) -> tuple[str, ...]:
        """Columns the step changes in place because the study lists them."""
        del name
        return ()

    def left_out(
        self, panel: Panel, name: str, protected: frozenset[str], most: int | None
    ) -> Iterator[tuple[str, Panel]] | None:
        """The step without one of its members at a time, for `draws: {leave_out: NAME}`.

        Args:
            panel: as `apply` gets it.
            name: the user's name of the step.
            protected: as `apply`.
            most: as many members at most, those that matter to most rows first.

        Returns:
            Members (as the data name them) and the panel after the step without each;
            None where nobody's value depends on another's.
        """
        del panel, name, protected, most
        return None

    @abstractmethod
    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Apply; never touch `protected` columns unless `touches` lists them.

        Raises:
            DataError: what is wrong, in which column and rows.
        """


@dataclass(frozen=True, slots=True)
class SpatialWeights:
    """Spatial weights with the ids they belong to.

    Attributes:
        ids: unit ids in row order of `matrix`.
        matrix: n x n scipy sparse array, zero diagonal, never negative; row i holds the
            weights with which unit i sees the others.
        transform: how the weights were normalised, so that it can be done again for
            fewer units: `row` (rows sum to one), `spectral` (largest eigenvalue one in
            modulus) or `none`.
        dropped: units of the panel that are left out of every estimation with these
            weights because they have no neighbour and the study says so.
        name: the user's name of the matrix; the framework fills it in.
        notes: sentences for the report.
        points: (n, 2) longitude and latitude of the units in degrees, for maps; None
            where the matrix knows no places.
    """

    ids: tuple[Any, ...]
    matrix: Any
    transform: Literal["row", "spectral", "none"] = "none"
    dropped: tuple[Any, ...] = ()
    name: str = ""
    notes: tuple[str, ...] = ()
    points: Any = None


class Matrix(Plugin):
    """Panel -> spatial weights, aligned by unit id."""

    def reads(self) -> tuple[str, ...]:
        """Columns the matrix names; a misspelt one is found before data are read."""
        return ()

    def files(self) -> Mapping[str, Mapping[str, Any]]:
        """Sources the matrix needs beside the panel, by the name of the frame.

        A matrix opens no files: they arrive in `panel.frames` under these names.
        """
        return {}

    @abstractmethod
    def build(self, panel: Panel) -> SpatialWeights:
        """Build the weights of every unit of the panel.

        Raises:
            DataError: P04 the data have no units, S01 to S07 what is wrong with the
                weights and at which units.
        """


@dataclass(frozen=True, slots=True)
class Candidates:
    """Rows that a restriction may keep. The outcome is not among what it sees.

    Attributes:
        treatment: (n,) the row's treatment.
        covariates: n rows, a float column per label; NaN = missing.
        groups: n rows, the columns that `Restriction.groups` names, as they are.
        cohort: (n,) first treated period of the row's unit, inf = never; None where the
            treatment is not absorbing or there is no panel.
        unit: (n,) unit codes, None where there are no units.
        time: (n,) periods, None where there are none.
        names: (n,) the unit (and nothing else) in the user's words; row numbers where
            there are no units.
        keys: (n,) uint64, a hash of the unit's name, or of the whole row where there
            are no units: what decides between equals, whatever the order of rows.
        called: column of units and column of periods, "" where there are none.
        anticipation: periods before the first treated one that may carry the effect.
    """

    treatment: np.ndarray[Any, Any]
    covariates: pd.DataFrame
    groups: pd.DataFrame
    cohort: np.ndarray[Any, Any] | None
    unit: np.ndarray[Any, Any] | None
    time: np.ndarray[Any, Any] | None
    names: np.ndarray[Any, Any]
    keys: np.ndarray[Any, Any]
    called: tuple[str, str] = ("", "")
    anticipation: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """What a restriction keeps.

    Attributes:
        rows: (n,) true for the rows that stay.
        unknown: rows left out because a covariate is missing there.
        detail: one clause for the row ledger.
        weights: (n,) weight of every row, positive where it stays; None = all alike.
        sets: (n,) name of the set that a row was matched in, for `Restriction.sets`.
        frames: further tables by name.
        plots: figures of those tables.
        notes: sentences printed under the table.
    """

    rows: np.ndarray[Any, Any]
    unknown: int
    detail: str
    weights: np.ndarray[Any, Any] | None = None
    sets: np.ndarray[Any, Any] | None = None
    frames: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    plots: tuple[Plot, ...] = ()
    notes: tuple[str, ...] = ()


class Restriction(Plugin):
    """Rows -> the rows that an estimation uses, and their weights.

    It is applied after the treatment is assigned and before the estimator runs, anew in
    every draw, so that a resample is matched as the sample was.
    """

    def terms(self) -> tuple[Any, ...] | None:
        """Terms of its covariates, as a study writes them; None = model.controls."""
        return None

    def groups(self) -> tuple[str, ...]:
        """Columns that it looks at as they are."""
        return ()

    def weighs(self) -> bool:
        """Whether its rows have weights, which the estimator has to use."""
        return False

    def sets(self) -> bool:
        """Whether rows come in sets, such as pairs, that errors can be clustered by.

        A study clusters by the name that it gave the restriction.
        """
        return False

    @abstractmethod
    def select(self, given: Candidates) -> Selection:
        """Choose.

        Raises:
            DataError, IdentificationError: why no sample can be chosen.
        """


class Learner(Plugin):
    """Options -> an unfitted scikit-learn estimator."""

    @abstractmethod
    def build(
        self, task: Literal["regression", "classification"], seed: int
    ) -> Any: ...

    def members(self) -> tuple[str, ...]:
        """Names of the learners that this one chooses among or weighs; default none."""
        return ()

    def chosen(self, fitted: Any) -> Sequence[float]:
        """What a fitted estimator of `build` gives each of `members`, in their order.

        1 for the one that is chosen and 0 for the others, or weights; printed, never
        used in an estimate.
        """
        del fitted
        return (0.0,) * len(self.members())


class Generator(Plugin):
    """Seed -> data with known truth."""

    @abstractmethod
    def generate(self, seed: int) -> tuple[pd.DataFrame, Mapping[str, Any]]: ...


__all__ = [
    "Candidates",
    "Choice",
    "Estimator",
    "Generator",
    "Inference",
    "Learner",
    "LedgerLine",
    "Matrix",
    "Needs",
    "Panel",
    "Plugin",
    "Request",
    "Restriction",
    "Selection",
    "Slope",
    "SpatialWeights",
    "Step",
    "StepOutput",
    "Treatment",
    "Weights",
    "written",
]
