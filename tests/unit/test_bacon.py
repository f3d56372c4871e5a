"""Goodman-Bacon: against comparisons by hand, invariances and refusals."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._math.bacon import KINDS, decompose, two_way
from estimators.goodman_bacon import GoodmanBacon
from estimators.twfe import Twfe
from framework.errors import EstimandError
from framework.result import Result
from tests.build_request import build_request

# sums of a few hundred products of numbers near one
EXACT = 1e-12


def panel(
    seed: int = 0,
    cohorts: dict[float, int] | None = None,
    periods: int = 7,
) -> pd.DataFrame:
    """`cohorts`: first treated period (1 = always, inf = never) -> units."""
    rng = np.random.default_rng(seed)
    sizes = cohorts or {1: 3, 3: 4, 5: 2, 6: 5, np.inf: 6}
    first = np.repeat(list(sizes), list(sizes.values()))
    n = len(first)
    data = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n), periods),
            "time": np.tile(np.arange(1, periods + 1), n),
            "first": np.repeat(first, periods),
            "w": np.repeat(rng.integers(1, 5, n), periods).astype(float),
        }
    )
    data["d"] = (data.time >= data["first"]).astype(float)
    since = (data.time - data["first"] + 1).clip(lower=0)
    data["y"] = rng.normal(size=len(data)) + since
    data["y"] += rng.normal(size=n)[data.unit]
    return data


def request_of(data: pd.DataFrame, **changes: Any) -> Any:
    plain: dict[str, Any] = {
        "outcome": "y",
        "treatment": "d",
        "kind": "absorbing",
        "cohort": "first",
        "fixed_effects": ["unit", "time"],
        "inference": "cluster",
        "clusters": ["unit"],
        "unit": "unit",
        "time": "time",
        "acknowledge": frozenset({"few_treated"}),
    }
    return build_request(data, **(plain | changes))


def bacon(data: pd.DataFrame, **changes: Any) -> Result:
    return GoodmanBacon().estimate(request_of(data, **changes))


def by_hand(data: pd.DataFrame, on: float, off: float) -> tuple[float, float]:
    """Weight (up to a factor) and estimate of `on` against `off` by equation (10)."""
    last = data.time.max()
    pair = data[data["first"].isin([on, off])]
    # the window in which `off` does not change its treatment
    pair = pair[pair.time < off] if on < off else pair[pair.time >= off]
    treated = pair["first"] == on
    after = pair.time >= on

    def mean(rows: pd.Series) -> float:
        return float(pair.y[rows].mean())

    estimate = (
        mean(treated & after)
        - mean(treated & ~after)
        - mean(~treated & after)
        + mean(~treated & ~after)
    )
    share = treated.mean()
    variance = after.mean() * (1 - after.mean())
    rows = len(pair) / len(data)
    assert last
    return rows**2 * share * (1 - share) * variance, estimate


def test_every_comparison_equals_the_one_by_hand():
    data = panel()
    found = bacon(data).frames["comparisons"]
    names = {1.0: "always", np.inf: "never"}
    expected = {}
    for on, off in permutations(sorted(data["first"].unique()), 2):
        # the always treated never switch on and the never treated never do
        if on not in (1.0, np.inf):
            key = tuple(names.get(c, f"{c:.0f}") for c in (on, off))
            expected[key] = by_hand(data, on, off)
    total = sum(weight for weight, _ in expected.values())
    assert len(found) == len(expected)
    for row in found.itertuples():
        weight, estimate = expected[row.treated, row.control]
        assert row.weight == pytest.approx(weight / total, abs=EXACT)
        assert row.estimate == pytest.approx(estimate, abs=EXACT)


@pytest.mark.parametrize("weights", [None, ("analytic", "w")])
def test_comparisons_sum_to_the_regression(weights):
    data = panel(3)
    result = bacon(data, weights=weights)
    regression = Twfe().estimate(request_of(data, weights=weights)).coefficients
    frame = result.frames["comparisons"]
    assert frame.weight.sum() == pytest.approx(1, abs=EXACT)
    # the regression demeans iteratively, to 1e-10 of the outcome
    assert frame.weight @ frame.estimate == pytest.approx(
        regression.estimate[0], abs=1e-9
    )
    kinds = result.frames["kinds"]
    assert kinds.weight @ kinds.estimate == pytest.approx(
        regression.estimate[0], abs=1e-9
    )
    assert set(kinds.comparison) == set(KINDS)
    assert result.scalars["two_way_estimate"] == pytest.approx(
        regression.estimate[0], abs=1e-9
    )


def test_periods_with_a_step_and_a_cohort_between_two_of_them():
    data = panel()
    stretched = data.assign(time=data.time * 2, first=data["first"] * 2 - 1)
    stretched["d"] = (stretched.time >= stretched["first"]).astype(float)
    one, two = bacon(data), bacon(stretched)
    columns = ["weight", "estimate"]
    pd.testing.assert_frame_equal(
        one.frames["comparisons"][columns], two.frames["comparisons"][columns]
    )


def test_a_cohort_after_the_last_period_counts_as_never_treated():
    data = panel(cohorts={3: 4, 5: 3, 99: 2, np.inf: 5})
    same = data.assign(first=data["first"].replace(99, np.inf))
    pd.testing.assert_frame_equal(
        bacon(data).frames["comparisons"], bacon(same).frames["comparisons"]
    )


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_the_outcomes_unit_scales_the_estimates_alone(scale):
    data = panel()
    one = bacon(data).frames["comparisons"]
    other = bacon(data.assign(y=data.y * scale)).frames["comparisons"]
    assert np.array_equal(one.weight, other.weight)
    np.testing.assert_allclose(other.estimate, one.estimate * scale, rtol=1e-10)


def test_the_order_and_names_of_units_do_not_matter():
    data = panel()
    renamed = data.assign(unit=[f"u{(7 * u) % 20:02d}" for u in data.unit])
    pd.testing.assert_frame_equal(
        bacon(data).frames["comparisons"],
        bacon(renamed.sample(frac=1, random_state=1)).frames["comparisons"],
        # the order of the units in a mean
        rtol=1e-12,
    )


def test_constant_effects_make_all_estimates_equal():
    data = panel().assign(y=lambda d: 2.0 * d.d + d.unit + 0.3 * d.time)
    found = bacon(data).frames["comparisons"]
    np.testing.assert_allclose(found.estimate, 2.0, atol=1e-12)


def test_the_figure_and_what_is_said():
    result = bacon(panel())
    (plot,) = result.plots
    assert plot.kind == "scatter"
    assert plot.frame in result.frames
    columns = set(result.frames[plot.frame].columns)
    assert {plot.options["x"], plot.options["y"], plot.options["group"]} <= columns
    assert any("treated already" in note for note in result.notes)
    assert not len(result.coefficients)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": slice(1, None)}, "not balanced"),
        ({"fixed_effects": ["unit"]}, "the fixed effects are 'unit'"),
        ({"fixed_effects": []}, "the fixed effects are none"),
        ({"slopes": [("time", "unit")]}, "unit slopes"),
        ({"weights": ("analytic", "w2")}, "changes within units"),
    ],
)
def test_where_the_theorem_does_not_hold_it_says_so(change, words):
    data = panel().assign(w2=lambda d: 1.0 + d.index % 3)
    rows = change.pop("rows", slice(None))
    with pytest.raises(EstimandError) as caught:
        bacon(data.iloc[rows], **change)
    assert "not applicable, because" in str(caught.value)
    assert words in str(caught.value)
    assert {p.code for p in caught.value.problems} == {"E08"}


def test_all_reasons_at_once():
    data = panel().assign(w2=lambda d: 1.0 + d.index % 3)
    with pytest.raises(EstimandError) as caught:
        bacon(data.iloc[1:], controls=["w2"], fixed_effects=["unit"])
    assert len(caught.value.problems) == 2


def test_one_cohort_is_refused():
    with pytest.raises(EstimandError, match="nothing to compare"):
        bacon(panel(cohorts={3: 8}))


def test_the_same_effects_under_another_name_are_two_way():
    data = panel().assign(city=lambda d: d.unit + 100, year=lambda d: d.time + 2000)
    found = bacon(data, fixed_effects=["year", "city"])
    assert found.scalars["two_way_estimate"] == pytest.approx(
        bacon(data).scalars["two_way_estimate"], abs=EXACT
    )


def test_many_random_designs_sum_exactly():
    rng = np.random.default_rng(5)
    for _ in range(30):
        T = int(rng.integers(3, 12))
        start = np.unique(rng.integers(0, T + 1, 6))
        if len(start) < 2:
            continue
        share = rng.dirichlet(np.ones(len(start)))
        mean = rng.normal(size=(len(start), T))
        found = decompose(start, share, mean)
        assert found.weight.sum() == pytest.approx(1, abs=EXACT)
        assert (found.weight > 0).all()
        # the smallest designs divide by variances near 1e-3
        assert found.total == pytest.approx(two_way(start, share, mean), abs=1e-9)
