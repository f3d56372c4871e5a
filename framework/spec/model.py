"""The validated tree: `data` and `model` as pydantic models.

Trees are validated after variations, so a wrong option of one check is that check's
problem, and one of the study's own model is the whole study's.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from framework.contract import Estimator
from framework.errors import (
    NOT_IDENTIFIED,
    EstimandError,
    Phase,
    Problem,
    did_you_mean,
)
from framework.spec import choices, terms
from framework.spec.choices import ChoiceKind, Flat, from_pydantic

Scalar = str | int | float | bool


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, defer_build=True
    )


class Source(_Part):
    """Where the data come from: a file, an installed data package, or a database."""

    path: str | None = None
    encoding: str | None = None
    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    sheet: str | int | None = None
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    package: str | None = None
    dataset: str | None = None
    url: str | None = None
    query: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Source:
        kinds = [k for k in ("path", "package", "url") if getattr(self, k)]
        if len(kinds) != 1:
            raise ValueError("a source has one of path, package (with dataset), url")
        if (self.package is None) != (self.dataset is None):
            raise ValueError("`package` and `dataset` go together")
        if (self.url is None) != (self.query is None):
            raise ValueError("`url` and `query` go together")
        return self


class PanelKeys(_Part):
    """`unit` and `time`; time alone = repeated cross-sections."""

    unit: str | None = Field(default=None, min_length=1)
    time: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _time(self) -> PanelKeys:
        if self.unit and not self.time:
            raise ValueError("a panel with a unit needs its time column")
        return self


class ColumnEntry(_Part):
    """An entry of the data dictionary: label and assertions."""

    label: str | None = None
    unit: str | None = None
    type: Literal["number", "text", "integer", "binary", "date"] | None = None
    map: dict[str, Any] | None = None
    missing: Scalar | list[Scalar] | None = None
    min: float | None = None
    max: float | None = None


class Data(_Part):
    """`data`: source, keys, dictionary, groups, steps, spatial weights."""

    source: Source
    missing: Literal["error", "drop"] = "error"
    panel: PanelKeys = PanelKeys()
    columns: dict[str, ColumnEntry] = Field(default_factory=dict)
    groups: dict[str, list[str]] = Field(default_factory=dict)
    steps: dict[str, Flat] = Field(default_factory=dict)
    spatial_weights: dict[str, Flat] = Field(default_factory=dict)


class TreatmentSpec(_Part):
    """`treatment`: which column, of what kind, and its timing.

    `shift` moves the first treated period (absorbing) or the column itself (other
    kinds) by that many periods: -1 = one period earlier. `by` names the groups whose
    rows are treated together, where no unit is followed over time.
    """

    column: Any = None
    kind: (
        Literal["absorbing", "reversible", "dose", "levels", "cross_section"] | None
    ) = None
    first_treated: str | None = Field(default=None, min_length=1)
    never: Scalar | None = None
    by: str | None = Field(default=None, min_length=1)
    reference: Scalar | None = None
    anticipation: int = Field(0, ge=0)
    shift: int = 0

    @model_validator(mode="after")
    def _whole(self) -> TreatmentSpec:
        if self.column in (None, []) and self.first_treated is None:
            raise ValueError(
                "a treatment names its column, or its first_treated column"
            )
        if self.reference is not None and self.kind != "levels":
            raise ValueError("`reference` belongs to kind: levels")
        timed = (None, "absorbing", "dose")
        if self.first_treated is not None and self.kind not in timed:
            raise ValueError(
                f"`first_treated` would do nothing with kind: {self.kind}; it belongs to "
                "absorbing treatments and doses"
            )
        if self.by is not None and self.kind not in (None, "absorbing"):
            raise ValueError(
                f"`by` would do nothing with kind: {self.kind}; it belongs to absorbing "
                "treatments of groups"
            )
        if self.never is not None and self.first_treated is None:
            raise ValueError(
                "`never` says how first_treated marks units that are never treated"
            )
        return self


class InteractSpec(_Part):
    """`interact`: the moderator, its main effect and its centring."""

    with_: Any = Field(alias="with")
    main_effect: bool = True
    center: Literal["mean"] | float | None = None


class SpatialUse(_Part):
    """Which matrix lags what; `all` stands for every role."""

    all: str | None = None
    outcome: str | None = None
    covariates: str | None = None
    errors: str | None = None


class Model(_Part):
    """`model`: what keeps its meaning when the estimator changes."""

    outcome: Any = None
    treatment: TreatmentSpec | None = None
    controls: list[Any] = Field(default_factory=list)
    instruments: list[Any] = Field(default_factory=list)
    mediators: list[Any] = Field(default_factory=list)
    interact: InteractSpec | None = None
    fixed_effects: list[Any] = Field(default_factory=list)
    weights: Flat | None = None
    spatial_weights: SpatialUse | None = None
    sample: dict[str, Flat] = Field(default_factory=dict)
    inference: Flat | None = None
    estimand: str | list[str] | None = None
    confidence: float = Field(0.95, gt=0.5, lt=1)
    acknowledge: list[str] = Field(default_factory=list)
    estimator: Flat


def read_data(tree: Mapping[str, Any]) -> tuple[Data | None, list[Problem]]:
    """Validate `data`; the value is None when there are problems."""
    problems = _shape_problems(Data, tree, "data")
    problems += _choices("step", tree.get("steps"), "data.steps")
    problems += _choices("matrix", tree.get("spatial_weights"), "data.spatial_weights")
    return (None if problems else Data.model_validate(tree)), problems


def read_model(
    tree: Mapping[str, Any], data: Mapping[str, Any]
) -> tuple[Model | None, list[Problem]]:
    """Validate `model` against the names that `data` gives."""
    problems = _shape_problems(Model, tree, "model")
    problems += _choices("restriction", tree.get("sample"), "model.sample")
    one: tuple[tuple[ChoiceKind, str], ...] = (
        ("estimator", "estimator"),
        ("inference", "inference"),
        ("weights", "weights"),
    )
    for kind, key in one:
        flat = tree.get(key)
        if isinstance(flat, Mapping):
            problems += choices.check(kind, flat, f"model.{key}")
    problems += _terms(tree, _groups(data))
    problems += _matrices(tree, tuple(data.get("spatial_weights") or ()))
    problems += _acknowledged(tree)
    return (None if problems else Model.model_validate(tree)), problems


#: How a field that an estimator can't do without is written.
_WRITTEN = {
    "controls": "`controls: [column]`",
    "fixed_effects": "`fixed_effects: [column]`",
    "instruments": "`instruments: [column]`",
    "interact": "`interact: column`",
    "mediators": "`mediators: [column]`",
    "outcome": "`outcome: column`",
    "spatial_weights": "`spatial_weights: name` (of a matrix of data.spatial_weights)",
    "treatment": "`treatment: column`",
}


def unwritten(
    model: Model, estimator: Estimator, removed: Collection[str] = ()
) -> list[Problem]:
    """Fields that the estimator needs and that the model does not have.

    A problem's path is that of the estimator, which asks for the field, or that of the
    field where a line has `removed` it.
    """
    needs, name = estimator.demands(), model.estimator["name"]
    always = [n for n in ("outcome", "treatment") if getattr(needs, n)]
    found = []
    for needed in (*always, *sorted(needs.requires)):
        if getattr(model, needed):
            continue
        taken = needed in removed
        where = "here" if taken else "in `model` or beside the estimator"
        found.append(
            Problem(
                Phase.SPEC,
                "X20",
                f"{name} needs model.{needed}",
                fix=f"write {_WRITTEN[needed]} {where}, or choose another estimator",
                path=f"model.{needed}" if taken else "model.estimator",
            )
        )
    return found


def salvage(
    tree: Mapping[str, Any], data: Mapping[str, Any], problems: Sequence[Problem]
) -> tuple[dict[str, Any], Model | None]:
    """The tree without what its problems name, and the model that this leaves, if any.

    For finding the faults of a design beside those of the text; never estimated.
    """
    kept: Any = copy.deepcopy(dict(tree))
    # The last items of lists first: those before them keep their places.
    for problem in sorted(problems, key=lambda p: p.path, reverse=True):
        _cut(kept, problem.path.split(".")[1:])
    return kept, read_model(kept, data)[0]


def _cut(tree: Any, steps: Sequence[str]) -> None:
    *way, last = steps or [""]
    for step in way:
        if isinstance(tree, list) and step.isdigit() and int(step) < len(tree):
            tree = tree[int(step)]
        elif isinstance(tree, Mapping) and step in tree:
            tree = tree[step]
        else:
            return
    if isinstance(tree, list) and last.isdigit() and int(last) < len(tree):
        del tree[int(last)]
    elif isinstance(tree, dict):
        tree.pop(last, None)


def _shape_problems(
    kind: type[BaseModel], tree: Mapping[str, Any], path: str
) -> list[Problem]:
    try:
        kind.model_validate(tree)
    except ValidationError as error:
        return from_pydantic(error, path, known=_all_fields(kind))
    return []


def _all_fields(kind: type[BaseModel]) -> tuple[str, ...]:
    """Field names of a model and of the models inside it."""
    inner = {
        Data: (Source, PanelKeys, ColumnEntry),
        Model: (TreatmentSpec, InteractSpec, SpatialUse),
    }.get(kind, ())
    return tuple(f for k in (kind, *inner) for f in k.model_fields)


def _choices(kind: ChoiceKind, held: Any, path: str) -> list[Problem]:
    if not isinstance(held, Mapping):
        return []
    return [
        problem
        for name, flat in held.items()
        if isinstance(flat, Mapping)
        for problem in choices.check(kind, flat, f"{path}.{name}")
    ]


def _groups(data: Mapping[str, Any]) -> dict[str, list[str]]:
    """The groups that are lists of names; `read_data` says what the others are."""
    written = data.get("groups")
    return {
        name: held
        for name, held in (written if isinstance(written, Mapping) else {}).items()
        if isinstance(held, list) and all(isinstance(item, str) for item in held)
    }


def _terms(tree: Mapping[str, Any], groups: Mapping[str, Any]) -> list[Problem]:
    problems: list[Problem] = []

    def attempt(written: Any, path: str, *, slopes: bool = False) -> None:
        try:
            terms.parse_list(written, groups, slopes=slopes)
        except EstimandError as error:
            problems.extend(p.at(path=path) for p in error.problems)

    if tree.get("outcome") is not None:
        attempt([tree["outcome"]], "model.outcome")
    treatment = tree.get("treatment")
    if isinstance(treatment, Mapping) and treatment.get("column") is not None:
        attempt(treatment["column"], "model.treatment.column")
    interact = tree.get("interact")
    if isinstance(interact, Mapping) and interact.get("with") is not None:
        attempt([interact["with"]], "model.interact.with")
    for key in ("controls", "instruments", "mediators", "fixed_effects"):
        held = tree.get(key)
        for index, item in enumerate(held if isinstance(held, list) else ()):
            attempt([item], f"model.{key}.{index}", slopes=key == "fixed_effects")
    return problems


def _matrices(tree: Mapping[str, Any], known: tuple[str, ...]) -> list[Problem]:
    use = tree.get("spatial_weights")
    if not isinstance(use, Mapping):
        return []
    return [
        Problem(
            Phase.SPEC,
            "X01",
            f"no spatial weights '{name}'",
            fix=did_you_mean(name, known) or "define them in data.spatial_weights",
            path=f"model.spatial_weights.{role}",
        )
        for role, name in use.items()
        if isinstance(name, str) and name not in known
    ]


def _acknowledged(tree: Mapping[str, Any]) -> list[Problem]:
    """A misspelt name in `acknowledge` would override nothing."""
    flat, written = tree.get("estimator"), tree.get("acknowledge")
    if not isinstance(flat, Mapping) or not isinstance(written, list):
        return []
    found = choices.plugin("estimator", str(flat.get("name")))
    theirs = getattr(found, "acknowledges", None)
    if theirs is None:  # planned: not known yet
        return []
    known = (*theirs, NOT_IDENTIFIED)
    return [
        Problem(
            Phase.SPEC,
            "X01",
            f"no refusal '{name}' to acknowledge",
            fix=did_you_mean(str(name), known),
            path=f"model.acknowledge.{index}",
        )
        for index, name in enumerate(written)
        if name not in known
    ]


def estimand_problems(tree: Mapping[str, Any]) -> list[Problem]:
    """An estimand that the estimator in force cannot give is refused by name.

    Asked where the estimand is written for this estimator; one that a line inherits
    while it changes the estimator gives way to the estimator's own, with a note.
    """
    flat, asked = tree.get("estimator"), tree.get("estimand")
    if not isinstance(flat, Mapping) or asked is None:
        return []
    found = choices.plugin("estimator", str(flat.get("name")))
    if not isinstance(found, type):  # planned: not known yet
        return []
    given = _given(flat)
    if not given:
        return []
    wanted = asked if isinstance(asked, list) else [asked]
    return [
        Problem(
            Phase.SPEC,
            "X19",
            f"{flat['name']} does not estimate '{name}'",
            fix=did_you_mean(str(name), given),
            path="model.estimand",
        )
        for name in wanted
        if name not in given
    ]


def _given(flat: Mapping[str, Any]) -> tuple[str, ...]:
    """Estimands of an estimator with its options; () where these are not known."""
    try:
        plugin = choices.build("estimator", flat)
    except (ValidationError, EstimandError):
        return ()
    if not isinstance(plugin, Estimator) or plugin.unbuilt():
        return ()
    return plugin.gives()
