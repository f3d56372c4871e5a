"""Moran, Geary and Getis-Ord against all orders of six units, and worked examples."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import sparse

from estimators._math.spatial_autocorrelation import (
    Sums,
    gearys_c,
    getis_ord_g,
    local_i,
    local_share,
    morans_i,
    permuted_i,
    pesaran_cd,
    pooled_i,
    relabelling,
    share_as_extreme,
    weighted_cd,
)
from tests.build_spatial import some_weights

X = np.array([1.0, 4.0, 2.5, 7.0, 3.0, 9.5])


def uneven():
    rng = np.random.default_rng(2)
    W = rng.random((6, 6)) * (rng.random((6, 6)) < 0.6)
    np.fill_diagonal(W, 0)
    return sparse.csr_array(W)


STATISTICS = {
    "I": lambda x, W: morans_i(x, W, Sums.of(W), normal=False),
    "C": lambda x, W: gearys_c(x, W, Sums.of(W), normal=False),
    "G": lambda x, W: getis_ord_g(x, W, Sums.of(W)),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_moments_are_those_of_all_orders(name):
    W = uneven()
    values = [
        STATISTICS[name](X[list(order)], W).value
        for order in itertools.permutations(range(6))
    ]
    found = STATISTICS[name](X, W)
    # 720 orders are the whole distribution: only rounding is left.
    assert found.mean == pytest.approx(np.mean(values), abs=1e-12)
    assert found.variance == pytest.approx(np.var(values), rel=1e-10)


def test_pooled_moments_are_those_of_all_exchanges_of_paths():
    W = uneven()
    paths = np.column_stack([X, X[::-1] ** 2, np.cos(X)])
    values = [
        pooled_i(paths[list(order)], W).value
        for order in itertools.permutations(range(6))
    ]
    found = pooled_i(paths, W)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-12)
    assert found.variance == pytest.approx(np.var(values), rel=1e-10)


def test_mantel_holds_moran():
    W, z = uneven(), X - X.mean()
    scale = 6 / W.sum() / (z @ z)
    mean, variance = relabelling(W, np.outer(z, z))
    textbook = STATISTICS["I"](X, W)
    assert scale * mean == pytest.approx(textbook.mean, rel=1e-12)
    assert scale**2 * variance == pytest.approx(textbook.variance, rel=1e-12)


@pytest.mark.parametrize(("statistic", "null"), [(morans_i, None), (gearys_c, 1.0)])
def test_normal_variance_by_simulation(statistic, null):
    W = uneven()
    sums = Sums.of(W)
    rng = np.random.default_rng(1)
    values = [
        statistic(rng.normal(size=6), W, sums, normal=True).value for _ in range(4000)
    ]
    found = statistic(X, W, sums, normal=True)
    # 4,000 draws: the standard error of a variance is some 2.5 percent of it.
    assert found.variance == pytest.approx(np.var(values), rel=0.1)
    assert found.mean == pytest.approx(null or -0.2)


def test_a_line_of_four_by_hand():
    W = sparse.csr_array(np.diag([1.0, 1, 1], 1) + np.diag([1.0, 1, 1], -1))
    x = np.array([1.0, 2.0, 4.0, 5.0])
    # z = -2, -1, 1, 2: z'Wz = 2 (2 - 1 + 2) = 6, z'z = 10, S0 = 6.
    assert morans_i(x, W, Sums.of(W), normal=False).value == pytest.approx(
        4 / 6 * 6 / 10
    )
    # Squared steps 1, 4, 1, twice each: 3 / (2 * 6) * 12 / 10.
    assert gearys_c(x, W, Sums.of(W), normal=False).value == pytest.approx(0.3)
    local, z, lag = local_i(x, W)
    # Lags -1, -1, 1, 1; the mean square is 2.5.
    assert local == pytest.approx(np.array([2.0, 1.0, 1.0, 2.0]) / 2.5)
    assert z * lag == pytest.approx(local)


def test_local_values_add_up_to_the_global_one():
    W = some_weights(30, 3)
    x = np.random.default_rng(1).normal(size=30)
    local, _, _ = local_i(x, W)
    assert local.mean() * 30 / W.sum() == pytest.approx(
        morans_i(x, W, Sums.of(W), normal=False).value
    )


def test_permutations_agree_with_their_moments():
    W = some_weights(40, 3)
    x = np.random.default_rng(1).normal(size=40)
    drawn = permuted_i(x, W, 4000, np.random.default_rng(7))
    found = morans_i(x, W, Sums.of(W), normal=False)
    # Four standard errors of a mean and some of a variance of 4,000 draws.
    assert drawn.mean() == pytest.approx(found.mean, abs=4 * found.variance**0.5 / 63)
    assert drawn.var() == pytest.approx(found.variance, rel=0.1)


def test_a_cluster_of_high_values_is_found():
    W = some_weights(60, 3)
    x = np.random.default_rng(1).normal(size=60)
    hot = int(np.argmax(np.diff(W.indptr)))
    x[W.indices[W.indptr[hot] : W.indptr[hot + 1]]] += 4
    x[hot] += 4
    p = local_share(x, W, 999, np.random.default_rng(2))
    assert p[hot] <= 0.01
    assert (p > 0).all()
    assert (p <= 1).all()


def test_local_p_values_of_noise_are_uniform():
    W = some_weights(400, 3)
    x = np.random.default_rng(4).normal(size=400)
    p = local_share(x, W, 499, np.random.default_rng(2))
    # 400 related units: five standard errors of a share of 5 percent.
    assert abs((p <= 0.05).mean() - 0.05) < 0.055


def test_two_tailed_share():
    drawn = np.arange(-50.0, 49.0)
    assert share_as_extreme(100.0, drawn) == pytest.approx(2 / 100)
    assert share_as_extreme(-100.0, drawn) == pytest.approx(2 / 100)
    assert share_as_extreme(-1.0, drawn) == 1.0


def test_pesaran_cd_of_noise_and_of_a_common_shock():
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(40, 30))
    assert abs(pesaran_cd(noise)) < 4  # standard normal
    assert pesaran_cd(noise + rng.normal(size=30)) > 20


def test_pesaran_cd_is_the_sum_of_correlations():
    e = np.random.default_rng(4).normal(size=(12, 9))
    r = np.corrcoef(e)[np.triu_indices(12, 1)]
    assert pesaran_cd(e) == pytest.approx(
        np.sqrt(2 * 9 / (12 * 11)) * r.sum(), rel=1e-12
    )


def test_weighted_cd_keeps_its_size_under_period_effects():
    rng = np.random.default_rng(5)
    plain, weighted = [], []
    for i in range(400):
        e = rng.normal(size=(50, 30))
        e -= e.mean(axis=0)
        plain.append(pesaran_cd(e))
        weighted.append(weighted_cd(e, 30, np.random.default_rng(i)))
    assert np.max(plain) < -2  # the plain statistic rejects in every panel
    # 400 panels: three standard errors of 5 percent; with 30 periods 0.7 more are due.
    assert abs(np.mean(np.abs(weighted) > 1.96) - 0.055) < 0.035
    assert np.std(weighted) == pytest.approx(1.0, abs=0.12)  # three standard errors


def test_weighted_cd_finds_a_factor_that_period_effects_leave():
    rng = np.random.default_rng(6)
    found = 0
    for i in range(60):
        e = rng.normal(size=(50, 30)) + rng.normal(size=(50, 1)) * rng.normal(size=30)
        e -= e.mean(axis=0)
        found += abs(weighted_cd(e, 30, np.random.default_rng(i))) > 1.96
    assert found > 54


def test_weighted_cd_knows_no_order_of_units():
    rng = np.random.default_rng(7)
    e = rng.normal(size=(30, 8))
    e -= e.mean(axis=0)
    order = rng.permutation(30)
    one, other = (weighted_cd(x, 30, np.random.default_rng(0)) for x in (e, e[order]))
    assert one == pytest.approx(other, abs=1e-10)  # sums in another order
    # Units of measurement do not matter either.
    assert weighted_cd(1e6 * e, 30, np.random.default_rng(0)) == pytest.approx(one)
