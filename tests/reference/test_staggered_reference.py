"""Staggered estimators against independent programs, on panels made here."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.callaway_santanna import CallawaySantanna
from estimators.did2s import Did2s
from estimators.etwfe import Etwfe
from estimators.imputation import Imputation
from estimators.lp_did import LpDid
from estimators.stacked import Stacked
from tests.build_cohorts import adoption, request_of

diff_diff = pytest.importorskip("diff_diff", reason="diff-diff is not installed")
pf = pytest.importorskip("pyfixest", reason="pyfixest is not installed")

# both are closed forms in double precision
CLOSED = 1e-10


def zeros(data: pd.DataFrame) -> pd.DataFrame:
    """Never-treated units as the other programs mark them."""
    return data.assign(
        first=data["first"].replace(np.inf, 0).astype(int),
        region_code=data.region.factorize()[0],
        unit=data.unit.factorize()[0],
    )


def fit(estimator: Any, data: pd.DataFrame, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(
            zeros(data),
            outcome="y",
            unit="unit",
            time="time",
            first_treat="first",
            **options,
        )


def same_events(ours: pd.DataFrame, theirs: Any, tolerance: float) -> None:
    """Event-time rows against `event_study_effects` (its reference left out)."""
    ours = ours[ours.estimand == "by_event_time"].set_index("event_time")
    expected = {
        int(e): v
        for e, v in theirs.event_study_effects.items()
        if np.isfinite(v["se"]) and v["se"] > 0
    }
    assert set(ours.index) == set(expected)
    for e, v in expected.items():
        assert ours.estimate[e] == pytest.approx(v["effect"], abs=tolerance)
        assert ours.std_error[e] == pytest.approx(v["se"], abs=tolerance)


# --- Callaway and Sant'Anna --------------------------------------------------------

METHODS = {"doubly_robust": "dr", "ipw": "ipw", "regression": "reg"}


@pytest.mark.parametrize("group", ["never_treated", "not_yet_treated"])
@pytest.mark.parametrize("base", ["universal", "varying"])
@pytest.mark.parametrize(
    ("method", "controls", "anticipation"),
    [
        ("doubly_robust", [], 0),
        ("doubly_robust", [], 1),
        *((method, ["x", "z"], 0) for method in METHODS),
    ],
)
def test_callaway_santanna_equals_diff_diff(
    method, group, base, controls, anticipation
):
    sizes = {4.0: 25, 6.0: 32, 7.0: 27, np.inf: 60}
    data = adoption(11, sizes=sizes, trend_in_x=0.3)
    ours = CallawaySantanna(
        method=method, control_group=group, base_period=base
    ).estimate(
        request_of(
            data,
            controls=controls,
            anticipation=anticipation,
            estimand=("att", "by_event_time"),
        )
    )
    theirs = fit(
        diff_diff.CallawaySantAnna(
            control_group=group,
            estimation_method=METHODS[method],
            base_period=base,
            anticipation=anticipation,
            pscore_trim=0.001,
        ),
        data,
        covariates=controls or None,
        aggregate="event_study",
    )
    tolerance = CLOSED
    if controls and method == "ipw":
        # their logit stops at a step of 1e-8, ours at 1e-10
        tolerance = 1e-6
    elif controls and method == "doubly_robust":
        # they divide the controls' weights by the number of treated, R's DRDID and we
        # by their sum: equal in expectation (R's own number is tested on mpdta)
        tolerance = 5e-3
    same_events(ours.coefficients, theirs, tolerance)
    if anticipation:
        # their overall effect counts the periods of anticipation as treated
        return
    row = ours.coefficients.iloc[0]
    assert row.estimate == pytest.approx(theirs.overall_att, abs=tolerance)
    assert row.std_error == pytest.approx(theirs.overall_se, abs=tolerance)


# --- Borusyak, Jaravel and Spiess; Gardner -----------------------------------------


@pytest.mark.parametrize("cluster", [None, "region_code"])
@pytest.mark.parametrize(("gaps", "controls"), [(0.0, []), (0.1, []), (0.0, ["z"])])
def test_imputation_equals_diff_diff(cluster, gaps, controls):
    data = adoption(12, gaps=gaps)
    ours = Imputation(pretrends=0).estimate(
        request_of(
            data,
            controls=controls,
            clusters=["region" if cluster else "unit"],
            estimand=("att", "by_event_time"),
        )
    )
    theirs = fit(
        diff_diff.ImputationDiD(cluster=cluster),
        data,
        covariates=controls or None,
        aggregate="event_study",
    )
    row = ours.coefficients.iloc[0]
    assert row.estimate == pytest.approx(theirs.overall_att, abs=1e-8)
    assert row.std_error == pytest.approx(theirs.overall_se, abs=1e-8)
    # their fit of gaps and covariates stops at 1e-10 of the outcome
    same_events(ours.coefficients, theirs, 1e-8)


@pytest.mark.parametrize(("gaps", "controls"), [(0.0, []), (0.1, ["z"])])
def test_two_stage_equals_diff_diff(gaps, controls):
    data = adoption(13, gaps=gaps)
    ours = Did2s().estimate(request_of(data, controls=controls))
    theirs = fit(diff_diff.TwoStageDiD(), data, covariates=controls or None)
    row = ours.coefficients.iloc[0]
    assert row.estimate == pytest.approx(theirs.overall_att, abs=1e-8)
    assert row.std_error == pytest.approx(theirs.overall_se, abs=1e-8)


# --- stacked, local projections, extended two-way fixed effects --------------------


def test_stacked_equals_diff_diff():
    data = adoption(14, periods=9)
    ours = Stacked(window=(-2, 2), weighting="treated", controls_are="never_treated")
    row = ours.estimate(request_of(data, estimand=("by_event_time",))).coefficients
    theirs = fit(
        diff_diff.StackedDiD(kappa_pre=2, kappa_post=2, clean_control="never_treated"),
        data,
        aggregate="event_study",
    )
    expected = {
        int(e): v["effect"]
        for e, v in theirs.event_study_effects.items()
        if np.isfinite(v["se"]) and v["se"] > 0
    }
    got = dict(zip(row.event_time, row.estimate, strict=True))
    # dummies by least squares
    assert got == pytest.approx(expected, abs=1e-8)


def test_extended_equals_diff_diff():
    data = adoption(15)
    ours = Etwfe().estimate(request_of(data)).coefficients.iloc[0]
    theirs = fit(diff_diff.WooldridgeDiD(control_group="not_yet_treated"), data)
    # dummies by least squares
    assert ours.estimate == pytest.approx(theirs.overall_att, abs=1e-8)


@pytest.mark.parametrize("weighting", ["treated", "variance"])
def test_local_projections_equal_diff_diff(weighting):
    data = adoption(16)
    ours = LpDid(window=(-3, 3), weighting=weighting).estimate(
        request_of(data, estimand=("by_event_time",))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = diff_diff.LPDiD(
            pre_window=3, post_window=3, reweight=weighting == "treated"
        ).fit(zeros(data), outcome="y", unit="unit", time="time", treatment="d")
    table = theirs.event_study.set_index("horizon")
    for row in ours.coefficients.itertuples():
        # least squares by horizon
        expected = table.loc[row.event_time]
        assert row.estimate == pytest.approx(expected["coefficient"], abs=1e-9)
        if weighting == "variance":
            assert row.std_error == pytest.approx(expected["se"], rel=1e-6)


def test_weighted_local_projections_equal_diff_diff():
    """Its sampling weights, by variance: with `reweight` it takes none."""
    data = adoption(16)
    ours = LpDid(window=(-3, 3), weighting="variance").estimate(
        request_of(data, estimand=("by_event_time",), weights=("probability", "w"))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = diff_diff.LPDiD(pre_window=3, post_window=3).fit(
            zeros(data),
            outcome="y",
            unit="unit",
            time="time",
            treatment="d",
            survey_design=diff_diff.SurveyDesign(weights="w", psu="unit"),
        )
    table = theirs.event_study.set_index("horizon")
    for row in ours.coefficients.itertuples():
        # least squares by horizon
        assert row.estimate == pytest.approx(
            table.coefficient[row.event_time], abs=1e-9
        )


@pytest.mark.parametrize("weighting", ["treated", "variance"])
def test_weighted_stacks_equal_fixest(weighting):
    """The stacked rows in pyfixest, with corrective weights of the weighted counts."""
    data = adoption(14, periods=9)
    ours = Stacked(window=(-2, 2), weighting=weighting).estimate(
        request_of(data, estimand=("by_event_time",), weights=("probability", "w"))
    )
    parts = []
    for g in (4.0, 6.0, 7.0):
        part = data[data.time.between(g - 2, g + 2)].copy()
        part = part[(part["first"] == g) | (part["first"] > g + 2)]
        part = part.assign(on=(part["first"] == g) * 1.0, event=part.time - g, sub=g)
        parts.append(part)
    stack = pd.concat(parts)
    stack["su"] = stack["sub"].astype(str) + stack.unit
    stack["st"] = stack["sub"].astype(str) + stack.time.astype(str)
    mass = stack.groupby(["sub", "on"]).w.sum().unstack()
    q = (mass[1.0] / mass[1.0].sum()) / (mass[0.0] / mass[0.0].sum())
    corrective = np.where(stack.on == 1, 1.0, stack["sub"].map(q))
    stack["weight"] = stack.w * (corrective if weighting == "treated" else 1.0)
    names = []
    for k in (-2, 0, 1, 2):
        names.append(f"e{k + 2}")
        stack[names[-1]] = stack.on * (stack.event == k)
    theirs = pf.feols(
        f"y ~ {' + '.join(names)} | su + st",
        stack,
        vcov={"CRV1": "unit"},
        weights="weight",
        fixef_tol=1e-12,
    )
    # alternating projections
    np.testing.assert_allclose(
        ours.coefficients.estimate, theirs.coef()[names], atol=1e-8
    )
    np.testing.assert_allclose(
        ours.coefficients.std_error, theirs.se()[names], rtol=1e-6
    )


def test_local_projections_with_a_covariate_equal_diff_diff():
    data = adoption(16, trend_in_x=0.2)
    ours = LpDid(window=(-3, 3), weighting="variance").estimate(
        request_of(data, controls=["x"], estimand=("by_event_time",))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = diff_diff.LPDiD(pre_window=3, post_window=3).fit(
            zeros(data),
            outcome="y",
            unit="unit",
            time="time",
            treatment="d",
            covariates=["x"],
        )
    table = theirs.event_study.set_index("horizon")
    for row in ours.coefficients.itertuples():
        expected = table.loc[row.event_time]
        # least squares by horizon
        assert row.estimate == pytest.approx(expected["coefficient"], abs=1e-9)
        assert row.std_error == pytest.approx(expected["se"], rel=1e-6)
