"""Draws: permuted assignments and resamples, in closed form and one by one."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import t as t_distribution

from framework.cache import Cell, Job
from framework.data.prepare import Prepared
from framework.errors import EstimandError, SpecError
from framework.execute import draws as drawing
from framework.execute import placing, regrouped
from framework.execute.drawn import say_randomization
from framework.execute.estimation import estimate
from framework.panel import Panel
from framework.plan import panel_of, plan
from framework.spec.study import open_study, project_root

#: Both ways solve the same equations; only the order of sums differs.
SAME = 1e-10
N_UNITS, PERIODS = 24, range(2001, 2009)


def panel(*, unbalanced: bool = False, one_treated: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    rows = []
    for unit in range(N_UNITS):
        first = {0: 2004, 1: 2006}.get(unit % 4, 9999)
        if one_treated:
            first = 2005 if unit == 7 else 9999
        level = rng.normal()
        rows += [
            {
                "unit": f"u{unit:02d}",
                "year": year,
                "block": "east" if unit < 12 else "west",
                "first": first,
                "d": int(year >= first),
                "y": level + 0.4 * (year >= first) + rng.normal(),
                "x": level + rng.normal(),
                "z": level * year,
                "region": unit // 3,
                "w": 0.5 + rng.random(),
            }
            for year in PERIODS
        ]
    frame = pd.DataFrame(rows)
    frame["copy"] = 3 * frame["x"] + frame["year"]
    frame["west"] = (frame["block"] == "west").astype(int)
    frame["region_name"] = "r" + (frame["region"] % 3).astype(str)
    return frame.sample(frac=0.85, random_state=3) if unbalanced else frame


@pytest.fixture
def cell(tmp_path: Path) -> Any:
    def run(data: pd.DataFrame, model: dict[str, Any], **draws: Any) -> Cell:
        data.to_csv(tmp_path / "data.csv", index=False)
        study = {
            "study": "draws",
            "seed": 3,
            "data": {"source": "data.csv", "panel": {"unit": "unit", "time": "year"}},
            "model": {
                "outcome": "y",
                "treatment": "d",
                "fixed_effects": ["unit", "year"],
                "inference": {"cluster": "unit"},
                "estimator": "twfe",
                "acknowledge": ["few_treated"],
                **model,
            },
            "checks": {"a": {"b": {"draws": draws}}},
        }
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(study), encoding="utf-8")
        opened = open_study(path)
        prepared = Prepared(opened.root, project_root(opened))
        (found,) = [e for e in plan(opened) if not e.hidden]
        assert not found.problems
        prepared_panel = panel_of(opened, found, prepared)
        job = Job(
            "f", "a.b", prepared_panel.key, found.data, found.model, found.draws, 3
        )
        return estimate(job, prepared_panel)

    return run


MODELS = {
    "plain": {},
    "controls": {"controls": ["x"]},
    "coarse": {"inference": {"cluster": "region"}, "controls": ["x", "z"], "acknowledge":
        ["few_treated", "few_clusters"]},
    "alike": {"controls": ["x", "copy"]},
    "weights": {"weights": {"analytic": "w"}, "controls": ["x"]},
    "two_way": {"inference": {"cluster": ["unit", "year"]}, "acknowledge": [
        "few_treated", "few_clusters"]},
    "robust": {"inference": "hetero"},
    "pooled": {"fixed_effects": [], "controls": ["x"]},
    "trends": {"fixed_effects": [
        "unit", "year", {"slope": {"variable": "year", "by": "unit"}}]},
}  # fmt: skip


COARSE = {
    "inference": {"cluster": "region"},
    "acknowledge": ["few_treated", "few_clusters"],
}


def events(**options: Any) -> dict[str, Any]:
    first = {"first_treated": "first", "never": 9999}  # known where rows are missing
    study = {"always_treated": "keep", **options}
    return {"treatment": first, "estimator": {"event_study": study}}


#: The regressors of a draw follow from its first treated periods, or from its products.
SEVERAL = {
    "all": events(),
    "window": {**events(window=[-2, 2]), "controls": ["x"]},
    "bin": {**events(window=[-2, 2], ends="bin"), **COARSE, "controls": ["x", "z"]},
    "reference": {**events(window=[-4, 3], reference=-2), "controls": ["x", "copy"]},
    "average": {**events(window=[-3, 2]), "estimand": ["att", "by_event_time"]},
    "reference_0": {**events(reference=0), "estimand": "by_event_time"},
    "event_weights": {**events(), "weights": {"analytic": "w"}},
    "event_two_way": {**events(window=[-2, 2], ends="bin"), **MODELS["two_way"]},
    "event_jackknife": {**events(window=[-1, 1], ends="bin"), "inference": {
        "cluster": {"by": "unit", "type": "CV3"}}},
    "event_trends": {**events(window=[-2, 2], ends="bin"), **MODELS["trends"]},
    "leads": {"estimator": {"twfe": {"leads": [1, 2], "lags": [1]}}, "controls": ["x"]},
    "leads_robust": {"estimator": {"twfe": {"leads": [2]}}, "inference": "hetero"},
    "interact": {"interact": "x", "controls": ["z"]},
    "centred": {"interact": {"with": "x", "center": "mean"}, **COARSE},
    "groups": {"interact": "region_name"},
    "fixed": {"interact": {"with": "west"}, "weights": {"analytic": "w"}},
    "pooled_interact": {"interact": "x", "estimator": "ols", "fixed_effects": ["year"]},
}  # fmt: skip
#: Of a draw other rows are used, or products stand alone: estimated one by one.
ONE_BY_ONE = {
    "dropped": events(window=[-2, 2], ends="drop"),
    "alone": {"interact": {"with": "x", "main_effect": False}},
    "leads_and_interact": {"interact": "x", "estimator": {"twfe": {"leads": [1]}}},
}


@pytest.mark.parametrize("name", [*MODELS, *SEVERAL])
@pytest.mark.parametrize("unbalanced", [False, True])
def test_the_closed_form_is_the_estimation_draw_by_draw(
    name: str, unbalanced: bool, cell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = panel(unbalanced=unbalanced)
    block = {"permute": "treatment", "times": 9}
    if name in SEVERAL:
        block |= {"times": 4, "within": "block"}
    model = {**MODELS, **SEVERAL}[name]
    with monkeypatch.context() as patched:
        patched.setattr(drawing, "_each_draw", lambda *_: pytest.fail("one by one"))
        at_once = cell(data, model, **block).draws
    monkeypatch.setattr(drawing, "_at_once", lambda *_: [])
    one_by_one = cell(data, model, **block).draws
    assert at_once.pop("assignment").equals(one_by_one.pop("assignment"))
    np.testing.assert_allclose(at_once, one_by_one, rtol=SAME, atol=SAME)
    assert at_once["estimate"].nunique() >= block["times"] - 1  # one may have none


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_what_has_no_closed_form_is_estimated_draw_by_draw(
    name: str, cell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []
    at_once = drawing._at_once

    def note(*given: Any) -> Any:
        found.append(len(rows := at_once(*given)))
        return rows

    monkeypatch.setattr(drawing, "_at_once", note)
    cell(panel(), ONE_BY_ONE[name], permute="treatment", times=2)
    assert found == [0]


@pytest.mark.parametrize("name", SEVERAL)
def test_paths_by_unit_only_where_the_model_is_that(
    name: str, cell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from estimators._linear import since

    found: list[bool] = []
    plain = since.reassign_several

    def note(*given: Any) -> Any:
        numbers = plain(*given)
        found.append(numbers is not None)
        return numbers

    monkeypatch.setattr(since, "reassign_several", note)
    cell(panel(), SEVERAL[name], permute="treatment", times=2)
    by_unit = {"all", "window", "bin", "average", "reference_0", "leads"}
    assert found == ([name in by_unit] if "estimator" in SEVERAL[name] and
        SEVERAL[name]["estimator"] != "ols" else [])  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_unit_by_unit_only_where_the_model_is_that(
    name: str, cell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from estimators.twfe import Twfe

    found: list[bool] = []
    plain = Twfe.estimate_assignments

    def note(*given: Any) -> Any:
        numbers = plain(*given)
        found.append(numbers is not None)
        return numbers

    monkeypatch.setattr(Twfe, "estimate_assignments", note)
    cell(panel(), MODELS[name], permute="treatment", times=3)
    assert found == [name in {"plain", "controls", "coarse"}]


def test_every_draw_has_the_p_value_that_its_estimation_would_print(cell: Any) -> None:
    done = cell(panel(), {}, permute="treatment", times=20)
    units = done.result.scalars["n_clusters"]
    expected = 2 * t_distribution.sf(done.draws.statistic.abs(), units - 1)
    # two routines for one tail
    assert done.draws.p_value.to_numpy() == pytest.approx(expected, rel=1e-12)
    (plot,) = [p for p in done.result.plots if p.kind == "density"]
    assert plot.options["p_values"] == "p_value"


def test_a_draw_that_a_control_absorbs_has_no_number(cell: Any) -> None:
    """The control is the treatment of the true cohorts moved by one unit."""
    data = panel(one_treated=True)
    data["x"] = ((data.unit == "u09") & (data.year >= 2005)).astype(float)
    found = cell(data, {"controls": ["x"]}, permute="treatment", times="every")
    lost = found.draws[found.draws.estimate.isna()]
    assert lost.index.tolist() == [8]  # u07 is the true one and left out
    assert lost.std_error.isna().all()


@pytest.mark.parametrize("estimator", ["twfe", {"twfe": {"leads": [1]}}])
def test_draws_in_which_few_are_treated_are_draws(cell: Any, estimator: Any) -> None:
    data = panel()
    # Six of twelve treated units and three of twelve others: about 4.5 in a draw.
    number = data["unit"].str[1:].astype(int)
    data["m"] = (number % 4 < 2) & (number < 12) | (number % 8 == 3)
    data["m"] = data["m"].astype(int)
    model = {"interact": "m", "estimator": estimator, "acknowledge": []}
    found = cell(data, model, permute="treatment", times=40)
    # In one the moderator is 1 for no treated unit: that one has no number.
    assert found.draws["estimate"].isna().sum() <= 1
    assert not any("fewer than" in note for note in found.result.notes)


def test_draws_are_seeded_and_a_longer_run_begins_with_the_shorter(cell: Any) -> None:
    short = cell(panel(), {}, permute="treatment", times=5).draws
    long = cell(panel(), {}, permute="treatment", times=8).draws
    pd.testing.assert_frame_equal(short, long.head(5))


def test_cohorts_keep_their_sizes_and_blocks_their_cohorts(
    cell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Assignment-faithful: what is permuted is who, never how many or when."""
    seen: list[np.ndarray] = []
    drawn = placing.drawn

    def note(*given: Any) -> Any:
        for source in drawn(*given):
            seen.append(source)
            yield source

    monkeypatch.setattr(placing, "drawn", note)
    cell(panel(), {}, permute="treatment", times=6, within="block")
    (source,) = seen
    assert source.shape == (6, N_UNITS)
    # Units u00 to u11 are the east.
    assert (np.sort(source[:, :12], axis=1) == np.arange(12)).all()
    assert (np.sort(source[:, 12:], axis=1) == np.arange(12, 24)).all()
    assert any((source[0] != other).any() for other in source[1:])


