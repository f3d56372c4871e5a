"""Mediation: by hand, by a second engine, on known truth, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import optimize
from statsmodels.stats.mediation import Mediation as Simulated

from estimators.mediation import Mediation
from estimators.ols import Ols
from framework.contract import Inference
from framework.errors import EstimandError
from framework.result import influence_variance
from tests.build_mediated import DIRECT, FIRST, SECOND, request_of, sample


def rows(result: Any, estimand: str) -> pd.DataFrame:
    frame = result.coefficients
    return frame[(frame.estimand == estimand) & (frame.equation == "main")]


def slopes(y: Any, *columns: Any) -> np.ndarray:
    X = np.column_stack([*columns, np.ones(len(y))])
    return np.linalg.lstsq(X, y, rcond=None)[0]


def by_hand(f: pd.DataFrame) -> list[float]:
    """Indirect through m1, m2, direct and total."""
    long = slopes(f.y, f.d, f.m1, f.m2, f.x)
    a = [slopes(f[m], f.d, f.x)[0] for m in ("m1", "m2")]
    return [a[0] * long[1], a[1] * long[2], long[0], slopes(f.y, f.d, f.x)[0]]


def test_products_and_their_exact_sum() -> None:
    data = sample(1)
    found = Mediation().estimate(request_of(data, "m1", "m2"))
    through = rows(found, "indirect")
    assert through.variable.to_list() == ["all", "m1", "m2"]
    one, two, beside, whole = by_hand(data)
    # least squares in two ways
    assert through.estimate.to_list() == pytest.approx([one + two, one, two], rel=1e-9)
    assert rows(found, "direct").estimate.iloc[0] == pytest.approx(beside, rel=1e-9)
    assert rows(found, "total").estimate.iloc[0] == pytest.approx(whole, rel=1e-9)
    # an identity of least squares
    assert one + two + beside == pytest.approx(whole, rel=1e-9)


def test_direct_and_total_have_the_errors_of_their_regressions() -> None:
    data = sample(2)
    found = Mediation().estimate(request_of(data, "m1", "m2"))
    short = Ols().estimate(request_of(data, "m1", "m2")).coefficients
    long = build_long(data)
    # the same engine on the same columns
    assert rows(found, "total").std_error.iloc[0] == pytest.approx(
        short.std_error[0], rel=1e-9
    )
    assert rows(found, "direct").std_error.iloc[0] == pytest.approx(
        long.std_error[0], rel=1e-9
    )


def build_long(data: pd.DataFrame) -> pd.DataFrame:
    request = request_of(data, "m1", "m2")
    whole = replace(request, controls=(*request.controls, *request.mediators))
    return Ols().estimate(replace(whole, mediators=())).coefficients


def test_the_covariance_is_that_of_stacked_moments() -> None:
    """G/(G-1) aside, one sandwich of all regressions' scores, gradients by differences."""
    data = sample(3)
    found = Mediation().estimate(request_of(data, "m1", "m2"))
    one = np.ones(len(data))
    X = np.column_stack([data.d, data.x, one])
    Z = np.column_stack([data.d, data.m1, data.m2, data.x, one])
    blocks = [(X, data.m1), (X, data.m2), (Z, data.y), (X, data.y)]
    factor, psi = [], []
    n, G = len(data), data.g.nunique()
    for W, y in blocks:
        B = np.linalg.inv(W.T @ W)
        b = B @ W.T @ y.to_numpy()
        s = pd.DataFrame(W * (y.to_numpy() - W @ b)[:, None]).groupby(data.g).sum()
        factor.append((b, G / (G - 1) * (n - 1) / (n - W.shape[1])))
        psi.append(np.sqrt(factor[-1][1]) * s.to_numpy() @ B)
    theta = np.concatenate([b for b, _ in factor])
    stacked = np.column_stack(psi)

    def effects(t: np.ndarray) -> np.ndarray:
        return np.array([t[0] * t[7] + t[3] * t[8], t[0] * t[7], t[6], t[11]])

    J = np.vstack(
        [optimize.approx_fprime(theta, lambda t, i=i: effects(t)[i]) for i in range(4)]
    )
    want = J @ stacked.T @ stacked @ J.T
    assert found.influence is not None
    V = influence_variance(found.influence[[0, 1, 3, 4]]).to_numpy()
    # numerical derivatives of a bilinear function
    np.testing.assert_allclose(V, want, rtol=1e-5, atol=1e-8)


def test_a_simulating_engine_agrees() -> None:
    data = sample(4, 200)
    long = sm.OLS.from_formula("y ~ d + m1 + x", data)
    first = sm.OLS.from_formula("m1 ~ d + x", data)
    simulated = Simulated(long, first, "d", "m1").fit(
        method="parametric", n_rep=30, rng=np.random.default_rng(1)
    )
    want = simulated.summary()["Estimate"]
    found = Mediation().estimate(request_of(data, "m1", inference="hetero"))
    for estimand, name in (
        ("indirect", "ACME (average)"),
        ("direct", "ADE (average)"),
        ("total", "Total effect"),
    ):
        row = rows(found, estimand).iloc[0]
        # its estimate is a mean of 30 draws: four of their errors
        assert abs(row.estimate - want[name]) < 4 * row.std_error / np.sqrt(30)


