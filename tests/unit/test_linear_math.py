"""The array functions, each against its definition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from estimators._math.projection import (
    SlopeTerm,
    absorb,
    binary_scale,
    contiguous,
    nested,
    not_singleton,
    residual_ratio,
)
from estimators._math.sandwich import (
    bartlett_root,
    effective_number,
    match_covariance,
    parameters,
    wald,
)
from estimators.ols import Ols
from framework.errors import IdentificationError
from tests.build_request import build_request


@pytest.mark.parametrize(
    "codes", [[0, 1, 2], [5, 5, 9], [2000, 2011, 2000], [-3, 20200101, 0], []]
)
def test_contiguous_codes_are_ranks(codes):
    found, levels = contiguous(np.array(codes, dtype=np.int64))
    expected, values = pd.factorize(np.array(codes, dtype=np.int64), sort=True)
    assert levels == len(values)
    assert found.tolist() == expected.tolist()


def test_singletons_cascade():
    first = np.array([0, 0, 1, 1, 2])
    second = np.array([0, 0, 0, 1, 1])
    # row 4 goes, then row 3 is alone in the second, then row 2 in the first
    assert not_singleton([first, second]).tolist() == [True, True, False, False, False]
    assert not_singleton([np.array([0, 1, 2])]).tolist() == [False] * 3


def test_nested():
    assert nested(np.array([0, 1, 2, 2]), np.array([0, 0, 1, 1]))
    assert not nested(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e-12, 1.0, 3e7, 1e200, 1e307])
def test_binary_scale_is_a_near_power_of_two(size):
    scale = binary_scale(np.array([size, -size]))
    assert 0.5 <= scale / size <= 2
    assert np.log2(scale) == int(np.log2(scale))
    assert binary_scale(np.zeros(3)) == 1.0


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("effects", ["both", "unit", "none"])
def test_absorb_is_the_projection(weighted, effects):
    rng = np.random.default_rng(0)
    unit, time = np.repeat(np.arange(9), 7), np.tile(np.arange(7), 9)
    keep = rng.random(63) > 0.1
    unit, time = unit[keep], time[keep]
    n = len(unit)
    w = rng.uniform(0.5, 2, n) if weighted else None
    x = rng.normal(size=(n, 2))
    trend = time + 100.0
    chosen = {"both": [unit, time], "unit": [unit], "none": []}[effects]
    found = absorb(x, chosen, [SlopeTerm(trend, unit, 9)], w)
    D = [np.eye(9)[unit] * trend[:, None]]
    D += [np.eye(int(f.max()) + 1)[f] for f in chosen] or [np.ones((n, 1))]
    full = np.hstack(D)
    root = np.sqrt(w if w is not None else np.ones(n))[:, None]
    fitted = np.linalg.lstsq(full * root, x * root, rcond=1e-11)[0]
    assert found.columns == pytest.approx(x - full @ fitted, abs=1e-10)
    assert found.rank == np.linalg.matrix_rank(full * root)


def test_absorb_refuses_what_does_not_fit(monkeypatch):
    from estimators._math import projection

    monkeypatch.setattr(projection, "DENSE_LIMIT", 10)
    unit, time = np.repeat(np.arange(3), 4), np.tile(np.arange(4), 3)
    with pytest.raises(MemoryError, match="4 dummies"):
        absorb(np.ones((12, 1)), [unit, time], [SlopeTerm(time + 0.0, unit, 3)], None)


def test_residual_ratio_sees_noise_at_rounding():
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    x /= np.linalg.norm(x)
    for noise in (1e-4, 1e-9, 1e-12):
        z = x + noise * rng.normal(size=200) / np.sqrt(200)
        ratio, b = residual_ratio(z / np.linalg.norm(z), x[:, None])
        assert ratio == pytest.approx(noise, rel=0.2)
        assert b[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("levels", "inside", "how", "K"),
    [
        ([], [], "nonnested", 3),
        ([50, 11], [True, False], "nonnested", 14),
        ([50, 11], [False, False], "nonnested", 63),
        ([50, 11], [True, True], "nonnested", 4),
        ([50, 11], [True, False], "full", 63),
        ([50, 11], [True, False], "none", 3),
        ([50, 11, 4], [True, False, False], "nonnested", 17),
    ],
)
def test_parameters_are_fixests_count(levels, inside, how, K):
    assert parameters(3, levels, inside, how) == K


def test_bartlett_root_gives_the_kernel():
    position = np.array([0, 1, 3, 7])
    L = bartlett_root(position, 2)
    expected = [[1, 2 / 3, 0, 0], [2 / 3, 1, 1 / 3, 0], [0, 1 / 3, 1, 0], [0, 0, 0, 1]]
    assert pytest.approx(np.array(expected)) == L @ L.T
    assert bartlett_root(position, 0) == pytest.approx(np.eye(4))


def test_effective_number():
    assert effective_number(np.ones(30)) == pytest.approx(30)
    assert effective_number(np.array([1.0, 0, 0])) == pytest.approx(1)


@pytest.mark.parametrize("q", [1, 3])
def test_match_covariance_hits_the_target(q):
    rng = np.random.default_rng(q)
    psi = rng.normal(size=(50, q)) * np.array([1.0, 1e6, 1e-6])[:q]
    A = rng.normal(size=(q, q)) + 2 * np.eye(q)
    wanted = A @ A.T * np.outer(*2 * [np.array([1.0, 1e6, 1e-6])[:q]])
    found = match_covariance(psi, psi.T @ psi, wanted)
    assert found.T @ found == pytest.approx(wanted, rel=1e-9)
    same = match_covariance(psi, psi.T @ psi, psi.T @ psi)
    assert same == pytest.approx(psi, rel=1e-9)


def test_wald():
    V = np.diag([4.0, 1e-12])
    F, rank = wald(np.array([2.0, 2e-6]), V)
    assert (F, rank) == (pytest.approx((1 + 4) / 2), 2)
    assert wald(np.ones(2), np.ones((2, 2)))[1] == 1


@pytest.mark.parametrize(("kind", "power"), [("HC2", 0.5), ("HC3", 1.0)])
@pytest.mark.parametrize("weight", [None, "analytic", "frequency"])
def test_leverage_weighs_the_residuals_as_defined(kind, power, weight):
    # MacKinnon and White (1985): every residual over (1 - h) ** power, no other factor.
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"d": rng.integers(0, 2, 30), "x": rng.exponential(size=30)})
    data["y"] = data.d + rng.normal(size=30) * (1 + data.x)
    data["w"] = rng.integers(1, 4, 30)
    weights = (weight, "w") if weight else None
    fields = {"outcome": "y", "treatment": "d", "controls": ["x"], "weights": weights}
    request = build_request(data, inference="hetero", options={"type": kind}, **fields)
    rows = data.loc[data.index.repeat(data.w)] if weight == "frequency" else data
    w = rows.w.to_numpy() if weight == "analytic" else np.ones(len(rows))
    X = np.column_stack([np.ones(len(rows)), rows.d, rows.x])
    bread = np.linalg.inv(X.T @ (X * w[:, None]))
    e = rows.y.to_numpy() - X @ (bread @ X.T @ (w * rows.y.to_numpy()))
    h = w * np.einsum("ij,jk,ik->i", X, bread, X)
    scores = X * (w * e / (1 - h) ** power)[:, None]
    expected = np.sqrt((bread @ scores.T @ scores @ bread)[1, 1])
    found = Ols().estimate(request).coefficients
    # Sums of a few dozen doubles in another order.
    assert found["std_error"].iloc[0] == pytest.approx(expected, rel=1e-11)


def test_leverages_beside_absorbed_effects_are_refused():
    data = pd.DataFrame({"g": np.repeat(range(5), 4), "d": np.tile([0, 1], 10)})
    data["y"] = data.d + np.random.default_rng(2).normal(size=20)
    request = build_request(
        data,
        outcome="y",
        treatment="d",
        fixed_effects=["g"],
        inference="hetero",
        options={"type": "HC3"},
    )
    with pytest.raises(IdentificationError, match="HC2 and HC3"):
        Ols().estimate(request)


def test_a_coefficient_without_variance_takes_one_from_the_rank() -> None:
    """An indicator that no unit of a cell has: no joint test, and no crash."""
    F, rank = wald(np.array([0.0, 1.0]), np.diag([0.0, 1.0]))
    assert rank == 1
    assert np.isnan(F)


def test_nearly_collinear_influence_is_matched_in_full():
    # A correlation of 0.9995: the second direction is small, and is no noise.
    rng = np.random.default_rng(3)
    common = rng.normal(size=200)
    psi = np.column_stack([common, common + 0.03 * rng.normal(size=200)])
    wanted = np.array([[2.0, 0.3], [0.3, 1.0]])
    found = match_covariance(psi, psi.T @ psi, wanted)
    # a condition number of about 4,000
    assert found.T @ found == pytest.approx(wanted, rel=1e-8)
