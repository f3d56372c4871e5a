"""A staggered panel as arrays of units x periods, guarded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._linear.design import (
    Design,
    build,
    control_regressors,
    label,
    treatment_regressors,
)
from estimators._linear.timing import first_treated
from estimators._math.projection import Codes, Flags, Floats, contiguous, nested
from framework.errors import (
    DataError,
    EstimandError,
    IdentificationError,
    Problem,
    counted,
)

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request


@dataclass(frozen=True, slots=True)
class Grid:
    """N units, T periods, C clusters, k controls; units in the order of the rows.

    Attributes:
        treatment: its name.
        periods: (T,) calendar, ascending.
        Y: (N, T) outcome, zero where there is no row.
        seen: (N, T) whether there is a row.
        weight: (N, T) weights (ones without), zero where there is no row.
        X: (k, N, T) controls, zero where there is no row; `controls` their names.
        cohort: (N,) first treated period; inf = untreated, also by anticipation, in
            every period of the sample.
        cohorts: (J,) first treated periods that occur, ascending, inf left out.
        cluster: (N,) code; `cluster_ids` (C,) and `cluster_term` name them.
        anticipation: periods before the first treated one that may respond already.
        notes: sentences so far.
        design: the guarded rows, for counts.
    """

    treatment: str
    periods: Codes
    Y: Floats
    seen: Flags
    weight: Floats
    X: Floats
    controls: tuple[str, ...]
    cohort: Floats
    cohorts: Floats
    cluster: Codes
    cluster_ids: Any
    cluster_term: str
    anticipation: int
    notes: tuple[str, ...]
    design: Design

    @property
    def n_clusters(self) -> int:
        return len(self.cluster_ids)

    @property
    def balanced(self) -> bool:
        return bool(self.seen.all())

    @property
    def own_clusters(self) -> bool:
        """Whether every unit is its own cluster."""
        return self.n_clusters == len(self.cohort)

    @property
    def event_time(self) -> Floats:
        """(N, T) periods since the first treated one; -inf for the never-treated."""
        return self.periods[None, :] - self.cohort[:, None]

    @property
    def single_clusters(self) -> tuple[int, ...]:
        """Cohorts that are one cluster: nothing shows how they vary."""
        sizes = [len(np.unique(self.cluster[self.cohort == g])) for g in self.cohorts]
        some = zip(self.cohorts, sizes, strict=True)
        return tuple(int(g) for g, size in some if size == 1)

    @property
    def steady_weights(self) -> bool:
        """Whether weights are constant within units."""
        top = self.weight.max(axis=1)
        return np.array_equal(np.where(self.seen, top[:, None], 0.0), self.weight)

    def first_weight(self) -> Floats:
        """(N,) weight of each unit's first row."""
        first = np.argmax(self.seen, axis=1)
        return np.asarray(self.weight[np.arange(len(first)), first])

    def by_cluster(self, rows: Floats, units: Codes | None = None) -> Floats:
        """Sums of `rows` (n, m) of `units` by cluster, (C, m)."""
        from scipy.sparse import csr_array

        code = self.cluster if units is None else self.cluster[units]
        n = len(code)
        if self.own_clusters and units is None:
            out = np.empty_like(rows)
            out[code] = rows
            return out
        chosen = csr_array(
            (np.ones(n), (code, np.arange(n))), shape=(self.n_clusters, n)
        )
        return np.asarray(chosen @ rows)

    def support(self) -> pd.DataFrame:
        """Rows, units and cohorts of the treated under every event time."""
        import pandas as pd

        relative = self.event_time
        unit, period = np.nonzero(self.seen & np.isfinite(relative))
        times, at = np.unique(relative[unit, period], return_inverse=True)
        cohorts, cohort = np.unique(self.cohort, return_inverse=True)
        of_unit = np.zeros((len(relative), len(times)), dtype=bool)
        of_cohort = np.zeros((len(cohorts), len(times)), dtype=bool)
        of_unit[unit, at] = True
        of_cohort[cohort[unit], at] = True
        return pd.DataFrame(
            {
                "event_time": times.astype(int),
                "n_units": of_unit.sum(axis=0),
                "n_obs": np.bincount(at, minlength=len(times)),
                "n_cohorts": of_cohort.sum(axis=0),
            }
        )

    def counts(self) -> dict[str, float]:
        """Rows, units, periods, clusters, and means of the outcome."""
        on = self.seen & (self.event_time >= 0)
        before = self.seen & np.isfinite(self.cohort)[:, None] & (self.event_time < 0)
        found = {
            "n_obs": self.design.n,
            "n_units": len(self.cohort),
            "n_periods": len(self.periods),
            "n_treated_obs": on.sum(),
            "n_treated_units": on.any(axis=1).sum(),
            "n_clusters": self.n_clusters,
            "outcome_mean": np.average(self.Y, weights=self.weight),
        }
        if before.any():
            found["outcome_mean_before"] = np.average(
                self.Y[before], weights=self.weight[before]
            )
        return {name: float(value) for name, value in found.items()}


