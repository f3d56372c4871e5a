"""What `imputation` and `did2s` report: both impute the untreated outcome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from estimators._math.projection import Codes, Flags, Floats, contiguous
from estimators._math.sandwich import parameters
from estimators._math.two_way_fit import TwoWayFit, Weights, fit
from estimators._staggered.grid import Grid, effects_of_model, grid
from estimators._staggered.report import Effect, Effects, result, shown
from framework.errors import IdentificationError, counted

if TYPE_CHECKING:
    import pandas as pd

    from framework.contract import Request
    from framework.result import Result

#: What the effects of treated rows are compared with in the conservative variance.
Averaged = Literal["cohort_event_time", "event_time", "all"]


@dataclass(frozen=True, slots=True)
class ImputationOptions:
    """Options as in `Imputation`."""

    window: tuple[int, int] | None
    pretrends: int
    average_by: Averaged
    always_treated: str | None
    bootstrap: int


@dataclass(frozen=True, slots=True)
class TwoStageOptions:
    """Options as in `Did2s`."""

    window: tuple[int, int] | None
    untested: int | None
    always_treated: str | None
    bootstrap: int


@dataclass(frozen=True, slots=True)
class _Imputed:
    """Rows with an imputed untreated outcome, m of them.

    Attributes:
        first: the fit on the untreated rows.
        unit, t: (m,) where they stand in the grid.
        effect: (m,) outcome less imputed untreated outcome.
        weight: (m,).
        event_time, cohort, period: (m,).
        notes: what could not be imputed or used.
    """

    first: TwoWayFit
    unit: Codes
    t: Codes
    effect: Floats
    weight: Floats
    event_time: Codes
    cohort: Codes
    period: Codes
    notes: tuple[str, ...]

    def keep(self, chosen: Flags) -> _Imputed:
        at = np.flatnonzero(chosen)
        return replace(
            self,
            unit=self.unit[at],
            t=self.t[at],
            effect=self.effect[at],
            weight=self.weight[at],
            event_time=self.event_time[at],
            cohort=self.cohort[at],
            period=self.period[at],
        )


def imputation(
    request: Request, options: ImputationOptions, *, min_clusters: int
) -> Result:
    """Point estimates, conservative variance, the paper's test of pre-trends."""
    effects_of_model(request)
    panel = grid(
        request, always_treated=options.always_treated, min_clusters=min_clusters
    )
    rows = _impute(panel, _untreated(panel))
    found = _estimates(panel, rows, options.average_by)
    leads, reference, said = _leads(panel, options)
    found["by_event_time"] = shown([*leads, *found["by_event_time"]], options.window)
    notes = [*rows.notes, *said, *_alone(panel, options)]
    notes.append("Standard errors are conservative (Borusyak, Jaravel and Spiess).")
    return result(
        request,
        panel,
        Effects(
            rows=found,
            reference=() if reference is None else (reference,),
            frames={"imputed": _frame(rows)},
            notes=tuple(notes),
        ),
        bootstrap=options.bootstrap,
    )


def two_stage(
    request: Request, options: TwoStageOptions, *, min_clusters: int
) -> Result:
    """Gardner's second stage: means of the residuals, first stage in the errors."""
    effects_of_model(request)
    panel = grid(
        request, always_treated=options.always_treated, min_clusters=min_clusters
    )
    untreated = _untreated(panel)
    rows = _impute(panel, untreated)
    found = _estimates(panel, rows, None)
    before = _residuals(panel, rows.first, untreated)
    leads = _by(panel, before, before.event_time, None)
    found["by_event_time"] = shown([*leads, *found["by_event_time"]], options.window)
    notes = [*rows.notes]
    untested: tuple[int, ...] = ()
    if leads:
        held = [e.at for e in shown(leads, options.window) if e.at is not None]
        last = _last_lead([e.at for e in leads if e.at is not None], options)
        untested = _determined(panel, untreated, held, last)
        times = f"time {last} is"
        if len(untested) > 1:
            times = f"times {', '.join(map(str, untested))} are"
        notes.append(
            "Effects before treatment are mean residuals of the first stage, which was "
            "fitted to them: they are nearer to zero than those of a regression. Event "
            f"{times} not part of the joint test: residuals sum to zero within units"
            + (", and the first stage takes out more." if len(untested) > 1 else ".")
        )
    return result(
        request,
        panel,
        Effects(
            rows=found,
            reference=(),
            untested=untested,
            frames={"imputed": _frame(rows)},
            notes=tuple(notes),
        ),
        bootstrap=options.bootstrap,
    )


def _last_lead(leads: Sequence[int], options: TwoStageOptions) -> int:
    """The event time that the joint test leaves out at least.

    Raises:
        IdentificationError: E02 there are no rows at the one that the study names.
    """
    if options.untested is None:
        return max(leads)
    if options.untested not in leads:
        raise IdentificationError(
            "E02",
            f"no untreated rows at the untested event time {options.untested}",
            why="The joint test of pre-trends leaves out one of the event times that "
            "there are, as it follows from the others.",
            fix=f"estimator.untested: one of {', '.join(map(str, sorted(leads)))}",
        )
    return options.untested


