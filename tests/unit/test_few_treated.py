"""Ferman and Pinto's inference: draws refitted one by one, invariances, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._math.few_treated import Groups, few_treated, variances
from estimators.event_study import EventStudy
from estimators.twfe import Twfe
from framework.errors import EstimandError
from tests.build_request import build_request

DRAWS = 199


def states(
    seed: int = 0, *, adoption: tuple[int, ...] = (3,), clusters: int = 24
) -> pd.DataFrame:
    """Clusters of 1 to 4 units over 6 periods; the first adopt in these periods."""
    rng = np.random.default_rng(seed)
    rows = []
    for state in range(clusters):
        start = adoption[state] if state < len(adoption) else 99
        shock = rng.normal(size=6).cumsum()
        for unit in range(1 + state % 4):
            for year in range(6):
                d = float(year >= start)
                y = 0.4 * d + 0.3 * shock[year] + rng.normal() + 0.2 * year
                rows.append((f"s{state:02d}", f"s{state:02d}.{unit}", year, d, y))
    return pd.DataFrame(rows, columns=["state", "unit", "year", "d", "y"])


def request_of(data: pd.DataFrame, **changes: Any) -> Any:
    plain: dict[str, Any] = {
        "outcome": "y",
        "treatment": "d",
        "kind": "reversible",
        "fixed_effects": ["unit", "year"],
        "inference": "ferman_pinto",
        "clusters": ["state"],
        "options": {"draws": DRAWS},
        "unit": "unit",
        "time": "year",
        "seed": 7,
    }
    return build_request(data, **(plain | changes))


def row(data: pd.DataFrame, **changes: Any) -> Any:
    return Twfe().estimate(request_of(data, **changes)).coefficients.iloc[0]


def within(data: pd.DataFrame, values: np.ndarray) -> np.ndarray:
    """Residuals on effects of units and years: means of a balanced panel."""
    v = pd.Series(values)
    of_unit = v.groupby(data.unit.to_numpy()).transform("mean")
    of_year = v.groupby(data.year.to_numpy()).transform("mean")
    return (v - of_unit - of_year + v.mean()).to_numpy()


def p_by_hand(data: pd.DataFrame, null: float) -> float:
    """Every draw's outcome made row by row, and its coefficient by least squares."""
    data = data.sort_values(["unit", "year"], ignore_index=True)
    x = within(data, data.d.to_numpy())
    y = within(data, data.y.to_numpy() - null * data.d.to_numpy())
    estimate = x @ y / (x @ x)
    mean = pd.Series(y).groupby([data.state, data.year]).transform("mean")
    names = sorted(data.state.unique())
    table = pd.DataFrame({"s": data.state, "t": data.year, "u": mean}).pivot_table(
        index="s", columns="t", values="u"
    )
    weight = pd.DataFrame({"s": data.state, "t": data.year, "x": x}).pivot_table(
        index="s", columns="t", values="x", aggfunc="sum"
    )
    size = data.groupby("state").unit.nunique()
    S = weight.to_numpy() @ table.to_numpy().T
    ratio = np.sqrt(variances(S, size.to_numpy(dtype=float)))
    donors = np.random.default_rng(7).integers(0, len(names), (DRAWS, len(names)))
    beyond = 0
    own = data.state.map({s: i for i, s in enumerate(names)}).to_numpy()
    for drawn in donors:
        donor = drawn[own]
        made = table.to_numpy()[donor, data.year] * ratio[own, donor]
        beyond += abs(x @ made / (x @ x)) >= abs(estimate) * (1 - 1e-12)
    return beyond / DRAWS


@pytest.mark.parametrize("adoption", [(3,), (2, 4), (3, 3, 3, 3, 5, 2)])
def test_every_draw_refitted_gives_the_same(adoption):
    data = states(1, adoption=adoption)
    found = row(data)
    assert found.p_value == p_by_hand(data, 0.0)
    for end in (found.conf_low, found.conf_high):
        inside = end + 1e-6 * (found.estimate - end)
        outside = end - 1e-6 * (found.estimate - end)
        assert p_by_hand(data, inside) > 0.05
        assert p_by_hand(data, outside) <= 0.05


