"""A dynamic spatial panel, from a request to a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._math.spatial_dynamic import lean, long_run
from estimators._math.spatial_inference import multipliers
from estimators._math.spatial_ml import Floats
from estimators._spatial.model import (
    MOST_UNITS,
    Estimated,
    Lags,
    Row,
    coefficients,
    estimated,
    impacts,
    in_order,
)
from estimators._spatial.panel import Arrays, Regressor, arrays_of, lag_of
from estimators._spatial.report import effects_in_words, said_transform, table_of
from estimators._spatial.summary import summary
from framework.contract import Request
from framework.errors import DataError, IdentificationError, NumericalError, counted
from framework.result import Result

if TYPE_CHECKING:
    import pandas as pd

_FEWEST_PERIODS = 4


def dynamic_spatial_panel(
    request: Request, *, durbin: bool, correction: bool
) -> Result:
    """Coefficients, short-run and long-run effects.

    Raises:
        EstimandError: as `arrays_of`, `lag_of` and `estimated`.
        DataError: D05 fewer than four periods, P02 a period is missing.
        IdentificationError: I09 without unit effects.
        NumericalError: N05 an explosive process, N06 too many units.
    """
    arrays = arrays_of(request)
    _dense_in_time(arrays)
    if not arrays.unit:
        raise IdentificationError(
            "I09",
            "a dynamic panel without unit effects",
            why="the lagged outcome would stand for what differs between units",
            fix="fixed_effects: the unit, or the unit and the period",
            path="model.fixed_effects",
        )
    lag, weights = lag_of(request, "outcome", arrays.ids)
    n = len(arrays.ids)
    if n > MOST_UNITS:
        raise NumericalError("N06", f"{n:,} units: dense matrices are needed")
    name = str(request.labels[request.outcome])
    before = Regressor(f"{name} before", arrays.y[:, :-1])
    around = Regressor(f"W × {name} before", lag.W @ arrays.y[:, :-1])
    given = tuple(replace(r, values=r.values[:, 1:]) for r in arrays.regressors)
    t = arrays.y.shape[1]
    rows = arrays.rows.reshape(n, t)[:, 1:].ravel()
    moving = replace(
        arrays,
        y=arrays.y[:, 1:],
        regressors=(*given, before, *(() if durbin else (around,))),
        periods=arrays.periods[1:],
        rows=rows,
    )
    lags = Lags(outcome=lag, covariates=lag if durbin else None)
    m = estimated(moving, lags, "lee_yu")
    count = len(given)
    tau, eta = count, (2 * count + 1 if durbin else count + 1)
    moved = 0.0
    if correction:
        m, moved = _corrected(m, tau, eta)
    total = m.rho + float(m.b[tau]) + float(m.b[eta])
    own = abs(float(m.b[tau]))
    if _radius(m, tau, eta) >= 1.0:
        raise NumericalError(
            "N05",
            f"rho + tau + eta = {total:.4g}, tau = {own:.4g}: the process does not "
            "return from a shock",
            why="there are no long-run effects, and the correction does not hold",
            fix="differences of the outcome, or a static model",
        )
    terms = {r.term for r in given}
    short = [r for r in impacts(m) if r.term in terms]
    long = _long_run_rows(m, given, tau, eta)
    shown = in_order([*_named(m, name), *short, *long], request.estimand)
    table = table_of(m, shown, request.confidence)
    notes = [
        (
            f"dynamic spatial {'Durbin' if durbin else 'autoregressive'} model with "
            f"{effects_in_words(arrays)}, quasi maximum likelihood on transformed data; "
            f"spatial weights '{weights.name or 'outcome'}' ({said_transform(weights)})"
        ),
        (
            f"corrected for the bias of order 1 / T (Yu, de Jong and Lee 2008), which "
            f"moved the coefficient of '{name} before' by {moved:+.4f}"
            if correction
            else "not corrected for the bias of order 1 / T"
        ),
        f"rho + tau + eta = {total:.4f}; the first period serves as the lag only",
        *arrays.notes,
    ]
    return Result(
        coefficients=table,
        influence=_influence(m, shown),
        scalars={
            "n_obs": float(m.arrays.y.size),
            "n_units": float(n),
            "n_periods": float(t - 1),
            "df_t": float("inf"),
            "sigma2": m.sigma2,
            "outcome_mean": float(m.arrays.y.mean()),
        },
        frames={"spatial_weights": summary({"outcome": (lag, weights)})},
        notes=tuple(notes),
    )


def _dense_in_time(arrays: Arrays) -> None:
    if len(arrays.periods) < _FEWEST_PERIODS:
        raise DataError(
            "D05",
            f"{counted(len(arrays.periods), 'period')}: a dynamic panel needs "
            f"{_FEWEST_PERIODS} or more",
        )
    steps = np.diff(arrays.periods)
    if (steps != steps[0]).any():
        at = int(np.argmax(steps != steps[0]))
        raise DataError(
            "P02",
            f"periods are not evenly spaced: {arrays.periods[at]} is followed by "
            f"{arrays.periods[at + 1]}",
            why="the outcome before would be from different times ago",
        )


def _corrected(m: Estimated, tau: int, eta: int) -> tuple[Estimated, float]:
    """One step of the correction, and by how much it moves tau."""
    lag = m.lags.outcome
    assert lag is not None  # noqa: S101 - there always is one here
    k = len(m.b)
    W = lag.W.toarray()
    bias = lean(W, m.rho, float(m.b[tau]), float(m.b[eta]), shrunk=m.arrays.time)
    a = np.zeros(k + 3)
    a[tau], a[eta], a[k] = bias.tau, bias.eta, bias.rho
    step = m.V @ a
    rho = m.rho + float(step[k])
    low, high = lag.range
    if not low < rho < high:
        raise NumericalError(
            "N05",
            f"the bias correction moves rho to {rho:.4g}, out of its parameter space",
            fix="correction: false, or more periods",
        )
    W2 = None if m.lags.covariates is None else m.lags.covariates.W
    found = replace(
        m,
        b=m.b + step[:k],
        rho=rho,
        sigma2=m.sigma2 + float(step[k + 2]),
        multipliers=multipliers(len(W), lag.inverse(rho), lag, W2),
    )
    return found, float(step[tau])


def _radius(m: Estimated, tau: int, eta: int) -> float:
    """Largest eigenvalue in modulus of (I - rho W)^-1 (tau I + eta W)."""
    lag = m.lags.outcome
    assert lag is not None  # noqa: S101 - there always is one here
    omega = (
        np.linalg.eigvals(lag.W.toarray())
        if lag.omega is None
        else np.asarray(lag.omega)
    )
    moved = (m.b[tau] + m.b[eta] * omega) / (1.0 - m.rho * omega)
    return float(np.abs(moved).max())


def _named(m: Estimated, name: str) -> list[Row]:
    """Coefficients; those of the outcome's lags are in no units: equation `spatial`."""
    lags = {f"{name} before", f"W × {name} before"}
    return [
        replace(r, equation="spatial") if r.term in lags else r for r in coefficients(m)
    ]


