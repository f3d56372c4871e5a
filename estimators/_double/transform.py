"""Unit effects out of outcome, treatment and controls; period effects as features."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from estimators._math.projection import Codes, Floats, contiguous
from framework.errors import IdentificationError, NumericalError, SpecError

if TYPE_CHECKING:
    from estimators._double.sample import Column, Sample

#: Kinds of a 0/1 treatment.
BINARY = ("irm", "iivm", "ssm", "qte")
Transform = Literal[
    "none", "first_difference", "within", "correlated_random_effects", "two_way"
]
#: Sweeps over units and periods; balanced panels need one.
SWEEPS, SETTLED = 5_000, 1e-12
#: Gaps between periods that a note lists.
SHOWN = 6


def transformed(sample: Sample, transform: Transform) -> Sample:
    """The sample without unit effects, in the way asked for.

    Raises:
        SpecError: X23 a transform that needs a panel, or a 0/1 treatment kept 0/1.
        IdentificationError: I02 no two consecutive periods.
    """
    if transform == "none":
        return _without_constants(_with_periods(sample))
    if sample.unit is None or sample.time is None:
        raise SpecError(
            "X23",
            f"transform {transform} needs a panel",
            fix="transform: none",
            path="model.estimator.transform",
        )
    if sample.kind in BINARY and transform != "correlated_random_effects":
        raise SpecError(
            "X23",
            f"kind {sample.kind} keeps the treatment 0/1, and transform {transform} "
            "makes it a difference",
            fix="transform: correlated_random_effects, or kind: plr",
            path="model.estimator.transform",
        )
    made = {
        "first_difference": _first_difference,
        "within": _within,
        "correlated_random_effects": _means,
        "two_way": _two_way,
    }[transform](sample)
    return _without_constants(replace(made, transform=transform))


def _dummies(sample: Sample) -> tuple[Floats, tuple[str, ...]]:
    """0/1 columns of the periods but the first."""
    if sample.time is None:
        return np.empty((sample.n, 0)), ()
    periods = np.unique(sample.time)[1:]
    columns = (sample.time[:, None] == periods).astype(np.float64)
    return columns, tuple(f"period {p}" for p in periods)


def _with_periods(sample: Sample) -> Sample:
    columns, names = _dummies(sample)
    return replace(
        sample,
        X=np.column_stack([sample.X, columns]),
        features=(*sample.features, *names),
    )


def _without_constants(sample: Sample) -> Sample:
    """Features that do not vary say nothing; a note names controls among them."""
    spread = np.std(sample.X, axis=0)
    size = np.max(np.abs(sample.X), axis=0, initial=0.0)
    kept = spread > 1e-10 * np.maximum(size, 1e-300)  # rounding of a demeaned constant
    gone = [
        name
        for name, keep in zip(sample.features, kept, strict=True)
        if not keep and name in sample.controls
    ]
    notes = sample.notes
    if gone:
        listed = ", ".join(f"'{g}'" for g in gone)
        notes = (*notes, f"{listed} left out: constant after the transform")
    return replace(
        sample,
        X=sample.X[:, kept],
        features=tuple(
            f for f, keep in zip(sample.features, kept, strict=True) if keep
        ),
        notes=notes,
    )


def _changed(sample: Sample, rows: Codes, of: object) -> Sample:
    """Rows kept, with every column replaced by `of(values)`."""
    assert callable(of)  # noqa: S101 - private

    def column(c: Column) -> Column:
        return replace(c, values=of(c.values), level=c.level[rows])

    return replace(
        sample,
        outcome=of(sample.outcome),
        treatments=tuple(map(column, sample.treatments)),
        instruments=tuple(map(column, sample.instruments)),
    )


def _unit_means(x: Floats, unit: Codes) -> Floats:
    count = np.bincount(unit)
    if x.ndim == 1:
        return (np.bincount(unit, x) / count)[unit]
    return np.column_stack(
        [np.empty((len(unit), 0)), *((np.bincount(unit, c) / count)[unit] for c in x.T)]
    )


def _within(sample: Sample) -> Sample:
    assert sample.unit is not None  # noqa: S101 - asked before
    unit = sample.unit
    full = _with_periods(sample)

    def demeaned(x: Floats) -> Floats:
        return np.asarray(x - _unit_means(x, unit), dtype=np.float64)

    rows = np.arange(sample.n)
    return replace(_changed(full, rows, demeaned), X=demeaned(full.X))


def _two_way(sample: Sample) -> Sample:
    """Unit and period effects out by alternating projections."""
    assert sample.unit is not None  # noqa: S101 - asked before
    assert sample.time is not None  # noqa: S101 - as above
    unit, period = sample.unit, contiguous(sample.time)[0]

    def swept(x: Floats) -> Floats:
        scale = float(np.std(x)) or 1.0
        left = x - x.mean()
        for _ in range(SWEEPS):
            step = left - _unit_means(left, unit)
            step = step - _unit_means(step, period)
            if np.max(np.abs(step - left)) <= SETTLED * scale:
                return np.asarray(step, dtype=np.float64)
            left = step
        raise NumericalError(
            "N02",
            "unit and period effects can't be removed: the sweeps do not converge",
            fix="transform: within, which keeps periods as features",
        )

    def demeaned(x: Floats) -> Floats:
        if x.ndim == 1:
            return swept(x)
        return np.column_stack([np.empty((len(x), 0)), *(swept(c) for c in x.T)])

    rows = np.arange(sample.n)
    return replace(_changed(sample, rows, demeaned), X=demeaned(sample.X))


def _means(sample: Sample) -> Sample:
    """Features and their unit means (Mundlak); treatments keep theirs for the score."""
    assert sample.unit is not None  # noqa: S101 - asked before
    unit = sample.unit
    means = _unit_means(sample.X, unit)

    def column(c: Column) -> Column:
        return replace(c, means=_unit_means(c.values, unit))

    return replace(
        _with_periods(
            replace(
                sample,
                X=np.column_stack([sample.X, means]),
                features=(
                    *sample.features,
                    *(f"mean of {f}" for f in sample.features),
                ),
            )
        ),
        treatments=tuple(map(column, sample.treatments)),
        instruments=tuple(map(column, sample.instruments)),
    )


def _first_difference(sample: Sample) -> Sample:
    """Changes between consecutive periods; features are both periods' values."""
    assert sample.unit is not None  # noqa: S101 - asked before
    assert sample.time is not None  # noqa: S101 - as above
    period = contiguous(sample.time)[0]
    order = np.lexsort((period, sample.unit))
    same = (np.diff(sample.unit[order]) == 0) & (np.diff(period[order]) == 1)
    now, before = order[1:][same], order[:-1][same]
    if not len(now):
        raise IdentificationError(
            "I02", "no unit has two consecutive periods: there are no differences"
        )

    def difference(x: Floats) -> Floats:
        return np.asarray(x[now] - x[before])

    changed = _changed(sample, now, difference)
    lost = sample.n - len(now)
    group, cluster = sample.group[now], sample.cluster
    ids = sample.ids
    if cluster is not None:
        levels, cluster = np.unique(cluster[now], return_inverse=True)
        cluster, ids = cluster.astype(np.int64), ids[levels]
    else:
        ids = ids[now]
    levels, group = np.unique(group, return_inverse=True)
    left, unit = np.unique(sample.unit[now], return_inverse=True)
    kept = replace(
        changed,
        X=np.column_stack([sample.X[now], sample.X[before]]),
        features=(*sample.features, *(f"{f} before" for f in sample.features)),
        moderators=sample.moderators[now],
        mediators=sample.mediators[now],
        seen=sample.seen[now],
        group=group.astype(np.int64),
        group_names=tuple(sample.group_names[g] for g in levels),
        cluster=cluster,
        ids=ids,
        unit=unit.astype(np.int64),
        unit_names=tuple(sample.unit_names[u] for u in left),
        time=sample.time[now],
        cohort=None if sample.cohort is None else sample.cohort[now],
        notes=(
            *sample.notes,
            f"{lost} rows without the period before are left out",
            *_longer_steps(sample.time),
        ),
    )
    return _with_periods(kept)


def _longer_steps(time: Codes) -> tuple[str, ...]:
    """A note where the period before is further away than it usually is."""
    periods = np.unique(time)
    steps = np.diff(periods)
    longer = np.flatnonzero(steps > steps.min())
    if not len(longer):
        return ()
    listed = ", ".join(f"{periods[i]} to {periods[i + 1]}" for i in longer[:SHOWN])
    more = " …" if len(longer) > SHOWN else ""
    said = f"periods are not evenly spaced: differences from {listed}{more} span more "
    return (said + f"than {steps.min()}",)
