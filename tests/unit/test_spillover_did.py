"""Spillovers beside a difference-in-differences, and a decay that the data choose."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import least_squares

from estimators._math.spatial_decay import powered
from estimators.slx_decay import SlxDecay
from estimators.spatial_panel import SpatialPanel
from estimators.spillover_did import SpilloverDid
from estimators.twfe import Twfe
from framework.errors import EstimandError
from framework.result import influence_variance
from tests.build_spatial import some_weights, spatial_panel, spatial_request

ROLES = ("outcome", "covariates", "errors")


def treated(n=120, t=6, *, spill=0.0, seed=1, share=0.2, k=3):
    """y = D + spill W D + effects + e, D switches on in the fourth period."""
    rng = np.random.default_rng(seed)
    W = some_weights(n, 2, k=k)
    data = spatial_panel(W, t, seed)
    who = rng.random(n) < share
    D = (who[:, None] & (np.arange(t) >= 3)).astype(float)
    y = D + spill * (W @ D) + rng.normal(size=(n, 1)) + 0.3 * rng.normal(size=(n, t))
    data["x1"], data["y"] = D.ravel(), y.ravel()
    return data, W


def request(data, W, **fields):
    return spatial_request(data, dict.fromkeys(ROLES, W), **fields)


def rows_of(result):
    return result.coefficients.set_index(["equation", "term"])


@pytest.mark.parametrize("inference", ["iid", "hetero", "cluster"])
def test_a_spillover_is_found_and_what_it_did_is_said(inference):
    data, W = treated(spill=0.8)
    clusters = {"clusters": ["unit"]} if inference == "cluster" else {}
    result = SpilloverDid().estimate(request(data, W, inference=inference, **clusters))
    rows = rows_of(result)
    # 720 rows with errors of 0.3: the effect is known to 0.05.
    assert rows.estimate["main", "x1"] == pytest.approx(1.0, abs=0.15)
    assert rows.estimate["main", "W × x1"] == pytest.approx(0.8, abs=0.25)
    said = " ".join(result.notes)
    assert "spillovers found" in said
    assert "is not the effect on the treated" in said
    assert result.tests[0].name == "difference"
    (test,) = (t for t in result.tests if t.name == "no_interference")
    assert test.p_value == pytest.approx(rows.p_value["main", "W × x1"])
    assert test.p_value < 0.05


def test_controls_that_gain_from_treated_neighbours_hide_the_effect():
    # Treated units have no treated neighbours, their neighbours are controls.
    data, W = treated(spill=1.0)
    starts = data.groupby("unit")["x1"].max().to_numpy() > 0
    lonely = starts & (W.toarray() @ starts == 0)
    data["x1"] *= np.repeat(lonely, 6)
    D = data["x1"].to_numpy().reshape(120, 6)
    noise = np.random.default_rng(2).normal(size=(120, 6))
    data["y"] = (D + W @ D + 0.2 * noise).ravel()
    result = SpilloverDid().estimate(request(data, W))
    rows = rows_of(result)
    error = rows.std_error["main", "x1"]
    assert rows.estimate["main", "x1"] == pytest.approx(1.0, abs=4 * error)
    assert rows.estimate["donut", "x1"] == pytest.approx(1.0, abs=4 * error)
    assert rows.estimate["without_exposure", "x1"] < 1.0 - 2 * error
    assert result.tests[0].p_value < 0.05


def test_without_exposure_is_the_ordinary_estimate():
    data, W = treated(spill=0.3)
    req = request(data, W)
    plain = Twfe().estimate(req).coefficients
    ours = rows_of(SpilloverDid().estimate(req)).loc[("without_exposure", "x1")]
    assert ours.estimate == pytest.approx(plain["estimate"].iloc[0], rel=1e-10)  # OLS


def test_a_donut_leaves_out_controls_with_treated_neighbours():
    data, W = treated(spill=0.8, share=0.08)
    result = SpilloverDid().estimate(request(data, W))
    samples = result.frames["samples"].set_index("sample")
    ever = data.groupby("unit")["x1"].max().to_numpy() > 0
    exposed = (W.toarray() @ ever > 0) & ~ever
    assert samples.loc["donut", "units"] == 120 - exposed.sum()
    kept = data[~data["unit"].map(dict(zip(sorted(data["unit"].unique()), exposed)))]  # noqa: B905 - equal by construction
    again = Twfe().estimate(spatial_request(kept, {})).coefficients["estimate"].iloc[0]
    found = rows_of(result).estimate["donut", "x1"]
    assert found == pytest.approx(again, rel=1e-9)  # the same regression


def test_no_spillover_is_said_with_its_bound():
    data, W = treated()
    result = SpilloverDid().estimate(request(data, W))
    assert any("is not ruled out" in note for note in result.notes)
    frame = result.frames["autocorrelation"].set_index("of")
    assert frame.index.tolist() == ["outcome", "residuals"]


def test_little_variance_left_is_flagged_and_not_judged():
    n = 40
    data, _ = treated(n, k=3)
    uneven = np.random.default_rng(1).uniform(0.9, 1.1, (n, n))
    np.fill_diagonal(uneven, 0)
    W = sparse.csr_array(uneven / uneven.sum(axis=1, keepdims=True))
    result = SpilloverDid().estimate(request(data, W))
    said = " ".join(result.notes)
    assert result.scalars["lagged_treatment_residual_share"] < 0.1
    assert "can hardly tell" in said
    assert "no spillover" not in said
    assert "no donut" in said
    assert "donut" not in set(result.coefficients["equation"])
    (test,) = (t for t in result.tests if t.name == "no_interference")
    assert "is left to test it with" in test.reason


def test_influence_of_the_report_is_its_covariance():
    data, W = treated(spill=0.5)
    result = SpilloverDid().estimate(
        request(data, W, inference="cluster", clusters=["unit"])
    )
    V = influence_variance(result.influence)
    for label in V:
        error = result.coefficients["std_error"][label]
        assert V.loc[label, label] == pytest.approx(error**2)


def test_related_residuals_are_found_beside_period_effects():
    data, W = treated(n=60, t=24, seed=3)
    common = np.random.default_rng(4).normal(size=(60, 1))
    shocks = common * np.random.default_rng(5).normal(size=(1, 24))

    def cd(frame):
        (test,) = [
            t
            for t in SpilloverDid().estimate(request(frame, W)).tests
            if t.name == "pesaran_cd"
        ]
        return test

    assert cd(data).p_value > 0.01
    assert cd(data.assign(y=data["y"] + shocks.ravel())).p_value < 1e-6


def test_size_of_the_spillover_test():
    # 60 panels without spillover: five percent, four standard errors of 0.028.
    hits = []
    for seed in range(60):
        data, W = treated(60, 5, seed=seed)
        row = rows_of(SpilloverDid().estimate(request(data, W))).loc[("main", "W × x1")]
        hits.append(row.p_value < 0.05)
    assert np.mean(hits) < 0.05 + 4 * 0.028


# -- decay -----------------------------------------------------------------------------


def distances(n=60, seed=3):
    points = np.random.default_rng(seed).uniform(0, 10, (n, 2))
    far = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(far, np.inf)
    return sparse.csr_array(1.0 / far)


def decaying(gamma=2.5, n=60, t=8, seed=5, noise=0.5):
    A = distances(n)
    W = powered(A, gamma)[0]
    rng = np.random.default_rng(seed)
    data = spatial_panel(some_weights(n, 1), t, seed)
    X = data[["x1", "x2"]].to_numpy().T.reshape(2, n, t)
    y = X[0] - 0.5 * X[1] + 1.5 * (W @ X[0]) + 0.5 * (W @ X[1])
    data["y"] = (y + rng.normal(size=(n, 1)) + noise * rng.normal(size=(n, t))).ravel()
    return data, A


def decay_rows(data, A, **fields):
    result = SlxDecay().estimate(request(data, A, **fields))
    return result.coefficients.set_index("term"), result


def test_decay_is_found_and_its_derivative_is_right():
    data, A = decaying()
    rows, result = decay_rows(data, A)
    # 480 rows: the exponent is known to a tenth or two.
    assert rows.estimate["decay"] == pytest.approx(2.5, abs=3 * rows.std_error["decay"])
    assert rows.estimate["W × x1"] == pytest.approx(1.5, abs=0.25)
    W, slope = powered(A, 2.0)
    more, less = powered(A, 2.0 + 1e-6)[0], powered(A, 2.0 - 1e-6)[0]
    # Central differences of step 1e-6.
    assert ((more - less) / 2e-6).toarray() == pytest.approx(slope.toarray(), abs=1e-7)
    assert W.sum(axis=1) == pytest.approx(np.ones(60))
    assert len(result.frames["profile"]) == 60


def test_decay_against_scipy_s_least_squares():
    data, A = decaying()
    rows, _ = decay_rows(data, A, effects=("unit",))
    n, t = 60, 8
    y, x1, x2 = (data[c].to_numpy().reshape(n, t) for c in ("y", "x1", "x2"))

    def within(x):
        return (x - x.mean(axis=1, keepdims=True)).ravel()

    def residual(p):
        W = powered(A, p[4])[0]
        fitted = p[0] * x1 + p[1] * x2 + W @ (p[2] * x1 + p[3] * x2)
        return within(y - fitted)

    found = least_squares(residual, [1, -0.5, 1, 0, 2.0], xtol=1e-14, ftol=1e-14)
    ours = rows.estimate[["x1", "x2", "W × x1", "W × x2", "decay"]].to_numpy()
    assert ours == pytest.approx(found.x, abs=1e-5)  # differences by finite steps
    free = n * (t - 1) - 5
    V = np.linalg.inv(found.jac.T @ found.jac) * 2 * found.cost / free
    errors = rows.std_error[["x1", "x2", "W × x1", "W × x2", "decay"]].to_numpy()
    assert errors == pytest.approx(np.sqrt(np.diag(V)), rel=1e-3)  # their derivatives


def test_row_sums_do_not_matter_and_an_exponent_of_one_is_slx():
    data, A = decaying()
    scaled = sparse.csr_array(A / np.asarray(A.sum(axis=1)).reshape(-1, 1))
    one, other = decay_rows(data, A)[0], decay_rows(data, scaled)[0]
    assert one.estimate.to_numpy() == pytest.approx(other.estimate.to_numpy(), abs=1e-6)
    W = powered(A, float(one.estimate["decay"]))[0]
    slx = SpatialPanel(lag="covariates").estimate(request(data, W))
    found = slx.coefficients.set_index(["estimand", "term"]).estimate
    for term in ("x1", "x2", "W × x1", "W × x2"):
        assert one.estimate[term] == pytest.approx(found["coefficient", term], abs=1e-6)


def test_intervals_of_the_decay_cover():
    # 40 panels: 0.95 - 4 * 0.034.
    covered = []
    for seed in range(40):
        data, A = decaying(n=40, t=5, seed=seed, noise=0.3)
        row = decay_rows(data, A)[0].loc["decay"]
        covered.append(row.conf_low <= 2.5 <= row.conf_high)
    assert np.mean(covered) > 0.95 - 4 * 0.034


def test_clustered_influence_of_the_decay():
    data, A = decaying()
    _, result = decay_rows(data, A, inference="cluster", clusters=["unit"])
    V = influence_variance(result.influence)
    error = result.coefficients["std_error"][0]
    assert V.loc[0, 0] == pytest.approx(error**2)


def test_what_is_refused():
    data, A = decaying()
    flat = A.copy()
    flat.data[:] = 1.0
    with pytest.raises(EstimandError) as caught:
        decay_rows(data, flat)
    assert caught.value.problems[0].code == "I04"
    noise = data.assign(y=np.random.default_rng(1).normal(size=len(data)))
    codes = set()
    for seed in range(6):
        noise["y"] = np.random.default_rng(seed).normal(size=len(data))
        try:
            decay_rows(noise, A)
        except EstimandError as error:
            codes |= {p.code for p in error.problems}
    assert codes <= {"N05", "I04"}
