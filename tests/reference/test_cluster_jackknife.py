"""CV3 against a loop that leaves out each cluster and fits again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.twfe import Twfe
from framework.errors import EstimandError
from framework.result import Result, influence_variance
from tests.build_request import build_request
from tests.reference.test_wild_bootstrap import CASES, panel


def estimated(data: pd.DataFrame, changes: dict[str, Any], **options: Any) -> Result:
    return Twfe().estimate(requested(data, changes, **options))


def requested(data: pd.DataFrame, changes: dict[str, Any], **options: Any) -> Any:
    given = {
        "outcome": "y",
        "controls": ["x"],
        "inference": "cluster",
        "clusters": ["state"],
        "options": {"type": "CV3", **options},
        "unit": "firm",
        "time": "year",
        "acknowledge": frozenset({"few_clusters", "few_treated"}),
    }
    return build_request(data, **(given | changes))


@pytest.mark.parametrize("case", CASES)
def test_leaving_out_each_cluster_by_hand(case: str) -> None:
    data = panel(states=8).sort_values(["firm", "year"], ignore_index=True)
    changes, columns = CASES[case]
    rows = estimated(data, changes).coefficients
    X = columns(data)
    root = np.sqrt(data.w.to_numpy()) if "weights" in changes else np.ones(len(data))
    y = data.y * root
    X = X * root[:, None]

    def slopes(kept: Any) -> np.ndarray:
        return np.linalg.lstsq(X[kept], y[kept], rcond=1e-10)[0][:2]

    whole = slopes(np.ones(len(data), dtype=bool))
    apart = np.array([slopes(data.state != g) - whole for g in range(8)])
    V = 7 / 8 * apart.T @ apart
    # rounding of two least-squares routines
    assert rows.std_error.iloc[:2].to_numpy() == pytest.approx(
        np.sqrt(np.diag(V)), rel=1e-8
    )


def test_it_is_wider_than_cv1_and_carries_its_influence() -> None:
    data = panel(states=12)
    changes = {"treatment": "d", "fixed_effects": ["firm", "year"]}
    result = estimated(data, changes)
    plain = estimated(data, changes, type="CV1")
    one, three = plain.coefficients.iloc[0], result.coefficients.iloc[0]
    assert three.estimate == one.estimate
    # Leaving out inflates by leverage what CV1 inflates by G / (G - 1) only.
    assert three.std_error > one.std_error
    assert result.scalars["df_t"] == 11
    assert result.influence is not None
    variance = influence_variance(result.influence).to_numpy()[0, 0]
    # one sum of squares in two orders
    assert variance == pytest.approx(three.std_error**2, rel=1e-12)


def test_order_and_units_of_measure() -> None:
    data = panel(states=10)
    changes = {"treatment": "d", "fixed_effects": ["firm", "year"]}
    one = estimated(data, changes).coefficients.std_error
    other = data.sample(frac=1.0, random_state=5).assign(y=data.y * 1e6)
    two = estimated(other, changes).coefficients.std_error
    # sums in another order
    assert two.to_numpy() == pytest.approx(1e6 * one.to_numpy(), rel=1e-9)


def test_draws_have_the_errors_of_full_fits() -> None:
    data = panel(states=10).sort_values(["firm", "year"], ignore_index=True)
    changes = {"treatment": "d", "fixed_effects": ["firm", "year"]}
    request = requested(data, changes)
    rng = np.random.default_rng(0)
    draws = np.column_stack(
        [np.isin(data.state, rng.choice(10, 5, replace=False)) * (data.year >= 3)] * 1
        + [rng.normal(size=len(data))]
    ).astype(float)
    found = Twfe().estimate_draws(request, draws)
    assert found is not None
    for j in range(2):
        again = estimated(data.assign(d=draws[:, j]), changes).coefficients.iloc[0]
        # rounding of a block of draws against one fit
        assert found[j] == pytest.approx([again.estimate, again.std_error], rel=1e-8)


def test_an_effect_that_rests_on_one_cluster_is_refused() -> None:
    data = panel(states=10)
    data["d"] = ((data.state == 4) & (data.year >= 3)).astype(float)
    with pytest.raises(EstimandError, match="without cluster 4 of 'state'") as caught:
        estimated(data, {"treatment": "d", "fixed_effects": ["firm", "year"]})
    assert [p.code for p in caught.value.problems] == ["I05"]


def test_two_ways_are_refused() -> None:
    data = panel(states=10)
    with pytest.raises(EstimandError, match="CV3") as caught:
        estimated(data, {"treatment": "d", "clusters": ["state", "year"]})
    assert [p.code for p in caught.value.problems] == ["I09"]
