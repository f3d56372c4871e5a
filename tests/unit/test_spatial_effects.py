"""Impacts by order of neighbours and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from estimators._math.neighbours import normalised
from estimators._math.spatial_effects import along, powers
from estimators._math.spatial_ml import Lag
from estimators.spatial_panel import SpatialPanel
from framework.errors import EstimandError
from tests.build_spatial import some_weights, spatial_panel, spatial_request

ROLES = ("outcome", "covariates", "errors")


def request(transform="row", other=None, n=30, t=8, *, rho=0.3, **fields):
    W = some_weights(n, 2, transform=transform)
    data = spatial_panel(W, t, 1, rho=rho, theta=(0.5, 0.2))
    matrices = dict.fromkeys(ROLES, W) | (
        {} if other is None else {"covariates": other}
    )
    return spatial_request(data, matrices, transform=transform, **fields), W


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("two", [True, False])
def test_powers_are_those_of_the_matrices(sparse, two, monkeypatch):
    import estimators._math.spatial_effects as module

    monkeypatch.setattr(module, "LINKS", 50 if sparse else 0)
    W, other = some_weights(15, 1, transform="none"), some_weights(15, 3)
    W2 = other if two else W
    found = powers(15, W, W2, 5)
    A, B = W.toarray(), W2.toarray()
    for q in range(5):
        P = np.linalg.matrix_power(A, q)
        exact = [np.trace(P), np.trace(P @ B), P.sum(), (P @ B).sum()]
        assert [*found.own[q], *found.all[q]] == pytest.approx(np.array(exact) / 15)


@pytest.mark.parametrize("transform", ["row", "spectral", "none"])
@pytest.mark.parametrize("two", [True, False])
@pytest.mark.parametrize("largest", [1000, 0])
def test_multipliers_are_exact_over_the_whole_range_of_rho(transform, two, largest):
    W = some_weights(20, 1, transform=transform)
    lag = Lag.of(W, largest=largest)
    W2 = some_weights(20, 4, transform=transform) if two else W
    low, high = lag.range
    rho = np.linspace(0.2 * max(low, -1.2), 0.95 * high, 9)
    found = along(rho, 20, lag, lag.W if not two else W2)
    for i, r in enumerate(rho):
        A = np.linalg.inv(np.eye(20) - r * W.toarray())
        AB = A @ W2.toarray()
        exact = np.array([np.trace(A), np.trace(AB), A.sum(), AB.sum()]) / 20
        # Interpolated over half the space; 1,000 draws know a standard error to 2e-2.
        ours = np.array([*found.own[i], *found.all[i]])
        assert ours == pytest.approx(exact, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("transform", ["row", "spectral", "none"])
def test_orders_add_up_to_the_impact_with_any_weights(transform):
    req, _ = request(transform, rho=0.1)
    result = SpatialPanel(lag="all", correction="none").estimate(req)
    rows = result.coefficients.set_index(["estimand", "term"])["estimate"]
    orders = result.frames["impacts_by_order"].groupby("term")
    for kind in ("direct", "indirect", "total"):
        for term, value in orders[kind].sum().items():
            assert value == pytest.approx(rows[kind, term], abs=1e-12)  # a sum


def test_standard_errors_of_orders_are_derivatives():
    from dataclasses import replace

    from estimators._spatial import effects
    from estimators._spatial.model import Lags, estimated
    from estimators._spatial.panel import arrays_of, lag_of

    req, _ = request("spectral", rho=0.2)
    arrays = arrays_of(req)
    lag, _ = lag_of(req, "outcome", arrays.ids)
    m = estimated(arrays, Lags(outcome=lag, covariates=lag), "none")
    h, k = 1e-6, len(m.b)
    sums = powers(30, lag.W, lag.W, 5)
    for q in range(5):
        value, gradient = effects._of_order(m, 0, q, sums.all, k, 2)
        more, _ = effects._of_order(replace(m, rho=m.rho + h), 0, q, sums.all, k, 2)
        assert (more - value) / h == pytest.approx(gradient[k], abs=1e-5)  # step 1e-6


@pytest.mark.parametrize("lag", ["outcome", "covariates", "all"])
@pytest.mark.parametrize("transform", ["row", "none"])
def test_simulation_and_delta_method_agree_where_rho_is_precise(lag, transform):
    req, _ = request(transform, n=60, t=12, rho=0.1)
    frame = (
        SpatialPanel(lag=lag, correction="none", simulations=20_000)
        .estimate(req)
        .frames["impacts_simulated"]
    )
    # The delta method is a first-order expansion, and 20,000 draws know a standard
    # deviation to half a percent.
    assert frame["std_error, simulated"].to_numpy() == pytest.approx(
        frame["std_error, delta"].to_numpy(), rel=0.06
    )
    error = frame["std_error, simulated"]
    assert ((frame["mean, simulated"] - frame["estimate"]).abs() < 0.15 * error).all()
    assert (frame["conf_low, simulated"] < frame["estimate"]).all()


def test_draws_are_those_of_the_seed_and_are_declared():
    req, _ = request(seed=7)
    again, _ = request(seed=8)
    one, same, other = (
        SpatialPanel(lag="all", simulations=500).estimate(r) for r in (req, req, again)
    )
    assert one.frames["impacts_simulated"].equals(same.frames["impacts_simulated"])
    assert not one.frames["impacts_simulated"].equals(other.frames["impacts_simulated"])
    assert any("500 draws, seed 7" in note for note in one.notes)
    # The printed table is that of the delta method in each.
    assert one.coefficients.equals(other.coefficients)


def test_draws_outside_the_parameter_space_are_drawn_again_and_counted():
    req, _ = request(n=8, t=4, rho=0.85)
    result = SpatialPanel(lag="outcome", simulations=2_000).estimate(req)
    assert any("outside the parameter space" in note for note in result.notes)
    frame = result.frames["impacts_simulated"]
    assert np.isfinite(frame["std_error, simulated"]).all()


def test_no_simulation_without_impacts():
    req, _ = request()
    result = SpatialPanel(lag="errors", simulations=100).estimate(req)
    assert "impacts_simulated" not in result.frames


def test_a_distribution_outside_its_space_is_refused():
    from dataclasses import replace

    from estimators._spatial import effects
    from estimators._spatial.model import Lags, estimated
    from estimators._spatial.panel import arrays_of, lag_of

    req, _ = request()
    arrays = arrays_of(req)
    lag, _ = lag_of(req, "outcome", arrays.ids)
    m = estimated(arrays, Lags(outcome=lag), "none")
    V = m.V.copy()
    V[len(m.b), len(m.b)] = 1e4
    with pytest.raises(EstimandError, match="outside its parameter space"):
        effects.simulated(replace(m, V=V), 100, 1, 0.95)


def test_weights_that_are_not_row_normalised_are_no_geometric_sum():
    # 1 / (1 - rho) is the total multiplier of row-normalised weights only.
    req, W = request("none", rho=0.05)
    result = SpatialPanel(lag="outcome", correction="none").estimate(req)
    rows = result.coefficients.set_index(["estimand", "term"])["estimate"]
    rho, beta = rows["coefficient", "rho"], rows["coefficient", "x1"]
    exact = np.linalg.inv(np.eye(30) - rho * W.toarray()).sum() / 30 * beta
    assert rows["total", "x1"] == pytest.approx(exact)
    assert rows["total", "x1"] != pytest.approx(beta / (1 - rho), rel=0.05)
    assert normalised(W, "row").sum(axis=1) == pytest.approx(np.ones(30))
