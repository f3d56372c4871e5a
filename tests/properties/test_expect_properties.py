"""What must be true of verdicts whatever the numbers are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from framework.expect import difference
from framework.families import adjust, holm
from framework.published import agrees, as_printed, parse
from tests.build_judged import clustered, estimation, row, verdict

NUMBER = st.floats(-50, 50).map(lambda x: round(x, 3))
ERROR = st.floats(0.01, 20).map(lambda x: round(x, 3) or 0.01)
BOUND = st.floats(0.05, 80).map(lambda x: round(x, 3))
# Powers of two scale without rounding, so that verdicts may not change at all.
SCALE = st.integers(-20, 20).map(lambda k: 2.0**k)
NAMES = st.sampled_from(["positive", "negative", "significant", "equivalent"])
T_90 = 1.6448536269514722
unhurried = settings(deadline=None)  # the first example pays for importing pandas


def expectation(name, bound):
    return {"name": name} | ({"bound": bound} if name == "equivalent" else {})


def status(name, estimate, error, bound=1.0):
    judged = estimation("a.b", row(estimate, error), expect=expectation(name, bound))
    return verdict(judged).status


@unhurried
@given(NAMES, NUMBER, ERROR, BOUND, SCALE)
def test_units_of_the_outcome_change_no_verdict(name, estimate, error, bound, scale):
    assert status(name, estimate, error, bound) == status(
        name, estimate * scale, error * scale, bound * scale
    )


@unhurried
@given(NUMBER, ERROR, BOUND)
def test_the_mirror_image_has_the_mirrored_verdict(estimate, error, bound):
    for name in ("significant", "equivalent"):
        assert status(name, estimate, error, bound) == status(
            name, -estimate, error, bound
        )
    assert status("positive", estimate, error) == status("negative", -estimate, error)


@unhurried
@given(NUMBER, ERROR, BOUND)
def test_equivalent_holds_if_and_only_if_the_interval_is_inside(estimate, error, bound):
    reach = abs(estimate) + T_90 * error
    assume(abs(reach - bound) > 1e-9 * bound)  # rounding decides on the bound itself
    assert (status("equivalent", estimate, error, bound) == "holds") == (reach < bound)


@unhurried
@given(NUMBER, ERROR, BOUND, BOUND)
def test_a_wider_bound_never_takes_equivalence_back(estimate, error, one, two):
    narrow, wide = sorted((one, two))
    if status("equivalent", estimate, error, narrow) == "holds":
        assert status("equivalent", estimate, error, wide) == "holds"


@unhurried
@given(st.lists(st.tuples(NUMBER, ERROR), min_size=1, max_size=6), BOUND)
def test_a_pretrend_is_flat_if_and_only_if_every_lead_is_equivalent(leads, bound):
    rows = [
        row(b, s, estimand="by_event_time", event_time=-k - 1)
        for k, (b, s) in enumerate(leads)
    ]
    flat = estimation("a.b", *rows, expect={"name": "flat_pretrend", "bound": bound})
    each = all(status("equivalent", b, s, bound) == "holds" for b, s in leads)
    assert (verdict(flat).status == "holds") == each
    bare = estimation("a.b", *rows, expect="flat_pretrend")
    assert verdict(bare).status in ("fails", "cannot be judged")


@unhurried
@given(NAMES, NUMBER, ERROR, BOUND)
def test_not_not_is_the_thing_itself(name, estimate, error, bound):
    inner = expectation(name, bound)
    twice = {"name": "not", "of": {"name": "not", "of": inner}}
    judged = estimation("a.b", row(estimate, error), expect=twice)
    assert verdict(judged).status == status(name, estimate, error, bound)


@unhurried
@given(
    st.lists(st.floats(-9, 9), min_size=19, max_size=60),
    st.floats(0.1, 9),
    st.randoms(use_true_random=False),
)
def test_extreme_counts_whatever_the_order_and_signs(values, ours, random):
    import pandas as pd

    def said(estimates):
        table = pd.DataFrame({"estimate": estimates, "std_error": math.nan})
        judged = estimation("a.b", row(ours, 1), draws=table, expect="extreme")
        return verdict(judged)

    shuffled = [random.choice([-1, 1]) * v for v in random.sample(values, len(values))]
    assert said(values) == said(shuffled)
    exact = (sum(abs(v) >= ours * (1 - 1e-9) for v in values) + 1) / (len(values) + 1)
    assert (said(values).status == "holds") == (exact <= 0.05)


PSI = st.dictionaries(
    st.integers(0, 12), st.floats(-5, 5).map(lambda x: round(x, 2)), min_size=2
).filter(lambda d: sum(v * v for v in d.values()) > 0.1)


@unhurried
@given(PSI, PSI, NUMBER, NUMBER, SCALE)
def test_differences_are_antisymmetric_and_scale(one, two, a, b, scale):
    there = difference(clustered("a.a", a, one), clustered("a.b", b, two))
    back = difference(clustered("a.b", b, two), clustered("a.a", a, one))
    assert there.estimate == -back.estimate
    assert there.std_error == back.std_error
    assert there.p_value == back.p_value

    def scaled(psi):
        return {k: v * scale for k, v in psi.items()}

    larger = difference(
        clustered("a.a", a * scale, scaled(one)),
        clustered("a.b", b * scale, scaled(two)),
    )
    assert larger.p_value == there.p_value
    if there.std_error is not None:
        assert larger.std_error == there.std_error * scale


@unhurried
@given(PSI, PSI, NUMBER, NUMBER)
def test_the_error_of_a_difference_obeys_the_triangle(one, two, a, b):
    first, second = clustered("a.a", a, one), clustered("a.b", b, two)
    gap = difference(first, second)
    if gap.std_error is not None:
        errors = [math.hypot(*psi.values()) for psi in (one, two)]
        # Nine digits: sums of up to 13 squares.
        assert abs(errors[0] - errors[1]) <= gap.std_error * (1 + 1e-9) + 1e-9
        assert gap.std_error <= sum(errors) * (1 + 1e-9)


@unhurried
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_monotone_and_between_plain_and_bonferroni(p_values):
    adjusted = holm(p_values)
    for p, q in zip(p_values, adjusted, strict=True):
        assert p <= q <= min(1.0, len(p_values) * p)
    order = np.argsort(p_values, kind="stable")
    assert all(np.diff(np.asarray(adjusted)[order]) >= 0)


@unhurried
@given(st.decimals(-9999, 9999, places=4))
def test_a_number_agrees_with_its_own_print(value):
    printed = parse(f"{value:,f}")
    assert agrees(float(value), printed.number)
    assert parse(as_printed(float(value), printed.number)).number == value
    assert not agrees(float(value) + 0.0002, printed.number)


# -- under a null that is true ---------------------------------------------------------


def overlapping_means(rng, clusters=80):
    """Two means of the same effect on overlapping halves, with influence functions."""
    common = rng.standard_normal(clusters)
    found = []
    for k, members in enumerate((np.arange(0, 60), np.arange(20, clusters))):
        y = common[members] + 0.5 * rng.standard_normal(len(members))
        psi = (y - y.mean()) / len(members)
        found.append(
            clustered(
                f"a.v{k}",
                float(y.mean()),
                {int(g): float(v) for g, v in zip(members, psi, strict=True)},
            )
        )
    return found


@pytest.fixture(scope="module")
def null_p_values():
    rng = np.random.default_rng(20)
    return np.array([difference(*overlapping_means(rng)).p_value for _ in range(400)])


@pytest.mark.parametrize("level", [0.05, 0.1, 0.25, 0.5, 0.75])
def test_p_values_of_differences_are_uniform_under_the_null(null_p_values, level):
    # 99.9% band of a share in 400 draws.
    band = 3.3 * math.sqrt(level * (1 - level) / 400)
    assert abs((null_p_values <= level).mean() - level) <= band


def test_independent_errors_would_be_wrong_here():
    rng = np.random.default_rng(21)
    pairs = [overlapping_means(rng) for _ in range(50)]
    ours = np.mean([difference(a, b).std_error for a, b in pairs])
    naive = np.mean(
        [
            math.hypot(
                *(j.finished().result.coefficients["std_error"][0] for j in pair)
            )
            for pair in pairs
        ]
    )
    assert ours < 0.8 * naive  # 40 of 60 clusters are shared


def test_romano_wolf_keeps_the_familywise_level():
    # 300 families of three true nulls; 99.9% band of 5% is 3.3 x .0126 = .042.
    rng = np.random.default_rng(22)
    rejected = 0
    for i in range(300):
        common = rng.standard_normal((60, 1))
        y = 0.7 * common + 0.7 * rng.standard_normal((60, 3))
        psi = (y - y.mean(axis=0)) / 60
        family = [
            clustered(
                f"m.c.v{k}",
                float(y[:, k].mean()),
                dict(enumerate(map(float, psi[:, k]))),
            )
            for k in range(3)
        ]
        adjusted = adjust(family, {"name": "romano_wolf", "draws": 499}, seed=i)
        rejected += any(a.p_value <= 0.05 for a in adjusted.values())
    assert abs(rejected / 300 - 0.05) <= 0.042
