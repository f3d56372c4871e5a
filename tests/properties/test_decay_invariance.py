"""The decay model under other orders and names of units, and other units of measure.

The kit's weights are equal within a row, which this model refuses, so that its rules are
tested here.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from estimators._math.spatial_decay import powered
from estimators.slx_decay import SlxDecay
from tests.build_spatial import some_weights, spatial_panel, spatial_request

N, T = 30, 6


def made():
    points = np.random.default_rng(1).uniform(0, 10, (N, 2))
    far = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(far, np.inf)
    A = 1.0 / far
    data = spatial_panel(some_weights(N, 1), T, 2)
    x = data["x1"].to_numpy().reshape(N, T)
    W = powered(sparse.csr_array(A), 2.0)[0]
    noise = 0.3 * np.random.default_rng(3).normal(size=x.shape)
    data["y"] = (x + 1.5 * (W @ x) + noise).ravel()
    return data, A


def table(data, A):
    request = spatial_request(data, {"covariates": sparse.csr_array(A)})
    return SlxDecay().estimate(request).coefficients.set_index("term")


@pytest.mark.parametrize("seed", range(5))
def test_other_orders_and_names(seed):
    data, A = made()
    order = np.random.default_rng(seed).permutation(N)
    names = {f"u{i:04d}": f"n{order[i]:04d}" for i in range(N)}
    turned = data.assign(unit=data["unit"].map(names)).sample(
        frac=1.0, random_state=seed
    )
    moved = np.empty_like(A)
    moved[np.ix_(order, order)] = A
    one, other = table(data, A), table(turned, moved)
    for column in ("estimate", "std_error"):
        # A search for a minimum: the root of rounding.
        assert other[column].to_numpy() == pytest.approx(
            one[column].to_numpy(), abs=1e-6
        )


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_other_units_of_measure(scale):
    data, A = made()
    one, other = table(data, A), table(data.assign(y=data["y"] * scale), A * 1e3)
    spatial = one.index == "decay"
    back = np.where(spatial, 1.0, scale)
    for column in ("estimate", "std_error"):
        assert (other[column] / back).to_numpy() == pytest.approx(
            one[column].to_numpy(), abs=1e-6
        )