def test_every_assignment_of_one_treated_unit(cell: Any) -> None:
    """The exact test: 23 other units could have been treated."""
    found = cell(panel(one_treated=True), {}, permute="treatment", times="every")
    assert len(found.draws) == N_UNITS - 1
    (test,) = [t for t in found.result.tests if t.name == "randomization"]
    statistic = abs(found.result.coefficients["statistic"].iloc[0])
    beyond = (found.draws["statistic"].abs() >= statistic).sum()
    assert test.p_value == (beyond + 1) / N_UNITS
    # Each donor once, and never the treated unit itself.
    assert found.draws["estimate"].nunique() == N_UNITS - 1


def test_a_column_made_from_the_treatment_is_refused(cell: Any) -> None:
    model = {"controls": [["d", "x"]]}
    with pytest.raises(SpecError, match="made from the treatment") as refused:
        cell(panel(), model, permute="treatment", times=3)
    assert refused.value.exit_code == 2
    with pytest.raises(SpecError, match="reads the treatment"):
        cell(panel(), {"sample": {"clean": "d = 0 or year < 2006"}}, permute="treatment",
             times=3)  # fmt: skip


def test_resampling_copies_are_units_of_their_own(cell: Any) -> None:
    found = cell(panel(), {}, resample="unit", times=60)
    error = found.result.scalars["std_error_resampled"]
    analytic = found.result.coefficients["std_error"].iloc[0]
    # 60 draws give the standard error to about 1/sqrt(120) = 9 %; three of those.
    assert error == pytest.approx(analytic, rel=0.3)
    assert math.isclose(error, found.draws["estimate"].std(ddof=1))