def _long_run_rows(
    m: Estimated, given: Sequence[Regressor], tau: int, eta: int
) -> list[Row]:
    """Direct, indirect and total effects of a lasting change, delta method."""
    lag = m.lags.outcome
    assert lag is not None  # noqa: S101 - there always is one here
    durbin, k = m.lags.covariates is not None, len(m.b)
    W2 = lag.W.toarray() if durbin else None
    at = np.array([m.rho, m.b[tau], m.b[eta]])
    sums = long_run(lag, W2, at)
    offset = len(m.arrays.regressors)
    rows = []
    for kind, a in (
        ("direct", sums.own),
        ("indirect", sums.all - sums.own),
        ("total", sums.all),
    ):
        for j, r in enumerate(given):
            beta = float(m.b[j])
            theta = float(m.b[offset + j]) if durbin else 0.0
            gradient: Floats = np.zeros(k + 3)
            gradient[j] = a[0]
            if durbin:
                gradient[offset + j] = a[1]
            # dD / dtau = D D; dD / drho = dD / deta = D W D.
            gradient[tau] += beta * a[2] + theta * a[3]
            gradient[[k, eta]] += beta * a[4] + theta * a[5]
            value = float(beta * a[0] + theta * a[1])
            rows.append(Row(r.term, kind, value, gradient, r.judged, "long_run"))
    return rows


def _influence(m: Estimated, rows: Sequence[Row]) -> pd.DataFrame | None:
    import pandas as pd

    at = [i for i, r in enumerate(rows) if r.judged]
    if m.psi is None or not at:
        return None
    R = np.column_stack([rows[i].gradient for i in at])
    return pd.DataFrame(
        m.psi @ R, index=pd.Index(m.arrays.rows, name="row"), columns=at
    )
