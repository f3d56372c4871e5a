"""Scores, matches and balance against slow twins and another library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from estimators._math import matching
from estimators._math.balance import compare, overall, pooled_spread
from estimators._math.matching import KERNELS, Points
from estimators._math.propensity import NoMaximumError, fit
from estimators._math.trimming import best_bound

#: Sums of the same numbers in another order.
SAME = 1e-12


def cross_section(n: int = 80, seed: int = 1) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    X[:, 2] = X[:, 2] > 0  # a 0/1 covariate
    d = (X @ [0.8, -0.5, 0.6] + rng.logistic(size=n) > 0.5).astype(float)
    return X, d


def points(values: Any, seed: int = 3) -> Points:
    at = np.asarray(values, dtype=float)
    order = np.random.default_rng(seed).permutation(len(at))
    return Points(at.reshape(len(at), -1), order)


@pytest.fixture(params=[1, 2], ids=["on a line", "in a plane"])
def sides(request) -> tuple[Points, Points]:
    rng = np.random.default_rng(5)
    # Squeezed together in the plane, so that the same reach finds as many.
    one, zero = rng.random((13, request.param)), rng.random((31, request.param))
    scale = [1.0] if request.param == 1 else [1.0, 0.02]
    return points(one * scale), points(zero * scale)


# -- scores ---------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_the_score_is_statsmodels(link):
    discrete = pytest.importorskip("statsmodels.discrete.discrete_model")
    X, d = cross_section(300)
    model = {"logit": discrete.Logit, "probit": discrete.Probit}[link]
    theirs = model(d, np.column_stack([np.ones(len(d)), X])).fit(disp=0, tol=1e-12)
    ours = fit(X, d, link)
    # statsmodels stops at a gradient of about 1e-8
    assert ours.score == pytest.approx(theirs.predict(), abs=1e-7)
    assert ours.log_likelihood == pytest.approx(theirs.llf, abs=1e-9)
    assert ours.pseudo_r2 == pytest.approx(theirs.prsquared, abs=1e-9)


def test_weights_are_copies():
    X, d = cross_section()
    w = np.random.default_rng(2).integers(1, 4, len(d))
    copied = np.repeat(np.arange(len(d)), w)
    ours = fit(X, d, "logit", w.astype(float))
    twin = fit(X[copied], d[copied], "logit")
    assert ours.index[copied] == pytest.approx(twin.index, abs=1e-9)  # Newton's stop


def test_columns_that_add_nothing_are_left_out():
    X, d = cross_section()
    more = np.column_stack([X[:, 0], np.full(len(d), 7.0), X, 2 * X[:, 0] - X[:, 1]])
    ours = fit(more, d, "logit")
    assert ours.used == (0, 3, 4)
    assert ours.score == pytest.approx(fit(X, d, "logit").score, abs=1e-9)


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_separation_has_no_maximum(link):
    X, d = cross_section()
    for column, wanted in (
        (10 * d + X[:, 0] / 9, {3: "high"}),  # complete
        (np.where(d > 0, 0.0, X[:, 2]), {3: "low"}),  # 1 for no treated: quasi-complete
    ):
        with pytest.raises(NoMaximumError) as caught:
            fit(np.column_stack([X, column]), d, link)
        assert caught.value.columns == wanted
    # No column alone, two together.
    rng = np.random.default_rng(8)
    a = rng.normal(size=len(d))
    both = np.column_stack([a, a * 1.01 + np.where(d > 0, 0.3, -0.3)])
    with pytest.raises(NoMaximumError) as caught:
        fit(both, d, link)
    assert caught.value.columns == {}


# -- matches --------------------------------------------------------------------------


def slow(treated: Points, untreated: Points, weigh: Any) -> Any:
    """The definition, one pair at a time."""
    W = np.zeros((len(treated), len(untreated)))
    for i in range(len(treated)):
        distance = [
            float(np.sqrt(((untreated.at[j] - treated.at[i]) ** 2).sum()))
            for j in range(len(untreated))
        ]
        row = np.array(weigh(distance), dtype=float)
        W[i] = row / row.sum() if row.sum() else row
    return W


@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_kernels(sides, kernel):
    shape = {
        "epanechnikov": lambda u: 1 - u * u if u < 1 else 0,
        "gaussian": lambda u: np.exp(-u * u / 2),
        "biweight": lambda u: (1 - u * u) ** 2 if u < 1 else 0,
        "uniform": lambda u: u <= 1,
        "tricube": lambda u: (1 - u**3) ** 3 if u < 1 else 0,
    }[kernel]
    ours = matching.kernel_weights(*sides, kernel, 0.01).toarray()
    twin = slow(*sides, lambda distance: [shape(x / 0.01) for x in distance])
    assert ours == pytest.approx(twin, abs=SAME)
    # Some treated have nobody within 0.01, so that the test is not of dense rows alone.
    assert kernel == "gaussian" or 0 < (ours.sum(axis=1) == 0).sum() < len(ours)


def test_radius(sides):
    ours = matching.radius(*sides, 0.04).toarray()
    twin = slow(*sides, lambda distance: [x <= 0.04 for x in distance])
    assert ours == pytest.approx(twin, abs=SAME)


@pytest.mark.parametrize("caliper", [None, 0.03])
@pytest.mark.parametrize("k", [1, 3])
def test_nearest(sides, k, caliper):
    ours = matching.nearest(*sides, k, caliper=caliper).toarray()

    def weigh(distance: list[float]) -> list[bool]:
        far = sorted(distance)[k - 1]
        return [x <= far and (caliper is None or x <= caliper) for x in distance]

    assert ours == pytest.approx(slow(*sides, weigh), abs=SAME)


def test_ties():
    """Two at the same distance on either side, and copies of one place."""
    treated, untreated = points([0.2, 0.6]), points([0.1, 0.3, 0.3, 0.65, 0.9])
    with_ties = matching.nearest(treated, untreated, 1).toarray()
    assert with_ties == pytest.approx(
        np.array([[1 / 3, 1 / 3, 1 / 3, 0, 0], [0, 0, 0, 1, 0]])
    )
    one = matching.nearest(treated, untreated, 1, ties=False).toarray()
    first = np.argmin(untreated.order[:3])
    assert one[0].tolist() == [float(j == first) for j in range(5)]
    # 0.3 - 0.2 and 0.2 - 0.1 differ in the last bit: that is a tie as well.
    assert 0.3 - 0.2 != 0.2 - 0.1


def test_without_replacement_is_greedy(sides):
    treated, untreated = sides
    for k in (1, 2):
        ours = matching.without_replacement(treated, untreated, k, caliper=0.2)
        free = set(range(len(untreated)))
        twin = np.zeros(ours.shape)
        for _ in range(k):
            for i in np.argsort(treated.order):
                near = {
                    j: np.linalg.norm(untreated.at[j] - treated.at[i]) for j in free
                }
                j = min(near, key=lambda j: near[j])
                if near[j] <= 0.2:
                    free.remove(j)
                    twin[i, j] = 1
        assert (ours.toarray() > 0).tolist() == (twin > 0).tolist()
        assert (ours.toarray() > 0).sum(axis=0).max() == 1


def test_mahalanobis_is_scipys():
    from scipy.spatial.distance import cdist

    X, _ = cross_section()
    at = matching.whitened(X)
    inverse = np.linalg.inv(np.cov(X.T))
    theirs = cdist(X, X, "mahalanobis", VI=inverse)
    ours = np.sqrt(((at[:, None] - at[None]) ** 2).sum(axis=2))
    assert ours == pytest.approx(theirs, abs=1e-10)  # two factorisations
    moved = matching.whitened(X @ np.array([[2, 1, 0], [0, 3, 0], [1, 0, 9]]) + 4)
    again = np.sqrt(((moved[:, None] - moved[None]) ** 2).sum(axis=2))
    assert again == pytest.approx(ours, abs=1e-10)
    # A copied column adds nothing.
    doubled = matching.whitened(np.column_stack([X, X[:, 0]]))
    same = np.sqrt(((doubled[:, None] - doubled[None]) ** 2).sum(axis=2))
    assert same == pytest.approx(ours, abs=1e-7)  # a singular covariance


def test_blocks_of_treated_rows_are_the_whole(sides, monkeypatch):
    whole = matching.nearest(*sides, 3).toarray()
    monkeypatch.setattr(matching, "AT_ONCE", 70)  # two treated rows at a time
    assert (matching.nearest(*sides, 3).toarray() == whole).all()


def test_nobody_to_match_with(sides):
    treated, _ = sides
    nobody = Points(np.empty((0, treated.at.shape[1])), np.empty(0, dtype=int))
    assert matching.radius(treated, nobody, 1.0).shape == (13, 0)
    assert matching.nearest(treated, nobody, 2).shape == (13, 0)
    assert matching.without_replacement(treated, nobody, 1).nnz == 0


# -- balance and trimming -------------------------------------------------------------


def test_balance_is_the_textbook_formula():
    X, d = cross_section()
    w = np.where(d > 0, 1.0, np.random.default_rng(3).integers(0, 3, len(d)))
    spread = pooled_spread(X, d)
    one, zero = X[d > 0], X[d == 0]
    wanted = np.sqrt((one.var(axis=0, ddof=1) + zero.var(axis=0, ddof=1)) / 2)
    assert spread == pytest.approx(wanted, rel=SAME)
    found = compare(X, d, w, spread)
    copies = np.repeat(X[d == 0], w[d == 0].astype(int), axis=0)
    assert found.untreated == pytest.approx(copies.mean(axis=0), rel=1e-10)
    assert found.difference == pytest.approx(
        (one.mean(axis=0) - copies.mean(axis=0)) / spread, rel=1e-10
    )
    same = compare(X, d, np.ones(len(d)), spread)
    ratio = one.var(axis=0, ddof=1) / zero.var(axis=0, ddof=1)
    assert same.ratio == pytest.approx(ratio, rel=1e-10)


def test_rubins_b_is_zero_for_twins():
    X, _ = cross_section()
    rng = np.random.default_rng(1)
    twins = np.vstack([X, X[rng.permutation(len(X))]])
    d = np.repeat([1.0, 0.0], len(X))
    found = overall(twins, d, np.ones(len(d)), np.zeros(3), "logit")
    assert found.rubin_b == pytest.approx(0, abs=1e-6)
    assert found.pseudo_r2 == pytest.approx(0, abs=1e-9)


def test_the_best_bound_has_the_least_variance():
    rng = np.random.default_rng(4)
    for shape in ((0.3, 0.5), (20, 20)):  # scores near 0 and 1, and in the middle
        e = np.round(rng.beta(*shape, 200).clip(1e-3, 1 - 1e-3), 3)
        ours = best_bound(e)

        def variance(alpha: float, e: Any = e) -> float:
            kept = e[np.minimum(e, 1 - e) >= alpha]
            return float((1 / (kept * (1 - kept))).sum() / len(kept) ** 2)

        tried = {alpha: variance(alpha) for alpha in np.unique(np.minimum(e, 1 - e))}
        assert variance(ours) == pytest.approx(min(tried.values()), rel=SAME)
        # Their equation 8: 1 / (alpha (1 - alpha)) is about twice the mean over the kept.
        kept = e[np.minimum(e, 1 - e) >= ours]
        if len(kept) < len(e):
            limit = 2 * (1 / (kept * (1 - kept))).mean()
            left = e[np.minimum(e, 1 - e) < ours]
            assert 1 / (ours * (1 - ours)) <= limit * (1 + 1 / len(kept))
            assert (1 / (left * (1 - left))).min() >= limit * (1 - 1 / len(kept))
    assert len(kept) == len(e)  # the second: nothing to trim


def bound_of(e: np.ndarray, alpha: float) -> float:
    """The variance bound of the rows that are kept (Crump et al. 2009, equation 8)."""
    kept = np.minimum(e, 1 - e) >= alpha
    return float((1 / (e * (1 - e)))[kept].sum() / kept.sum() ** 2)


def test_the_best_bound_is_the_least_among_equal_scores():
    rng = np.random.default_rng(11)
    for _ in range(50):
        e = np.round(np.clip(rng.beta(0.4, 0.4, size=30), 0.02, 0.98), 2)
        least = min(bound_of(e, alpha) for alpha in np.minimum(e, 1 - e))
        # sums of 30 numbers in two orders
        assert bound_of(e, best_bound(e)) == pytest.approx(least, rel=1e-12)
