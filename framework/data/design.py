"""From a prepared panel and a model to a `Request`: terms become plain columns.

In order: treatment (on the whole panel), terms, sample restrictions, missing values,
interactions, codes of effects and clusters, aliases. Every row that is lost has a
ledger line; every problem of the model is found in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from framework.contract import (
    Estimator,
    Inference,
    Request,
    Slope,
    Treatment,
    Weights,
)
from framework.data.demands import demand, unfit, unused
from framework.data.rows import (
    balance_asked,
    check_values,
    complete,
    filled_near_adoption,
    finer_than_treatment,
    no_rows,
    restrict,
    stay_balanced,
)
from framework.data.spatial import Spatial, aligned, leave_out, weights_of
from framework.data.treatment import Assigned, assign
from framework.data.words import labels
from framework.data.working import (
    HIDDEN,
    Roles,
    Working,
    column_of,
    inference_of,
    named,
    numbers_of,
    resolve_terms,
)
from framework.errors import NOT_IDENTIFIED, EstimandError, Phase, Problem
from framework.panel import LedgerLine, Panel
from framework.result import Plot
from framework.spec import terms
from framework.spec.inference import places_of
from framework.spec.model import Data, Model, unwritten
from framework.spec.terms import Column

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: Beyond these the values of a moderator may be a number that was read as text.
_CATEGORIES = 20
#: Gives the treatment paths of a draw: (panel, true assignment) -> assignment.
Reassign = Callable[[Panel, Assigned], Assigned]


@dataclass(frozen=True, slots=True)
class Design:
    """A request with its story.

    Attributes:
        ledger: from the rows of the prepared panel to the rows used.
        labels: what stands in the table: outcome, treatment, controls,
            fixed_effects, inference, weights, sample, formula.
        frames, plots: what the choice of the sample leaves to be looked at.
    """

    request: Request
    ledger: tuple[LedgerLine, ...]
    labels: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    frames: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    plots: tuple[Plot, ...] = ()


def build(
    panel: Panel,
    data: Data,
    model: Model,
    estimator: Estimator,
    seed: int = 0,
    *,
    reassign: Reassign | None = None,
) -> Design:
    """Resolve a model against a panel.

    Args:
        panel, data, model, estimator, seed: what is estimated.
        reassign: another assignment of the treatment in place of the true one (draws).

    Raises:
        EstimandError: every problem of the model in one pass: missing columns, missing
            values, a treatment that is none, weights that are not positive, no rows.
    """
    work = Working(panel, data.groups)
    work.problems += unwritten(model, estimator)
    work.problems += unfit(model, estimator, panel)
    assigned = _treatment(work, model, estimator)
    if assigned and reassign:
        assigned = reassign(work.panel, assigned)
    roles = resolve_terms(work, model, estimator, assigned)
    spatial = weights_of(work, data, model, estimator)
    ledger, selected = restrict(work, model, roles, assigned)
    moved = bool(reassign or (model.treatment and model.treatment.shift))
    unseen = estimator.demands().unseen_outcome
    even = balance_asked(work, model)
    ledger += complete(work, data, roles, moved=moved, unseen=unseen)
    again = stay_balanced(work, even)
    ledger += again
    ledger += leave_out(work, spatial)
    notes = [*(assigned.notes if assigned else ()), *_counted(work.source)]
    notes += roles.notes
    notes += filled_near_adoption(work, roles) + selected.notes
    matched = "; they were there when matches were chosen" if selected.frames else ""
    notes += [f"sample {line.name}: {line.detail}{matched}" for line in again]
    if "inference" in estimator.demands().uses:
        notes += finer_than_treatment(work, roles, model)
    if not work.n:
        work.problems.append(no_rows(panel, ledger))
        _raise(work.problems)
    interactions, moderators = _interact(work, model, roles, assigned, notes)
    check_values(work, model, roles, assigned)
    _raise(work.problems)
    request = _request(
        work, model, roles, assigned, interactions, moderators, estimator, seed
    )
    request, said = _with_weights(request, spatial)
    notes += said
    if type(estimator).estimates != "diagnostic":
        notes += unused(model, estimator) + _other_estimand(model, estimator)
    return Design(
        request,
        tuple(ledger),
        labels(model, roles, work, request, estimator),
        tuple(notes),
        selected.frames,
        tuple(selected.plots),
    )


def _counted(panel: Panel) -> list[str]:
    """What the numbers of periods stand for that tables and figures show."""
    calendar, time = panel.calendar, panel.time
    if calendar is None or time is None or calendar.frequency == "years":
        return []
    ends = (int(panel.frame[time].min()), int(panel.frame[time].max()))
    first, last = (f"{end} is {calendar.text(end)}" for end in ends)
    return [f"periods of '{time}' are counted in {calendar.frequency}: {first}, {last}"]


def _raise(problems: Sequence[Problem]) -> None:
    if problems:
        unique = {(p.code, p.what, p.path): p for p in problems}
        raise EstimandError(unique.values())


def _treatment(work: Working, model: Model, estimator: Estimator) -> Assigned | None:
    if model.treatment is None:
        return None
    import pandas as pd

    roles = Roles()
    spec = model.treatment
    try:
        values: dict[str, Any] = {}
        for term in terms.parse_list(spec.column, work.groups) if spec.column else ():
            if isinstance(term, Column):
                values[term.label] = column_of(work, term.name)
            else:
                for name in numbers_of(work, term, roles):
                    values[roles.names[name]] = pd.Series(work.held[name])
        for written in (spec.first_treated, spec.by):
            if written:
                column_of(work, written)
        assigned = assign(work.panel, spec, values)
        demand(model, estimator, assigned)
    except EstimandError as error:
        work.problems += [p.at(path="model.treatment") for p in error.problems]
        return None
    return assigned


def _interact(
    work: Working,
    model: Model,
    roles: Roles,
    assigned: Assigned | None,
    notes: list[str],
) -> tuple[list[str], list[str]]:
    """Products of treatment and moderator, and the main effect, which joins the controls."""
    import numpy as np
    import pandas as pd

    if roles.moderator is None or model.interact is None or assigned is None:
        return [], []
    name, spec = roles.moderator, model.interact
    label = roles.names[name]
    series = pd.Series(work.held[name])
    numeric = pd.api.types.is_numeric_dtype(series.dtype) or pd.api.types.is_bool_dtype(
        series.dtype
    )
    sides: dict[str, Any] = {}
    if numeric:
        values = series.to_numpy(dtype="float64")
        if spec.center is not None:
            middle = values.mean() if spec.center == "mean" else float(spec.center)
            values = values - middle
        sides[label] = values
    else:
        levels = sorted(series.unique(), key=str)
        roles.first_group = f"{label}={levels[0]}" if spec.main_effect else ""
        for level in levels[spec.main_effect :]:  # alone, every level has a product
            sides[f"{label}={level}"] = (series == level).to_numpy(dtype="float64")
    if not spec.main_effect:
        return _alone(work, roles, sides, notes, label), []
    judged: list[str] = []
    fixed: list[str] = []
    for treatment in roles.treatment:
        held = work.held[treatment]
        for side, values in sides.items():
            product = held * values
            if len(sides) == 1 and np.array_equal(product, held) and np.ptp(held):
                work.problems.append(_same_product(roles.names[treatment], side))
                continue
            judged.append(_product(work, roles, treatment, side, product, fixed))
    work.problems += _fixed(fixed, label, len(sides))
    main = [named(work, roles, side, values) for side, values in sides.items()]
    # A control of that name is the same regressor, centred or not.
    written = {roles.names[c] for c in roles.controls}
    roles.main_effects = [m for m in main if roles.names[m] not in written]
    kept = [c for c in roles.controls if roles.names[c] not in sides]
    roles.controls = [*kept, *main]
    return judged, main


def _fixed(fixed: Sequence[str], moderator: str, values: int) -> list[Problem]:
    """Products that do not vary, as one problem whatever their number."""
    if not fixed:
        return []
    more = len(fixed) - 1
    others = f" and {more} more products do" if more else " does"
    fix = "another moderator, or a split of the sample"
    if values > _CATEGORIES:
        fix = (
            f"'{moderator}' is text of {values} values; if it is meant as a number: "
            f"data.columns: {{{moderator}: {{type: number}}}}; else {fix}"
        )
    return [
        Problem(
            Phase.DESIGN,
            "I09",
            f"'{fixed[0]}'{others} not vary in the sample",
            why="no treated row has that value of the moderator (or all have the same)",
            fix=fix,
            path="model.interact",
        )
    ]


def _product(
    work: Working,
    roles: Roles,
    treatment: str,
    side: str,
    values: Any,
    fixed: list[str],
) -> str:
    """The product as a working column; one that does not vary is noted in `fixed`."""
    import numpy as np

    label = f"{roles.names[treatment]} × {side}"
    if not np.ptp(values):
        fixed.append(label)
    return named(work, roles, label, values)


def _alone(
    work: Working,
    roles: Roles,
    sides: Mapping[str, Any],
    notes: list[str],
    moderator: str,
) -> list[str]:
    """Products in the place of the treatment and without the moderator's own term."""
    import numpy as np

    found: list[str] = []
    fixed: list[str] = []
    for treatment in roles.treatment:
        held, own = work.held[treatment], roles.names[treatment]
        for side, values in sides.items():
            product = held * values
            found.append(_product(work, roles, treatment, side, product, fixed))
            same = np.array_equal(product, held)
            roles.replaced |= not same
            notes.append(
                f"'{own} × {side}' equals '{own}': its coefficient is the effect itself, "
                "not a difference of effects"
                if same
                else f"'{own} × {side}' stands without '{own}' (interact.main_effect: "
                f"false): its coefficient is no difference of effects, and treated rows "
                f"where '{side}' is 0 count as untreated"
                if len(sides) == 1
                else f"'{own} × {side}' is the effect in its own group"
            )
    work.problems += _fixed(fixed, moderator, len(sides))
    roles.treatment = found
    if roles.replaced:  # whose first period would be that of another column
        roles.cohort = None
    return found


