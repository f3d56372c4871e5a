"""A model against a panel: which values reach the estimator, and what is refused."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from framework.contract import Request
from framework.data.design import Design, build
from framework.data.prepare import Prepared
from framework.errors import EstimandError
from framework.plan import panel_of, plan, trees
from framework.spec import choices
from framework.spec.study import open_study, project_root


@pytest.fixture
def design(tmp_path: Path) -> Any:
    """The request of a model on a panel of 12 units in 2001 to 2008."""

    def make(model: dict[str, Any], **data: Any) -> Design:
        panel().to_csv(tmp_path / "data.csv", index=False)
        study = {
            "study": "design",
            "data": {
                "source": "data.csv",
                "panel": {"unit": "unit", "time": "year"},
                **data,
            },
            "model": {
                "outcome": "y",
                "treatment": "d",
                "fixed_effects": ["unit", "year"],
                "estimator": "twfe",
                **model,
            },
        }
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(study), encoding="utf-8")
        opened = open_study(path)
        (found,) = plan(opened)
        prepared = Prepared(opened.root, project_root(opened))
        read, resolved = trees(found)
        estimator = choices.build("estimator", resolved.estimator)
        return build(panel_of(opened, found, prepared), read, resolved, estimator)

    return make


def panel() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    index = pd.MultiIndex.from_product(
        [range(12), range(2001, 2009)], names=["unit", "year"]
    )
    frame = index.to_frame(index=False)
    frame["first"] = np.where(frame.unit < 5, 2005, 9999)
    frame["d"] = (frame.year >= frame["first"]).astype(int)
    frame["treated"] = (frame.unit % 2).astype(int)
    for name in ("y", "x", "w"):
        frame[name] = rng.random(len(frame)) + 0.5
    frame["dose"] = frame.w.where(frame.index != 7)
    frame["but_0"] = np.where(frame.unit == 0, 0, 2005)
    frame["before"] = 1998
    # Every unit lacks another period.
    frame["holes"] = frame.x.where(frame.year - 2001 != frame.unit % 8)
    return frame


def column(request: Request, label: str) -> np.ndarray:
    (alias,) = [a for a, held in request.labels.items() if held == label]
    return request.frame[alias].to_numpy()


def problems(make: Any, model: dict[str, Any], **data: Any) -> list[tuple[str, str]]:
    with pytest.raises(EstimandError) as caught:
        make(model, **data)
    return [(p.code, p.what) for p in caught.value.problems]


SHIFTED = {"column": "d", "shift": -2}


def test_a_control_made_of_the_treatment_does_not_undo_its_shift(design):
    request = design({"treatment": SHIFTED, "controls": [["d", "x"]]}).request
    data = panel()
    assert request.treatment is not None
    moved = request.frame[request.treatment.columns[0]].to_numpy()
    assert (moved == (data.year >= data["first"] - 2)).all()
    assert (column(request, "d × x") == data.d * data.x).all()


@pytest.mark.parametrize(
    ("treatment", "control"),
    [(SHIFTED, "d"), ({"first_treated": "first", "never": 9999}, "treated")],
)
def test_a_control_that_is_called_like_the_treatment_is_refused(
    treatment, control, design
):
    ((code, what),) = problems(design, {"treatment": treatment, "controls": [control]})
    assert code == "I03"
    assert f"'{control}' is the treatment" in what


def test_the_treatment_as_it_is_may_stand_among_the_controls_and_that_is_told(design):
    found = design({"controls": ["d", "x"]})
    request = found.request
    assert [request.labels[c] for c in request.controls] == ["x"]
    (note,) = found.notes
    assert note.startswith("'d' is the treatment and stands among the controls too")
    assert not design({"controls": ["x"]}).notes
    described = design({"controls": ["d", "x"], "estimator": "describe"})
    assert not [n for n in described.notes if "among the controls" in n]


def test_the_treatment_does_not_mediate_itself(design):
    made = {"mediators": ["d", "x"], "estimator": "mediation", "fixed_effects": []}
    assert ("I03", "'d' is the treatment and stands in mediators too") in problems(
        design, made
    )


def test_a_centred_moderator_leaves_the_weights_as_they_are(design):
    request = design(
        {
            "weights": {"analytic": "w"},
            "controls": ["w"],
            "interact": {"with": "w", "center": "mean"},
        }
    ).request
    assert request.weights is not None
    data = panel()
    assert (request.frame[request.weights.column] == data.w).all()
    (moderator,) = request.controls
    assert request.frame[moderator].to_numpy() == pytest.approx(data.w - data.w.mean())


@pytest.mark.parametrize("role", ["controls", "treatment"])
def test_an_outcome_does_not_explain_itself(role, design):
    held: Any = ["y"] if role == "controls" else {"column": "y", "kind": "dose"}
    assert problems(design, {role: held}) == [
        ("I03", f"'y' is the outcome and stands in {role} too")
    ]


DOSE = {"column": "dose", "kind": "dose"}


def test_a_treatment_that_is_missing_is_a_column_that_is_missing(design):
    ((code, what),) = problems(design, {"treatment": DOSE})
    assert code == "D01"
    assert what == "'dose' missing in 1 of 96 rows (first: 0, 2008)"
    dropped = design({"treatment": DOSE}, missing="drop")
    assert [line.rows_out for line in dropped.ledger] == [95]


EVEN = {"sample": {"even": "balanced"}}


def test_a_balanced_sample_is_balanced_in_the_rows_that_are_used(design):
    """The missing cell is unit 0's: the unit is out whole, and the ledger says so."""
    found = design({"treatment": DOSE, **EVEN}, missing="drop")
    assert [line.rows_out for line in found.ledger] == [96, 95, 88]
    last = found.ledger[-1]
    assert (last.stage, last.name) == ("estimation", "even")
    assert last.detail.startswith("after missing cells 1 unit lacks some of the 8")
    assert f"sample even: {last.detail}" in found.notes
    units = found.request.frame[found.request.unit]
    assert (units.value_counts() == 8).all()


