"""Radial scores beyond the score: slacks, distances, bias that the environment moves."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.optimize import linprog

from estimators._math.distance import most_slack, radial
from estimators._math.efficiency import Quantities
from estimators._math.truncated import fit
from estimators.steps._programs import solve
from estimators.steps.radial import Radial
from framework.contract import StepOutput
from framework.errors import EstimandError
from framework.panel import Panel

OPTIONS: dict[str, Any] = {
    "inputs": ["x1", "x2"],
    "outputs": ["y1", "y2"],
    "returns": "variable",
    "frontier": "pooled",
    "orientation": "output",
}


def run(step: Radial, frame: pd.DataFrame, *keys: str) -> StepOutput:
    return step.apply(Panel(frame, *keys), "s", frozenset())


def farms(n: int = 40, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x1, x2 = rng.uniform(1, 10, (2, n))
    z = rng.uniform(0, 1, n)
    distance = 1 + np.abs(rng.normal(0, 0.3, n)) + 0.5 * z
    y = np.sqrt(x1 * x2) ** 0.8 / distance
    mix = rng.uniform(0.3, 0.7, n)
    return pd.DataFrame(
        {"x1": x1, "x2": x2, "y1": y * mix, "y2": y * (1 - mix), "z": z}
    )


def by_scipy(q: Quantities, o: int, way: str, returns: str, score: float) -> float:
    """The largest sum of slacks over column means, in the data's own scale."""
    m, n = q.inputs.shape
    goods = len(q.goods)
    mean = np.concatenate([q.inputs, q.goods]).mean(axis=1)
    x = q.inputs[:, o] * (score if way == "input" else 1)
    y = q.goods[:, o] / (score if way == "output" else 1)
    rows = np.zeros((m + goods, n + m + goods))
    rows[:m, :n], rows[m:, :n] = q.inputs, q.goods
    rows[:, n:] = np.diag(np.r_[np.ones(m), -np.ones(goods)])
    right = np.r_[x, y]
    if returns == "variable":
        rows = np.r_[rows, [np.r_[np.ones(n), np.zeros(m + goods)]]]
        right = np.r_[right, 1]
    cost = np.r_[np.zeros(n), -1 / mean]
    # The radial score is exact to rounding, so equality holds to HiGHS's 1e-7.
    return -float(linprog(cost, A_eq=rows, b_eq=right).fun)


@pytest.mark.parametrize(
    ("way", "returns"), product(("input", "output"), ("constant", "variable"))
)
def test_second_phase_against_scipy(way: Any, returns: Any) -> None:
    rng = np.random.default_rng(8)
    # Small integers: weakly efficient units, ties and several optima.
    q = Quantities(
        rng.integers(1, 6, (2, 18)).astype(float),
        rng.integers(1, 6, (2, 18)).astype(float),
        np.zeros((0, 18)),
    )
    own = np.arange(18)
    score = radial(q, q, own, way, returns, solve).value
    found = most_slack(q, q, own, way, returns, score, solve)
    mean = np.concatenate([q.inputs, q.goods]).mean(axis=1)
    expected = [by_scipy(q, o, way, returns, score[o]) for o in range(18)]
    np.testing.assert_allclose((found.slack / mean).sum(axis=1), expected, atol=1e-7)
    assert max(expected) > 0.1
    # The target is the combination of its peers.
    made = np.zeros((18, 4))
    both = np.concatenate([q.inputs, q.goods])
    np.add.at(made, found.unit, (found.weight * both[:, found.peer]).T)
    np.testing.assert_allclose(made, found.target, rtol=1e-9)


def test_weakly_efficient_units_are_told_apart() -> None:
    """Tone (2001): C and D use the same, and D makes 1 of what C makes 2."""
    frame = pd.DataFrame(
        {
            "dmu": list("ABCDE"),
            "x1": [4.0, 6, 8, 8, 2],
            "x2": [3.0, 3, 1, 1, 4],
            "y1": [2.0, 2, 6, 6, 1],
            "y2": [3.0, 3, 2, 1, 4],
        }
    )
    step = Radial(**(OPTIONS | {"returns": "constant", "orientation": "input"}))
    out = run(step, frame, "dmu")
    assert list(out.frames["scores"]["status"]) == [
        "inefficient",
        "inefficient",
        "efficient",
        "weakly efficient",
        "efficient",
    ]
    assert out.panel.frame["s"][3] == 1
    slacks = out.frames["slacks"].iloc[3]
    assert (slacks["x1"], slacks["x2"], slacks["y1"]) == pytest.approx((0, 0, 0))
    assert slacks["y2"] == pytest.approx(1, rel=1e-12)
    assert out.frames["targets"].iloc[3]["y2"] == pytest.approx(2, rel=1e-12)
    assert list(out.frames["peers"].query("dmu == 'D'")["peer_dmu"]) == ["C"]
    assert any("1 scores of 1 are of weakly efficient" in n for n in out.notes)
    # Units of measure move neither status nor targets.
    other = frame.assign(y2=frame["y2"] * 1e6, x1=frame["x1"] / 1e5)
    again = run(step, other, "dmu")
    assert list(again.frames["scores"]["status"]) == list(
        out.frames["scores"]["status"]
    )
    assert again.frames["targets"].iloc[3]["y2"] == pytest.approx(2e6, rel=1e-12)