def test_interaction_gives_effects_at_both_treatments() -> None:
    f = sample(5, moderated=0.6)
    found = Mediation(interaction=True).estimate(request_of(f, "m1"))
    long = slopes(f.y, f.d, f.m1, f.d * f.m1, f.x)
    first = slopes(f.m1, f.d, f.x)
    mean = f.m1.mean() - first[0] * f.d.mean()
    delta = [first[0] * (long[1] + long[2] * d) for d in (0, 1)]
    zeta = [long[0] + long[2] * (mean + first[0] * d) for d in (0, 1)]
    through, beside = rows(found, "indirect"), rows(found, "direct")
    # the paper's formulas without centring
    assert through.estimate.to_list() == pytest.approx(
        [np.mean(delta), *delta], rel=1e-9
    )
    assert beside.estimate.to_list() == pytest.approx([np.mean(zeta), *zeta], rel=1e-9)
    assert through.variable.to_list() == ["average", "untreated", "treated"]
    total = rows(found, "total").estimate.iloc[0]
    assert total == pytest.approx(delta[1] + zeta[0], rel=1e-9)
    assert total == pytest.approx(delta[0] + zeta[1], rel=1e-9)


def test_interaction_s_errors_are_the_jackknife_s() -> None:
    f = sample(6, moderated=0.6)
    found = Mediation(interaction=True).estimate(
        request_of(f, "m1", inference="hetero", clusters=[])
    )

    def direct(part: pd.DataFrame) -> float:
        long = slopes(part.y, part.d, part.m1, part.d * part.m1, part.x)
        first = slopes(part.m1, part.d, part.x)
        mean = part.m1.mean() - first[0] * part.d.mean()
        return float(long[0] + long[2] * (mean + first[0]))

    left = np.array([direct(f.drop(index=i)) for i in f.index])
    jackknife = np.sqrt((len(f) - 1) * np.var(left))
    row = rows(found, "direct").iloc[-1]
    # they differ by terms of order 1/n
    assert row.std_error == pytest.approx(jackknife, rel=0.03)


def test_sensitivity_is_zero_at_the_errors_correlation() -> None:
    f = sample(7)
    found = Mediation(sensitivity=True).estimate(request_of(f, "m1"))
    X = np.column_stack([f.d, f.x, np.ones(len(f))])
    u, v = (
        z - X @ np.linalg.lstsq(X, z, rcond=None)[0]
        for z in (f.y.to_numpy(), f.m1.to_numpy())
    )
    rho = np.corrcoef(u, v)[0, 1]
    # one correlation in two ways
    assert found.scalars["sensitivity_rho"] == pytest.approx(rho, rel=1e-9)
    assert found.scalars["sensitivity_r2"] == pytest.approx(rho**2, rel=1e-9)
    frame = found.frames["sensitivity"]
    at_zero = frame.loc[frame.rho.abs() < 1e-12, "indirect"].iloc[0]
    assert at_zero == pytest.approx(found.coefficients.estimate[0], rel=1e-9)
    assert np.interp(rho, frame.rho, frame.indirect) == pytest.approx(0, abs=1e-2)


def test_errors_correlated_as_said_bias_as_the_formula_says() -> None:
    """Truth without an effect of the mediator, errors correlated at 0.5."""
    rng = np.random.default_rng(8)
    n = 20_000
    d = rng.integers(0, 2, n).astype(float)
    e = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], n)
    data = pd.DataFrame(
        {"d": d, "x": rng.normal(size=n), "m1": d + e[:, 0], "y": d + e[:, 1]}
    ).assign(g=np.arange(n))
    found = Mediation(sensitivity=True).estimate(
        request_of(data, "m1", inference="hetero", clusters=[])
    )
    assert found.coefficients.estimate[0] > 0.4
    # a correlation of 20,000 rows: four of its errors
    assert found.scalars["sensitivity_rho"] == pytest.approx(0.5, abs=4 / np.sqrt(n))


def test_known_truth_and_coverage() -> None:
    truth = np.array([FIRST + SECOND, FIRST, SECOND, DIRECT])
    z = []
    for seed in range(40):
        found = Mediation().estimate(request_of(sample(200 + seed, 200), "m1", "m2"))
        main = pd.concat([rows(found, "indirect"), rows(found, "direct")])
        z.append((main.estimate.to_numpy() - truth) / main.std_error.to_numpy())
    # a mean of 40 t statistics, three of its errors; t with 39 df is a little wider
    assert np.abs(np.mean(z, axis=0)).max() < 3.2 / np.sqrt(40)
    inside = np.mean(np.abs(z) < 2.02, axis=0)
    # 0.95 less three errors of a share of 40
    assert inside.min() > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 40)


def test_steps_and_the_judged_estimand() -> None:
    request = request_of(sample(9), "m1", "m2")
    found = Mediation().estimate(replace(request, estimand=("total",)))
    assert found.coefficients.estimand[0] == "total"
    assert [t.name for t in found.tests] == ["joint_significance"] * 2
    equations = found.coefficients[found.coefficients.equation == "mediator"]
    assert equations.variable.to_list() == ["m1", "m2"]
    weaker = min(abs(equations.statistic.iloc[0]), abs(_outcome(found).iloc[0]))
    assert found.tests[0].statistic == pytest.approx(weaker, rel=1e-12)


def _outcome(found: Any) -> pd.Series:
    frame = found.coefficients
    return frame[frame.equation == "outcome"].statistic


def test_what_does_not_fit_is_refused_at_once() -> None:
    data = sample(10)
    dose = data.assign(d=data.d * 2)
    with pytest.raises(EstimandError) as caught:
        Mediation(interaction=True, sensitivity=True).estimate(
            request_of(dose, "m1", "m2", kind="dose")
        )
    assert [p.code for p in caught.value.problems] == ["E15", "E15"]
    request = request_of(data, "m1")
    twice = replace(
        request, inference=Inference("cluster", request.inference.clusters * 2)
    )
    with pytest.raises(EstimandError, match="no covariance between"):
        Mediation().estimate(twice)
    copy = request_of(data.assign(m1=data.d * 3), "m1")
    with pytest.raises(EstimandError, match=r"I0[234]"):
        Mediation().estimate(copy)