def test_variances_fall_with_size_and_are_never_negative():
    rng = np.random.default_rng(2)
    size = rng.integers(1, 40, 20_000).astype(float)
    u = rng.normal(size=20_000) * np.sqrt(0.5 + 3.0 / size)
    found = variances(u[None, :], size)[0]
    true = (0.5 + 3.0 / size[0]) / (0.5 + 3.0 / size)
    # 20,000 squares; the ratio to the largest groups has the error of the constant
    np.testing.assert_allclose(found, true, rtol=0.1)
    rising = variances(np.sqrt(size)[None, :], size)
    assert (rising == 1).all()
    assert (variances(np.ones((3, 3)), np.full(3, 2.0)) == 1).all()


def test_one_row_a_cell_is_conley_and_taber_with_the_treated_among_donors():
    data = states(3, clusters=40)
    data = data[data.unit.str.endswith(".0")]
    found = row(data)
    wide = data.pivot(index="state", columns="year", values="y").to_numpy()
    change = wide[:, 3:].mean(axis=1) - wide[:, :3].mean(axis=1)
    change = change - change.mean()  # the null imposed: all years' effects alike
    donors = np.random.default_rng(7).integers(0, 40, (DRAWS, 40))
    treated = np.where(np.arange(40) < 1, 1.0, 0.0)
    share = (treated - treated.mean()) / (treated @ (treated - treated.mean()))
    drawn = np.abs((share * change[donors]).sum(axis=1))
    assert found.estimate == pytest.approx(share @ change, abs=1e-12)
    assert found.p_value == np.mean(drawn >= abs(share @ change) * (1 - 1e-12))


def test_order_scale_and_weights():
    data = states(4, adoption=(3, 3))
    plain = row(data)
    other = row(data.sample(frac=1, random_state=1))
    assert plain.p_value == other.p_value
    assert other.conf_low == pytest.approx(plain.conf_low, abs=1e-9)
    scaled = row(data.assign(y=1e5 * data.y - 3))
    assert scaled.p_value == plain.p_value
    assert scaled.conf_high == pytest.approx(1e5 * plain.conf_high, rel=1e-8)
    # the same rows twice over are the same clusters of twice the size
    twice = pd.concat([data, data.assign(unit=data.unit + "b")])
    weighted = row(data.assign(w=2.0), weights=("frequency", "w"))
    assert row(twice).conf_low == pytest.approx(weighted.conf_low, abs=1e-8)


def test_event_times_have_it_too():
    data = states(5, adoption=(3, 3, 3, 4, 4), clusters=30)
    data["first"] = np.where(
        data.groupby("unit").d.transform("max") > 0,
        data.groupby("unit").d.transform(lambda d: 6 - d.sum()),
        np.inf,
    )
    result = EventStudy(window=(-2, 1)).estimate(
        request_of(
            data, kind="absorbing", cohort="first", estimand=("by_event_time", "att")
        )
    )
    table = result.coefficients
    assert (table.conf_low < table.estimate).all()
    assert result.scalars["n_bootstrap"] == DRAWS
    assert any("Ferman and Pinto" in note for note in result.notes)


def refused(data: pd.DataFrame, **changes: Any) -> list[str]:
    with pytest.raises(EstimandError) as caught:
        row(data, **changes)
    return [p.code for p in caught.value.problems]


def test_refusals():
    data = states(6)
    assert refused(states(6, clusters=11, adoption=(3, 3))) == ["I05"]
    assert refused(data, clusters=["state", "year"]) == ["I09"]
    assert refused(data[~((data.state == "s05") & (data.year == 2))]) == ["I09"]
    data["x"] = np.random.default_rng(0).normal(size=len(data))
    assert refused(data, controls=["x"]) == ["I09"]
    assert refused(data[data.unit != "s07.1"].iloc[:-1]) == ["I09"]
    # few treated is what it is for
    assert np.isfinite(row(data).p_value)


def test_no_value_is_rejected_where_draws_repeat_the_data():
    x = np.array([[1.0, -1.0], [-1.0, 1.0]])
    drawn = few_treated(Groups(x, x, 0 * x, np.ones(2), 0.5), 99, 1)
    assert drawn.reach(0.1, 0.05, 1) == np.inf


def test_the_p_value_of_the_estimate_is_one():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(15, 4))
    drawn = few_treated(Groups(x, x, rng.normal(size=(15, 4)), np.ones(15), 0.7), 99, 1)
    assert drawn.p_value(0.7) == 1.0