def test_super_efficient_and_infeasible_rows_have_their_status() -> None:
    frame = pd.DataFrame(
        {
            "x1": [4.0, 2, 1, 3],
            "x2": [1.0, 1, 1, 1],
            "y1": [9.0, 4, 1, 2],
            "y2": [1.0] * 4,
        }
    )
    step = Radial(**(OPTIONS | {"orientation": "input", "super_efficiency": True}))
    out = run(step, frame)
    status = list(out.frames["scores"]["status"])
    assert status[0] == "infeasible"
    assert np.isnan(out.frames["slacks"].loc[0, "x1"])
    assert np.isnan(out.frames["targets"].loc[0, "y1"])
    assert "super-efficient" in status


@pytest.mark.parametrize("orientation", ["input", "output"])
def test_distance_is_the_inverse(orientation: str) -> None:
    options = OPTIONS | {"orientation": orientation}
    frame = farms().assign(group=["a", "b"] * 20)
    a = run(Radial(**options), frame).panel.frame["s"]
    b = run(Radial(**options, measure="distance"), frame)
    np.testing.assert_allclose(b.panel.frame["s"], 1 / a, rtol=1e-15)
    assert (b.panel.frame["s"] >= 1 - 1e-12).all()
    np.testing.assert_array_equal(b.frames["scores"]["score"], b.panel.frame["s"])
    meta = options | {"frontier": {"metafrontier": "group"}}
    gap = run(Radial(**meta), frame).panel.frame["s_gap"]
    other = run(Radial(**meta, measure="distance"), frame).panel.frame
    # The technology gap ratio is at most 1 in both measures.
    np.testing.assert_allclose(other["s_gap"], gap, rtol=1e-14)
    np.testing.assert_allclose(other["s_group"] / other["s"], gap, rtol=1e-14)


def test_bootstrap_of_distances() -> None:
    frame = farms(20)
    plain = run(Radial(**OPTIONS, bootstrap=100, seed=3), frame).frames["bootstrap"]
    step = Radial(**OPTIONS, bootstrap={"times": 100}, measure="distance", seed=3)
    table = run(step, frame).frames["bootstrap"]
    np.testing.assert_allclose(table["score"], 1 / plain["score"])
    # Samples are the same; the mean of inverses is above the inverse of the mean.
    assert (table["bias"] < 0).all()
    assert (table["corrected"] > table["score"]).all()
    assert (table["low"] <= table["high"]).all()


def test_ratios_against_volumes_are_noted_in_either_measure() -> None:
    """The note's correlation is of efficiency, not of its inverse."""
    rng = np.random.default_rng(0)
    size = np.exp(rng.normal(0, 1, 40))
    frame = pd.DataFrame({"x1": size, "x2": size * rng.uniform(1, 2, 40)})
    frame["y1"], frame["y2"] = rng.uniform(1, 2, (2, 40))
    notes = [
        run(Radial(**(OPTIONS | {"returns": "constant"}), measure=measure), frame).notes
        for measure in ("efficiency", "distance")
    ]
    assert notes[0] == notes[1]
    assert any("rank correlation -" in note for note in notes[0])