def grid(
    request: Request,
    *,
    always_treated: str | None,
    min_clusters: int,
) -> Grid:
    """Units x periods of the request, after all guards.

    Args:
        request: the estimation.
        always_treated: `drop`, or None to refuse units without an untreated row.
        min_clusters: fewest clusters accepted without `acknowledge: few_clusters`.

    Raises:
        DataError: D03, D05, D06, D08, E01, E06.
        IdentificationError: I01, I05, I08, I09, E05, E10.
    """
    treatment = request.treatment
    cohort = first_treated(request)
    some_rows(request)
    problems = list(clustering_unfit(request))
    if problems or treatment is None or request.unit is None or request.time is None:
        raise EstimandError(
            problems
            or IdentificationError("E01", "cohorts need units and periods").problems
        )
    time = request.frame[request.time].to_numpy(dtype=np.int64)
    unit = contiguous(request.frame[request.unit].to_numpy(dtype=np.int64))[0]
    some_unit_returns(request, unit)
    keep, notes = _always(unit, time < cohort - treatment.anticipation, always_treated)
    # With a moderator the treated rows are those of the product, the judged column.
    judged = replace(
        request,
        treatment=replace(treatment, columns=treatment.judged or treatment.columns),
    )
    design = build(
        replace(judged, fixed_effects=(), slopes=()),
        [*treatment_regressors(judged)[:1], *control_regressors(judged)],
        keep=None if keep.all() else keep,
        notes=notes,
        min_clusters=min_clusters,
    )
    return units_by_periods(judged, design, design.cohort)


def occurring(cohort: Floats) -> Floats:
    """First treated periods among units (N,), ascending, never-treated left out."""
    found = np.unique(cohort)
    return found[np.isfinite(found)]


def some_rows(request: Request) -> None:
    """Refuse an empty sample.

    Raises:
        DataError: D05.
    """
    if not len(request.frame):
        raise DataError(
            "D05",
            "0 rows left",
            why="There is nothing to estimate from.",
            fix="see the row ledger: which step or restriction removed them",
        )


def some_unit_returns(request: Request, unit: Codes) -> None:
    """Refuse a panel whose units are each seen once.

    Raises:
        IdentificationError: E10.
    """
    if len(np.unique(unit)) == len(unit):
        name = label(request, str(request.unit))
        raise IdentificationError(
            "E10",
            f"no '{name}' is seen in two periods",
            why="Nobody changes, so nobody's change can be compared: these are repeated "
            "cross-sections.",
            fix="data.panel without its unit, {time: …}, for callaway_santanna or twfe, "
            "with treatment.by or first_treated",
        )


def effects_of_model(
    request: Request,
    *,
    absorbed: Sequence[Codes] = (),
    removes: str = "Differences of cohorts over time remove unit and period effects",
) -> None:
    """Refuse fixed effects and slopes that a comparison of cohorts does not have.

    Args:
        request: the estimation.
        absorbed: codes by row (n,) whose effects go, too, beside unit and period.
        removes: what the comparison removes, in words.

    Raises:
        DataError: D05 no rows.
        IdentificationError: E11 effects beside units and periods.
    """
    some_rows(request)
    own = [
        contiguous(request.frame[alias].to_numpy(dtype=np.int64))[0]
        for alias in (request.unit, request.time)
        if alias is not None
    ]
    other = []
    for effect in dict.fromkeys(request.fixed_effects):
        codes = contiguous(request.frame[effect].to_numpy(dtype=np.int64))[0]
        # A function of the unit or of the period is absorbed by these.
        if not any(nested(mine, codes) for mine in (*own, *absorbed)):
            other.append(label(request, effect))
    other += [f"slopes by {label(request, s.by)}" for s in request.slopes]
    if other:
        raise IdentificationError(
            "E11",
            f"fixed effects beside units and periods: {', '.join(other)}",
            why=f"{removes}, no others; the estimate would be of another model.",
            fix="fixed_effects: [unit, time] on this line, or `twfe`",
        )


