"""Repeated cross-sections of adopting cohorts, guarded: no unit is followed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
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
from estimators._staggered.grid import occurring, some_rows
from framework.errors import EstimandError, IdentificationError, Problem

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request


@dataclass(frozen=True, slots=True)
class Sections:
    """N rows in T periods and L cohorts (never included), C clusters, k controls.

    Attributes:
        treatment: its name.
        periods: (T,) calendar, ascending.
        y, weight: (N,) outcome and weights (ones without).
        X: (N, k) controls; `controls` their names.
        t: (N,) position of the row's period.
        cohort: (N,) first treated period; inf = untreated, also by anticipation, in
            every period of the sample.
        cohorts: (J,) first treated periods that occur, ascending, inf left out.
        levels: (L,) the same with inf, where it occurs.
        cells: (L, T) positions of the rows of a cohort in a period.
        cluster: (N,) code; `cluster_ids` (C,) and `cluster_term` name them.
        anticipation: periods before the first treated one that may respond already.
        notes: sentences so far.
        design: the guarded rows, for counts.
    """

    treatment: str
    periods: Codes
    y: Floats
    weight: Floats
    X: Floats
    controls: tuple[str, ...]
    t: Codes
    cohort: Floats
    cohorts: Floats
    levels: Floats
    cells: tuple[tuple[Codes, ...], ...]
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
    def sizes(self) -> Codes:
        """(L, T) rows of a cohort in a period."""
        return np.array([[len(rows) for rows in row] for row in self.cells])

    @property
    def single_clusters(self) -> tuple[int, ...]:
        """Cohorts that are one cluster: nothing shows how they vary."""
        sizes = [len(np.unique(self.cluster[self.cohort == g])) for g in self.cohorts]
        some = zip(self.cohorts, sizes, strict=True)
        return tuple(int(g) for g, size in some if size == 1)

    def by_cluster(self, rows: Floats, units: Codes | None = None) -> Floats:
        """Sums of `rows` (n, m) of the rows `units` by cluster, (C, m)."""
        from scipy.sparse import csr_array

        code = self.cluster if units is None else self.cluster[units]
        n = len(code)
        chosen = csr_array(
            (np.ones(n), (code, np.arange(n))), shape=(self.n_clusters, n)
        )
        return np.asarray(chosen @ rows) / self.per_copy

    @property
    def per_copy(self) -> Floats:
        """(C, 1) or (1, 1): what sums of influence are divided by.

        A row that stands for w independent copies has w times the influence of one and,
        where errors are by row, w times its variance: one number with that square.
        """
        if self.design.clusters or self.design.weight_kind != "frequency":
            return np.ones((1, 1))
        return np.asarray(np.sqrt(self.weight)[:, None])

    def support(self) -> pd.DataFrame:
        """Rows, clusters and cohorts of the treated under every event time."""
        import pandas as pd

        treated = np.flatnonzero(np.isfinite(self.cohort))
        held = pd.DataFrame(
            {
                "event_time": (
                    self.periods[self.t[treated]] - self.cohort[treated]
                ).astype(int),
                "cluster": self.cluster[treated],
                "cohort": self.cohort[treated],
            }
        )
        found = held.groupby("event_time").agg(
            n_clusters=("cluster", "nunique"),
            n_obs=("cluster", "size"),
            n_cohorts=("cohort", "nunique"),
        )
        return found.reset_index()

    def counts(self) -> dict[str, float]:
        """Rows, periods, clusters, and means of the outcome."""
        at = self.periods[self.t]
        on = at >= self.cohort
        before = np.isfinite(self.cohort) & ~on
        found: dict[str, Any] = {
            "n_obs": len(self.y),
            "n_periods": len(self.periods),
            "n_treated_obs": on.sum(),
            "outcome_mean": np.average(self.y, weights=self.weight),
        }
        if self.design.clusters:
            found["n_clusters"] = self.n_clusters
        if before.any():
            found["outcome_mean_before"] = np.average(
                self.y[before], weights=self.weight[before]
            )
        return {name: float(value) for name, value in found.items()}


def sections(
    request: Request, *, always_treated: str | None, min_clusters: int
) -> Sections:
    """Rows of the request by cohort and period, after all guards.

    Args:
        request: the estimation, without units.
        always_treated: `drop`, or None to refuse cohorts without an untreated period.
        min_clusters: fewest clusters accepted without `acknowledge: few_clusters`.

    Raises:
        DataError: D03, D05, D06, D08, E01, E06.
        IdentificationError: I01, I05, I08, I09, E05, E11.
    """
    cohort = first_treated(request)
    some_rows(request)
    treatment = request.treatment
    # `first_treated` has refused a request without either.
    assert treatment is not None  # noqa: S101 - for the type checker
    assert request.time is not None  # noqa: S101 - for the type checker
    time = request.frame[request.time].to_numpy(dtype=np.int64)
    problems = [*_clustering_unfit(request)]
    notes = _compared_whole(request, time, cohort, problems)
    if problems:
        raise EstimandError(problems)
    first = cohort - treatment.anticipation
    keep, said = _always(first > time.min(), first, time, always_treated)
    judged = replace(request, fixed_effects=(), slopes=())
    design = build(
        judged,
        [*treatment_regressors(judged)[:1], *control_regressors(judged)],
        keep=None if keep.all() else keep,
        notes=[*notes, *said],
        min_clusters=min_clusters,
    )
    return _by_cohort_and_period(request, design, cohort[design.rows])


def _clustering_unfit(request: Request) -> Iterator[Problem]:
    """Why errors can't be summed by rows: more than one clustering."""
    if len(request.inference.clusters) > 1:
        listed = ", ".join(f"'{label(request, c)}'" for c in request.inference.clusters)
        yield from IdentificationError(
            "I09",
            f"clusters {listed}: this estimator has one dimension of clusters",
            why="Its influence functions are summed within one clustering.",
            fix="inference: {cluster: …} with one column",
        ).problems


