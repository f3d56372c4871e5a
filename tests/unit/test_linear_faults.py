"""Bad designs: each gives its code and words, and no estimate."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.event_study import EventStudy
from estimators.ols import Ols
from estimators.twfe import Twfe
from framework.errors import EstimandError
from framework.result import Result
from tests.build_panel import staggered
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


def twfe(data: pd.DataFrame, **changes: Any) -> Result:
    return Twfe().estimate(build_request(data, **(PANEL | changes)))


def refused(data: pd.DataFrame, plugin: Any = None, **changes: Any) -> EstimandError:
    request = build_request(data, **(PANEL | changes))
    with pytest.raises(EstimandError) as caught:
        (plugin or Twfe()).estimate(request)
    return caught.value


def codes(error: EstimandError) -> list[str]:
    return [p.code for p in error.problems]


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_tiny_samples_never_reach_the_engine(rows, monkeypatch):
    import pyfixest

    monkeypatch.setattr(
        pyfixest, "feols", lambda *a, **k: pytest.fail("the engine was called")
    )
    error = refused(staggered().iloc[:rows])
    assert "D05" in codes(error)
    assert error.exit_code == 3


def test_all_rows_singletons_is_an_error_not_an_abort():
    data = staggered().assign(row=lambda f: np.arange(len(f)))
    assert codes(refused(data, fixed_effects=["row"])) == ["D05"]


def test_more_parameters_than_rows():
    data = staggered(units=12, periods=2)
    many = {f"z{j}": np.random.default_rng(j).normal(size=24) for j in range(12)}
    error = refused(data.assign(**many), controls=list(many))
    assert codes(error)[0] == "D05"


def test_singletons_are_left_out_counted_and_said():
    data = staggered()
    data = data[(data.unit != "u007") | (data.time == 2003)]
    result = twfe(data)
    assert result.scalars["n_singletons"] == 1
    assert result.scalars["n_obs"] == len(data) - 1
    assert any("alone" in n for n in result.notes)


def test_constant_treatment():
    error = refused(staggered().query("d == 0"))
    assert "I01" in codes(error)
    assert "all 0" in str(error)


def test_absorbed_treatment_says_within_what():
    data = staggered().assign(ever=lambda f: np.isfinite(f["first"]).astype(float))
    error = refused(data, treatment="ever", cohort=None)
    assert codes(error) == ["I02"]
    assert "constant within every 'unit'" in str(error)
    assert error.exit_code == 4


@pytest.mark.parametrize("where", ["first", "last"])
def test_control_that_repeats_the_treatment(where):
    data = staggered().assign(twice=lambda f: 2 * f["d"])
    controls = ["twice", "x1"] if where == "first" else ["x1", "twice"]
    error = refused(data, controls=controls)
    assert codes(error) == ["I03"]
    assert "'twice' equals 2 x 'd'" in str(error)


def test_control_that_repeats_controls_is_left_out_with_a_note():
    data = staggered().assign(sum=lambda f: f["x1"] - 3 * f["x2"])
    result = twfe(data, controls=["x1", "x2", "sum"])
    assert list(result.coefficients.term) == ["d", "x1", "x2"]
    assert any("'sum' is left out" in n for n in result.notes)
    plain = twfe(data, controls=["x1", "x2"])
    # the same columns reach the engine, so the same bits come out
    assert result.coefficients.estimate[0] == plain.coefficients.estimate[0]


def test_control_absorbed_by_fixed_effects_is_left_out():
    data = staggered().assign(fixed=lambda f: f["unit"].str[1:].astype(float))
    result = twfe(data, controls=["fixed", "x1"])
    assert list(result.coefficients.term) == ["d", "x1"]
    assert any("constant within every 'unit'" in n for n in result.notes)


def test_sum_of_unit_and_period_effects_is_found_when_unbalanced():
    data = staggered(unbalanced=0.2)
    data["both"] = data["unit"].str[1:].astype(float) + data["time"]
    result = twfe(data, controls=["both"])
    assert list(result.coefficients.term) == ["d"]


@pytest.mark.parametrize("noise", [1e-5, 1e-6])
def test_near_copy_of_the_treatment(noise):
    rng = np.random.default_rng(1)
    data = staggered()
    data["copy"] = data["d"] + noise * rng.normal(size=len(data))
    error = refused(data, controls=["copy"])
    assert codes(error) == ["I04"]
    assert "partial R2" in str(error)


def test_noise_below_rounding_counts_as_a_copy():
    rng = np.random.default_rng(1)
    data = staggered()
    data["copy"] = data["d"] + 1e-9 * rng.normal(size=len(data))
    assert codes(refused(data, controls=["copy"])) == ["I03"]


@pytest.mark.parametrize("noise", [1e-6, 1e-7])
def test_near_copies_among_controls(noise):
    rng = np.random.default_rng(1)
    data = staggered()
    data["z"] = data["x1"] + noise * rng.normal(size=len(data))
    error = refused(data, controls=["x1", "z"])
    assert codes(error) == ["I04"]
    assert "'z'" in str(error)


def test_close_but_usable_controls_stay():
    rng = np.random.default_rng(1)
    data = staggered()
    data["e"] = rng.normal(size=len(data))
    data["z"] = data["x1"] + 1e-4 * data["e"]
    close = twfe(data, controls=["x1", "z"]).coefficients
    apart = twfe(data, controls=["x1", "e"]).coefficients
    # the same span of controls; z carries four digits of e
    assert close.estimate[0] == pytest.approx(apart.estimate[0], rel=1e-9)
    assert close.std_error[0] == pytest.approx(apart.std_error[0], rel=1e-9)


def test_many_redundant_controls_are_each_said():
    data = staggered()
    years = pd.get_dummies(data["time"], prefix="t").astype(float)
    sized = years.mul(data["x1"], axis=0).add_prefix("x1_")
    data = pd.concat([data, sized], axis=1)
    result = twfe(data, controls=["x1", *sized])
    assert len(result.coefficients) == 1 + sized.shape[1]
    assert sum("is left out" in n for n in result.notes) == 1


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("column", ["y", "x1"])
def test_values_that_are_not_numbers(value, column):
    data = staggered()
    data.loc[3, column] = value
    error = refused(data, controls=["x1"])
    assert codes(error) == ["D08"]
    assert f"'{column}'" in str(error)


def test_cohort_that_contradicts_the_treatment():
    data = staggered().assign(d=lambda f: (f["time"] > f["first"]).astype(float))
    assert codes(refused(data, EventStudy())) == ["E06"]
    assert codes(refused(data, Twfe(leads=(1,)))) == ["E06"]


def test_no_cohort():
    assert codes(refused(staggered(), EventStudy(), cohort=None)) == ["E01"]


def test_the_engines_warnings_do_not_reach_the_user():
    twfe(staggered())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        twfe(staggered(unbalanced=0.2), controls=["x1"])
        EventStudy().estimate(build_request(staggered(), **PANEL))


def test_constant_outcome():
    error = refused(staggered().assign(y=3.0))
    assert codes(error) == ["D06"]


def test_outcome_without_variation_within_units():
    data = staggered().assign(y=lambda f: f["unit"].str[1:].astype(float))
    assert codes(refused(data)) == ["D06"]


def test_outcome_that_is_the_treatment_has_no_standard_error():
    error = refused(staggered().assign(y=lambda f: 2.0 * f["d"]))
    assert error.exit_code == 5
    assert codes(error) == ["N01"]


def test_one_cluster_can_not_be_acknowledged_away():
    data = staggered().assign(one="a")
    error = refused(data, clusters=["one"], acknowledge=frozenset({"few_clusters"}))
    assert codes(error) == ["I05"]


def test_few_clusters_need_a_word():
    data = staggered().assign(four=lambda f: f["unit"].str[-1].astype(int) % 4)
    error = refused(data, clusters=["four"])
    assert codes(error) == ["I05"]
    assert error.problems[0].acknowledge == "few_clusters"
    result = twfe(data, clusters=["four"], acknowledge=frozenset({"few_clusters"}))
    assert result.scalars["df_t"] == 3


def test_few_clusters_refuse_the_joint_test():
    data = staggered().assign(four=lambda f: f["unit"].str[-1].astype(int) % 4)
    request = build_request(
        data,
        **(PANEL | {"clusters": ["four"], "acknowledge": frozenset({"few_clusters"})}),
    )
    result = Twfe(leads=(1, 2, 3), lags=(1, 2)).estimate(request)
    found = EventStudy().estimate(request)
    (test,) = found.tests
    assert "I06" in test.reason
    assert test.p_value is None
    assert result.tests[0].name == "joint_leads"


def test_few_treated_units():
    data = staggered()
    few = data[(data["first"] == np.inf) | (data["unit"] < "u002")]
    error = refused(few)
    assert codes(error) == ["I08"]
    assert "2 treated" in str(error)
    assert "permute" in str(error)
    result = twfe(few, acknowledge=frozenset({"few_treated"}))
    assert any("too small" in n for n in result.notes)


def moderated(some: int) -> pd.DataFrame:
    """A 0/1 moderator that is 1 for `some` treated units and half of the others."""
    data = staggered(units=60)
    number = data["unit"].str[1:].astype(int)
    treated = np.unique(number[data["first"] < np.inf])
    mark = np.where(data["first"] < np.inf, number.isin(treated[:some]), number % 2)
    return data.assign(m=mark, product=data["d"] * mark, half=mark - 0.5)


INTERACTED: dict[str, Any] = {"judged": ["product"], "moderators": ["m"]}


@pytest.mark.parametrize(("some", "where"), [(4, "is 1"), (-4, "is 0")])
def test_an_interaction_that_rests_on_few_treated_units(some, where):
    error = refused(moderated(some), **INTERACTED)
    (problem,) = error.problems
    assert (problem.code, problem.acknowledge) == ("I08", "few_treated")
    assert problem.what.startswith("4 treated clusters of ")
    assert f"where 'product' {where}" in problem.what
    told = twfe(moderated(some), **INTERACTED, acknowledge=frozenset({"few_treated"}))
    assert any(note.startswith(problem.what.split(" (")[0]) for note in told.notes)
    enough = twfe(moderated(5 if some > 0 else -5), **INTERACTED)
    assert not any("too small by far" in note for note in enough.notes)


def test_a_centred_moderator_compares_the_same_groups():
    data = moderated(4).assign(product=lambda f: f["d"] * f["half"])
    error = refused(data, judged=["product"], moderators=["half"])
    assert "4 treated clusters" in str(error)
    assert "where 'product' is 0.5" in str(error)


def test_another_treatment_is_not_counted_by_the_first_ones_treated():
    data = moderated(5)
    number = data["unit"].str[1:].astype(int)
    late, never = data["time"] >= 2005, data["first"] == np.inf
    treated = np.unique(number[~never])
    both = number.isin(treated[[0, 1, 2, -3, -2, -1]]) | never & (number % 4 < 3)
    other = (both & late).astype(float)
    data = data.assign(e=other, second=other * data["m"])
    assert data["second"].max() == 1
    few = data.loc[(data["d"] * data["second"]) == 1, "unit"].nunique()
    assert few < 5 <= data.loc[data["second"] == 1, "unit"].nunique()
    found = twfe(
        data,
        treatment=["d", "e"],
        judged=["product", "second"],
        moderators=["m"],
    )
    assert {"product", "second"} <= set(found.coefficients["term"])
    data = data.assign(product=moderated(4)["product"], m=moderated(4)["m"])
    data["second"] = data["e"] * data["m"]
    error = refused(
        data,
        treatment=["d", "e"],
        judged=["product", "second"],
        moderators=["m"],
    )
    (problem,) = error.problems
    assert "4 treated clusters" in problem.what
    assert "'product' is 1" in problem.what


def test_a_product_without_its_main_effect_is_compared_with_no_treated():
    data = moderated(-4)
    alone = {"treatment": "d", "judged": ["product"], "moderators": []}
    twfe(data, **alone)
    assert codes(refused(moderated(4), **alone)) == ["I08"]


def test_a_moderator_that_is_a_number_has_no_groups():
    data = staggered(units=60)
    number = data["unit"].str[1:].astype(float)
    twfe(data.assign(m=number, product=data["d"] * number), **INTERACTED)


def test_every_group_of_a_moderator_needs_treated_units():
    data = moderated(8)
    third = data["unit"].isin(np.unique(data["unit"][data["first"] < np.inf])[-3:])
    data = data.assign(
        third=third.astype(float), other=data["d"] * third, product=data["product"]
    )
    error = refused(data, judged=["product", "other"], moderators=["m", "third"])
    assert "3 treated clusters" in str(error)
    assert "where 'other' is 1" in str(error)


def test_rows_as_clusters_are_flagged():
    data = staggered().assign(row=lambda f: np.arange(len(f)))
    result = twfe(data, clusters=["row"])
    assert any("I07" in n for n in result.notes)


def test_sampling_weights_need_robust_errors():
    data = staggered()
    error = refused(data, weights=("probability", "w"), inference="iid", clusters=[])
    assert codes(error) == ["I09"]


def test_zero_weight_and_broken_copies():
    data = staggered()
    zero = data.assign(w=data["w"].where(data["time"] > 2000, 0.0))
    assert codes(refused(zero, weights=("analytic", "w"))) == ["D03"]
    half = data.assign(w=data["w"] + 0.5)
    assert codes(refused(half, weights=("frequency", "w"))) == ["D03"]


def test_several_faults_come_in_one_pass():
    data = staggered().assign(y=1.0, d=0.0, w=-1.0)
    error = refused(data, weights=("analytic", "w"))
    assert sorted(codes(error)) == ["D03", "D06", "I01"]


def test_duplicate_rows_with_newey_west():
    data = pd.concat([staggered(), staggered().iloc[:3]])
    error = refused(data, inference="newey_west", clusters=[])
    assert codes(error) == ["I09"]


def test_covariance_that_is_not_the_engines_is_not_printed(monkeypatch):
    from estimators._linear import covariance

    monkeypatch.setattr(covariance, "parameters", lambda *a: 5)
    error = refused(staggered())
    assert codes(error) == ["N03"]
    assert error.exit_code == 5


def test_event_study_without_rows_at_the_reference():
    error = refused(staggered(), EventStudy(reference=-9))
    assert codes(error) == ["E02"]


def test_event_study_without_never_treated():
    data = staggered().query("first < inf")
    error = refused(data, EventStudy())
    assert codes(error) == ["E04"]
    binned = EventStudy(window=(-3, 2), ends="bin").estimate(
        build_request(data, **PANEL)
    )
    assert any("end points" in n for n in binned.notes)


def test_event_study_with_unit_trends():
    error = refused(staggered(), EventStudy(), slopes=[("time", "unit")])
    assert codes(error) == ["E04"]
    assert "time by unit" in str(error)
    request = build_request(staggered(), **(PANEL | {"slopes": [("time", "unit")]}))
    result = EventStudy(window=(-3, 1), ends="bin").estimate(request)
    assert len(result.coefficients) == 4


def test_always_treated_must_be_decided():
    data = staggered()
    data.loc[data.unit == "u001", ["first", "d"]] = [1999.0, 1.0]
    error = refused(data, EventStudy())
    assert codes(error) == ["E05"]
    assert "1 unit is treated" in str(error)
    dropped = EventStudy(always_treated="drop").estimate(build_request(data, **PANEL))
    without = EventStudy().estimate(build_request(data[data.unit != "u001"], **PANEL))
    # identical rows reach the engine
    assert np.array_equal(dropped.coefficients.estimate, without.coefficients.estimate)


def test_reference_within_anticipation():
    error = refused(staggered(), EventStudy(reference=-1), anticipation=1)
    assert codes(error) == ["E07"]
    assert "-2" in error.problems[0].fix


def test_the_period_before_anticipation_outside_the_window():
    error = refused(staggered(), EventStudy(window=(-2, 3)), anticipation=2)
    assert codes(error) == ["E02"]
    assert error.problems[0].fix == "estimator.window: [-3, 3]"


@pytest.mark.parametrize(
    "options",
    [
        {"window": (3, -3)},
        {"window": (-3, 3), "reference": 5},
        {"ends": "bin"},
    ],
)
def test_event_study_options_that_contradict(options):
    with pytest.raises(ValueError, match="window"):
        EventStudy(**options)


@pytest.mark.parametrize("options", [{"leads": [0]}, {"leads": [1, 1]}, {"lead": [1]}])
def test_twfe_options_that_contradict(options):
    with pytest.raises(ValueError, match="lead"):
        Twfe(**options)


def test_leads_need_a_panel():
    data = staggered()
    request = build_request(
        data,
        outcome="y",
        treatment="d",
        kind="cross_section",
        inference="hetero",
    )
    with pytest.raises(EstimandError) as caught:
        Twfe(leads=(1,)).estimate(request)
    assert codes(caught.value) == ["I10"]


def test_ols_reports_the_constant_and_survives_a_constant_control():
    data = staggered().assign(one=1.0)
    request = build_request(
        data,
        outcome="y",
        treatment="d",
        kind="cross_section",
        controls=["one"],
        inference="hetero",
    )
    result = Ols().estimate(request)
    assert list(result.coefficients.term) == ["d", "constant"]
    assert any("constant in the sample" in n for n in result.notes)
