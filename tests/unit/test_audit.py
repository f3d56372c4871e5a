"""Every rule of the audit: it finds what is planted, and an honest paper passes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from framework.audit import RULES
from framework.claims import Claim, Claims, Preparation, Sample, read_claims
from framework.commands import findings_shown
from framework.commands.line import main
from framework.errors import EXPECTATION_FAILED, OK, EstimandError
from framework.spec.loader import loads
from tests.build_audit import STUDY, Paper, put


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Paper:
    folder = tmp_path_factory.mktemp("audit")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return Paper.honest(folder)


@pytest.fixture
def paper(honest: Paper, monkeypatch: pytest.MonkeyPatch) -> Paper:
    monkeypatch.chdir(honest.folder)
    return honest.copy()


def test_an_honest_paper_raises_no_alarm(paper: Paper) -> None:
    audit = paper.audit()
    assert audit.alarms == ()
    confirmed = {f.rule for f in audit.findings if f.severity == "confirmed"}
    assert confirmed >= {
        "stars", "notes", "shown", "descriptives", "samples", "r_squared", "moderators",
        "event_window", "anticipation", "decomposition", "instruments",
        "autocorrelation", "spillover", "effects", "controls", "filled",
    }  # fmt: skip


def test_every_finding_says_what_where_why_and_by_which_number(paper: Paper) -> None:
    for finding in paper.audit().findings:
        assert finding.proof
        assert finding.reason.endswith(".")
        assert finding.printed
        assert finding.computed
        assert finding.address


def moments(paper: Paper, variable: str, row: dict[str, str]) -> None:
    for name, text in row.items():
        paper.put(f"descriptive.summary.{name}[{variable}]", text)


# -- printed numbers alone --------------------------------------------------------------


@pytest.mark.parametrize("stars", ["", "*", "**"])
def test_stars_that_the_t_statistic_does_not_give(paper: Paper, stars: str) -> None:
    text = paper.at("main.both.d")
    assert "***" in text
    (found,) = paper.put("main.both.d", text.replace("***", stars)).alarms("stars")
    assert found.severity == "impossible"
    assert found.address == "main.both.d"
    assert "3 stars" in found.computed


def test_a_t_statistic_in_the_place_of_the_standard_error(paper: Paper) -> None:
    """The field prints both in round brackets; the reader is told which fits."""
    (found,) = paper.put("main.both.d", "0.0638** (2.50)").alarms("stars", data=False)
    assert "brackets hold a t statistic" in found.reason
    (other,) = paper.put("main.both.d", "0.0638*** (0.40)").alarms("stars", data=False)
    assert "t statistic" not in other.reason


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("d", "-0.0638** (-2.50)"),
        ("d", "0.0638 [1.70]"),
        ("r2", "1.2"),
        ("r2", "-0.30"),
        ("n_obs", "-320"),
        ("n_obs", "320.5"),
    ],
)
def test_numbers_that_nothing_can_give(paper: Paper, name: str, text: str) -> None:
    found = paper.put(f"main.both.{name}", text).audit(data=False).alarms
    assert [(f.address, f.severity) for f in found if f.rule == "bounds"] == [
        (f"main.both.{name}", "impossible")
    ]


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ("main.both.d", "0.06*** (0.00)"),
        ("main.both.d", "0.0 [1.0]"),
        ("main.both.r2", "1.00"),
        ("iv.z.r2", "-0.03"),
    ],
)
def test_numbers_at_their_bounds(paper: Paper, at: str, text: str) -> None:
    found = paper.put(at, text).audit(data=False).alarms
    assert not [f for f in found if f.rule == "bounds"]


def test_a_number_that_the_text_repeats_wrongly(paper: Paper) -> None:
    text = paper.at("main.both.d").split("*")[0]
    assert paper.say("main.both.d", value=text).alarms("words", data=False) == []
    paper.say("main.both.d", value="0.1076")
    (found,) = paper.alarms("words", data=False)
    assert "0.1076" in found.proof


def test_a_level_that_the_number_does_not_reach(paper: Paper) -> None:
    paper.put("main.more.x2", "0.1076* (0.0618)")
    (found,) = paper.say("main.more.x2", significant=0.01, where="section 4").alarms(
        "words"
    )
    assert found.severity == "inconsistent"
    assert found.proof.startswith("p ≥ 0.08")
    assert found.where == "section 4"
    paper.printed["claims"]["said"]["main.more.x2"]["significant"] = 0.10
    assert paper.alarms("words") == []


def test_a_range_that_leaves_printed_numbers_out(paper: Paper) -> None:
    paper.say("moran.by_year", range=["-0.001", "0.001"])
    (found,) = paper.alarms("words")
    assert "lie outside" in found.computed
    paper.say("moran.by_year", range=["-0.9", "0.9"])
    assert paper.alarms("words") == []


def test_a_note_that_defines_marks_otherwise(paper: Paper) -> None:
    paper.printed["claims"]["notes"]["main"] = {"***": 0.01, "*": 0.05}
    paper.put("main.more.x2", "0.1000** (0.0450)")
    (found,) = paper.alarms("notes")
    assert "1 numbers carry **" in found.computed
    assert "* is 0.05 here and 0.1 elsewhere" in found.computed


def claiming(folder: Path, moments: dict[str, str], **claims: object) -> Paper:
    return Paper(
        folder,
        {"descriptive": {"summary": {"n_obs": "320", **moments}}, "claims": claims},
    )


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["(2)", "(2)", "(3)"], "(2) stands over 2 columns; (1) over none"),
        (["y", "y"], "y stands over 2 columns"),
    ],
)
def test_a_label_over_two_columns(tmp_path: Path, labels: list[str], said: str) -> None:
    paper = claiming(tmp_path, {}, headers={"main": labels})
    (found,) = paper.alarms("headers", data=False)
    assert (found.severity, found.computed) == ("inconsistent", said)
    paper.printed["claims"]["headers"] = {"main": ["(1)", "(2)", "y"]}
    assert paper.alarms("headers", data=False) == []


#: Savings a head; the text says dollars. Known: half a year's income to ten of them.
SAVINGS = {
    "logged": True,
    "over": "descriptive.summary.mean[income]",
    "said": "dollars",
    "units": {"dollars": 1, "cents": 0.01},
    "measure": "years of income",
    "between": [0.5, 10],
    "known": "national accounts",
}


@pytest.mark.parametrize(
    ("printed", "change", "severity", "proof"),
    [
        # exp(10.9 - 10.2) = 2.01; exp(14.8 - 10.2) = 99.5.
        ("10.90", {}, "confirmed", "2.01 against 0.5 to 10 years of income"),
        ("14.80", {}, "doubtful", "99.5 against 0.5 to 10 years of income"),
        ("14.80", {"said": "cents"}, "confirmed", "0.995 against"),
        ("14.80", {"said": ""}, "cannot be judged", "fits as cents"),
        ("99.00", {"said": ""}, "cannot be judged", "fits as none of them"),
    ],
)
def test_a_number_of_another_size_than_its_unit_has(
    tmp_path: Path, printed: str, change: dict[str, str], severity: str, proof: str
) -> None:
    address = "descriptive.summary.mean[savings]"
    moments = {"mean[savings]": printed, "mean[income]": "10.20"}
    paper = claiming(tmp_path, moments, magnitudes={address: SAVINGS | change})
    (found,) = [f for f in paper.audit(data=False).findings if f.rule == "magnitudes"]
    assert found.severity == severity
    assert proof in found.proof
    assert "national accounts" in found.computed


def test_rounding_alone_is_of_the_right_size(tmp_path: Path) -> None:
    size = {"units": {"share": 1}, "said": "share", "measure": "of all",
            "between": [0.36, 1], "known": "a census"}  # fmt: skip
    for printed, alarms in (("0.4", 0), ("0.35", 1)):  # 0.4 may have been 0.36
        paper = claiming(
            tmp_path,
            {"mean[x]": printed},
            magnitudes={"descriptive.summary.mean[x]": size},
        )
        assert len(paper.alarms("magnitudes", data=False)) == alarms


LIST = "zone,unit,month\nAB,AB,2019-01\nC county,CD,2019-01\nEF,EF (north),2020-02\n"


def test_an_entry_of_the_list_that_is_no_unit_of_the_panel(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(LIST, encoding="utf-8")
    treated = {"file": "list.csv", "entry": "zone", "unit": "unit", "batch": "month"}
    paper = claiming(
        tmp_path, {}, treated=treated | {"batches": 2}, sample={"treated_units": 3}
    )
    (found,) = paper.alarms("treated", data=False)
    assert found.severity == "inconsistent"
    assert found.computed.endswith("C county at CD")
    assert found.proof == "1 of 3 entries"
    counts = [f for f in paper.audit(data=False).findings if f.severity == "confirmed"]
    assert "3 entries at 3 units, 2 dates of approval" in [f.computed for f in counts]
    paper.printed["claims"]["treated"]["batches"] = 3
    said, _ = paper.alarms("treated", data=False)
    assert said.proof == "3 units, 2 dates"


@pytest.mark.parametrize(
    ("change", "said"),
    [({"file": "no.csv"}, "no.csv"), ({"entry": "zoen"}, "no column zoen")],
)
def test_a_list_that_cannot_be_read_is_not_judged(
    tmp_path: Path, change: dict[str, str], said: str
) -> None:
    (tmp_path / "list.csv").write_text(LIST, encoding="utf-8")
    treated = {"file": "list.csv", "entry": "zone", "unit": "unit"} | change
    paper = claiming(tmp_path, {}, treated=treated)
    (found,) = [f for f in paper.audit(data=False).findings if f.rule == "treated"]
    assert found.severity == "cannot be judged"
    assert said in found.computed


def test_a_matrix_without_numbers_and_tests_that_are_not_shown(paper: Paper) -> None:
    (found,) = paper.say("effects", matrices=["near", "far"]).alarms("shown")
    assert found.proof == "1 of 2 matrices"
    paper.say("effects", matrices=["near"], rests_on=["hausman"])
    hidden = [f for f in paper.audit().findings if f.rule == "shown"]
    assert {f.severity for f in hidden} == {"confirmed", "cannot be judged"}


@pytest.mark.parametrize(
    ("name", "text", "computed"),
    [
        ("sd", "0.9000", "no count of ones"),
        ("mean", "0.4000", "no count of ones"),
    ],
)
def test_a_switch_without_its_standard_deviation(
    paper: Paper, name: str, text: str, computed: str
) -> None:
    paper.put(f"descriptive.summary.{name}[d]", text)
    found = paper.alarms("descriptives", data=False)
    assert all(f.severity == "impossible" for f in found)
    assert any(computed in f.computed for f in found)


def test_a_spread_that_the_extremes_do_not_allow(paper: Paper) -> None:
    row = {"mean": "1.0", "sd": "3.1", "min": "0.0", "max": "5.0"}
    moments(paper, "x1", row)
    (found,) = paper.alarms("descriptives", data=False)
    assert "sd is at most" in found.computed
    moments(paper, "x1", row | {"sd": "2.0"})
    assert paper.alarms("descriptives", data=False) == []
    moments(paper, "x1", row | {"sd": "2.0", "mean": "6.0"})
    assert paper.alarms("descriptives", data=False)[0].computed.startswith(
        "the mean lies"
    )


def test_extremes_that_winsorizing_does_not_leave(paper: Paper) -> None:
    row = {"mean": "0.00", "sd": "1.00", "min": "-2.00", "max": "2.50"}
    moments(paper, "x1", row)
    assert paper.alarms("descriptives", data=False) == []
    moments(paper, "x1", row | {"max": "8.00"})
    (found,) = paper.alarms("descriptives", data=False)
    assert found.severity == "doubtful"
    # Above sqrt(.99 / .01) = 9.9 standard deviations.
    moments(paper, "x1", row | {"max": "12.00"})
    (found,) = paper.alarms("descriptives", data=False)
    assert found.severity == "impossible"
    del paper.printed["claims"]["data"]["winsorized"]
    assert paper.alarms("descriptives", data=False) == []


def test_the_logarithm_of_a_share_is_never_above_zero(paper: Paper) -> None:
    row = {"mean": "0.60", "sd": "0.14", "min": "0.25", "max": "0.99"}
    moments(paper, "x1", row)
    paper.printed["claims"]["variables"]["x1"] = "share"
    assert paper.alarms("descriptives", data=False) == []
    paper.printed["claims"]["data"]["logged"] = ["x1"]
    (found,) = paper.alarms("descriptives", data=False)
    assert found.severity == "impossible"


def test_r2_that_falls_with_more_regressors(paper: Paper) -> None:
    found = paper.put("main.more.r2", "0.7000").alarms("r_squared", data=False)
    assert {f.address for f in found} == {"main.more.r2"}
    assert {f.severity for f in found} == {"inconsistent"}


def test_r2_of_two_kinds(paper: Paper) -> None:
    found = paper.put("leads.ahead.r2", "0.0117").alarms("r_squared", data=False)
    assert [f.severity for f in found] == ["doubtful"]


def test_a_result_that_repeats_in_another_column(paper: Paper) -> None:
    paper.put("main.more.d", paper.at("main.both.d"))
    # R2 and a control still tell the columns apart: it may be chance.
    assert paper.alarms("repeats", data=False) == []
    for name in ("x1", "r2"):
        paper.put(f"main.more.{name}", paper.at(f"main.both.{name}"))
    (found,) = paper.alarms("repeats", data=False)
    assert found.severity == "doubtful"
    assert "2 columns" in found.proof


def test_effects_that_do_not_add_up(paper: Paper) -> None:
    paper.put("effects.total.d", "9.0000*** (0.1000)")
    found = paper.audit(data=False).alarms
    assert {(f.rule, f.severity) for f in found} >= {
        ("effects", "impossible"), ("effects", "inconsistent"),
    }  # fmt: skip


def test_a_standard_error_outside_the_triangle(paper: Paper) -> None:
    estimate = paper.at("effects.total.d").split("(")[0].rstrip(" *")
    paper.put("effects.total.d", f"{estimate} (9.0000)")
    found = paper.alarms("effects", data=False)
    assert any("outside" in f.computed for f in found)


def test_an_effect_larger_than_the_outcome(paper: Paper) -> None:
    paper.put("descriptive.summary.sd[y]", "0.1000")
    found = paper.audit(data=False).alarms
    assert ("effects", "doubtful") in {(f.rule, f.severity) for f in found}


# -- with the design and the data -----------------------------------------------------


def test_an_n_that_no_declared_sample_has(paper: Paper) -> None:
    (found,) = paper.put("main.more.n_obs", "319").alarms("samples")
    assert "no declared sample has 319" in found.computed
    assert found.proof == "319 against 320"


def test_an_n_of_another_period_than_the_text_says(paper: Paper) -> None:
    paper.printed["claims"]["sample"]["periods"] = [2001, 2007]
    (found,) = paper.alarms("samples")
    assert found.proof == "320 > 280"
    assert "40 × 8 periods" in found.computed


def test_another_number_of_treated_units(paper: Paper) -> None:
    paper.printed["claims"]["sample"]["treated_units"] = 3
    (found,) = paper.alarms("samples")
    assert found.proof.endswith("of 3")


def test_a_moderator_group_without_treated_units(paper: Paper) -> None:
    put(paper.printed, "groups.whole", paper.twin)
    paper.say("groups.whole", moderator="all", larger_than="main.both.d")
    found = [f for f in paper.audit().alarms if f.rule == "moderators"]
    assert [f.severity for f in found] == ["impossible"]
    assert found[0].proof == "0 treated units with all = 0"


def test_an_interaction_that_is_the_treatment(paper: Paper) -> None:
    # `groups.whole` is d x all, and every treated unit has all = 1.
    put(paper.printed, "groups.whole", paper.twin)
    assert paper.at("groups.whole.whole") == paper.at("main.both.d")
    found = [f for f in paper.audit().findings if f.rule == "repeats"]
    assert [f.severity for f in found] == ["inconsistent"]


@pytest.mark.parametrize(("own", "alarm"), [("0.2000", True), ("3.9000", False)])
def test_a_group_said_to_gain_more(paper: Paper, own: str, alarm: bool) -> None:
    paper.put("groups.split.product", f"{own}*** (0.0100)")
    paper.put("main.both.d", "1.0000*** (0.0100)")
    paper.say("groups.split", larger_than="main.both.d")
    found = [f for f in paper.audit().findings if f.rule == "moderators"]
    assert any("opposite" in f.reason for f in found) is alarm


@pytest.mark.parametrize(
    ("claim", "severity", "proof"),
    [
        ({"base_period": 0}, "inconsistent", "k = 0 ≥ 0"),
        ({"window": [-4, 4]}, "impossible", "at k = 4"),
        ({"event_times": [-2, -1, 0]}, "impossible", "k = -1 stands in both lists"),
        ({"window": [-6, 3]}, "doubtful", "at k = -6"),
    ],
)
def test_event_studies_that_the_design_does_not_give(
    paper: Paper, claim: dict[str, object], severity: str, proof: str
) -> None:
    (found,) = paper.say("events.study", **claim).alarms("event_window")
    assert found.severity == severity
    assert proof in found.proof


def test_no_anticipation_without_leads(paper: Paper) -> None:
    del paper.printed["leads"]["ahead"]["d[-1]"]
    (found,) = paper.alarms("anticipation")
    assert "no coefficient of a lead is printed" in found.computed
    assert "the leads are" in found.computed  # on the study's data


def test_no_anticipation_against_a_significant_lead(paper: Paper) -> None:
    paper.put("leads.ahead.d[-1]", "0.9000*** (0.1000)")
    (found,) = paper.alarms("anticipation")
    assert found.severity == "inconsistent"


def test_comparisons_that_sum_to_something_else(paper: Paper) -> None:
    paper.say("bacon.weights", decomposes="main.pooled.d")
    (found,) = paper.alarms("decomposition")
    assert found.severity == "inconsistent"
    assert "which has controls" in found.reason


def test_weights_that_the_design_does_not_give(paper: Paper) -> None:
    paper.put("bacon.weights.weight_treated_vs_never", "0.999")
    found = paper.alarms("decomposition")
    assert any("coded otherwise" in f.reason for f in found)


def test_weights_by_direction_of_a_decomposition_with_controls(paper: Paper) -> None:
    study = STUDY.replace(
        "weights: {estimator: goodman_bacon, controls: []}",
        "weights: {estimator: goodman_bacon}",
    )
    assert study != STUDY
    paper.put("bacon.weights.weight_earlier_vs_later", "0.100")
    found = [
        f
        for f in paper.audit(study=study).findings
        if f.rule == "decomposition" and f.basis == "design"
    ]
    assert [f.severity for f in found] == ["cannot be judged"]
    assert "earlier vs later" in found[0].computed


def test_an_instrument_that_contains_the_treatment(paper: Paper) -> None:
    study = STUDY.replace("instruments: [z]}}", "instruments: [zd]}}")
    paper.printed["iv"]["z"] = {"d": "1.0000*** (0.1000)"}
    (found,) = paper.alarms("instruments", study=study)
    # The text describes another one: what the line has is a guess.
    assert found.severity == "doubtful"
    assert "the text describes z" in found.printed
    del paper.printed["claims"]["said"]["iv.z"]
    paper.say("iv.z", instruments=["zd"], where="section 5")
    (found,) = paper.alarms("instruments", study=study)
    assert found.severity == "inconsistent"
    assert "in all" in found.computed


def test_a_first_stage_that_the_design_does_not_give(paper: Paper) -> None:
    del paper.printed["iv"]["z"]["first_stage[z]"]
    paper.put("iv.z.kleibergen_paap_f", "29662.25")
    (found,) = paper.alarms("instruments")
    assert found.proof.startswith("29662.25 against")
    assert "z × d gives" in found.computed


def test_an_f_that_is_not_the_square_of_its_t(paper: Paper) -> None:
    paper.put("iv.z.first_stage[z]", "0.0500*** (0.0010)")
    (found,) = paper.alarms("instruments")
    assert found.reason.endswith("squared.")


def test_a_spatial_statistic_that_its_matrix_does_not_give(paper: Paper) -> None:
    for period in range(2000, 2008):
        paper.put(f"moran.by_year.I[{period}]", "0.020 [0.000]")
    (found,) = paper.alarms("autocorrelation")
    assert found.severity == "impossible"
    assert "near" in found.computed
    assert "far" in found.computed
    assert "8 of 8" in found.reason


def test_a_spillover_with_the_error_of_another_matrix(paper: Paper) -> None:
    estimate = paper.at("spatial.durbin.W × d").split("(")[0].rstrip(" *")
    paper.put("spatial.durbin.W × d", f"{estimate} (9.0000)")
    (found,) = paper.alarms("spillover")
    assert found.proof.startswith("9.0000 against")


def test_controls_that_the_treatment_moves(paper: Paper) -> None:
    study = STUDY.replace("steps:\n", "steps:\n    moved: {derive: x2 + 3 * d}\n")
    study = study.replace("controls: [x1]\n", "controls: [x1, moved]\n")
    paper.printed = {"claims": {}, "main": {"both": {"n_obs": "320"}}}
    (found,) = paper.alarms("controls", study=study)
    assert "moved" in found.computed
    assert "x1" not in found.proof


def test_gaps_filled_across_adoption(paper: Paper, tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.read_csv(paper.folder / "data.csv")
    first = frame.index[frame["d"] == 1][0]
    frame.loc[first, "x1"] = float("nan")
    (tmp_path / "runs").mkdir()
    frame.to_csv(tmp_path / "data.csv", index=False)
    other = Paper(tmp_path, {"claims": {"data": {"interpolated": True}}})
    other.put("main.both.n_obs", "320")
    (found,) = other.alarms("filled")
    assert found.proof == "1 cells"


SCORES = """\
study: scores
data:
  source: data.csv
  panel: {unit: unit, time: time}
  steps:
    score: {sbm: {inputs: [land], outputs: [gdp, income], returns: RETURNS, frontier: pooled}}
