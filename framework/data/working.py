"""Working columns: the model's terms as arrays beside the panel's rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from framework.condition import number_fix
from framework.contract import Estimator, Restriction, Step
from framework.data.columns import refuse_unusable
from framework.data.treatment import Assigned
from framework.errors import (
    DataError,
    EstimandError,
    Phase,
    Problem,
    SpecError,
    counted,
    no_column,
)
from framework.panel import Panel
from framework.spec import choices, terms
from framework.spec.inference import places_of
from framework.spec.model import Model
from framework.spec.terms import Built, Cells, Column, SlopeTerm, Term

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: Marks names of working columns and labels of groups: no file can hold it.
HIDDEN = "\x00"
COHORT = f"{HIDDEN}cohort"
_SHOWN = 3


@dataclass(slots=True)
class Working:
    """The panel and the working columns beside it, while a design is built.

    Attributes:
        panel: the rows still in the sample.
        source: the prepared panel, all its rows.
        held: working column -> values, row by row as `panel`.
        hidden: label -> working column.
        rows: positions of the panel's rows in `source`.
    """

    panel: Panel
    groups: Mapping[str, Sequence[str]]
    problems: list[Problem] = field(default_factory=list)
    held: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict)
    source: Panel = field(init=False)
    rows: np.ndarray[Any, Any] = field(init=False)

    def __post_init__(self) -> None:
        import numpy as np

        self.source = self.panel
        self.rows = np.arange(len(self.panel.frame))

    @property
    def n(self) -> int:
        return len(self.panel.frame)

    def put(self, label: str, values: Any) -> str:
        """Add a working column; the same label with the same values is one column.

        A treatment that was moved keeps its label, and the column as it is in the data
        may stand in a control beside it: neither overwrites the other.
        """
        import numpy as np

        given = np.asarray(values)
        key = label
        while key in self.hidden:
            if _equal(self.held[self.hidden[key]], given):
                return self.hidden[key]
            key += HIDDEN
        name = self.hidden[key] = f"{HIDDEN}{len(self.hidden)}"
        self.held[name] = given
        return name

    def keep(self, panel: Panel, rows: np.ndarray[Any, Any]) -> None:
        """Go on with these rows, given as positions in the present panel."""
        self.panel = panel
        self.rows = self.rows[rows]
        self.held = {name: values[rows] for name, values in self.held.items()}


def _equal(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    """The same values, missing ones too, whether whole numbers or not."""
    import numpy as np
    import pandas as pd

    if one.dtype.kind in "biuf" and other.dtype.kind in "biuf":
        return np.array_equal(one.astype(float), other.astype(float), equal_nan=True)
    return pd.Series(one).equals(pd.Series(other))


@dataclass(slots=True)
class Roles:
    """Working columns by role; labels are the keys' counterparts in `work.hidden`."""

    outcome: str | None = None
    treatment: list[str] = field(default_factory=list)
    judged: list[str] = field(default_factory=list)
    controls: list[str] = field(default_factory=list)
    instruments: list[str] = field(default_factory=list)
    mediators: list[str] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    slopes: list[tuple[str, str]] = field(default_factory=list)
    clusters: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    moderator: str | None = None
    main_effects: list[str] = field(default_factory=list)  # controls nobody wrote
    first_group: str = ""
    replaced: bool = False  # other columns than the assigned stand for the treatment
    weights: str | None = None
    cohort: str | None = None
    sets: dict[str, str] = field(default_factory=dict)  # restriction -> working column
    names: dict[str, str] = field(default_factory=dict)  # working column -> label
    notes: list[str] = field(default_factory=list)  # printed under the table

    def numbers(self) -> list[str]:
        """Columns that must be numbers without gaps."""
        found = [
            self.outcome,
            *self.treatment,
            *self.controls,
            *self.instruments,
            *self.mediators,
            *(variable for variable, _ in self.slopes),
            *self.places,
            self.weights,
        ]
        return [name for name in dict.fromkeys(found) if name]

    def groups(self) -> list[str]:
        """Columns that are groups."""
        found = [*self.effects, *self.clusters, *(by for _, by in self.slopes)]
        return list(dict.fromkeys(found))