def test_under_the_null_p_values_are_uniform(cell: Any) -> None:
    """Few assignments, many outcomes without an effect: no p value is too frequent."""
    rng = np.random.default_rng(11)
    p_values = []
    for _ in range(30):
        data = panel(one_treated=True)
        data["y"] = rng.normal(size=len(data))
        found = cell(data, {}, permute="treatment", times="every")
        p_values += [t.p_value for t in found.result.tests if t.name == "randomization"]
    # Exact test: P(p <= 0.5) <= 0.5; 30 draws, binomial upper 99.9 % bound is 23.
    assert sum(p <= 0.5 for p in p_values) <= 23
    assert min(p_values) >= 1 / N_UNITS


def test_a_draw_without_a_number_counts_as_extreme() -> None:
    frame = pd.DataFrame({"statistic": [0.1, math.nan, 3.0], "estimate": [0, 0, 0]})
    row = replace_row(2.0)
    result = say_randomization(empty_result(), row, frame, {"permute": "treatment"})
    assert result.tests[0].p_value == 3 / 4


def replace_row(statistic: float) -> Any:
    from framework.expect import Row

    plain = Row(0, "d", "att", 1.0, 0.5, 2.0, 0.05, 0.0, 2.0, 0.95, math.inf)
    return replace(plain, statistic=statistic)


