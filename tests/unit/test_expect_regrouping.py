"""Do samples differ by more than random groups? Small enough to check by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from framework.expect import Judged
from framework.expect.regrouping import permuted
from framework.expect.rows import CannotBeJudged
from tests.build_judged import estimation, row, verdict, verdicts


def sample(value, estimate, error, drawn, *, same="one", expect=()) -> Judged:
    """A value of the line `a.b` whose draws have these estimates and standard errors."""
    draws = pd.DataFrame(drawn, columns=["estimate", "std_error"])
    draws["assignment"] = same
    return estimation(
        f"a.b.{value}",
        row(estimate, error),
        draws=[] if draws is None else draws,
        expect=expect,
    )


def asked(judged: Judged) -> Judged:
    object.__setattr__(judged, "draws", {"permute": "rich", "times": 4})
    return judged


def test_two_samples_are_compared_by_their_squared_t():
    # t = (3 - 1) / sqrt(1 + 4): Q = 0.8. In the draws 1 / 2 = .5, 4 / 5 (a tie), 9 / 2.
    a = sample("a", 3, 1, [(1, 1), (3, 1), (3, 1), (1, 1)])
    b = sample("b", 1, 2, [(0, 1), (1, 2), (0, 1), (math.nan, 1)])
    found = permuted([a, b])
    assert found.statistic == pytest.approx(0.8, rel=1e-15)  # one rounding
    # the tie, the larger one and the one without a number
    assert (found.beyond, found.lost, found.draws) == (3, 1, 4)
    assert found.p_value == 4 / 5


def test_three_samples_by_cochrans_q():
    # weights 1, 1/4, 1/4; mean (1 + 1 + 2) / 1.5 = 8/3; Q = 25/9 + (4/3)^2/4 + (16/3)^2/4
    values = [
        sample(v, e, s, [(0, 1)]) for v, e, s in (("a", 1, 1), ("b", 4, 2), ("c", 8, 2))
    ]
    wanted = 25 / 9 + 16 / 36 + 256 / 36
    assert permuted(values).statistic == pytest.approx(wanted, rel=1e-14)


def test_draws_of_other_groups_are_not_compared():
    a, b = sample("a", 3, 1, [(1, 1)]), sample("b", 1, 2, [(0, 1)], same="two")
    with pytest.raises(CannotBeJudged, match="not the same groups"):
        permuted([a, b])
    short = sample("b", 1, 2, [(0, 1), (0, 1)])
    with pytest.raises(CannotBeJudged, match="not the same groups"):
        permuted([a, short])


def test_the_verdict_gives_counts_and_counts_what_failed():
    expect = {"name": "differ", "level": 0.45}
    a = asked(sample("a", 3, 1, [(1, 1)] * 4, expect=[expect]))
    b = asked(sample("b", 1, 2, [(0.9, 1)] * 3 + [(math.nan, 1)], expect=[expect]))
    said = verdicts(a, b)[0]
    assert said.status == "holds"
    assert "1 of 4 permutations of 'rich'" in said.reason
    assert "p = (1 + 1) / (4 + 1) = 0.4" in said.reason
    assert "1 that gave no number counted as extreme" in said.reason


def test_too_few_permutations_cannot_be_judged():
    a = asked(sample("a", 3, 1, [(1, 1)] * 4, expect=["differ"]))
    b = asked(sample("b", 1, 2, [(1, 1)] * 4, expect=["differ"]))
    said = verdicts(a, b)[0]
    assert said.status == "cannot be judged"
    assert "4 permutations can't give a p value of 0.05" in said.reason


def test_the_draws_of_one_sample_are_not_judged_alone():
    alone = asked(sample("a", 3, 1, [(1, 1)] * 40, expect=["extreme"]))
    assert "`differ` compares them" in verdict(alone).reason


@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_equal_means_are_rejected_as_often_as_it_says(spread):
    """Groups of 12 and 36 with one mean; with `spread` one group is noisier."""
    rng = np.random.default_rng(4)
    rejected, many = 0, 300
    for _ in range(many):
        y = np.concatenate([spread * rng.normal(size=12), rng.normal(size=36)])
        orders = [rng.permutation(48) for _ in range(39)]
        parts = []
        for value, held in (("a", slice(0, 12)), ("b", slice(12, 48))):
            groups = [y[held], *(y[o[held]] for o in orders)]
            found = [(g.mean(), g.std(ddof=1) / math.sqrt(len(g))) for g in groups]
            parts.append(sample(value, *found[0], found[1:]))
        rejected += permuted(parts).p_value <= 0.05
    # three Monte Carlo errors of a share of .05; unequal variances: large samples only
    slack = 3 * math.sqrt(0.05 * 0.95 / many) + (0.02 if spread > 1 else 0)
    assert abs(rejected / many - 0.05) <= slack
