"""Dynamic spatial panels: truth, the bias and its correction, long-run effects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from estimators._math.spatial_dynamic import lean, long_run
from estimators._math.spatial_ml import Lag
from estimators.dynamic_spatial_panel import DynamicSpatialPanel
from framework.errors import EstimandError
from framework.result import influence_variance
from tests.build_spatial import some_weights, spatial_request

RHO, TAU, ETA, BETA, THETA = 0.3, 0.4, -0.1, 1.0, 0.5
W40 = some_weights(40, 1)


def made(t=10, seed=1, W=W40, *, rho=RHO, tau=TAU, eta=ETA, theta=THETA):
    rng = np.random.default_rng(seed)
    n = W.shape[0]
    dense = W.toarray()
    solve = np.linalg.inv(np.eye(n) - rho * dense)
    mu, y, rows = rng.normal(size=n), np.zeros(n), []
    for period in range(t + 30):  # thirty periods before the first one that is seen
        x = rng.normal(size=n) + 0.3 * mu
        mean = tau * y + eta * dense @ y + BETA * x + theta * dense @ x + mu
        y = solve @ (mean + 0.2 * np.sin(period) + rng.normal(size=n))
        if period >= 30:
            rows.append(pd.DataFrame({"y": y, "x1": x, "time": 2000 + period}))
            rows[-1]["unit"] = [f"u{i:04d}" for i in range(n)]
    return pd.concat(rows, ignore_index=True)


def request(data, W=W40, **fields):
    given = {"controls": []} | fields
    return spatial_request(data, {"outcome": W}, **given)


def rows_of(data, W=W40, effects=("unit", "time"), lag="all", correction=True):
    result = DynamicSpatialPanel(lag=lag, correction=correction).estimate(
        request(data, W, effects=effects)
    )
    return result.coefficients.set_index(["equation", "estimand", "term"]), result


TERMS = {
    ("spatial", "coefficient", "rho"): RHO,
    ("spatial", "coefficient", "y before"): TAU,
    ("spatial", "coefficient", "W × y before"): ETA,
    ("main", "coefficient", "x1"): BETA,
    ("main", "coefficient", "W × x1"): THETA,
}


@pytest.mark.parametrize("effects", [("unit", "time")])
def test_the_correction_takes_most_of_the_bias_and_intervals_cover(effects):
    corrected, plain, covered = [], [], []
    for seed in range(24):
        data = made(8, seed)
        rows, _ = rows_of(data, effects=effects)
        corrected.append([rows.estimate[key] for key in TERMS])
        covered.append(
            [rows.conf_low[key] <= v <= rows.conf_high[key] for key, v in TERMS.items()]
        )
        plain.append(
            [
                rows_of(data, effects=effects, correction=False)[0].estimate[k]
                for k in TERMS
            ]
        )
    truth = np.array(list(TERMS.values()))
    bias = np.abs(np.mean(plain, axis=0) - truth)
    left = np.abs(np.mean(corrected, axis=0) - truth)
    error = np.std(corrected, axis=0) / np.sqrt(24)
    # Seven periods: tau is off by a tenth of (1 + tau) / T without the correction.
    assert bias[1] > 5 * error[1]
    assert left[1] < 0.35 * bias[1]
    assert (left < 4 * error + 0.01).all()
    # 24 panels, terms together: 0.95 - 4 * 0.02, and what order 1 / T^2 leaves.
    assert np.mean(covered) > 0.85


def test_without_space_it_is_the_correction_of_hahn_and_kuersteiner():
    # tr(D) / n = 1 / (1 - tau) and a variance of y before of 1 / (1 - tau^2): (1 + tau) / T.
    n, tau, t = 30, 0.5, 12
    found = lean(np.zeros((n, n)), 0.0, tau, 0.0, shrunk=False)
    information = n * t / (1 - tau**2)
    assert found.tau / information == pytest.approx((1 + tau) / t)
    assert (found.eta, found.rho) == (0.0, 0.0)


@pytest.mark.parametrize("shrunk", [True, False])
def test_the_lean_is_the_mean_of_the_score(shrunk):
    # The score of (tau, eta) at the truth, averaged over panels without covariates.
    rng = np.random.default_rng(5)
    W, n, t = some_weights(12, 1).toarray(), 12, 6
    solve = np.linalg.inv(np.eye(n) - RHO * W)
    held = []
    for _ in range(2500):
        y, path, noise = np.zeros(n), [], []
        for _period in range(t + 20):
            e = rng.normal(size=n)
            y = solve @ (TAU * y + ETA * W @ y + e)
            path.append(y)
            noise.append(e)
        before, e = np.array(path[19:-1]).T, np.array(noise[20:]).T
        e = e - e.mean(axis=1, keepdims=True)
        if shrunk:
            e = e - e.mean(axis=0)
        held.append([(e * before).sum(), (e * (W @ before)).sum()])
    found = lean(W, RHO, TAU, ETA, shrunk=shrunk)
    mean = np.mean(held, axis=0)
    error = np.std(held, axis=0) / np.sqrt(2500)
    # The papers' limit is that of long panels; six periods leave a fifth.
    exact = -np.array([found.tau, found.eta])
    assert mean[0] == pytest.approx(exact[0], rel=0.3)
    assert abs(mean[1] - exact[1]) < 4 * error[1] + 0.3 * abs(exact[1]) + 0.3


@pytest.mark.parametrize("lag", ["outcome", "all"])
def test_effects_by_the_matrix(lag):
    rows, result = rows_of(made(), lag=lag)
    value = rows.estimate
    rho, tau = (
        value["spatial", "coefficient", "rho"],
        value["spatial", "coefficient", "y before"],
    )
    eta = value["spatial", "coefficient", "W × y before"]
    theta = value.get(("main", "coefficient", "W × x1"), 0.0)
    W, eye = W40.toarray(), np.eye(40)
    change = value["main", "coefficient", "x1"] * eye + theta * W
    short = np.linalg.solve(eye - rho * W, change)
    long = np.linalg.solve((1 - tau) * eye - (rho + eta) * W, change)
    for equation, S in (("main", short), ("long_run", long)):
        assert value[equation, "direct", "x1"] == pytest.approx(np.trace(S) / 40)
        assert value[equation, "total", "x1"] == pytest.approx(S.sum() / 40)
        parts = value[equation, "direct", "x1"] + value[equation, "indirect", "x1"]
        assert parts == pytest.approx(value[equation, "total", "x1"])
    V = influence_variance(result.influence)
    for label in V:
        error = result.coefficients["std_error"][label]
        assert V.loc[label, label] == pytest.approx(error**2)


def test_a_lasting_change_is_the_sum_of_a_path():
    lag, at = Lag.of(W40), np.array([RHO, TAU, ETA])
    found = long_run(lag, None, at)
    W, eye = W40.toarray(), np.eye(40)
    A = np.linalg.solve(eye - RHO * W, TAU * eye + ETA * W)
    path = sum(np.linalg.matrix_power(A, h) for h in range(80))
    S = path @ np.linalg.inv(eye - RHO * W)
    assert found.own[0] == pytest.approx(np.trace(S) / 40)
    assert found.all[0] == pytest.approx(S.sum() / 40)
    h = 1e-6
    for j, place in ((1, 2), (0, 4), (2, 4)):
        step = np.eye(3)[j] * h
        slope = (
            long_run(lag, None, at + step).all - long_run(lag, None, at - step).all
        ) / (2 * h)
        assert slope[0] == pytest.approx(found.all[place], rel=1e-6)  # step 1e-6


def test_order_of_rows_and_names_of_units():
    data = made()
    order = np.random.default_rng(1).permutation(40)
    names = {f"u{i:04d}": f"n{order[i]:04d}" for i in range(40)}
    turned = data.assign(unit=data["unit"].map(names)).sample(frac=1.0, random_state=1)
    moved = W40[np.argsort(order)][:, np.argsort(order)]
    one, other = rows_of(data)[0], rows_of(turned, moved)[0]
    assert other.estimate.to_numpy() == pytest.approx(one.estimate.to_numpy(), abs=1e-9)


def refused(data, **fields):
    with pytest.raises(EstimandError) as caught:
        DynamicSpatialPanel().estimate(request(data, **fields))
    return caught.value.problems[0].code


def test_what_is_refused():
    data = made(6)
    assert refused(data, effects=("time",)) == "I09"
    assert refused(data[data["time"] != 2032]) == "P02"
    assert refused(data[data["time"] < 2033]) == "D05"
    grown = data.assign(y=np.exp(0.5 * (data["time"] - 2030)) * (1 + 0.01 * data["y"]))
    assert refused(grown, effects=("unit",)) == "N05"