def _same_product(treatment: str, side: str) -> Problem:
    """The moderator is one wherever the treatment is on."""
    return Problem(
        Phase.DESIGN,
        "I03",
        f"'{treatment} × {side}' equals '{treatment}': '{side}' is 1 in every treated row",
        why=f"no one is treated where '{side}' is 0, so there is no difference in the "
        "effect to estimate",
        fix="interact.main_effect: false estimates the product alone, which is the effect "
        "itself; for a triple difference, a treatment that is on for everyone in the "
        "groups that adopt it",
        path="model.interact",
        acknowledge=NOT_IDENTIFIED,
    )


def _request(
    work: Working,
    model: Model,
    roles: Roles,
    assigned: Assigned | None,
    interactions: Sequence[str],
    moderators: Sequence[str],
    estimator: Estimator,
    seed: int,
) -> Request:
    import pandas as pd

    panel = work.panel
    order: list[str] = [
        name
        for name in dict.fromkeys(
            [
                roles.outcome,
                *roles.treatment,
                *interactions,
                *roles.controls,
                *roles.instruments,
                *roles.mediators,
                *(variable for variable, _ in roles.slopes),
                *roles.places,
                roles.weights,
                roles.cohort,
            ]
        )
        if name
    ]
    alias: dict[str, str] = {}
    columns: dict[str, Any] = {}
    ids: dict[str, Any] = {}
    labels: dict[str, str] = {}

    def add(key: str, label: str, values: Any) -> str:
        name = f"v{len(alias):03d}"
        alias[key], columns[name], labels[name] = name, values, label
        return name

    for name in order:
        values = work.held[name].astype("float64")
        add(name, roles.names.get(name, "cohort"), values)

    def coded(key: str, label: str, values: np.ndarray[Any, Any]) -> str:
        if key in alias:
            return alias[key]
        codes, found = pd.factorize(values, sort=False)
        name = add(key, label, codes.astype("int64"))
        ids[name] = found
        return name

    for name in roles.groups():
        coded(name, roles.names[name].rstrip(HIDDEN), work.held[name])
    unit = None
    if panel.unit:
        values = panel.frame[panel.unit].to_numpy()
        unit = coded("\x00unit", panel.unit, values)
    time = None
    if panel.time:
        time = add("\x00time", panel.time, panel.frame[panel.time].to_numpy("int64"))
    treatment = None
    if assigned:
        treatment = Treatment(
            kind="dose" if roles.replaced else assigned.kind,  # type: ignore[arg-type]  # validated by pydantic
            columns=tuple(alias[n] for n in roles.treatment),
            judged=tuple(alias[n] for n in (interactions or roles.treatment)),
            moderators=tuple(alias[n] for n in moderators),
            first_group=roles.first_group,
            cohort=alias[roles.cohort] if roles.cohort else None,
            anticipation=model.treatment.anticipation if model.treatment else 0,
            series=None if roles.replaced else _series(work, assigned, unit, ids),
        )
    written = inference_of(model, panel)
    naming = ("name", "by", "cluster", *places_of(written))
    inference = Inference(
        written["name"],
        tuple(alias[c] for c in roles.clusters),
        {k: v for k, v in written.items() if k not in naming},
        tuple(alias[c] for c in roles.places),
    )
    weights = None
    if roles.weights:
        # Those of a matched sample are sampling weights: they say whom a row stands for.
        kind: Any = model.weights["name"] if model.weights else "probability"
        weights = Weights(kind, alias[roles.weights])
    return Request(
        frame=pd.DataFrame(columns),
        outcome=alias[roles.outcome] if roles.outcome else "",
        treatment=treatment,
        controls=tuple(alias[n] for n in roles.controls),
        fixed_effects=tuple(alias[n] for n in roles.effects),
        slopes=tuple(Slope(alias[v], alias[b]) for v, b in roles.slopes),
        instruments=tuple(alias[n] for n in roles.instruments),
        mediators=tuple(alias[n] for n in roles.mediators),
        weights=weights,
        inference=inference,
        unit=unit,
        time=time,
        labels=labels,
        ids=ids,
        rows=work.rows,
        estimand=_estimands(model, estimator),
        confidence=model.confidence,
        seed=seed,
        acknowledge=frozenset(model.acknowledge),
    )


