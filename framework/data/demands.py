"""What an estimator can take: refused before anything is computed."""

from __future__ import annotations

import math

from framework.contract import Estimator
from framework.data.treatment import Assigned
from framework.data.working import plugins_of
from framework.errors import DataError, IdentificationError, Phase, Problem, counted
from framework.panel import Panel
from framework.spec.model import Model

#: Name for `model.acknowledge`: onset taken as the first observed treated period.
GAP = "onset_in_gap"
#: Kinds of data in words, after "takes" and "are".
_KINDS = {
    "panel": "a panel",
    "repeated_cross_sections": "repeated cross-sections",
    "cross_section": "a cross-section",
}


def unfit(model: Model, estimator: Estimator, panel: Panel) -> list[Problem]:
    """Fields of the model that this estimator would ignore or can't do."""
    needs, name = estimator.demands(), model.estimator["name"]
    problems: list[Problem] = []

    def refuse(code: str, what: str, fix: str, path: str, why: str = "") -> None:
        problems.append(Problem(Phase.DESIGN, code, what, why=why, fix=fix, path=path))

    if panel.kind not in needs.kinds:
        takes = ", ".join(sorted(_KINDS[k] for k in needs.kinds))
        refuse(
            "P02",
            f"{name} takes {takes}; these data are {_KINDS[panel.kind]}",
            "set data.panel, or choose another estimator (`ols` takes all)",
            "model.estimator",
        )
    if type(estimator).estimates != "treatment":
        return problems
    for ignored in ("instruments", "mediators", "interact", "weights"):
        if getattr(model, ignored) and ignored not in needs.uses:
            refuse(
                "X23",
                f"{name} does not use model.{ignored}",
                f"{ignored}: null on this line, or another estimator",
                f"model.{ignored}",
                "left in silence, the column would look as if it were used",
            )
    problems += _weighed_twice(model, name, unused="weights" not in needs.uses)
    asked = model.inference["name"] if model.inference else None
    if asked and needs.inference and asked not in needs.inference:
        refuse(
            "X23",
            f"{name} has no {asked} inference",
            "one of: " + ", ".join(sorted(needs.inference)),
            "model.inference",
        )
    kind = (model.inference or {}).get("type")
    types = {"hetero": needs.hetero, "cluster": needs.cluster}.get(asked or "")
    if types and kind and kind not in types:
        refuse(
            "X23",
            f"{name} has no {kind} errors",
            f"inference.type: {' or '.join(sorted(types))}",
            "model.inference.type",
            "printed under that name, its numbers would be of another type",
        )
    return problems


def _weighed_twice(model: Model, name: str, *, unused: bool) -> list[Problem]:
    """Weights of a restriction that would be ignored, or that meet others."""
    found = (n for n, plugin in plugins_of(model).items() if plugin.weighs())
    weighing = next(found, None)
    if weighing is None or not (unused or model.weights):
        return []
    alike = f"sample.{weighing}.weighted: false"
    if unused:
        what = f"{name} does not use the weights of '{weighing}'"
        why = "without them the untreated rows are not those that were matched"
        fix, path = f"{alike}, or another estimator", f"model.sample.{weighing}"
    else:
        what = f"'{weighing}' gives the rows weights, and model.weights others"
        why = "one estimation has one set of weights"
        fix, path = f"{alike}, or weights: null", "model.weights"
    return [Problem(Phase.DESIGN, "X23", what, why=why, fix=fix, path=path)]


def unused(model: Model, estimator: Estimator) -> list[str]:
    """Notes on fields of the model that the estimator leaves alone."""
    uses = estimator.demands().uses
    name = model.estimator["name"]
    found = [
        field_
        for field_ in ("controls", "fixed_effects", "spatial_weights")
        if getattr(model, field_) and field_ not in uses
    ]
    notes = [f"{name} does not use {field_.replace('_', ' ')}" for field_ in found]
    if model.inference is not None and "inference" not in uses:
        written = model.inference["name"]
        notes.append(f"{name} has standard errors of its own: {written} is not used")
    return notes


def demand(model: Model, estimator: Estimator, assigned: Assigned) -> None:
    """The estimator's demands on the treatment."""
    needs, name = estimator.demands(), model.estimator["name"]
    if needs.absorbing and assigned.kind != "absorbing":
        raise IdentificationError(
            "E06",
            f"{name} needs an absorbing treatment; this one is {assigned.kind}",
            fix="another estimator, or a 0/1 column that never switches off"
            if assigned.kind != "cross_section"
            else "in repeated cross-sections treatment: {column, by: the group whose rows "
            "are treated together}, or {first_treated: column}; else another estimator",
        )
    if needs.absorbing and assigned.gaps and GAP not in model.acknowledge:
        shown = ", ".join(assigned.gaps[:3])
        raise DataError(
            "E01",
            f"{counted(len(assigned.gaps), 'unit has', 'units have')} no row just "
            f"before they are first seen treated (first: {shown})",
            why="their first treated period is not known, and event time is counted "
            "from it",
            fix="treatment: {first_treated: column, never: value}, or leave those units "
            "out",
            acknowledge=GAP,
        )
    cohort = assigned.cohort
    if needs.never_treated and cohort is not None and math.isfinite(cohort.max()):
        raise IdentificationError(
            "E04",
            f"{name} needs units that are never treated, and there are none",
            fix="control_group: not_yet_treated where the estimator has it",
        )
