"""A line with many specifications: counts, choices and tests of all of them at once."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from framework.multiverse import Universe, multiverse
from tests.build_judged import estimation, row

PATHS = {
    "outcome": ("a", "b", "c"),
    "controls": ("few", "many"),
    "sample": ("all", "x"),
}


def universe(estimate, choices, *, error=1.0, drawn=None, name="s", status="done"):
    """A specification with that estimate; `drawn` are the t statistics of its draws."""
    judged = estimation("m.all", row(estimate, error))
    if drawn is not None:
        frame = pd.DataFrame(
            {"statistic": np.asarray(drawn, dtype=float), "assignment": name}
        )
        judged = replace(
            judged,
            cell=replace(judged.cell, draws=frame),
            draws={"permute": "treatment"},
        )
    if status != "done":
        judged = replace(judged, cell=None, problem="no rows")
    return Universe(judged, tuple(choices.items()), 0, status)


def grid(value, **options):
    """Every combination of `PATHS`, with `value(choices)` as its estimate."""
    return [
        universe(value(choices), choices, **options)
        for taken in itertools.product(*PATHS.values())
        for choices in [dict(zip(PATHS, taken, strict=True))]
    ]


# -- counts -------------------------------------------------------------------------------


def test_all_specifications_are_counted_and_none_is_the_best():
    universes = [
        universe(e, {"outcome": str(i), "controls": "x"})
        for i, e in enumerate([-3, 1, 2, 4])
    ]
    lost = [universe(9, {"outcome": "lost", "controls": s}, status=s)
            for s in ("failed", "refused", "not_built")]  # fmt: skip
    held = [replace(u, excluded=5) for u in universes + lost]
    found = multiverse("m", "all", held)
    assert (found.planned, found.excluded) == (12, 5)
    assert (found.ran, found.failed, found.refused) == (4, 1, 2)
    assert (found.median, found.lowest, found.highest) == (1.5, -3, 4)
    assert (found.positive, found.significant) == (3, (1, 2))
    assert found.sign_share == 0.75


@pytest.mark.parametrize(
    "universes",
    [
        [],
        [universe(1, {"outcome": "a", "controls": "few"})],
        [universe(e, {"without.state": str(e)}) for e in range(5)],
    ],
    ids=["nothing", "one number", "one choice: leave one out"],
)
def test_what_is_no_multiverse(universes):
    assert multiverse("m", "all", universes) is None


# -- which choices matter -----------------------------------------------------------------


def test_in_a_full_grid_the_shares_are_those_of_the_analysis_of_variance():
    effect = {"a": -1.0, "b": 0.0, "c": 1.0, "few": 0.0, "many": 1.0}
    found = multiverse(
        "m", "all", grid(lambda c: effect[c["outcome"]] + effect[c["controls"]])
    )
    # Variances of the two effects over the grid: 2/3 and 1/4.
    shares = {c.path: c.shapley for c in found.choices}
    total = 2 / 3 + 1 / 4
    assert shares["outcome"] == pytest.approx(2 / 3 / total)
    assert shares["controls"] == pytest.approx(1 / 4 / total)
    assert shares["sample"] == pytest.approx(0, abs=1e-12)
    assert found.r2 == pytest.approx(1)
    for choice in found.choices:  # an orthogonal design: the order is of no matter
        assert choice.alone == pytest.approx(choice.last, abs=1e-12)


def test_off_the_grid_shares_are_the_mean_over_all_orders_and_sum_to_r2():
    rng = np.random.default_rng(5)
    universes = grid(lambda _: rng.normal())[:-4]  # `except` struck some out
    found = multiverse("m", "all", universes)
    estimates = np.array([u.judged.cell.result.coefficients.estimate.iloc[0]
                          for u in universes])  # fmt: skip
    taken = pd.DataFrame([dict(u.choices) for u in universes])

    def r2(paths):
        design = pd.DataFrame({"one": np.ones(len(taken))})
        for path in paths:
            dummies = pd.get_dummies(taken[path], drop_first=True, dtype=float)
            design = design.join(dummies.add_prefix(path))
        fit = design @ np.linalg.pinv(design.to_numpy()) @ estimates
        return (
            1
            - ((estimates - fit) ** 2).sum()
            / ((estimates - estimates.mean()) ** 2).sum()
        )

    added = dict.fromkeys(PATHS, 0.0)
    orders = list(itertools.permutations(PATHS))
    for order in orders:
        for place, path in enumerate(order):
            added[path] += (r2(order[: place + 1]) - r2(order[:place])) / len(orders)
    for choice in found.choices:
        assert choice.shapley == pytest.approx(added[choice.path], abs=1e-12)
    assert sum(c.shapley for c in found.choices) == pytest.approx(found.r2)


def test_medians_of_a_choice_are_in_the_order_of_writing():
    found = multiverse("m", "all", grid(lambda c: float(ord(c["outcome"]))))
    assert list(found.choices[0].medians.items()) == [
        ("a", (4, 97.0)), ("b", (4, 98.0)), ("c", (4, 99.0))]  # fmt: skip


@pytest.mark.parametrize(
    ("universes", "reason"),
    [
        (grid(lambda _: 1.0), "all estimates are the same"),
        (
            [universe(e, {"outcome": str(e), "controls": "x"}) for e in range(4)],
            "cannot tell",
        ),
        (
            [universe(e, {"outcome": "y", "controls": "x"}) for e in range(4)],
            "one value only",
        ),
    ],
)
def test_where_no_choice_can_be_judged_the_reason_is_said(universes, reason):
    found = multiverse("m", "all", universes)
    assert found.choices == ()
    assert reason in found.choices_reason


# -- all of them at once ------------------------------------------------------------------


def three(t, draws):
    """A specification per column of `draws`, with the t statistics `t` in the data."""
    return [
        universe(value, {"outcome": str(i), "controls": "x"}, drawn=draws[:, i])
        for i, value in enumerate(t)
    ]


def joint_of(universes):
    return {t.name: t for t in multiverse("m", "all", universes).joint}


def test_the_statistics_are_those_of_the_paper():
    draws = np.zeros((9, 3))
    found = joint_of(three([2.5, 1.0, 3.0], draws))
    assert found["median"].statistic == 2.5
    assert found["significant"].statistic == 2
    # Without degrees of freedom t is z: Stouffer's sum over the root of their number.
    assert found["stouffer"].statistic == pytest.approx(6.5 / math.sqrt(3))
    assert {t.p_value for t in found.values()} == {1 / 10}


def test_t_becomes_z_by_its_degrees_of_freedom():
    judged = estimation("m.all", row(2.5, 1.0))
    result = judged.cell.result
    held = replace(result, scalars={**result.scalars, "df_t": 7.0})
    cell = replace(judged.cell, result=held, draws=pd.DataFrame(
        {"statistic": np.zeros(4), "assignment": "s"}))  # fmt: skip
    judged = replace(judged, cell=cell, draws={"permute": "treatment"})
    universes = [Universe(judged, (("outcome", str(i)), ("c", "x")), 0, "done")
                 for i in range(2)]  # fmt: skip
    z = stats.norm.isf(stats.t.sf(2.5, 7))
    assert joint_of(universes)["stouffer"].statistic == pytest.approx(
        2 * z / math.sqrt(2)
    )


def test_significant_specifications_are_counted_by_sign():
    draws = np.array([[3.0, -3.0, 3.0], [-3.0, -3.0, -3.0], [0.0, 0.0, 3.0]])
    found = joint_of(three([2.5, -2.5, 2.6], draws))["significant"]
    # Two of one sign in the data; draws have two, three and one.
    assert (found.statistic, found.p_value) == (2, 3 / 4)


def test_a_draw_without_a_number_counts_as_extreme():
    draws = np.zeros((4, 3))
    draws[1, 2] = np.nan
    assert {t.p_value for t in joint_of(three([9, 9, 9], draws)).values()} == {2 / 5}


def test_p_values_are_valid_under_the_null_whatever_the_dependence():
    """Each draw in turn is the data: by exchangeability P(p <= a) <= a exactly."""
    rng = np.random.default_rng(8)
    common = rng.normal(size=(40, 1))
    t = np.hstack([common + 0.3 * rng.normal(size=(40, 1)) for _ in range(3)])
    t[:, 2] *= 3  # one specification rejects too often by itself
    p = [
        {n: f.p_value for n, f in joint_of(three(t[i], np.delete(t, i, 0))).items()}
        for i in range(len(t))
    ]
    for name in ("median", "significant", "stouffer"):
        found = np.array([held[name] for held in p])
        for level in np.arange(1, 41) / 40:
            assert (found <= level + 1e-12).mean() <= level + 1e-12, (name, level)


def test_specifications_with_other_units_have_no_joint_test_and_say_why():
    draws = np.zeros(4)
    universes = [
        universe(1, {"outcome": n, "controls": "x"}, drawn=draws, name=n) for n in "ab"
    ]
    found = joint_of(universes)
    assert all(t.p_value is None for t in found.values())
    assert "different units" in found["median"].reason


def test_without_permutations_nothing_is_tested():
    assert multiverse("m", "all", grid(lambda c: float(ord(c["outcome"])))).joint == ()


# -- what is counted once, and what is not mixed ---------------------------------------


def test_the_same_specification_is_counted_once():
    values = grid(lambda c: {"a": 1.0, "b": 2.0, "c": 4.0}[c["outcome"]])
    again = [replace(u, same_as="m.all.first") for u in values]
    once, twice = multiverse("m", "all", values), multiverse("m", "all", values + again)
    assert (twice.planned, twice.same) == (2 * once.planned, once.planned)
    assert replace(twice, planned=once.planned, same=0) == once


def test_numbers_of_different_periods_have_no_median():
    def at(estimate, value, **index):
        choices = {"estimator": value, "controls": "x"}
        return replace(
            universe(estimate, choices),
            judged=estimation("m.all", row(estimate, 1.0, **index)),
        )

    found = multiverse("m", "all", [at(1.0, "a"), at(5.0, "b", cohort=2006)])
    assert (found.median, found.lowest, found.highest, found.r2) == (None,) * 4
    assert sum(found.quantities.values()) == 2
    assert "different periods" in found.choices_reason
    alike = multiverse("m", "all", [at(1.0, "a"), at(5.0, "b")])
    assert alike.median == 3.0
    assert list(alike.quantities.values()) == [2]


def test_a_specification_without_a_p_value_is_said():
    values = [
        universe(e, {"outcome": str(e), "controls": "x"}, error=error)
        for e, error in ((9.0, 1.0), (9.0, math.nan))
    ]
    found = multiverse("m", "all", values)
    assert (found.ran, found.significant, found.unjudged) == (2, (0, 1), 1)
