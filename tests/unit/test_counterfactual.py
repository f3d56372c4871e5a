"""`interactive_fe` and `matrix_completion`: what they collapse to, refuse and report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._math import low_rank
from estimators._staggered import counterfactual as module
from estimators.imputation import Imputation
from estimators.interactive_fe import InteractiveFe
from estimators.matrix_completion import MatrixCompletion
from framework.errors import EstimandError
from tests.build_cohorts import adoption, request_of

ALL = ("att", "by_event_time", "by_cohort", "by_period")
SMALL = {5.0: 5, 6.0: 6, 8.0: 5, np.inf: 14}
KEYS = ["estimand", "event_time", "cohort", "period"]


def data(seed: int = 2, **changes: Any) -> pd.DataFrame:
    return adoption(seed, sizes=SMALL, periods=9, **changes)


def factors(seed: int = 3, *, noise: float = 0.5, N: int = 40) -> pd.DataFrame:
    """One factor with larger loadings among the treated, constant effect 1."""
    rng = np.random.default_rng(seed)
    T = 12
    first = np.where(np.arange(N) < N // 2, 9.0, np.inf)
    loading = rng.normal(size=N) + np.isfinite(first)
    F = 0.5 * rng.normal(size=T).cumsum()
    unit, time = np.repeat(np.arange(N), T), np.tile(np.arange(1, T + 1), N)
    d = (time >= first[unit]).astype(float)
    y = rng.normal(size=N)[unit] + 0.2 * time + loading[unit] * F[time - 1] + d
    return pd.DataFrame(
        {
            "unit": [f"u{u:03d}" for u in unit],
            "time": time,
            "first": first[unit],
            "d": d,
            "y": y + noise * rng.normal(size=N * T),
        }
    )


def estimate(frame: pd.DataFrame, plugin: Any, **changes: Any):
    changes.setdefault("estimand", ALL)
    return plugin.estimate(request_of(frame, **changes))


def after(result: Any) -> pd.DataFrame:
    rows = result.coefficients
    return rows[~(rows.event_time.fillna(0) < 0)].set_index(KEYS)


@pytest.mark.parametrize("case", ["plain", "gaps", "controls", "anticipation"])
@pytest.mark.parametrize(
    "plugin", [InteractiveFe(factors=0), MatrixCompletion(penalty=1.0)]
)
def test_without_factors_it_is_the_imputation_estimator(plugin, case) -> None:
    frame = data(gaps=0.1 if case == "gaps" else 0.0)
    changes: dict[str, Any] = {"controls": ["z"]} if case == "controls" else {}
    if case == "anticipation":
        changes = {"anticipation": 1}
    ours = after(estimate(frame, plugin, **changes))
    known = after(estimate(frame, Imputation(pretrends=0), **changes))
    assert ours.index.equals(known.index)
    # The largest singular value itself leaves rounding of one direction.
    np.testing.assert_allclose(ours.estimate, known.estimate, atol=1e-6)


def test_errors_are_the_jackknife_over_clusters() -> None:
    frame = data()
    found = estimate(frame, InteractiveFe(factors=0), clusters=["region"])
    att = [
        estimate(
            frame[frame.region != region], Imputation(pretrends=0), estimand=("att",)
        ).coefficients.estimate[0]
        for region in sorted(frame.region.unique())
    ]
    C = len(att)
    wanted = np.sqrt((C - 1) / C * np.square(att - np.mean(att)).sum())
    row = found.coefficients.iloc[0]
    # iterations from another start
    assert row.std_error == pytest.approx(wanted, rel=1e-6)
    assert found.scalars["df_t"] == C - 1
    assert found.influence is not None
    assert np.square(found.influence[0]).sum() == pytest.approx(row.std_error**2)


def test_factors_are_taken_out_exactly_where_there_is_no_noise() -> None:
    frame = factors(noise=1e-9)
    found = estimate(frame, InteractiveFe(factors=1), estimand=("att",))
    assert found.coefficients.estimate[0] == pytest.approx(1.0, abs=1e-5)
    two_way = estimate(frame, Imputation(pretrends=0), estimand=("att",))
    assert abs(two_way.coefficients.estimate[0] - 1.0) > 0.1


@pytest.mark.parametrize("plugin", [InteractiveFe(), MatrixCompletion()])
def test_cross_validation_finds_that_there_is_something(plugin) -> None:
    found = estimate(factors(), plugin)
    tuning = found.frames["tuning"]
    if isinstance(plugin, InteractiveFe):
        assert found.scalars["n_factors"] == 1
    else:
        assert 0 < found.scalars["penalty"] < 0.8
    # the first candidate is two-way effects alone
    assert tuning.mspe[tuning.chosen].item() < 0.8 * tuning.mspe[0]
    # A penalty leaves a part of the factor; either is nearer to the truth, which is 1.
    two_way = estimate(factors(), Imputation(pretrends=0), estimand=("att",))
    gap = abs(found.coefficients.estimate[0] - 1.0)
    assert gap < abs(two_way.coefficients.estimate[0] - 1.0)
    tests = {t.name: t for t in found.tests}
    assert set(tests) == {"joint_pretrend", "placebo_leads", "equivalence"}
    assert all(0 <= t.p_value <= 1 for t in tests.values())


def test_leads_are_predicted_from_the_other_periods() -> None:
    """Without factors: the two-way fit without that event time of treated units."""
    frame = data()
    found = estimate(frame, InteractiveFe(factors=0, pretrends=2))
    rows = found.coefficients[found.coefficients.event_time < 0]
    assert rows.event_time.tolist() == [-2, -1]
    # Held out, a lead is imputed as if treatment had begun there and was seen only once.
    event = frame.time - frame["first"]
    for k, value in zip((-2, -1), rows.estimate, strict=True):
        used = frame[(event < 0) | (event == -np.inf)]
        moved = used.assign(first=np.where(np.isfinite(used["first"]), 90.0, np.inf))
        held = moved[event.loc[moved.index] != k]
        from estimators._math.two_way_fit import fit

        wide = held.pivot_table(index="unit", columns="time", values="y")
        whole = used.pivot_table(index="unit", columns="time", values="y")
        wide = wide.reindex(index=whole.index, columns=whole.columns)
        first = fit(
            wide.fillna(0.0).to_numpy(),
            wide.notna().to_numpy(float),
            np.empty((0, *wide.shape)),
        )
        left = whole.to_numpy() - first.predict()
        out = whole.notna().to_numpy() & wide.isna().to_numpy()
        assert value == pytest.approx(left[out].mean(), abs=1e-7)


@pytest.mark.parametrize(
    "plugin", [InteractiveFe(factors=1), MatrixCompletion(penalty=0.3)]
)
def test_invariances(plugin) -> None:
    frame = factors()
    plain = estimate(frame, plugin).coefficients
    other = frame.sample(frac=1.0, random_state=1)
    names = {u: f"n{i:03d}" for i, u in enumerate(sorted(set(frame.unit))[::-1])}
    other = other.assign(
        unit=other.unit.map(names), y=1000.0 * other.y + 7.0 + 3.0 * other.time
    )
    found = estimate(other, plugin).coefficients
    # iterations end at 1e-10 of a residual
    np.testing.assert_allclose(found.estimate, 1000 * plain.estimate, rtol=1e-5)
    np.testing.assert_allclose(found.std_error, 1000 * plain.std_error, rtol=1e-4)
    np.testing.assert_allclose(found.p_value, plain.p_value, atol=1e-4)


def test_equivalence_needs_a_mean_inside_the_bound() -> None:
    frame = factors()
    wide = estimate(frame, InteractiveFe(factors=1, equivalence=50.0))
    tight = estimate(frame, InteractiveFe(factors=1, equivalence=1e-6))
    p = [
        next(t.p_value for t in r.tests if t.name == "equivalence")
        for r in (wide, tight)
    ]
    assert p[0] < 1e-6
    assert p[1] > 0.4


def test_too_few_untreated_periods_for_the_factors() -> None:
    with pytest.raises(EstimandError, match="fewer than 6 untreated periods") as caught:
        estimate(data(), InteractiveFe(factors=5))
    (problem,) = caught.value.problems
    assert problem.code == "E05"
    assert "estimator.factors" in problem.path


def test_units_never_untreated_must_be_said_to_be_dropped() -> None:
    frame = data()
    first = frame.unit.isin(sorted(frame.unit.unique())[:3])
    frame.loc[first, "first"] = 1.0
    frame.loc[first, "d"] = 1.0
    with pytest.raises(EstimandError, match="treated in all their periods") as caught:
        estimate(frame, MatrixCompletion(penalty=0.5))
    assert [p.code for p in caught.value.problems] == ["E05"]
    found = estimate(frame, MatrixCompletion(penalty=0.5, always_treated="drop"))
    assert any("3 units treated in all" in note for note in found.notes)


def test_all_treated_at_once_have_nothing_to_be_imputed_from() -> None:
    frame = data()
    frame["first"] = 5.0
    frame["d"] = (frame.time >= 5).astype(float)
    with pytest.raises(EstimandError, match="imputed from") as caught:
        estimate(frame, InteractiveFe(factors=0))
    assert [p.code for p in caught.value.problems] == ["E10"]


def test_last_periods_without_untreated_units_are_left_out_and_named() -> None:
    frame = adoption(1, sizes={4.0: 8, 6.0: 8, 8.0: 8}, periods=9)
    found = estimate(frame, InteractiveFe(factors=0))
    assert any("(periods 8, 9) can't be imputed" in note for note in found.notes)
    known = estimate(frame, Imputation(pretrends=0))
    assert found.coefficients.estimate[0] == pytest.approx(
        known.coefficients.estimate[0], abs=1e-8
    )


def test_no_end_no_number(monkeypatch) -> None:
    monkeypatch.setattr(low_rank, "STEPS", 3)
    monkeypatch.setattr(module, "STEPS", 3)
    with pytest.raises(EstimandError, match="do not end") as caught:
        estimate(factors(), InteractiveFe(factors=1))
    assert [p.code for p in caught.value.problems] == ["N02"]


def test_other_effects_are_refused() -> None:
    frame = data()
    frame["cell"] = frame.region + frame.time.astype(str)
    with pytest.raises(EstimandError, match="beside units and periods"):
        estimate(frame, InteractiveFe(), fixed_effects=["unit", "cell"])