def resolve_terms(
    work: Working, model: Model, estimator: Estimator, assigned: Assigned | None
) -> Roles:
    """Every term of the model as working columns; faults go to `work.problems`."""
    roles = Roles()
    uses = estimator.demands().uses
    diagnostic = type(estimator).estimates == "diagnostic"
    if model.outcome is not None:
        term = terms.parse(model.outcome)
        found = caught(work, "model.outcome", lambda: numbers_of(work, term, roles))
        roles.outcome = found[0] if found else None
    if assigned:
        for label, values in assigned.columns.items():
            roles.treatment.append(named(work, roles, label, values))
        if assigned.cohort is not None:
            roles.cohort = work.put(COHORT, assigned.cohort)
    for field_ in ("controls", "instruments", "mediators"):
        if field_ in uses or diagnostic:
            listed = _listed(work, roles, getattr(model, field_), f"model.{field_}")
            found = [c for c in listed if c not in roles.treatment]
            # An instrument that is the treatment stays, for the estimator to refuse.
            setattr(roles, field_, listed if field_ == "instruments" else found)
            if not diagnostic:
                _tell_doubled(work, roles, listed, field_)
            _refuse_namesakes(work, roles, found, f"model.{field_}")
    if "fixed_effects" in uses:
        _effects(work, roles, model)
    if "inference" in uses:
        _standing(work, roles, model)
    if model.interact is not None and "interact" in uses:
        moderator = terms.parse(model.interact.with_)
        found = caught(work, "model.interact", lambda: [_raw(work, moderator, roles)])
        roles.moderator = found[0] if found else None
    if model.weights is not None and "weights" in uses:
        weight = Column(model.weights["column"])
        found = caught(work, "model.weights", lambda: numbers_of(work, weight, roles))
        roles.weights = found[0] if found else None
    return roles


def _listed(work: Working, roles: Roles, written: Any, path: str) -> list[str]:
    found: list[str] = []
    for term in terms.parse_list(written, work.groups):
        found += _listed_term(work, roles, term, path)
    return list(dict.fromkeys(found))


def _tell_doubled(
    work: Working, roles: Roles, listed: Sequence[str], role: str
) -> None:
    """The treatment in another role: beside itself as a control it changes nothing."""
    for name in (roles.names[c] for c in listed if c in roles.treatment):
        if role == "controls":
            roles.notes.append(
                f"'{name}' is the treatment and stands among the controls too: it is in "
                "the model once, as the treatment"
            )
        elif role == "mediators":
            work.problems.append(
                Problem(
                    Phase.DESIGN,
                    "I03",
                    f"'{name}' is the treatment and stands in mediators too",
                    why="nothing of its effect would be left beside it",
                    fix="a mediator is a column that the treatment moves",
                    path="model.mediators",
                )
            )


def _refuse_namesakes(
    work: Working, roles: Roles, found: Sequence[str], path: str
) -> None:
    """Two columns of one name: no table or expectation could tell their rows apart."""
    treated = {roles.names[t] for t in roles.treatment}
    work.problems += [
        Problem(
            Phase.DESIGN,
            "I03",
            f"'{roles.names[c]}' is the treatment, and a column of other values in the "
            "data",
            why="their coefficients would stand under one name",
            fix="another name for one of them: data.steps: {other: {derive: "
            f"`{roles.names[c]}`}}}}",
            path=path,
        )
        for c in found
        if roles.names[c] in treated
    ]


def _effects(work: Working, roles: Roles, model: Model) -> None:
    path = "model.fixed_effects"
    for term in terms.parse_list(model.fixed_effects, work.groups, slopes=True):
        if not isinstance(term, SlopeTerm):
            roles.effects += _grouped(work, roles, term, path)
            continue
        for variable in _listed_term(work, roles, term.variable, path):
            for by in _grouped(work, roles, term.by, path):
                roles.slopes.append((variable, by))


def _listed_term(work: Working, roles: Roles, term: Term, path: str) -> list[str]:
    return caught(work, path, lambda: numbers_of(work, term, roles))


def _grouped(work: Working, roles: Roles, term: Term, path: str) -> list[str]:
    return caught(work, path, lambda: [_group(work, term, roles)])


def _cluster_terms(work: Working, model: Model) -> tuple[Term, ...]:
    inference = inference_of(model, work.panel)
    by = inference.get("by", inference.get("cluster"))
    return terms.parse_list(by, work.groups) if by else ()


