"""`treatment.by`: cohorts of groups whose rows are treated together, and none of units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from framework.cache import Cell, Job
from framework.data.design import Design, build
from framework.data.prepare import Prepared
from framework.errors import EstimandError
from framework.execute.estimation import estimate
from framework.plan import panel_of, plan, trees
from framework.spec import choices
from framework.spec.study import open_study, project_root
from tests.build_sections import surveys

BY = {"column": "d", "by": "county"}
GIVEN = {"first_treated": "law_year", "never": 0}


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    def make(data: pd.DataFrame, model: dict[str, Any], keys: Any, **line: Any) -> Any:
        data.drop(columns="first").to_csv(tmp_path / "data.csv", index=False)
        written = {
            "study": "sections",
            "data": {"source": "data.csv", "panel": keys or {"time": "year"}},
            "model": {
                "outcome": "y",
                "treatment": BY,
                "estimator": "callaway_santanna",
                **model,
            },
            "checks": {"a": {"b": line}},
        }
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(written), encoding="utf-8")
        study = open_study(path)
        prepared = Prepared(study.root, project_root(study))
        (found,) = [e for e in plan(study) if not e.hidden]
        return found, panel_of(study, found, prepared)

    return make


@pytest.fixture
def design(opened: Any) -> Any:
    def make(data: pd.DataFrame, model: dict[str, Any], keys: Any = None) -> Design:
        found, panel = opened(data, model, keys)
        read, resolved = trees(found)
        estimator = choices.build("estimator", resolved.estimator)
        return build(panel, read, resolved, estimator)

    return make


@pytest.fixture
def cell(opened: Any) -> Any:
    def run(data: pd.DataFrame, model: dict[str, Any], **draws: Any) -> Cell:
        found, panel = opened(data, model, None, **({"draws": draws} if draws else {}))
        assert not found.problems
        job = Job("f", "a.b", panel.key, found.data, found.model, found.draws, 3)
        return estimate(job, panel)

    return run


def cohorts(made: Design) -> np.ndarray:
    treatment = made.request.treatment
    assert treatment is not None
    assert treatment.cohort is not None
    return made.request.frame[treatment.cohort].to_numpy()


def problem(make: Any, data: pd.DataFrame, model: dict[str, Any], keys: Any = None):
    with pytest.raises(EstimandError) as caught:
        make(data, model, keys)
    [found] = caught.value.problems
    return found


def test_the_switch_of_groups_and_their_first_year_are_one_treatment(design):
    data = surveys(1)
    by_switch, by_year = design(data, {}), design(data, {"treatment": GIVEN})
    expected = data.sort_values("year", kind="stable")["first"].to_numpy()
    np.testing.assert_array_equal(cohorts(by_switch), expected)
    np.testing.assert_array_equal(cohorts(by_year), expected)
    both = design(data, {"treatment": {**BY, **GIVEN}})
    np.testing.assert_array_equal(cohorts(both), expected)
    assert by_switch.request.treatment.kind == "absorbing"
    assert by_switch.request.unit is None


def test_groups_are_clusters_unless_the_study_says_otherwise(design):
    data = surveys(2)
    made = design(data, {})
    assert made.labels["inference"] == "clustered by county"
    assert not any("Treatment is that of groups" in n for n in made.notes)
    coarse = data.assign(block="b" + data.county.str[-1])
    made = design(coarse, {"inference": {"cluster": "block"}})
    assert not any("Treatment is that of groups" in n for n in made.notes)
    for finer, said in (
        ({"cluster": "person"}, "clusters 'person' lie inside"),
        ({"name": "hetero"}, "rows count one by one"),
    ):
        made = design(data, {"inference": finer if "cluster" in finer else "hetero"})
        [note] = [n for n in made.notes if "Treatment is that of groups" in n]
        assert said in note


def test_without_groups_rows_are_robust_and_a_switch_has_no_cohort(design):
    data = surveys(3)
    made = design(data, {"treatment": GIVEN})
    assert made.labels["inference"] == "heteroskedasticity-robust"
    found = problem(design, data, {"treatment": "d"})
    assert found.code == "E06"
    assert "by: the group" in found.fix
    found = problem(design, data, {"treatment": {"column": "d", "kind": "absorbing"}})
    assert found.code == "E06"
    assert "by: the group" in found.fix


def test_shift_moves_the_groups(design):
    made = design(surveys(4), {"treatment": {**BY, "shift": -1}})
    assert set(cohorts(made)) == {2011.0, 2013.0, 2014.0, np.inf}


@pytest.mark.parametrize(
    ("column", "year", "whole", "value", "treatment", "what"),
    [
        ("d", 2013, False, 0.0, BY, "differs between rows of one 'county'"),
        ("d", 2015, True, 0.0, BY, "switches off in 1 group of 'county'"),
        (
            "law_year",
            2013,
            False,
            2014,
            {**GIVEN, "by": "county"},
            "changes their first treated",
        ),
        ("county", 2013, False, None, BY, "'county' is missing in 1 of"),
    ],
)
def test_groups_that_are_not_treated_together_are_refused(
    design, column, year, whole, value, treatment, what
):
    data = surveys(5)
    rows = data.index[(data.county == "c003") & (data.year == year)]
    assert len(rows) > 1
    data.loc[rows if whole else rows[:1], column] = value
    with pytest.raises(EstimandError) as caught:
        design(data, {"treatment": treatment})
    [found] = [
        p for p in caught.value.problems if str(p.path).startswith("model.treatment")
    ]
    assert found.code in {"E06", "D04"}
    assert what in found.what


def test_periods_are_no_groups_of_treatment(design):
    data = surveys(6)
    treatment = {**BY, "by": "year"}
    found = problem(design, data, {"treatment": treatment})
    assert (found.code, found.path) == ("E06", "model.treatment.by")
    assert found.what == "treatment.by: year is the time of the data"


def test_groups_are_seen_in_more_than_one_period(design):
    data = surveys(6).assign(serial=lambda f: np.arange(len(f)))
    found = problem(design, data, {"treatment": {**BY, "by": "serial"}})
    assert (found.code, found.path) == ("E06", "model.treatment.by")
    assert found.what == "no group of 'serial' is seen in two periods"


def test_groups_belong_to_cross_sections_that_repeat(design):
    data = surveys(6)
    found = problem(design, data, {}, {"unit": "person", "time": "year"})
    assert (found.code, found.path) == ("E06", "model.treatment.by")
    assert found.what == "treatment.by: county needs repeated cross-sections"


def test_groups_of_other_kinds_are_refused(opened):
    with pytest.raises(EstimandError, match="`by` would do nothing with kind: dose"):
        opened(surveys(7), {"treatment": {**BY, "kind": "dose"}}, None)


def test_an_onset_in_a_gap_of_a_group_is_refused_until_acknowledged(design):
    data = surveys(8)
    data = data[~((data.county == "c003") & (data.year == 2011))]
    found = problem(design, data, {})
    assert found.code == "E01"
    assert "c003" in found.what
    made = design(data, {"acknowledge": ["onset_in_gap"]})
    assert any("1 group of 'county' has no row just before" in n for n in made.notes)
    exact = design(data, {"treatment": {**GIVEN, "by": "county"}})
    assert set(cohorts(exact)) == set(data["first"])


def test_whole_groups_are_permuted(cell):
    data = surveys(9, rows=(2, 4))
    found = cell(data, {}, permute="treatment", times=20)
    draws = found.draws
    assert len(draws) == 20
    # the effect is far from zero, and no placebo's is
    assert draws["estimate"].abs().max() < found.result.coefficients.estimate[0]
    spread = draws["estimate"].std()
    error = found.result.coefficients.std_error[0]
    # 20 draws give a standard deviation to 16 %; effects add to what varies
    assert 0.5 * error < spread < 2 * error


def test_cohorts_of_no_group_are_not_permuted_row_by_row(cell):
    with pytest.raises(EstimandError, match="would move the treatment of single rows"):
        cell(surveys(10), {"treatment": GIVEN}, permute="treatment", times=3)


def test_blocks_are_those_of_the_groups(cell):
    data = surveys(11, rows=(2, 4)).assign(half=lambda f: f.county < "c022")
    cell(data, {}, permute="treatment", times=3, within="half")
    with pytest.raises(EstimandError, match="changes within 'county'"):
        cell(data, {}, permute="treatment", times=3, within="person")


def test_resampling_groups_gives_their_standard_error(cell):
    found = cell(surveys(12, rows=(2, 4)), {}, resample="county", times=40)
    error = found.result.coefficients.std_error[0]
    # 40 draws give the standard error to about 11 %; three of those
    assert found.result.scalars["std_error_resampled"] == pytest.approx(error, rel=0.33)
