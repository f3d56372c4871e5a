"""The wild restricted efficient bootstrap against a loop that refits every draw."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._math.wild_bootstrap import Sums, accepted, draw, multipliers
from estimators._math.wild_instruments import InstrumentSums, p_value
from estimators.iv_2sls import Iv2sls
from estimators.ols import Ols
from framework.errors import EstimandError
from framework.result import Result
from tests.build_request import build_request
from tests.simulation import wild_instruments as simulated
from tests.simulation.wild_instruments import rejections

LEVEL = 0.05
STATES = 7


def panel(seed: int = 4, states: int = STATES, strength: float = 0.9) -> pd.DataFrame:
    """Firms in states over years; an endogenous dose and two instruments."""
    rng = np.random.default_rng(seed)
    rows = [
        (s, f"{s}-{f}", t)
        for s in range(states)
        for f in range(3 + s % 3)
        for t in range(5)
        if rng.random() < 0.9
    ]
    data = pd.DataFrame(rows, columns=["state", "firm", "year"])
    n = len(data)
    common = rng.normal(size=(states, 5))[data.state, data.year]
    u = 0.6 * common + rng.normal(size=n)
    data["z"] = rng.normal(size=n) + 0.5 * rng.normal(size=states)[data.state]
    data["z2"] = rng.normal(size=n)
    data["x"] = rng.normal(size=n)
    data["w"] = rng.uniform(1, 4, size=n)
    data["d"] = strength * data.z + 0.4 * data.z2 + 0.5 * u + rng.normal(size=n)
    data["y"] = 0.2 * data.d + 0.3 * data.x + u
    return data


def run(data: pd.DataFrame, **given: Any) -> Result:
    options = given.pop("options", {})
    fields: dict[str, Any] = {
        "outcome": "y",
        "treatment": "d",
        "instruments": ["z"],
        "controls": ["x"],
        "inference": "wild_bootstrap",
        "clusters": ["state"],
        "options": options,
    }
    return Iv2sls().estimate(build_request(data, **fields | given))


def dummies(values: pd.Series) -> np.ndarray:
    return pd.get_dummies(values).to_numpy(dtype=float)


class Loop:
    """Davidson and MacKinnon's algorithm with a regression for every draw."""

    def __init__(
        self,
        data: pd.DataFrame,
        X: np.ndarray,
        instruments: list[str],
        *,
        weighted: bool,
    ):
        root = np.sqrt(data.w.to_numpy()) if weighted else np.ones(len(data))
        self.y, self.D = data.y.to_numpy() * root, data.d.to_numpy() * root
        self.Z = data[instruments].to_numpy() * root[:, None]
        self.X, self.state = X * root[:, None], data.state.to_numpy()
        self.G = len(np.unique(self.state))
        self.first = np.column_stack([self.Z, self.X])
        self.hat = self.first @ np.linalg.pinv(self.first)

    def clustered(self, X: np.ndarray, u: np.ndarray) -> np.ndarray:
        bread = np.linalg.pinv(X.T @ X)
        scores = [X[self.state == g].T @ u[self.state == g] for g in range(self.G)]
        return bread @ sum(np.outer(s, s) for s in scores) @ bread

    def fit(self, y: np.ndarray, D: np.ndarray) -> tuple[float, float]:
        """Two-stage least squares: estimate and error without a factor."""
        hat = np.column_stack([self.hat @ D, self.X])
        beta = np.linalg.pinv(hat) @ y
        u = y - np.column_stack([D, self.X]) @ beta
        return float(beta[0]), float(np.sqrt(self.clustered(hat, u)[0, 0]))

    def p_value(self, null: float, *, restricted: bool = True) -> float:
        estimate, error = self.fit(self.y, self.D)
        own = abs(estimate - null) / error
        centre = null if restricted else estimate
        u1 = self.y - self.D * centre
        u1 = u1 - self.X @ (np.linalg.pinv(self.X) @ u1)
        fitted = self.y - self.D * centre - u1
        right = np.column_stack([self.first, u1])
        pi = (np.linalg.pinv(right) @ self.D)[:-1]
        stage = self.first @ pi
        u2 = self.D - stage
        above = 0
        for v in product([-1.0, 1.0], repeat=self.G):
            w = np.array(v)[self.state]
            D = stage + w * u2
            b, se = self.fit(fitted + D * centre + w * u1, D)
            # equal statistics from different sums agree to about 1e-12
            above += abs(b - centre) / se > own * (1 + 1e-9)
        return above / 2**self.G

    def anderson_rubin(self) -> float:
        q = self.Z.shape[1]

        def wald(y: np.ndarray) -> float:
            beta = np.linalg.pinv(self.first) @ y
            V = self.clustered(self.first, y - self.first @ beta)[:q, :q]
            return float(beta[:q] @ np.linalg.solve(V, beta[:q]))

        fitted = self.X @ (np.linalg.pinv(self.X) @ self.y)
        own, u = wald(self.y), self.y - fitted
        drawn = [
            wald(fitted + np.array(v)[self.state] * u)
            for v in product([-1.0, 1.0], repeat=self.G)
        ]
        return float(np.mean(np.array(drawn) > own * (1 + 1e-9)))


