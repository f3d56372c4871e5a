"""Coefficients by event time and their covariance, from whatever estimator made them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._linear.design import label
from estimators._math.projection import Floats
from estimators._sensitivity.choice import name_of
from framework.errors import (
    EstimandError,
    IdentificationError,
    NumericalError,
    Problem,
    counted,
)
from framework.result import Result, influence_variance

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Estimator, Request

#: Squared standard errors against influence functions: rounding of a sum of products.
AGREEMENT = 1e-8


@dataclass(frozen=True, slots=True)
class Events:
    """An event study, in order of event time, the reference left out.

    Attributes:
        name: the estimator's name.
        term: the treatment.
        times: (Q,) event times, consecutive but for the reference.
        beta: (Q,) estimates.
        sigma: (Q, Q) their covariance, of full rank.
        psi: influence functions, a column for each event time.
        reference: event time that is zero by construction.
        before: event times before the reference.
        result: what the estimator returned.
    """

    name: str
    term: str
    times: tuple[int, ...]
    beta: Floats
    sigma: Floats
    psi: pd.DataFrame
    reference: int
    before: int
    result: Result


def event_study_of(request: Request, of: Estimator) -> Events:
    """Run the estimator and take its event study.

    Raises:
        IdentificationError: E12 two-way clusters, no reference, one that is not before
            treatment, gaps between event times, none before it, covariance without
            full rank: all reasons at once; and the estimator's own.
        NumericalError: N01 influence functions that do not give the standard errors.
    """
    one_way(request)
    inner = replace(request, estimand=("by_event_time",))
    result = of.estimate(inner)
    name = name_of(of)
    treatment = request.treatment
    judged = (treatment.judged or treatment.columns)[0] if treatment else ""
    term = label(request, judged)
    frame = result.coefficients
    rows = frame[(frame["estimand"] == "by_event_time") & (frame["term"] == term)]
    reference = _reference(result)
    if reference is None:
        raise IdentificationError(
            "E12",
            f"the coefficients of {name} have no common reference period",
            why="Differences in trends are measured from it, before and after "
            "treatment alike.",
            fix="of: {callaway_santanna: {base_period: universal}}, sun_abraham or "
            "event_study",
        )
    rows = rows[rows["event_time"].astype(int) != reference]
    rows = rows.sort_values("event_time", kind="stable")
    times = tuple(int(t) for t in rows["event_time"])
    anticipation = treatment.anticipation if treatment else 0
    if problems := list(_unfit(name, times, reference, anticipation)):
        raise EstimandError(problems)
    psi = _influence(result, rows)
    sigma = influence_variance(psi).to_numpy(dtype=np.float64)
    _regular(name, times, sigma, len(psi))
    return Events(
        name=name,
        term=term,
        times=times,
        beta=rows["estimate"].to_numpy(dtype=np.float64),
        sigma=(sigma + sigma.T) / 2,
        psi=psi,
        reference=reference,
        before=sum(t < reference for t in times),
        result=result,
    )


def one_way(request: Request) -> None:
    """Refuse clusters whose influence functions give no covariances.

    Raises:
        IdentificationError: E12 two-way clusters.
    """
    if len(request.inference.clusters) > 1:
        raise IdentificationError(
            "E12",
            "two-way clusters have no influence functions for covariances",
            why="The whole covariance of the event study is used, and V1 + V2 - V12 "
            "with a factor each is known for single coefficients only.",
            fix="inference: {cluster: one column} on this line",
        )


def _reference(result: Result) -> int | None:
    for plot in result.plots:
        if plot.kind == "event_study" and plot.options.get("reference") is not None:
            return int(plot.options["reference"])
    return None


def _unfit(
    name: str, times: Sequence[int], reference: int, anticipation: int
) -> Iterator[Problem]:
    """Every reason why these are no path of differences in trends."""

    def refuse(what: str, fix: str, why: str = "") -> Iterator[Problem]:
        yield from IdentificationError("E12", what, why=why, fix=fix).problems

    wanted = -1 - anticipation
    apart = np.diff(sorted({*times, reference}))
    if reference != wanted and len(apart) and apart.min() > 1:
        yield from refuse(
            f"the event times of {name} are {apart.min()} or more apart",
            "number the periods 1, 2, 3, … in data.panel.time, and first_treated too",
            "Event times count one by one, and steps between consecutive periods are "
            "compared.",
        )
        return
    if reference != wanted:
        yield from refuse(
            f"the reference of {name} is event time {reference}, not {wanted}, the "
            "last one before treatment can have an effect",
            f"of: {{{name}: {{reference: {wanted}}}}}",
            "Periods after the reference count as treated ones.",
        )
    if not any(t < reference for t in times):
        yield from refuse(
            f"{name} has no coefficient before the reference {reference}",
            "a window with earlier event times, or a longer panel",
            "Violations after treatment are judged by those before it.",
        )
    if not any(t >= 0 for t in times):
        yield from refuse(
            f"{name} has no coefficient after treatment",
            "a window with event times from 0 on",
        )
    held = sorted({*times, reference})
    gaps = [t for t in range(held[0], held[-1]) if t not in held]
    if gaps:
        yield from refuse(
            f"{name} has no coefficient at event times {', '.join(map(str, gaps))}",
            "a window without gaps, or estimator options that fill them",
            "Steps between consecutive periods are compared.",
        )


def _influence(result: Result, rows: pd.DataFrame) -> pd.DataFrame:
    psi = result.influence
    if psi is None or not set(rows.index) <= set(psi.columns):
        raise NumericalError(
            "N01",
            "the event study has no influence functions, so no covariance is known",
            fix="another estimator in `of`",
        )
    psi = psi[list(rows.index)]
    squared = rows["std_error"].to_numpy(dtype=np.float64) ** 2
    apart = np.abs(np.diag(influence_variance(psi).to_numpy()) - squared)
    if not np.all(apart <= AGREEMENT * squared):
        raise NumericalError(
            "N01",
            "influence functions and standard errors of the event study disagree",
            why="Its covariance would not be that of the numbers shown.",
            fix="report this study as a fault of the software",
        )
    return psi


def _regular(name: str, times: Sequence[int], sigma: Floats, groups: int) -> None:
    """The covariance must have full rank, whatever the units of the outcome."""
    size = np.sqrt(np.diag(sigma))
    rank = int(np.linalg.matrix_rank(sigma / np.outer(size, size), tol=1e-9))
    if rank < len(times):
        raise IdentificationError(
            "E12",
            f"the covariance of the {len(times)} coefficients of {name} has rank {rank} "
            f"({counted(groups, 'cluster')})",
            why="Some combination of them would have no sampling error at all.",
            fix="a narrower window, or finer clusters",
        )
