"""The plan: every estimation of a study, with what is wrong or missing, before any runs.

Nothing here fits, and no engine is imported. Without the data, columns are checked
against the header; with them, `every` is spelt out and rows are counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from framework.contract import Estimator, Step
from framework.errors import (
    EstimandError,
    Phase,
    Place,
    Problem,
    SpecError,
    did_you_mean,
    no_column,
)
from framework.named_columns import (
    column_problems,
    columns_after_steps,
    condition_columns,
    header_of,
)
from framework.spec import choices, terms
from framework.spec.model import (
    estimand_problems,
    read_data,
    read_model,
    salvage,
    unwritten,
)
from framework.spec.study import Origins, Study
from framework.spec.tree import Origin, Tree
from framework.vary import EVERY_VALUE, MODEL, Levels, Variation, unfold

if TYPE_CHECKING:
    from framework.data.prepare import Prepared
    from framework.panel import Panel
    from framework.spec.model import Data, Model


@dataclass(frozen=True, slots=True)
class Estimation:
    """One estimation: what is planned, cached, executed, recorded and drawn.

    Attributes:
        data, model: normalised trees (JSON values; choices flat).
        changes: dotted path -> value that differs from the study's own (None =
            removed).
        expect: flat expectations.
        against: address that they compare with.
        problems: refused before running, with their places.
        not_built: what it needs that is announced but not built.
        choices: (path of `each`, name of its value), in the order of writing.
        excluded: combinations of its line that `except` strikes out.
        place: where its line was written.
        origins: who wrote which path of its tree, for the place of a later problem.
    """

    address: str
    heading: str
    line: str
    value: str
    data: Mapping[str, Any]
    model: Mapping[str, Any]
    changes: Mapping[str, Any]
    draws: Mapping[str, Any] | None
    expect: tuple[Mapping[str, Any], ...]
    against: str
    problems: tuple[Problem, ...] = ()
    not_built: tuple[str, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    excluded: int = 0
    place: Place | None = None
    origins: Origins = field(default_factory=Origins, compare=False, repr=False)

    def located(self, problem: Problem) -> Problem:
        """A problem met later, with its address and its place in the study."""
        place = self.origins.place(problem.path.split(".")) if problem.path else None
        return problem.at(address=self.address, place=place or self.place)

    @property
    def hidden(self) -> bool:
        """The model itself, estimated only to be compared with."""
        return self.heading == MODEL

    @property
    def runs(self) -> bool:
        """It can be run."""
        return not self.problems and not self.not_built


def plan(
    study: Study,
    *,
    levels: Levels | None = None,
    only: Sequence[str] = (),
    header: bool = True,
) -> tuple[Estimation, ...]:
    """Every estimation of the study.

    Args:
        study: as opened.
        levels: values of a column for `every` (`levels_of`); None leaves a placeholder.
        only: addresses to keep.
        header: check columns against the header of the data; False opens no file.

    Raises:
        EstimandError: problems of the whole study, all at once; a problem of one line is
            in its estimations.
    """
    known = header_of(study) if header else None
    own = [p.at(place=_place(study, p)) for p in column_problems(study.tree, known)]
    if not own:
        _refuse_if_not_frozen(study)
    variations = unfold(study, levels=levels, only=only)
    found = [_estimation(v, known) for v in variations]
    if own:
        said = {(p.what, str(p.place)) for p in own}
        lines = (p for e in found for p in e.problems)
        own += [p for p in lines if (p.what, str(p.place)) not in said]
        raise EstimandError(own)
    return tuple(_drop_shared(found))


def primary(study: Study) -> str:
    """sha256 of the study's own specification: its data, its model and its seed.

    What the lines vary does not enter, nor names, labels, comments and the order of
    keys; the order of steps and restrictions does, because they act in it.
    """
    tree = {"seed": study.seed, **study.tree}
    ordered = [
        list(study.tree["data"].get("steps") or {}),
        list(study.tree["model"].get("sample") or {}),
    ]
    told = json.dumps([tree, ordered], sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(told.encode()).hexdigest()


def _refuse_if_not_frozen(study: Study) -> None:
    now = primary(study)
    if now.startswith(study.frozen):
        return
    raise SpecError(
        "X26",
        f"the primary specification is {now[:12]}, and {study.frozen[:12]} was frozen",
        why="Data, model or seed have changed since it was fixed, so the estimate is no "
        "longer the one that was announced.",
        fix="undo the change or make it a line of checks; if the announcement itself "
        f"changes, write frozen: '{now[:12]}' and say why in a comment",
        path="frozen",
        place=study.origins.place(["frozen"])
        or Origin(study.document, ("frozen",)).place(),
    )


def _place(study: Study, problem: Problem) -> Place | None:
    return study.origins.place(problem.path.split("."))


def _estimation(variation: Variation, header: tuple[str, ...] | None) -> Estimation:
    tree = variation.tree
    problems = list(variation.problems)
    if not problems:
        _, faults = read_data(tree["data"])
        kept = tree["model"]
        model, more = read_model(kept, tree["data"])
        if not _inherits_estimand(variation):
            more += estimand_problems(tree["model"])
        found = [*faults, *more]
        if not faults:
            if more:
                kept, model = salvage(kept, tree["data"], more)
            if model is not None:  # what is wrong with some hides no column of others
                found += column_problems({**tree, "model": kept}, header)
                found += [] if more else _unwritten(variation, model)
        found += _draws_problems(variation, tree, header)
        if not found:
            found += _name_problems(variation.draws or {}, tree)
        problems += [
            p.at(
                place=variation.origins.place(p.path.split("."))
                or variation.origin.place()
            )
            for p in found
        ]
    return Estimation(
        address=variation.address,
        heading=variation.heading,
        line=variation.line,
        value=variation.value,
        data=tree["data"],
        model=tree["model"],
        changes=variation.changed,
        draws=variation.draws,
        expect=variation.expect,
        against=variation.against,
        problems=tuple(p.at(address=variation.address) for p in problems),
        not_built=_not_built(variation),
        choices=variation.choices,
        excluded=variation.excluded,
        place=variation.origin.place(),
        origins=variation.origins,
    )


def _unwritten(variation: Variation, model: Model) -> list[Problem]:
    if choices.is_planned("estimator", model.estimator["name"]):
        return []
    estimator = choices.build("estimator", model.estimator)
    assert isinstance(estimator, Estimator)  # noqa: S101 - the kind says so
    removed = {
        path[1]
        for path, _ in variation.origins.layers
        if len(path) == len(("model", "field"))
    }
    return unwritten(model, estimator, removed)


def _inherits_estimand(variation: Variation) -> bool:
    """The line changes the estimator and leaves the study's estimand as it is."""
    changed = variation.changed
    return "model.estimator.name" in changed and "model.estimand" not in changed