def _standing(work: Working, roles: Roles, model: Model) -> None:
    """Columns that standard errors stand on: clusters, places."""
    for term in _cluster_terms(work, model):
        if isinstance(term, Column) and _is_sets(work, model, term.name):
            made = caught(
                work, "model.inference", partial(_sets, work, roles, model, term)
            )
            roles.clusters += made
            continue
        roles.clusters += _grouped(work, roles, term, "model.inference")
    for key, column in places_of(inference_of(model, work.panel)).items():
        path = f"model.inference.{key}"
        roles.places += _listed_term(work, roles, Column(column), path)


def _is_sets(work: Working, model: Model, name: str) -> bool:
    """Does a cluster name a restriction of the sample and not a column?"""
    return name in plugins_of(model) and name not in work.panel.frame.columns


def _sets(work: Working, roles: Roles, model: Model, term: Column) -> list[str]:
    """A column that the restriction fills when it chooses the rows.

    Raises:
        SpecError: I09 the restriction makes no sets.
    """
    import numpy as np

    if not plugins_of(model)[term.name].sets():
        raise SpecError(
            "I09",
            f"'{term.name}' makes no sets of rows that errors could be clustered by",
            why="sets are what a match without replacement makes; with it an untreated "
            "unit belongs to several treated ones",
            fix="match: {replacement: false}, or cluster by a column",
        )
    if term.name not in roles.sets:
        empty = np.full(work.n, term.name, dtype=object)
        roles.sets[term.name] = named(
            work, roles, f"sets of {term.name}{HIDDEN}", empty
        )
    return [roles.sets[term.name]]


def plugins_of(model: Model) -> dict[str, Restriction]:
    """The restrictions of the sample that are plugins, by the user's names."""
    found = {}
    for name, flat in model.sample.items():
        if not choices.is_planned("restriction", flat["name"]):
            built = choices.build("restriction", flat)
            if isinstance(built, Restriction):
                found[name] = built
    return found


def inference_of(model: Model, panel: Panel) -> Mapping[str, Any]:
    """As written; by default clustered by unit, or by groups treated together."""
    if model.inference is not None:
        return model.inference
    if panel.kind == "panel":
        return {"name": "cluster", "by": panel.unit}
    if model.treatment is not None and model.treatment.by:
        return {"name": "cluster", "by": model.treatment.by}
    return {"name": "hetero"}


def caught(work: Working, path: str, make: Callable[[], list[str]]) -> list[str]:
    """What `make` gives, or nothing and its problems noted at `path`."""
    try:
        found = make()
    except EstimandError as error:
        work.problems += [p.at(path=path) for p in error.problems]
        return []
    return found


def where(panel: Panel, index: int) -> str:
    """A row as its unit and period, or its number."""
    return panel.row(index) or f"row {index + 1}"


def named(work: Working, roles: Roles, label: str, values: Any) -> str:
    """A working column with the label that tables will show."""
    name = work.put(label, values)
    roles.names[name] = label
    return name


def column_of(work: Working, name: str) -> pd.Series[Any]:
    """A user's column.

    Raises:
        EstimandError: X51 there is none of that name; D07 its cells are no data.
    """
    refuse_unusable(work.panel, [name])
    frame = work.panel.frame
    if name in frame.columns:
        return frame[name]
    known = list(map(str, frame.columns))
    raise EstimandError(no_column(name, "", known))


def numbers_of(work: Working, term: Term, roles: Roles) -> list[str]:
    """A term as one or (dummies) several numeric working columns."""
    if isinstance(term, Column):
        series = column_of(work, term.name)
        return [named(work, roles, term.label, _as_number(work, term.name, series))]
    if isinstance(term, Built):
        made = _built(work, term)
        return [named(work, roles, label, made[label]) for label in made]
    if isinstance(term, Cells):
        combined: dict[str, Any] = {"": 1.0}
        for part in term.parts:
            held = [
                (roles.names[n], work.held[n]) for n in numbers_of(work, part, roles)
            ]
            combined = {
                f"{left} × {label}" if left else label: values * series
                for left, values in combined.items()
                for label, series in held
            }
        return [named(work, roles, label, v) for label, v in combined.items()]
    raise EstimandError(
        Problem(Phase.SPEC, "X16", "`slope` stands in fixed_effects only")
    )