def empty_result() -> Any:
    from framework.result import Result

    return Result(pd.DataFrame())


def test_blocks_that_can_move_nobody_are_refused(cell: Any) -> None:
    data = panel()
    data["same"] = data["first"]
    with pytest.raises(EstimandError, match="in every 'same' all units are") as caught:
        cell(data, {}, permute="treatment", times=19, within="same")
    assert caught.value.problems[0].code == "X24"
    assert caught.value.problems[0].path == "draws.within"


def test_units_without_a_block_are_refused(cell: Any) -> None:
    data = panel()
    data.loc[data.unit == "u03", "block"] = None
    with pytest.raises(EstimandError, match="'block' is missing in 1") as caught:
        cell(data, {}, permute="treatment", times=19, within="block")
    assert caught.value.problems[0].code == "D01"


def test_permutations_are_compared_by_estimate_where_that_is_asked(cell: Any) -> None:
    model = {"inference": {"cluster": "unit"}}
    asked = {"permute": "treatment", "times": 99}
    by = {s: cell(panel(), model, statistic=s, **asked) for s in ("t", "estimate")}
    drawn = {s: held.result.frames["draws"] for s, held in by.items()}
    pd.testing.assert_frame_equal(drawn["t"], drawn["estimate"])
    for name, column in (("t", "statistic"), ("estimate", "estimate")):
        (test,) = [t for t in by[name].result.tests if t.name == "randomization"]
        ours = by[name].result.coefficients[column].iloc[0]
        beyond = int((drawn[name][column].abs() >= abs(ours)).sum())
        assert test.p_value == (beyond + 1) / 100
        assert test.statistic == ours


@pytest.mark.parametrize(
    ("draws", "what"),
    [
        ({"resample": "unit", "statistic": "t"}, "draws.statistic goes with permute"),
        (
            {"permute": "treatment", "statistic": "z"},
            "draws.statistic is t or estimate",
        ),
    ],
)
def test_a_statistic_that_is_none_is_refused(cell: Any, draws, what) -> None:
    with pytest.raises(EstimandError) as caught:
        cell(panel(), {}, times=9, **draws)
    assert what in str(caught.value)


