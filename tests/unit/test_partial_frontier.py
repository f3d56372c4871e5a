"""Order-m and order-alpha: definitions, known truth, outliers, refusals."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.integrate import quad

from estimators._math.efficiency import Quantities
from estimators._math.partial_frontier import order_alpha, order_m
from estimators.steps.order_alpha import OrderAlpha
from estimators.steps.order_m import OrderM
from framework.contract import StepOutput
from framework.errors import EstimandError
from framework.panel import Panel


def units(n: int = 30, seed: int = 1, inputs: int = 2, goods: int = 2) -> Quantities:
    rng = np.random.default_rng(seed)
    size = np.exp(rng.normal(0, 1, n))
    x, y = (size * np.exp(rng.normal(0, 0.4, (k, n))) for k in (inputs, goods))
    return Quantities(x, y, np.zeros((0, n)))


def ratios(q: Quantities, o: int, way: str) -> np.ndarray:
    """Ratios of the units compared with, unsorted, one by one."""
    found = []
    for j in range(q.inputs.shape[1]):
        if way == "input" and all(q.goods[:, j] >= q.goods[:, o]):
            found.append(max(q.inputs[:, j] / q.inputs[:, o]))
        if way == "output" and all(q.inputs[:, j] <= q.inputs[:, o]):
            found.append(min(q.goods[:, j] / q.goods[:, o]))
    return np.array(found)


@pytest.mark.parametrize("way", ["input", "output"])
def test_order_m_is_the_mean_of_draws(way: Any) -> None:
    """Cazals, Florens and Simar's Monte Carlo algorithm, 20,000 draws."""
    q = units()
    found = order_m(q, q, np.arange(30), way, 8)
    rng = np.random.default_rng(0)
    for o in range(0, 30, 5):
        u = ratios(q, o, way)
        assert found.count[o] == len(u)
        drawn = rng.choice(u, (20_000, 8))
        best = drawn.min(axis=1) if way == "input" else drawn.max(axis=1)
        value = found.value[o] if way == "input" else 1 / found.value[o]
        # Four Monte Carlo errors.
        assert abs(best.mean() - value) <= 4 * best.std() / np.sqrt(20_000) + 1e-12


def test_order_m_is_the_papers_integral() -> None:
    """theta_m = integral of (1 - F(u x | y))^m over u, one input."""
    q = units(12, inputs=1)
    found = order_m(q, q, np.arange(12), "input", 5).value
    for o in range(12):
        u = np.sort(ratios(q, o, "input"))

        def survives(t: float, u: np.ndarray = u) -> float:
            return float((u > t).mean() ** 5)

        ends = [0.0, *u]
        pieces = pairwise(ends)
        expected = sum(quad(survives, a, b)[0] for a, b in pieces)
        # Pieces of a step function: quadrature is exact but for the ends.
        assert found[o] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("way", ["input", "output"])
def test_limits_of_m_and_alpha(way: Any) -> None:
    q = units()
    own = np.arange(30)
    hull = []
    for o in range(30):
        u = ratios(q, o, way)
        hull.append(u.min() if way == "input" else 1 / u.max())
    by_m = [order_m(q, q, own, way, m).value for m in (1, 5, 50, 100_000)]
    np.testing.assert_allclose(by_m[-1], hull, rtol=1e-12)
    np.testing.assert_array_equal(order_alpha(q, q, own, way, 1.0).value, hull)
    for fewer, more in pairwise(by_m):
        assert (more <= fewer * (1 + 1e-12)).all()
    mean = [np.mean(ratios(q, o, way)) for o in range(30)]
    expected = mean if way == "input" else 1 / np.array(mean)
    np.testing.assert_allclose(by_m[0], expected, rtol=1e-12)


