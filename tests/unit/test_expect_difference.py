"""Do two estimations differ? Influence functions small enough to check by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from framework.expect import Judged, difference, equality, judge, shifts
from framework.expect.comparison import ROW, pairwise
from tests.build_judged import Cell, clustered, estimation, row, verdict, verdicts

A = {"x": 3.0, "y": -1.0, "z": -2.0}
B = {"x": 1.0, "y": -1.0}


def test_difference_uses_what_both_share():
    # psi differs by (2, 0, -2): variance 8, although 14 + 2 = 16 if independent.
    gap = difference(clustered("a.a", 5, A), clustered("a.b", 1, B))
    assert gap.estimate == 4
    assert gap.std_error == pytest.approx(math.sqrt(8), rel=1e-14)  # one rounding
    assert gap.p_value == pytest.approx(math.erfc(1.0), rel=1e-12)  # t = sqrt 2
    assert gap.method == "influence functions by city, normal"


def test_order_of_clusters_does_not_matter():
    shuffled = dict(reversed(A.items()))
    gap = difference(clustered("a.a", 5, shuffled), clustered("a.b", 1, B))
    assert gap.std_error == pytest.approx(math.sqrt(8), rel=1e-14)  # one rounding


def test_disjoint_samples_are_independent_and_said_so():
    other = {"u": 3.0, "v": 4.0}
    gap = difference(clustered("a.a", 5, A), clustered("a.b", 1, other))
    assert gap.std_error == pytest.approx(math.sqrt(14 + 25), rel=1e-14)
    assert "no cluster in common" in gap.method


def test_two_way_clusters_by_inclusion_and_exclusion():
    # Difference: (x,1) 1, (x,2) 1, (y,1) 2. By first: 2^2 + 2^2 = 8; by second:
    # 3^2 + 1 = 10; cells: 1 + 1 + 4 = 6; 8 + 10 - 6 = 12.
    a = {("x", 1): 2.0, ("x", 2): 1.0, ("y", 1): 2.0}
    b = {("x", 1): 1.0}
    names = ("city", "year")
    first = (2 + 1) ** 2 + 2**2
    second = (2 + 2) ** 2 + 1**2
    cells = 4 + 1 + 4
    error = math.sqrt(first + second - cells)
    whole = clustered("a.a", 5, a, names=names, error=error)
    part = clustered("a.b", 1, b, names=names, error=1.0)
    gap = difference(whole, part)
    assert gap.std_error == pytest.approx(math.sqrt(12), rel=1e-14)
    swapped = {(year, city): v for (city, year), v in b.items()}
    turned = clustered("a.b", 1, swapped, names=names[::-1], error=1.0)
    assert difference(whole, turned).std_error == pytest.approx(
        math.sqrt(12), rel=1e-14
    )


def test_a_negative_two_way_variance_gives_no_error():
    # The difference is a checkerboard: zero by city and by year, 4 by cell: 0 + 0 - 4.
    board = {("x", 1): 1.0, ("x", 2): -1.0, ("y", 1): -1.0, ("y", 2): 1.0}
    both = {("z", 3): 10.0}
    names = ("city", "year")
    a = clustered("a.a", 5, board | both, names=names, error=math.sqrt(100 + 100 - 104))
    b = clustered("a.b", 1, both, names=names, error=10.0)
    gap = difference(a, b)
    assert (gap.estimate, gap.std_error) == (4, None)
    assert "negative (-4)" in gap.reason


def test_clustered_differently_is_said_and_not_guessed():
    gap = difference(clustered("a.a", 5, A), clustered("a.b", 1, B, names="province"))
    assert (gap.estimate, gap.std_error, gap.p_value) == (4, None, None)
    assert gap.reason == "clustered differently: a.a by city, a.b by province"


def test_unnamed_clusters_ids_of_two_types_and_rows_of_two_panels_are_refused():
    unnamed = difference(
        clustered("a.a", 5, A, names=None), clustered("a.b", 1, B, names=None)
    )
    assert "does not name the clusters" in unnamed.reason
    numbers = difference(clustered("a.a", 5, {1: 3.0}), clustered("a.b", 1, {"1": 3.0}))
    assert "numbers in one estimation and text in another" in numbers.reason
    rows = difference(
        clustered("a.a", 5, {1: 3.0}, names=ROW, panel="k1"),
        clustered("a.b", 1, {1: 2.0}, names=ROW, panel="k2"),
    )
    assert "the prepared data differ" in rows.reason


def test_rows_of_two_samples_of_the_same_data_are_matched_by_name():
    whole = clustered("a.a", 5, {0: 3.0, 1: 1.0}, names=ROW)
    part = clustered("a.b", 1, {1: 2.0, 2: 1.0}, names=ROW)
    error = math.sqrt(3**2 + (1 - 2) ** 2 + 1**2)
    assert difference(whole, part).std_error == pytest.approx(error, rel=1e-14)


def test_errors_of_two_kinds_are_not_mixed():
    def judged(address, inference, psi=A, names="city"):
        labels = {"inference": inference, "treatment": ["ai"]}
        return clustered(address, len(psi), psi, names=names, labels=labels)

    gap = difference(judged("a.a", "homoskedastic"), judged("a.b", "robust", B))
    assert gap.reason == "standard errors of different kinds: homoskedastic; robust"
    hac = [judged("a.a", "Newey-West, 2 lags"), judged("a.b", "Newey-West, 2 lags", B)]
    assert "rows that are not the same" in difference(*hac).reason
    one, two = "clustered by a and b", "clustered by b and a"
    assert difference(judged("a.a", one), judged("a.b", two, B)).std_error


@pytest.mark.parametrize(
    ("inference", "other", "error"),
    [
        ("heteroskedasticity-robust (HC1)", {2: 4.0}, 5.0),
        ("heteroskedasticity-robust (HC1)", {1: 1.0, 2: 4.0}, math.sqrt(4 + 16)),
        ("homoskedastic", {2: 4.0}, 5.0),
    ],
)
def test_without_clusters_two_samples_of_rows_are_compared(inference, other, error):
    def judged(address, psi):
        labels = {"inference": inference, "treatment": ["ai"]}
        return clustered(address, 1, psi, names=ROW, labels=labels)

    gap = difference(judged("a.a", {1: 3.0}), judged("a.b", other))
    assert gap.std_error == pytest.approx(error, rel=1e-14)  # sums of two squares


def test_homoskedastic_errors_of_samples_that_overlap_in_part_are_not_compared():
    labels = {"inference": "homoskedastic", "treatment": ["ai"]}
    pair = [
        clustered(a, 1, psi, names=ROW, labels=labels)
        for a, psi in (("a.a", {1: 3.0}), ("a.b", {1: 1.0, 2: 4.0}))
    ]
    assert "rows that are not the same" in difference(*pair).reason


def test_influence_functions_must_give_the_error_that_is_printed():
    wrong = clustered("a.a", 5, A, error=4.0)
    gap = difference(wrong, clustered("a.b", 1, B))
    assert gap.std_error is None
    assert "give a standard error of 3.742, printed is 4" in gap.reason


def test_without_influence_functions_the_numbers_still_differ_by_something():
    gap = difference(estimation("a.a", row(5, 1)), estimation("a.b", row(1, 1)))
    assert gap.estimate == 4
    assert gap.reason == "a.a has no influence function of ai"


def test_a_failed_estimation_gives_no_difference():
    gap = difference(Judged("a.a", None, problem="lost"), clustered("a.b", 1, B))
    assert gap.estimate is None
    assert "lost" in gap.reason


def test_the_same_estimation_twice_is_the_same_number():
    gap = difference(clustered("a.a", 5, A), clustered("a.b", 5, A))
    assert gap.identical
    assert gap.p_value is None
    two_way = clustered("a.b", 5, B, names="state")
    assert difference(clustered("a.a", 5, A), two_way).identical


def test_outcomes_and_estimands_that_differ_are_noted():
    other = Judged(
        "a.b",
        Cell(
            clustered("a.b", 1, B).finished().result,
            labels={"outcome": "z", "treatment": []},
        ),
    )
    gap = difference(clustered("a.a", 5, A), other)
    assert gap.notes == ("the outcomes differ (y; z)",)


def test_a_difference_of_two_outcomes_is_no_row_of_a_table():
    base = clustered("a.a", 5, A)

    def compared(outcome):
        labels = {"outcome": outcome, "treatment": ["ai"]}
        again = {"expect": "same_sign", "against": "a.a", "labels": labels}
        return shifts([base, clustered("a.b", 1, B, **again)])

    assert compared("y")["a.b"].gap.estimate == -4
    # In units of z less units of y: the verdict may say it, with that note.
    assert compared("z") == {}


def test_the_smaller_degrees_of_freedom_count():
    a = clustered("a.a", 5, A, scalars={"df_t": 2.0})
    gap = difference(a, clustered("a.b", 1, B, scalars={"df_t": 1.0}))
    # t(1) at sqrt 2: 1 - 2 atan(sqrt 2) / pi
    assert gap.p_value == pytest.approx(1 - 2 * math.atan(2**0.5) / math.pi, rel=1e-12)
    assert gap.method.endswith("t(1)")


# -- differ and equal ------------------------------------------------------------------


def regions(estimates, expect, errors=(1.0, 1.0, 1.0)):
    return [
        clustered(f"a.regions.r{i}", b, {f"c{i}": e}, expect=expect)
        for i, (b, e) in enumerate(zip(estimates, errors, strict=False))
    ]


def test_equality_of_three_is_the_wald_test():
    # Independent, unit variances: sum of squares about the mean, chi2(2).
    test = equality(regions([0, 1, 5], "differ"))
    squares = 14.0
    assert test.statistic * 2 == pytest.approx(squares, rel=1e-12)
    assert test.p_value == pytest.approx(math.exp(-squares / 2), rel=1e-9)
    assert test.text == "chi2(2) = 14"


def test_differ_over_the_line_is_one_verdict_on_every_value():
    said = verdicts(*regions([0, 1, 5], "differ"))
    assert {(v.status, v.of_line) for v in said} == {("holds", True)}
    assert "r0 0, r1 1, r2 5" in said[0].reason
    assert {v.status for v in verdicts(*regions([0, 1, 2], "differ"))} == {"fails"}


def test_differ_from_the_baseline():
    base = clustered("m.base", 1, B)

    def said(estimate):
        check = clustered("a.b", estimate, A, expect="differ", against="m.base")
        return verdict(base, check)

    # Critical difference: 1.96 x sqrt 8 = 5.54.
    assert said(6.6).status == "holds"
    assert said(6.5).status == "fails"
    assert said(6.5).expectation == "differs from m.base at 5%"
    assert not said(6.5).of_line


def test_equal_within_a_bound_tests_every_pair():
    # Each difference has error sqrt 2: 1 + 1.645 x 1.414 = 3.326.
    def status(bound):
        expect = {"name": "equal", "bound": bound}
        (found,) = {v.status for v in verdicts(*regions([0, 0.5, 1], expect))}
        return found

    assert (status(3.32), status(3.33)) == ("fails", "holds")


def test_equal_to_a_tolerance_compares_the_numbers():
    def status(tolerance):
        expect = {"name": "equal", "tolerance": tolerance}
        (found,) = {v.status for v in verdicts(*regions([0, 0.5, 1], expect))}
        return found

    assert (status(0.99), status(1)) == ("fails", "holds")


def test_equal_without_a_bound_proves_nothing():
    open_ = verdicts(*regions([0, 0.5, 1], "equal"))[0]
    assert open_.status == "cannot be judged"
    assert "no evidence for it. Declare" in open_.reason
    assert "from 3.327 on" in open_.reason
    assert verdicts(*regions([0, 1, 5], "equal"))[0].status == "fails"


def test_a_line_with_a_lost_value_cannot_be_compared():
    run = regions([0, 1], "differ")
    lost = Judged("a.regions.r9", None, problem="6 clusters")
    said = judge([*run, lost])["a.regions.r0"][0]
    assert said.status == "cannot be judged"
    assert "6 clusters" in said.reason


def test_more_values_than_clusters_can_tell_apart():
    run = [
        clustered(f"a.l.v{i}", i, {"x": float(i + 1)}, expect="differ")
        for i in range(3)
    ]
    said = verdicts(*run)[0]
    assert said.status == "cannot be judged"
    assert "too few clusters" in said.reason


def test_same_sign_reports_the_difference():
    base = clustered("m.base", 1, B)
    check = clustered("a.b", 5, A, expect="same_sign", against="m.base")
    assert (
        "the difference is 4 (standard error 2.828, p = 0.1573; influence functions "
        "by city, normal)"
    ) in verdict(base, check).reason


def test_clusters_that_are_cells_of_two_columns_stay_one_clustering():
    # ids are pairs; two levels would mean two-way clusters and another variance.
    pairs = {("x", 1): 3.0, ("x", 2): -1.0, ("y", 1): -2.0}
    index = pd.Index(pd.Series(list(pairs), dtype=object), name="city × year")
    assert index.nlevels == 1
    psi = pd.DataFrame({0: pairs.values()}, index=index, dtype=float)
    a = estimation("a.a", row(5, 14**0.5), influence=psi)
    b = estimation("a.b", row(1, 10**0.5), influence=psi.iloc[:2])
    assert difference(a, b).std_error == pytest.approx(2, rel=1e-14)  # one rounding


def test_it_is_the_error_that_one_stacked_regression_gives():
    """Two regressions on overlapping rows = one on stacked, interacted data.

    The cluster-robust error of the interaction, without small-sample factor, is the
    error of the difference.
    """
    rng = np.random.default_rng(7)
    cluster = np.repeat(np.arange(30), 6)
    x = rng.normal(size=180) + rng.normal(size=30)[cluster]
    y = x + rng.normal(size=180) + rng.normal(size=30)[cluster]
    samples = [np.arange(180) < 150, np.arange(180) >= 24]

    def regressed(address, keep):
        X, u = np.column_stack([np.ones(keep.sum()), x[keep]]), y[keep]
        b = np.linalg.solve(X.T @ X, X.T @ u)
        scores = (X * (u - X @ b)[:, None]) @ np.linalg.inv(X.T @ X)
        psi = pd.Series(scores[:, 1]).groupby(cluster[keep]).sum()
        return clustered(address, float(b[1]), psi.to_dict())

    gap = difference(*(regressed(f"a.{i}", keep) for i, keep in enumerate(samples)))

    which = np.concatenate([np.full(keep.sum(), i) for i, keep in enumerate(samples)])
    rows = np.concatenate([np.flatnonzero(keep) for keep in samples])
    X = np.column_stack([np.ones_like(rows), x[rows], which, which * x[rows]])
    bread = np.linalg.inv(X.T @ X)
    b = bread @ X.T @ y[rows]
    scores = pd.DataFrame(X * (y[rows] - X @ b)[:, None]).groupby(cluster[rows]).sum()
    V = bread @ scores.to_numpy().T @ scores.to_numpy() @ bread
    # Both are direct solutions of well-conditioned 180-row problems.
    assert gap.estimate == pytest.approx(-b[3], rel=1e-9)
    assert gap.std_error == pytest.approx(math.sqrt(V[3, 3]), rel=1e-9)


@pytest.mark.parametrize("names", ["city", ("city", "year")])
def test_all_differences_at_once_are_the_differences(names):
    rng = np.random.default_rng(3)
    # Every year in one city's hands: the two-way variance is the cities' plain one.
    ids = list(range(9)) if names == "city" else [(i % 4, i) for i in range(9)]
    line = []
    for k in range(4):
        psi = dict(zip(ids[k:], rng.normal(size=9 - k).tolist(), strict=True))
        sums = pd.Series(psi)
        if names != "city":
            sums = sums.groupby(level=0).sum()
        error = math.sqrt((sums**2).sum())
        line.append(clustered(f"a.l.v{k}", float(k), psi, names=names, error=error))
    line.append(replace(line[0], address="a.l.again"))
    pairs = pairwise(line)
    for i, a in enumerate(line):
        for j, b in enumerate(line):
            gap = difference(a, b)
            # The same sums of at most nine squares in another order.
            assert pairs.gaps[i, j] == pytest.approx(gap.estimate)
            assert pairs.errors[i, j] == pytest.approx(gap.std_error or 0, rel=1e-12)


def test_many_values_are_compared_in_one_go():
    rng = np.random.default_rng(4)
    expect = ({"name": "equal", "bound": 1}, "differ")
    run = [
        clustered(
            f"a.l.v{k}", 0.0, dict(enumerate(rng.normal(size=80) / 80)), expect=expect
        )
        for k in range(60)
    ]
    assert {v.status for v in verdicts(*run)} == {"holds", "fails"}
