"""What spatial panel models report, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from estimators._spatial.selection import decide
from estimators.local_moran import LocalMoran
from estimators.morans_i import MoransI
from estimators.spatial_panel import SpatialPanel
from estimators.spatial_selection import SpatialSelection
from framework.errors import EstimandError, NumericalError
from framework.result import Test, influence_variance
from tests.build_spatial import some_weights, spatial_panel, spatial_request

ROLES = ("outcome", "covariates", "errors")


def made(n=20, t=5, *, transform="row", seed=1, **truth):
    W = some_weights(n, 2, transform=transform)
    truth = {"rho": 0.3, "theta": (0.5, 0.0)} | truth
    return spatial_panel(W, t, seed, **truth), W


def request(data, W, **fields):
    return spatial_request(data, dict.fromkeys(ROLES, W), **fields)


def refused(estimator, req):
    with pytest.raises(EstimandError) as caught:
        estimator.estimate(req)
    return [p.code for p in caught.value.problems], str(caught.value)


# -- what is reported ------------------------------------------------------------------


def rows_of(result):
    return result.coefficients.set_index(["estimand", "term"])


def test_what_is_asked_for_comes_first_and_the_treatment_before_controls():
    data, W = made()
    result = SpatialPanel(lag="all").estimate(
        request(data, W, estimand=("indirect", "total"))
    )
    first = result.coefficients[["estimand", "term"]].to_numpy().tolist()
    assert first[:4] == [
        ["indirect", "x1"],
        ["indirect", "x2"],
        ["total", "x1"],
        ["total", "x2"],
    ]
    assert ("coefficient", "rho") in rows_of(result).index


@pytest.mark.parametrize(
    ("lag", "terms"),
    [
        ("none", ["x1", "x2"]),
        ("outcome", ["x1", "x2", "rho"]),
        ("errors", ["x1", "x2", "lambda"]),
        ("covariates", ["x1", "x2", "W × x1", "W × x2"]),
        ("all", ["x1", "x2", "W × x1", "W × x2", "rho"]),
        (["errors", "covariates"], ["x1", "x2", "W × x1", "W × x2", "lambda"]),
        (["outcome", "errors"], ["x1", "x2", "rho", "lambda"]),
    ],
)
def test_every_model_has_its_rows(lag, terms):
    data, W = made()
    estimator = SpatialPanel(lag=lag)
    table = estimator.estimate(request(data, W)).coefficients
    of = table[table["estimand"] == "coefficient"]
    assert of["term"].tolist() == terms
    impacts = {"outcome", "covariates"} & set(estimator.roles)
    assert ("direct" in set(table["estimand"])) == bool(impacts)
    assert ("direct" in estimator.gives()) == bool(impacts)


def test_without_fixed_effects_there_is_a_constant():
    data, W = made()
    rows = rows_of(SpatialPanel(lag="outcome").estimate(request(data, W, effects=())))
    assert ("coefficient", "constant") in rows.index


def test_impacts_of_a_lag_of_covariates_are_its_coefficients():
    data, W = made()
    rows = rows_of(SpatialPanel(lag="covariates").estimate(request(data, W)))
    for column in ("estimate", "std_error"):
        one = rows.loc[("coefficient", "x1"), column]
        other = rows.loc[("coefficient", "W × x1"), column]
        # Rows of W sum to one: a unit more everywhere is a unit more in the lag.
        assert rows.loc[("direct", "x1"), column] == pytest.approx(one)
        assert rows.loc[("indirect", "x1"), column] == pytest.approx(other)


@pytest.mark.parametrize("transform", ["row", "spectral", "none"])
@pytest.mark.parametrize("lag", ["outcome", "all"])
def test_impacts_are_the_means_of_the_impact_matrix(lag, transform):
    data, W = made(transform=transform, rho=0.1)
    result = SpatialPanel(lag=lag, correction="none").estimate(request(data, W))
    rows = rows_of(result)["estimate"]
    n = W.shape[0]
    theta = rows.get(("coefficient", "W × x1"), 0.0)
    impact = np.linalg.solve(
        np.eye(n) - rows["coefficient", "rho"] * W.toarray(),
        rows["coefficient", "x1"] * np.eye(n) + theta * W.toarray(),
    )
    assert rows["direct", "x1"] == pytest.approx(np.trace(impact) / n)
    assert rows["total", "x1"] == pytest.approx(impact.sum() / n)
    # Orders of neighbours add up to the whole.
    orders = result.frames["impacts_by_order"].query("term == 'x1'")
    assert orders["total"].sum() == pytest.approx(rows["total", "x1"], rel=0.02)


@pytest.mark.parametrize("lag", ["none", "outcome", "covariates", "all"])
def test_the_squared_correlation_is_that_of_the_reduced_form(lag):
    data, W = made()
    result = SpatialPanel(lag=lag, correction="none").estimate(request(data, W))
    rows = rows_of(result)["estimate"]
    total = 0.0
    for x in ("x1", "x2"):
        values = data[x].to_numpy().reshape(20, 5)
        total = total + rows["coefficient", x] * values
        total = total + rows.get(("coefficient", f"W × {x}"), 0.0) * (W @ values)
    rho = rows.get(("coefficient", "rho"), 0.0)
    fitted = np.linalg.solve(np.eye(20) - rho * W.toarray(), total)
    swept = [
        v - v.mean(axis=1, keepdims=True) - v.mean(axis=0) + v.mean()
        for v in (data["y"].to_numpy().reshape(20, 5), fitted)
    ]
    wanted = np.corrcoef(swept[0].ravel(), swept[1].ravel())[0, 1] ** 2
    assert result.scalars["squared_correlation"] == pytest.approx(wanted, rel=1e-10)
    if lag == "none":  # least squares: the share of the within variance explained
        sigma = result.scalars["sigma2"] * 100
        assert wanted == pytest.approx(1 - sigma / (swept[0] ** 2).sum(), rel=1e-10)


def test_the_delta_method_is_the_derivative():
    # Moving the parameters a little moves the impacts along their gradients.
    from estimators._math.spatial_inference import multipliers
    from estimators._math.spatial_ml import Lag

    lag, other = Lag.of(some_weights(15, 1)), some_weights(15, 2, transform="none")
    h, at = 1e-6, 0.4
    low, middle, high = (
        multipliers(15, lag.inverse(r), lag, other) for r in (at - h, at, at + h)
    )
    for name in ("own", "all"):
        slope = (getattr(high, name) - getattr(low, name))[:2] / (2 * h)
        # Central differences of step 1e-6.
        assert slope == pytest.approx(getattr(middle, name)[2:], rel=1e-6)


def test_influence_is_the_covariance_that_is_printed():
    data, W = made(n=30)
    data["region"] = data["unit"].str[-1]
    for inference in (
        {"inference": "iid"},
        {"inference": "hetero"},
        {"inference": "cluster", "clusters": ["unit"]},
        {"inference": "cluster", "clusters": ["region"]},
    ):
        result = SpatialPanel(lag="all").estimate(request(data, W, **inference))
        V = influence_variance(result.influence)
        errors = result.coefficients["std_error"]
        for label in V:
            assert V.loc[label, label] == pytest.approx(errors[label] ** 2)


@pytest.mark.parametrize("correction", ["lee_yu", "none"])
def test_robust_errors_without_lags_are_those_of_dummies(correction):
    from estimators.twfe import Twfe

    data, _ = made(n=30)
    req = spatial_request(data, {}, inference="hetero")
    ours = SpatialPanel(lag="none", correction=correction).estimate(req)
    theirs = Twfe().estimate(req).coefficients
    error = ours.coefficients.set_index("term")["std_error"]["x1"]
    # HC1 of another engine, another algebra.
    assert error == pytest.approx(theirs["std_error"].iloc[0], rel=1e-10)


def test_robust_errors_say_what_they_do_not_cure():
    data, W = made()
    one = SpatialPanel(lag="outcome").estimate(request(data, W, inference="hetero"))
    assert any("not consistent" in note for note in one.notes)
    two = SpatialPanel(lag="covariates").estimate(request(data, W, inference="hetero"))
    assert not any("not consistent" in note for note in two.notes)


def test_two_matrices():
    data, W = made()
    other = some_weights(20, 9, k=2)
    both = spatial_request(data, {"outcome": W, "covariates": other})
    one = spatial_request(data, {"outcome": W, "covariates": W})
    found = [rows_of(SpatialPanel(lag="all").estimate(r)) for r in (both, one)]
    assert found[0].estimate["coefficient", "W × x1"] != pytest.approx(
        found[1].estimate["coefficient", "W × x1"]
    )
    matrices = SpatialPanel(lag="all").estimate(both).frames["spatial_weights"]
    assert matrices["used for"].tolist() == ["outcome", "covariates"]


def test_little_left_of_the_lagged_treatment_is_said():
    # Everybody is everybody's neighbour: the lag is the period's mean less a bit.
    from scipy import sparse

    n = 20
    W = sparse.csr_array((np.ones((n, n)) - np.eye(n)) / (n - 1))
    uneven = W.toarray() * np.random.default_rng(1).uniform(0.9, 1.1, (n, n))
    W = sparse.csr_array(uneven / uneven.sum(axis=1, keepdims=True))
    data, _ = made()
    result = SpatialPanel(lag="covariates").estimate(request(data, W))
    assert result.scalars["lagged_treatment_residual_share"] < 0.1
    assert any("rest on little" in note for note in result.notes)


def test_a_repeated_control_is_left_out_with_a_note():
    data, W = made()
    data["twice"] = 2 * data["x2"]
    result = SpatialPanel(lag="all").estimate(
        request(data, W, controls=["x2", "twice"])
    )
    assert any("'twice' is left out" in note for note in result.notes)
    assert "twice" not in set(result.coefficients["term"])


def test_why_a_control_is_left_out_is_said_as_it_is():
    data, W = made()
    data["same"], data["own"] = 1.0, data["unit"].astype("category").cat.codes
    for effects, name, why in (
        ((), "same", "it is constant"),
        (("unit", "time"), "same", "it is constant"),
        (("unit", "time"), "own", "the fixed effects explain it"),
    ):
        asked = request(data, W, controls=["x2", name], effects=effects)
        notes = SpatialPanel(lag="outcome").estimate(asked).notes
        assert f"'{name}' is left out: {why}." in notes


@pytest.mark.parametrize("lag", ["covariates", "all"])
def test_a_spillover_of_the_treatment_is_tested(lag):
    data, W = made(n=60, t=8, theta=(1.0, 0.0))
    result = SpatialPanel(lag=lag).estimate(request(data, W))
    (test,) = (t for t in result.tests if t.name == "no_interference")
    rows = rows_of(result)
    # One treatment: the Wald statistic is the square of the impact's z.
    assert test.statistic == pytest.approx(rows.statistic["indirect", "x1"] ** 2)
    assert test.p_value == pytest.approx(rows.p_value["indirect", "x1"])
    assert test.p_value < 0.01


def test_what_ties_spillovers_to_the_effect_does_not_test_them():
    data, W = made(n=60, t=8)
    tests = SpatialPanel(lag="outcome").estimate(request(data, W)).tests
    assert "no_interference" not in {t.name for t in tests}


def test_moran_of_residuals_is_not_that_of_the_outcome():
    data, W = made()
    raw, within = (
        MoransI(of=of, permutations=0)
        .estimate(request(data, W))
        .coefficients["estimate"]
        for of in ("outcome", "residuals")
    )
    assert not np.allclose(raw, within)


def test_both_are_the_two_side_by_side():
    data, W = made()
    raw, within, both = (
        MoransI(of=of, permutations=99).estimate(request(data, W)).coefficients
        for of in ("outcome", "residuals", "both")
    )
    assert both["estimate"].tolist() == [*raw["estimate"], *within["estimate"]]
    assert both["equation"].value_counts().to_dict() == {
        "main": 5,
        "residuals": 5,
        "pooled": 1,
        "residuals_pooled": 1,
    }


def test_moran_by_period_and_pooled():
    data, W = made()
    result = MoransI(permutations=99).estimate(
        request(data, W, estimand=("morans_i", "gearys_c"))
    )
    table = result.coefficients
    assert table["estimand"].value_counts().to_dict() == {"morans_i": 6, "gearys_c": 5}
    assert table["equation"].value_counts()["pooled"] == 1
    drawn = result.frames["autocorrelation"]["p_permutation"]
    assert drawn.notna().sum() == 6


def test_local_moran_has_every_unit_and_period():
    data, W = made()
    result = LocalMoran(permutations=99).estimate(request(data, W))
    assert len(result.frames["local_moran"]) == 100
    assert set(result.frames["local_moran"]["unit"]) == set(data["unit"])


# -- the path --------------------------------------------------------------------------


def outcomes(**p):
    names = (
        "lm_lag",
        "lm_error",
        "robust_lm_lag",
        "robust_lm_error",
        "lr_lag",
        "lr_error",
        "wald_lag",
        "wald_error",
    )
    return {n: Test(n, "null", 1.0, "1", p.get(n, 0.5)) for n in names}


@pytest.mark.parametrize(
    ("p", "slx", "model"),
    [
        ({}, False, "linear"),
        ({}, True, "SLX"),
        ({"lm_lag": 0.01, "lr_lag": 0.01, "lr_error": 0.01}, False, "SDM"),
        ({"lm_lag": 0.01, "robust_lm_lag": 0.01, "lr_error": 0.01}, False, "SAR"),
        ({"lm_error": 0.01, "robust_lm_error": 0.01, "lr_lag": 0.01}, False, "SEM"),
        # The LM tests say lag, the Durbin model says it is none.
        ({"lm_lag": 0.01, "robust_lm_lag": 0.01, "lr_lag": 0.01}, False, "SDM"),
        # Both simplifications hold and the LM tests do not choose.
        ({"lm_lag": 0.01, "lm_error": 0.01}, False, "SDM"),
        ({"lm_lag": 0.01}, False, "SAR"),
    ],
)
def test_elhorst_s_path(p, slx, model):
    chosen, path = decide(outcomes(**p), (slx, "in the SLX model"), 0.05)
    assert chosen == model
    assert len(path) >= 3


def test_selection_names_the_model_and_why():
    data, W = made(n=60, t=8, rho=0.5, theta=(0.8, -0.5))
    result = SpatialSelection().estimate(request(data, W))
    assert result.notes[0].startswith("selected: SDM")
    models = result.frames["models"]
    assert models.loc[models["selected"], "model"].tolist() == ["SDM"]
    assert {t.name for t in result.tests} >= {"lm_lag", "robust_lm_error", "wald_error"}


@pytest.mark.parametrize(
    ("failed", "p", "model"),
    [
        # SEM would be selected; it has no estimates.
        ({"SEM"}, {"lm_error": 0.01, "robust_lm_error": 0.01, "lr_lag": 0.01}, "SDM"),
        ({"SEM"}, {"lm_lag": 0.01, "robust_lm_lag": 0.01}, "SAR"),
        ({"SAR"}, {"lm_lag": 0.01, "robust_lm_lag": 0.01, "lr_error": 0.01}, "SDM"),
        ({"SDM"}, {"lm_lag": 0.01}, "none"),
        ({"SDM"}, {}, "linear"),
    ],
)
def test_a_model_without_estimates_is_not_selected(failed, p, model):
    chosen, _ = decide(outcomes(**p), (False, "SLX"), 0.05, frozenset(failed))
    assert chosen == model


def test_a_model_at_its_bound_does_not_take_the_report_with_it(monkeypatch):
    from estimators._spatial import selection

    def bounded(arrays, lags, correction, **fields):
        if lags.errors is not None:
            raise NumericalError("N05", "the likelihood has no maximum")
        return estimated(arrays, lags, correction, **fields)

    estimated = selection.estimated
    data, W = made(n=40, t=6, rho=0.5)
    whole = SpatialSelection().estimate(request(data, W))
    monkeypatch.setattr(selection, "estimated", bounded)
    result = SpatialSelection().estimate(request(data, W))
    assert "SEM is not estimated: the likelihood has no maximum" in result.notes
    tests = {t.name: t for t in result.tests}
    assert tests["lr_error"].reason == "SEM is not estimated"
    assert all(tests[t.name] == t for t in whole.tests if t.name != "lr_error")
    models = result.frames["models"].set_index("model")
    assert models.loc["SEM", ["log-likelihood", "lambda"]].isna().all()
    assert models.loc["SAR"].equals(
        whole.frames["models"].set_index("model").loc["SAR"]
    )


def test_selection_takes_one_matrix():
    data, W = made()
    two = spatial_request(data, {"outcome": W, "errors": some_weights(20, 5)})
    two = replace(
        two,
        spatial={r: replace(w, name=r) for r, w in two.spatial.items()},
    )
    assert refused(SpatialSelection(), two)[0] == ["X20"]


# -- what is refused -------------------------------------------------------------------


def test_missing_unit_periods_are_named():
    data, W = made()
    holes = data.drop(index=[7, 63])
    found, said = refused(SpatialPanel(lag="outcome"), request(holes, W))
    assert found == ["P02"]
    assert "u0001 2002, u0012 2003" in said


def test_a_matrix_in_another_order():
    data, W = made()
    req = request(data, W)
    turned = {
        role: replace(w, ids=tuple(reversed(w.ids))) for role, w in req.spatial.items()
    }
    found, _ = refused(SpatialPanel(lag="outcome"), replace(req, spatial=turned))
    assert found == ["S01"]


def test_no_matrix_for_the_role():
    data, W = made()
    only = spatial_request(data, {"covariates": W})
    found, said = refused(SpatialPanel(lag="outcome"), only)
    assert found == ["X20"]
    assert "outcome" in said


def test_other_fixed_effects():
    data, W = made()
    data["region"] = data["unit"].str[-1]
    found, said = refused(
        SpatialPanel(lag="all"), request(data, W, effects=("region", "time"))
    )
    assert found == ["I09"]
    assert "'region'" in said


def test_a_treatment_that_never_changes():
    data, W = made()
    still = data.assign(x1=data["unit"].str[-1].astype(float))
    assert refused(SpatialPanel(lag="all"), request(still, W))[0] == ["I02"]


def test_a_treatment_beside_its_copy():
    data, W = made()
    data["copy"] = -3 * data["x1"]
    found, said = refused(SpatialPanel(lag="all"), request(data, W, controls=["copy"]))
    assert found == ["I03"]
    assert "'copy'" in said


def test_a_lag_that_repeats_its_covariate():
    data, W = made()
    # The same number for all neighbours in a period: time effects hold its lag.
    from scipy import sparse

    n = 20
    W = sparse.csr_array((np.ones((n, n)) - np.eye(n)) / (n - 1))
    found, said = refused(SpatialPanel(lag="all"), request(data, W))
    assert found == ["I04"]
    assert "W × x1" in said


def test_the_transformation_needs_rows_that_sum_to_one():
    data, W = made(transform="spectral")
    found, said = refused(SpatialPanel(lag="outcome"), request(data, W))
    assert found == ["S03"]
    assert "correction: none" in said
    # Unit effects alone commute with any matrix.
    SpatialPanel(lag="outcome").estimate(request(data, W, effects=("unit",)))


@pytest.mark.parametrize("lag", ["outcome", "errors", ["outcome", "errors"]])
def test_no_maximum_inside_the_parameter_space(lag):
    # All units move together and nothing takes the periods out: y is its own lag, and
    # the likelihood rises up to rho = 1.
    data, W = made()
    data["y"] = np.sin(data["time"])
    found, said = refused(SpatialPanel(lag=lag), request(data, W, effects=("unit",)))
    assert found == ["N05"]
    assert "no maximum inside the parameter space" in said


@pytest.mark.parametrize(
    ("clusters", "codes"), [(["time"], ["I09"]), (["unit", "region"], ["I09"])]
)
def test_clusters_that_are_not_groups_of_units(clusters, codes):
    data, W = made()
    data["region"] = data["unit"].str[-1]
    req = request(data, W, inference="cluster", clusters=clusters)
    assert refused(SpatialPanel(lag="all"), req)[0] == codes


def test_few_clusters_need_to_be_acknowledged():
    data, W = made()
    data["half"] = (data["unit"] < "u0010").astype(str)
    few = {"inference": "cluster", "clusters": ["half"]}
    assert refused(SpatialPanel(lag="all"), request(data, W, **few))[0] == ["I05"]


def test_few_treated_units_need_to_be_acknowledged():
    data, W = made()
    data["x1"] = ((data["unit"] < "u0003") & (data["time"] > 2002)).astype(float)
    found, said = refused(SpatialPanel(lag="outcome"), request(data, W))
    assert found == ["I08"]
    assert "3 treated units" in said
    known = request(data, W, acknowledge=frozenset({"few_treated"}))
    SpatialPanel(lag="outcome").estimate(known)


def test_a_period_without_variation():
    data, W = made()
    data.loc[data["time"] == 2001, "y"] = 1.0
    found, said = refused(MoransI(), request(data, W))
    assert found == ["D06"]
    assert "2001" in said


def test_g_of_negative_values():
    data, W = made()
    assert refused(MoransI(), request(data, W, estimand=("getis_ord_g",)))[0] == ["D08"]


@pytest.mark.parametrize("lag", [[], ["outcome", "outcome"], "space", ["all"]])
def test_lags_that_are_none(lag):
    with pytest.raises(ValueError, match="SpatialPanel"):
        SpatialPanel(lag=lag)
