"""Leads, lags, event times, ends of the window, what is reported for which term."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.event_study import EventStudy
from estimators.ols import Ols
from estimators.twfe import Twfe
from framework import glossary
from framework.result import COEFFICIENT_COLUMNS, INDEX_COLUMNS, Result
from tests.build_panel import lsdv, staggered
from tests.build_request import build_request

PANEL: dict[str, Any] = {
    "outcome": "y",
    "treatment": "d",
    "kind": "absorbing",
    "cohort": "first",
    "fixed_effects": ["unit", "time"],
    "inference": "cluster",
    "clusters": ["unit"],
    "unit": "unit",
    "time": "time",
}


def run(plugin: Any, data: pd.DataFrame, **changes: Any) -> Result:
    return plugin.estimate(build_request(data, **(PANEL | changes)))


@pytest.mark.parametrize("plugin", [Twfe(), Ols()])
@pytest.mark.parametrize("effects", [["unit", "time"], ["time"], []])
def test_always_treated_units_are_told(plugin: Any, effects: list[str]) -> None:
    data = staggered()
    always = data["unit"].isin(data["unit"].unique()[[0, 3, 5]])
    data.loc[always, "d"] = 1.0
    data.loc[always, "first"] = float(data["time"].min())
    told = [
        note
        for note in run(plugin, data, fixed_effects=effects).notes
        if note.startswith("Always treated: 3 of 40 units")
    ]
    assert len(told) == 1
    assert ("only as controls" in told[0]) == ("unit" in effects)


def test_without_always_treated_units_nothing_is_told() -> None:
    for changes in ({}, {"kind": "reversible", "cohort": None}):
        notes = run(Twfe(), staggered(), **changes).notes
        assert not any("Always treated" in note for note in notes)
    # What only the sample makes of a unit counts: its untreated years are cut off.
    data = staggered()
    late = data[data["time"] >= data["first"].min()]
    lost = late.groupby("unit")["d"].min().sum()
    assert lost > 0
    (told,) = [n for n in run(Twfe(), late).notes if "Always treated" in n]
    assert f"{lost:.0f} of {late['unit'].nunique()} units" in told


def test_leads_and_lags_of_an_absorbing_treatment():
    data = staggered()
    for k in (1, 2):
        data[f"lead{k}"] = (data["time"] + k >= data["first"]).astype(float)
    data["lag1"] = (data["time"] - 1 >= data["first"]).astype(float)
    b, se = lsdv(
        data,
        "y",
        ["d", "lead1", "lead2", "lag1", "x1"],
        ["unit", "time"],
        "unit",
        nested=["unit"],
    )
    result = run(Twfe(leads=(2, 1), lags=(1,)), data, controls=["x1"])
    rows = result.coefficients
    assert list(rows.estimand) == ["att", "lead", "lead", "lag", "coefficient"]
    assert rows.order.tolist()[1:4] == [-1, -2, 1]
    assert rows.estimate.to_numpy() == pytest.approx(b, rel=1e-8)  # inverse by hand
    assert rows.std_error.to_numpy() == pytest.approx(se, rel=1e-8)
    (test,) = result.tests
    assert (test.name, test.df) == ("joint_leads", "2, 39")
    assert any("untreated at the end" in n for n in result.notes)
    assert list(result.influence.columns) == [0, 1, 2, 3]


def test_leads_of_a_dose_come_from_the_whole_panel():
    data = staggered()
    data["dose"] = np.random.default_rng(3).normal(size=len(data)).round(3)
    early = data[data["time"] < 2006]
    changes = {"treatment": "dose", "kind": "dose", "cohort": None}
    # the sample ends in 2005, the history does not: no row is lost
    whole = run(Twfe(leads=(1,)), early, history=data, **changes)
    assert whole.scalars["n_obs"] == len(early)
    cut = run(Twfe(leads=(1,)), early, history=early, **changes)
    assert cut.scalars["n_obs"] == len(early) - early["unit"].nunique()
    assert any("40 rows without a value of lead 1" in n for n in cut.notes)
    data["next"] = data.groupby("unit")["dose"].shift(-1)
    b, _ = lsdv(
        data[data["time"] < 2006], "y", ["dose", "next"], ["unit", "time"], "unit"
    )
    assert whole.coefficients.estimate.to_numpy() == pytest.approx(b, rel=1e-8)


def test_lags_are_calendar_time_not_rows():
    data = staggered()
    data["dose"] = np.random.default_rng(3).normal(size=len(data))
    hole = data[(data["unit"] != "u004") | (data["time"] != 2003)]
    result = run(Twfe(lags=(1,)), hole, treatment="dose", kind="dose", cohort=None)
    # first year of 40 units, and the year after the hole
    assert result.scalars["n_obs"] == len(hole) - 41


@pytest.mark.parametrize("ends", ["saturate", "bin", "drop"])
def test_ends_of_the_window(ends):
    data = staggered(periods=10)
    window = (-3, 1)
    result = run(EventStudy(window=window, ends=ends), data)
    rows = result.coefficients
    assert rows.event_time.tolist() == [-3, -2, 0, 1]
    time = data["time"] - data["first"]
    outside = np.isfinite(time) & ((time < -3) | (time > 1))
    treated = np.isfinite(data["first"])
    kept = data
    if ends == "saturate":
        times = sorted(set(time[treated].astype(int)) - {-1})
        hidden = result.frames["outside_window"]
        assert hidden.event_time.tolist() == [k for k in times if k < -3 or k > 1]
        assert hidden.n_obs.sum() == outside.sum()
    else:
        assert "outside_window" not in result.frames
        times = [-3, -2, 0, 1]
    if ends == "bin":
        time = time.where(~np.isfinite(time), time.clip(-3, 1))
    if ends == "drop":
        kept, time = data[~outside], time[~outside]
        assert result.scalars["n_obs"] == len(data) - outside.sum()
    dummies = {f"k{k}": (time == k).astype(float) for k in times}
    b, se = lsdv(
        kept.assign(**dummies),
        "y",
        list(dummies),
        ["unit", "time"],
        "unit",
        nested=["unit"],
    )
    at = [times.index(k) for k in (-3, -2, 0, 1)]
    assert rows.estimate.to_numpy() == pytest.approx(b[at], rel=1e-8)
    assert rows.std_error.to_numpy() == pytest.approx(se[at], rel=1e-8)
    if ends != "saturate":
        assert any("outside the window" in n for n in result.notes)


def test_support_counts_units_and_cohorts():
    data = staggered()
    support = run(EventStudy(), data).frames["support"].set_index("event_time")
    adopted = data[["unit", "first"]].drop_duplicates()
    adopted = adopted[np.isfinite(adopted["first"])]
    # both cohorts are seen at -1, only the early one in the last event time
    assert support.n_units[-1] == len(adopted)
    assert support.n_cohorts[-1] == 2
    assert support.n_units[3] == (adopted["first"] == 2004).sum()
    assert support.n_cohorts[3] == 1


def test_event_times_with_few_units_are_named():
    data = staggered()
    data.loc[data.unit == "u000", "first"] = 2006.0
    data.loc[data.unit == "u001", "first"] = 2001.0
    data["d"] = (data["time"] >= data["first"]).astype(float)
    notes = run(EventStudy(), data).notes
    assert any(n.startswith("Event times 4, 5, 6 rest on fewer than 5") for n in notes)
    assert not any("rest on" in n for n in run(EventStudy(), staggered()).notes)


@pytest.mark.parametrize(
    ("estimand", "first"),
    [
        ((), "by_event_time"),
        (("by_event_time",), "by_event_time"),
        (("by_event_time", "att"), "by_event_time"),
        (("att",), "att"),
        (("att", "by_event_time"), "att"),
    ],
)
def test_the_estimand_asked_first_comes_first(estimand, first):
    rows = run(EventStudy(), staggered(), estimand=estimand).coefficients
    assert rows.estimand[0] == first
    assert ("att" in set(rows.estimand)) == ("att" in estimand)
    if "att" in estimand:
        post = rows[rows.event_time.fillna(-9) >= 0]
        att = rows.estimate[rows.estimand == "att"].iloc[0]
        assert att == pytest.approx(post.estimate.mean(), rel=1e-12)


def test_anticipation_moves_what_counts_as_before():
    result = run(EventStudy(reference=-2), staggered(), anticipation=1)
    plain = run(EventStudy(reference=-2), staggered())
    assert result.tests[0].df.split(",")[0] == "4"
    assert plain.tests[0].df.split(",")[0] == "5"


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_the_reference_is_the_last_period_that_does_not_respond(ahead):
    by_default = run(EventStudy(), staggered(), anticipation=ahead)
    said = run(EventStudy(reference=-1 - ahead), staggered(), anticipation=ahead)
    pd.testing.assert_frame_equal(by_default.coefficients, said.coefficients)
    times = set(by_default.coefficients.event_time.dropna())
    assert -1 - ahead not in times
    assert set(range(-ahead, 1)) <= times
    assert by_default.plots[0].options["reference"] == -1 - ahead


def test_anticipation_that_is_not_used_is_told():
    plain = run(Twfe(), staggered())
    silent = run(Twfe(leads=(1, 2)), staggered(), anticipation=2)
    told = run(Twfe(leads=(1,)), staggered(), anticipation=2)
    said = "Anticipation of 2 periods is not used"
    assert sum(n.startswith(said) for n in told.notes) == 1
    assert not any("Anticipation" in n for n in (*plain.notes, *silent.notes))


def test_driscoll_kraay_of_few_periods_is_told():
    asked = {"inference": "driscoll_kraay", "acknowledge": frozenset({"few_clusters"})}
    told = run(Twfe(), staggered(), **asked).notes
    assert sum(n.startswith("Driscoll-Kraay errors rest on ") for n in told) == 1
    assert "Driscoll" not in " ".join(run(Twfe(), staggered()).notes)


def test_a_later_reference_shifts_all_coefficients():
    a = run(EventStudy(), staggered()).coefficients.set_index("event_time").estimate
    b = run(EventStudy(reference=0), staggered()).coefficients
    b = b.set_index("event_time").estimate
    common = [k for k in a.index if k in b.index]
    shift = (a[common] - b[common]).to_numpy(float)
    assert shift == pytest.approx(a[0], rel=1e-9)


def test_interaction_is_judged_and_an_absorbed_main_effect_is_left_out():
    data = staggered(units=60)
    rng = np.random.default_rng(0)
    data["female"] = rng.integers(0, 2, len(data)).astype(float)
    data["both"] = data["d"] * data["female"]
    data["cell"] = data["unit"] + data["time"].astype(str)
    double = pd.concat([data, data.assign(female=1 - data["female"])])
    double["both"] = double["d"] * double["female"]
    double["y"] = double["y"] + 0.3 * double["both"]
    double["y"] += rng.normal(size=len(double))
    changes = {"judged": ["both"], "controls": ["female"], "unit": None, "time": None}
    plain = run(Ols(), double, fixed_effects=["unit", "time"], **changes)
    assert list(plain.coefficients.term) == ["both", "d", "female"]
    assert list(plain.coefficients.estimand) == ["interaction", "att", "coefficient"]
    triple = run(Ols(), double, fixed_effects=["cell"], **changes)
    assert list(triple.coefficients.term) == ["both", "female"]
    assert any("'d' is left out" in n for n in triple.notes)


@pytest.mark.parametrize(
    ("kind", "column", "asked", "estimand"),
    [
        ("absorbing", "d", (), "att"),
        ("absorbing", "d", ("coefficient",), "coefficient"),
        ("cross_section", "d", ("att",), "att"),
        ("cross_section", "x1", (), "coefficient"),
        ("dose", "d", (), "coefficient"),
        ("reversible", "d", (), "coefficient"),
    ],
)
def test_what_the_treatments_coefficient_is_called(kind, column, asked, estimand):
    result = run(
        Ols(), staggered(), treatment=column, kind=kind, cohort=None, estimand=asked
    )
    assert result.coefficients.estimand[0] == estimand


@pytest.mark.parametrize("plugin", [Twfe(), Twfe(leads=(1,)), Ols(), EventStudy()])
def test_every_name_is_in_the_glossary(plugin):
    result = run(plugin, staggered(), clusters=["unit", "region"])
    columns = list(result.coefficients.columns)
    assert tuple(columns[: len(COEFFICIENT_COLUMNS)]) == COEFFICIENT_COLUMNS
    assert set(columns[len(COEFFICIENT_COLUMNS) :]) <= set(INDEX_COLUMNS)
    assert set(result.coefficients.estimand) <= set(glossary.ESTIMANDS)
    assert set(result.scalars) <= set(glossary.SCALARS)
    assert {t.name for t in result.tests} <= set(glossary.TESTS)
    assert all(np.isfinite(v) for v in result.scalars.values())


def test_a_request_is_left_as_it_was():
    request = build_request(staggered(), **PANEL)
    before = request.frame.copy(deep=True)
    first = Twfe(leads=(1,)).estimate(request)
    second = Twfe(leads=(1,)).estimate(request)
    pd.testing.assert_frame_equal(request.frame, before)
    pd.testing.assert_frame_equal(
        first.coefficients, second.coefficients, check_exact=True
    )


def test_counts_and_means():
    data = staggered(unbalanced=0.1)
    scalars = run(Twfe(), data).scalars
    treated = data[data["d"] == 1]
    before = data[np.isfinite(data["first"]) & (data["time"] < data["first"])]
    assert scalars["n_obs"] == len(data)
    assert scalars["n_treated_obs"] == len(treated)
    assert scalars["n_treated_units"] == treated["unit"].nunique()
    assert scalars["outcome_mean"] == pytest.approx(data["y"].mean())
    assert scalars["outcome_mean_before"] == pytest.approx(before["y"].mean())
    # t quantiles 0.975 and 0.80 at 39 degrees of freedom
    error = run(Twfe(), data).coefficients.std_error[0]
    assert scalars["mde"] / error == pytest.approx(2.02269 + 0.85093, abs=1e-4)