def _determined(
    panel: Grid, untreated: Flags, leads: Sequence[int], last: int
) -> tuple[int, ...]:
    """`last`, and the leads whose mean residual follows from that of the others.

    A weighted sum of mean residuals is zero in all data if the same sum of the event
    times' indicators is explained by the first stage: the sum of all leads is (unit
    effects), and without never-treated units a trend in event time, too.
    """
    own = untreated & np.isfinite(panel.cohort)[:, None]
    order = [*(k for k in leads if k != last), *(k for k in leads if k == last)]
    dummies = [(panel.event_time == k) & own for k in order]
    first = fit(
        panel.Y,
        np.where(untreated, panel.weight, 0.0),
        np.concatenate([panel.X, np.stack(dummies).astype(np.float64)])
        if dummies
        else panel.X,
    )
    free = {order[j - len(panel.X)] for j in first.kept if j >= len(panel.X)}
    return tuple(sorted({*leads, last} - free | {last}))


def _untreated(panel: Grid) -> Flags:
    """Rows (N, T) before treatment and anticipation."""
    return np.asarray(panel.seen & (panel.event_time < -panel.anticipation))


def _impute(panel: Grid, untreated: Flags) -> _Imputed:
    first = fit(panel.Y, np.where(untreated, panel.weight, 0.0), panel.X)
    notes = []
    lost = [c for j, c in enumerate(panel.controls) if j not in first.kept]
    if lost:
        notes.append(
            f"Left out: {', '.join(repr(c) for c in lost)}: among the untreated rows "
            "the unit and period effects (or other controls) explain it."
        )
    treated = panel.seen & ~untreated
    known = treated & first.identified()
    if not known.any():
        raise IdentificationError(
            "E10",
            "no treated row has an untreated outcome to be imputed from",
            why="It takes untreated rows of the same unit and of the same period.",
            fix="a longer panel, or never-treated units",
        )
    gone = treated & ~known
    if gone.any():
        listed = ", ".join(
            str(p) for p in panel.periods[np.flatnonzero(gone.any(axis=0))]
        )
        notes.append(
            f"{counted(int(gone.sum()), 'treated row')} (periods {listed}) can't be "
            "imputed, as no "
            "untreated unit links them: they are not part of any average."
        )
    unit, t = np.nonzero(known)
    fitted = first.alpha[unit] + first.period[t]
    for j, beta in enumerate(first.beta):
        fitted = fitted + beta * first.X[j][unit, t]
    return _Imputed(
        first=first,
        unit=unit,
        t=t,
        effect=panel.Y[unit, t] - fitted,
        weight=panel.weight[unit, t],
        event_time=panel.event_time[unit, t].astype(np.int64),
        cohort=panel.cohort[unit].astype(np.int64),
        period=panel.periods[t],
        notes=tuple(notes),
    )


def _residuals(panel: Grid, first: TwoWayFit, untreated: Flags) -> _Imputed:
    """The untreated rows of treated units, as `_impute` has the treated ones."""
    unit, t = np.nonzero(untreated & np.isfinite(panel.cohort)[:, None])
    w = panel.weight[unit, t]
    return _Imputed(
        first=first,
        unit=unit,
        t=t,
        effect=first.score[unit, t] / w,
        weight=w,
        event_time=panel.event_time[unit, t].astype(np.int64),
        cohort=panel.cohort[unit].astype(np.int64),
        period=panel.periods[t],
        notes=(),
    )


def _estimates(
    panel: Grid, rows: _Imputed, average_by: Averaged | None
) -> dict[str, list[Effect]]:
    after = rows.keep(rows.event_time >= 0)
    zero = np.zeros(len(after.unit), dtype=np.int64)
    return {
        "att": [
            replace(effect, at=None) for effect in _by(panel, after, zero, average_by)
        ],
        "by_event_time": _by(panel, rows, rows.event_time, average_by),
        "by_cohort": _by(panel, after, after.cohort, average_by),
        "by_period": _by(panel, after, after.period, average_by),
    }


def _by(
    panel: Grid, rows: _Imputed, index: Codes, average_by: Averaged | None
) -> list[Effect]:
    """Weighted mean effect at every value of `index` (m,), with its influence."""
    if not len(index):
        return []
    of, q = contiguous(index)
    levels = np.zeros(q, dtype=np.int64)
    levels[of] = index
    N, T = panel.seen.shape
    w = rows.weight / np.bincount(of, rows.weight)[of]
    estimate = _sums(of, w * rows.effect, q)
    c = Weights(
        _sums(rows.unit * q + of, w, N * q).reshape(N, q),
        _sums(rows.t * q + of, w, T * q).reshape(T, q),
        np.stack([np.bincount(of, w * x[rows.unit, rows.t], q) for x in panel.X])
        if len(panel.X)
        else np.empty((0, q)),
    )
    center: Floats = estimate[of]
    if average_by is not None:
        center = _averaged(panel, rows, of, w, average_by)
    own = np.bincount(rows.unit * q + of, w * (rows.effect - center), N * q)
    psi = own.reshape(N, q) - rows.first.influence(c)
    summed = panel.by_cluster(psi)
    return [
        Effect(float(estimate[j]), summed[:, j], int(level))
        for j, level in enumerate(levels)
    ]


