"""Wild cluster bootstrap against Stata's boottest and a loop that refits every draw."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.event_study import EventStudy
from estimators.ols import Ols
from estimators.twfe import Twfe
from framework.errors import EstimandError
from framework.result import Result
from tests.build_request import build_request

STORED = os.environ.get("ESTIMAND_REFERENCES", "")
stored = pytest.mark.skipif(not STORED, reason="ESTIMAND_REFERENCES is not set")
LEVEL = 0.05


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(Path(STORED) / "replications" / "data" / name)


@stored
def test_boottest_with_an_absorbed_effect() -> None:
    data = read("wild15_boottest.csv")
    request = build_request(
        data,
        outcome="y",
        treatment="x",
        controls=["z"],
        fixed_effects=["firm"],
        inference="wild_bootstrap",
        clusters=["firm"],
    )
    result = Ols().estimate(request)
    row = result.coefficients.iloc[0]
    # reghdfe's digits; Stata stores the data in single precision
    assert row.estimate == pytest.approx(0.06576570970445639, abs=1e-7)
    # boottest 4.5.3 over all 2^15 sign vectors, as printed
    assert row.p_value == pytest.approx(0.02630615, abs=5e-9)
    assert row.p_value == 0.02630615234375  # 862 of 32,768: a count has no error
    assert result.scalars["n_bootstrap"] == 2**15


@stored
def test_strict_exceedances_of_nine_regions() -> None:
    request = build_request(
        read("card.csv"),
        outcome="lwage",
        treatment="nearc4",
        controls=["educ", "exper", "expersq", "black", "south"],
        inference="wild_bootstrap",
        clusters=["region"],
    )
    result = Ols().estimate(request)
    row = result.coefficients.iloc[0]
    # stored coefficient, its last digit
    assert row.estimate == pytest.approx(0.0672967183, abs=5e-11)
    assert row.p_value == 6 / 512  # ties would make it 8 / 512
    assert result.scalars["n_bootstrap"] == 512
    controls = result.coefficients.iloc[1:]
    assert (controls.p_value != row.p_value).all()


# -- an independent loop ----------------------------------------------------------


def panel(seed: int = 3, states: int = 8) -> pd.DataFrame:
    """Firms in states over years, unbalanced, of unequal weight."""
    rng = np.random.default_rng(seed)
    rows = [
        (s, f"{s}-{f}", t)
        for s in range(states)
        for f in range(2 + s % 3)
        for t in range(6)
        if rng.random() < 0.9
    ]
    data = pd.DataFrame(rows, columns=["state", "firm", "year"])
    n = len(data)
    data["d"] = ((data.state % 2 == 0) & (data.year >= 3)).astype(float)
    data["dose"] = rng.normal(size=n) + 0.1 * data.year
    data["x"] = rng.normal(size=n)
    data["w"] = rng.uniform(1, 4, size=n)
    shock = rng.normal(size=(states, 6))[data.state, data.year]
    data["y"] = 0.6 * data.d + 0.2 * data.dose + 0.3 * data.x + shock
    data["y"] += rng.normal(size=n)
    return data


def dummies(values: pd.Series) -> np.ndarray:
    return pd.get_dummies(values).to_numpy(dtype=float)


class Loop:
    """The test of one coefficient in which every draw is a regression of its own."""

    def __init__(self, data: pd.DataFrame, X: np.ndarray, j: int, weighted: bool):
        root = np.sqrt(data.w.to_numpy()) if weighted else np.ones(len(data))
        self.X, self.y = X * root[:, None], data.y.to_numpy() * root
        self.j, self.state = j, data.state.to_numpy()
        self.G = len(np.unique(self.state))
        self.bread = np.linalg.pinv(self.X.T @ self.X)

    def t(self, y: np.ndarray, null: float) -> float:
        beta = self.bread @ (self.X.T @ y)
        u = y - self.X @ beta
        scores = [
            (self.X[self.state == g].T @ u[self.state == g])[:, None]
            for g in range(self.G)
        ]
        V = self.bread @ sum(s @ s.T for s in scores) @ self.bread
        return float((beta[self.j] - null) / np.sqrt(V[self.j, self.j]))

    def p_value(self, null: float, signs: np.ndarray, *, restricted: bool) -> float:
        Z = np.delete(self.X, self.j, axis=1)
        x = self.X[:, self.j]
        if restricted:
            held = self.y - null * x
            fitted = Z @ np.linalg.pinv(Z) @ held + null * x
            centre = null
        else:
            beta = self.bread @ (self.X.T @ self.y)
            fitted, centre = self.X @ beta, float(beta[self.j])
        u = self.y - fitted
        own = abs(self.t(self.y, null))
        drawn = [abs(self.t(fitted + u * v[self.state], centre)) for v in signs]
        # equal statistics from different sums agree to about 1e-12
        return float(np.mean(np.array(drawn) > own * (1 + 1e-9)))


CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "no effects": (
        {"treatment": "d"},
        lambda f: np.column_stack([f.d, f.x, np.ones(len(f))]),
    ),
    "effects within clusters": (
        {"treatment": "dose", "fixed_effects": ["firm"]},
        lambda f: np.column_stack([f.dose, f.x, dummies(f.firm)]),
    ),
    "effects across clusters": (
        {"treatment": "d", "fixed_effects": ["year"]},
        lambda f: np.column_stack([f.d, f.x, dummies(f.year)]),
    ),
    "two ways": (
        {"treatment": "d", "fixed_effects": ["firm", "year"]},
        lambda f: np.column_stack([f.d, f.x, dummies(f.firm), dummies(f.year)]),
    ),
    "two ways, weighted": (
        {
            "treatment": "d",
            "fixed_effects": ["firm", "year"],
            "weights": ("analytic", "w"),
        },
        lambda f: np.column_stack([f.d, f.x, dummies(f.firm), dummies(f.year)]),
    ),
    "trends by firm": (
        {
            "treatment": "d",
            "fixed_effects": ["firm", "year"],
            "slopes": [("year", "firm")],
        },
        lambda f: np.column_stack(
            [
                f.d,
                f.x,
                dummies(f.firm),
                dummies(f.year),
                dummies(f.firm) * f.year.to_numpy()[:, None],
            ]
        ),
    ),
    "slopes across clusters": (
        {
            "treatment": "dose",
            "fixed_effects": ["state"],
            "slopes": [("d", "year")],
        },
        lambda f: np.column_stack(
            [
                f.dose,
                f.x,
                dummies(f.state),
                dummies(f.year) * f.d.to_numpy()[:, None],
            ]
        ),
    ),
}


def estimated(data: pd.DataFrame, changes: dict[str, Any], **options: Any) -> Result:
    request = build_request(
        data,
        outcome="y",
        controls=["x"],
        inference="wild_bootstrap",
        clusters=["state"],
        options=options,
        unit="firm",
        time="year",
        acknowledge=frozenset({"few_clusters", "few_treated"}),
        **changes,
    )
    return Twfe().estimate(request)


@pytest.mark.parametrize("restricted", [True, False], ids=["WCR", "WCU"])
@pytest.mark.parametrize("case", CASES)
def test_every_draw_refitted_gives_the_same(case: str, restricted: bool) -> None:
    data = panel(states=6).sort_values(["firm", "year"], ignore_index=True)
    changes, columns = CASES[case]
    row = estimated(data, changes, restricted=restricted).coefficients.iloc[0]
    loop = Loop(data, columns(data), 0, "weights" in changes)
    half = np.array([(1.0, *s) for s in product([-1.0, 1.0], repeat=5)])
    assert row.p_value == loop.p_value(0.0, half, restricted=restricted)
    near = 1e-6 * row.std_error  # the ends are found to 1e-12 standard errors
    for end, out in ((row.conf_low, -near), (row.conf_high, near)):
        assert loop.p_value(end + out, half, restricted=restricted) <= LEVEL
        assert loop.p_value(end - out, half, restricted=restricted) > LEVEL


def test_several_treatments_are_tested_one_by_one() -> None:
    data = panel(states=6).sort_values(["firm", "year"], ignore_index=True)
    rows = estimated(
        data, {"treatment": ["d", "dose"], "fixed_effects": ["firm"]}
    ).coefficients
    X = np.column_stack([data.d, data.dose, data.x, dummies(data.firm)])
    half = np.array([(1.0, *s) for s in product([-1.0, 1.0], repeat=5)])
    for j in (0, 1):
        found = Loop(data, X, j, weighted=False).p_value(0.0, half, restricted=True)
        assert rows.p_value.iloc[j] == found
    plain = Twfe().estimate(
        build_request(
            data,
            outcome="y",
            treatment=["d", "dose"],
            controls=["x"],
            fixed_effects=["firm"],
            inference="cluster",
            clusters=["state"],
            unit="firm",
            time="year",
            acknowledge=frozenset({"few_clusters", "few_treated"}),
        )
    )
    same = ["estimate", "std_error", "statistic"]
    pd.testing.assert_frame_equal(rows[same], plain.coefficients[same])
    control = plain.coefficients.iloc[2]
    assert rows.iloc[2].p_value == control.p_value


def test_webb_points_are_enumerated_and_mammen_drawn() -> None:
    data = panel(states=6)
    changes = {"treatment": "d", "fixed_effects": ["firm", "year"]}
    webb = estimated(data, changes, weights="webb")
    assert webb.scalars["n_bootstrap"] == 6**6
    mammen = estimated(data, changes, weights="mammen", draws=1999)
    assert mammen.scalars["n_bootstrap"] == 1999
    # three tests of one hypothesis: far apart only if one of them is wrong
    signs = estimated(data, changes).coefficients.p_value.iloc[0]
    assert webb.coefficients.p_value.iloc[0] == pytest.approx(signs, abs=0.1)
    assert mammen.coefficients.p_value.iloc[0] == pytest.approx(signs, abs=0.15)


def test_random_draws_come_near_to_all_of_them(monkeypatch) -> None:
    data = panel(states=9)
    changes = {"treatment": "d", "fixed_effects": ["firm", "year"]}
    every = estimated(data, changes).coefficients.iloc[0]
    monkeypatch.setattr("estimators._math.wild_bootstrap.ENUMERATED", 1)
    some = estimated(data, changes, draws=9999).coefficients.iloc[0]
    p = every.p_value
    # four binomial standard errors of 9,999 draws
    assert some.p_value == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 9999))


def test_neither_the_order_of_rows_nor_units_of_measure_move_it() -> None:
    data = panel(states=18)
    changes = {"treatment": "d", "fixed_effects": ["firm", "year"]}
    one = estimated(data, changes, draws=499).coefficients.iloc[0]
    mixed = data.sample(frac=1.0, random_state=1)
    two = estimated(mixed, changes, draws=499).coefficients.iloc[0]
    scaled = estimated(data.assign(y=data.y * 1000), changes, draws=499)
    three = scaled.coefficients.iloc[0]
    assert one.p_value == two.p_value == three.p_value
    ends = ["conf_low", "conf_high"]
    # rounding of sums in another order
    assert two[ends].tolist() == pytest.approx(one[ends].tolist(), rel=1e-9)
    assert three[ends].tolist() == pytest.approx((1000 * one[ends]).tolist(), rel=1e-9)


def test_cells_are_clusters_too() -> None:
    data = panel(states=6)
    data["cell"] = list(zip(data.state, data.year, strict=True))
    request = build_request(
        data,
        outcome="y",
        treatment="dose",
        inference="wild_bootstrap",
        clusters=["cell"],
        options={"draws": 199},
        unit="firm",
        time="year",
    )
    result = Twfe().estimate(request)
    assert result.scalars["n_clusters"] == data.cell.nunique()
    assert result.scalars["n_bootstrap"] == 199


def test_event_times_are_bootstrapped() -> None:
    data = panel(states=12)
    data["first"] = np.where(data.state % 2 == 0, 3.0, np.inf)
    request = build_request(
        data,
        outcome="y",
        treatment="d",
        kind="absorbing",
        cohort="first",
        fixed_effects=["firm", "year"],
        inference="wild_bootstrap",
        clusters=["state"],
        unit="firm",
        time="year",
        estimand=("att", "by_event_time"),
    )
    rows = EventStudy().estimate(request).coefficients
    # an average over event times is a linear combination, tested as one
    assert rows.estimand.iloc[0] == "att"
    assert (rows.p_value * 2**12 == (rows.p_value * 2**12).round()).all()
    assert ((rows.conf_low < rows.estimate) & (rows.estimate < rows.conf_high)).all()
    rejected = rows.p_value <= LEVEL
    outside = (rows.conf_low >= 0) | (rows.conf_high <= 0)
    assert (rejected == outside).all()


def test_every_draw_is_refused_where_there_are_too_many() -> None:
    changes = {"treatment": "dose", "fixed_effects": ["firm"]}
    assert estimated(panel(), changes, draws="every").scalars["n_bootstrap"] == 2**8
    with pytest.raises(EstimandError, match="every draw of rademacher weights for 17"):
        estimated(panel(states=17), changes, draws="every")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"clusters": ["state"], "states": 5}, "I05"),
        ({"clusters": ["state", "year"], "states": 8}, "I09"),
    ],
)
def test_what_cannot_be_bootstrapped_is_refused(
    changes: dict[str, Any], code: str
) -> None:
    request = build_request(
        panel(states=changes["states"]),
        outcome="y",
        treatment="dose",
        inference="wild_bootstrap",
        clusters=changes["clusters"],
        unit="firm",
        time="year",
    )
    with pytest.raises(EstimandError) as caught:
        Twfe().estimate(request)
    assert [p.code for p in caught.value.problems] == [code]
