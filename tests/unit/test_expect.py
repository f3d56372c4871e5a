"""Verdicts on numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest

from framework.expect import Adjusted, Judged
from framework.result import Test
from tests.build_judged import T_95, estimation, row, verdict, verdicts

T_90 = 1.6448536269514722  # 95% quantile of the normal distribution
POWER = T_95 + 0.8416212335729143  # two-sided 5% test, 80% power


# -- which number ----------------------------------------------------------------------


def test_the_treatment_row_is_judged_not_the_first_control():
    judged = estimation(
        "a.b", row(-5, 1, term="eco"), row(2, 1, term="ai"), expect="positive"
    )
    assert verdict(judged).status == "holds"


def test_a_term_may_be_named_and_a_misspelt_one_is_guessed():
    rows = row(-5, 1, term="eco"), row(2, 1, term="ai")
    named = estimation("a.b", *rows, expect={"name": "negative", "term": "eco"})
    assert verdict(named).status == "holds"
    misspelt = estimation("a.b", *rows, expect={"name": "negative", "term": "ecoo"})
    assert verdict(misspelt).status == "cannot be judged"
    assert "did you mean 'eco'?" in verdict(misspelt).reason


def test_of_several_estimands_the_first_asked_for_is_judged():
    rows = row(1, 1, estimand="direct"), row(-1, 1, estimand="indirect")
    judged = estimation(
        "a.b", *rows, expect="negative", estimand=("indirect", "direct")
    )
    found = verdict(judged)
    assert found.status == "holds"
    assert found.reason.endswith(
        "; judged is indirect, the first of indirect and direct"
    )
    alone = estimation("a.b", *rows, expect="negative", estimand=("indirect",))
    assert "judged is" not in verdict(alone).reason
    named = {"name": "negative", "estimand": "indirect"}
    by_name = estimation("a.b", *rows, expect=named, estimand=("direct", "indirect"))
    assert verdict(by_name).status == "holds"
    assert "judged is" not in verdict(by_name).reason  # the study says which


EFFECTS = (
    row(1, 1, estimand="direct"),
    row(-1, 1, estimand="indirect"),
    row(0, 1, estimand="total"),
)


@pytest.mark.parametrize(
    ("rows", "estimand", "expect", "phrase"),
    [
        (EFFECTS, ("indirect", "total"), "negative", "negative (indirect)"),
        (EFFECTS, (), "positive", "positive (direct)"),
        (EFFECTS, (), {"not": "negative"}, "not negative (direct)"),
        (EFFECTS, (), {"name": "within", "number": 0, "tolerance": 2, "estimand": "total"},
         "within 2 of 0 (total)"),
        # One estimand is shown, or the others are a curve or another column's.
        (EFFECTS, ("indirect",), "negative", "negative"),
        (EFFECTS[:1], (), "positive", "positive"),
        ((row(1, 1), row(1, 1, estimand="by_event_time", event_time=0)), (), "positive",
         "positive"),
        ((row(1, 1), row(1, 1, estimand="interaction", term="ai x level")), (),
         "positive", "positive"),
    ],
)  # fmt: skip
def test_the_estimand_that_is_judged_is_said_beside_others(
    rows, estimand, expect, phrase
):
    if expect == {"not": "negative"}:
        expect = {"name": "not", "of": {"name": "negative"}}
    said = verdict(estimation("a.b", *rows, expect=expect, estimand=estimand))
    assert (said.expectation, said.status) == (phrase, "holds")


def test_an_estimand_that_is_not_there_cannot_be_judged():
    judged = estimation("a.b", row(1, 1), expect="positive", estimand=("late",))
    assert verdict(judged).status == "cannot be judged"
    assert "gives no late; it gives att" in verdict(judged).reason


def test_with_an_interaction_that_is_the_judged_number():
    judged = estimation(
        "a.b",
        row(1, 1),
        row(-1, 1, estimand="interaction", term="ai x level"),
        expect="negative",
        estimand=("att",),
    )
    assert verdict(judged).status == "holds"


def test_of_event_times_the_first_from_zero_on_is_judged_and_said():
    rows = [
        row(b, 1, estimand="by_event_time", event_time=k)
        for k, b in [(-2, -3), (0, 4), (1, 5)]
    ]
    said = verdict(estimation("a.b", *rows, expect="positive"))
    assert said.status == "holds"
    assert "judged is ai at event time 0, of 3 by_event_time rows" in said.reason
    asked = {"name": "negative", "event_time": -2}
    assert verdict(estimation("a.b", *rows, expect=asked)).status == "holds"


def test_an_index_that_is_not_there_lists_those_that_are():
    rows = [row(1, 1, event_time=k) for k in (0, 1)]
    said = verdict(
        estimation("a.b", *rows, expect={"name": "positive", "event_time": 7})
    )
    assert said.status == "cannot be judged"
    assert "there is: 0, 1" in said.reason


def test_a_failed_estimation_cannot_be_judged_and_says_why():
    failed = Judged("a.b", None, expect=({"name": "positive"},), problem="6 clusters")
    said = verdict(failed)
    assert said.status == "cannot be judged"
    assert "was not estimated: 6 clusters" in said.reason


# -- one number ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimate", "name", "status"),
    [(0.1, "positive", "holds"), (-0.1, "positive", "fails"), (0, "positive", "fails"),
     (-0.1, "negative", "holds"), (0.1, "negative", "fails")],
)  # fmt: skip
def test_signs(estimate, name, status):
    assert verdict(estimation("a.b", row(estimate, 1), expect=name)).status == status


@pytest.mark.parametrize(
    ("t", "status"), [(1.7, "holds"), (1.6, "fails"), (-1.7, "fails")]
)
def test_positive_with_a_level_is_a_one_sided_test(t, status):
    # The one-sided 5% point of the normal distribution is 1.645.
    expect = {"name": "positive", "level": 0.05}
    said = verdict(estimation("a.b", row(t, 1), expect=expect))
    assert said.status == status
    assert said.expectation == "positive at 5%, one-sided"


def test_significant_at_its_level_and_never_called_no_effect():
    holds = verdict(estimation("a.b", row(1, 0.5), expect="significant"))
    assert holds.status == "holds"
    assert "p = 0.0455 for the estimate 1 (standard error 0.5" in holds.reason
    fails = verdict(estimation("a.b", row(1, 1), expect="significant"))
    assert fails.status == "fails"
    assert "does not show that there is no effect" in fails.reason
    assert f"{POWER:.4g} or more" in fails.reason


def test_a_p_value_equal_to_the_level_counts():
    assert (
        verdict(estimation("a.b", row(1, 1, p=0.05), expect="significant")).status
        == "holds"
    )


def test_p_values_just_beside_the_level_are_not_rounded_onto_it():
    said = verdict(estimation("a.b", row(1, 1, p=0.050001), expect="significant"))
    assert said.status == "fails"
    assert "p = 0.050001" in said.reason


def test_a_family_replaces_the_p_value():
    judged = estimation("a.b", row(1, 0.45), expect="significant")
    held = {"a.b": Adjusted(0.08, "Holm over 3 columns of a")}
    said = verdict(judged, adjusted=held)
    assert said.status == "fails"
    assert "p = 0.0800 (Holm over 3 columns of a; alone p = 0.0263)" in (said.reason)


@pytest.mark.parametrize(
    ("estimate", "bound", "status"),
    [(0.0, T_90 + 1e-9, "holds"), (0.0, T_90 - 1e-9, "fails"), (5.0, 2, "fails")],
)
def test_equivalent_is_the_ninety_percent_interval_inside_the_bound(
    estimate, bound, status
):
    expect = {"name": "equivalent", "bound": bound}
    assert verdict(estimation("a.b", row(estimate, 1), expect=expect)).status == status


def test_equivalent_says_whether_the_effect_is_large_or_only_unknown():
    expect = {"name": "equivalent", "bound": 0.5}
    unknown = verdict(estimation("a.b", row(0.1, 1), expect=expect))
    assert "not excluded" in unknown.reason
    assert "from -1.545 to 1.745" in unknown.reason
    large = verdict(estimation("a.b", row(9, 1), expect=expect))
    assert "wholly outside ±0.5" in large.reason


def test_equivalent_uses_the_t_distribution_of_the_estimation():
    # t(10): 95% point 1.812461, 97.5% point 2.228139 (any table).
    def said(bound):
        judged = estimation(
            "a.b",
            row(0, 1, crit=2.2281388519649385),
            scalars={"df_t": 10.0},
            expect={"name": "equivalent", "bound": bound},
        )
        return verdict(judged).status

    assert (said(1.8124), said(1.8125)) == ("fails", "holds")


def test_an_interval_of_its_own_kind_is_used_as_it_is():
    # Symmetric, but wider than t times the error: test inversion or uniform bands.
    def said(bound):
        expect = {"name": "equivalent", "bound": bound}
        return verdict(estimation("a.b", row(0, 1, crit=3.0), expect=expect))

    assert (said(2.9).status, said(3.1).status) == ("fails", "holds")
    assert "estimator's own 95% interval" in said(3.1).reason


def test_without_an_error_there_is_no_interval():
    blank = row(1, 1) | {
        "std_error": math.nan, "conf_low": math.nan, "conf_high": math.nan,
    }  # fmt: skip
    expect = {"name": "equivalent", "bound": 9}
    assert verdict(estimation("a.b", blank, expect=expect)).status == "cannot be judged"


@pytest.mark.parametrize(
    ("estimate", "status"), [(0.15, "holds"), (0.1501, "fails"), (0.05, "holds")]
)
def test_within_is_a_distance_in_decimals(estimate, status):
    expect = {"name": "within", "number": 0.1, "tolerance": 0.05}
    assert verdict(estimation("a.b", row(estimate, 1), expect=expect)).status == status


@pytest.mark.parametrize(
    ("number", "level", "status"),
    [
        (0.1 + 1.95 * 0.02, 0.05, "holds"),
        (0.1 + 1.97 * 0.02, 0.05, "fails"),
        (0.1 + 1.70 * 0.02, 0.10, "fails"),
        (0.1, 0.05, "holds"),
    ],
)
def test_covers_asks_whether_a_known_number_is_in_the_interval(number, level, status):
    expect = {"name": "covers", "number": number, "level": level}
    said = verdict(estimation("a.b", row(0.1, 0.02), expect=expect))
    assert said.status == status
    assert f"{100 - 100 * level:g}% interval" in said.expectation
    assert ("contains" if status == "holds" else "leaves out") in said.reason


def test_covers_takes_a_number_for_each_value_of_a_line():
    expect = {"name": "covers", "number": {"open": 0.1, "east": 0.3}}
    open_, east = verdicts(
        *(
            estimation(f"a.groups.{v}", row(0.1, 0.02), expect=expect)
            for v in ("open", "east")
        )
    )
    assert open_.status == "holds"
    assert open_.expectation == "95% interval covers 0.1"
    assert east.status == "fails"
    assert "leaves out 0.3" in east.reason


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"opne": 0.1, "east": 0.1}, ["no value 'opne'", "no value 'opne'"]),
        ({"east": 0.1}, ["no number is given for 'open'", "contains"]),
    ],
)
def test_covers_says_which_value_has_no_number(numbers, said):
    expect = {"name": "covers", "number": numbers}
    found = verdicts(
        *(
            estimation(f"a.groups.{v}", row(0.1, 0.02), expect=expect)
            for v in ("open", "east")
        )
    )
    for verdict_, text in zip(found, said, strict=True):
        assert text in verdict_.reason
        open_ = text != "contains"
        assert (verdict_.status == "cannot be judged") == open_


# -- same sign -------------------------------------------------------------------------


@pytest.mark.parametrize(("other", "status"), [(3, "holds"), (-3, "fails")])
def test_same_sign_as_the_baseline(other, status):
    base = estimation("main.base", row(other, 1))
    check = estimation("a.b", row(1, 1), expect="same_sign", against="main.base")
    said = verdict(base, check)
    assert said.status == status
    assert said.expectation == "same sign as main.base"
    assert "its error can't be given" in said.reason  # no influence functions here


def test_same_sign_finds_the_line_its_value_and_refuses_several():
    run = [
        estimation(f"a.methods.{v}", row(b, 1)) for v, b in [("one", 1), ("two", -1)]
    ]
    same = {"name": "same_sign", "against": "methods"}
    check = estimation("a.dynamics.two", row(-4, 1), expect=same)
    assert verdict(*run, check).status == "holds"
    lost = estimation("a.dynamics.three", row(-4, 1), expect=same)
    assert "name one" in verdict(*run, lost).reason
    wrong = estimation("a.b", row(1, 1), expect={**same, "against": "a.method"})
    assert "did you mean" in verdict(*run, wrong).reason


def test_same_sign_with_nothing_or_itself_or_a_zero_cannot_be_judged():
    alone = estimation("a.b", row(1, 1), expect="same_sign")
    itself = estimation("a.b", row(1, 1), expect="same_sign", against="a.b")
    base = estimation("main.base", row(0, 1))
    zero = estimation("a.b", row(1, 1), expect="same_sign", against="main.base")
    for run in ([alone], [itself], [base, zero]):
        assert verdict(*run).status == "cannot be judged"


# -- ahead of the treatment ------------------------------------------------------------

LEADS = [(-3, 0.02, 0.01), (-2, -0.01, 0.02), (-1, 0.0, 0.0), (0, 0.5, 0.1)]


def pretrend(expect, leads=LEADS, **more):
    rows = [
        row(b, s, estimand="by_event_time", event_time=k, p=None if s else math.nan)
        for k, b, s in leads
    ]
    return verdict(estimation("pre.study", *rows, expect=expect, **more))


def test_flat_pretrend_without_a_bound_proves_nothing():
    # Bonferroni: 2 x p(|t| = 2) = 2 x .0455 = .0910; largest 90% end .0429; 2.80 x .02.
    said = pretrend("flat_pretrend")
    assert said.status == "cannot be judged"
    assert "no evidence for zero" in said.reason
    assert "p = 0.0910" in said.reason
    assert "a violation of 0.05603 (ai at event time -2" in said.reason
    assert "it would hold from 0.0429 on" in said.reason


def test_flat_pretrend_without_a_bound_fails_if_the_joint_test_rejects():
    tests = (Test("joint_pretrend", "all leads are zero", 9.9, "2, 49", 0.001),)
    said = pretrend("flat_pretrend", tests=tests)
    assert said.status == "fails"
    assert said.reason == "rejected: joint test p = 0.0010"


@pytest.mark.parametrize(("bound", "status"), [(0.043, "holds"), (0.0428, "fails")])
def test_flat_pretrend_holds_when_every_interval_is_inside(bound, status):
    said = pretrend({"name": "flat_pretrend", "bound": bound})
    assert said.status == status
    assert "intersection-union" in said.reason
    assert "each of the 2" in said.reason  # the reference period is no test


def test_flat_pretrend_needs_coefficients_before_the_treatment():
    said = pretrend("flat_pretrend", leads=[(0, 0.5, 0.1)])
    assert said.status == "cannot be judged"
    assert "event time below zero" in said.reason


def test_leads_are_the_negative_orders():
    rows = [
        row(0.3, 0.1),
        row(0.01, 0.01, estimand="lead", order=-1),
        row(0.00, 0.01, estimand="lead", order=-2),
    ]

    def said(bound):
        expect = {"name": "insignificant_leads", "bound": bound}
        return verdict(estimation("a.b", *rows, expect=expect)).status

    # 0.01 + 1.645 x 0.01 = 0.02645
    assert (said(0.0264), said(0.0265)) == ("fails", "holds")


# -- random assignment, first stage ----------------------------------------------------


def draws(estimates, errors=None):
    return pd.DataFrame(
        {"draw": range(len(estimates)), "estimate": estimates,
         "std_error": errors if errors is not None else [math.nan] * len(estimates)}
    )  # fmt: skip


def extreme(table, estimate=2.0, error=1.0, draws_of=None):
    judged = estimation(
        "placebo.cities", row(estimate, error), draws=table, expect="extreme"
    )
    return verdict(replace(judged, draws=draws_of))


def test_extreme_counts_the_true_assignment_once():
    # 3 of 99 are as large in size: p = 4/100 <= .05; 5 of 99: p = .06.
    few = [0.1] * 96 + [2.0, -2.5, 3.0]
    said = extreme(draws(few))
    assert said.status == "holds"
    assert "3 of 99 random assignments give |estimate| of 2" in said.reason
    assert "(3 + 1) / (99 + 1) = 0.04" in said.reason
    assert extreme(draws([0.1] * 94 + [2.0] * 5)).status == "fails"


def test_extreme_compares_t_statistics_where_draws_have_errors():
    # Large estimates with larger errors: |t| = 1 < 2 although |b| = 5 > 2.
    said = extreme(draws([5.0] * 99, [5.0] * 99))
    assert said.status == "holds"
    assert "|t|" in said.reason


def test_extreme_with_too_few_draws_cannot_be_judged():
    said = extreme(draws([0.0] * 18))
    assert said.status == "cannot be judged"
    assert "can't give a p value of 0.05" in said.reason
    assert extreme(draws([0.0] * 19)).status == "holds"


def test_draws_that_failed_are_held_against_it():
    said = extreme(draws([0.1] * 93 + [math.nan] * 6))
    assert said.status == "cannot be judged"
    assert "or 0.07 if the 6 that could not be estimated" in said.reason
    assert extreme(draws([0.1] * 98 + [math.nan])).status == "holds"


def test_draws_that_left_no_line_are_counted_from_the_study():
    few = draws([0.1] * 93)
    assert extreme(few).status == "holds"
    said = extreme(few, draws_of={"permute": "treatment", "times": 99})
    assert said.status == "cannot be judged"
    assert "the 6 that could not be estimated" in said.reason


def test_draws_are_held_against_the_judged_number_not_the_first():
    rows = row(9, 1), row(2, 1, estimand="interaction", term="ai × level")
    said = verdict(estimation("a.b", *rows, draws=draws([3.0] * 99), expect="extreme"))
    assert said.status == "fails"  # 3 is less than 9, and more than the interaction's 2
    assert "99 of 99" in said.reason


def test_ties_by_rounding_count_as_ties():
    nearly = draws([2.0 * (1 - 1e-15)] * 99)
    assert extreme(nearly).status == "fails"


def test_extreme_needs_draws_that_assign_the_treatment():
    without = verdict(estimation("a.b", row(1, 1), expect="extreme"))
    assert without.status == "cannot be judged"
    block = {"resample": "city", "times": 99}
    resampled = extreme(draws([0.1] * 99), draws_of=block)
    assert resampled.status == "cannot be judged"


@pytest.mark.parametrize(
    ("scalars", "status"),
    [({"first_stage_f": 10.0}, "holds"), ({"first_stage_f": 9.9999999}, "fails"),
     ({"first_stage_f": 30.0, "kleibergen_paap_f": 8.0}, "fails"),
     ({"n_obs": 99.0}, "cannot be judged")],
)  # fmt: skip
def test_first_stage(scalars, status):
    judged = estimation("a.b", row(1, 1), scalars=scalars, expect="strong_first_stage")
    assert verdict(judged).status == status


# -- any, not, share -------------------------------------------------------------------


def test_any_and_not():
    def said(expect):
        return verdict(estimation("a.b", row(0.1, 1), expect=expect)).status

    assert said({"name": "any", "of": ["negative", "positive"]}) == "holds"
    assert said({"name": "any", "of": ["negative", "significant"]}) == "fails"
    assert said({"name": "any", "of": ["negative", "flat_pretrend"]}) == (
        "cannot be judged"
    )
    assert said({"name": "not", "of": "significant"}) == "holds"
    assert said({"name": "not", "of": "positive"}) == "fails"
    assert said({"name": "not", "of": "flat_pretrend"}) == "cannot be judged"
    assert said({"name": "not", "of": {"equivalent": 5}}) == "fails"


def share(values, at_least, of="positive"):
    flat = {"name": "share", "of": of, "at_least": at_least}
    return [
        estimation(f"a.line.v{i}", row(b, 1), expect=flat) for i, b in enumerate(values)
    ]


def test_share_counts_the_values_of_the_line_and_is_one_verdict():
    said = verdicts(*share([1] * 9 + [-1], 0.9))
    assert {v.status for v in said} == {"holds"}
    assert all(v.of_line for v in said)
    assert "holds at 9 of 10 values (90%)" in said[0].reason
    assert "fails at v9" in said[0].reason
    assert verdicts(*share([1] * 8 + [-1] * 2, 0.9))[0].status == "fails"


def test_share_stays_open_if_the_missing_values_decide():
    run = share([1] * 8 + [-1], 0.9)
    failed = Judged("a.line.v9", None, problem="singular")
    said = verdicts(*run, failed)[0]
    assert said.status == "cannot be judged"  # 8 of 10 hold, 9 may
    assert "1 cannot be judged" in said.reason
    assert verdicts(*share([1] * 7 + [-1] * 2, 0.9), failed)[0].status == "fails"


def test_share_compares_every_value_with_its_own_baseline():
    flat = {"name": "share", "of": "same_sign", "at_least": 1}
    base = [estimation("b.l.x", row(1, 1)), estimation("b.l.y", row(-1, 1))]
    run = [
        estimation("a.l.x", row(2, 1), expect=flat, against="b.l.x"),
        estimation("a.l.y", row(-2, 1), against="b.l.y"),
    ]
    assert verdict(*base, *run).status == "holds"


def test_share_of_draws():
    def said(of, estimates, **options):
        flat = {"name": "share", "of": of, "at_least": 0.95, **options}
        base = estimation("main.base", row(3, 1))
        judged = estimation(
            "a.splits", row(1, 1), draws=draws(estimates, [1.0] * len(estimates)),
            expect=flat, against="main.base",
        )  # fmt: skip
        return verdict(base, judged)

    assert said("same_sign", [1.0] * 19 + [-1.0]).status == "holds"
    assert said("same_sign", [1.0] * 18 + [-1.0] * 2).status == "fails"
    assert said("significant", [2.0] * 20).status == "holds"
    assert said("significant", [1.9] * 20).status == "fails"
    assert said("extreme", [1.0] * 20).status == "cannot be judged"
    assert said({"positive": {"term": "eco"}}, [1.0] * 20).status == "cannot be judged"
    assert not said("same_sign", [1.0] * 20).of_line
    assert said("positive", [1.0] * 18 + [math.nan] * 2).status == "cannot be judged"
    assert said("positive", [1.0] * 19 + [math.nan]).status == "holds"


def test_reasons_are_whole_sentences_without_code():
    run = [*share([1, -1], 0.5)]
    run += [estimation("m.base", row(0.2, 0.1), expect="significant")]
    for said in verdicts(*run):
        assert not said.reason.endswith((".", ";", " "))
        assert "nan" not in said.reason
        assert "{" not in said.reason
