"""Cohorts, paths and support, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from estimators.event_study import EventStudy
from estimators.treatment_paths import TreatmentPaths
from framework.errors import EstimandError
from tests.build_cohorts import SIZES, adoption, request_of
from tests.build_request import build_request


def test_cohorts_are_those_of_the_data() -> None:
    data = adoption(1)
    found = TreatmentPaths().estimate(request_of(data)).frames["cohorts"]
    assert list(found.first_treated) == ["4", "6", "7", "never"]
    assert list(found.n_units) == list(SIZES.values())
    assert list(found.periods_before) == [3, 5, 6, 8]
    assert list(found.periods_after) == [5, 3, 2, 0]
    first = data[(data["first"] == 4) & (data.time < 4)]
    # a mean of the same rows
    assert found.outcome_before[0] == pytest.approx(first.y.mean(), rel=1e-12)


def test_support_is_that_of_the_event_study_and_counts_the_controls() -> None:
    request = request_of(adoption(1))
    found = TreatmentPaths().estimate(request).frames["support"]
    event = EventStudy().estimate(request).frames["support"]
    same = found.merge(event, on="event_time")
    assert len(same) == len(event) == len(found)
    assert (same.n_units_x == same.n_units_y).all()
    assert (same.n_cohorts_x == same.n_cohorts_y).all()
    assert (found.never_treated == 22).all()
    at = found.set_index("event_time").not_yet_treated
    # event time 0 is periods 4, 6 and 7: cohorts 6 and 7 are still to come in 4
    assert at[0] == 12 + 7
    # event time 4 is period 8: all are treated
    assert at[4] == 0


def test_paths_are_told_by_their_switches() -> None:
    paths = {
        "a": [0, 0, 0, 0],
        "b": [1, 1, 1, 1],
        "c": [0, 0, 1, 1],
        "d": [1, 0, 0, 0],
        "e": [0, 1, 0, 0],
        "f": [0, 1, 0, 1],
    }
    data = pd.DataFrame(
        [(u, t, d, float(t)) for u, ds in paths.items() for t, d in enumerate(ds)],
        columns=["unit", "time", "d", "y"],
    )
    request = build_request(
        data, outcome="y", treatment="d", kind="reversible", unit="unit", time="time"
    )
    found = TreatmentPaths().estimate(request)
    frame = found.frames["paths"].set_index("path")
    assert dict(frame.n_units) == {
        "never treated": 1,
        "always treated": 1,
        "switches on and stays on": 1,
        "switches off and stays off": 1,
        "switches on and off once": 1,
        "switches several times": 1,
    }
    assert frame.treated_rows.sum() == sum(map(sum, paths.values()))
    assert any("1 unit is treated in all their periods" in n for n in found.notes)


def test_without_never_treated_it_says_so() -> None:
    data = adoption(1)
    data = data[np.isfinite(data["first"])]
    notes = TreatmentPaths().estimate(request_of(data)).notes
    assert "There are no never-treated units." in notes


def test_an_empty_sample_is_refused() -> None:
    request = request_of(adoption(1))
    with pytest.raises(EstimandError, match="0 rows"):
        TreatmentPaths().estimate(replace(request, frame=request.frame.iloc[:0]))


def test_overlap_with_concurrent_policies_is_counted() -> None:
    """Four units, three periods: treated a (from 2) and b (from 3), others c and d."""
    data = pd.DataFrame(
        [
            (u, t, float(t >= on), float(t >= zone), float(u == "d"), float(t), 0.5 * t)
            for u, on, zone in (("a", 2, 2), ("b", 3, 1), ("c", 9, 3), ("d", 9, 9))
            for t in (1, 2, 3)
        ],
        columns=["unit", "time", "d", "zone", "port", "y", "dose"],
    )
    request = build_request(
        data,
        outcome="y",
        treatment="d",
        kind="absorbing",
        controls=["zone", "dose", "port"],
        unit="unit",
        time="time",
    )
    result = TreatmentPaths().estimate(request)
    found = result.frames["overlap"].set_index("policy")
    # a dose is no policy
    assert list(found.index) == ["zone", "port", "any of these"]
    assert list(found.n_units) == [3, 1, 4]
    assert list(found.both_units) == [2, 0, 2]
    assert list(found.treated_share) == [1.0, 0.0, 1.0]
    assert list(found.untreated_share) == [0.5, 0.5, 1.0]
    assert list(found.both_rows) == [3, 0, 3]
    told = [n for n in result.notes if n.startswith("Every treated row is under")]
    assert len(told) == 2
    plain = TreatmentPaths().estimate(replace(request, controls=()))
    assert "overlap" not in plain.frames
