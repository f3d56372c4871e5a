"""Effects of a first change of treatment: by hand, invariances, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._math import switchers as sw
from estimators.callaway_santanna import CallawaySantanna
from estimators.dechaisemartin_dhaultfoeuille import DechaisemartinDhaultfoeuille
from framework.errors import EstimandError
from framework.result import Result
from tests.build_cohorts import adoption, request_of
from tests.build_switching import switching, switching_request

BOTH = ("att", "by_event_time")


def estimate(
    data: pd.DataFrame, options: dict[str, Any] | None = None, **model: Any
) -> Result:
    return DechaisemartinDhaultfoeuille(**(options or {})).estimate(
        switching_request(data, **({"estimand": BOTH} | model))
    )


def events(result: Result) -> pd.DataFrame:
    table = result.coefficients
    return table[table.estimand == "by_event_time"].set_index("event_time")


def by_hand(data: pd.DataFrame, ell: int, *, placebo: bool = False) -> float:
    """DID_l unit by unit, as the paper defines it."""
    wide_y = data.pivot(index="unit", columns="time", values="y")
    wide_d = data.pivot(index="unit", columns="time", values="d")
    periods = list(wide_y.columns)
    first = {}
    for unit, path in wide_d.iterrows():
        changed = path.dropna()[path.dropna() != path.dropna().iloc[0]]
        first[unit] = changed.index[0] if len(changed) else np.inf
    base = wide_d.bfill(axis=1).iloc[:, 0]
    found = []
    for g in wide_y.index:
        F = first[g]
        if not np.isfinite(F) or F - 1 + ell not in periods or F - 1 not in periods:
            continue
        later, before = F - 1 + ell, F - 1
        other = F - 1 - ell if placebo else later
        if other not in periods:
            continue
        change = wide_y[other] - wide_y[before]
        whole = change.notna() & wide_y[later].notna()
        controls = [
            h
            for h in wide_y.index
            if base[h] == base[g] and first[h] > later and whole[h]
        ]
        if whole[g] and controls:
            sign = np.sign(wide_d.loc[g, F] - base[g])
            found.append(sign * (change[g] - change[controls].mean()))
    return float(np.mean(found))


@pytest.mark.parametrize("values", [2, 4])
def test_effects_and_placebos_are_their_definition(values):
    data = switching(1, values=values, crossing=False)
    table = events(estimate(data))
    for ell in (1, 2, 3):
        # sums of the same differences in another order
        assert table.estimate[ell - 1] == pytest.approx(by_hand(data, ell), abs=1e-12)
    for k in (1, 2):
        hand = by_hand(data, k, placebo=True)
        assert table.estimate[-1 - k] == pytest.approx(hand, abs=1e-12)


def test_an_absorbing_treatment_gives_callaway_and_santanna():
    data = adoption(3)
    one = DechaisemartinDhaultfoeuille().estimate(request_of(data, estimand=BOTH))
    other = CallawaySantanna(control_group="not_yet_treated").estimate(
        request_of(data, estimand=BOTH)
    )
    ours, theirs = events(one), events(other)
    after = [e for e in theirs.index if e >= 0]
    assert len(after) > 3
    assert list(ours.index[ours.index >= 0]) == after
    np.testing.assert_allclose(ours.estimate[after], theirs.estimate[after], atol=1e-12)
    # their simple average, too
    assert one.coefficients.estimate[0] == pytest.approx(
        other.coefficients.estimate[0], abs=1e-12
    )
    # with never-switched controls also before treatment, where an effect as far after
    # it exists
    one_cohort = data[data["first"].isin([6.0, np.inf])]
    ours = events(
        DechaisemartinDhaultfoeuille(control_group="never_switched").estimate(
            request_of(one_cohort, estimand=BOTH)
        )
    )
    theirs = events(
        CallawaySantanna(control_group="never_treated").estimate(
            request_of(one_cohort, estimand=BOTH)
        )
    )
    assert min(ours.index) == -4
    np.testing.assert_allclose(ours.estimate, theirs.estimate[ours.index], atol=1e-12)


def test_the_error_of_one_cohort_is_that_of_two_samples():
    data = adoption(4, sizes={5.0: 11, np.inf: 17})
    table = events(
        DechaisemartinDhaultfoeuille().estimate(
            request_of(data, estimand=BOTH, acknowledge=frozenset({"few_treated"}))
        )
    )
    wide = data.pivot(index="unit", columns="time", values="y")
    treated = np.isfinite(data.groupby("unit")["first"].first())
    for e in (0, 1, 3, -3):
        change = wide[5 + e] - wide[4]
        s1, s0 = change[treated].var(ddof=1), change[~treated].var(ddof=1)
        welch = np.sqrt(s1 / treated.sum() + s0 / (~treated).sum())
        # the same variances in another order
        assert table.std_error[e] == pytest.approx(welch, rel=1e-12)


def test_exact_without_errors():
    data = switching(5, noise=0.0)
    result = estimate(data)
    table = events(result)
    # the effect of a dose is 0.5 in its period, and nothing lasts
    wide = data.pivot(index="unit", columns="time", values="d").to_numpy()
    paths = sw.paths(wide, np.ones(wide.shape, dtype=bool))
    assert result.coefficients.estimate[0] == pytest.approx(0.5, abs=1e-12)
    support = result.frames["support"].set_index("event_time")
    for e in table.index:
        true = 0.5 * support.mean_change[e] if e >= 0 else 0.0
        assert table.estimate[e] == pytest.approx(true, abs=1e-12)
    assert (paths.sign > 0).any()
    assert (paths.sign < 0).any()


def test_covariates_trends_and_groups_by_period_are_removed():
    data = switching(6, noise=0.0)
    rng = np.random.default_rng(6)
    data["x"] = rng.normal(size=len(data)) + data.d
    data["y"] += 2.0 * data.x
    own = rng.normal(size=data.unit.nunique())[data.unit]
    wrong = estimate(data).coefficients.estimate[0]
    right = estimate(data, controls=["x"]).coefficients.estimate[0]
    assert abs(wrong - 0.5) > 0.5
    # exact fits
    assert right == pytest.approx(0.5, abs=1e-9)
    data["y"] += own * data.time - 2.0 * data.x
    assert abs(estimate(data).coefficients.estimate[0] - 0.5) > 1e-3
    slopes = estimate(data, slopes=[("time", "unit")])
    change = slopes.frames["support"].set_index("event_time").mean_change
    for e, found in events(slopes).estimate.items():
        true = 0.5 * change[e] if e >= 0 else 0.0
        assert found == pytest.approx(true, abs=1e-9)
    assert "linear trend" in " ".join(slopes.notes)
    data = switching(6, noise=0.0)
    data["y"] += 0.7 * (data.region == 1) * (data.time - 3) ** 2
    data["region_time"] = data.region * 100 + data.time
    assert abs(estimate(data).coefficients.estimate[0] - 0.5) > 1e-3
    held = estimate(data, fixed_effects=["unit", "region_time"])
    assert held.coefficients.estimate[0] == pytest.approx(0.5, abs=1e-9)


def test_errors_with_covariates_are_those_of_leaving_units_out():
    data = switching(7, units=90)
    rng = np.random.default_rng(7)
    data["x"] = rng.normal(size=len(data))
    data["y"] += data.x
    row = estimate(data, controls=["x"]).coefficients.iloc[0]
    units = data.unit.unique()
    left = [
        estimate(data[data.unit != u], controls=["x"]).coefficients.estimate[0]
        for u in units
    ]
    n = len(units)
    jackknife = np.sqrt((n - 1) / n * np.sum((left - np.mean(left)) ** 2))
    # The jackknife is no smaller in expectation (Efron and Stein 1981) and moves the
    # shares of the cohorts, too; both are O(1/n) of each other
    assert row.std_error == pytest.approx(jackknife, rel=0.15)


def test_rows_names_and_units_of_measure_do_not_matter():
    data = switching(8)
    plain = estimate(data).coefficients
    shuffled = data.sample(frac=1, random_state=3).reset_index(drop=True)
    shuffled["unit"] = [f"n{(u * 37) % 997:03d}" for u in shuffled.unit]
    other = estimate(shuffled).coefficients
    # another order of sums
    np.testing.assert_allclose(plain.estimate, other.estimate, atol=1e-12)
    np.testing.assert_allclose(plain.std_error, other.std_error, atol=1e-12)
    scaled = estimate(data.assign(y=1e6 * data.y + 5, d=data.d / 8)).coefficients
    at = plain.event_time.isna()
    np.testing.assert_allclose(
        scaled.estimate, plain.estimate * np.where(at, 8e6, 1e6), rtol=1e-9
    )
    np.testing.assert_allclose(
        scaled.std_error, plain.std_error * np.where(at, 8e6, 1e6), rtol=1e-9
    )


def test_a_fall_is_a_rise_of_the_opposite():
    data = switching(9, values=2)
    up = estimate(data, {"switchers": "up"}).coefficients
    turned = data.assign(d=1 - data.d)
    down = estimate(turned, {"switchers": "down"}).coefficients
    np.testing.assert_allclose(up.estimate, -down.estimate, atol=1e-12)
    np.testing.assert_allclose(up.std_error, down.std_error, atol=1e-12)


def test_the_average_and_its_parts():
    data = switching(10)
    result = estimate(data)
    support = result.frames["support"].set_index("event_time")
    table = events(result)
    after = [e for e in table.index if e >= 0]
    total = (support.weight[after] * table.estimate[after]).sum()
    dose = (support.weight[after] * support.mean_change[after]).sum()
    assert result.coefficients.estimate[0] == pytest.approx(total / dose, abs=1e-12)
    shares = np.append(1.0, np.zeros(len(table)))
    psi = result.influence.to_numpy()
    covariance = psi.T @ psi
    weights = np.zeros(len(shares))
    positions = [1 + list(table.index).index(e) for e in after]
    weights[positions] = (support.weight[after] / dose).to_numpy()
    # the average's influence is that of its parts
    assert weights @ covariance @ weights == pytest.approx(covariance[0, 0], rel=1e-12)
    part = estimate(data, {"normalized": True})
    for e in table.index:
        assert events(part).estimate[e] == pytest.approx(
            table.estimate[e] / support.mean_cumulated_change[e], abs=1e-12
        )


def test_a_change_in_a_gap_has_no_date():
    D = np.array([[0, 0, 9, 1, 1], [0, 0, 1, 0, 1], [0, 9, 0, 1, 1], [1, 0, 2, 0, 0.0]])
    seen = np.array(D != 9)
    found = sw.paths(D, seen)
    assert found.first.tolist() == [5, 2, 3, 1]
    assert found.dated.tolist() == [False, True, True, True]
    assert found.usable[0].tolist() == [True, True, False, False, False]
    # the last one has been below and above its first treatment from period 3 on
    assert found.usable[3].tolist() == [True, True, False, False, False]
    assert found.crossed == 3
    # a declared period of adoption dates it
    known = sw.paths(D[:1], seen[:1], np.array([2]))
    assert known.first.tolist() == [2]
    # one that is only where the rows begin again does not
    read_off = sw.paths(D[:1], seen[:1], np.array([3]))
    assert not read_off.dated[0]
    data = switching(11)
    assert "gap" not in " ".join(estimate(data).notes)
    moved = data.groupby("unit").d.apply(
        lambda d: int((d != d.iloc[0]).to_numpy().argmax())
    )
    unit = int(moved.index[moved >= 2][0])
    cut = data[~((data.unit == unit) & (data.time == moved[unit]))]
    assert "1 unit changes treatment in a gap" in " ".join(estimate(cut).notes)


def test_anticipation_moves_the_reference():
    data = adoption(12)
    ours = DechaisemartinDhaultfoeuille().estimate(
        request_of(data, estimand=BOTH, anticipation=1)
    )
    theirs = CallawaySantanna().estimate(
        request_of(data, estimand=BOTH, anticipation=1)
    )
    after = [e for e in events(theirs).index if e >= -1]
    np.testing.assert_allclose(
        events(ours).estimate[after], events(theirs).estimate[after], atol=1e-12
    )
    assert ours.coefficients.estimate[0] == pytest.approx(
        theirs.coefficients.estimate[0], abs=1e-12
    )
    assert "Event time -2 is the reference" in ours.notes[0]


def refusal(data: pd.DataFrame, options: dict[str, Any] | None = None, **model: Any):
    with pytest.raises(EstimandError) as caught:
        estimate(data, options, **model)
    return [(p.code, p.what) for p in caught.value.problems]


def test_refusals_say_what_and_why():
    data = switching(13)
    still = data.assign(d=data.groupby("unit").d.transform("first"))
    assert refusal(still)[0][0] == "E10"
    few = data.copy()
    movers = data.groupby("unit").d.nunique()
    keep = [*movers.index[movers == 1], *movers.index[movers > 1][:4]]
    few = data[data.unit.isin(keep)]
    assert refusal(few)[0] == (
        "I08",
        "treatment changes in 4 clusters of 'unit' (4 units; fewer than 5)",
    )
    assert estimate(few, acknowledge=frozenset({"few_treated"})).coefficients.shape[0]
    each = data.assign(d=data.d + data.unit / 1000)
    assert refusal(each)[0][0] == "E10"
    assert refusal(data, fixed_effects=["unit", "time", "other"])[0][0] == "E11"
    assert refusal(data, slopes=[("y", "unit")])[0][0] == "E11"
    assert refusal(data, clusters=["other"])[0][0] == "I09"
    assert refusal(data, treatment=["d", "other"])[0][0] == "E11"
    assert refusal(data.assign(y=1.0))[0][0] == "D06"
    # a covariate that only moves with the treatment
    tied = data.assign(x=data.d)
    assert refusal(tied, controls=["x"])[0][0] == "I11"
    with pytest.raises(ValueError, match="event time 0"):
        DechaisemartinDhaultfoeuille(window=(1, 3))


def test_same_switchers_are_the_same():
    data = switching(14)
    result = estimate(data, {"window": (-2, 2), "same_switchers": True})
    support = result.frames["support"].set_index("event_time")
    assert support.n_units[[0, 1, 2]].nunique() == 1
    plain = estimate(data, {"window": (-2, 2)}).frames["support"]
    assert plain.set_index("event_time").n_units[0] > support.n_units[0]


def test_bands_hold_for_all_effects():
    result = estimate(switching(15), {"window": (-2, 2), "bootstrap": 400})
    bands = result.frames["bands"]
    wide = bands[bands.estimand == "by_event_time"]
    assert (wide.critical > 1.96).all()
