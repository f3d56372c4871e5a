"""Instruments with errors that are correlated over time or space: limits and twins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._linear.options import SmallSample
from estimators.iv_2sls import Iv2sls
from tests.build_instruments import PLAIN, estimate_iv, instruments_panel

#: Sums in another order.
SAME = 1e-9
PLACES = {"places": ["latitude", "longitude"]}
#: What stands on the covariance of moments besides standard errors.
STRENGTH = ("kleibergen_paap_f", "effective_f", "cragg_donald_f", "first_stage_f")


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    frame = instruments_panel(3, units=24, periods=14)
    rng = np.random.default_rng(5)
    units = np.unique(frame["unit"])
    where = pd.DataFrame(
        {
            "unit": units,
            "latitude": rng.uniform(30, 40, len(units)),
            "longitude": rng.uniform(100, 120, len(units)),
        }
    )
    return frame.merge(where, on="unit")


def estimated(data: pd.DataFrame, inference: str, **changes: Any) -> Any:
    return estimate_iv(
        data, **({"inference": inference, "clusters": [], **PLACES} | changes)
    )


def numbers(result: Any, of: tuple[str, ...] = STRENGTH) -> np.ndarray[Any, Any]:
    found = [result.scalars[name] for name in of]
    found += [t.statistic for t in result.tests if t.statistic is not None]
    return np.array([*found, *result.coefficients["std_error"]])


@pytest.mark.parametrize("instruments", [["z1"], ["z1", "z2"]])
def test_places_too_far_apart_are_independent_rows(data, instruments):
    """Below the smallest distance every statistic is that of robust errors."""
    own = {"cutoff_km": 1e-6, "kernel": "uniform"}
    spatial = estimated(data, "conley", options=own, instruments=instruments)
    robust = estimated(data, "hetero", instruments=instruments)
    assert numbers(spatial) == pytest.approx(numbers(robust), rel=SAME)
    assert spatial.coefficients.estimate[0] == robust.coefficients.estimate[0]


def test_one_place_for_all_is_a_cluster_of_the_period(data):
    """But for small-sample factors, so these are left out of both."""
    apart = dict.fromkeys(("adjust", "cluster_adjust"), False)
    whole = {"cutoff_km": 30_000.0, "kernel": "uniform"}
    plugin = Iv2sls(small_sample=SmallSample(**apart))
    # Without period effects: with them the scores of a period would sum to zero.
    plain = {"fixed_effects": ["unit"], "plugin": plugin}
    one = estimated(data, "conley", options=whole, **plain)
    other = estimated(data, "cluster", clusters=["time"], **plain)
    assert one.coefficients.std_error.to_numpy() == pytest.approx(
        other.coefficients.std_error.to_numpy(), rel=SAME
    )
    assert one.scalars["effective_f"] == pytest.approx(
        other.scalars["effective_f"], rel=SAME
    )


def test_no_lags_are_robust_errors_and_clusters_of_periods(data):
    plugin = Iv2sls(small_sample=SmallSample(adjust=False, cluster_adjust=False))
    plain = {"plugin": plugin, "fixed_effects": ["unit"]}
    pairs = (
        ("newey_west", "hetero", {}),
        ("driscoll_kraay", "cluster", {"clusters": ["time"]}),
    )
    for serial, usual, how in pairs:
        one = estimated(data, serial, options={"lags": 0}, **plain)
        other = estimated(data, usual, **plain, **how)
        for name in ("effective_f", "first_stage_f"):
            assert one.scalars[name] == pytest.approx(other.scalars[name], rel=SAME)
        assert one.coefficients.std_error.to_numpy() == pytest.approx(
            other.coefficients.std_error.to_numpy(), rel=SAME
        )


def test_driscoll_kraay_is_the_bartlett_sum_of_the_periods_moments(data):
    """By hand: dummies for the effects, fitted treatment, moments summed by period."""
    lags = 2
    found = estimated(data, "driscoll_kraay", options={"lags": lags})
    dummies = pd.get_dummies(data[["unit", "time"]].astype(str), dtype=float)
    dummies = dummies.drop(columns=[dummies.columns[-1]]).to_numpy()
    X = np.column_stack([data[["d", "x"]], dummies])
    Z = np.column_stack([data[["z1", "x"]], dummies])
    fitted = Z @ np.linalg.lstsq(Z, X, rcond=None)[0]
    beta = np.linalg.solve(fitted.T @ X, fitted.T @ data["y"])
    scores = fitted * (data["y"] - X @ beta).to_numpy()[:, None]
    h = np.array(
        [scores[data["time"] == t].sum(axis=0) for t in sorted(set(data.time))]
    )
    T = len(h)
    meat = h.T @ h
    for lag in range(1, lags + 1):
        past = h[lag:].T @ h[:-lag]
        meat += (1 - lag / (lags + 1)) * (past + past.T)
    bread = np.linalg.inv(fitted.T @ fitted)
    n, k = len(data), X.shape[1]
    factor = T / (T - 1) * (n - 1) / (n - k)
    error = np.sqrt(np.diag(bread @ meat @ bread)[:2] * factor)
    assert found.coefficients.estimate[0] == pytest.approx(beta[0], rel=SAME)
    assert found.coefficients.std_error[0] == pytest.approx(error[0], rel=1e-7)


def test_newey_west_of_one_long_series_by_hand():
    """One unit, so that its lags are the series'; as many periods as rows: n/(n - k)."""
    lags = 3
    frame = instruments_panel(8, units=1, periods=120)
    found = estimate_iv(
        frame,
        **PLAIN
        | {
            "inference": "newey_west",
            "options": {"lags": lags},
            "unit": "unit",
            "time": "time",
            "instruments": ["z1", "z2"],
        },
    )
    one = np.ones(len(frame))
    X = np.column_stack([frame[["d", "x"]], one])
    Z = np.column_stack([frame[["z1", "z2", "x"]], one])
    fitted = Z @ np.linalg.lstsq(Z, X, rcond=None)[0]
    beta = np.linalg.solve(fitted.T @ X, fitted.T @ frame["y"])
    s = fitted * (frame["y"] - X @ beta).to_numpy()[:, None]
    n, k = X.shape
    meat = np.zeros((k, k))
    for i in range(n):
        for j in range(max(0, i - lags), min(n, i + lags + 1)):
            meat += (1 - abs(i - j) / (lags + 1)) * np.outer(s[i], s[j])
    bread = np.linalg.inv(fitted.T @ fitted)
    error = np.sqrt((bread @ meat @ bread)[0, 0] * n / (n - k))
    row = found.coefficients.iloc[0]
    assert row.estimate == pytest.approx(beta[0], rel=SAME)
    assert row.std_error == pytest.approx(error, rel=SAME)


def test_the_order_of_rows_moves_nothing(data):
    options = {"cutoff_km": 400.0, "lags": 1}
    one = estimated(data, "conley", options=options)
    other = estimated(data.sample(frac=1, random_state=1), "conley", options=options)
    assert numbers(one) == pytest.approx(numbers(other), rel=SAME)


def test_without_lags_driscoll_kraay_judges_instruments_as_clusters_of_periods(data):
    plain = {"fixed_effects": ["unit"], "instruments": ["z1"]}
    lagless = estimated(data, "driscoll_kraay", options={"lags": 0}, **plain)
    periods = estimated(data, "cluster", clusters=["time"], **plain)
    assert lagless.scalars["kleibergen_paap_f"] == pytest.approx(
        periods.scalars["kleibergen_paap_f"], rel=SAME
    )
