"""Poisson: by two engines, on known truth, with separation, and what it refuses."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyfixest as pf
import pytest
import statsmodels.api as sm

from estimators.poisson import Poisson
from framework.contract import Request
from framework.errors import EstimandError
from tests.build_request import build_request

EFFECT = 0.3


def panel(seed: int, units: int = 60) -> pd.DataFrame:
    """Counts of ten periods; a third of the units is treated from period 5 on."""
    rng = np.random.default_rng(seed)
    u, t = np.repeat(np.arange(units), 10), np.tile(np.arange(10), units)
    d, x = ((u % 3 == 0) & (t >= 5)).astype(float), rng.normal(size=len(u))
    place = 0.5 * rng.normal(size=units)[u]
    # overdispersed: a Poisson around a gamma of mean one
    mean = np.exp(0.5 + EFFECT * d + 0.2 * x + place + 0.05 * t)
    y = rng.poisson(mean * rng.gamma(4, 0.25, len(u))).astype(float)
    return pd.DataFrame({"y": y, "d": d, "x": x, "u": u, "t": t})


def request_of(data: pd.DataFrame, **changes: Any) -> Request:
    fields: dict[str, Any] = {
        "outcome": "y",
        "treatment": "d",
        "kind": "absorbing",
        "controls": ["x"],
        "fixed_effects": ["u", "t"],
        "inference": "cluster",
        "clusters": ["u"],
        "unit": "u",
        "time": "t",
    }
    return build_request(data, **(fields | changes))


def coefficients(result: Any) -> pd.DataFrame:
    frame = result.coefficients
    return frame[frame.estimand == "coefficient"].set_index("term")


@pytest.mark.parametrize("zeros", [False, True])
def test_another_engine_with_effects_and_clusters(zeros: bool) -> None:
    data = panel(1)
    if zeros:
        data.loc[data.u == 7, "y"] = 0.0
    found = Poisson().estimate(request_of(data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says which rows it drops
        other = pf.fepois(
            "y ~ d + x | u + t", data, vcov={"CRV1": "u"},
            separation_check=["fe"], iwls_tol=1e-12,
        )  # fmt: skip
    mine = coefficients(found)
    # both iterate until nothing moves
    assert mine.estimate.to_numpy() == pytest.approx(other.coef().to_numpy(), rel=1e-7)
    assert mine.std_error.to_numpy() == pytest.approx(other.se().to_numpy(), rel=1e-6)
    assert found.scalars["n_obs"] == 600 - 10 * zeros
    said = any("10 rows are left out" in note for note in found.notes)
    assert said == zeros


def test_another_engine_without_effects_and_robust() -> None:
    data = panel(2)
    found = Poisson().estimate(
        request_of(data, fixed_effects=[], inference="hetero", clusters=[])
    )
    X = sm.add_constant(data[["d", "x"]])
    other = sm.GLM(data.y, X, family=sm.families.Poisson()).fit(
        cov_type="HC0", tol=1e-13
    )
    mine = coefficients(found).loc[["constant", "d", "x"]]
    # two engines
    assert mine.estimate.to_numpy() == pytest.approx(other.params.to_numpy(), rel=1e-8)
    # its errors lack the factor n / (n - k)
    factor = np.sqrt(600 / 597)
    assert mine.std_error.to_numpy() == pytest.approx(
        factor * other.bse.to_numpy(), rel=1e-7
    )


def test_two_groups_and_two_periods_are_a_ratio_of_ratios() -> None:
    data = panel(3)
    data["late"], data["group"] = (data.t >= 5).astype(int), (data.u % 3 == 0) * 1
    found = Poisson().estimate(
        request_of(data, controls=[], fixed_effects=["group", "late"], clusters=["u"])
    )
    m = data.groupby(["group", "late"]).y.mean()
    ratio = (m[1, 1] / m[1, 0]) / (m[0, 1] / m[0, 0])
    row = found.coefficients.iloc[0]
    assert row.estimand == "semi_elasticity"
    # saturated: the maximum is known in closed form
    assert row.estimate == pytest.approx(ratio - 1, rel=1e-8)
    plain = coefficients(found).loc["d"]
    # the delta method
    assert row.std_error == pytest.approx(ratio * plain.std_error, rel=1e-8)


def test_the_outcome_s_unit_does_not_matter_and_the_order_of_rows_neither() -> None:
    data = panel(4)
    plain = Poisson().estimate(request_of(data)).coefficients
    moved = data.assign(y=1e4 * data.y).sample(frac=1, random_state=1)
    scaled = Poisson().estimate(request_of(moved)).coefficients
    # the scale goes into the effects
    assert scaled.estimate.to_numpy() == pytest.approx(plain.estimate, rel=1e-7)
    assert scaled.std_error.to_numpy() == pytest.approx(plain.std_error, rel=1e-7)


def test_known_truth_with_overdispersed_counts() -> None:
    z = []
    for seed in range(30):
        row = coefficients(Poisson().estimate(request_of(panel(50 + seed)))).loc["d"]
        z.append((row.estimate - EFFECT) / row.std_error)
    # a mean of 30 t statistics: three of its errors
    assert abs(np.mean(z)) < 3 / np.sqrt(30)
    # 0.95 less three errors of a share of 30
    assert np.mean(np.abs(z) < 2.0) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 30)


def test_separation_by_a_regressor_is_refused() -> None:
    data = panel(5)
    data.loc[data.d == 1, "y"] = 0.0
    with pytest.raises(EstimandError, match="separation") as caught:
        Poisson().estimate(request_of(data))
    (problem,) = caught.value.problems
    assert problem.code == "E16"
    assert problem.what.startswith("100 rows")


def test_what_has_no_exponential_mean() -> None:
    data = panel(6)
    with pytest.raises(EstimandError, match="negative in 1 of 600 rows"):
        Poisson().estimate(
            request_of(data.assign(y=data.y.where(data.index != 5, -1.0)))
        )
    with pytest.raises(EstimandError, match="zero in every row"):
        Poisson().estimate(request_of(data.assign(y=0.0)))
    slopes = request_of(data, slopes=[("x", "u")])
    with pytest.raises(EstimandError, match="slopes"):
        Poisson().estimate(slopes)


def test_the_coefficient_may_be_judged() -> None:
    request = replace(request_of(panel(7)), estimand=("coefficient",))
    found = Poisson().estimate(request)
    assert found.coefficients.estimand[0] == "coefficient"
    assert found.influence is not None
    # the influence functions are those of the rows they stand for
    V = np.square(found.influence).sum()
    assert np.sqrt(V[0]) == pytest.approx(found.coefficients.std_error[0], rel=1e-9)