def _with_weights(request: Request, spatial: Spatial) -> tuple[Request, list[str]]:
    """The request with spatial weights in the order of its unit codes."""
    if not spatial.by_role or request.unit is None:
        return request, []
    problems: list[Problem] = []
    units = list(request.ids[request.unit])
    found, notes = aligned(spatial, units, problems)
    _raise(problems)
    return replace(request, spatial=found), [*spatial.notes(), *notes]


def _estimands(model: Model, estimator: Estimator) -> tuple[str, ...]:
    """What is asked for, as far as the estimator gives it; else its default."""
    asked = model.estimand if isinstance(model.estimand, list) else [model.estimand]
    given = estimator.gives()
    return tuple(e for e in asked if e in given) or given[:1]


def _other_estimand(model: Model, estimator: Estimator) -> list[str]:
    asked = model.estimand if isinstance(model.estimand, list) else [model.estimand]
    given = estimator.gives()
    if model.estimand is None or any(e in given for e in asked):
        return []
    listed = ", ".join(map(str, asked))
    name = model.estimator["name"]
    return [f"{name} does not estimate {listed}: this is its {given[0]}"]


def _series(
    work: Working, assigned: Assigned, unit: str | None, ids: Mapping[str, Any]
) -> pd.DataFrame | None:
    """The main treatment over the whole prepared panel, in the request's unit codes."""
    import pandas as pd

    panel = work.source
    if unit is None or panel.unit is None or panel.time is None:
        return None
    codes = pd.Index(ids[unit]).get_indexer(panel.frame[panel.unit])
    values = next(iter(assigned.columns.values()))
    columns = {"unit": codes, "time": panel.frame[panel.time].to_numpy()}
    columns["value"] = values
    if assigned.cohort is not None:
        columns["cohort"] = assigned.cohort
    held = pd.DataFrame(columns)
    inside = codes >= 0
    return held if inside.all() else held[inside].reset_index(drop=True)