def test_periods_that_every_unit_loses_leave_a_balanced_sample_alone(design):
    found = design({"controls": [{"lag": "x"}], **EVEN}, missing="drop")
    assert [line.rows_out for line in found.ledger] == [96, 84]


def test_a_balanced_sample_that_a_later_restriction_thinned_stays_thinned(design):
    thin = {"sample": {"even": "balanced", "late": "unit > 2 or year > 2004"}}
    found = design({"treatment": DOSE, **thin}, missing="drop")
    assert [line.rows_out for line in found.ledger] == [96, 84, 83]


def test_no_unit_without_a_missing_cell_is_said_with_the_restriction(design):
    with pytest.raises(EstimandError) as caught:
        design({"controls": ["holes"], **EVEN}, missing="drop")
    found = {(p.code, p.path) for p in caught.value.problems}
    assert ("D05", "model.sample.even") in found


def test_rows_that_a_moved_dose_has_no_value_for_are_told(design):
    moved = design({"treatment": {**DOSE, "shift": -1}})
    (note,) = moved.notes
    # The last year of 12 units, and the year before the missing cell (itself 2008).
    assert "13 rows of the data have no observed treatment there" in note
    assert len(moved.request.frame) == 96 - 13


def test_a_dose_starts_in_the_first_treated_period(design):
    timed = {"column": "w", "kind": "dose", "first_treated": "first", "never": 9999}
    request = design({"treatment": timed}).request
    assert request.treatment is not None
    data = panel()
    made = request.frame[request.treatment.columns[0]].to_numpy()
    assert (made == data.w.where(data.year >= data["first"], 0.0)).all()
    assert request.treatment.series is not None
    assert (request.treatment.series["value"].to_numpy() == made).all()