def _drop_shared(found: Iterable[Estimation]) -> list[Estimation]:
    """The same written fault is one problem, at the first estimation that meets it."""
    seen: set[tuple[str, str]] = set()
    kept: list[Estimation] = []
    for estimation in found:
        fresh = tuple(
            p for p in estimation.problems if (p.what, str(p.place)) not in seen
        )
        seen |= {(p.what, str(p.place)) for p in fresh}
        kept.append(
            replace(estimation, problems=fresh or estimation.problems[:1])
            if estimation.problems
            else estimation
        )
    return kept


# -- what is announced but not built ---------------------------------------------------


def _not_built(variation: Variation) -> tuple[str, ...]:
    model, data = variation.tree["model"], variation.tree["data"]
    wanted: list[tuple[choices.ChoiceKind, Any]] = [
        ("estimator", model.get("estimator")),
        ("inference", model.get("inference")),
        *(("restriction", flat) for flat in (model.get("sample") or {}).values()),
        *(("step", flat) for flat in (data.get("steps") or {}).values()),
    ]
    matrices = data.get("spatial_weights") or {}
    wanted += [
        ("matrix", matrices.get(name))
        for name in (model.get("spatial_weights") or {}).values()
    ]
    found = [
        f"{kind} {flat['name']}"
        for kind, flat in wanted
        if isinstance(flat, Mapping) and choices.is_planned(kind, str(flat.get("name")))
    ]
    found += _unbuilt_options(model.get("estimator"))
    return tuple(dict.fromkeys(found))


def _unbuilt_options(flat: Any) -> tuple[str, ...]:
    """Options of a built estimator that ask for what is announced only."""
    try:
        plugin = choices.build("estimator", flat) if isinstance(flat, Mapping) else None
    except (ValidationError, EstimandError):
        return ()  # the faults of the choice are said where it is checked
    return plugin.unbuilt() if isinstance(plugin, Estimator) else ()


# -- columns, checked against the header -----------------------------------------------


