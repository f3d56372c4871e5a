"""From a request to the arrays that learners see, in an order that data can't change."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from estimators._double.transform import BINARY, Transform, transformed
from estimators._math.folds import content_names, folds_of, places, spoken
from estimators._math.projection import Codes, Flags, Floats, contiguous, nested
from framework.errors import (
    DataError,
    EstimandError,
    IdentificationError,
    NumericalError,
    Problem,
    SpecError,
    counted,
)

if TYPE_CHECKING:
    from framework.contract import Request

Kind = Literal["plr", "irm", "pliv", "iivm", "ssm", "qte"]
#: Levels of a fixed effect that enter as 0/1 features at most.
MOST_LEVELS = 200
#: Groups that `by_group` shows at most.
MOST_GROUPS = 20
#: Spread of a column, relative, that is rounding.
ROUNDING = 1e-8
#: Clusters in each fold at least: one would leave its fold's score without variance.
CLUSTERS_A_FOLD = 2
#: Rows in each fold at least, and rows per feature.
ROWS_A_FOLD, ROWS_A_FEATURE = 20, 2
#: Rows of either arm that a training sample needs at least.
ROWS_OF_AN_ARM = 10
FEW_CLUSTERS, FEW_TREATED = 10, 5
#: Names that a message lists.
SHOWN = 6
#: Share of a treatment's variance that has to be left after the features.
LEFT = 1e-6


@dataclass(frozen=True, slots=True)
class Column:
    """A treatment or instrument: (n,) values as the score uses them, its name.

    Attributes:
        level: (n,) values before the transform.
        estimand: of its coefficient.
        means: (n,) unit means, where correlated random effects need them.
    """

    values: Floats
    term: str
    level: Floats
    estimand: str = "coefficient"
    means: Floats | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """Everything the scores need, rows in canonical order.

    Attributes:
        outcome: (n,); `outcome_term` its name.
        treatments: the judged first; `moderators` (n, q) and `products` (q names of
            treatment × moderator) where the study interacts.
        X: (n, p) features of the nuisances; `features` their names.
        group: (n,) what folds keep together; `group_names` (G,) identify it, `by` says
            what it is.
        cluster: (n,) 0..C-1 or None; `ids` (C,) or (n,) index the influence functions.
        unit, time, cohort: (n,) or None; `unit_names` (U,) identify units.
        controls: names of the features that are the study's controls.
        n_given: rows of the request.
        mediators: (n, m) values, none outside mediation; `mediator_terms` their names.
        seen: (n,) 1 where the outcome is observed; elsewhere `outcome` is 0.
        first_group: name of the group that has no moderator column of its own.
    """

    kind: Kind
    outcome: Floats
    outcome_term: str
    treatments: tuple[Column, ...]
    instruments: tuple[Column, ...]
    moderators: Floats
    moderator_terms: tuple[str, ...]
    products: tuple[str, ...]
    X: Floats
    features: tuple[str, ...]
    group: Codes
    group_names: tuple[str, ...]
    by: str
    cluster: Codes | None
    cluster_term: str
    ids: Any
    unit: Codes | None
    unit_names: tuple[str, ...]
    time: Codes | None
    cohort: Floats | None
    controls: frozenset[str]
    absorbing: bool
    transform: Transform
    n_given: int
    notes: tuple[str, ...]
    mediators: Floats
    mediator_terms: tuple[str, ...]
    seen: Floats
    first_group: str = ""

    @property
    def n(self) -> int:
        return len(self.outcome)

    @property
    def main(self) -> int:
        """Position of the main treatment; products with a moderator stand before it."""
        own = [i for i, c in enumerate(self.treatments) if c.estimand != "interaction"]
        return own[0]

    @property
    def d(self) -> Floats:
        """The main treatment (n,)."""
        return self.treatments[self.main].values

    def groups(self) -> tuple[tuple[str, ...], Floats]:
        """Groups of the moderator: their names (q,) and 0/1 columns (n, q).

        Raises:
            SpecError: X23 no moderator, or one with too many values.
        """
        terms, values = self.moderator_terms, self.moderators
        if not terms:
            raise SpecError(
                "X23",
                "estimand by_group needs model.interact with its main effect",
                fix="interact: {with: column}",
                path="model.estimand",
            )
        if len(terms) > 1 or self.first_group:
            rest = 1.0 - values.sum(axis=1, keepdims=True)
            every = (self.first_group or "the first group", *terms)
            return every, np.column_stack([rest, values])
        levels = np.unique(values[:, 0])
        if len(levels) > MOST_GROUPS:
            raise SpecError(
                "X23",
                f"'{terms[0]}' has {len(levels)} values: too many for by_group",
                fix="interact: {with: {quantiles: {column: ..., number: 5}}}",
                path="model.interact",
            )
        names = tuple(group_name(terms[0], f"{level:g}") for level in levels)
        return names, (values == levels).astype(np.float64)

    def folds(self, number: int, seed: int, repetition: int) -> Codes:
        """Fold (n,) of each row."""
        rank = places(self.group_names, seed, repetition)
        return folds_of(rank, number)[self.group]


def group_name(term: str, level: str) -> str:
    """A value of a moderator; of the step `quantiles` `1 of 5 by quantiles of income`."""
    made = re.fullmatch(
        r"quantiles\((?P<of>[^(),]+)(?:, at (?P<at>\d+))?, number (?P<number>\d+)"
        r"(?:, at (?P<when>\d+))?\)",
        term,
    )
    if made is None:
        return f"{term} = {level}"
    at = made["at"] or made["when"]
    said = f"{level} of {made['number']} by quantiles of {made['of']}"
    return f"{said} in {at}" if at else said


def read(request: Request, kind: Kind, transform: Transform, folds: int) -> Sample:
    """Read, transform, order and guard a request.

    Raises:
        DataError: D05 no rows, D06 constant outcome.
        IdentificationError: I01, I02 treatment without variation, I05, I08 few
            clusters, I10 what the design can't carry, M01 and M03 folds too small, M02
            a treatment that the controls give exactly, M04 arms too small.
    """
    if not len(request.frame):
        raise DataError("D05", "no rows are left for the estimation")
    _refuse_what_is_not_done(request, kind)
    if kind == "ssm" and transform != "none":
        raise SpecError(
            "X23",
            f"kind ssm has no transform {transform}: outcomes that are not seen have no "
            "unit means and no changes",
            fix="transform: none",
            path="model.estimator.transform",
        )
    sample = _in_order(transformed(_plain(request, kind, transform), transform))
    problems = [
        *_vary(sample),
        *_sizes(sample, folds, request.acknowledge),
        *_group_sizes(sample, request),
    ]
    if problems:
        raise EstimandError(problems)
    _left(sample)
    return replace(sample, notes=(*sample.notes, *_unit_effects(sample, request)))


def _values(request: Request, alias: str) -> Floats:
    return request.frame[alias].to_numpy(dtype=np.float64)


def _name(request: Request, alias: str) -> str:
    return str(request.labels.get(alias, alias))


def _by_name(request: Request, aliases: Sequence[str]) -> list[str]:
    """Columns in the order of their names: forests draw, lassos cycle by position."""
    return sorted(dict.fromkeys(aliases), key=lambda alias: _name(request, alias))


def _refuse_what_is_not_done(request: Request, kind: Kind) -> None:
    if request.slopes:
        raise SpecError(
            "X23",
            "double machine learning does not use slopes",
            fix="transform: first_difference removes trends of units that are straight",
            path="model.fixed_effects",
        )
    if len(request.inference.clusters) > 1:
        raise SpecError(
            "X23",
            "double machine learning takes one cluster",
            why="With two, each row has to be predicted from rows that share neither.",
            fix="the coarser of the two",
            path="model.inference",
        )
    treatment = request.treatment
    if treatment is None:
        raise SpecError(
            "X20", "double_ml needs model.treatment", path="model.treatment"
        )
    if kind != "plr" and len(treatment.columns) > 1:
        raise SpecError(
            "X23",
            f"double_ml with kind {kind} takes one treatment",
            fix="kind: plr takes several",
            path="model.treatment",
        )
    if request.estimand[:1] == ("by_group",) and len(treatment.columns) > 1:
        raise SpecError(
            "X23",
            "estimand by_group takes one treatment",
            why="The others would be left in the error of the one that is shown.",
            fix="one treatment on this line, or estimand: interaction",
            path="model.treatment",
        )
    if kind in BINARY:
        _binary(request, treatment.columns[0], "treatment", kind)
    if kind == "iivm" or (kind == "qte" and request.instruments):
        if len(request.instruments) > 1:
            raise SpecError(
                "X23",
                f"double_ml with kind {kind} takes one instrument",
                fix="kind: pliv takes several",
                path="model.instruments",
            )
        _binary(request, request.instruments[0], "instrument", kind)


def _binary(request: Request, alias: str, role: str, kind: Kind) -> None:
    values = _values(request, alias)
    if not np.isin(values, (0.0, 1.0)).all():
        raise IdentificationError(
            "I10",
            f"kind {kind} needs a 0/1 {role}; '{_name(request, alias)}' has other values",
            fix="kind: plr (or pliv) takes any number",
            path=f"model.{role}" + ("s" if role == "instrument" else ""),
        )


# -- reading --------------------------------------------------------------------------


def _plain(request: Request, kind: Kind, transform: Transform) -> Sample:
    """The request's arrays, in the request's order, nothing transformed."""
    frame, treatment = request.frame, request.treatment
    assert treatment is not None  # noqa: S101 - refused before
    judged = dict.fromkeys((*treatment.judged, *treatment.columns))
    if kind in BINARY or request.estimand[:1] == ("by_group",):
        judged = dict.fromkeys(treatment.columns)
    treatments = tuple(
        Column(
            values := _values(request, alias),
            _name(request, alias),
            values,
            "coefficient" if alias in treatment.columns else "interaction",
        )
        for alias in judged
    )
    instruments = tuple(
        Column(values := _values(request, a), _name(request, a), values)
        for a in request.instruments
    )
    unit = None
    if request.unit:
        unit = contiguous(frame[request.unit].to_numpy(dtype=np.int64))[0]
    time = frame[request.time].to_numpy(dtype=np.int64) if request.time else None
    mediators = tuple(_by_name(request, request.mediators))
    taken = {*judged, *request.instruments, *mediators, request.outcome}
    controls = [c for c in _by_name(request, request.controls) if c not in taken]
    X = np.column_stack(
        [np.empty((len(frame), 0)), *(_values(request, c) for c in controls)]
    )
    outcome = _values(request, request.outcome)
    seen = np.isfinite(outcome)
    sample = Sample(
        kind=kind,
        outcome=np.where(seen, outcome, 0.0),
        outcome_term=_name(request, request.outcome),
        treatments=treatments,
        instruments=instruments,
        moderators=np.column_stack(
            [np.empty((len(frame), 0))]
            + [_values(request, a) for a in treatment.moderators]
        ),
        moderator_terms=tuple(_name(request, a) for a in treatment.moderators),
        products=tuple(
            _name(request, a) for a in treatment.judged if a not in treatment.columns
        ),
        X=X,
        features=tuple(_name(request, c) for c in controls),
        group=np.arange(len(frame)),
        group_names=(),
        by="row",
        cluster=None,
        cluster_term="row",
        ids=None,
        unit=unit,
        unit_names=(),
        time=time,
        cohort=_values(request, treatment.cohort) if treatment.cohort else None,
        controls=frozenset(_name(request, c) for c in controls),
        absorbing=treatment.kind == "absorbing",
        transform="none",
        n_given=len(frame),
        notes=(),
        mediators=np.column_stack(
            [np.empty((len(frame), 0)), *(_values(request, m) for m in mediators)]
        ),
        mediator_terms=tuple(_name(request, m) for m in mediators),
        seen=seen.astype(np.float64),
        first_group=treatment.first_group,
    )
    return _grouped(_with_effects(sample, request, transform), request)


def _with_effects(sample: Sample, request: Request, transform: Transform) -> Sample:
    """Fixed effects that are neither the unit's nor the period's, as 0/1 features."""
    left = unit_effects_left(request, transform)
    columns, names = [sample.X], list(sample.features)
    period = None if sample.time is None else contiguous(sample.time)[0]
    for alias in _by_name(request, request.fixed_effects):
        codes, levels = contiguous(request.frame[alias].to_numpy(dtype=np.int64))
        name = _name(request, alias)
        if period is not None and nested(period, codes):
            continue  # period effects are always handled
        of_units = sample.unit is not None and nested(codes, sample.unit)
        if of_units and (alias in left or transform != "none"):
            continue  # the transform's business; `read` says so where there is none
        if levels > MOST_LEVELS:
            raise IdentificationError(
                "I10",
                f"fixed effect '{name}' has {levels} levels: too many 0/1 features",
                fix="a coarser effect, or transform: within where units carry it",
                path="model.fixed_effects",
            )
        columns.append((codes[:, None] == np.arange(1, levels)).astype(np.float64))
        names += [f"{name} {k}" for k in range(1, levels)]
    return replace(sample, X=np.column_stack(columns), features=tuple(names))


def unit_effects_left(request: Request, transform: Transform) -> tuple[str, ...]:
    """Listed effects of units, and of many groups of them, that no transform removes.

    Those of few groups of units enter as 0/1 features, as other effects do.
    """
    if transform != "none" or request.unit is None:
        return ()
    unit = request.frame[request.unit].to_numpy(dtype=np.int64)
    units, left = len(np.unique(unit)), []
    for alias in request.fixed_effects:
        codes = request.frame[alias].to_numpy(dtype=np.int64)
        if nested(codes, unit) and len(np.unique(codes)) >= min(units, MOST_LEVELS + 1):
            left.append(alias)
    return tuple(left)


def _unit_effects(sample: Sample, request: Request) -> tuple[str, ...]:
    """A note where the study lists unit effects and no transform removes them."""
    left = unit_effects_left(request, sample.transform)
    if not left:
        return ()
    listed = ", ".join(f"'{_name(request, alias)}'" for alias in left)
    note = f"effects of {listed} are not removed: transform is none "
    return (
        note + "(first_difference, within, two_way, correlated_random_effects do it)",
    )


def _grouped(sample: Sample, request: Request) -> Sample:
    """What folds keep together: the coarsest of row, unit and cluster."""
    frame, inference = request.frame, request.inference
    rows = np.arange(len(frame)) if request.rows is None else np.asarray(request.rows)
    ids: Any = rows
    cluster, cluster_term = None, "row"
    if inference.name == "cluster" and inference.clusters:
        alias = inference.clusters[0]
        raw = frame[alias].to_numpy(dtype=np.int64)
        levels, cluster = np.unique(raw, return_inverse=True)
        cluster, cluster_term = cluster.astype(np.int64), _name(request, alias)
        ids = np.asarray(request.ids[alias], dtype=object)[levels]
    unit_names: tuple[str, ...] = ()
    if request.unit:
        levels = np.unique(frame[request.unit].to_numpy(dtype=np.int64))
        known = request.ids.get(request.unit)
        unit_names = tuple(spoken(u if known is None else known[u]) for u in levels)
    kept = replace(
        sample,
        cluster=cluster,
        cluster_term=cluster_term,
        ids=ids,
        unit_names=unit_names,
    )
    if sample.unit is None and cluster is None:
        return kept  # rows; named by what is in them once they are transformed
    if sample.unit is None or (cluster is not None and nested(sample.unit, cluster)):
        assert cluster is not None  # noqa: S101 - one of the two is there
        names = tuple(spoken(i) for i in ids)
        return replace(kept, group=cluster, group_names=names, by=cluster_term)
    if cluster is not None and not nested(cluster, sample.unit):
        raise IdentificationError(
            "I10",
            f"folds can keep neither units nor '{cluster_term}' apart: they cross",
            why="A row would be predicted from rows of its own unit or cluster.",
            fix="a cluster that contains whole units",
            path="model.inference",
        )
    by = _name(request, str(request.unit))
    return replace(kept, group=sample.unit, group_names=unit_names, by=by)


# -- order ----------------------------------------------------------------------------


def _in_order(sample: Sample) -> Sample:
    """Rows in the order of a hash of their names: fits are the same bit for bit."""
    treatments = np.column_stack([c.values for c in sample.treatments])
    rest = np.column_stack(
        [
            sample.outcome,
            *(c.values for c in sample.instruments),
            *sample.mediators.T,
            sample.seen,
        ]
    )
    names, group, group_names = None, sample.group, sample.group_names
    if sample.unit is None:
        names = content_names(sample.X, treatments, rest)
        if not group_names:
            group, group_names = np.arange(sample.n), tuple(names)
    keys: list[Any] = [places(group_names, 0, -1)[group]]
    if sample.unit is not None:
        assert sample.time is not None  # noqa: S101 - a panel has periods
        keys += [places(sample.unit_names, 0, -2)[sample.unit], sample.time]
    elif names is not None:
        keys.append(places(names, 0, -2))
    order = np.lexsort(keys[::-1])
    return _rows(replace(sample, group=group, group_names=group_names), order)


def _rows(sample: Sample, order: Codes) -> Sample:
    """The sample with these rows in this order; codes stay as they are."""

    def column(c: Column) -> Column:
        means = None if c.means is None else c.means[order]
        return replace(c, values=c.values[order], level=c.level[order], means=means)

    def of(values: Any) -> Any:
        return None if values is None else values[order]

    ids = sample.ids if sample.cluster is not None else of(sample.ids)
    return replace(
        sample,
        outcome=sample.outcome[order],
        treatments=tuple(map(column, sample.treatments)),
        instruments=tuple(map(column, sample.instruments)),
        moderators=sample.moderators[order],
        mediators=sample.mediators[order],
        seen=sample.seen[order],
        X=np.ascontiguousarray(sample.X[order]),
        group=sample.group[order],
        cluster=of(sample.cluster),
        ids=ids,
        unit=of(sample.unit),
        time=of(sample.time),
        cohort=of(sample.cohort),
    )


# -- guards ---------------------------------------------------------------------------


def _vary(sample: Sample) -> list[Problem]:
    """Columns without variation, before and after the transform."""
    problems: list[Problem] = []
    if sample.kind == "ssm" and sample.seen.all():
        problems += SpecError(
            "X23",
            f"kind ssm is for outcomes that are missing for some; '{sample.outcome_term}' "
            "is seen in every row",
            fix="kind: irm, or leave the cells of unseen outcomes empty",
            path="model.estimator.kind",
        ).problems
    if not sample.seen.any():
        problems += DataError(
            "D05", f"outcome '{sample.outcome_term}' is observed in no row"
        ).problems
    elif not np.ptp(sample.outcome[sample.seen == 1]):
        problems += DataError(
            "D06", f"outcome '{sample.outcome_term}' does not vary in the sample"
        ).problems
    for role, columns in (
        ("treatment", sample.treatments),
        ("instrument", sample.instruments),
    ):
        for c in columns:
            if not np.ptp(c.level):
                value = f"all {c.level[0]:g}"
                problems += IdentificationError(
                    "I01",
                    f"{role} '{c.term}' does not vary in the estimation sample ({value})",
                ).problems
            elif np.std(c.values) <= ROUNDING * np.std(c.level):
                problems += IdentificationError(
                    "I02",
                    f"{role} '{c.term}' is constant within units{_or_periods(sample)}: "
                    f"nothing is left of it after transform {sample.transform}",
                    fix="a treatment that changes over time and differs between units"
                    if sample.transform == "two_way"
                    else "transform: none, or a treatment that changes over time",
                ).problems
    if not sample.X.shape[1]:
        problems += SpecError(
            "X20",
            "double machine learning needs controls that vary in the sample",
            fix="controls: [...]; without any, use `ols`",
            path="model.controls",
        ).problems
    return problems


def _or_periods(sample: Sample) -> str:
    return " or within periods" if sample.transform == "two_way" else ""


def _sizes(sample: Sample, folds: int, acknowledged: frozenset[str]) -> list[Problem]:
    """Rows and clusters of the folds, and treated clusters."""
    problems: list[Problem] = []
    groups = len(np.unique(sample.group))
    p = sample.X.shape[1]
    smallest = sample.n // folds
    wanted = max(ROWS_A_FOLD, ROWS_A_FEATURE * p)
    if smallest < ROWS_A_FOLD or (
        smallest < wanted and "small_folds" not in acknowledged
    ):
        problems += IdentificationError(
            "M01",
            f"{sample.n} rows in {folds} folds: about {smallest} in each, and {wanted} "
            f"are the fewest for {p} features",
            why="What is learned on so few rows says little about the others.",
            fix="fewer folds or controls, more rows",
            path="model.estimator.folds",
            acknowledge="" if smallest < ROWS_A_FOLD else "small_folds",
        ).problems
    if sample.by != "row" and groups < CLUSTERS_A_FOLD * folds:
        problems += IdentificationError(
            "M03",
            f"{groups} groups ('{sample.by}') in {folds} folds: fewer than "
            f"{CLUSTERS_A_FOLD} in each",
            why="Folds keep units and clusters whole; one alone shows no variance.",
            fix=f"folds: {max(groups // CLUSTERS_A_FOLD, 2)} or fewer, or finer clusters",
            path="model.estimator.folds",
        ).problems
    if sample.cluster is None:
        return problems
    clusters = len(np.unique(sample.cluster))
    if clusters < FEW_CLUSTERS and "few_clusters" not in acknowledged:
        problems += IdentificationError(
            "I05",
            f"{clusters} clusters of '{sample.cluster_term}': too few for a standard "
            "error",
            why="Intervals by clusters cover too rarely below about forty.",
            fix="finer clusters, or randomization by `draws`",
            path="model.inference",
            acknowledge="few_clusters",
        ).problems
    level = sample.treatments[sample.main].level
    if np.isin(level, (0.0, 1.0)).all():
        arms = [len(np.unique(sample.cluster[level == a])) for a in (0.0, 1.0)]
        if min(arms) < FEW_TREATED and "few_treated" not in acknowledged:
            role = "treated" if arms[1] <= arms[0] else "untreated"
            problems += IdentificationError(
                "I08",
                f"{min(arms)} {role} clusters of '{sample.cluster_term}'",
                why="Nominal 95 % intervals cover 28 % with one treated cluster of "
                "40, 68 % with two, 88 % with five.",
                fix="randomization: draws: {permute: treatment, times: 999}",
                acknowledge="few_treated",
            ).problems
    return problems


def _group_sizes(sample: Sample, request: Request) -> list[Problem]:
    """Rows, clusters and both arms in every group whose effect is told apart."""
    moderators = sample.moderators
    asked = request.estimand[:1] == ("by_group",)
    if not asked:
        if not sample.moderator_terms:
            return []
        if moderators.shape[1] == 1 and len(np.unique(moderators)) > 2:  # noqa: PLR2004 - a switch has two
            return []  # one slope along a moderator takes all rows
    names, members = sample.groups()
    problems: list[Problem] = []
    for name, inside in zip(names, members.T == 1, strict=True):
        # A group that is too small by its rows is not told of its clusters, too.
        problems += _rows_of_group(sample, name, inside) or _clusters_of_group(
            sample, name, inside, request.acknowledge
        )
    return problems


#: What to do about a group that has too little of something.
_COARSER = "coarser groups, or the effect of all: no interact on this line"


def _arms_of_group(sample: Sample, inside: Flags) -> tuple[Flags, Flags] | None:
    """Rows of either arm among those inside; None where the treatment is no switch.

    First differences compare all rows with those in which treatment starts.
    """
    column = sample.treatments[sample.main]
    if not np.isin(column.level, (0.0, 1.0)).all():
        return None
    if sample.transform == "first_difference":
        moved = column.values[inside] != 0
        return ~moved, moved
    level = column.level[inside]
    return level == 0, level == 1


def _rows_of_group(sample: Sample, name: str, inside: Flags) -> list[Problem]:
    """I01 a treatment that does not vary in the group, M01 few rows in it."""
    column = sample.treatments[sample.main]
    arms_of = _arms_of_group(sample, inside)
    rows = int(inside.sum())
    if (
        not rows
        or not np.ptp(column.values[inside])
        or (arms_of is not None and not all(arm.any() for arm in arms_of))
    ):
        return list(
            IdentificationError(
                "I01",
                f"'{column.term}' does not vary where {name} ({counted(rows, 'row')})",
                why="A group of one arm says nothing of its own effect.",
                fix=_COARSER,
                path="model.interact",
            ).problems
        )
    least, wanted, of = rows, ROWS_A_FOLD, ""
    if arms_of is not None and sample.transform != "first_difference":
        least, wanted = min(int(arm.sum()) for arm in arms_of), ROWS_OF_AN_ARM
        of = " of one arm"
    if least >= wanted:
        return []
    return list(
        IdentificationError(
            "M01",
            f"{counted(least, 'row')}{of} where {name}; {wanted} are the fewest",
            why="An error from so few rows is too small by far.",
            fix=_COARSER,
            path="model.interact",
        ).problems
    )


def _clusters_of_group(
    sample: Sample, name: str, inside: Flags, acknowledged: frozenset[str]
) -> list[Problem]:
    """I05, I08: a score adds up to zero in a group, so one cluster has no error."""
    if sample.cluster is None:
        return []
    cluster = sample.cluster[inside]
    problems: list[Problem] = []
    clusters = len(np.unique(cluster))
    of = f"of '{sample.cluster_term}' where {name}"
    if clusters < CLUSTERS_A_FOLD or (
        clusters < FEW_CLUSTERS and "few_clusters" not in acknowledged
    ):
        problems += IdentificationError(
            "I05",
            f"{counted(clusters, 'cluster')} {of}: too few for a standard error",
            why="Intervals by clusters cover too rarely below about forty; the error of "
            "a group of one is rounding.",
            fix=_COARSER,
            path="model.interact",
            acknowledge="" if clusters < CLUSTERS_A_FOLD else "few_clusters",
        ).problems
    arms_of = _arms_of_group(sample, inside)
    if arms_of is None:
        return problems
    counts = [len(np.unique(cluster[arm])) for arm in arms_of]
    if min(counts) < CLUSTERS_A_FOLD or (
        min(counts) < FEW_TREATED and "few_treated" not in acknowledged
    ):
        role = "treated" if counts[1] <= counts[0] else "untreated"
        problems += IdentificationError(
            "I08",
            f"{counted(min(counts), f'{role} cluster')} {of}",
            why="Nominal 95 % intervals cover 28 % with one treated cluster of 40, 68 % "
            "with two, 88 % with five.",
            fix=_COARSER,
            path="model.interact",
            acknowledge="" if min(counts) < CLUSTERS_A_FOLD else "few_treated",
        ).problems
    return problems


def _left(sample: Sample) -> None:
    """M02: a treatment or instrument that the features and its like give exactly."""
    A = np.column_stack([np.ones(sample.n), sample.X])
    for columns in (sample.treatments, sample.instruments):
        for c in columns:
            likes = [x for x in columns if x is not c]
            B = np.column_stack([A, *(x.values for x in likes)])
            share = _unexplained(c.values, B)
            if share >= LEFT:
                continue
            if likes and _unexplained(c.values, A) >= LEFT:
                raise _repeated(c, likes, share)
            repeats = _repeating(c.values, sample)
            raise nothing_left(c.term, share, repeats, sample.controls, "linearly")


def _unexplained(values: Floats, A: Floats) -> float:
    """Share of the variance that the columns of A leave, least squares."""
    residual = values - A @ np.linalg.lstsq(A, values, rcond=None)[0]
    return float(np.var(residual) / np.var(values))


def _repeated(c: Column, likes: Sequence[Column], share: float) -> IdentificationError:
    """M02: one of several treatments (or instruments) is made of the others."""
    others = ", ".join(f"'{x.term}'" for x in likes[:SHOWN])
    return IdentificationError(
        "M02",
        f"{others} and the controls give '{c.term}' linearly: {share:.1e} of its "
        "variance is left",
        why="Columns that repeat each other have no coefficients of their own.",
        fix=f"without '{c.term}', or without what repeats it",
    )


def _repeating(values: Floats, sample: Sample) -> tuple[str, ...]:
    """Features without which something would be left; all, where none does it alone."""
    found = []
    for j, feature in enumerate(sample.features):
        A = np.column_stack([np.ones(sample.n), np.delete(sample.X, j, axis=1)])
        if _unexplained(values, A) >= LEFT:
            found.append(feature)
    return tuple(found) or sample.features


def nothing_left(
    term: str,
    share: float,
    features: Sequence[str],
    controls: frozenset[str],
    residual_of: str,
) -> IdentificationError:
    """M02.

    Args:
        features: what gives the column; those among `controls` can be left out.
    """
    written = [f for f in features if f in controls]
    shown = ", ".join(f"'{f}'" for f in (written or features)[:SHOWN])
    shown += " …" if len(written or features) > SHOWN else ""
    return IdentificationError(
        "M02",
        f"the controls give '{term}' {residual_of}: {share:.1e} of its variance is left"
        if written
        else f"effects of periods, or of others that are listed, give '{term}' "
        f"{residual_of}: {share:.1e} of its variance is left",
        why="What is left is rounding; an estimate from it would be noise.",
        fix=f"remove from the controls what repeats the treatment ({shown})"
        if written
        else f"a treatment that differs inside periods and other effects ({shown})",
        path="model.controls" if written else "model.treatment",
    )


def arms(values: Floats, term: str, fold: Codes, within: Flags | None = None) -> None:
    """M04: both values of a 0/1 column in every training sample.

    Raises:
        IdentificationError: M04.
    """
    for k in range(int(fold.max()) + 1):
        train = fold != k
        if within is not None:
            train &= within
        for value in (0.0, 1.0):
            count = int(np.count_nonzero(values[train] == value))
            if count < ROWS_OF_AN_ARM:
                raise IdentificationError(
                    "M04",
                    f"{count} rows with {term} = {value:g} where fold {k + 1} is left "
                    f"out; {ROWS_OF_AN_ARM} are the fewest to learn from",
                    fix="kind: plr, fewer folds, or a sample with both",
                )


def finite(values: Floats, what: str) -> None:
    """N02 unless all predictions are numbers."""
    if not np.isfinite(values).all():
        raise NumericalError("N02", f"predictions of {what} are not all finite")
