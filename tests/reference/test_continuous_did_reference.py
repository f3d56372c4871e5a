"""Doses beside diff-diff's `ContinuousDiD`, and where the two differ, why."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from diff_diff import ContinuousDiD

from estimators._math.dose_response import Spline, effects
from estimators.continuous_did import ContinuousDid
from framework.result import Result
from tests.build_doses import doses, request_of

#: The same sums by another route, through splines of the same kind.
SAME = 1e-8
#: Doses at which both curves are evaluated.
AT = (1.5, 2.0, 2.7, 3.5)
ASKED = ("att", "acrt", "att_dose", "slope_dose")


def theirs(
    data: pd.DataFrame, covariates: list[str] | None = None, **options: Any
) -> Any:
    held = data.assign(start=data["first"].replace(np.inf, 0.0))
    plain = {"dvals": np.array(AT), "control_group": "not_yet_treated"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ContinuousDiD(**(plain | options)).fit(
            held, "y", "unit", "time", "start", "size", covariates=covariates
        )


def ours(data: pd.DataFrame, controls: tuple[str, ...] = (), **options: Any) -> Result:
    plain: dict[str, Any] = {"doses": AT, "residuals": "hc0"}
    request = request_of(data, *ASKED, controls=controls)
    return ContinuousDid(**(plain | options)).estimate(request)


def compare(found: Result, other: Any, *, errors: bool) -> None:
    """Estimates, and standard errors of all but ACRT^o, whose theirs lack a part."""
    rows = {k: found.coefficients[found.coefficients.estimand == k] for k in ASKED}
    curves = (
        ("att_dose", other.dose_response_att),
        ("slope_dose", other.dose_response_acrt),
    )
    assert rows["att"].estimate.item() == pytest.approx(other.overall_att, abs=SAME)
    assert rows["acrt"].estimate.item() == pytest.approx(other.overall_acrt, abs=SAME)
    for name, curve in curves:
        np.testing.assert_allclose(rows[name].estimate, curve.effects, atol=SAME)
    if errors:
        (error,) = rows["att"].std_error
        assert error == pytest.approx(other.overall_att_se, abs=SAME)
        for name, curve in curves:
            np.testing.assert_allclose(rows[name].std_error, curve.se, atol=SAME)


@pytest.mark.parametrize(("degree", "knots"), [(1, 0), (3, 0), (2, 2)])
@pytest.mark.parametrize("group", ["never_treated", "not_yet_treated"])
def test_one_cohort(degree: int, knots: int, group: str) -> None:
    data = doses(31, units=100, starts=(4.0, np.inf))
    found = ours(data, degree=degree, knots=knots, control_group=group)
    other = theirs(data, degree=degree, num_knots=knots, control_group=group)
    compare(found, other, errors=True)


@pytest.mark.parametrize("group", ["never_treated", "not_yet_treated"])
def test_cohorts_are_weighed_alike_and_their_estimated_shares_are_ours(
    group: str,
) -> None:
    """Their errors take the cohorts' shares as known."""
    data = doses(32, units=150, starts=(3.0, 5.0, 5.0, np.inf))
    found = ours(data, knots=1, control_group=group)
    compare(found, theirs(data, num_knots=1, control_group=group), errors=False)


def test_covariates_by_regression() -> None:
    data = doses(33, units=100, starts=(4.0, np.inf))
    found = ours(data, ("x",), degree=2)
    compare(found, theirs(data, ["x"], degree=2, estimation_method="reg"), errors=True)


def test_one_effect_for_every_dose() -> None:
    data = doses(34, units=120, starts=(4.0, np.inf), levels=(1.0, 2.0, 4.0))
    found = ours(data, basis="levels", doses=[1, 2, 4])
    other = theirs(data, treatment_type="discrete", dvals=np.array([1.0, 2.0, 4.0]))
    compare(found, other, errors=True)


def test_periods_of_anticipation_are_no_effect_here_and_one_there() -> None:
    data = doses(35, units=100, starts=(4.0, np.inf))
    request = request_of(data, "att", "acrt", anticipation=1)
    found = ContinuousDid(degree=2).estimate(request)
    other = theirs(data, degree=2, anticipation=1)
    cells = found.frames["group_time"]
    mean = cells[cells.event_time >= -1].mean(numeric_only=True)
    assert other.overall_att == pytest.approx(mean.att, abs=SAME)
    assert other.overall_acrt == pytest.approx(mean.acrt, abs=SAME)
    after = cells[cells.event_time >= 0].mean(numeric_only=True)
    assert found.coefficients.estimate.tolist() == pytest.approx(
        [after.att, after.acrt], abs=SAME
    )


def test_the_mean_slope_is_over_a_sample_of_doses() -> None:
    """Their error of ACRT^o takes the treated units' doses as the population's.

    With influence functions (i) of the coefficients alone it is theirs; with (ii) the
    deviation of every unit's own slope from the mean it is ours and that of R's contdid
    (`inffunc1` there). Over samples the estimate varies by (ii) where noise is small.
    """
    data = doses(36, units=80, starts=(4.0, np.inf), noise=0.2)
    data = data[data.time.isin([3, 4])]
    found, other = ours(data, degree=2), theirs(data, degree=2)
    wide = data.pivot_table(index="unit", columns="time", values="y")
    d = data.groupby("unit")["size"].first().to_numpy()
    dy = (wide[4] - wide[3]).to_numpy()
    basis = Spline(2, (), d[d > 0].min(), d.max())
    ones = np.ones(len(d))
    fit = effects(dy, d > 0, d, ones[:, None], ones, basis)
    slopes = basis.slopes(d[d > 0])
    alone = fit.psi_beta @ slopes.mean(axis=0)
    assert np.linalg.norm(alone) == pytest.approx(other.overall_acrt_se, abs=SAME)
    whole = alone.copy()
    whole[d > 0] += (slopes @ fit.beta - fit.acrt) / (d > 0).sum()
    (error,) = found.coefficients[found.coefficients.estimand == "acrt"].std_error
    assert error == pytest.approx(np.linalg.norm(whole), abs=SAME)