def _draws_problems(
    variation: Variation, tree: Tree, header: tuple[str, ...] | None
) -> list[Problem]:
    draws = variation.draws
    if not draws:
        return []
    problems: list[Problem] = []
    permuted = draws.get("permute")
    if permuted == "treatment" and not tree["model"].get("treatment"):
        problems.append(
            Problem(
                Phase.SPEC,
                "X20",
                "permute: treatment needs model.treatment",
                fix="write `treatment: column` in `model` or beside these draws",
                path="draws",
            )
        )
    if "leave_out" in draws and draws["leave_out"] not in (
        steps := list(tree["data"].get("steps") or ())
    ):
        problems.append(
            Problem(
                Phase.SPEC,
                "X22",
                f"no step '{draws['leave_out']}' to leave out",
                fix=did_you_mean(str(draws["leave_out"]), steps),
                path="draws.leave_out",
            )
        )
    if header is not None:
        known = columns_after_steps(tree, header, [])
        for key in ("within", "resample", "permute"):
            column = draws.get(key)
            if column == "treatment" and key == "permute":
                continue
            if known is not None and isinstance(column, str) and column not in known:
                problems.append(no_column(column, f"draws.{key}", tuple(known)))
    return problems


def _name_problems(draws: Mapping[str, Any], tree: Tree) -> Iterator[Problem]:
    """Restrictions and steps that read names which a resample's copies don't have."""
    if "resample" not in draws:
        return
    renamed = {draws["resample"], (tree["data"].get("panel") or {}).get("unit")}
    read: list[tuple[str, set[str]]] = []
    for name, flat in (tree["model"].get("sample") or {}).items():
        columns = {flat["column"]} if "column" in flat else set()
        if "where" in flat:
            columns |= set(condition_columns(flat["where"]))
        read.append((f"model.sample.{name}", columns))
    if draws.get("rebuild"):
        for name, flat in (tree["data"].get("steps") or {}).items():
            step = choices.build("step", flat)
            if isinstance(step, Step):
                read.append((f"data.steps.{name}", set(step.reads(name))))
    for path, columns in read:
        for column in sorted(columns & renamed):
            yield Problem(
                Phase.SPEC,
                "X24",
                f"'{path.split('.')[-1]}' reads '{column}', and draws resample it",
                why="every copy that is drawn has a name of its own, so that a condition "
                "on names would not hold for it",
                fix="a column of the data file in its place: it goes with every copy",
                path=path,
            )


# -- with the data ---------------------------------------------------------------------


def protected(study: Study, model: Model) -> frozenset[str]:
    """Columns that no step touches unless it lists them: treatment, weights, instruments.

    Those of the study's own model stay protected in every line, so that dropping the
    weights on one line does not change the data of that line.
    """
    groups = study.data.groups
    return shielded(study.model, groups) | shielded(model, groups)


def shielded(model: Model, groups: terms.Groups) -> frozenset[str]:
    """Columns of a model's treatment, weights and instruments."""
    written: list[Any] = [*model.instruments]
    if model.treatment is not None:
        column = model.treatment.column
        written += column if isinstance(column, list) else [column]
        written += [model.treatment.first_treated, model.treatment.by]
    if model.weights is not None:
        written.append(model.weights["column"])
    found = terms.parse_list([w for w in written if w], groups)
    return frozenset(column for term in found for column in term.columns())


def panel_of(study: Study, estimation: Estimation, prepared: Prepared) -> Panel:
    """The prepared panel of an estimation.

    Raises:
        EstimandError: the data's problems, each at its place in the study.
    """
    data, model = trees(estimation)
    return prepared.panel(data, protected(study, model))


def is_built(study: Study, estimation: Estimation, prepared: Prepared) -> bool:
    """False when a costly step of its data would have to be computed first."""
    data, model = trees(estimation)
    return prepared.is_built(data, protected(study, model))


def trees(estimation: Estimation) -> tuple[Data, Model]:
    """The validated trees of an estimation that has no problems."""
    data, faults = read_data(estimation.data)
    model, more = read_model(estimation.model, estimation.data)
    if data is None or model is None:
        raise EstimandError([*faults, *more])
    return data, model


def levels_of(study: Study, prepared: Prepared, *, build: bool = True) -> Levels:
    """Values of a column of the prepared data, for `every`.

    A placeholder stands for them where the data need a step that is not built, or a
    costly one that `build` does not allow.
    """

    def levels(tree: Tree, column: str) -> Sequence[Any]:
        data, problems = read_data(tree)
        if data is None:
            raise EstimandError(problems)
        unbuilt = [
            flat["name"]
            for flat in data.steps.values()
            if choices.is_planned("step", flat["name"])
        ]
        shielded = protected(study, study.model)
        if unbuilt or not (build or prepared.is_built(data, shielded)):
            return (EVERY_VALUE,)
        try:
            frame = prepared.panel(data, shielded).frame
        except EstimandError as error:
            raise EstimandError(
                p.at(place=_place(study, p)) for p in error.problems
            ) from error
        if column not in frame.columns:
            raise EstimandError(
                no_column(column, f"each.{column}", list(map(str, frame.columns)))
            )
        found = frame[column].dropna().unique().tolist()
        return sorted(found, key=lambda v: (isinstance(v, str), v))

    return levels