model: {outcome: score, treatment: d, fixed_effects: [unit, time], inference: {cluster: unit},
  estimator: twfe}
checks: {main: {both: {}}}
published: published.json.yaml
"""


@pytest.mark.parametrize(
    ("returns", "alarm"), [("constant", True), ("variable", False)]
)
def test_outputs_per_head_under_constant_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, returns: str, alarm: bool
) -> None:
    import numpy as np

    from tests.build_panel import staggered

    monkeypatch.chdir(tmp_path)
    frame = staggered(seed=1, units=20, periods=6)
    rng = np.random.default_rng(2)
    size = np.exp(rng.normal(size=20))[frame["unit"].str[1:].astype(int)]
    effort = np.exp(0.2 * rng.normal(size=len(frame)))
    frame = frame.assign(population=size, land=size, gdp=size * effort)
    frame["income"] = size * effort * np.exp(0.1 * rng.normal(size=len(frame)))
    frame.to_csv(tmp_path / "data.csv", index=False)
    paper = Paper(
        tmp_path, {"claims": {"variables": {"income": {"per": "population"}}}}
    )
    paper.put("main.both.n_obs", "120")
    found = paper.alarms("scores", study=SCORES.replace("RETURNS", returns))
    assert len(found) == alarm
    if alarm:
        own, changed = map(float, re.findall(r"-?\d\.\d\d", found[0].proof))
        # By construction efficiency does not depend on size; divided outputs fall with it.
        assert changed < own - 0.1


SIZE = {"units": {"km": 1}, "measure": "km", "between": [0, 1], "known": "a map"}


# -- without data, with faults, as a command ----------------------------------------------


def test_without_data_printed_numbers_are_judged_all_the_same(tmp_path: Path) -> None:
    paper = Paper(tmp_path, {"main": {"both": {"d": "0.1076*** (0.0618)"}}})
    audit = paper.audit()  # there is no data.csv
    assert [f.rule for f in audit.alarms] == ["stars"]
    assert "data.csv" in audit.no_data


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"said": {"main.bth": {"value": "1"}}}, "main.both"),
        ({"said": {"main.both": {"decomposes": "main.both.e"}}}, "main.both.d"),
        ({"said": {"main.both": {"matrices": ["nar"]}}}, "near"),
        ({"notes": {"mian": {"*": 0.1}}}, "main"),
        ({"said": {"main.both.d": {"value": 0.1}}}, "X31"),
        ({"said": {"main.both.d": {"significant": 5}}}, "X31"),
        ({"said": {"main.both.d": {"sigificant": 0.05}}}, "X31"),
        ({"sampel": {}}, "X31"),
        ({"sample": {"periods": [2023, 2015]}}, "2023 is above 2015"),
        ({"said": {"main.both": {"window": [5, -5]}}}, "5 is above -5"),
        ({"said": {"main.both": {"range": ["0.2", "0.1"]}}}, "0.2 is above 0.1"),
        ({"stars": [0.01, 0.05, 0.10]}, "largest level"),
        ({"notes": {"main": {"a": 0.1}}}, "X31"),
        ({"headers": {"mian": ["(1)"]}}, "main"),
        ({"magnitudes": {"main.both.e": SIZE}}, "main.both.d"),
        (
            {"magnitudes": {"main.both.d": SIZE | {"over": "main.both.e"}}},
            "main.both.d",
        ),
        (
            {"magnitudes": {"main.both.d": SIZE | {"said": "miles"}}},
            "none of the units",
        ),
        ({"magnitudes": {"main.both.d": SIZE | {"between": [2, 1]}}}, "above"),
        ({"treated": {"file": "list.csv"}}, "X31"),
    ],
)
def test_slips_in_claims_are_problems(
    tmp_path: Path, claims: dict[str, object], said: str
) -> None:
    paper = Paper(tmp_path, {"main": {"both": {"d": "0.1 (0.2)"}}, "claims": claims})
    with pytest.raises(EstimandError) as caught:
        paper.audit(data=False)
    assert said in str(caught.value)
    assert "published" in str(caught.value)


def test_all_slips_at_once(tmp_path: Path) -> None:
    claims = {"stars": ["x"], "sampel": 1, "said": {"main": {"window": 3}}}
    paper = Paper(tmp_path, {"main": {"both": {"d": "n.a."}}, "claims": claims})
    with pytest.raises(EstimandError) as caught:
        paper.audit(data=False)
    assert len(caught.value.problems) == 4


def test_a_study_without_printed_numbers_has_nothing_to_audit(tmp_path: Path) -> None:
    with pytest.raises(EstimandError, match="no printed numbers"):
        Paper(tmp_path, {}).audit(data=False)


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paper = Paper(tmp_path, {"main": {"both": {"d": "0.1076*** (0.0618)"}}})
    paper.write(STUDY)
    assert main(["audit", "study.yaml", "--no-data"]) == OK
    out = capsys.readouterr().out
    assert "1 impossible" in out
    assert "study.yaml:" in out
    assert max(map(len, out.splitlines())) <= 80
    assert main(["audit", "study.yaml", "--no-data", "--strict"]) == EXPECTATION_FAILED
    capsys.readouterr()
    assert main(["audit", "study.yaml", "--no-data", "--json"]) == OK
    told = json.loads(capsys.readouterr().out)
    assert told["alarms"] == 1
    assert told["findings"][0]["address"] == "main.both.d"
    for name in ("page.md", "page.html"):
        assert main(["audit", "study.yaml", "--no-data", "--output", name]) == OK
        assert "0.1076" in (tmp_path / name).read_text(encoding="utf-8")
    assert main(["audit", "study.yaml", "--no-data", "--output", "page.pdf"]) == 2


def test_pages_hold_every_finding_and_no_markup_of_the_paper(paper: Paper) -> None:
    paper.say("main.both.d", value="0.5", where="<script>*bold*")
    audit = paper.audit(data=False)
    web, text = (findings_shown.page(audit, html=html) for html in (True, False))
    assert "<script>" not in web
    assert "\\*bold\\*" in text
    assert web.count("<article") == len(audit.findings)
    assert text.count("\n### ") == len(audit.findings)
    for rule in RULES:
        assert rule.asks in text


def test_the_page_of_the_audit_has_every_key_and_rule() -> None:
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text("utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (written,) = [b for b in blocks if b.startswith("claims:")]
    claims, problems = read_claims(loads(written).tree)
    assert problems == []
    keys = {*Claims.model_fields, *Preparation.model_fields, *Sample.model_fields}
    for key in keys | set(Claim.model_fields):
        assert f"{key}:" in written, key
    for key in Claim.model_fields:
        assert f"`{key}`" in page, key
    assert re.findall(
        r"^\| `(\w+)` \| .* \| (?:print|design|data) \|$", page, re.MULTILINE
    ) == [rule.name for rule in RULES]
    assert set(claims.said["baseline.both.ai"].model_fields_set) >= {"value", "quote"}
