"""Tests of separability and of returns to scale: parts by hand, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from estimators._math.split_tests import _halved, combined, compare
from estimators.steps.scale_test import ScaleTest
from estimators.steps.separability import Separability
from framework.contract import StepOutput
from framework.errors import EstimandError
from framework.panel import Panel
from tests.simulation.split_tests import sample, splits_of

OPTIONS: dict[str, Any] = {
    "inputs": "x",
    "outputs": "y",
    "orientation": "output",
    "splits": 2,
    "halvings": 2,
}


def run(step: Any, data: pd.DataFrame, *keys: str) -> StepOutput:
    found: StepOutput = step.apply(Panel(data, *keys), "t", frozenset())
    return found


def test_halves_have_half_of_every_group() -> None:
    rng = np.random.default_rng(0)
    groups = np.array([0] * 11 + [2] * 8 + [5] * 3)
    rows = np.arange(22) + 100
    for _ in range(20):
        first, second = _halved(rows, groups, rng)
        assert sorted([*first, *second]) == list(rows)
        for g in (0, 2, 5):
            sizes = [(groups[part - 100] == g).sum() for part in (first, second)]
            assert abs(sizes[0] - sizes[1]) <= 1


def test_statistic_by_hand() -> None:
    """Distances that are known functions of the rows: every part of T."""
    n, kappa = 40, 0.4
    rng = np.random.default_rng(3)
    values = rng.uniform(1, 2, n)

    # The bias is 2 m^-kappa, as of an estimator with this rate.
    def wide(rows: Any) -> Any:
        return values[rows] - 2 * len(rows) ** -kappa

    found = compare(wide, wide, np.zeros(n, int), kappa, 3, np.random.default_rng(1))
    first, second = _halved(np.arange(n), np.zeros(n, int), np.random.default_rng(1))
    for side, rows in ((found.wide, first), (found.narrow, second)):
        assert side.rows == side.used == 20
        assert side.mean == pytest.approx(wide(rows).mean())
        # The jackknife finds a bias of exactly this rate.
        assert side.bias == pytest.approx(-2 * 20**-kappa)
        assert side.variance == pytest.approx(values[rows].var() / 20)
    difference = values[first].mean() - values[second].mean()
    error = np.sqrt(found.wide.variance + found.narrow.variance)
    assert found.statistic == pytest.approx(difference / error)
    assert found.p_value == pytest.approx(norm.sf(difference / error))


def test_slow_rates_take_means_over_fewer_rows() -> None:
    values = np.random.default_rng(0).uniform(1, 2, 200)
    found = compare(
        lambda rows: values[rows],
        lambda rows: values[rows],
        np.zeros(200, int),
        0.25,
        1,
        np.random.default_rng(0),
    )
    # n^(2 kappa) = sqrt(100).
    assert (found.wide.rows, found.wide.used) == (100, 10)


def test_p_values_are_combined_by_their_median() -> None:
    assert combined(np.array([0.01, 0.02, 0.9])) == pytest.approx(0.04)
    assert combined(np.array([0.8, 0.9])) == 1


@pytest.mark.parametrize(
    ("kind", "design"),
    [
        ("separability", {"lower": 0.5, "power": 0.8}),
        ("scale", {"lower": 0.0, "power": 0.5}),
    ],
)
def test_a_large_difference_is_found(kind: str, design: Any) -> None:
    assert splits_of(kind, 0, 3, **design)["p"][0] < 0.01


def test_data_stay_and_the_answer_is_told() -> None:
    data = sample(2, 60, 0.0, 0.8)
    step = Separability(**OPTIONS, by="group", returns="variable")
    out = run(step, data)
    pd.testing.assert_frame_equal(out.panel.frame, data)
    test = out.frames["test"].iloc[0]
    assert 0 < test["p_value"] <= 1
    assert (test["rows"], test["splits"]) == (60, 2)
    # One input and one output under variable returns.
    assert test["kappa"] == pytest.approx(2 / 3)
    assert "same for every 'group'" in out.panel.ledger[-1].detail
    assert f"{test['p_value']:.3g}" in out.panel.ledger[-1].detail
    scale = run(ScaleTest(**OPTIONS), data).frames["test"].iloc[0]
    assert scale["kappa"] == 1
    assert "group" in step.reads("t")
    panel = data.assign(unit=[f"u{i // 2}" for i in range(60)], year=[1, 2] * 30)
    assert any("independent" in n for n in run(step, panel, "unit", "year").notes)


def test_order_and_names_move_nothing_and_the_seed_does() -> None:
    data = sample(4, 48, 0.2, 0.8).assign(
        group=lambda f: f["group"].map({0: "a", 1: "b"})
    )
    step = Separability(**OPTIONS, by="group", returns="constant")
    a = run(step, data).frames["splits"]
    mixed = data.sample(frac=1, random_state=0).reset_index(drop=True)
    pd.testing.assert_frame_equal(a, run(step, mixed).frames["splits"])
    scaled = data.assign(x=data["x"] * 1000, y=data["y"] / 7)
    b = run(step, scaled).frames["splits"]
    # Distances do not depend on units but for rounding.
    np.testing.assert_allclose(a["statistic"], b["statistic"], rtol=1e-8)
    other = run(step.model_copy(update={"seed": 1}), data).frames["splits"]
    assert (a["statistic"] != other["statistic"]).all()


def test_refusals() -> None:
    data = sample(0, 60, 0.0, 0.8)
    step = Separability(**OPTIONS, by="group", returns="variable")
    few = data.assign(group=[1] * 5 + [0] * 55)
    with pytest.raises(EstimandError, match="5 rows of '1'"):
        run(step, few)
    with pytest.raises(EstimandError, match="same 'group'"):
        run(step, data.assign(group=1))
    with pytest.raises(EstimandError, match="have no 'group'"):
        run(step, data.assign(group=[np.nan] * 2 + [0.0] * 28 + [1.0] * 30))
    with pytest.raises(EstimandError, match="group") as caught:
        run(step, data.drop(columns="group"))
    assert caught.value.problems[0].code == "X01"
    with pytest.raises(EstimandError, match="no statistic"):
        run(
            ScaleTest(**OPTIONS),
            pd.DataFrame({"x": np.arange(1.0, 41), "y": np.arange(1.0, 41)}),
        )
    with pytest.raises(EstimandError, match="negative"):
        run(ScaleTest(**OPTIONS), data.assign(x=-data["x"]))
