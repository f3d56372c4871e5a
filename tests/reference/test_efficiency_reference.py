"""Slacks-based efficiency against printed tables, deaR and plain programs.

The data of Tone (2001, p. 505) and Tone (2003, pp. 10-11) are a few numbers and stand
here; the stored output of deaR (R, lpSolve) is read from `ESTIMAND_REFERENCES`.
"""

from __future__ import annotations

import csv
import os
from itertools import product
from pathlib import Path

import numpy as np
import pulp
import pytest
from scipy.optimize import linprog

from estimators._math.distance import radial
from estimators._math.efficiency import (
    Measure,
    Quantities,
    Scale,
    Scores,
    first_stage,
    second_stage,
    slack_weights,
    slacks_based,
)
from estimators._math.envelopment import Programs
from estimators.steps._programs import solve, written

#: Tone (2001), p. 505: two inputs, two outputs of five units.
TONE_2001 = Quantities(
    np.array([[4.0, 6, 8, 8, 2], [3, 3, 1, 1, 4]]),
    np.array([[2.0, 2, 6, 6, 1], [3, 3, 2, 1, 4]]),
    np.zeros((0, 5)),
)
#: Tone (2003), p. 10: one input, one good and one bad output of nine units.
TONE_2003 = Quantities(
    np.ones((1, 9)),
    np.array([[1.0, 2, 6, 8, 9, 5, 4, 6, 4]]),
    np.array([[1.0, 1, 2, 4, 7, 2, 3, 4, 6]]),
)


def scores(q: Quantities, measure: Measure) -> Scores:
    return slacks_based(q, q, np.arange(q.inputs.shape[1]), measure, solve)


def reference(name: str) -> dict[str, np.ndarray]:
    folder = os.environ.get("ESTIMAND_REFERENCES")
    if not folder:
        pytest.skip("ESTIMAND_REFERENCES does not name the folder of references")
    with (Path(folder) / "dea" / name).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        key: np.array([float(row[key]) for row in rows])
        for key in rows[0]
        if key != "DMU"
    }


def test_tone_2001_as_printed() -> None:
    # The paper prints three decimals.
    found = scores(TONE_2001, Measure()).score
    np.testing.assert_allclose(found, [0.798, 0.568, 1, 0.667, 1], atol=5e-4)


@pytest.mark.parametrize(
    ("returns", "column"), [("constant", "sbm_crs"), ("variable", "sbm_vrs")]
)
def test_tone_2001_is_that_of_dear(returns: str, column: str) -> None:
    stored = reference("tone2001_ref_deaR.csv")
    found = scores(TONE_2001, Measure(returns=returns))  # type: ignore[arg-type]  # parametrised
    # lpSolve's own error is 6e-13.
    np.testing.assert_allclose(found.score, stored[column], rtol=0, atol=1e-11)
    if returns == "constant":
        slack = (TONE_2001.all - found.target.T) * [[1], [1], [-1], [-1]]
        names = ["si.Input1", "si.Input2", "so.Output1", "so.Output2"]
        for row, name in zip(slack, names, strict=True):
            np.testing.assert_allclose(row, stored[f"crs_{name}"], atol=1e-10)


def test_radial_efficiency_is_that_of_dear_and_of_tone() -> None:
    own = np.arange(5)
    found = radial(TONE_2001, TONE_2001, own, "input", "constant", solve).value
    # Tone (2001), p. 505, column CCR.
    np.testing.assert_allclose(found, [0.9, 5 / 6, 1, 1, 1], rtol=1e-12)
    stored = reference("tone2001_ref_deaR.csv")["ccr_io"]
    np.testing.assert_allclose(found, stored, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("returns", "column"), [("constant", "sbm_ud_crs"), ("variable", "sbm_ud_vrs")]
)
def test_tone_2003_is_that_of_dear(returns: str, column: str) -> None:
    stored = reference("tone2003_undesirable_ref_deaR.csv")
    found = scores(TONE_2003, Measure(returns=returns))  # type: ignore[arg-type]  # parametrised
    np.testing.assert_allclose(found.score, stored[column], rtol=0, atol=1e-11)
    if returns == "variable":
        for row, name in zip(found.target.T, ["x", "yg", "yb"], strict=True):
            np.testing.assert_allclose(row, stored[f"vrs_target_{name}"], atol=1e-10)


