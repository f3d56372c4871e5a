"""Staggered estimators on data whose results are printed or stored."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.callaway_santanna import CallawaySantanna
from estimators.did2s import Did2s
from estimators.etwfe import Etwfe
from estimators.imputation import Imputation
from estimators.sun_abraham import SunAbraham
from framework.result import Result
from tests.build_request import build_request

STORED = os.environ.get("ESTIMAND_REFERENCES", "")
ALL = ("att", "by_event_time", "by_cohort", "by_period")
# stored to nine decimals, from two independent programs
STORED_DIGITS = 1e-8


@pytest.fixture(scope="module")
def mpdta() -> pd.DataFrame:
    """Teen employment in 500 counties 2003-2007 (R's did)."""
    if not STORED:
        pytest.skip("ESTIMAND_REFERENCES is not set")
    data = pd.read_csv(Path(STORED) / "replications" / "data" / "mpdta.csv")
    data["first"] = data.first_treat.astype(float).replace(0, np.inf)
    return data.assign(d=(data.year >= data["first"]).astype(float))


@pytest.fixture(scope="module")
def castle() -> pd.DataFrame:
    """50 states 2000-2010, treated from the law's year on."""
    causaldata = pytest.importorskip("causaldata")
    data = causaldata.castle.load_pandas().data
    data = data[["sid", "year", "post", "l_homicide"]].astype(float)
    data = data.astype({"sid": int, "year": int})
    first = data[data.post == 1].groupby("sid").year.min() - 1
    data["first"] = data.sid.map(first).fillna(np.inf)
    return data.assign(d=(data.year >= data["first"]).astype(float))


def on_mpdta(plugin: Any, data: pd.DataFrame, **changes: Any) -> Result:
    plain: dict[str, Any] = {
        "outcome": "lemp",
        "treatment": "d",
        "kind": "absorbing",
        "cohort": "first",
        "fixed_effects": ["countyreal", "year"],
        "inference": "cluster",
        "clusters": ["countyreal"],
        "unit": "countyreal",
        "time": "year",
        "estimand": ALL,
    }
    return plugin.estimate(build_request(data, **(plain | changes)))


def on_castle(plugin: Any, data: pd.DataFrame, **changes: Any) -> Result:
    plain: dict[str, Any] = {
        "outcome": "l_homicide",
        "clusters": ["sid"],
        "fixed_effects": ["sid", "year"],
        "unit": "sid",
    }
    return on_mpdta(plugin, data, **(plain | changes))


def rows(result: Result, estimand: str) -> pd.DataFrame:
    return result.coefficients[result.coefficients.estimand == estimand]


# --- Callaway and Sant'Anna --------------------------------------------------------


@pytest.fixture(scope="module")
def cs(mpdta) -> Result:
    plugin = CallawaySantanna(control_group="never_treated", base_period="varying")
    return on_mpdta(plugin, mpdta)


def test_group_time_effects_of_the_vignette(cs):
    expected = {
        (2004, 2004): -0.010503246,
        (2004, 2005): -0.070423158,
        (2004, 2006): -0.137258739,
        (2004, 2007): -0.100811363,
        (2006, 2004): 0.006520112,
        (2006, 2005): -0.002750819,
        (2006, 2006): -0.004594607,
        (2006, 2007): -0.041224472,
        (2007, 2004): 0.030506656,
        (2007, 2005): -0.002725893,
        (2007, 2006): -0.031087119,
        (2007, 2007): -0.026054411,
    }
    cells = cs.frames["group_time"].set_index(["cohort", "period"]).estimate
    assert dict(cells) == pytest.approx(expected, abs=STORED_DIGITS)


def test_dynamic_effects_and_errors_of_the_vignette(cs):
    events = rows(cs, "by_event_time")
    assert list(events.event_time) == [-3, -2, -1, 0, 1, 2, 3]
    np.testing.assert_allclose(
        events.estimate,
        [
            0.030506656,
            -0.000563085,
            -0.024458745,
            -0.019931817,
            -0.050957367,
            -0.137258739,
            -0.100811363,
        ],
        atol=STORED_DIGITS,
    )
    np.testing.assert_allclose(
        events.std_error,
        [
            0.01503356,
            0.013291645,
            0.014236402,
            0.011826364,
            0.016893476,
            0.036435664,
            0.034359226,
        ],
        atol=STORED_DIGITS,
    )


def test_overall_effects(cs):
    averages = cs.frames["averages"].set_index("average")
    expected = {
        "simple": -0.039951275,
        "by_cohort": -0.031018282,
        "by_period": -0.041700432,
        "by_event_time": -0.077239821,
    }
    assert dict(averages.estimate) == pytest.approx(expected, abs=STORED_DIGITS)
    assert averages.std_error["simple"] == pytest.approx(0.012034013, abs=STORED_DIGITS)


@pytest.mark.parametrize(
    ("controls", "method", "p_value"),
    [
        ([], "doubly_robust", 0.16812),
        (["lpop"], "doubly_robust", 0.23267),
    ],
)
def test_pretest_of_the_vignette(mpdta, controls, method, p_value):
    plugin = CallawaySantanna(
        control_group="never_treated", base_period="varying", method=method
    )
    result = on_mpdta(plugin, mpdta, controls=controls)
    (test,) = [t for t in result.tests if t.name == "joint_pretrend_cells"]
    # the vignette prints five decimals
    assert test.p_value == pytest.approx(p_value, abs=6e-6)


def test_not_yet_treated(mpdta):
    plugin = CallawaySantanna(control_group="not_yet_treated", base_period="varying")
    result = on_mpdta(plugin, mpdta)
    assert rows(result, "att").estimate.iloc[0] == pytest.approx(
        -0.039763626, abs=STORED_DIGITS
    )
    cells = result.frames["group_time"].set_index(["cohort", "period"]).estimate
    # Stata's csdid works in single precision
    assert cells[2004, 2004] == pytest.approx(-0.019372312, abs=1e-7)


@pytest.mark.parametrize(
    ("group", "expected"),
    [("never_treated", 0.110383035), ("not_yet_treated", 0.109354958)],
)
def test_castle_doctrine_group_time(castle, group, expected):
    result = on_castle(CallawaySantanna(control_group=group), castle)
    # the package's floats differ in the tenth digit from those of bacondecomp
    assert rows(result, "att").estimate.iloc[0] == pytest.approx(expected, abs=1e-8)


# --- Borusyak, Jaravel and Spiess; Gardner -----------------------------------------


def test_imputation_on_mpdta(mpdta):
    result = on_mpdta(Imputation(), mpdta)
    assert rows(result, "att").estimate.iloc[0] == pytest.approx(
        -0.047709918, abs=STORED_DIGITS
    )
    np.testing.assert_allclose(
        rows(result, "by_event_time").query("event_time >= 0").estimate,
        [-0.031066927, -0.052234857, -0.136078114, -0.104707472],
        atol=STORED_DIGITS,
    )


def test_two_stage_on_mpdta(mpdta):
    row = rows(on_mpdta(Did2s(), mpdta), "att").iloc[0]
    assert row.estimate == pytest.approx(-0.047709918, abs=STORED_DIGITS)
    # R's did2s: clustered, without small-sample factors
    assert row.std_error == pytest.approx(0.013478409, abs=STORED_DIGITS)


def test_imputation_on_castle_doctrine(castle):
    result = on_castle(Imputation(), castle)
    # the package's floats differ in the tenth digit from those of bacondecomp
    assert rows(result, "att").estimate.iloc[0] == pytest.approx(0.079801547, abs=1e-8)


def test_two_stage_on_the_packages_simulated_data():
    pyfixest = pytest.importorskip("pyfixest")
    path = Path(pyfixest.__file__).parent / "did" / "data" / "df_het.csv"
    data = pd.read_csv(path)
    data["first"] = data.g.replace(0, np.inf).astype(float)
    data["d"] = (data.year >= data["first"]).astype(float)
    result = on_mpdta(
        Did2s(),
        data,
        outcome="dep_var",
        unit="unit",
        fixed_effects=["unit", "year"],
        clusters=["state"],
        estimand=("att",),
    )
    row = result.coefficients.iloc[0]
    # stored to nine decimals; their sparse solver stops at 1e-6
    assert row.estimate == pytest.approx(2.230481618, abs=1e-6)
    assert row.std_error == pytest.approx(0.024708609, abs=1e-6)


# --- Sun and Abraham ---------------------------------------------------------------


def test_sunab_on_mpdta(mpdta):
    result = on_mpdta(SunAbraham(share_variance=False), mpdta)
    row = rows(result, "att").iloc[0]
    # R's fixest: K = 12 + 5, shares taken as known
    assert row.estimate == pytest.approx(-0.03995128, abs=STORED_DIGITS)
    assert row.std_error == pytest.approx(0.01179628, abs=STORED_DIGITS)
    assert result.scalars["df_t"] == 499


def test_sunab_on_castle_doctrine(castle):
    row = rows(on_castle(SunAbraham(), castle), "att").iloc[0]
    # equal to Callaway and Sant'Anna's with never-treated controls
    assert row.estimate == pytest.approx(0.110383035, abs=1e-8)


# --- Wooldridge with a covariate ---------------------------------------------------

# Units' effects lie within clusters and cost nothing; R's effects of the four cohorts
# and their slopes do not: 31 of 2,500 instead of 23.
R_COUNTS = np.sqrt((2500 - 31) / (2500 - 23))


@pytest.fixture(scope="module")
def etwfe_lpop(mpdta) -> Result:
    return on_mpdta(Etwfe(), mpdta, controls=["lpop"])


def test_cells_with_a_covariate_are_those_of_the_etwfe_vignette(etwfe_lpop):
    """`etwfe(lemp ~ lpop, vcov = ~countyreal)`, printed to six decimals."""
    expected = {
        (2004, 2004): (-0.021248, 0.021728),
        (2004, 2005): (-0.081850, 0.027375),
        (2004, 2006): (-0.137870, 0.030795),
        (2004, 2007): (-0.109539, 0.032322),
        (2006, 2006): (0.002537, 0.018883),
        (2006, 2007): (-0.045093, 0.021987),
        (2007, 2007): (-0.045955, 0.017975),
    }
    cells = etwfe_lpop.frames["group_time"].set_index(["cohort", "period"])
    found = {k: (r.estimate, r.std_error) for k, r in cells.iterrows()}
    assert found.keys() == expected.keys()
    for key, (estimate, error) in expected.items():
        assert found[key][0] == pytest.approx(estimate, abs=5e-7)
        assert found[key][1] == pytest.approx(error * R_COUNTS, abs=5e-7)


def test_averages_with_a_covariate_are_those_of_the_package_s_tests(etwfe_lpop):
    att = rows(etwfe_lpop, "att").iloc[0]
    assert att.estimate == pytest.approx(-0.0506270331230485, abs=STORED_DIGITS)
    assert att.std_error == pytest.approx(
        0.0124997858367792 * R_COUNTS, abs=STORED_DIGITS
    )
    periods = rows(etwfe_lpop, "by_period").set_index("period").estimate
    expected = [-0.0212480022, -0.0818499993, -0.0442655913, -0.0524323096]
    assert list(periods) == pytest.approx(expected, abs=STORED_DIGITS)