def test_a_dose_need_not_be_known_where_it_never_starts(design):
    # the missing cell is that of unit 0 in 2008, whose dose has started
    timed = {"column": "dose", "kind": "dose", "first_treated": "first", "never": 9999}
    assert problems(design, {"treatment": timed})[0][0] == "D01"
    later = {**timed, "first_treated": "but_0", "never": 0}  # unit 0 is never treated
    assert not np.isnan(column(design({"treatment": later}).request, "dose")).any()


def test_doses_that_start_in_another_count_than_the_data_s_are_refused(design):
    """Unit numbers are no years: all doses would have started long before."""
    timed = {"column": "w", "kind": "dose", "first_treated": "unit", "never": 0}
    ((code, what),) = problems(design, {"treatment": timed})
    assert code == "T03"
    assert "from 1 to 11, 'year' from 2001 to 2008" in what
    # shortly before the data is where some doses start
    early = design({"treatment": {**timed, "first_treated": "before", "never": 9999}})
    assert column(early.request, "w").min() > 0.5


def test_a_dose_of_nothing_is_told(design):
    timed = {"column": "treated", "kind": "dose", "first_treated": "first"}
    (note,) = design({"treatment": {**timed, "never": 9999}}).notes
    # of units 0 to 4, whose dose starts in 2005, three have an even number
    assert note.startswith("'treated' is 0 in 3 units from their first treated period")


@pytest.mark.parametrize("kind", ["reversible", "levels", "cross_section"])
def test_first_treated_of_a_treatment_that_has_none_is_refused(kind, design):
    timed = {"column": "d", "kind": kind, "first_treated": "first"}
    ((_, what),) = problems(design, {"treatment": timed})
    assert f"`first_treated` would do nothing with kind: {kind}" in what


def test_a_type_of_errors_that_an_estimator_lacks_is_refused(design):
    model = {"inference": {"hetero": "HC3"}}
    assert problems(design, model) == [("X23", "twfe has no HC3 errors")]
    plain = {"estimator": "ols", "fixed_effects": [], **model}
    assert design(plain).request.inference.options == {"type": "HC3"}


def test_panels_of_other_code_have_another_key(tmp_path):
    panel().to_csv(tmp_path / "data.csv", index=False)
    text = """
        study: s
        data: {source: data.csv, panel: {unit: unit, time: year}}
        model: {outcome: y, treatment: d, estimator: twfe}
    """
    path = tmp_path / "study.yaml"
    path.write_text(dedent(text), encoding="utf-8")
    study = open_study(path)
    (found,) = plan(study)
    keys = {
        panel_of(study, found, Prepared(tmp_path, tmp_path, code=code)).key
        for code in ("one", "one", "two")
    }
    assert len(keys) == 2


@pytest.mark.parametrize("cohort", [{}, {"first_treated": "first", "never": 9999}])
def test_several_absorbing_treatments_are_refused(cohort, design):
    """Only the first one has a cohort; the second used to be left out in silence."""
    steps = {"late": {"indicator": "year >= 2006"}}
    both = {"column": ["d", "late"], "kind": "absorbing", **cohort}
    ((code, what),) = problems(design, {"treatment": both}, steps=steps)
    assert (code, what) == ("T02", "2 treatments ('d', 'late') of kind absorbing")
    again = {"column": ["d", "late"], "kind": "reversible"}
    request = design({"treatment": again}, steps=steps).request
    assert request.treatment is not None
    labels = [request.labels[c] for c in request.treatment.columns]
    assert labels == ["d", "late"]


def test_a_shift_that_changes_no_row_is_refused(design):
    steps = {"biennial": {"keep": "year in (2001, 2003, 2005, 2007)"}}
    model = {"treatment": {"column": "d", "shift": -1}}
    ((code, what),) = problems(design, model, steps=steps)
    assert (code, what) == ("T03", "treatment.shift: -1 changes no row")
    model["treatment"]["shift"] = -2
    assert design(model, steps=steps).notes[0].startswith("treatment moved by -2")