@pytest.mark.parametrize("alpha", [0.5, 0.8, 0.9, 0.95])
def test_order_alpha_is_its_definition(alpha: float) -> None:
    """The best ratio that more than a share 1 - alpha reach, counted."""
    q = units(40)
    for way in ("input", "output"):
        found = order_alpha(q, q, np.arange(40), way, alpha).value  # type: ignore[arg-type]  # one of both
        for o in range(40):
            u = ratios(q, o, way)
            as_good = (
                [(u <= t).sum() for t in u]
                if way == "input"
                else [(u >= t).sum() for t in u]
            )
            # In whole numbers: shares of 0.05 round.
            more = np.array(as_good) * 100 > round((1 - alpha) * 100) * len(u)
            expected = u[more].min() if way == "input" else 1 / u[more].max()
            assert found[o] == pytest.approx(expected, rel=1e-15)


def test_standard_error_is_that_of_resampled_units() -> None:
    rng = np.random.default_rng(5)
    n = 300
    q = Quantities(rng.uniform(1, 2, (1, n)), np.ones((1, n)), np.zeros((0, n)))
    one = Quantities(q.inputs[:, :1], q.goods[:, :1], q.bads[:, :1])
    found = order_m(one, q, np.array([0]), "input", 10)
    drawn = [
        order_m(one, q.take(rng.integers(0, n, n)), np.array([-1]), "input", 10).value[
            0
        ]
        for _ in range(400)
    ]
    # Error of a standard deviation of 400 draws: 1 / sqrt(800).
    assert found.std_error[0] == pytest.approx(np.std(drawn), rel=0.15)


def test_known_frontier_of_order_m() -> None:
    """Inputs uniform on (1, 2): the best of m is 1 + 1/(m + 1) on average."""
    rng = np.random.default_rng(2)
    n, m, inside = 400, 10, []
    for _ in range(200):
        x = rng.uniform(1, 2, (1, n))
        q = Quantities(x, np.ones((1, n)), np.zeros((0, n)))
        unit = Quantities(np.ones((1, 1)), np.ones((1, 1)), np.zeros((0, 1)))
        found = order_m(unit, q, np.array([-1]), "input", m)
        truth = 1 + 1 / (m + 1)
        inside.append(abs(found.value[0] - truth) <= 1.96 * found.std_error[0])
    # Three Monte Carlo errors of 0.95 in 200 are 0.046.
    assert abs(np.mean(inside) - 0.95) < 0.046


# ------------------------------------------------------------------------ the steps


OPTIONS: dict[str, Any] = {
    "inputs": ["x1", "x2"],
    "outputs": ["y1", "y2"],
    "orientation": "input",
    "frontier": "pooled",
}


def frame(n: int = 60, seed: int = 3) -> pd.DataFrame:
    q = units(n, seed)
    columns = dict(zip(("x1", "x2", "y1", "y2"), q.all, strict=True))
    return pd.DataFrame(columns)


def run(step: Any, data: pd.DataFrame, *keys: str) -> StepOutput:
    found: StepOutput = step.apply(Panel(data, *keys), "s", frozenset())
    return found


def test_a_wrong_row_stands_out_and_moves_little() -> None:
    """Outputs five times too large, of a row that uses least and is everyone's peer."""
    rng = np.random.default_rng(6)
    data = pd.DataFrame(rng.uniform(1, 2, (60, 4)), columns=list(frame().columns))
    data.loc[7, ["x1", "x2"]] = 1.0
    wrong = data.copy()
    wrong.loc[7, ["y1", "y2"]] = 5 * data[["y1", "y2"]].max()
    step = OrderM(**(OPTIONS | {"orientation": "output"}), m=3)
    good, bad = run(step, data), run(step, wrong)
    table = bad.frames["left_out"]
    assert table.loc[7, "n_compared"] == 0  # nobody uses as little
    assert any("look like errors" in note for note in bad.notes)
    others = np.arange(60) != 7
    robust = np.abs(np.log(bad.panel.frame["s"] / good.panel.frame["s"]))[others]
    hull = OrderAlpha(**(OPTIONS | {"orientation": "output"}), alpha=1)
    plain = np.abs(
        np.log(run(hull, wrong).panel.frame["s"] / run(hull, data).panel.frame["s"])
    )[others]
    assert robust.median() < plain.median() / 2
    quantile = OrderAlpha(**(OPTIONS | {"orientation": "output"}), alpha=0.8)
    moved = run(quantile, wrong).panel.frame["s"] / run(quantile, data).panel.frame["s"]
    assert np.abs(np.log(moved))[others].median() < 0.1