# -- groups dealt out anew --------------------------------------------------------------


def grouped() -> pd.DataFrame:
    data = panel()
    data["rich"] = (data.unit.str[1:].astype(int) % 3 == 0).astype(int)
    return data


GROUP = {"permute": "rich", "times": 20}


def test_units_exchange_their_group_and_nothing_else() -> None:
    frame = grouped().sort_values(["unit", "year"]).reset_index(drop=True)
    made = Panel(frame, unit="unit", time="year")
    units = regrouped.units_of(made)
    blocks = [
        [i for i, u in enumerate(units) if (u < "u12") == east] for east in (1, 0)
    ]
    named: list[str] = []
    drawn = list(regrouped.regrouped(made, "rich", GROUP, blocks, 3, named))
    assert len(drawn) == 20
    true = frame.groupby("unit").rich.first()
    moved = [p.frame.groupby("unit").rich.agg(["min", "max"]) for p in drawn]
    for one, held in zip(drawn, moved, strict=True):
        others = [c for c in frame if c != "rich"]
        pd.testing.assert_frame_equal(one.frame[others], frame[others])
        assert (held["min"] == held["max"]).all()
        east = true.index < "u12"
        # within blocks the groups keep their sizes
        assert held["min"][east].sum() == true[east].sum()
        assert held["min"][~east].sum() == true[~east].sum()
    assert len({tuple(held["min"]) for held in moved}) > 10
    again = list(regrouped.regrouped(made, "rich", GROUP, blocks, 3, named))
    pd.testing.assert_frame_equal(again[7].frame, drawn[7].frame)
    assert named[0] == named[1]


def test_a_split_sample_is_estimated_on_the_groups_that_are_drawn(cell: Any) -> None:
    """Draw by draw the number of the estimation on that draw's groups."""
    data = grouped()
    few = {"acknowledge": ["few_treated", "few_clusters"]}
    whole = {v: cell(data, {"sample": only(v), **few}, **GROUP) for v in (0, 1)}
    frames = {v: held.draws for v, held in whole.items()}
    assert set(frames[0].assignment) == set(frames[1].assignment)
    assert not any(t.name == "randomization" for t in whole[0].result.tests)
    frame = data.sort_values(["unit", "year"]).reset_index(drop=True)
    made = Panel(frame, unit="unit", time="year")
    block = [list(range(N_UNITS))]
    drawn = list(regrouped.regrouped(made, "rich", GROUP, block, 3, []))
    for number in (0, 13):
        for value in (0, 1):
            model = {"sample": only(value), **few}
            found = cell(drawn[number].frame, model, times=1, permute="treatment")
            plain = found.result.coefficients.iloc[0]
            there = frames[value].iloc[number]
            assert there.estimate == pytest.approx(plain.estimate, rel=SAME)
            assert there.std_error == pytest.approx(plain.std_error, rel=SAME)


def only(value: int) -> dict[str, Any]:
    return {"group": {"only": {"column": "rich", "values": [value]}}}


def test_an_interaction_with_random_groups_is_a_randomization_test(cell: Any) -> None:
    found = cell(grouped(), {"interact": "rich"}, **GROUP)
    (test,) = [t for t in found.result.tests if t.name == "randomization"]
    assert test.null.startswith("the effect has nothing to do with 'rich'")
    beyond = (found.draws.statistic.abs() >= abs(test.statistic) * (1 - 1e-12)).sum()
    assert test.p_value == (beyond + 1) / 21


@pytest.mark.parametrize(
    ("model", "draws", "what"),
    [
        ({}, GROUP, "which neither a restriction nor interact reads"),
        ({"interact": "w"}, {"permute": "w", "times": 9}, "changes within unit"),
        ({"interact": "rich"}, {**GROUP, "times": "every"}, "can't be enumerated"),
    ],
)
def test_groups_that_cannot_be_dealt_out_are_refused(cell, model, draws, what) -> None:
    with pytest.raises(EstimandError, match=what):
        cell(grouped(), model, **draws)
