"""Double machine learning: what is refused, what is said, what is kept in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from estimators._double.nuisance import MEMORY, Fitted, Memory
from estimators._double.sample import group_name
from estimators.dml_mediation import DmlMediation
from estimators.double_ml import DoubleMl
from framework import run
from framework.contract import Request
from framework.errors import EstimandError
from framework.result import Result
from framework.spec.terms import parse
from tests.build_double import panel, panel_request, request, rows

FAST: dict[str, Any] = {"learner": "linear", "folds": 3, "repetitions": 1}


def estimated(made: Request, **options: Any) -> Result:
    return DoubleMl(**(FAST | options)).estimate(made)


def first(result: Result) -> pd.Series[Any]:
    return result.coefficients.iloc[0]


def refused(code: str, made: Request, **options: Any) -> str:
    with pytest.raises(EstimandError) as caught:
        estimated(made, **options)
    codes = [p.code for p in caught.value.problems]
    assert code in codes, str(caught.value)
    return str(caught.value)


# -- faults ---------------------------------------------------------------------------


def test_few_rows_in_a_fold_are_refused() -> None:  # row 53
    made = request("plr", rows(6))
    assert "6 rows in 5 folds" in refused("M01", made, folds=5)
    made = request("plr", rows(59))
    assert "fewer folds" in refused("M01", made)
    assert first(estimated(request("plr", rows(60))))["std_error"] > 0


def test_many_features_in_small_folds_can_be_acknowledged() -> None:
    data = rows(90)
    more = {f"m{i}": np.random.default_rng(i).normal(size=90) for i in range(17)}
    data = data.assign(**more)
    made = request("plr", data, controls=("x1", "x2", *more))
    assert "38 are the fewest for 19 features" in refused("M01", made)
    allowed = replace(made, acknowledge=frozenset({"small_folds"}))
    assert first(estimated(allowed))["std_error"] > 0


def test_a_treatment_that_is_a_control_is_refused() -> None:  # row 54
    data = rows()
    data = data.assign(copy=2 * data["d"] + 1)
    made = request("plr", data, controls=("x1", "copy"))
    said = refused("M02", made)
    assert "'d'" in said
    # The one that repeats it, not the one that stands beside it.
    assert "('copy')" in said


def test_a_treatment_that_learners_predict_exactly_is_refused() -> None:
    """A parabola of a control: no line gives it, two powers do."""
    data = rows()
    data = data.assign(d=data["x1"] ** 2, square=data["x1"] ** 2 * (1 + 1e-6))
    made = request("plr", data, controls=("x1", "square"))
    refused("M02", made)


def test_a_treatment_of_periods_alone_is_no_fault_of_a_control() -> None:
    data = panel()
    data["d"] = (data["time"] >= 2004).astype(float)
    made = panel_request(data, kind="reversible", cohort=None)
    for transform in ("none", "within", "first_difference"):
        said = refused("M02", made, transform=transform)
        assert "effects of periods" in said
        assert "remove from the controls" not in said
    assert "within units or within periods" in refused("I02", made, transform="two_way")


def test_columns_that_repeat_each_other_are_refused() -> None:
    data = rows()
    made = request("plr", data)
    treatment = made.treatment
    assert treatment is not None
    twice = data["d"] * 2 + data["x1"]
    both = replace(
        made,
        frame=made.frame.assign(again=twice),
        labels={**made.labels, "again": "again"},
        treatment=replace(
            treatment,
            columns=(*treatment.columns, "again"),
            judged=(*treatment.judged, "again"),
        ),
    )
    assert "'again' and the controls give 'd'" in refused("M02", both)
    made = request("pliv", data)
    again = replace(
        made,
        frame=made.frame.assign(z1=made.frame["z0"]),
        instruments=("z0", "z1"),
        labels={**made.labels, "z1": "second"},
    )
    assert "'second' and the controls give 'z'" in refused("M02", again, kind="pliv")


def test_weak_instruments_are_said() -> None:
    made = request("pliv")
    strong = estimated(made, kind="pliv")
    assert not any("Weak" in note for note in strong.notes)
    noise = np.random.default_rng(99).normal(size=len(made.frame))
    weak = estimated(replace(made, frame=made.frame.assign(z0=noise)), kind="pliv")
    (note,) = [n for n in weak.notes if "Weak" in n]
    assert f"{weak.scalars['first_stage_f']:.3g}, below 10" in note


@pytest.mark.parametrize("kind", ["plr", "irm"])
def test_a_constant_treatment_is_refused(kind: str) -> None:  # row 55
    data = rows().assign(d=1.0, b=1.0)
    assert "does not vary" in refused("I01", request(kind, data), kind=kind)


def test_five_clusters_in_five_folds_are_refused() -> None:  # row 56
    data = rows().assign(g=np.arange(600) % 5)
    made = request(
        "plr", data, clusters=("g",), acknowledge=frozenset({"few_clusters"})
    )
    assert "5 groups ('g') in 5 folds" in refused("M03", made, folds=5)
    assert first(estimated(made, folds=2))["std_error"] > 0


def test_few_clusters_and_few_treated_ones_have_to_be_acknowledged() -> None:
    data = rows().assign(g=np.arange(600) % 8)
    refused("I05", request("plr", data, clusters=("g",)))
    data = rows()
    data["b"] = (data["g"] < 3).astype(float) * (data["x1"] > -1)
    made = request("irm", data, clusters=("g",))
    assert "3 treated clusters" in refused("I08", made, kind="irm")


def test_three_treated_rows_are_refused() -> None:  # row 57
    data = rows()
    data["b"] = (np.arange(len(data)) < 3).astype(float)
    assert "M04" in refused("M04", request("irm", data), kind="irm")


def test_separation_is_refused_and_reported_when_acknowledged() -> None:  # row 57
    data = rows()
    data["b"] = (data["x1"] + 0.05 * data["x2"] > 0).astype(float)
    made = request("irm", data)
    said = refused("M04", made, kind="irm")
    assert "propensity below 0.01" in said
    allowed = replace(made, acknowledge=frozenset({"poor_overlap"}))
    result = estimated(allowed, kind="irm")
    assert result.scalars["share_trimmed"] > 0.1
    assert any(
        "of the propensities are trimmed into [0.01, 0.99]" in n for n in result.notes
    )
    overlap = result.frames["overlap"]
    assert overlap[["rows_0", "rows_1"]].to_numpy().sum() == 600


def test_periods_without_overlap_are_named() -> None:
    made = panel_request()
    assert "2000, 2001, 2002" in refused("M04", made, kind="irm")


def test_one_split_is_said_to_be_few() -> None:  # row 58
    result = estimated(request("plr"))
    assert any("5 or more" in note for note in result.notes)
    result = estimated(request("plr"), repetitions=5)
    assert not any("5 or more" in note for note in result.notes)
    scalars = result.scalars
    assert scalars["split_low"] < first(result)["estimate"] < scalars["split_high"]
    assert scalars["split_error"] > 0
    # What splits add is in the standard error.
    assert first(result)["std_error"] >= scalars["std_error_sampling"]


def test_a_forest_is_a_learner_as_any_other() -> None:  # row 59
    # `learner or default` calls len() of an unfitted forest.
    made = request("plr", rows(150))
    result = estimated(made, learner={"outcome": {"forest": 5}, "treatment": "linear"})
    assert set(result.frames["nuisances"]["learner"]) == {"Forest", "Linear"}


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("irm", {"treatment": "d"}, "needs a 0/1 treatment"),
        ("plr", {"slopes": (("x1", "g"),)}, "does not use slopes"),
        ("plr", {"inference": "cluster", "clusters": ("g", "w")}, "takes one cluster"),
    ],
)
def test_what_a_kind_can_not_use_is_refused(
    kind: str, fields: dict[str, Any], words: str
) -> None:
    from tests.build_request import build_request

    given: dict[str, Any] = {"outcome": "y", "treatment": "b", "controls": ("x1",)}
    given |= {"kind": "cross_section", "inference": "hetero"}
    made = build_request(rows(), **(given | fields))
    with pytest.raises(EstimandError, match=words):
        estimated(made, kind=kind)


def test_what_only_some_kinds_take_is_refused() -> None:
    with pytest.raises(ValidationError, match="kind plpr needs a transform"):
        DoubleMl(kind="plpr")
    with pytest.raises(ValidationError, match="name one twice"):
        DoubleMl(kind="qte", quantiles=(0.5, 0.5))
    assert DoubleMl(kind="qte").gives() == ("qte",)
    assert DoubleMl(kind="qte", quantity="cvar").gives() == ("tail_effect",)
    assert "instruments" in DoubleMl(kind="qte", quantity="lpq").demands().requires


def test_instruments_that_move_nothing_are_refused() -> None:
    data = rows()
    data["t"] = 1.0 * (data["x1"] > 0)  # not told by w
    data["e"] = data["x1"] ** 3
    data["z"] = np.where(data["x1"] > 9, 1.0, 0.0)
    refused("I01", request("pliv", data), kind="pliv")


def test_cross_sections_have_no_unit_effects_to_remove() -> None:
    assert "needs a panel" in refused("X23", request("plr"), transform="within")


def test_a_difference_is_no_01_treatment() -> None:
    # A quantile effect on changes would be one of a 0/1 change of the treatment.
    for kind in ("irm", "qte"):
        for transform in ("within", "first_difference", "two_way"):
            made = panel_request()
            assert "keeps the treatment 0/1" in refused(
                "X23", made, kind=kind, transform=transform
            )


def test_clusters_that_cross_units_are_refused() -> None:
    data = panel()
    data["cell"] = np.arange(len(data)) % 30
    assert "they cross" in refused("I10", panel_request(data, clusters=("cell",)))


def test_a_treatment_fixed_for_units_is_gone_after_a_transform() -> None:
    data = panel()
    data["d"] = (data["first"] < np.inf).astype(float)
    made = panel_request(data, kind="reversible", cohort=None)
    for transform in ("within", "first_difference"):
        assert "constant within units" in refused("I02", made, transform=transform)
    assert first(estimated(made))["std_error"] > 0


# -- panels ---------------------------------------------------------------------------


def test_folds_keep_units_and_coarse_clusters_whole() -> None:
    from estimators._double.sample import read

    for clusters in (("unit",), ("region",)):
        sample = read(panel_request(clusters=clusters), "plr", "none", 5)
        fold = sample.folds(5, 0, 0)
        for codes in (sample.unit, sample.cluster):
            together = pd.Series(fold).groupby(np.asarray(codes)).nunique()
            assert (together == 1).all()
        sizes = pd.Series(fold).groupby(fold).size()
        assert sizes.max() - sizes.min() <= 3 * 8  # one region of three units


def test_a_unit_that_leaves_moves_few_others() -> None:
    from estimators._math.folds import folds_of, places

    names = [f"city {i}" for i in range(100)]
    before = folds_of(places(names, 1, 0), 5)
    after = folds_of(places(names[1:], 1, 0), 5)
    assert np.sum(before[1:] != after) <= 4  # one at each border
    assert folds_of(places(names, 1, 1), 5).tolist() != before.tolist()


def test_ids_are_the_same_however_they_were_read() -> None:
    from estimators._math.folds import spoken

    assert {spoken(v) for v in (7, 7.0, "7", np.int64(7), np.float64(7))} == {"7"}


def test_unit_effects_left_in_are_said() -> None:
    result = estimated(panel_request(fixed_effects=("unit", "time")))
    assert any("not removed" in note for note in result.notes)
    result = estimated(
        panel_request(fixed_effects=("unit", "time")), transform="within"
    )
    assert not any("not removed" in note for note in result.notes)


def test_effects_of_regions_are_features_where_nothing_removes_them() -> None:
    data = panel()
    data["y"] += np.random.default_rng(2).normal(size=20)[data["region"]] * 3.0
    listed = ("unit", "region", "time")
    made = panel_request(data, fixed_effects=listed)
    options = {"transform": "none", "learner": "linear"}
    bare = estimated(panel_request(data, fixed_effects=("unit", "time")), **options)
    result = estimated(made, **options)
    # One region of twenty is the first.
    assert result.scalars["n_features"] == bare.scalars["n_features"] + 19
    assert first(result)["std_error"] < 0.7 * first(bare)["std_error"]
    (note,) = [n for n in result.notes if "not removed" in n]
    assert "effects of 'unit' are not removed" in note
    within = estimated(made, transform="within")
    assert within.scalars["n_features"] == bare.scalars["n_features"]


def test_a_table_has_no_row_of_effects_that_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    panel().drop(columns="first").to_csv("rows.csv", index=False)
    Path("study.yaml").write_text(
        """
