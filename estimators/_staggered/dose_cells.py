"""Curves of effects by dose in every cohort and period, and their averages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from estimators._math import dose_response as math
from estimators._math.group_time import Cells
from estimators._math.projection import Codes, Floats
from estimators._math.two_period import NotFitted
from estimators._staggered.grid import Grid
from estimators._staggered.group_time import GroupTimeOptions, centred, compared
from estimators._staggered.report import Effect
from estimators._staggered.unfitted import Unfitted

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Averaged:
    """Averages over cells with influence functions by cluster.

    Attributes:
        beta, psi_beta: (K,) and (C, K), the curve.
        att, acrt: overall.
        events: event times, with `att_at` and `acrt_at` their effects.
        cells: the frame of all cells.
    """

    beta: Floats
    psi_beta: Floats
    att: Effect
    acrt: Effect
    events: Codes
    att_at: tuple[Effect, ...]
    acrt_at: tuple[Effect, ...]
    cells: pd.DataFrame


def averaged(
    panel: Grid,
    dose: Floats,
    cells: Cells,
    basis: math.Basis,
    options: GroupTimeOptions,
    residuals: str,
) -> Averaged:
    """Every cell fitted once and added to the averages that it is part of."""
    K, m = basis.size, len(cells)
    weight = panel.first_weight()
    member = panel.cohort[:, None] == panel.cohorts[None, :]
    share = (weight @ member) / weight.sum()
    psi_share = panel.by_cluster((weight / weight.sum())[:, None] * (member - share))

    events = np.unique(cells.event_time)
    after = cells.event_time >= 0
    a = np.column_stack([after, *(cells.event_time == e for e in events)]).astype(float)
    if options.overall == "by_cohort":
        a[:, 0] /= np.maximum(np.bincount(cells.cohort, after), 1.0)[cells.cohort]
    p = a * share[cells.cohort][:, None]
    mass = p.sum(axis=0)
    p = p / mass

    theta = np.zeros((m, K + 2))
    psi_curve = np.zeros((panel.n_clusters, K + 2))
    psi_event = np.zeros((2, panel.n_clusters, len(events)))
    error, counts = np.zeros((m, 2)), np.zeros((m, 2), dtype=np.int64)
    problems = Unfitted(panel.controls)
    for c in range(m):
        try:
            fit, units, counts[c] = _cell(
                panel, dose, cells, c, basis, options, residuals
            )
        except NotFitted as reason:
            g, t = panel.cohorts[cells.cohort[c]], panel.periods[cells.t[c]]
            problems.add(f"cohort {g:.0f} in {t}", reason)
            continue
        theta[c] = [*fit.beta, fit.att, fit.acrt]
        psi = np.column_stack([fit.psi_beta, fit.psi_att, fit.psi_acrt])
        psi = panel.by_cluster(psi, units)
        error[c] = np.sqrt(np.sum(psi[:, K:] ** 2, axis=0))
        if after[c]:
            psi_curve += p[c, 0] * psi
        at = int(np.searchsorted(events, cells.event_time[c]))
        psi_event[:, :, at] += p[c, 1 + at] * psi[:, K:].T
    problems.raise_if_any("fitted", "regression", "a smaller degree or fewer knots")

    def by_share(q: int, columns: slice) -> Floats:
        """Derivative of average q by the shares, (J, columns)."""
        out = np.zeros((len(share), theta[:, columns].shape[1]))
        off = theta[:, columns] - p[:, q] @ theta[:, columns]
        np.add.at(out, cells.cohort, a[:, [q]] * off / mass[q])
        return out

    overall = p[:, 0] @ theta
    psi_curve += psi_share @ by_share(0, slice(None))
    at_event = p[:, 1:].T @ theta[:, K:]
    for q in range(len(events)):
        psi_event[:, :, q] += (psi_share @ by_share(q + 1, slice(K, None))).T
    att, acrt = (
        tuple(
            Effect(float(at_event[q, k]), psi_event[k, :, q], int(e))
            for q, e in enumerate(events)
        )
        for k in (0, 1)
    )
    return Averaged(
        overall[:K],
        psi_curve[:, :K],
        Effect(float(overall[K]), psi_curve[:, K]),
        Effect(float(overall[K + 1]), psi_curve[:, K + 1]),
        events,
        att,
        acrt,
        _cells_frame(panel, cells, theta[:, K:], error, counts),
    )


def _cell(
    panel: Grid,
    dose: Floats,
    cells: Cells,
    c: int,
    basis: math.Basis,
    options: GroupTimeOptions,
    residuals: str,
) -> tuple[math.DoseEffects, Codes, tuple[int, int]]:
    """Effects of a cell, its units, and how many of them are treated and controls."""
    t, b = cells.t[c], cells.base[c]
    own, other = compared(panel, cells, c, options)
    units = np.flatnonzero(own | other)
    X = centred(np.column_stack([np.ones(len(units)), *panel.X[:, units, b]]))
    fit = math.effects(
        panel.Y[units, t] - panel.Y[units, b],
        own[units],
        dose[units],
        X,
        panel.weight[units, b],
        basis,
        residuals,
    )
    return fit, units, (int(own.sum()), int(other.sum()))


def _cells_frame(
    panel: Grid, cells: Cells, theta: Floats, error: Floats, counts: Codes
) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "cohort": panel.cohorts[cells.cohort].astype(np.int64),
            "period": panel.periods[cells.t],
            "base_period": panel.periods[cells.base],
            "event_time": cells.event_time,
            "att": theta[:, 0],
            "att_std_error": error[:, 0],
            "acrt": theta[:, 1],
            "acrt_std_error": error[:, 1],
            "n_treated": counts[:, 0],
            "n_control": counts[:, 1],
        }
    )
