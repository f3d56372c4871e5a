"""The mean effect by cohort and period beside one pooled coefficient."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._double import beside
from estimators.double_ml import DoubleMl
from framework.cache import Job
from framework.execute.estimation import estimate
from framework.result import Result
from framework.testing.canonical import canonical_panel
from tests.build_double import panel, panel_request

SMALL: dict[str, Any] = {"folds": 2, "repetitions": 2, "transform": "within"}
SAID = "mean effect by cohort and period (did_multi: "


def pooled(data: pd.DataFrame | None = None, **options: Any) -> Result:
    fields = {k: options.pop(k) for k in ("inference", "clusters") if k in options}
    made = panel_request(panel(units=150) if data is None else data, **fields)
    return DoubleMl(**({"learner": "linear"} | SMALL | options)).estimate(made)


@pytest.mark.parametrize(
    ("own", "line"),
    [
        (
            {"beside": "lasso"},
            {"learner": "lasso", "repetitions": 1, "control_group": "never_treated"},
        ),
        (
            {"control_group": "not_yet_treated"},
            {"learner": "lasso", "repetitions": 1},
        ),
        ({"beside": "same"}, {"learner": "linear", "repetitions": 2}),
        (
            {"control_group": "never_treated", "overall": "by_cohort"},
            {"learner": "lasso", "repetitions": 1},
        ),
    ],
)
def test_it_is_the_number_of_a_line_of_its_own(
    own: dict[str, Any], line: dict[str, Any]
) -> None:
    found = pooled(**own).scalars
    shared = {k: v for k, v in own.items() if k != "beside"}
    made = panel_request(panel(units=150), estimand=("att",))
    alone = DoubleMl(kind="did_multi", folds=2, **line, **shared).estimate(made)
    row = alone.coefficients.iloc[0]
    # The same fits, averaged without the cells before treatment: rounding.
    assert found["cohort_att"] == pytest.approx(row["estimate"], rel=1e-12)
    assert found["cohort_att_std_error"] == pytest.approx(row["std_error"], rel=1e-12)


def test_the_coefficient_less_it_has_the_error_of_a_difference() -> None:
    found = pooled()
    coefficient = found.coefficients.iloc[0]
    gap = coefficient["estimate"] - found.scalars["cohort_att"]
    assert found.scalars["cohort_att_gap"] == gap
    error = found.scalars["cohort_att_gap_std_error"]
    own, other = coefficient["std_error"], found.scalars["cohort_att_std_error"]
    # What both learn from the same units is in both: between perfect and none.
    assert abs(own - other) < error < own + other
    assert error != pytest.approx(np.hypot(own, other), rel=1e-3)
    (note,) = [n for n in found.notes if SAID in n]
    assert f"{found.scalars['cohort_att']:.4g}" in note
    assert "lasso, one split into 2 folds, never-treated controls" in note
    assert set(found.frames["group_time"]["event_time"]) == {0, 1, 2, 3, 4}


def test_the_coefficient_is_the_same_with_and_without_it() -> None:
    with_it, without = pooled(), pooled(beside="none")
    assert with_it.coefficients.equals(without.coefficients)
    assert not {k for k in without.scalars if k.startswith("cohort_att")}
    assert any("kind did_multi belongs beside it" in n for n in without.notes)


def test_effects_that_grow_part_the_coefficient_from_the_mean_effect() -> None:
    data = panel(units=300, seed=3)
    since = (data["time"] - data["first"]).where(data["d"] == 1)
    # x1 moves with unit effects: as a cause of changes it would part trends.
    data["y"] += 0.5 * since.fillna(0) - data["x1"]
    truth = 0.5 + 0.5 * since.mean()
    found = pooled(data).scalars
    # Three standard errors: the mean effect is where the truth is, one panel of 300.
    assert abs(found["cohort_att"] - truth) < 3 * found["cohort_att_std_error"]
    assert found["cohort_att_gap"] < -3 * found["cohort_att_gap_std_error"]


def test_where_all_are_treated_in_the_end_controls_are_not_yet_treated() -> None:
    data = panel(units=150)
    found = pooled(data[np.isfinite(data["first"])])
    (note,) = [n for n in found.notes if SAID in n]
    assert "not-yet-treated controls" in note
    assert set(found.frames["group_time"]["cohort"]) == {2003}


def test_rows_taken_as_independent_leave_the_difference_without_error() -> None:
    found = pooled(inference="hetero", clusters=())
    assert found.scalars["cohort_att"] == pooled().scalars["cohort_att"]
    assert "cohort_att_gap" in found.scalars
    assert "cohort_att_gap_std_error" not in found.scalars


def test_units_that_only_the_coefficient_has_are_counted() -> None:
    data = panel(units=150)
    always = data["unit"].isin(data["unit"].unique()[:6])
    data.loc[always, ["d", "first"]] = [1.0, 1999.0]
    found = pooled(data, always_treated="drop")
    (note,) = [n for n in found.notes if SAID in n]
    assert ", of 144 of 150 clusters: " in note
    # Two estimates on other clusters: what both share is not known.
    assert "cohort_att_gap_std_error" not in found.scalars
    (note,) = [n for n in pooled(data).notes if "did_multi" in n]
    assert (
        "6 units are treated in all their periods; estimator.always_treated: dr" in note
    )
    for whole in (pooled(), pooled(inference="hetero", clusters=())):
        (note,) = [n for n in whole.notes if SAID in n]
        assert " clusters" not in note


def test_where_there_is_none_a_note_has_the_reason_and_the_line() -> None:
    found = pooled(panel(units=24))
    assert np.isfinite(found.coefficients["estimate"]).all()
    assert "cohort_att" not in found.scalars
    (note,) = [n for n in found.notes if "did_multi" in n]
    assert "no mean effect by did_multi stands beside it (" in note
    assert "too few units" in note
    assert "kind: did_multi, learner: lasso" in note


def test_one_date_of_adoption_pools_nothing() -> None:
    data = panel(units=60)
    data = data[data["first"] != 2005.0]
    assert not [n for n in pooled(data).notes if "did_multi" in n]


def test_draws_do_not_make_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    asked = beside.mean_effect

    def counted(*args: Any, **options: Any) -> Any:
        called.append(1)
        return asked(*args, **options)

    monkeypatch.setattr(beside, "mean_effect", counted)
    model = {
        "outcome": "y",
        "treatment": {"column": "d", "kind": "absorbing"},
        "controls": ["x1", "x2"],
        "inference": {"name": "cluster", "by": ["city"]},
        "estimator": {"name": "double_ml", "learner": "linear", "repetitions": 1},
    }
    data = {
        "source": {"path": "canonical.csv"},
        "panel": {"unit": "city", "time": "year"},
    }
    job = Job("f", "a.b", "p", data, model, None, 4)
    estimate(job, canonical_panel())
    once = len(called)
    drawn = replace(job, draws={"permute": "treatment", "times": 3})
    cell = estimate(drawn, canonical_panel())
    assert cell.draws is not None
    assert len(cell.draws) == 3
    assert len(called) == 2 * once > 0
