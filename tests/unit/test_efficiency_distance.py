"""Radial and directional distances and indices of productivity."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.optimize import linprog

from estimators._math.distance import directional, radial
from estimators._math.efficiency import Quantities
from estimators.steps._programs import solve
from estimators.steps.directional import Directional
from estimators.steps.malmquist import Malmquist
from estimators.steps.radial import Radial
from framework.contract import Step, StepOutput
from framework.errors import EstimandError
from framework.panel import Panel

NAN = float("nan")


def units(seed: int, n: int = 15, bads: int = 1) -> Quantities:
    rng = np.random.default_rng(seed)
    size = np.exp(rng.normal(0, 1, n))
    a, b, c = (size * np.exp(rng.normal(0, 0.5, (k, n))) for k in (2, 2, bads))
    return Quantities(a, b, c)


def least(
    cost: Any, above: Any, top: Any, equal: Any, right: Any, bounds: Any
) -> float:
    equal = np.array(equal) if len(equal) else None
    found = linprog(cost, above, top, equal, right if len(right) else None, bounds)
    return float(found.fun) if found.status == 0 else NAN


def plain_radial(q: Quantities, o: int, way: str, returns: str, alone: bool) -> float:
    """As printed, in the data's own scale: min theta, or 1 / max phi."""
    n = q.inputs.shape[1]
    use = np.delete(np.arange(n), o) if alone else np.arange(n)
    x, y = q.inputs[:, use], q.goods[:, use]
    x0, y0 = q.inputs[:, o], q.goods[:, o]
    zero = np.zeros((len(x0), 1)), np.zeros((len(y0), 1))
    if way == "input":
        above = np.r_[np.c_[-x0, x], np.c_[zero[1], -y]]
        top, cost = np.r_[np.zeros(len(x0)), -y0], 1.0
    else:
        above = np.r_[np.c_[zero[0], x], np.c_[y0, -y]]
        top, cost = np.r_[x0, np.zeros(len(y0))], -1.0
    k = len(use)
    equal = [np.r_[0, np.ones(k)]] if returns == "variable" else []
    bounds = [(0, None)] * (1 + k)
    value = least(
        np.r_[cost, np.zeros(k)], above, top, equal, [1.0] * len(equal), bounds
    )
    return value if way == "input" else -1 / value


def plain_directional(
    q: Quantities,
    reference: Quantities,
    o: int,
    direction: str,
    returns: str,
    weak: bool,
) -> float:
    """As printed; under variable returns with Kuosmanen's abating intensities."""
    x, y, b = reference.inputs, reference.goods, reference.bads
    x0, y0, b0 = q.inputs[:, o], q.goods[:, o], q.bads[:, o]
    outputs, inputs = direction in {"outputs", "all"}, direction in {"inputs", "all"}
    n = x.shape[1]
    abates = weak and returns == "variable"
    idle = (lambda a: np.c_[a, 0 * a]) if abates else (lambda a: a)
    both = np.c_[x, x] if abates else x
    k = both.shape[1]
    above = np.r_[np.c_[x0 * inputs, both], np.c_[y0 * outputs, -idle(y)]]
    top = np.r_[x0, -y0]
    row = np.c_[b0 * outputs, idle(b)]
    equal, right = [], np.zeros(0)
    if weak:
        equal, right = [*row], b0
    else:
        above, top = np.r_[above, row], np.r_[top, b0]
    if returns == "variable":
        equal, right = [*equal, np.r_[0, np.ones(k)]], np.r_[right, 1]
    assert n <= k
    bounds = [(None, None)] + [(0, None)] * k
    return -least(np.r_[-1.0, np.zeros(k)], above, top, equal, right, bounds)


@pytest.mark.parametrize(
    ("way", "returns", "alone"),
    product(("input", "output"), ("constant", "variable"), (False, True)),
)
def test_radial_against_scipy(way: Any, returns: Any, alone: bool) -> None:
    q = units(3, bads=0)
    own = np.arange(15)
    found = radial(q, q, own, way, returns, solve, without_own=alone)
    expected = [plain_radial(q, o, way, returns, alone) for o in range(15)]
    # Both are exact vertices.
    np.testing.assert_allclose(found.value, expected, rtol=1e-9, equal_nan=True)
    assert list(found.feasible) == list(~np.isnan(expected))
    if not alone:
        peers = np.zeros((15, 15))
        peers[found.unit, found.peer] = found.weight
        shrunk = q.inputs * (found.value if way == "input" else 1)
        grown = q.goods / (1 if way == "input" else found.value)
        assert (q.inputs @ peers.T <= shrunk * (1 + 1e-9)).all()
        assert (q.goods @ peers.T >= grown * (1 - 1e-9)).all()