def test_environment_by_hand() -> None:
    """Algorithm 2, steps 2 to 4: its parts put together again."""
    frame = farms(24)
    step = Radial(
        **OPTIONS,
        measure="distance",
        bootstrap={"times": 100, "environment": ["z"]},
        seed=11,
    )
    assert step.makes("s") == ("s", "s_corrected")
    assert "z" in step.reads("s")
    out = run(step, frame)
    table, delta = out.frames["bootstrap"], out.panel.frame["s"].to_numpy()
    np.testing.assert_allclose(table["corrected"], table["score"] - table["bias"])
    np.testing.assert_array_equal(out.panel.frame["s_corrected"], table["corrected"])
    z = np.column_stack([frame["z"], np.ones(24)])
    rows = delta > 1 + 1e-9
    model = fit(delta[rows], z[rows], 1.0, np.inf)
    rng = np.random.default_rng(11)
    order = np.lexsort((*frame[["x1", "x2", "y1", "y2"]].to_numpy().T, *z.T))
    total = np.zeros(24)
    from scipy.stats import truncnorm

    x, y = frame[["x1", "x2"]].to_numpy().T, frame[["y1", "y2"]].to_numpy().T
    q = Quantities(x, y, np.zeros((0, 24)))
    for _ in range(100):
        uniform = np.empty(24)
        uniform[order] = rng.random(24)
        mean = z @ model.beta
        law = truncnorm((1 - mean) / model.sigma, np.inf, loc=mean, scale=model.sigma)
        drawn = law.ppf(uniform)
        moved = Quantities(x, y * delta / drawn, q.bads)
        own = np.full(24, -1)
        total += 1 / radial(q, moved, own, "output", "variable", solve).value
    # truncnorm's quantiles are good to about nine digits.
    np.testing.assert_allclose(table["corrected"], 2 * delta - total / 100, rtol=1e-6)
    assert "truncated regression on z" in out.panel.ledger[-1].detail


def test_environment_of_yearly_frontiers_is_one_regression() -> None:
    frame = pd.concat([farms(12, s).assign(year=s) for s in (1, 2)], ignore_index=True)
    frame["unit"] = [f"u{i:02d}" for i in [*range(12), *range(12)]]
    step = Radial(
        **(OPTIONS | {"frontier": "yearly"}),
        measure="distance",
        bootstrap={"times": 100, "environment": ["z"]},
    )
    out = run(step, frame, "unit", "year")
    assert set(out.frames["bootstrap"]["technology"]) == {"1", "2"}
    assert out.panel.frame["s_corrected"].notna().all()


@pytest.mark.parametrize("environment", [[], ["z"]])
def test_names_of_units_move_no_draw(environment: list[str]) -> None:
    frame = pd.concat([farms(12, s).assign(year=s) for s in (1, 2)], ignore_index=True)
    frame["unit"] = [f"u{i:02d}" for i in [*range(12), *range(12)]]
    step = Radial(
        **(OPTIONS | {"frontier": "yearly"}),
        measure="distance",
        bootstrap={"times": 100, "environment": environment},
    )
    out = run(step, frame, "unit", "year")
    # Other names in another order: the same numbers by row.
    names = {u: f"z{i:02d}" for i, u in enumerate(sorted(set(frame["unit"]))[::-1])}
    other = frame.replace({"unit": names}).sort_values(["unit", "year"])
    again = run(step, other.reset_index(drop=True), "unit", "year").panel.frame
    both = out.panel.frame.replace({"unit": names}).merge(again, on=["unit", "year"])
    np.testing.assert_allclose(both["s_corrected_x"], both["s_corrected_y"], rtol=1e-9)


def test_bad_environments_are_refused() -> None:
    for wrong in (
        {"bootstrap": {"times": 100, "environment": ["z"]}},
        {"bootstrap": 50},
        {"bootstrap": {"times": 100, "more": 1}},
    ):
        with pytest.raises(ValidationError):
            Radial(**OPTIONS, **wrong)
    good = {"measure": "distance", "bootstrap": {"times": 100, "environment": ["z"]}}
    frame = farms(25)
    frame.loc[3, "z"] = np.nan
    for data, code in (
        (frame, "L04"),
        (farms(25).assign(z=1.0), "D06"),
        (farms(25).drop(columns="z"), "X01"),
    ):
        with pytest.raises(EstimandError) as caught:
            run(Radial(**OPTIONS, **good), data)
        assert {p.code for p in caught.value.problems} == {code}
    twice = {"times": 100, "environment": ["z", "w"]}
    with pytest.raises(EstimandError, match="leave out") as caught:
        run(
            Radial(**OPTIONS, measure="distance", bootstrap=twice),
            farms(25).assign(w=lambda f: 3 * f["z"] - 1),
        )
    few = farms(4)
    with pytest.raises(EstimandError, match="truncated regression") as caught:
        run(Radial(**OPTIONS, **good), few)
    assert caught.value.problems[0].code == "N07"
