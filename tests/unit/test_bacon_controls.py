"""Goodman-Bacon with controls: the paper's formulas by hand, limits, refusals."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.goodman_bacon import GoodmanBacon
from estimators.twfe import Twfe
from framework.errors import EstimandError
from framework.result import Result
from tests.build_request import build_request

# sums of a few hundred products of numbers near one, through a regression
EXACT = 1e-10


def panel(seed: int = 0, cohorts: dict[float, int] | None = None) -> pd.DataFrame:
    """Cohorts (1 = always, inf = never) in seven periods, two controls that move."""
    rng = np.random.default_rng(seed)
    sizes = cohorts or {1: 3, 3: 4, 5: 2, 6: 5, np.inf: 6}
    first = np.repeat(list(sizes), list(sizes.values()))
    n, T = len(first), 7
    data = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n), T),
            "time": np.tile(np.arange(1, T + 1), n),
            "first": np.repeat(first, T),
            "w": np.repeat(rng.integers(1, 4, n), T).astype(float),
        }
    )
    data["d"] = (data.time >= data["first"]).astype(float)
    data["x"] = rng.normal(size=len(data)) + 0.5 * data.d
    data["z"] = rng.normal(size=len(data)) + 0.1 * data.time * (data.unit % 2)
    data["y"] = 0.7 * data.d + 0.4 * data.x + rng.normal(size=len(data))
    return data


def request_of(data: pd.DataFrame, **changes: Any) -> Any:
    plain: dict[str, Any] = {
        "outcome": "y",
        "treatment": "d",
        "kind": "absorbing",
        "cohort": "first",
        "controls": ["x", "z"],
        "fixed_effects": ["unit", "time"],
        "inference": "cluster",
        "clusters": ["unit"],
        "unit": "unit",
        "time": "time",
        "acknowledge": frozenset({"few_treated"}),
    }
    return build_request(data, **(plain | changes))


def bacon(data: pd.DataFrame, **changes: Any) -> Result:
    return GoodmanBacon().estimate(request_of(data, **changes))


def demeaned(grid: np.ndarray, w: np.ndarray) -> np.ndarray:
    out = grid - grid.mean(axis=1, keepdims=True)
    return out - (w @ out) / w.sum()


def pair_by_hand(data: pd.DataFrame, k: float, j: float) -> tuple[float, float]:
    """Weight (up to a factor) and estimate of a pair by the paper's equation (26).

    On means of the two cohorts: the pair's own regression of the treatment on the
    controls, and how far the prediction with all cohorts' coefficients is from its own.
    """
    columns = ["x", "z"]
    one = pd.get_dummies(data.unit).to_numpy(dtype=float)
    two = pd.get_dummies(data.time).to_numpy(dtype=float)
    right = np.column_stack([data[columns], one, two])
    gamma = (np.linalg.pinv(right) @ data.d.to_numpy())[:2]
    pair = data[data["first"].isin([k, j])]
    mean = pair.groupby(["first", "time"])[["d", "y", *columns]].mean()
    size = pair.groupby("first").unit.nunique().to_numpy().astype(float)
    D, y, x, z = (
        demeaned(mean[c].unstack().to_numpy(), size) for c in ("d", "y", *columns)
    )
    root = np.sqrt(size)[:, None]
    X = np.column_stack([(root * x).ravel(), (root * z).ravel()])
    D, y = (root * D).ravel(), (root * y).ravel()
    own = X @ np.linalg.lstsq(X, D, rcond=None)[0]
    d, dp = D - own, own - X @ gamma
    V_d, V_p = d @ d, dp @ dp
    # V_d beta_d + V_p beta_p; the always and never treated have no V_d of their own
    return size.sum() * (V_d + V_p), (d @ y + dp @ y) / (V_d + V_p)


def test_every_pair_is_the_papers_two_regressions() -> None:
    data = panel()
    found = bacon(data).frames["comparisons"]
    names = {1.0: "always", np.inf: "never"}
    pairs = found[found.comparison != "within cohorts"]
    expected = {}
    for k, j in combinations(sorted(data["first"].unique()), 2):
        called = {names.get(c, f"{c:.0f}") for c in (k, j)}
        expected[frozenset(called)] = pair_by_hand(data, k, j)
    assert len(pairs) == len(expected)
    total = sum(weight for weight, _ in expected.values())
    between = pairs.weight.sum()
    for row in pairs.itertuples():
        weight, estimate = expected[frozenset({row.treated, row.control})]
        assert row.weight == pytest.approx(between * weight / total, abs=EXACT)
        assert row.estimate == pytest.approx(estimate, abs=EXACT)


@pytest.mark.parametrize("weights", [None, ("analytic", "w")])
def test_all_parts_sum_to_the_regression_with_controls(weights: Any) -> None:
    data = panel(1)
    result = bacon(data, weights=weights)
    frame = result.frames["comparisons"]
    assert frame.weight.sum() == pytest.approx(1, abs=EXACT)
    twfe = Twfe().estimate(request_of(data, weights=weights)).coefficients.estimate[0]
    assert frame.weight @ frame.estimate == pytest.approx(twfe, abs=EXACT)
    assert result.scalars["two_way_estimate"] == pytest.approx(twfe, abs=EXACT)
    kinds = result.frames["kinds"]
    assert kinds.weight @ kinds.estimate == pytest.approx(twfe, abs=EXACT)
    within = result.scalars["weight_within"]
    assert 0 < within < 0.2
    last = frame.iloc[-1]
    assert (last.comparison, last.weight) == ("within cohorts", within)
    assert "weight_forbidden" not in result.scalars


def test_what_lies_within_cohorts_by_hand() -> None:
    """Omega and beta_w from the residual treatment of a regression on dummies."""
    data = panel(2)
    right = np.column_stack(
        [data[["x", "z"]], pd.get_dummies(data.unit), pd.get_dummies(data.time)]
    ).astype(float)
    d = data.d - right @ (np.linalg.pinv(right) @ data.d.to_numpy())
    inside = d - d.groupby([data["first"], data.time]).transform("mean")
    scalars = bacon(data).scalars
    assert scalars["weight_within"] == pytest.approx(
        (inside @ inside) / (d @ d), abs=EXACT
    )
    assert scalars["estimate_within"] == pytest.approx(
        (inside @ data.y) / (inside @ inside), abs=EXACT
    )


def test_a_control_without_variation_leaves_the_theorem_without_controls() -> None:
    """A pair is then the weighted mean of its two directions."""
    data = panel(3).assign(level=lambda f: 1.0 * f.unit + f.time)
    with_it = bacon(data, controls=["level"])
    plain = bacon(data, controls=[])
    assert "weight_within" not in with_it.scalars
    said = "Left out: 'level': unit and period effects explain it."
    assert said in with_it.notes
    assert said not in bacon(data, controls=["x"]).notes
    pairs = with_it.frames["comparisons"]
    directed = plain.frames["comparisons"]
    assert with_it.scalars["two_way_estimate"] == pytest.approx(
        plain.scalars["two_way_estimate"], abs=EXACT
    )
    for row in pairs.itertuples():
        both = directed[
            [{a, b} == {row.treated, row.control}
             for a, b in zip(directed.treated, directed.control, strict=True)]
        ]  # fmt: skip
        assert row.weight == pytest.approx(both.weight.sum(), abs=EXACT)
        mean = (both.weight @ both.estimate) / both.weight.sum()
        assert row.estimate == pytest.approx(mean, abs=EXACT)
    # always and never treated never switch: no weight between them
    assert {"always", "never"} not in [
        {a, b} for a, b in zip(pairs.treated, pairs.control, strict=True)
    ]


def test_a_control_of_the_cohort_has_nothing_within() -> None:
    data = panel(4)
    group = data.groupby(["first", "time"]).x.transform("mean")
    result = bacon(data.assign(x=group), controls=["x"])
    assert "weight_within" not in result.scalars
    assert result.frames["comparisons"].weight.sum() == pytest.approx(1, abs=EXACT)


def test_copies_of_units_are_weights() -> None:
    data = panel(5)
    n = data.unit.nunique()
    copies = [
        data[data.unit.isin(data.unit[data.w > c])].assign(
            unit=lambda f, c=c: f.unit + c * n
        )
        for c in range(3)
    ]
    weighted = bacon(data, weights=("analytic", "w")).frames["comparisons"]
    copied = bacon(pd.concat(copies)).frames["comparisons"]
    for column in ("weight", "estimate"):
        np.testing.assert_allclose(weighted[column], copied[column], atol=EXACT)


def test_neither_order_nor_units_of_measure_matter() -> None:
    data = panel(6)
    plain = bacon(data).frames["comparisons"]
    mixed = data.sample(frac=1, random_state=1).assign(x=lambda f: 1e6 * f.x - 5)
    other = bacon(mixed, controls=["z", "x"]).frames["comparisons"]
    np.testing.assert_allclose(plain.weight, other.weight, atol=EXACT)
    np.testing.assert_allclose(plain.estimate, other.estimate, atol=1e-9)  # rescaled


def test_controls_that_repeat_each_other_count_once() -> None:
    data = panel(7).assign(again=lambda f: 2 * f.x + 3)
    plain = bacon(data, controls=["x"]).frames["comparisons"]
    twice = bacon(data, controls=["x", "again"]).frames["comparisons"]
    np.testing.assert_allclose(plain.estimate, twice.estimate, atol=EXACT)


def test_controls_that_absorb_the_treatment_are_refused() -> None:
    data = panel(8).assign(copy=lambda f: f.d + 0.5 * f.unit)
    with pytest.raises(EstimandError) as caught:
        bacon(data, controls=["copy"])
    assert [p.code for p in caught.value.problems] == ["I02"]