def clustering_unfit(request: Request) -> Iterator[Problem]:
    """Why errors can't be summed by units: other than one clustering that holds them."""
    if len(request.inference.clusters) != 1:
        listed = ", ".join(f"'{label(request, c)}'" for c in request.inference.clusters)
        yield from IdentificationError(
            "I09",
            f"clusters {listed or 'none'}: this estimator has one dimension of clusters",
            why="Its influence functions belong to units, which have no period.",
            fix="inference: {cluster: …} with one column",
        ).problems
        return
    if request.unit is None:
        return
    cluster = request.inference.clusters[0]
    unit = request.frame[request.unit].to_numpy(dtype=np.int64)
    if not nested(unit, request.frame[cluster].to_numpy(dtype=np.int64)):
        yield from IdentificationError(
            "I09",
            f"clusters of '{label(request, cluster)}' split units",
            why="A unit's differences over time belong to one cluster.",
            fix=f"inference: {{cluster: {label(request, request.unit)}}}, or a coarser "
            "column that is constant within units",
        ).problems


def _always(
    unit: Codes, untreated: Flags, always_treated: str | None
) -> tuple[Flags, list[str]]:
    """Rows of units with an untreated row (before any anticipation)."""
    before = np.bincount(unit, untreated)[unit] > 0
    if before.all():
        return before, []
    count = len(np.unique(unit[~before]))
    if always_treated is None:
        raise IdentificationError(
            "E05",
            f"{counted(count, 'unit is', 'units are')} treated in all their periods",
            why="They have no period before treatment (and anticipation), so nothing "
            "says what they would have been without it.",
            fix="estimator.always_treated: drop",
        )
    lost = int((~before).sum())
    note = (
        f"{counted(count, 'unit')} treated in all their periods "
        f"({counted(lost, 'row')}) left out."
    )
    return before, [note]


def units_by_periods(
    request: Request, design: Design, first: Floats | None = None
) -> Grid:
    """The guarded rows as units x periods.

    Args:
        request: the estimation.
        design: its guarded rows.
        first: (n,) first treated period; None = all untreated.

    Raises:
        IdentificationError: I09 more than one row of a unit in a period.
    """
    unit, t = design.unit_codes, contiguous(design.periods)[0]
    periods = np.unique(design.periods)
    N, T = int(unit.max()) + 1, len(periods)
    seen = np.zeros((N, T), dtype=bool)
    seen[unit, t] = True
    if int(seen.sum()) < design.n:
        raise IdentificationError(
            "I09",
            "units have more than one row in a period",
            fix="data.panel: the columns that name a row",
        )

    def spread(values: Floats) -> Floats:
        out = np.zeros((N, T))
        out[unit, t] = values
        return out

    controls = [r for r in design.regressors if not r.wanted]
    anticipation = request.treatment.anticipation if request.treatment else 0
    cohort = np.empty(N)
    cohort[unit] = np.inf if first is None else first
    notes = list(design.notes)
    late = np.isfinite(cohort) & (cohort > periods[-1] + anticipation)
    if late.any():
        notes.append(
            f"{counted(int(late.sum()), 'unit')} first treated after the last period "
            "taken as never treated."
        )
    own = np.where(late, np.inf, cohort)
    factor = design.clusters[0]
    cluster = np.empty(N, dtype=np.int64)
    cluster[unit] = factor.codes
    return Grid(
        treatment=label(request, request.treatment.columns[0])
        if request.treatment
        else "",
        periods=periods,
        Y=spread(design.outcome),
        seen=seen,
        weight=spread(design.scaled_weights()),
        X=np.stack([spread(r.values) for r in controls])
        if controls
        else np.empty((0, N, T)),
        controls=tuple(r.name for r in controls),
        cohort=own,
        cohorts=occurring(own),
        cluster=cluster,
        cluster_ids=np.asarray(factor.ids),
        cluster_term=factor.term,
        anticipation=anticipation,
        notes=tuple(notes),
        design=design,
    )