ONES = np.ones
CASES: dict[str, tuple[dict[str, Any], Any, list[str]]] = {
    "no effects": ({}, lambda f: np.column_stack([f.x, ONES(len(f))]), ["z"]),
    "two instruments": (
        {"instruments": ["z", "z2"]},
        lambda f: np.column_stack([f.x, ONES(len(f))]),
        ["z", "z2"],
    ),
    "no controls": ({"controls": []}, lambda f: ONES((len(f), 1)), ["z"]),
    "effects within clusters": (
        {"fixed_effects": ["firm"], "controls": []},
        lambda f: dummies(f.firm),
        ["z"],
    ),
    "two ways": (
        {"fixed_effects": ["firm", "year"], "instruments": ["z", "z2"]},
        lambda f: np.column_stack([f.x, dummies(f.firm), dummies(f.year)]),
        ["z", "z2"],
    ),
    "two ways, weighted": (
        {"fixed_effects": ["firm", "year"], "weights": ("analytic", "w")},
        lambda f: np.column_stack([f.x, dummies(f.firm), dummies(f.year)]),
        ["z"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_draw_refitted(case: str) -> None:
    data = panel()
    given, columns, instruments = CASES[case]
    loop = Loop(data, columns(data), instruments, weighted="weights" in given)
    result = run(data, **given)
    row = result.coefficients.iloc[0]
    assert row.estimate == pytest.approx(loop.fit(loop.y, loop.D)[0], rel=1e-9)
    assert row.p_value == loop.p_value(0.0)  # a count of the same 128 draws
    assert 0 < row.p_value < 1
    assert result.scalars["n_bootstrap"] == 2**STATES
    # The interval holds what the loop does not reject, to a millionth of an error.
    for end, out in ((row.conf_low, -1e-6), (row.conf_high, 1e-6)):
        assert loop.p_value(end + out * row.std_error) <= LEVEL
        assert loop.p_value(end - out * row.std_error) > LEVEL
    (test,) = [t for t in result.tests if t.name == "anderson_rubin_bootstrap"]
    assert test.p_value == loop.anderson_rubin()


def test_the_null_not_imposed() -> None:
    data = panel()
    given, columns, instruments = CASES["two ways"]
    loop = Loop(data, columns(data), instruments, weighted=False)
    row = run(data, **given, options={"restricted": False}).coefficients.iloc[0]
    assert row.p_value == loop.p_value(0.0, restricted=False)
    for end, out in ((row.conf_low, -1e-6), (row.conf_high, 1e-6)):
        assert loop.p_value(end + out * row.std_error, restricted=False) <= LEVEL
        assert loop.p_value(end - out * row.std_error, restricted=False) > LEVEL


def test_standard_errors_and_all_else_are_those_of_the_clusters() -> None:
    data = panel()
    wild = run(data, instruments=["z", "z2"])
    few = frozenset({"few_clusters"})
    plain = run(data, instruments=["z", "z2"], inference="cluster", acknowledge=few)
    same = [
        c for c in plain.coefficients if c not in {"p_value", "conf_low", "conf_high"}
    ]
    pd.testing.assert_frame_equal(wild.coefficients[same], plain.coefficients[same])
    pd.testing.assert_frame_equal(wild.coefficients[1:], plain.coefficients[1:])
    assert wild.tests[:-1] == plain.tests
    assert {
        k: v for k, v in wild.scalars.items() if k != "n_bootstrap"
    } == plain.scalars


def test_with_the_treatment_as_instrument_it_is_the_bootstrap_of_least_squares() -> (
    None
):
    rng = np.random.default_rng(2)
    codes = np.repeat(np.arange(8), 6)
    Q = np.linalg.qr(np.column_stack([np.ones(48), rng.normal(size=48)]))[0]
    y, D = (a - Q @ (Q.T @ a) for a in rng.normal(size=(2, 48)))
    of = InstrumentSums.of(y, D, 3.0 * D[:, None], Q, codes, 8)
    u = y - D * (D @ y) / (D @ D)
    basis = np.column_stack([D / np.linalg.norm(D), Q])
    linear = draw(
        Sums.of(D, u, basis, codes, 8),
        multipliers("rademacher", 8, 1, 0),
        restricted=True,
    )
    every = multipliers("rademacher", 8, 1, 0, odd=False)
    assert len(every.values) == every.n_draws == 2**8
    estimate = float(D @ y / (D @ D))
    for null in (-0.3, 0.0, 0.1, 0.4):
        assert p_value(of, null, every) == linear.p_value(estimate - null)


def test_anderson_and_rubin_is_the_bootstrap_of_the_reduced_form() -> None:
    """That of `ols` is proven against numbers that boottest printed."""
    for effects in ([], ["firm", "year"]):
        data = panel(seed=9)
        result = run(data, fixed_effects=effects)
        (test,) = [t for t in result.tests if t.name == "anderson_rubin_bootstrap"]
        (analytic,) = [t for t in result.tests if t.name == "anderson_rubin"]
        reduced = Ols().estimate(
            build_request(
                data,
                outcome="y",
                treatment="z",
                controls=["x"],
                fixed_effects=effects,
                inference="wild_bootstrap",
                clusters=["state"],
            )
        )
        assert test.p_value == reduced.coefficients.p_value[0]
        assert test.statistic == analytic.statistic


def test_rows_names_and_units_of_measure_move_nothing() -> None:
    data = panel(states=20)
    given: dict[str, Any] = {"options": {"draws": 199, "weights": "webb"}, "seed": 5}
    row = run(data, **given).coefficients.iloc[0]
    mixed = data.sample(frac=1, random_state=1)
    again = run(mixed, **given).coefficients.iloc[0]
    assert again.p_value == row.p_value
    assert again.conf_low == pytest.approx(row.conf_low, rel=1e-9)  # order of sums
    larger = data.assign(y=1000 * data.y, d=7 * data.d, z=0.01 * data.z)
    scaled = run(larger, **given).coefficients.iloc[0]
    assert scaled.p_value == row.p_value
    for end in ("conf_low", "conf_high"):
        assert scaled[end] == pytest.approx(row[end] * 1000 / 7, rel=1e-9)
    given["seed"] = 6
    assert run(data, **given).coefficients.iloc[0].conf_low != row.conf_low


def refused(data: pd.DataFrame, **given: Any) -> dict[str, Any]:
    with pytest.raises(EstimandError) as caught:
        run(data, **given)
    return {p.code: p for p in caught.value.problems}


def test_what_it_can_not_do_is_refused_with_the_way_out() -> None:
    data = panel(states=20)
    two = refused(data, treatment=["d", "x"], controls=[], instruments=["z", "z2"])
    assert "2 treatments" in two["I09"].what
    assert "I09" in refused(data, clusters=["state", "year"])
    assert "every draw" in refused(data, options={"draws": "every"})["I09"].what
    assert refused(data[data.state < 5])["I05"].acknowledge == "few_clusters"


def loop_of(data: pd.DataFrame) -> Loop:
    columns = np.column_stack([data.x, ONES(len(data))])
    return Loop(data, columns, ["z"], weighted=False)


def held_to(loop: Loop, frame: pd.DataFrame, error: float) -> None:
    """Ends of the pieces are where the loop begins and ends to reject."""
    near = 1e-6 * error
    for piece in frame.itertuples():
        for end, out in ((piece.conf_low, -1), (piece.conf_high, 1)):
            if np.isinf(end):
                assert loop.p_value(out * 1e5 * error) > LEVEL
            else:
                assert loop.p_value(end + out * near) <= LEVEL
                assert loop.p_value(end - out * near) > LEVEL


def test_an_interval_without_an_end_is_printed_as_it_is() -> None:
    data = panel(strength=0.02)
    result, loop = run(data), loop_of(data)
    row = result.coefficients.iloc[0]
    frame = result.frames["bootstrap_set"]
    assert np.isinf([row.conf_low, row.conf_high]).any()
    assert row.p_value == loop.p_value(0.0)
    held_to(loop, frame, row.std_error)
    (said,) = [n for n in result.notes if n.startswith("The bootstrap's 95 % set")]
    assert ("unbounded" in said) == (len(frame) == 1)


def test_a_set_of_several_pieces_says_so() -> None:
    """Far from a strong first stage: seven clusters bound nothing."""
    data = panel()
    given, columns, instruments = CASES["two ways, weighted"]
    loop = Loop(data, columns(data), instruments, weighted=True)
    result = run(data, **given)
    row, frame = result.coefficients.iloc[0], result.frames["bootstrap_set"]
    assert len(frame) == 3
    assert frame.iloc[1].tolist() == [row.conf_low, row.conf_high]
    held_to(loop, frame, row.std_error)
    for hole in (-3.0, 3.0):
        assert loop.p_value(hole) <= LEVEL
    (said,) = [note for note in result.notes if "is no interval but" in note]
    assert "(-inf, -7.669] and [-0.1803, 0.5931] and [14.77, inf)" in said


def test_a_bounded_set_is_its_interval() -> None:
    result = run(panel(states=20), options={"draws": 199}, seed=5)
    row = result.coefficients.iloc[0]
    assert result.frames["bootstrap_set"].to_numpy().tolist() == [
        [row.conf_low, row.conf_high]
    ]
    assert not any("set of" in note for note in result.notes)


PIECES: dict[str, list[tuple[float, float]]] = {
    "interval": [(-2.0, 3.0)],
    "ray": [(-np.inf, 1.5)],
    "line": [(-np.inf, np.inf)],
    "two rays": [(-np.inf, 0.5), (4.0, np.inf)],
    "interval and ray": [(-1.0, 1.0), (7.0, np.inf)],
    "three": [(-np.inf, -30.0), (-1.0, 1.0), (2.0, 3.0)],
}


@pytest.mark.parametrize("kind", PIECES)
@pytest.mark.parametrize("error", [1.0, 1e-4])
def test_pieces_are_found_wherever_they_are(kind: str, error: float) -> None:
    true = [(low * error, high * error) for low, high in PIECES[kind]]

    def p_value(below: float) -> float:
        return 0.5 if any(low < -below < high for low, high in true) else 0.01

    found = accepted(p_value, error, LEVEL)
    # bisection to 1e-12 standard errors, or of a larger number
    np.testing.assert_allclose(found, true, rtol=1e-11)


def test_size_with_eight_clusters() -> None:
    """A reduced run beside the stored figures of the simulation."""
    found, runs = rejections(0.6, 400, seed=9), 400
    stored = pd.read_csv(Path(simulated.__file__).with_suffix(".csv"))
    (row,) = stored[stored.strength == 0.6].to_dict("records")
    for kind, size in found.items():
        # three Monte Carlo errors of the shorter run; the longer one's are a third
        error = np.sqrt(row[kind] * (1 - row[kind]) / runs)
        assert abs(size - row[kind]) <= 3.2 * error
    for row in stored.to_dict("records"):
        # the bootstraps do not reject too often; the analytic test does
        assert max(row["WRE"], row["AR"]) <= LEVEL + 0.015
        assert row["CV1"] > row["WRE"]
