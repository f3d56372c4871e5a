"""Power of pre-tests: integrals against other routines, a simulation, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import multivariate_normal, norm, truncnorm

from estimators._math.pretests import after_pretest, in_the_box, slope_for_power
from estimators.event_study import EventStudy
from estimators.pretrend_power import PretrendPower
from estimators.sun_abraham import SunAbraham
from framework.errors import EstimandError
from tests.build_cohorts import adoption, request_of

#: Integrals over a lattice of 2^14 points.
LATTICE = 2e-4
Z = float(norm.ppf(0.975))


def covariance(seed: int, size: int) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(size, size + 2))
    return np.asarray(root @ root.T)


@pytest.mark.parametrize("size", [1, 2, 4, 7])
def test_the_chance_of_the_box_is_scipys(size: int) -> None:
    sigma = covariance(size, size)
    mean = np.linspace(-1, 2, size)
    reach = Z * np.sqrt(np.diag(sigma))
    want = multivariate_normal.cdf(
        reach, mean, sigma, lower_limit=-reach, abseps=1e-7, maxpts=1_000_000
    )
    assert in_the_box(mean, sigma, reach).chance == pytest.approx(want, abs=LATTICE)


@pytest.mark.parametrize("mean", [0.0, 1.5, 8.0, -12.0])
def test_one_period_is_the_truncated_normal(mean: float) -> None:
    found = in_the_box(np.array([mean]), np.array([[4.0]]), np.array([3.0]))
    a, b = (-3 - mean) / 2, (3 - mean) / 2
    # one dimension: the chance is exact, the mean has the lattice's error
    assert found.chance == pytest.approx(
        norm.sf(a) - norm.sf(b) if mean < 0 else norm.cdf(b) - norm.cdf(a), rel=1e-9
    )
    want = mean + 2 * truncnorm.mean(a, b)
    assert found.mean[0] == pytest.approx(want, abs=2e-3)


def test_power_and_bias_by_drawing() -> None:
    sigma, before = covariance(3, 5), 3
    offset = np.array([-3.0, -2.0, -1.0, 1.0, 2.0])
    slope = slope_for_power(offset[:3], sigma[:3, :3], Z, 0.5)
    draws = np.random.default_rng(0).multivariate_normal(slope * offset, sigma, 400_000)
    passed = np.all(np.abs(draws[:, :3]) < Z * np.sqrt(np.diag(sigma)[:3]), axis=1)
    chance, mean = after_pretest(slope, offset, sigma, before, Z)
    # three Monte Carlo errors of a share of 1/2
    assert passed.mean() == pytest.approx(0.5, abs=3 * 0.5 / np.sqrt(400_000))
    assert chance == pytest.approx(0.5, abs=LATTICE)
    error = np.sqrt(np.diag(sigma) / passed.sum())
    # four Monte Carlo errors, for five means
    assert np.all(np.abs(draws[passed].mean(axis=0) - mean) < 4 * error)


def test_slopes_are_those_of_diff_diff() -> None:
    pretrends = pytest.importorskip(
        "diff_diff.pretrends", reason="diff-diff is not installed"
    )
    sigma = covariance(5, 4)
    offset = np.array([-4.0, -3.0, -2.0, -1.0])
    for power in (0.5, 0.8):
        theirs = pretrends.PreTrendsPower(power=power)._compute_mdv_nis(-offset, sigma)
        # an integral of its own, with an error of about 1e-4 in the power
        assert slope_for_power(offset, sigma, Z, power) == pytest.approx(
            theirs, rel=2e-3
        )


def test_without_correlation_one_coefficient_says_it_all() -> None:
    """P = 1: power of a two-sided z test in closed form."""
    slope = slope_for_power(np.array([-1.0]), np.array([[0.04]]), Z, 0.8)
    power = norm.sf(Z - slope / 0.2) + norm.cdf(-Z - slope / 0.2)
    # root finder's tolerance
    assert power == pytest.approx(0.8, abs=1e-9)


def test_a_test_that_always_rejects_that_often_needs_no_trend() -> None:
    assert slope_for_power(np.array([-1.0]), np.array([[1.0]]), Z, 0.05) == 0.0


def test_the_event_study_stands_beside_its_power() -> None:
    request = request_of(adoption(1), estimand=("by_event_time",))
    for of in (EventStudy(window=(-4, 3)), SunAbraham(window=(-4, 3))):
        found = PretrendPower(of=of).estimate(request)
        plain = of.estimate(request)
        assert found.coefficients.equals(plain.coefficients)
        power, trends = found.frames["power"], found.frames["trends"]
        assert list(power.power) == [0.5, 0.8]
        assert abs(power.slope[0]) < abs(power.slope[1])
        assert abs(power.slope[0]) == found.scalars["detectable_slope_50"]
        # less often passed under a trend than without
        assert (power.bayes_factor < 1).all()
        assert sorted(trends.event_time.unique()) == list(range(-4, 4))


def test_the_unit_of_the_outcome_scales_the_slope() -> None:
    data = adoption(1)
    of = EventStudy(window=(-4, 3))
    a = PretrendPower(of=of).estimate(request_of(data))
    b = PretrendPower(of=of).estimate(request_of(data.assign(y=1000 * data.y)))
    # the root finder's tolerance
    assert b.scalars["detectable_slope_50"] == pytest.approx(
        1000 * a.scalars["detectable_slope_50"], rel=1e-8
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"of": "twfe"}, "does not estimate effects by event time"),
        ({"power": (1.0,)}, "less than 1"),
        ({"power": ()}, "at least 1"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises((ValidationError, EstimandError), match=said):
        PretrendPower(**options)


def test_an_event_study_without_a_common_reference_is_refused() -> None:
    request = replace(request_of(adoption(1)), estimand=("by_event_time",))
    with pytest.raises(EstimandError, match="reference of event_study"):
        PretrendPower(of=EventStudy(reference=-3)).estimate(request)