def _as_number(
    work: Working, name: str, series: pd.Series[Any]
) -> np.ndarray[Any, Any]:
    import numpy as np
    import pandas as pd

    if pd.api.types.is_bool_dtype(series.dtype) or pd.api.types.is_numeric_dtype(
        series.dtype
    ):
        return series.to_numpy(dtype="float64", na_value=float("nan"))
    if series.dtype.kind == "M":
        raise holds_dates(
            name, f"a year or a count of days; for groups {{dummies: {name}}}"
        )
    fails = pd.to_numeric(series, errors="coerce").isna() & series.notna()
    odd = series[fails]
    shown = ", ".join(repr(v) for v in odd.unique()[:_SHOWN])
    reading = f"data.columns.{name}: {{type: number}}"
    if len(odd):
        reading = number_fix(name, odd)
    raise EstimandError(
        Problem(
            Phase.DATA,
            "D07",
            f"'{name}' should be a number and is text"
            + (
                f": {counted(len(odd), 'cell')} such as {shown} "
                f"(first: {where(work.panel, int(np.argmax(fails)))})"
                if len(odd)
                else ""
            ),
            why="an engine would make one dummy for every word of it",
            fix=f"{reading}; for categories {{dummies: {name}}}",
        )
    )


def holds_dates(name: str, fix: str) -> DataError:
    """Dates where a number stands: as one they would count nanoseconds."""
    return DataError(
        "D07",
        f"'{name}' holds dates, not numbers",
        why="the number of a date depends on the day and the unit it is counted in",
        fix=fix,
    )


def _built(work: Working, term: Built) -> dict[str, Any]:
    """The column_of(s) a step makes in place, by label."""
    step = choices.build("step", term.step)
    assert isinstance(step, Step)  # noqa: S101 - the kind says so
    visible = work.panel.frame.columns
    for column in step.reads(term.label):
        column_of(work, column)
    output = step.apply(work.panel, term.label, frozenset())
    frame = output.panel.frame
    if len(frame) != work.n:
        raise EstimandError(
            Problem(
                Phase.SPEC,
                "X16",
                f"step '{term.step['name']}' changes rows, so it can't be a term",
                fix="put it in data.steps",
            )
        )
    new = [c for c in frame.columns if c not in visible]
    return {str(c): _as_number(work, str(c), frame[c]) for c in new}


def _raw(work: Working, term: Term, roles: Roles) -> str:
    """A moderator: a number or groups, as the column is."""
    if isinstance(term, Column):
        series = column_of(work, term.name)
        if series.dtype.kind == "M":
            raise holds_dates(
                term.name,
                f"a year or a count of days; for groups data.columns: {{{term.name}: "
                "{type: text}}",
            )
        return named(work, roles, term.label, series.to_numpy())
    names = numbers_of(work, term, roles)
    if len(names) != 1:
        raise EstimandError(Problem(Phase.SPEC, "X16", "a moderator is one column"))
    return names[0]


def _group(work: Working, term: Term, roles: Roles) -> str:
    """A term as groups: integer codes, -1 where missing, ids kept by label."""
    import pandas as pd

    if isinstance(term, Cells):
        parts = [_group_values(work, part) for part in term.parts]
        index = pd.MultiIndex.from_arrays(parts)
        missing = pd.DataFrame(dict(enumerate(parts))).isna().any(axis=1).to_numpy()
        values = pd.Series(index.to_flat_index(), dtype=object)
        return named(
            work, roles, f"{term.label}{HIDDEN}", values.mask(missing).to_numpy()
        )
    return named(
        work, roles, f"{term.label}{HIDDEN}", _group_values(work, term).to_numpy()
    )


def _group_values(work: Working, term: Term) -> pd.Series[Any]:
    import pandas as pd

    if isinstance(term, Column):
        return column_of(work, term.name).reset_index(drop=True)
    if isinstance(term, Built):
        made = _built(work, term)
        if len(made) == 1:
            return pd.Series(next(iter(made.values())))
    raise EstimandError(
        Problem(Phase.SPEC, "X16", f"'{term.label}' can't be groups of rows")
    )
