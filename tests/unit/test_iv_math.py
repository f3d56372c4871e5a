"""The array functions of instruments, each against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from estimators._math.instruments import (
    canonical_correlations,
    effective_f,
    effective_f_critical,
    kronecker,
    overidentification,
    quadratic,
    rank_test,
    robust_set,
    tf_factor,
    two_stage,
)

# Rounding of a well-conditioned solve.
EXACT = 1e-9


def columns(seed: int = 0, n: int = 300, p: int = 1, q: int = 2):
    rng = np.random.default_rng(seed)
    Z, u = rng.normal(size=(n, q)), rng.normal(size=n)
    D = Z @ rng.normal(size=(q, p)) + rng.normal(size=(n, p)) + 0.5 * u[:, None]
    return D @ np.ones(p) + u, D, Z


def sums(scores):
    return scores.T @ scores


@pytest.mark.parametrize("p", [1, 2])
def test_an_instrument_that_is_the_treatment_gives_least_squares(p):
    y, D, _ = columns(p=p, q=3)
    turned = D @ (np.eye(p) + 0.3)  # the same columns, mixed
    least = np.linalg.lstsq(D, y, rcond=None)[0]
    assert two_stage(y, D, turned).estimate == pytest.approx(least, rel=EXACT)


def test_one_instrument_is_the_ratio_of_wald():
    y, D, Z = columns(q=1)
    ratio = float(Z[:, 0] @ y) / float(Z[:, 0] @ D[:, 0])
    assert two_stage(y, D, Z).estimate[0] == pytest.approx(ratio, rel=EXACT)


def test_a_just_identified_fit_leaves_nothing_of_the_instruments():
    y, D, Z = columns(p=2, q=2)
    assert Z.T @ two_stage(y, D, Z).residuals == pytest.approx(0, abs=1e-9)  # rounding


@pytest.mark.parametrize(("p", "q"), [(1, 1), (1, 3), (2, 2), (2, 4), (3, 4)])
def test_homoskedastic_rank_tests_are_anderson_and_cragg_donald(p, q):
    _, D, Z = columns(p=p, q=q)
    n = len(D)
    found = rank_test(D, Z, n, None)
    smallest = canonical_correlations(D, Z)[-1] ** 2
    assert found.lm == pytest.approx(n * smallest, rel=EXACT)
    assert found.wald == pytest.approx(n * smallest / (1 - smallest), rel=EXACT)
    assert found.df == q - p + 1


def test_the_rank_test_does_not_depend_on_the_basis():
    _, D, Z = columns(p=2, q=4)
    plain = rank_test(D, Z, len(D), sums)
    rng = np.random.default_rng(5)
    turned = rank_test(
        D @ rng.normal(size=(2, 2)), 1e3 * Z @ rng.normal(size=(4, 4)), len(D), sums
    )
    assert (turned.lm, turned.wald) == pytest.approx((plain.lm, plain.wald), rel=1e-8)


def test_a_singular_covariance_has_no_rank_test():
    _, D, Z = columns(q=3)
    pair = np.arange(len(D)) % 2

    def clusters(scores):
        return sums(np.array([scores[pair == g].sum(axis=0) for g in (0, 1)]))

    found = rank_test(D, Z, len(D), clusters)
    assert (found.lm, found.wald) == (None, None)
    y = D[:, 0]
    assert overidentification(y + Z[:, 0], D, Z, len(D), clusters) is None


def test_kronecker_runs_over_instruments_fastest():
    v, z = np.array([[1.0, 10.0]]), np.array([[1.0, 2.0, 3.0]])
    assert kronecker(v, z).tolist() == [[1, 2, 3, 10, 20, 30]]


def test_quadratic():
    V = np.array([[4.0, 0.0], [0.0, 1.0]])
    assert quadratic(np.array([2.0, 3.0]), V) == pytest.approx(10)
    assert quadratic(np.array([1.0, 1.0]), np.ones((2, 2))) is None
    assert quadratic(np.array([1.0]), np.zeros((1, 1))) is None


def test_effective_f_is_the_f_with_one_instrument_or_equal_variances():
    pi, V = np.array([0.5]), np.array([[0.01]])
    assert effective_f(pi, V, np.array([[7.0]])) == pytest.approx(25)
    ZZ = np.array([[5.0, 1.0], [1.0, 3.0]])
    pi, V = np.array([0.5, -0.2]), 0.01 * np.linalg.inv(ZZ)
    wald = pi @ np.linalg.solve(V, pi) / 2
    assert effective_f(pi, V, ZZ) == pytest.approx(wald)


def test_critical_value_of_the_effective_f():
    # Montiel Olea and Pflueger's rule for one instrument at 10 % bias
    assert effective_f_critical(np.eye(1), np.eye(1)) == pytest.approx(23.1, abs=0.05)
    # Andrews, Stock and Sun (2019): never above that
    rng = np.random.default_rng(1)
    for q in (2, 3, 5):
        root = rng.normal(size=(q, q))
        value = effective_f_critical(root @ root.T, np.eye(q))
        assert 10 < value < 23.11


@pytest.mark.parametrize(("f", "critical"), [(10.253, 3.385), (104.68, 1.96)])
def test_tf_as_printed(f, critical):
    # Lee et al. (2022): factor 1.727 at 10.253; 1.96 is valid from F = 104.7
    assert 1.959964 * tf_factor(f) == pytest.approx(critical, abs=6e-4)


def test_tf_below_its_table_has_no_value():
    assert tf_factor(3.99) is None
    assert tf_factor(1e4) == 1.0
    known = [tf_factor(f) for f in np.linspace(4, 120, 400)]
    assert np.all(np.diff(known) <= 0)


@pytest.mark.parametrize("f0", [1.0, 2.0, 3.0, 5.0, 8.0])
def test_tf_rejects_a_true_null_at_most_once_in_twenty(f0):
    """In the worst case (errors perfectly correlated) |t| = |f (f - f0) / f0|."""
    f = np.linspace(f0 - 8, f0 + 8, 200_001)
    factors = np.array([tf_factor(v) or np.inf for v in np.linspace(4, 400, 40_000)])
    factor = np.interp(f**2, np.linspace(4, 400, 40_000), factors)
    factor[f**2 < 4] = np.inf
    rejected = np.abs(f * (f - f0) / f0) > 1.959964 * factor
    size = np.sum(norm.pdf(f - f0) * rejected) * (f[1] - f[0])
    # the printed factors have three decimals
    assert size < 0.0505


def ar(effect, reduced, first, V):
    q = len(reduced)
    turn = np.hstack([np.eye(q), -effect * np.eye(q)])
    r = reduced - effect * first
    return float(r @ np.linalg.solve(turn @ V @ turn.T, r)) / q


@pytest.mark.parametrize(
    ("first", "kind"), [(5.0, "interval"), (1.5, "rays"), (0.3, "line")]
)
def test_robust_set_of_one_instrument_is_the_quadratic(first, kind):
    reduced = np.array([3.0 if kind != "line" else 0.2])
    V, bound = np.array([[1.0, 0.4], [0.4, 1.0]]), 3.84
    # (r - b f)^2 <= bound (v00 - 2 b v01 + b^2 v11)
    a = first**2 - bound
    b = -2 * (reduced[0] * first - bound * 0.4)
    c = reduced[0] ** 2 - bound
    roots = np.sort(np.roots([a, b, c])) if b * b > 4 * a * c else []
    found = robust_set(reduced, np.array([first]), V, bound, 0.5)
    expected = {
        "interval": lambda: [tuple(roots)],
        "rays": lambda: [(-np.inf, roots[0]), (roots[1], np.inf)],
        "line": lambda: [(-np.inf, np.inf)],
    }[kind]()
    assert np.array(found) == pytest.approx(np.array(expected), rel=1e-8)


def test_robust_set_may_be_empty():
    reduced, first = np.array([5.0, -5.0]), np.array([5.0, 5.0])
    assert robust_set(reduced, first, 0.1 * np.eye(4), 3.0, 1.0) == []


def test_no_robust_set_from_an_indefinite_covariance():
    V = np.diag([1.0, 1.0, -0.01, 1.0])  # as V1 + V2 - V12 may be
    assert robust_set(np.ones(2), np.ones(2), V, 3.0, 1.0) is None


def test_ends_of_the_robust_set_meet_the_bound():
    rng = np.random.default_rng(3)
    root = rng.normal(size=(6, 6))
    V = 0.02 * (root @ root.T + np.eye(6))
    # the function takes covariances whose cross block is symmetric
    V[:3, 3:] = V[3:, :3] = (V[:3, 3:] + V[3:, :3]) / 2
    V += 0.05 * np.eye(6)
    first = np.array([1.0, 2.0, -1.0])
    pieces = robust_set(0.7 * first + 0.05, first, V, 2.6, 0.3)
    ends = [e for piece in pieces for e in piece if np.isfinite(e)]
    assert ends
    for end in ends:
        assert ar(end, 0.7 * first + 0.05, first, V) == pytest.approx(2.6, rel=1e-8)
