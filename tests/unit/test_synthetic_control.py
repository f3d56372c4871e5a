"""Synthetic control: by hand, known truth, invariances, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._math import synthetic_control as sc
from estimators.synthetic_control import SyntheticControl
from framework.errors import EstimandError
from tests.build_cohorts import adoption, request_of

ONE = {5.0: 1, np.inf: 14}


def estimate(data: pd.DataFrame, options: dict[str, Any] | None = None, **changes):
    changes.setdefault("estimand", ("att", "by_event_time"))
    changes.setdefault("inference", "iid")
    changes.setdefault("clusters", [])
    return SyntheticControl(**(options or {})).estimate(request_of(data, **changes))


def refused(data: pd.DataFrame, options: dict[str, Any] | None = None, **changes):
    with pytest.raises(EstimandError) as caught:
        estimate(data, options, **changes)
    return {p.code: p for p in caught.value.problems}


def test_effects_are_gaps_to_the_weighted_donors():
    data = adoption(1, sizes=ONE)
    result = estimate(data)
    wide = data.pivot(index="unit", columns="time", values="y")
    weights = result.frames["unit_weights"]
    first = data.groupby("unit")["first"].first()
    gap = wide[first == 5].mean() - weights.weight.to_numpy() @ wide.loc[weights.unit]
    rows = result.coefficients
    assert rows.estimate[0] == pytest.approx(gap[gap.index >= 5].mean(), abs=1e-10)
    # rounding of a sum of 14 products
    np.testing.assert_allclose(rows.estimate[1:], gap, atol=1e-10)
    assert list(rows.event_time[1:]) == list(range(-4, 4))


def test_placebos_and_their_test_by_hand():
    data = adoption(2, sizes=ONE)
    result = estimate(data)
    placebos = result.frames["placebos"]
    assert len(placebos) == 14
    name = placebos.unit[3]
    alone = data[np.isinf(data["first"])].copy()
    alone.loc[alone.unit == name, "first"] = 5.0
    alone["d"] = (alone.time >= alone["first"]).astype(float)
    again = estimate(alone)
    assert placebos.estimate[3] == pytest.approx(
        again.coefficients.estimate[0], abs=1e-9
    )
    assert placebos.rmspe_before[3] == pytest.approx(again.scalars["rmse_before"])
    path = result.frames["trajectories"]
    after, before = path.effect[path.after], path.effect[~path.after]
    ratio = np.sqrt((after**2).mean() / (before**2).mean())
    (test, _) = result.tests
    assert test.statistic == pytest.approx(ratio)
    assert test.p_value == (1 + (placebos.ratio >= ratio).sum()) / 15
    assert result.coefficients.std_error[0] == pytest.approx(
        placebos.estimate.std(ddof=0)
    )
    assert any("no p value is below" in note for note in result.notes)


@pytest.mark.parametrize("importance", ["nested", "regression", "equal"])
def test_a_treated_unit_between_its_donors_gives_the_true_effect(importance):
    rng = np.random.default_rng(3)
    periods, donors = 20, 6
    factors = rng.normal(size=(2, periods)).cumsum(axis=1)
    Z = rng.uniform(size=(donors, 2))
    share = rng.dirichlet(np.ones(donors))
    Y = np.vstack([share @ Z, Z]) @ factors + 1e-4 * rng.normal(size=(7, periods))
    time = np.arange(1, periods + 1)
    first = np.where(np.arange(7) == 0, 15.0, np.inf)
    data = pd.DataFrame(
        {
            "unit": np.repeat([f"u{i}" for i in range(7)], periods),
            "time": np.tile(time, 7),
            "first": np.repeat(first, periods),
            "a": np.repeat(np.append(share @ Z[:, 0], Z[:, 0]), periods),
            "b": np.repeat(np.append(share @ Z[:, 1], Z[:, 1]), periods),
        }
    )
    data["d"] = (data.time >= data["first"]).astype(float)
    data["y"] = Y.ravel() + 2.0 * data.d
    options = {"importance": importance, "placebos": 10, "evaluations": 20}
    result = estimate(data, options, controls=["a", "b"])
    # a hundred times the noise: the predictors identify both loadings
    assert result.coefficients.estimate[0] == pytest.approx(2.0, abs=0.01)
    assert list(result.frames["predictors"].predictor[:2]) == ["a", "b"]
    assert result.frames["predictors"].importance.sum() == pytest.approx(1)
    assert estimate(data, {"placebos": 10}).coefficients.estimate[0] == pytest.approx(
        2.0, abs=0.01
    )


def test_the_search_fits_no_worse_than_where_it_starts():
    rng = np.random.default_rng(4)
    X, Z = rng.normal(size=(4, 16)), rng.normal(size=(12, 16)).cumsum(axis=0)
    fits = {
        how: sc.with_predictors(X[:, 0], X[:, 1:], Z[:, 0], Z[:, 1:], how, 100).mspe
        for how in ("nested", "regression", "equal")
    }
    assert fits["nested"] < min(fits["regression"], fits["equal"])
    # nothing fits better than the weights chosen for the outcome alone
    assert sc.outcome_only(Z[:, 0], Z[:, 1:]).mspe < fits["nested"]


def test_units_of_measure_of_predictors_do_not_matter():
    data = adoption(5, sizes=ONE)
    options = {"importance": "regression", "averages": {"z": (2, 4)}}
    plain = estimate(data, options, controls=["x", "z"])
    scaled = estimate(data.assign(z=1e5 * data.z), options, controls=["x", "z"])
    # the least-squares weights of predictors in other units: rounding
    np.testing.assert_allclose(
        scaled.coefficients.estimate, plain.coefficients.estimate, atol=1e-8
    )


def test_windows_are_means_over_their_periods():
    data = adoption(6, sizes=ONE)
    options = {"importance": "equal", "outcomes": (1, (2, 4))}
    found = estimate(data, options).frames["predictors"].set_index("predictor").treated
    own = data[(data["first"] == 5)].set_index("time").y
    assert found["y in 1"] == own[1]
    assert found["y in 2 to 4"] == pytest.approx(own.loc[2:4].mean())


def test_treated_units_that_start_together_are_averaged():
    data = adoption(7, sizes={5.0: 3, np.inf: 14})
    result = estimate(data, {"placebos": 12})
    path = result.frames["trajectories"].set_index("period").treated
    own = data[data["first"] == 5].groupby("time").y.mean()
    np.testing.assert_allclose(path, own, atol=1e-12)
    assert list(result.frames["placebos"].unit[:2]) == ["draw 1", "draw 2"]


def test_what_can_not_be_estimated_is_refused():
    data = adoption(8, sizes=ONE)
    assert "synthetic_did" in refused(adoption(8))["E08"].fix
    assert "P02" in refused(data.drop(index=3))
    assert "E04" in refused(data[np.isfinite(data["first"])])
    assert "E05" in refused(data[data.time >= 4])
    assert "I08" in refused(adoption(8, sizes={5.0: 4, np.inf: 5}))
    assert "treatment" in refused(data, {"outcomes": ((3, 6),)})["D07"].what
    assert "no control" in refused(data, {"averages": {"q": (1, 2)}})["D07"].what
    flat = data.assign(x=1.0)
    assert "same for all units" in refused(flat, controls=["x"])["D06"].what


def test_a_perfect_fit_is_no_evidence():
    crowded = adoption(9, sizes={4.0: 1, np.inf: 30})
    crowded.loc[crowded["first"] == 4, "y"] = crowded.groupby("time").y.transform(
        "mean"
    )
    result = estimate(crowded)
    assert result.scalars["rmse_before"] < 1e-6
    assert "no denominator" in result.tests[0].reason
    assert any("the fit is no evidence" in note for note in result.notes)


@pytest.mark.parametrize(
    "options", [{"outcomes": ((4, 2),)}, {"window": (2, 0)}, {"outcomes": ()}]
)
def test_windows_are_in_order(options):
    with pytest.raises(ValueError, match=r"window|outcomes"):
        SyntheticControl(**options)


def test_an_earlier_date_on_untreated_rows_is_a_placebo_in_time():
    data = adoption(11, sizes={6.0: 1, np.inf: 14})
    before = data[data.d == 0].copy()
    before["first"] = before["first"].where(np.isinf(before["first"]), 4.0)
    before["d"] = (before.time >= before["first"]).astype(float)
    result = estimate(before)
    whole = estimate(before[before.time < 6])
    pd.testing.assert_frame_equal(result.coefficients, whole.coefficients)
    assert any("3 periods without a row of any treated" in n for n in result.notes)
