"""Truncated regression: moments, the maximum, its errors, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import log_ndtr
from scipy.stats import kstest, truncnorm

from estimators._math.truncated import draw, fit, fit_many, moments
from estimators.truncated import Truncated
from framework.errors import EstimandError, NumericalError
from framework.result import influence_variance
from tests.build_request import build_request

INF = np.inf


@pytest.mark.parametrize(
    ("mean", "sigma", "lower", "upper"),
    [
        (1.5, 0.7, 1.0, INF),
        (-3.0, 0.5, 1.0, INF),  # eight standard deviations outside
        (-400.0, 10.0, 1.0, INF),  # forty: an exponential but for a little
        (0.4, 0.3, 0.0, 1.0),
        (5.0, 0.3, 0.0, 1.0),
        (2.0, 50.0, 0.0, 1.0),  # all but uniform
        (0.0, 1.0, -INF, INF),
        (0.0, 1.0, -INF, -2.0),
    ],
)
def test_moments_are_integrals(mean, sigma, lower, upper):
    tau = sigma**-2
    m = moments(np.array(mean * tau), np.array(tau), lower, upper)
    mode = float(np.clip(mean, lower, upper))
    # What is left of the tail: 12 sd inside, or of the exponential outside.
    slope = abs(mode - mean) * tau
    reach = min(12 * sigma, 40 / slope if slope else INF)
    low, high = max(lower, mode - reach), min(upper, mode + reach)

    def integral(of: Any) -> float:
        def density(y: float) -> float:
            return of(y) * np.exp(((mode - mean) ** 2 - (y - mean) ** 2) * tau / 2)

        # quad's own limit; the integrand is smooth.
        return quad(density, low, high, epsabs=0, epsrel=1e-10, points=[mode])[0]

    mass = integral(lambda _: 1.0)
    first = integral(lambda y: y - mode) / mass
    central = [
        integral(lambda y, k=k: (y - mode - first) ** k) / mass for k in (2, 3, 4)
    ]
    # Two quadratures that each promise about twelve digits.
    assert m.mean == pytest.approx(mode + first, rel=1e-11, abs=1e-11 * sigma)
    assert m.c2 == pytest.approx(central[0], rel=1e-10)
    assert m.c3 == pytest.approx(central[1], rel=1e-8, abs=1e-10 * central[0] ** 1.5)
    assert m.c4 == pytest.approx(central[2], rel=1e-10)
    log = np.log(mass) + (mean**2 - (mode - mean) ** 2) * tau / 2
    assert m.log_mass == pytest.approx(log, rel=1e-12)


def sample(
    seed: int, n: int, lower: float, upper: float
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(size=n), rng.normal(size=n) > 0, np.ones(n)])
    mean = x @ [0.5, -0.3, 1.2]
    return draw(mean, 0.6, lower, upper, rng.random(n)), x.astype(float)


def by_scipy(y: Any, x: Any, lower: float, upper: float) -> tuple[Any, Any]:
    """(beta, sigma) by a general optimiser on the textbook likelihood, and its Hessian
    by differences."""

    def minus(p: Any) -> float:
        mean, sigma = x @ p[:-1], p[-1]
        if sigma <= 0:
            return 1e10
        first = log_ndtr(-(lower - mean) / sigma)
        last = log_ndtr(-(upper - mean) / sigma)
        mass = first + np.log1p(-np.exp(last - first))
        z = (y - mean) / sigma
        return float((z**2 / 2 + np.log(sigma) + np.log(2 * np.pi) / 2 + mass).sum())

    start = np.append(np.linalg.lstsq(x, y, rcond=None)[0], y.std())
    found = minimize(minus, start, method="BFGS", options={"gtol": 1e-9})
    found = minimize(
        minus, found.x, method="Nelder-Mead", options={"xatol": 1e-11, "fatol": 1e-13}
    )
    k, h = len(found.x), 1e-4
    hessian = np.empty((k, k))
    eye = np.eye(k) * h
    for i in range(k):
        for j in range(k):
            corners = [
                minus(found.x + a * eye[i] + b * eye[j]) * a * b
                for a in (1, -1)
                for b in (1, -1)
            ]
            hessian[i, j] = sum(corners) / (4 * h * h)
    return found, np.linalg.inv(hessian)


@pytest.mark.parametrize(("lower", "upper"), [(1.0, INF), (0.0, 2.0), (-INF, 1.5)])
def test_maximum_and_hessian_against_a_plain_likelihood(lower, upper):
    y, x = sample(3, 200, lower, upper)
    found = fit(y, x, lower, upper)
    expected, covariance = by_scipy(y, x, lower, upper)
    # The optimiser stops where the likelihood is flat to rounding: root of 1e-15.
    np.testing.assert_allclose(found.beta, expected.x[:-1], atol=2e-6)
    assert found.sigma == pytest.approx(expected.x[-1], abs=2e-6)
    assert found.log_likelihood == pytest.approx(-expected.fun, rel=1e-12)
    assert found.log_likelihood >= -expected.fun - 1e-10
    # Second differences with h = 1e-4 of a function of order 100.
    np.testing.assert_allclose(found.covariance, covariance, rtol=2e-4)


def test_marginal_effects_are_derivatives_of_the_mean():
    y, x = sample(5, 150, 1.0, INF)
    found = fit(y, x, 1.0, INF)

    def mean(beta: Any, sigma: float, z: Any) -> float:
        a = (1.0 - z @ beta) / sigma
        return float(truncnorm.mean(a, INF, loc=z @ beta, scale=sigma).mean())

    def ame(beta: Any, sigma: float, j: int) -> float:
        step = np.zeros(3)
        step[j] = 1e-5
        up, down = mean(beta, sigma, x + step), mean(beta, sigma, x - step)
        return (up - down) / 2e-5

    # Central differences of a mean of order one: 1e-16 / 1e-5 and h².
    expected = [ame(found.beta, found.sigma, j) for j in range(3)]
    np.testing.assert_allclose(found.ame, expected, atol=1e-8)
    h = 1e-4
    for i in range(4):
        step = np.zeros(4)
        step[i] = h
        up, down = (
            np.array(
                [
                    ame(found.beta + s * step[:3], found.sigma + s * step[3], j)
                    for j in range(2)
                ]
            )
            for s in (1, -1)
        )
        # A difference of differences: 1e-8 / 1e-4.
        np.testing.assert_allclose(
            found.ame_gradient[:2, i], (up - down) / (2 * h), atol=2e-4
        )


def test_influence_functions_are_what_a_row_moves():
    """Leaving out a row moves the estimate by minus its influence, to first order."""
    y, x = sample(7, 400, 1.0, INF)
    found = fit(y, x, 1.0, INF)
    assert np.abs(found.influence.sum(axis=0)).max() < 1e-9  # the gradient is zero
    moved = []
    for i in range(60):
        keep = np.arange(400) != i
        one = fit(y[keep], x[keep], 1.0, INF)
        moved.append(np.append(found.beta - one.beta, found.sigma - one.sigma))
    for j in range(4):
        r = np.corrcoef(np.array(moved)[:, j], found.influence[:60, j])[0, 1]
        assert r > 0.995  # second order: 1 / n


def test_samples_one_by_one_and_together():
    ys = np.array([sample(s, 80, 1.0, INF)[0] for s in range(12)])
    x = sample(0, 80, 1.0, INF)[1]
    found, converged = fit_many(ys, x, 1.0, INF)
    for y, row, ok in zip(ys, found, converged, strict=True):
        one = fit(y, x, 1.0, INF)
        assert ok == (one is not None)
        if one is not None:
            # Both stop where the decrement says that rounding is left.
            np.testing.assert_allclose(np.append(one.beta, one.sigma), row, rtol=1e-7)


def test_no_truncation_is_least_squares():
    y, x = sample(1, 100, -INF, INF)
    found = fit(y, x, -INF, INF)
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    np.testing.assert_allclose(found.beta, beta, rtol=1e-10)
    assert found.sigma == pytest.approx(np.sqrt(((y - x @ beta) ** 2).mean()))
    np.testing.assert_allclose(found.response, 1, rtol=1e-12)


def test_a_tail_heavier_than_exponential_has_no_maximum():
    """Variance above the squared mean distance: sigma runs to infinity."""
    rng = np.random.default_rng(0)
    y = 1 + rng.pareto(2.5, 300)
    assert fit(y, np.ones((300, 1)), 1.0, INF) is None
    with pytest.raises(NumericalError, match="no maximum"):
        Truncated(lower=1).estimate(
            build_request(
                pd.DataFrame({"y": y, "x": rng.normal(size=300)}),
                outcome="y",
                treatment="x",
            )
        )


@pytest.mark.parametrize(
    ("mean", "lower", "upper"),
    [(0.0, 1.0, INF), (-9.0, 1.0, INF), (40.0, 0.0, 1.0), (0.5, 0.0, 1.0)],
)
def test_draws_have_the_distribution(mean, lower, upper):
    rng = np.random.default_rng(4)
    y = draw(np.array(mean), 1.0, lower, upper, rng.random(4000))
    assert ((y > lower) & (y < upper)).all()
    law = truncnorm(lower - mean, upper - mean, loc=mean)
    assert kstest(y, law.cdf).pvalue > 0.001  # one seed


# ------------------------------------------------------------------ the estimator


def data(seed: int = 2, n: int = 240) -> pd.DataFrame:
    y, x = sample(seed, n, 1.0, INF)
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"y": y, "d": x[:, 1], "x1": x[:, 0]})
    frame["unit"] = [f"u{i:02d}" for i in rng.permutation(n) % 30]
    return frame


def request(frame: pd.DataFrame, **fields: Any) -> Any:
    plain = {"outcome": "y", "treatment": "d", "controls": ["x1"]}
    return build_request(frame, **(plain | fields))


def test_rows_at_the_limit_are_left_out_and_counted():
    frame = data()
    more = pd.concat([frame, frame.head(7).assign(y=1 + 1e-13)], ignore_index=True)
    a = Truncated(lower=1).estimate(request(frame))
    b = Truncated(lower=1).estimate(request(more))
    np.testing.assert_array_equal(
        a.coefficients["estimate"], b.coefficients["estimate"]
    )
    assert b.scalars["n_obs"] == 240
    assert any("7 of 247 rows with 'y' at or below 1" in note for note in b.notes)
    with pytest.raises(EstimandError, match="no row has 'y' inside") as caught:
        Truncated(upper=1).estimate(request(frame))
    assert "lower: 1" in str(caught.value)


def test_a_mirrored_outcome_gives_mirrored_coefficients():
    frame = data()
    a = Truncated(lower=1).estimate(request(frame)).coefficients
    b = Truncated(upper=-1).estimate(request(frame.assign(y=-frame["y"]))).coefficients
    # Newton from the mirrored start: rounding.
    np.testing.assert_allclose(a["estimate"], -b["estimate"], rtol=1e-9)
    np.testing.assert_allclose(a["std_error"], b["std_error"], rtol=1e-9)


def test_errors_by_inference():
    frame = data()
    at = {
        name: Truncated(lower=1).estimate(request(frame, **fields))
        for name, fields in {
            "iid": {},
            "hetero": {"inference": "hetero"},
            "cluster": {"inference": "cluster", "clusters": ["unit"]},
        }.items()
    }
    y, x = (
        frame["y"].to_numpy(),
        np.column_stack([frame["d"], frame["x1"], np.ones(240)]),
    )
    found = fit(y, x, 1.0, INF)
    plain = at["iid"].coefficients
    assert list(plain["estimand"]) == ["coefficient", "ame"] + ["coefficient"] * 2 + [
        "ame"
    ]
    assert plain["std_error"][0] == pytest.approx(np.sqrt(found.covariance[0, 0]))
    error = np.sqrt((found.influence[:, 0] ** 2).sum() * 240 / 239)
    assert at["hetero"].coefficients["std_error"][0] == pytest.approx(error)
    summed = pd.Series(found.influence[:, 0]).groupby(frame["unit"].to_numpy()).sum()
    error = np.sqrt((summed**2).sum() * 30 / 29)
    assert at["cluster"].coefficients["std_error"][0] == pytest.approx(error)
    for result in at.values():
        v = np.diag(influence_variance(result.influence))
        errors = result.coefficients.loc[result.influence.columns, "std_error"]
        np.testing.assert_allclose(v, errors**2, rtol=1e-8)
    twice = request(frame, inference="cluster", clusters=["unit", "d"])
    with pytest.raises(EstimandError, match="two-way"):
        Truncated(lower=1).estimate(twice)


def test_bootstrap_is_of_the_fitted_model():
    """Large samples: the bootstrap's errors are the likelihood's."""
    frame = data(n=1500)
    plain = Truncated(lower=1).estimate(request(frame)).coefficients
    result = Truncated(lower=1, bootstrap=400).estimate(request(frame, seed=5))
    drawn = result.coefficients
    np.testing.assert_array_equal(plain["estimate"], drawn["estimate"])
    # Monte Carlo error of a standard deviation of 400 draws: 1 / sqrt(800).
    np.testing.assert_allclose(drawn["std_error"], plain["std_error"], rtol=0.15)
    told = result.frames["bootstrap"]
    assert list(told.columns) == ["d", "x1", "constant", "sigma"]
    low, high = np.quantile(told["d"], [0.025, 0.975])
    assert drawn["conf_low"][0] == pytest.approx(2 * drawn["estimate"][0] - high)
    assert drawn["conf_high"][0] == pytest.approx(2 * drawn["estimate"][0] - low)
    other = Truncated(lower=1, bootstrap=400).estimate(request(frame, seed=6))
    assert other.coefficients["std_error"][0] != drawn["std_error"][0]


def test_names_and_order_do_not_move_the_bootstrap():
    frame = data()
    step = Truncated(lower=1, bootstrap=100)
    a = step.estimate(request(frame, unit="unit")).coefficients
    names = {u: f"z{i:03d}" for i, u in enumerate(sorted(set(frame.unit))[::-1])}
    other = frame.sample(frac=1, random_state=0).replace({"unit": names})
    b = step.estimate(request(other, unit="unit")).coefficients
    # The same sums in another order.
    np.testing.assert_allclose(a["std_error"], b["std_error"], rtol=1e-9)


def test_options_are_checked():
    for wrong in ({}, {"lower": 2, "upper": 1}, {"lower": 1, "bootstrap": 20}):
        with pytest.raises(ValidationError):
            Truncated(**wrong)
    assert Truncated(lower=1, bootstrap=100).demands().inference == {"iid"}
    assert "cluster" in Truncated(lower=1).demands().inference


def test_collinear_controls_are_left_out_and_treatments_refused():
    frame = data().assign(x2=lambda f: 2 * f["x1"] + 1, d2=lambda f: 1 - f["d"])
    result = Truncated(lower=1).estimate(request(frame, controls=["x1", "x2"]))
    assert any("'x2' is left out" in note for note in result.notes)
    plain = Truncated(lower=1).estimate(request(frame))
    assert result.coefficients["estimate"][0] == plain.coefficients["estimate"][0]
    with pytest.raises(EstimandError) as caught:
        Truncated(lower=1).estimate(request(frame, controls=["d2"]))
    assert {p.code for p in caught.value.problems} <= {"I03", "I04"}