study: effects
data: {source: rows.csv, panel: {unit: unit, time: time}}
model:
  outcome: y
  treatment: {column: d, kind: absorbing}
  controls: [x1, x2]
  fixed_effects: [unit, time]
  inference: {cluster: unit}
  estimator: {double_ml: {learner: linear, folds: 3, repetitions: 1, beside: none}}
checks:
  plain:  {stay: {}}
  both:   {stay: {}, gone: {estimator.transform: within}}
""",
        encoding="utf-8",
    )
    done = run("study.yaml", "executor=inline", report=False, track=False)
    assert "Unit fixed effects" not in done.table("plain")
    assert "Time fixed effects" in done.table("plain")
    (row,) = [x for x in done.table("both").splitlines() if "Unit fixed" in x]
    assert row.split()[-2:] == ["No", "Yes"]
    made = panel_request(fixed_effects=("unit", "time"))
    assert [made.labels[e] for e in DoubleMl().effects_left(made)] == ["unit"]
    assert not DoubleMl(kind="did_multi").effects_left(made)  # changes have none
    assert DmlMediation().effects_left(made) == DoubleMl().effects_left(made)


def test_period_effects_are_always_handled() -> None:
    """A shock common to all units in a year moves nothing."""
    data = panel()
    plain = first(estimated(panel_request(data)))["estimate"]
    data["y"] = data["y"] + 5.0 * (data["time"] == 2005)
    shocked = first(estimated(panel_request(data)))["estimate"]
    assert shocked == pytest.approx(plain, rel=1e-8)  # least squares of dummies


def test_nonlinear_learners_after_unit_means_carry_their_warning() -> None:
    data = panel(units=30)
    for learner, warned in (({"forest": 5}, True), ("linear", False)):
        result = estimated(panel_request(data), learner=learner, transform="within")
        assert any("nonlinear function" in n for n in result.notes) == warned


def test_first_differences_say_what_they_see() -> None:
    result = estimated(panel_request(), transform="first_difference")
    assert any("first treated period only" in n for n in result.notes)
    assert result.scalars["n_obs"] == 60 * 7
    assert any("60 rows without the period before" in n for n in result.notes)


def test_differences_over_a_year_that_is_missing_say_so() -> None:
    data = panel()
    gap = data[data["time"] != 2004]
    notes = estimated(panel_request(gap), transform="first_difference").notes
    assert any("2003 to 2005 span more than 1" in n for n in notes)
    every_other = data[data["time"] % 2 == 0]
    notes = estimated(panel_request(every_other), transform="first_difference").notes
    assert not any("evenly spaced" in n for n in notes)


def test_who_is_treated_and_the_outcome_before_are_told() -> None:
    data = panel()
    before = data[np.isfinite(data["first"]) & (data["time"] < data["first"])]
    for transform in ("none", "within", "first_difference"):
        scalars = estimated(panel_request(data), transform=transform).scalars
        treated = data.loc[data["d"] == 1, "unit"].nunique()
        assert scalars["n_treated_units"] == treated
        if transform == "first_difference":  # the first period is no row of it
            assert "outcome_mean_before" not in scalars
            continue
        assert scalars["n_treated_obs"] == data["d"].sum()
        # The same mean in another order: rounding.
        assert scalars["outcome_mean_before"] == pytest.approx(
            before["y"].mean(), rel=1e-12
        )
    assert "n_treated_obs" not in estimated(request("plr")).scalars  # no 0/1 treatment


def test_staggered_adoption_prints_its_weights() -> None:
    data = panel(units=150)
    # Without units that are never treated, early ones are what late ones have.
    data = data[np.isfinite(data["first"])]
    result = estimated(panel_request(data), transform="within")
    weights = result.frames["weights"]
    assert weights["weight"].sum() == pytest.approx(1.0)  # of treated cells
    assert set(weights["cohort"]) == {2003, 2005}
    assert 0 < result.scalars["weight_already_treated"] < 1
    assert any("treated already" in n for n in result.notes)
    one = panel()
    one = one[one["first"] != 2003]
    assert "weights" not in estimated(panel_request(one)).frames


def test_weights_average_effects_to_the_coefficient() -> None:
    """Outcomes that are nothing but the effects: the coefficient is their mean."""
    data = panel()
    effect = np.where(data["first"] == 2003, 1.0, 3.0) + (data["time"] - 2003)
    data["y"] = data["d"] * effect
    result = estimated(
        panel_request(data), transform="within", learner="linear", repetitions=1
    )
    weights = result.frames["weights"]
    by_cell = np.where(weights["cohort"] == 2003, 1.0, 3.0) + (weights["period"] - 2003)
    # The outcome's nuisance, orthogonal up to what folds leave.
    assert np.sum(weights["weight"] * by_cell) == pytest.approx(
        first(result)["estimate"], rel=0.05
    )


# -- groups ---------------------------------------------------------------------------


def moderated(data: pd.DataFrame, **fields: Any) -> Request:
    data = data.assign(half=(data["x3"] > 0).astype(float))
    data["product"] = data["d"] * data["half"]
    made = request(
        "plr", data, controls=("x1", "x2", "x3", "half"), judged=("product",), **fields
    )
    alias = {label: a for a, label in made.labels.items()}
    assert made.treatment is not None
    return replace(made, treatment=replace(made.treatment, moderators=(alias["half"],)))


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ({"column": "inc", "number": 5}, "1 of 5 by quantiles of inc"),
        (
            {"number": 4, "column": "size", "at": 2010},
            "1 of 4 by quantiles of size in 2010",
        ),
        (
            {"column": "size", "at": 2010, "number": 4},
            "1 of 4 by quantiles of size in 2010",
        ),
    ],
)
def test_groups_made_by_quantiles_are_named_in_words(
    step: dict[str, Any], name: str
) -> None:
    term = parse({"quantiles": step}).label  # as a study's terms are named
    assert group_name(term, "1") == name


def test_other_groups_are_named_by_their_value() -> None:
    assert group_name("half", "1") == "half = 1"
    assert group_name("above(inc, at median)", "0") == "above(inc, at median) = 0"


def test_groups_and_interactions_are_two_views_of_the_same() -> None:
    data = rows(2000)
    data["y"] = data["y"] + 0.4 * data["d"] * (data["x3"] > 0)
    interacted = estimated(moderated(data))
    assert list(interacted.coefficients["estimand"]) == ["interaction", "coefficient"]
    grouped = estimated(moderated(data, estimand=("by_group",)))
    assert list(grouped.coefficients["group"]) == ["half = 0", "half = 1"]
    low, high = grouped.coefficients["estimate"]
    difference = interacted.coefficients["estimate"].iloc[0]
    # The same difference up to what the product's own nuisance takes away.
    assert high - low == pytest.approx(difference, abs=0.05)
    assert abs(difference - 0.4) < 4 * first(interacted)["std_error"]
    # normal quantiles 0.975 and 0.8
    assert interacted.scalars["mde"] == pytest.approx(
        (1.959964 + 0.841621) * first(interacted)["std_error"], rel=1e-6
    )
    (test,) = grouped.tests
    assert test.name == "equality"
    assert test.p_value is not None
    assert test.p_value < 1e-6  # a difference of ten standard errors


# -- memory ---------------------------------------------------------------------------


def fits_of(made: Request, **options: Any) -> int:
    before = MEMORY.made
    estimated(made, **options)
    return MEMORY.made - before


def test_what_is_known_is_not_fitted_again() -> None:
    MEMORY.clear()
    data = rows(200)
    data["other"] = data["y"] ** 2
    made = request("plr", data)
    assert fits_of(made) == 2
    assert fits_of(made) == 0
    assert fits_of(replace(made, confidence=0.9)) == 0
    assert fits_of(made, score="iv_type") == 1
    alias = {label: a for a, label in made.labels.items()}
    other = made.frame.assign(**{alias["y"]: data["other"].to_numpy()})
    assert fits_of(replace(made, frame=other)) == 1  # the treatment's is shared
    assert fits_of(made, repetitions=2) == 2  # the second repetition
    assert fits_of(replace(made, seed=9)) == 2
    assert fits_of(made, folds=4) == 2
    assert fits_of(made, learner="ridge") == 2
    assert fits_of(replace(made, frame=made.frame.iloc[:-1])) == 2
    assert fits_of(request("plr", data, controls=("x1", "x2"))) == 2


def test_memory_forgets_what_was_asked_for_longest_ago() -> None:
    array = np.zeros(100)
    memory = Memory(limit=3 * 1600)
    for key in (b"a", b"b", b"c"):
        memory.put(key, Fitted(array, array, 0))
    assert memory.get(b"a") is not None
    memory.put(b"d", Fitted(array, array, 0))
    assert memory.get(b"b") is None
    assert memory.get(b"a") is not None
    assert memory.size == 3 * 1600


def test_diagnostics_cover_every_fold_and_nuisance() -> None:
    result = estimated(request("irm"), kind="irm", repetitions=2)
    frame = result.frames["nuisances"]
    assert len(frame) == 3 * 3 * 2  # nuisances, folds, repetitions
    assert set(frame["measure"]) == {"r2", "log_loss"}
    of_outcome = frame[frame["measure"] == "r2"]
    assert (of_outcome["value"] > 0.3).all()  # the outcome is mostly x1
    assert len(result.frames["repetitions"]) == 2
