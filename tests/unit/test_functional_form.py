"""Implied densities: by hand, invariance to the form of the outcome, size and power."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from estimators.callaway_santanna import CallawaySantanna
from estimators.functional_form import FunctionalForm
from estimators.imputation import Imputation
from estimators.sun_abraham import SunAbraham
from framework.contract import Inference
from framework.errors import EstimandError
from tests.build_cohorts import adoption, request_of


def two_by_two(
    seed: int, *, shift: float = 0.0, growth: float = 1.0, units: int = 120
) -> pd.DataFrame:
    """Half are treated in period 2. `shift`: gap of the groups' outcomes in period 1;
    `growth`: all outcomes are multiplied by it, so trends are parallel in logs only."""
    rng = np.random.default_rng(seed)
    treated = np.arange(units) < units // 2
    first = np.exp(0.3 * rng.normal(size=units) + shift * treated)
    second = first * growth * np.exp(0.05 * rng.normal(size=units))
    return pd.DataFrame(
        {
            "unit": [f"u{i:04d}" for i in np.repeat(np.arange(units), 2)],
            "time": np.tile([1, 2], units),
            "first": np.repeat(np.where(treated, 2.0, np.inf), 2),
            "d": np.column_stack([np.zeros(units), treated]).ravel(),
            "y": np.column_stack([first, second]).ravel(),
        }
    )


def shares(data: pd.DataFrame, **options: Any) -> pd.DataFrame:
    found = FunctionalForm(**options).estimate(request_of(data))
    return found.frames["implied_density"]


def p_value(data: pd.DataFrame, **options: Any) -> float:
    (test,) = FunctionalForm(**options).estimate(request_of(data)).tests
    assert test.p_value is not None
    return test.p_value


def test_two_groups_and_two_periods_by_hand() -> None:
    """f(treated, before) + f(controls, after) - f(controls, before), in every bin."""
    data = two_by_two(1, shift=0.2, growth=1.1)
    frame = shares(data, bins=6)
    inside = np.clip(
        np.searchsorted(frame["from"], data.y, side="right") - 1, 0, len(frame) - 1
    )
    group = data["first"] == 2
    for b, want in enumerate(frame.estimate):
        here = inside == b
        cell = {
            (g, t): here[(group == g) & (data.time == t)].mean()
            for g in (True, False)
            for t in (1, 2)
        }
        # means of zeros and ones
        assert want == pytest.approx(
            cell[True, 1] + cell[False, 2] - cell[False, 1], abs=1e-12
        )


@pytest.mark.parametrize("of", [CallawaySantanna(), SunAbraham(), Imputation()])
def test_implied_shares_sum_to_one(of: Any) -> None:
    frame = shares(adoption(2), of=of)
    # every treated row's prediction is linear in the outcome
    assert frame.estimate.sum() == pytest.approx(1.0, abs=1e-9)
    assert frame.observed.sum() == pytest.approx(1.0, abs=1e-12)


def test_any_increasing_form_of_the_outcome_gives_the_same() -> None:
    data = two_by_two(3, shift=0.3, growth=1.2)
    plain, logs = shares(data), shares(data.assign(y=np.log(data.y)))
    assert plain.estimate.to_list() == logs.estimate.to_list()
    assert plain.std_error.to_list() == logs.std_error.to_list()


def test_random_assignment_is_rarely_rejected_and_growth_of_unequals_is_found() -> None:
    # the test is conservative: at most 5%, plus three Monte Carlo errors of 30 draws
    rejected = [p_value(two_by_two(s)) < 0.05 for s in range(30)]
    assert np.mean(rejected) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 30)
    # equal growth in logs of groups a standard deviation apart is no trend in levels
    found = [
        p_value(two_by_two(s, shift=0.8, growth=1.8, units=400)) < 0.05
        for s in range(3)
    ]
    assert all(found)


def test_a_binary_outcome_has_a_bin_for_each_value() -> None:
    data = two_by_two(4)
    data["y"] = (data.y > 1).astype(float)
    frame = shares(data)
    assert list(frame.bin) == ["0", "1"]


def test_a_constant_outcome_is_refused() -> None:
    with pytest.raises(EstimandError, match=r"has a single value \(D06\)"):
        shares(two_by_two(5).assign(y=1.0))


def test_two_way_clusters_are_refused() -> None:
    request = request_of(two_by_two(5))
    (cluster,) = request.inference.clusters
    twice = replace(request, inference=Inference("cluster", (cluster, cluster)))
    with pytest.raises(EstimandError, match="two-way clusters"):
        FunctionalForm().estimate(twice)


@pytest.mark.parametrize("of", ["twfe", "event_study", "goodman_bacon", "lp_did"])
def test_estimators_with_treated_controls_are_refused(of: str) -> None:
    with pytest.raises((ValidationError, EstimandError), match="also compares with"):
        FunctionalForm(of=of)  # type: ignore[arg-type]  # as a study writes it