def test_shares_beyond_fall_with_m() -> None:
    out = run(OrderM(**OPTIONS, m=20), frame())
    table = out.frames["share_beyond"].pivot(
        index="m", columns="tolerance", values="share"
    )
    assert list(table.index) == [10, 25, 50, 100, 200]
    assert (np.diff(table.to_numpy(), axis=0) <= 0).all()
    assert (np.diff(table.to_numpy(), axis=1) <= 0).all()
    assert (
        "share_beyond" not in run(OrderM(**OPTIONS, m=20, outliers=[]), frame()).frames
    )


@pytest.mark.parametrize(
    "step", [OrderM(**OPTIONS, m=15), OrderAlpha(**OPTIONS, alpha=0.9)]
)
def test_units_of_measure_order_and_orientation(step: Any) -> None:
    data = frame()
    a = run(step, data).panel.frame["s"]
    # Powers of two: the ratios are the same bits.
    scaled = data * {"x1": 2.0**9, "x2": 0.5, "y1": 2.0**-20, "y2": 8.0}
    np.testing.assert_array_equal(a, run(step, scaled).panel.frame["s"])
    order = np.random.default_rng(0).permutation(60)
    mixed = run(step, data.iloc[order].reset_index(drop=True)).panel.frame["s"]
    np.testing.assert_array_equal(a.to_numpy()[order], mixed)
    inverse = run(step.model_copy(update={"measure": "distance"}), data)
    np.testing.assert_allclose(inverse.panel.frame["s"], 1 / a, rtol=1e-15)


def test_frontiers_are_those_of_the_other_steps() -> None:
    data = pd.concat(
        [frame(30, s).assign(year=s) for s in (1, 2, 3)], ignore_index=True
    )
    data["unit"] = [f"u{i:02d}" for i in [*range(30)] * 3]
    yearly = run(
        OrderM(**(OPTIONS | {"frontier": "yearly"}), m=9), data, "unit", "year"
    )
    for year in (1, 2, 3):
        rows = data["year"] == year
        alone = run(OrderM(**OPTIONS, m=9), data[rows].reset_index(drop=True))
        np.testing.assert_array_equal(
            yearly.panel.frame["s"][rows], alone.panel.frame["s"]
        )
    window = OrderM(**(OPTIONS | {"frontier": {"window": 3}}), m=9)
    pooled = run(OrderM(**OPTIONS, m=9), data).panel.frame["s"]
    np.testing.assert_array_equal(
        run(window, data, "unit", "year").panel.frame["s"], pooled
    )


def test_rows_without_anything_alike_are_missing() -> None:
    data = frame(20).assign(early=[1.0] * 10 + [0.0] * 10)
    data.loc[15, ["y1", "y2"]] = 1e6
    step = OrderM(**OPTIONS, m=5, reference="early = 1")
    out = run(step, data)
    assert np.isnan(out.panel.frame["s"][15])
    assert out.frames["scores"].loc[15, "status"] == "no peers"
    assert any("1 score is missing, no peers" in n for n in out.notes)


def test_bad_input() -> None:
    for wrong in ({"m": 0}, {}, {"m": 5, "outliers": [50, 10]}):
        with pytest.raises(ValidationError):
            OrderM(**OPTIONS, **wrong)
    for alpha in (0, 1.2):
        with pytest.raises(ValidationError):
            OrderAlpha(**OPTIONS, alpha=alpha)
    with pytest.raises(ValidationError):
        OrderM(**(OPTIONS | {"frontier": {"metafrontier": "region"}}), m=5)
    for column, value, code in (
        ("x1", 0.0, "L02"),
        ("y1", -1.0, "L02"),
        ("x2", np.nan, "L04"),
    ):
        data = frame(20)
        data.loc[4, column] = value
        with pytest.raises(EstimandError) as caught:
            run(OrderM(**OPTIONS, m=5), data)
        assert {p.code for p in caught.value.problems} == {code}
    with pytest.raises(EstimandError):
        run(OrderM(**OPTIONS, m=5), frame(1))
