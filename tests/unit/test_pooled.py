"""What stands beside one coefficient over staggered adoption."""

from __future__ import annotations

import pytest

from framework.expect import pooled
from tests.build_judged import estimation, row

BY_COHORT = {"did.multi", "did.other", "did.third", "did.fourth"}


def plr(address="main.plr", *, already=0.2, negative=0.1, outcome="y", n=100.0):
    scalars = {
        "weight_already_treated": already,
        "weight_negative": negative,
        "n_obs": n,
    }
    labels = {"outcome": outcome, "treatment": ["ai"]}
    effect = row(0.5, 0.1, estimand="coefficient")
    return estimation(address, effect, scalars=scalars, labels=labels)


def did(address="did.multi", *, estimate=0.4, outcome="y", n=100.0):
    labels = {"outcome": outcome, "treatment": ["ai"]}
    rows = [row(9.0, 0.1, estimand="by_cohort"), row(estimate, 0.05)]
    return estimation(address, *rows, scalars={"n_obs": n}, labels=labels)


def test_the_mean_by_cohort_and_period_is_named_beside_a_pooled_coefficient():
    found = pooled([plr(), did()], BY_COHORT)
    assert list(found) == ["main.plr"]
    said = found["main.plr"]
    assert said.note.endswith("cohort and period: 0.4 (0.05) in did.multi")
    assert said.flag == ""


def test_lines_of_the_same_rows_come_first_and_others_say_theirs():
    run = [
        plr(),
        did("did.other", estimate=0.3, n=1234),
        did(),
        did("did.third"),
        did("did.fourth"),
    ]
    said = pooled(run, BY_COHORT)["main.plr"].note
    assert said.index("did.multi") < said.index("did.fourth")
    assert said.endswith("in did.fourth, and 1 more")
    few = pooled(run[:2], BY_COHORT)["main.plr"].note
    assert few.endswith("0.3 (0.05) in did.other (1,234 rows)")


@pytest.mark.parametrize(
    "others",
    [
        [],
        [did(outcome="z")],
        [did("main.twfe")],  # an estimator that does not average effects by cohort
        [estimation("did.multi", row(1.0, 0.1, estimand="by_cohort"))],  # no mean
    ],
)
def test_a_pooled_coefficient_alone_is_flagged(others):
    said = pooled([plr(already=0.123, negative=0.0), *others], BY_COHORT)["main.plr"]
    assert said.note == ""
    assert said.flag == (
        "this coefficient pools staggered adoption: 12.3% of the weight of its "
        "comparisons is on units treated already, whose effects may still change; and "
        "no line of the study averages effects by cohort and period of this outcome"
    )


def test_a_flag_names_only_the_weights_that_are_bad():
    (said,) = pooled([plr(already=0.0, negative=0.08)], BY_COHORT).values()
    assert "treated already" not in said.flag
    assert "negative weights (-0.080 in all)" in said.flag
    (said,) = pooled([plr(already=0.3, negative=0.08)], BY_COHORT).values()
    assert "30.0% of the weight" in said.flag
    assert "-0.080" in said.flag


def test_a_column_that_has_the_mean_itself_is_not_flagged():
    alone = plr(already=0.5)
    alone.cell.result.scalars["cohort_att"] = 0.4
    assert pooled([alone], BY_COHORT) == {}
    assert pooled([alone, did()], BY_COHORT)["main.plr"].note


@pytest.mark.parametrize(
    ("already", "negative", "flagged"),
    [(0.0, 0.0, False), (0.009, 0.009, False), (0.01, 0.0, True), (0.0, 0.01, True)],
)
def test_weights_that_move_nothing_flag_nothing(already, negative, flagged):
    found = pooled([plr(already=already, negative=negative)], BY_COHORT)
    assert bool(found) == flagged


def test_what_does_not_pool_or_did_not_finish_has_nothing_beside_it():
    failed = estimation("main.failed", row(1.0, 0.1))
    failed = type(failed)("main.failed", None, problem="refused")
    assert pooled([did(), estimation("main.twfe", row(1.0, 0.1)), failed], ()) == {}