def _compared_whole(
    request: Request, time: Codes, cohort: Floats, problems: list[Problem]
) -> list[str]:
    """What becomes of fixed effects; others than of periods and of parts of cohorts fail."""
    period, group = contiguous(time)[0], np.unique(cohort, return_inverse=True)[1]
    parts: list[str] = []
    other: list[str] = []
    for effect in dict.fromkeys(request.fixed_effects):
        codes = contiguous(request.frame[effect].to_numpy(dtype=np.int64))[0]
        if nested(period, codes) or nested(group, codes):
            continue
        (parts if nested(codes, group) else other).append(label(request, effect))
    other += [f"slopes by {label(request, s.by)}" for s in request.slopes]
    if other:
        problems += IdentificationError(
            "E11",
            f"fixed effects beside periods and parts of cohorts: {', '.join(other)}",
            why="Differences of cohorts' means over time remove effects of periods and "
            "of cohorts, no others; the estimate would be of another model.",
            fix="fixed_effects: [] on this line, or `twfe`",
        ).problems
    if not parts:
        return []
    note = (
        f"Cohorts are compared whole: effects of '{', '.join(parts)}' go out as far as "
        "its shares within cohorts are the same in every period."
    )
    return [note]


def _always(
    keep: Flags, first: Floats, time: Codes, always_treated: str | None
) -> tuple[Flags, list[str]]:
    """Rows of cohorts that have a period before treatment (and anticipation)."""
    if keep.all():
        return keep, []
    listed = ", ".join(f"{g:.0f}" for g in np.unique(first[~keep]))
    lost = int((~keep).sum())
    if always_treated is None:
        raise IdentificationError(
            "E05",
            f"{lost} rows of cohorts that are treated in all periods (from {listed} on; "
            f"the first period is {time.min()})",
            why="They have no period before treatment (and anticipation), so nothing "
            "says what they would have been without it.",
            fix="estimator.always_treated: drop",
        )
    note = f"{lost} rows of cohorts treated in all periods were left out."
    return keep, [note]


def _by_cohort_and_period(request: Request, design: Design, first: Floats) -> Sections:
    treatment = request.treatment
    anticipation = treatment.anticipation if treatment else 0
    periods, t = np.unique(design.periods, return_inverse=True)
    notes = list(design.notes)
    late = np.isfinite(first) & (first > periods[-1] + anticipation)
    if late.any():
        notes.append(
            f"{int(late.sum())} rows of cohorts first treated after the last period "
            "count as never treated."
        )
    cohort = np.where(late, np.inf, first)
    levels, of = np.unique(cohort, return_inverse=True)
    T = len(periods)
    code = of * T + t
    order = np.argsort(code, kind="stable")
    edges = np.searchsorted(code[order], np.arange(len(levels) * T + 1))
    cells = [order[a:b] for a, b in pairwise(edges)]
    controls = [r for r in design.regressors if not r.wanted]
    factor = design.clusters[0] if design.clusters else None
    return Sections(
        treatment=label(request, treatment.columns[0]) if treatment else "",
        periods=periods,
        y=design.outcome,
        weight=design.scaled_weights(),
        X=np.column_stack([r.values for r in controls])
        if controls
        else np.empty((design.n, 0)),
        controls=tuple(r.name for r in controls),
        t=t.astype(np.int64),
        cohort=cohort,
        cohorts=occurring(cohort),
        levels=levels,
        cells=tuple(tuple(cells[j * T : (j + 1) * T]) for j in range(len(levels))),
        cluster=factor.codes if factor else np.arange(design.n),
        cluster_ids=np.asarray(factor.ids) if factor else design.row_ids,
        cluster_term=factor.term if factor else "row",
        anticipation=anticipation,
        notes=tuple(notes),
        design=design,
    )