@pytest.mark.parametrize(
    ("direction", "returns", "bads"),
    product(("outputs", "inputs", "all"), ("constant", "variable"), ("weak", "strong")),
)
def test_directional_against_scipy(direction: Any, returns: Any, bads: Any) -> None:
    q, other = units(5), units(6)
    for reference, own in ((q, np.arange(15)), (other, np.full(15, -1))):
        found = directional(q, reference, own, direction, returns, bads, solve)
        expected = [
            plain_directional(q, reference, o, direction, returns, bads == "weak")
            for o in range(15)
        ]
        np.testing.assert_allclose(
            found.value, expected, rtol=1e-8, atol=1e-10, equal_nan=True
        )
    assert np.isfinite(expected).any()


def test_abatement_counts_each_peer_once() -> None:
    q = units(5)
    found = directional(q, q, np.arange(15), "outputs", "variable", "weak", solve)
    total = np.zeros(15)
    np.add.at(total, found.unit, found.weight)
    np.testing.assert_allclose(total, 1, rtol=1e-9)
    assert len(np.unique(found.unit * 15 + found.peer)) == len(found.unit)


# ------------------------------------------------------------------------- the steps


def panel(seed: int = 0, cities: int = 12, years: int = 3) -> Panel:
    rng = np.random.default_rng(seed)
    n = cities * years
    size = np.exp(rng.normal(0, 1, n))
    frame = pd.DataFrame(
        {
            "city": np.repeat([f"c{i:02}" for i in range(cities)], years),
            "year": np.tile(2000 + np.arange(years), cities),
            "region": np.repeat(["e", "w"], n // 2),
        }
    )
    for column in ("x", "z", "y", "b"):
        frame[column] = size * np.exp(rng.normal(0, 0.3, n))
    return Panel(frame, "city", "year", key="k")


def run(step: Step, data: Panel) -> StepOutput:
    before = data.frame.copy(deep=True)
    out = step.apply(data, "s", frozenset())
    pd.testing.assert_frame_equal(data.frame, before)
    new = [c for c in out.panel.frame.columns if c not in before.columns]
    assert new == list(step.makes("s") or ())
    return out


RADIAL: dict[str, Any] = {
    "inputs": ["x", "z"],
    "outputs": "y",
    "returns": "constant",
    "orientation": "input",
}
DIRECTION: dict[str, Any] = {
    "inputs": ["x", "z"],
    "outputs": "y",
    "bad_outputs": "b",
    "returns": "constant",
}


@pytest.mark.parametrize("step", [Radial, Directional])
def test_frontiers_of_the_steps(step: Any) -> None:
    written = RADIAL if step is Radial else DIRECTION
    data = panel()
    yearly = run(step(**written, frontier="yearly"), data).panel.frame["s"]
    for year in (2000, 2001, 2002):
        rows = data.frame["year"] == year
        alone = Panel(data.frame[rows].reset_index(drop=True), "city", "year")
        found = run(step(**written, frontier="pooled"), alone).panel.frame["s"]
        np.testing.assert_allclose(yearly[rows], found, rtol=1e-9, atol=1e-12)
    meta = run(step(**written, frontier={"metafrontier": "region"}), data)
    gap = meta.panel.frame["s_gap"]
    assert (gap <= 1 + 1e-9).all() if step is Radial else (gap >= -1e-9).all()
    more = {"slacks", "targets"} if step is Radial else set()
    assert set(meta.frames) == {"scores", "peers"} | more
    window = run(step(**written, frontier={"window": 3}), data).panel.frame["s"]
    pooled = run(step(**written, frontier="pooled"), data).panel.frame["s"]
    np.testing.assert_allclose(window, pooled, rtol=1e-12)


def test_both_orientations_agree_under_constant_returns() -> None:
    data = panel()
    out = run(Radial(**{**RADIAL, "orientation": "output"}, frontier="pooled"), data)
    found = run(Radial(**RADIAL, frontier="pooled"), data)
    np.testing.assert_allclose(out.panel.frame["s"], found.panel.frame["s"], rtol=1e-12)
    assert "CCR, output-oriented" in out.panel.ledger[-1].detail


@pytest.mark.parametrize("step", [Radial, Directional])
def test_reference_rows_alone_span_the_frontier(step: Any) -> None:
    written = RADIAL if step is Radial else DIRECTION
    data = panel()
    out = run(step(**written, frontier="pooled", reference="year = 2000"), data)
    assert (out.frames["peers"]["peer_year"] == 2000).all()
    first = data.frame["year"] == 2000
    yearly = run(step(**written, frontier="yearly"), data).panel.frame["s"]
    np.testing.assert_allclose(
        out.panel.frame["s"][first], yearly[first], rtol=1e-9, atol=1e-12
    )
    assert "of rows where year = 2000" in out.panel.ledger[-1].detail


def test_infeasible_super_efficiency_is_missing() -> None:
    frame = pd.DataFrame({"x": [4.0, 2, 1, 3], "y": [9.0, 4, 1, 2]})
    step = Radial(
        inputs="x",
        outputs="y",
        returns="variable",
        frontier="pooled",
        orientation="input",
        super_efficiency=True,
    )
    out = run(step, Panel(frame))
    assert np.isnan(out.panel.frame["s"][0])
    assert out.frames["scores"]["status"][0] == "infeasible"
    assert any("1 score is missing, infeasible" in n for n in out.notes)


def test_bootstrap_of_radial_scores() -> None:
    data = panel(cities=10, years=2)
    step = Radial(**RADIAL, frontier="yearly", bootstrap=100, seed=3)
    out = run(step, data)
    table = out.frames["bootstrap"]
    assert step.makes("s") == ("s", "s_corrected")
    np.testing.assert_allclose(table["corrected"], table["score"] - table["bias"])
    assert (table["low"] <= table["high"]).all()
    by_row = out.panel.frame.set_index(["city", "year"])["s_corrected"]
    told = table.set_index(["city", "year"])["corrected"]
    np.testing.assert_array_equal(by_row.loc[told.index], told)
    again = run(step, data).panel.frame["s_corrected"]
    np.testing.assert_array_equal(out.panel.frame["s_corrected"], again)
    other = run(step.model_copy(update={"seed": 4}), data).panel.frame["s_corrected"]
    assert (other != again).any()
    for wrong in (
        {"frontier": "sequential"},
        {"frontier": "pooled", "super_efficiency": True},
        {"frontier": "pooled", "reference": "year = 2000"},
    ):
        with pytest.raises(ValidationError, match="bootstrap"):
            Radial(**RADIAL, bootstrap=100, **wrong)


def test_bad_input_of_the_distances() -> None:
    data = panel()
    for column, value, code in (("x", -1.0, "L02"), ("y", NAN, "L04")):
        frame = data.frame.copy()
        frame.loc[3, column] = value
        for step in (
            Radial(**RADIAL, frontier="pooled"),
            Directional(**DIRECTION, frontier="pooled"),
            Malmquist(**DIRECTION, frontier="global"),
        ):
            with pytest.raises(EstimandError) as caught:
                run(step, Panel(frame, "city", "year"))
            assert {p.code for p in caught.value.problems} == {code}
    with pytest.raises(ValidationError):
        Radial(**RADIAL, frontier="pooled", bad_outputs="b")
    for missing in ("returns", "frontier"):
        options = {**DIRECTION, "frontier": "global"}
        options.pop(missing)
        with pytest.raises(ValidationError, match=missing):
            Malmquist(**options)
    with pytest.raises(EstimandError):
        run(Malmquist(**DIRECTION, frontier="global"), Panel(data.frame, "city"))


# ------------------------------------------------------------------------ malmquist


def one_by_one() -> tuple[Panel, np.ndarray, np.ndarray]:
    """One input and output: productivity and the frontier are known."""
    rng = np.random.default_rng(1)
    efficiency = rng.uniform(0.4, 1, (8, 3))
    efficiency[0] = 1
    frontier = np.array([1.0, 1.2, 1.5])
    x = np.exp(rng.normal(0, 1, (8, 3)))
    frame = pd.DataFrame(
        {
            "city": np.repeat(np.arange(8), 3),
            "year": np.tile([2000, 2001, 2002], 8),
            "x": x.ravel(),
            "y": (x * efficiency * frontier).ravel(),
        }
    )
    return Panel(frame, "city", "year", key="k"), efficiency, frontier


@pytest.mark.parametrize("frontier", ["adjacent", "global"])
def test_malmquist_finds_known_progress(frontier: Any) -> None:
    data, efficiency, best = one_by_one()
    step = Malmquist(inputs="x", outputs="y", returns="constant", frontier=frontier)
    frame = run(step, data).panel.frame
    catch = efficiency[:, 1:] / efficiency[:, :-1]
    moved = np.tile(best[1:] / best[:-1], (8, 1))
    first = frame["year"] == 2000
    assert frame.loc[first, ["s", "s_efficiency", "s_technical"]].isna().all(axis=None)
    rest = frame[~first]
    for column, truth in (
        ("s", catch * moved),
        ("s_efficiency", catch),
        ("s_technical", moved),
    ):
        np.testing.assert_allclose(rest[column], truth.ravel(), rtol=1e-10)
    running = run(step.model_copy(update={"cumulative": True}), data).panel.frame["s"]
    level = (efficiency * best) / (efficiency * best)[:, :1]
    np.testing.assert_allclose(running, level.ravel(), rtol=1e-10)


def test_a_product_over_a_gap_is_not_known() -> None:
    data, efficiency, best = one_by_one()
    lacking = data.frame.drop(index=[4, 6]).reset_index(drop=True)
    step = Malmquist(
        inputs="x",
        outputs="y",
        returns="constant",
        frontier="global",
        cumulative=True,
    )
    out = run(step, Panel(lacking, "city", "year", key="k"))
    found = out.panel.frame.set_index(["city", "year"])["s"]
    # City 1 lacks 2001: what happened until 2002 is not told. City 2 starts in 2001.
    assert found[1, 2000] == 1
    assert np.isnan(found[1, 2002])
    level = efficiency * best
    assert found[2, 2001] == 1
    assert found[2, 2002] == pytest.approx(level[2, 2] / level[2, 1], rel=1e-10)
    (note,) = [n for n in out.notes if "gap" in n]
    assert ": 1." in note


@pytest.mark.parametrize("bads", ["weak", "strong"])
def test_luenberger_index_from_its_distances(bads: Any) -> None:
    data = panel(2)
    step = Malmquist(**DIRECTION, frontier="adjacent", disposability=bads)
    out = run(step, data)
    frame, d = out.panel.frame, out.frames["distances"]
    later = np.flatnonzero(frame["year"] > 2000)
    t0, t1 = d.iloc[later - 1].reset_index(), d.iloc[later].reset_index()
    index = np.sqrt(
        (1 + t0["own"])
        / (1 + t1["previous_frontier"])
        * (1 + t0["next_frontier"])
        / (1 + t1["own"])
    )
    found = frame["s"].iloc[later].to_numpy()
    np.testing.assert_allclose(found, index, rtol=1e-12, equal_nan=True)
    both = frame["s_efficiency"] * frame["s_technical"]
    np.testing.assert_allclose(both, frame["s"], rtol=1e-12, equal_nan=True)
    missing = int(np.isnan(found).sum())
    assert (len(out.notes) > 0) == (missing > 0)
    assert "Malmquist-Luenberger index" in out.panel.ledger[-1].detail


def test_global_index_has_no_gaps_and_multiplies() -> None:
    data = panel(2)
    out = run(Malmquist(**DIRECTION, frontier="global"), data).panel.frame
    assert out["s"].notna().sum() == 24
    ends = Panel(
        data.frame[data.frame["year"] != 2001].reset_index(drop=True), "city", "year"
    )
    assert ends.frame.shape[0] == 24
    direct = run(Malmquist(**DIRECTION, frontier="global"), data).frames["distances"]
    g = (1 + direct["global_frontier"]).to_numpy().reshape(12, 3)
    steps = out["s"].to_numpy().reshape(12, 3)[:, 1:].prod(axis=1)
    np.testing.assert_allclose(steps, g[:, 0] / g[:, 2], rtol=1e-12)


def test_a_gap_is_no_change() -> None:
    data = panel()
    frame = data.frame.drop(index=1).reset_index(drop=True)  # c00 lacks 2001
    out = run(Malmquist(**DIRECTION, frontier="global"), Panel(frame, "city", "year"))
    assert out.panel.frame["s"].iloc[:2].isna().all()
    assert out.panel.frame["s"].iloc[2:].notna().sum() == 22


def test_units_and_order_do_not_matter() -> None:
    data = panel(4)
    by = {"x": 1e6, "z": 1e-5, "y": 1e3, "b": 1e-7}
    scaled = data.frame.assign(**{c: data.frame[c] * f for c, f in by.items()})
    order = np.random.default_rng(0).permutation(len(scaled))
    mixed = scaled.iloc[order].reset_index(drop=True)
    for step in (
        Radial(**RADIAL, frontier="yearly"),
        Directional(**DIRECTION, frontier="yearly"),
        Malmquist(**DIRECTION, frontier="adjacent"),
    ):
        plain = run(step, data).panel.frame["s"].to_numpy()
        other = run(step, Panel(mixed, "city", "year")).panel.frame["s"].to_numpy()
        np.testing.assert_allclose(other, plain[order], rtol=1e-9, atol=1e-12)
