"""Large sparse matrices: the same numbers without one N x N matrix."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from estimators._math import spatial_operator
from estimators._math.neighbours import k_nearest, normalised
from estimators._math.spatial_inference import covariance, multipliers, row_scores
from estimators._math.spatial_ml import Lag, Problem, Series, lagged, maximise
from estimators.spatial_panel import SpatialPanel
from framework.errors import EstimandError
from tests.build_spatial import some_weights, spatial_panel, spatial_request


def problem(model, effects, correction, transform="row", n=60, t=5):
    W = some_weights(n, 1, transform=transform)
    frame = spatial_panel(W, t, 3, rho=0.2, lam=0.1, theta=(0.5, 0.2))
    y, *x = (frame[c].to_numpy().reshape(n, t) for c in ("y", "x1", "x2"))
    Z = np.stack(x)
    if model == "SDM":
        Z = np.concatenate([Z, lagged(W, Z)])
    if not any(effects):
        Z = np.concatenate([Z, np.ones((1, n, t))])
    lag = Lag.of(W, largest=0)
    assert lag.omega is None
    outcome, errors = (None, lag) if model == "SEM" else (lag, None)
    return Problem(y, Z, outcome, errors, *effects, correction), W


@pytest.mark.parametrize("transform", ["row", "none"])
@pytest.mark.parametrize("effects", [(True, True), (True, False), (False, False)])
@pytest.mark.parametrize("model", ["SAR", "SDM", "SEM"])
def test_by_columns_it_is_the_dense_fit(model, effects, transform):
    correction = "lee_yu" if transform == "row" else "none"
    asked, _W = problem(model, effects, correction, transform)
    assert asked.implicit
    one, other = maximise(asked), maximise(replace(asked, dense=True))
    assert isinstance(one.G if model != "SEM" else one.H, spatial_operator.Implicit)
    assert one.b == pytest.approx(other.b, abs=1e-10)  # one maximum
    # Sums over columns of an inverse against a dense inverse.
    assert covariance(one) == pytest.approx(covariance(other), rel=1e-8, abs=1e-14)
    scores = [row_scores(asked, fit) for fit in (one, other)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-8)
    if model != "SEM":
        W2 = asked.outcome.W if model == "SDM" else None
        left = multipliers(60, None, asked.outcome, W2, one.G)
        right = multipliers(60, other.A, asked.outcome, W2)
        assert left.own == pytest.approx(right.own, abs=1e-8)  # a series' derivative
        assert left.all == pytest.approx(right.all, abs=1e-10)


def test_probes_are_within_their_error_and_change_nothing_else(monkeypatch):
    asked, _ = problem("SDM", (True, True), "lee_yu", n=400)
    exact = maximise(asked)
    monkeypatch.setattr(
        spatial_operator.implicit, "__kwdefaults__", {"exact_units": 100}
    )
    drawn = maximise(asked)
    assert exact.G.cross_error == 0
    assert 0 < drawn.G.cross_error < 0.02 * drawn.G.cross
    off = abs(drawn.G.cross - exact.G.cross) / drawn.G.cross_error
    assert off < 4  # standard errors
    assert (drawn.b, drawn.rho) == (pytest.approx(exact.b, abs=1e-12), exact.rho)
    assert drawn.G.diagonal.sum() == pytest.approx(drawn.G.trace)
    se = [np.sqrt(np.diag(covariance(fit))) for fit in (exact, drawn)]
    assert se[1] == pytest.approx(se[0], rel=0.01)  # the error that is printed


def test_probes_do_not_depend_on_the_order_of_units(monkeypatch):
    monkeypatch.setattr(
        spatial_operator.implicit, "__kwdefaults__", {"exact_units": 10}
    )
    asked, W = problem("SAR", (True, True), "lee_yu")
    turn = np.random.default_rng(1).permutation(60)
    turned = replace(
        asked,
        y=asked.y[turn],
        Z=asked.Z[:, turn],
        outcome=Lag.of(W[turn][:, turn], largest=0),
    )
    one, other = maximise(asked), maximise(turned)
    assert covariance(one) == pytest.approx(covariance(other), rel=1e-8, abs=1e-14)


def test_series_have_the_derivatives_of_the_determinant():
    W = some_weights(50, 1)
    omega = Lag.of(W).omega
    near = Series.of(Lag.of(W, largest=0).log_det, 0.3, 0.34, 9)
    for rho in (0.305, 0.32, 0.335):
        ratio = omega / (1 - rho * omega)
        assert near.derivative(rho, 0) == pytest.approx(np.log(1 - rho * omega).sum())
        assert -near.derivative(rho, 1) == pytest.approx(ratio.sum(), abs=1e-9)
        assert -near.derivative(rho, 2) == pytest.approx((ratio**2).sum(), abs=1e-6)


@pytest.fixture(scope="module")
def large():
    n, t = 11_000, 3
    rng = np.random.default_rng(1)
    W = k_nearest(rng.random((n, 2)), 5)
    W = normalised(W.maximum(W.T), "row")
    data = spatial_panel(some_weights(20, 1), 3, 1)
    from scipy.sparse import csc_array, eye_array
    from scipy.sparse.linalg import splu

    X = rng.normal(size=(2, n, t))
    mean = X[0] - 0.5 * X[1] + 0.6 * (W @ X[0]) + rng.normal(size=(n, t))
    y = splu(csc_array(eye_array(n) - 0.4 * W)).solve(mean + rng.normal(size=(n, 1)))
    import pandas as pd

    columns = {"y": y.ravel(), "x1": X[0].ravel(), "x2": X[1].ravel()}
    data = pd.DataFrame(
        {
            "unit": np.repeat([f"u{i:05d}" for i in range(n)], t),
            "time": np.tile(np.arange(t), n),
            **columns,
        }
    )
    return data, dict.fromkeys(("outcome", "covariates", "errors"), W)


@pytest.mark.slow
def test_eleven_thousand_units(large):
    req = spatial_request(*large)
    result = SpatialPanel(lag="all").estimate(req)
    rows = result.coefficients.set_index(["estimand", "term"])
    truth = {"rho": 0.4, "x1": 1.0, "x2": -0.5, "W × x1": 0.6}
    for term, value in truth.items():
        row = rows.loc["coefficient", term]
        assert abs(row.estimate - value) < 4 * row.std_error
    total = rows.loc["total", "x1"]
    assert abs(total.estimate - 1.6 / 0.6) < 4 * total.std_error
    assert any("random probes, relative standard error" in n for n in result.notes)


@pytest.mark.parametrize(
    ("lag", "fields", "what"),
    [
        (["outcome", "errors"], {}, "beside one of the errors"),
        ("outcome", {"inference": "hetero"}, "inference other than iid"),
    ],
)
def test_what_still_needs_dense_matrices_is_refused(large, lag, fields, what):
    with pytest.raises(EstimandError) as caught:
        SpatialPanel(lag=lag).estimate(spatial_request(*large, **fields))
    assert caught.value.problems[0].code == "N06"
    assert what in str(caught.value)