def test_super_efficiency_of_tone_2003_by_hand() -> None:
    """No printed table has bad outputs in super-efficiency; C is small enough.

    Without C = (1, 6, 2), F = (1, 5, 2) comes nearest: y falls short by 1 of 6, so
    delta = 1 / (1 - (1/2)(1/6)) = 12/11.
    """
    found = scores(TONE_2003, Measure(super_efficiency=True))
    np.testing.assert_allclose(found.score[2], 12 / 11, rtol=1e-13)
    expected = [1 / 10, 1 / 4, 12 / 11, 20 / 19, 18 / 17]
    np.testing.assert_allclose(found.score[:5], expected, rtol=1e-13)
    variable = scores(TONE_2003, Measure(returns="variable", super_efficiency=True))
    np.testing.assert_allclose(variable.score[1], 10 / 9, rtol=1e-13)


def test_weakly_efficient_unit_keeps_its_first_score() -> None:
    """D of Tone 2001: 2/3 in the first stage, where the second alone would say 1."""
    found = scores(TONE_2001, Measure(super_efficiency=True))
    np.testing.assert_allclose(found.score[3], 2 / 3, rtol=1e-13)
    assert found.status[3] == "inefficient"


def test_the_data_are_those_of_the_references() -> None:
    stored = reference("tone2001_data.csv")
    names = ["Input1", "Input2", "Output1", "Output2"]
    np.testing.assert_array_equal(TONE_2001.all, [stored[c] for c in names])
    stored = reference("tone2003_undesirable_data.csv")
    np.testing.assert_array_equal(TONE_2003.all, [stored[c] for c in ("x", "yg", "yb")])


# ------------------------------------------------- two formulations, two solvers


def synthetic(n: int, m: int, goods: int, bads: int, seed: int) -> Quantities:
    rng = np.random.default_rng(seed)
    size = np.exp(rng.normal(0, 1.5, n))

    def draw(rows: int) -> np.ndarray:
        return size * np.exp(rng.normal(0, 0.5, (rows, n)))

    return Quantities(draw(m), draw(goods), draw(bads))


def by_scipy(q: Quantities, o: int, measure: Measure) -> float:
    """Both stages of unit o in the data's own scale, every unit a column."""
    m, goods, bads = q.counts
    c, n = m + goods + bads, q.inputs.shape[1]
    a, d = np.zeros(c), np.zeros(c)
    a[:m], d[m : m + goods] = 1, 1
    (d if measure.bads == "denominator" else a)[m + goods :] = 1
    if measure.orientation == "input":
        d[:] = 0
    if measure.orientation == "output":
        a[:] = 0
    own, moves = q.all[:, o], a + d > 0
    # The slack of a zero has no weight, and the mean is over the others.
    a, d = a * (own > 0), d * (own > 0)
    divisor = np.where(own > 0, own, 1.0)
    a, d = a / max(a.sum(), 1) / divisor, d / max(d.sum(), 1) / divisor
    side = np.r_[np.ones(m), -np.ones(goods), np.ones(bads)]

    def optimum(others: np.ndarray, sign: float) -> float:
        k = len(others)
        cost = np.r_[1, sign * a, np.zeros(k)]
        equal = [np.r_[1, -sign * d, np.zeros(k)]]
        if measure.returns == "variable":
            equal.append(np.r_[-1, np.zeros(c), np.ones(k)])
        right = np.r_[1, np.zeros(len(equal) - 1)]
        rows = np.c_[-own, np.diag(-sign * side), q.all[:, others]]
        slack = [(0, None)] * c
        above = None
        if sign > 0:
            slack = [(0, None) if moves[i] else (0, 0) for i in range(c)]
            room = np.zeros((goods, 1 + c + k))
            room[:, 0] = -own[m : m + goods]
            room[np.arange(goods), 1 + m + np.arange(goods)] = 1
            room[own[m : m + goods] == 0] = 0
            above = np.r_[rows * side[:, None], room]
        else:
            equal, right = [*equal, *rows], np.r_[right, np.zeros(c)]
        found = linprog(
            cost,
            above,
            None if above is None else np.zeros(len(above)),
            np.array(equal),
            right,
            [(0, None), *slack, *[(0, None)] * k],
        )
        return float(found.fun) if found.status == 0 else np.nan

    rho = optimum(np.arange(n), -1.0)
    if measure.super_efficiency and rho > 1 - 1e-7:
        return optimum(np.delete(np.arange(n), o), 1.0)
    return rho