def _sums(codes: Codes, values: Floats, size: int) -> Floats:
    return np.asarray(np.bincount(codes, values, size), dtype=np.float64)


def _averaged(
    panel: Grid, rows: _Imputed, of: Codes, w: Floats, average_by: Averaged
) -> Floats:
    """Average effect of each row's group (m,), weighted to keep the variance smallest.

    Borusyak, Jaravel and Spiess (2024), eq. (8): groups of rows share an average effect
    `sum_c v_c (sum v tau)_c / sum_c v_c^2` with v_c the sum of weights in cluster c.
    """
    group = of.astype(np.int64)
    if average_by != "all":
        group = _crossed(group, rows.event_time)
    if average_by == "cohort_event_time":
        group = _crossed(group, rows.cohort)
    group = contiguous(group)[0]
    v, tau, of_pair = w, w * rows.effect, group
    if not panel.own_clusters or average_by == "all":
        pair, inside = np.unique(
            group * np.int64(panel.n_clusters) + panel.cluster[rows.unit],
            return_inverse=True,
        )
        m = len(pair)
        v, tau = _sums(inside, v, m), _sums(inside, tau, m)
        of_pair = pair // panel.n_clusters
    average = np.bincount(of_pair, v * tau) / np.bincount(of_pair, v * v)
    return np.asarray(average[group])


def _crossed(group: Codes, values: Codes) -> Codes:
    """Codes of the pairs; `values` are periods, so their range is short."""
    low, high = int(values.min()), int(values.max())
    return np.asarray(group * (high - low + 1) + (values - low), dtype=np.int64)


def _leads(
    panel: Grid, options: ImputationOptions
) -> tuple[list[Effect], int | None, list[str]]:
    """The paper's test: leads in a regression on the untreated rows alone.

    Returns:
        Effects by event time, the last event time of the reference group, notes.
    """
    untreated = _untreated(panel)
    own = untreated & np.isfinite(panel.cohort)[:, None]
    there = np.unique(panel.event_time[own]).astype(np.int64)
    # The earliest event time is left as the reference.
    tested = there[1:][-options.pretrends :] if options.pretrends else there[:0]
    if not len(tested):
        why = "" if not options.pretrends else " (there is one untreated period only)"
        return [], None, [f"No pre-trends are estimated{why}."]
    dummies = np.stack([(panel.event_time == k) & own for k in tested])
    first = fit(
        panel.Y,
        np.where(untreated, panel.weight, 0.0),
        np.concatenate([panel.X, dummies.astype(np.float64)]),
    )
    k = len(panel.X)
    held = np.flatnonzero(first.kept >= k)
    reference = int(there[there < tested[0]][-1])
    if len(held) < len(tested):
        note = (
            "Pre-trends are not identified: "
            f"{counted(len(tested), 'lead is', 'leads are')} collinear with "
            "unit and period effects; set estimator.pretrends lower."
        )
        return [], None, [note]
    n = int(untreated.sum())
    G = panel.n_clusters
    K = parameters(
        len(first.beta),
        [len(panel.cohort), first.n_parameters - len(first.beta)],
        [True, False],
        "nonnested",
    )
    factor = np.sqrt(G / (G - 1) * (n - 1) / (n - K))
    psi = panel.by_cluster(first.coefficients(held)) * factor
    effects = [
        Effect(float(first.beta[j]), psi[:, i], int(tested[first.kept[j] - k]))
        for i, j in enumerate(held)
    ]
    note = (
        f"Effects before treatment are leads in a regression on untreated rows alone, "
        f"relative to event time {reference} and earlier."
    )
    return effects, reference, [note]


def _alone(panel: Grid, options: ImputationOptions) -> Iterator[str]:
    """Cohorts whose own average is their own effect, so that errors miss them."""
    if options.average_by != "cohort_event_time":
        return
    single = panel.single_clusters
    if single:
        listed = ", ".join(map(str, single))
        yield (
            f"Cohorts of one cluster ({listed}): their effects are compared with "
            "themselves, so the errors miss their part; average_by: event_time does not."
        )


def _frame(rows: _Imputed) -> pd.DataFrame:
    """Effects by cohort and period."""
    import pandas as pd

    frame = pd.DataFrame(
        {
            "cohort": rows.cohort,
            "period": rows.period,
            "event_time": rows.event_time,
            "weighted": rows.weight * rows.effect,
            "weight": rows.weight,
        }
    )
    keys = ["cohort", "period", "event_time"]
    summed = frame.groupby(keys, sort=True).sum()
    found = pd.DataFrame(
        {
            "estimate": summed["weighted"] / summed["weight"],
            "n_obs": frame.groupby(keys, sort=True).size(),
        }
    )
    return found.reset_index()
