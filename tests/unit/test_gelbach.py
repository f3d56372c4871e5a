"""Gelbach's decomposition: by a second engine, in any order, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyfixest as pf
import pytest

from estimators.gelbach import Gelbach
from framework.contract import Request
from framework.errors import EstimandError
from framework.result import influence_variance
from tests.build_mediated import sample
from tests.build_request import build_request

CONTROLS = ("m1", "m2", "x")


def request_of(data: pd.DataFrame, *controls: str, **changes: Any) -> Request:
    fields: dict[str, Any] = {
        "outcome": "y",
        "treatment": "d",
        "kind": "cross_section",
        "controls": controls or CONTROLS,
        "inference": "cluster",
        "clusters": ["g"],
    }
    return build_request(data, **(fields | changes))


def explained(result: Any) -> pd.Series:
    frame = result.coefficients
    return frame[frame.estimand == "explained"].set_index("variable").estimate


def test_parts_are_the_other_engine_s_and_sum_to_the_change() -> None:
    data = sample(1)
    found = Gelbach(base=("x",)).estimate(request_of(data))
    other = pf.feols("y ~ d + x + m1 + m2", data).decompose(
        decomp_var="d", x1_vars=["x"], only_coef=True
    )
    parts = explained(found)
    want = other.results.absolute
    for name in ("m1", "m2"):
        # two engines, one formula
        assert parts[name] == pytest.approx(float(np.ravel(want[name])[0]), rel=1e-8)
    short = found.coefficients.set_index("equation").estimate["short"]
    long = found.coefficients.set_index("equation").estimate["long"]
    fits = [pf.feols(f, data).coef()["d"] for f in ("y ~ d + x", "y ~ d + x + m1 + m2")]
    # two engines
    assert [short, long] == pytest.approx(fits, rel=1e-9)
    # an identity of least squares
    assert parts["all"] == pytest.approx(short - long, rel=1e-9)
    assert parts["m1"] + parts["m2"] == pytest.approx(parts["all"], rel=1e-12)


def test_the_order_of_controls_moves_nothing() -> None:
    data = sample(2)
    one = explained(Gelbach().estimate(request_of(data, "m1", "m2", "x")))
    other = explained(Gelbach().estimate(request_of(data, "x", "m2", "m1")))
    # rounding: columns enter in another order
    assert other[one.index].to_numpy() == pytest.approx(one.to_numpy(), rel=1e-9)


def test_groups_add_up_with_their_covariance() -> None:
    data = sample(3)
    request = request_of(data)
    single = Gelbach().estimate(request)
    pair = Gelbach(groups={"both": ("m1", "m2")}).estimate(request)
    assert pair.coefficients.variable.to_list()[:3] == ["all", "both", "x"]
    parts = explained(single)
    # sums of the same numbers
    assert explained(pair)["both"] == pytest.approx(
        parts["m1"] + parts["m2"], rel=1e-12
    )
    assert single.influence is not None
    V = influence_variance(single.influence[[1, 2]]).to_numpy()
    row = pair.coefficients.iloc[1]
    assert row.std_error == pytest.approx(np.sqrt(V.sum()), rel=1e-9)
    assert V[0, 1] != 0


def test_errors_are_the_jackknife_s() -> None:
    data = sample(4, n=800).assign(g=np.arange(800) // 4)
    found = Gelbach().estimate(request_of(data))

    def change(part: pd.DataFrame) -> list[float]:
        def fit(y: Any, *columns: Any) -> np.ndarray:
            X = np.column_stack([*columns, np.ones(len(part))])
            return np.linalg.lstsq(X, y, rcond=None)[0]

        b = fit(part.y, part.d, part.m1, part.m2, part.x)
        return [fit(part[m], part.d)[0] * b[1 + j] for j, m in enumerate(CONTROLS)]

    left = np.array([change(data[data.g != g]) for g in data.g.unique()])
    jackknife = np.sqrt((len(left) - 1) * np.var(left, axis=0))
    rows = found.coefficients.set_index("variable").loc[list(CONTROLS)]
    # 200 clusters: they differ by terms of order 1/G
    assert rows.std_error.to_numpy() == pytest.approx(jackknife, rel=0.03)


def test_fixed_effects_stand_in_all_regressions() -> None:
    data = sample(5)
    found = explained(
        Gelbach().estimate(request_of(data, "m1", "m2", fixed_effects=["g"]))
    )
    other = pf.feols("y ~ d + m1 + m2 + C(g)", data)
    short = pf.feols("y ~ d + C(g)", data)
    # two engines
    assert found["all"] == pytest.approx(
        short.coef()["d"] - other.coef()["d"], rel=1e-8
    )


def test_units_of_a_control_do_not_matter() -> None:
    data = sample(6)
    plain = Gelbach().estimate(request_of(data)).coefficients
    scaled = Gelbach().estimate(request_of(data.assign(m1=1e6 * data.m1))).coefficients
    # rounding
    assert scaled.estimate.to_numpy() == pytest.approx(plain.estimate, rel=1e-8)
    assert scaled.std_error.to_numpy() == pytest.approx(plain.std_error, rel=1e-8)


def test_all_wrong_names_at_once() -> None:
    with pytest.raises(EstimandError) as caught:
        Gelbach(base=("x", "nope"), groups={"m1": ("m2", "x"), "a": ("m2",)}).estimate(
            request_of(sample(7))
        )
    said = [p.what for p in caught.value.problems]
    assert len(said) == 4
    assert said[0] == "base: nope is no control"
    assert {p.code for p in caught.value.problems} == {"E15"}
    with pytest.raises(EstimandError, match="nothing is added"):
        Gelbach(base=CONTROLS).estimate(request_of(sample(7)))