MEASURES = pytest.mark.parametrize(
    "measure",
    [
        Measure(o, r, b, super_efficiency=True)  # type: ignore[arg-type]  # parametrised
        for o, r, b in product(
            ("non", "input", "output"),
            ("constant", "variable"),
            ("denominator", "numerator"),
        )
    ],
    ids=str,
)


@MEASURES
def test_every_measure_against_scipy(measure: Measure) -> None:
    q = synthetic(25, 2, 2, 1, seed=4)
    found = scores(q, measure)
    expected = np.array([by_scipy(q, o, measure) for o in range(25)])
    # scipy's HiGHS stops at 1e-7; at a vertex both are exact to rounding.
    np.testing.assert_allclose(found.score, expected, rtol=1e-9, equal_nan=True)
    assert [s == "infeasible" for s in found.status] == list(np.isnan(expected))


@MEASURES
@pytest.mark.parametrize("least", [0, 1])
def test_ties_and_zeros_against_scipy(measure: Measure, least: int) -> None:
    """Small integers: many ties and degenerate vertices; with 0, weights that drop."""
    rng = np.random.default_rng(11 + least)
    x, y, b = (rng.integers(least, 5, (k, 20)).astype(float) for k in (2, 2, 1))
    x[0], y[0] = np.maximum(x[0], 1), np.maximum(y[0], 1)
    q = Quantities(x, y, b)
    found = scores(q, measure)
    expected = np.array([by_scipy(q, o, measure) for o in range(20)])
    np.testing.assert_allclose(found.score, expected, rtol=1e-9, equal_nan=True)
    assert "not proven" not in found.status


def test_infeasible_is_among_them() -> None:
    measure = Measure("input", "variable", super_efficiency=True)
    found = scores(synthetic(25, 2, 2, 1, seed=4), measure)
    assert found.status.count("infeasible") > 0
    assert np.isnan(found.score[[s == "infeasible" for s in found.status]]).all()


def families(q: Quantities, returns: str) -> list[Programs]:
    n = q.inputs.shape[1]
    measure = Measure(returns=returns)  # type: ignore[arg-type]  # parametrised
    scale, weights = Scale(q, q, measure.returns), slack_weights(q, measure)
    own = np.arange(n)
    return [first_stage(scale, weights, own), second_stage(scale, weights, own)]


@pytest.mark.parametrize("returns", ["constant", "variable"])
@pytest.mark.parametrize("stage", [0, 1])
def test_the_fast_path_is_the_written_program(returns: str, stage: int) -> None:
    """Column generation against pulp's model with every peer, solved by pulp."""
    programs = families(synthetic(30, 2, 1, 1, seed=7), returns)[stage]
    found = solve(programs)
    for o in range(len(programs)):
        problem = written(programs, o)
        status = problem.solve(pulp.HiGHS(msg=False))
        assert found.feasible[o] == (status == pulp.LpStatusOptimal)
        if found.feasible[o]:
            value = pulp.value(problem.objective)
            # pulp reports HiGHS's objective, exact to rounding at a vertex.
            assert found.objective[o] == pytest.approx(value, rel=1e-10)
    assert found.exact[found.feasible].all()


def test_another_solver_says_the_same() -> None:
    """pulp writes CBC a text file of 12 digits: 1e-6 is what it can promise."""
    engine = pulp.PULP_CBC_CMD(msg=False)
    if not engine.available():
        pytest.skip("pulp has no CBC for this machine")
    programs = families(synthetic(12, 2, 1, 1, seed=9), "constant")[0]
    found = solve(programs)
    for o in range(len(programs)):
        problem = written(programs, o)
        problem.solve(engine)
        assert found.objective[o] == pytest.approx(
            pulp.value(problem.objective), abs=1e-6
        )