def test_spatial_errors_get_the_places_of_the_rows(design: Any) -> None:
    places = {"latitude": "y", "longitude": "d"}  # any two columns of numbers
    asked = {"name": "conley", "cutoff_km": 100.0, **places}
    request = design({"inference": {"conley": {"cutoff_km": 100.0, **places}}}).request
    assert [request.labels[alias] for alias in request.inference.places] == ["y", "d"]
    # A user's names stay out of the options.
    assert set(request.inference.options) == set(asked) - {"name", *places}


def test_a_place_that_is_no_column_is_named(design: Any) -> None:
    with pytest.raises(EstimandError) as caught:
        design({"inference": {"conley": 100}})
    said = {(p.code, p.path.split("model.")[-1]) for p in caught.value.problems}
    assert said == {("X51", "inference.latitude"), ("X51", "inference.longitude")}


def test_a_product_alone_stands_in_the_treatment_s_place(design):
    data = panel()
    found = design({"interact": {"with": "x", "main_effect": False}})
    request = found.request
    assert request.treatment is not None
    assert [request.labels[c] for c in request.treatment.columns] == ["d × x"]
    assert request.treatment.judged == request.treatment.columns
    assert request.treatment.moderators == ()
    assert request.controls == ()
    assert (column(request, "d × x") == data.d * data.x).all()
    # not the 0/1 column any more whose cohorts and leads are known
    assert request.treatment.kind == "dose"
    assert request.treatment.cohort is None
    assert request.treatment.series is None
    (note,) = (n for n in found.notes if "main_effect" in n)
    assert "treated rows where 'x' is 0 count as untreated" in note


def test_with_main_effects_both_stand_beside_the_product(design):
    request = design({"interact": "x"}).request
    assert request.treatment is not None
    assert [request.labels[c] for c in request.treatment.columns] == ["d"]
    assert [request.labels[c] for c in request.treatment.judged] == ["d × x"]
    assert [request.labels[c] for c in request.controls] == ["x"]


def test_a_moderator_is_a_control_only_where_the_study_says_so(design):
    alone = design({"interact": "x"})
    assert alone.labels["controls"] == []
    assert alone.labels["formula"].startswith("y ~ d + d × x + x")
    assert design({"interact": "x", "controls": ["x"]}).labels["controls"] == ["x"]
    both = design({"interact": "x", "controls": ["w"]})
    assert both.labels["controls"] == ["w"]


def test_a_jackknife_that_the_estimator_lacks_is_refused(design: Any) -> None:
    jackknife = {"cluster": {"by": "unit", "type": "CV3"}}
    assert design({"inference": jackknife}).request.inference.options == {"type": "CV3"}
    with pytest.raises(EstimandError, match="has no CV3 errors") as caught:
        design({"inference": jackknife, "estimator": "imputation"})
    assert {p.code for p in caught.value.problems} == {"X23"}


def test_kinds_of_data_are_named_in_words(design):
    model = {"estimator": "imputation", "fixed_effects": ["year"]}
    model["treatment"] = {"column": "d", "kind": "reversible"}
    found = problems(design, model, panel={"time": "year"})
    said = "imputation takes a panel; these data are repeated cross-sections"
    assert ("P02", said) in found


def test_many_products_that_do_not_vary_are_one_problem(design: Any) -> None:
    with pytest.raises(EstimandError) as caught:
        design({"interact": {"with": "x"}}, columns={"x": {"type": "text"}})
    (found,) = [p for p in caught.value.problems if p.code == "I09"]
    # 96 texts, the first of them the reference; 20 treated rows.
    assert found.what.endswith("more products do not vary in the sample")
    assert found.fix.startswith("'x' is text of 95 values; if it is meant as a number")
