"""Spatial two-stage least squares: spreg, truth, robustness, refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse

from estimators.spatial_panel import SpatialPanel
from framework.errors import EstimandError
from framework.result import influence_variance
from tests.build_spatial import some_weights, spatial_panel, spatial_request

ROLES = ("outcome", "covariates", "errors")


def made(n=40, t=6, *, transform="row", seed=1, **truth):
    W = some_weights(n, 2, transform=transform)
    truth = {"rho": 0.4, "theta": (0.0, 0.0)} | truth
    return spatial_panel(W, t, seed, **truth), W


def rows_of(data, W, lag="outcome", **fields):
    req = spatial_request(data, dict.fromkeys(ROLES, W), **fields)
    result = SpatialPanel(lag=lag, method="gm").estimate(req)
    return result.coefficients.set_index(["estimand", "term"]), result


@pytest.mark.parametrize("inference", ["iid", "hetero"])
def test_spreg_on_demeaned_data(inference):
    # With unit effects lagging and demeaning commute, so spreg can do the demeaned data.
    spreg = pytest.importorskip("spreg")
    from libpysal.weights.util import full2W

    data, W = made()
    n, t = 40, 6
    arrays = [data[c].to_numpy().reshape(n, t) for c in ("y", "x1", "x2")]
    y, x1, x2 = ((a - a.mean(axis=1, keepdims=True)).T.reshape(-1, 1) for a in arrays)
    whole = full2W(sparse.kron(sparse.eye_array(t), W).toarray(), silence_warnings=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = spreg.GM_Lag(
            y,
            np.hstack([x1, x2]),
            w=whole,
            w_lags=2,
            robust="white" if inference == "hetero" else None,
        )
    rows, _ = rows_of(data, W, effects=("unit",), inference=inference)
    terms = [("coefficient", term) for term in ("x1", "x2", "rho")]
    ours = rows.loc[terms]
    # The same projection by another algebra.
    assert ours.estimate.to_numpy() == pytest.approx(
        np.ravel(theirs.betas)[1:], abs=1e-9
    )
    errors = np.sqrt(np.diag(theirs.vm))[1:]
    # spreg divides by all rows; here fixed effects and coefficients are counted.
    inflated = np.sqrt(n * t / (n * (t - 1) - 3))
    assert ours.std_error.to_numpy() == pytest.approx(errors * inflated, rel=1e-8)


@pytest.mark.parametrize("lag", ["outcome", "all"])
@pytest.mark.parametrize("effects", [("unit", "time"), ()])
def test_a_large_panel_gives_the_truth(lag, effects):
    theta = (0.7, 0.0) if lag == "all" else (0.0, 0.0)
    data, W = made(200, 8, theta=theta, effects=bool(effects))
    rows, result = rows_of(data, W, lag, effects=effects)
    truth = {"rho": 0.4, "x1": 1.0, "x2": -0.5}
    if lag == "all":
        truth["W × x1"] = 0.7
    for term, value in truth.items():
        row = rows.loc["coefficient", term]
        assert abs(row.estimate - value) < 4 * row.std_error
    assert result.scalars["first_stage_f"] > 10
    (test,) = [t for t in result.tests if t.name == "sargan"]
    assert test.p_value > 0.001
    assert "log_likelihood" not in result.scalars


@pytest.mark.parametrize("transform", ["row", "spectral", "none"])
def test_impacts_are_those_of_the_matrix(transform):
    data, W = made(120, 8, transform=transform, rho=0.1, theta=(0.5, 0.3))
    rows, _ = rows_of(data, W, "all")
    value = rows["estimate"]
    S = np.eye(120) - value["coefficient", "rho"] * W.toarray()
    own = value["coefficient", "x1"] * np.eye(120)
    impact = np.linalg.solve(S, own + value["coefficient", "W × x1"] * W.toarray())
    assert value["direct", "x1"] == pytest.approx(np.trace(impact) / 120)
    assert value["total", "x1"] == pytest.approx(impact.sum() / 120)


@pytest.mark.parametrize("inference", ["iid", "hetero", "cluster"])
def test_influence_is_the_covariance(inference):
    data, W = made()
    clusters = {"clusters": ["unit"]} if inference == "cluster" else {}
    _, result = rows_of(data, W, inference=inference, **clusters)
    V = influence_variance(result.influence)
    for label in V:
        error = result.coefficients["std_error"][label]
        assert V.loc[label, label] == pytest.approx(error**2)
    assert {t.name for t in result.tests} == {
        "sargan" if inference == "iid" else "hansen_j"
    }


def test_variances_that_differ_between_units_bias_likelihood_and_not_this():
    # Lin and Lee (2010): the variance goes with the number of links.
    rng = np.random.default_rng(1)
    n, t, rho = 60, 10, 0.5
    links = np.zeros((n, n))
    for hub in range(6):  # six stars of ten: the centre has nine neighbours, others one
        links[10 * hub, 10 * hub + 1 : 10 * hub + 10] = 1
    links = links + links.T
    W = sparse.csr_array(links / links.sum(axis=1, keepdims=True))
    spread = np.where(np.arange(n) % 10 == 0, 4.0, 0.5)[:, None]
    solve = np.linalg.inv(np.eye(n) - rho * W.toarray())
    data, _ = spatial_panel(W, t, 1), None
    found = {"ml": [], "gm": []}
    for _ in range(60):
        x = rng.normal(size=(2, n, t))
        y = solve @ (2 * x[0] - x[1] + spread * rng.normal(size=(n, t)))
        data[["y", "x1", "x2"]] = np.stack([y, *x], axis=-1).reshape(-1, 3)
        for method, rows in found.items():
            req = spatial_request(data, {"outcome": W}, inference="hetero")
            table = (
                SpatialPanel(lag="outcome", method=method).estimate(req).coefficients
            )
            rows.append(
                table.set_index(["estimand", "term"]).estimate["coefficient", "rho"]
            )
    bias = {k: np.mean(v) - rho for k, v in found.items()}
    error = {k: np.std(v) / np.sqrt(60) for k, v in found.items()}
    assert abs(bias["gm"]) < 4 * error["gm"]
    assert abs(bias["ml"]) > 4 * error["ml"]


def test_weak_instruments_are_said():
    # Covariates that hardly move the outcome hardly move its lag.
    said = []
    for seed in range(8):
        data, W = made(beta=(0.05, 0.05), seed=seed)
        try:
            said.append("weak" in rows_of(data, W)[1].notes[0])
        except EstimandError as error:
            said.append(error.problems[0].code == "N05")
    assert all(said)


@pytest.mark.parametrize("lag", ["errors", "covariates", "none", ["outcome", "errors"]])
def test_lags_that_have_no_instrument(lag):
    with pytest.raises(ValueError, match="instruments a lag of the outcome"):
        SpatialPanel(lag=lag, method="gm")
