"""Goodman-Bacon decompositions printed in papers and notebooks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from estimators.goodman_bacon import GoodmanBacon
from framework.result import Result
from tests.build_request import build_request


def decompose(data: pd.DataFrame, **changes) -> Result:
    return GoodmanBacon().estimate(
        build_request(
            data,
            **(
                {
                    "kind": "absorbing",
                    "cohort": "first",
                    "fixed_effects": ["unit", "time"],
                    "unit": "unit",
                    "time": "time",
                }
                | changes
            ),
        )
    )


@pytest.fixture(scope="module")
def castle() -> pd.DataFrame:
    """50 states 2000-2010; `post`: years after the law's."""
    causaldata = pytest.importorskip("causaldata")
    data = causaldata.castle.load_pandas().data
    data = data[["sid", "year", "post", "l_homicide", "popwt"]].astype(float)
    first = data[data.post == 1].groupby("sid").year.min() - 1
    data = data.assign(unit=data.sid.astype(int), time=data.year.astype(int))
    data["law"] = data.sid.map(first).fillna(np.inf)
    return data.assign(y=data.l_homicide)


def on_castle(data: pd.DataFrame, delay: int = 0) -> Result:
    data = data.assign(first=data.law + delay)
    data["d"] = (data.time >= data["first"]).astype(float)
    return decompose(data, outcome="y", treatment="d")


def test_castle_doctrine_from_the_laws_year(castle):
    result = on_castle(castle)
    kinds = result.frames["kinds"].set_index("comparison")
    # bacondecomp's notebook prints eight decimals
    assert kinds.weight["treated vs never treated"] == pytest.approx(
        0.90833857, abs=1e-8
    )
    assert kinds.weight["earlier vs later treated"] == pytest.approx(
        0.05976325, abs=1e-8
    )
    assert kinds.weight["later vs earlier treated"] == pytest.approx(
        0.03189818, abs=1e-8
    )
    # computed by two programs on the package's own data, nine decimals
    assert kinds.estimate["treated vs never treated"] == pytest.approx(
        0.087962491, abs=1e-8
    )
    assert kinds.estimate["earlier vs later treated"] == pytest.approx(
        -0.005541979, abs=1e-8
    )
    assert kinds.estimate["later vs earlier treated"] == pytest.approx(
        0.070320634, abs=1e-8
    )
    assert result.scalars["two_way_estimate"] == pytest.approx(0.0818116169, abs=1e-9)
    frame = result.frames["comparisons"]
    assert len(frame) == 25
    row = frame[(frame.treated == "2006") & (frame.control == "never")].iloc[0]
    assert row.estimate == pytest.approx(0.06823587, abs=1e-8)
    assert row.weight == pytest.approx(0.5923947, abs=1e-7)


def test_castle_doctrine_after_the_laws_year(castle):
    result = on_castle(castle, delay=1)
    # Stata's bacondecomp prints 0.8988088336
    assert result.scalars["weight_treated_vs_never"] == pytest.approx(
        0.8988088336, abs=2e-9
    )
    assert result.scalars["two_way_estimate"] == pytest.approx(0.069398429, abs=1e-8)


def test_weights_of_a_design_alone():
    """286 cities 2015-2023, 7, 6 and 5 of them treated from 2019, 2020 and 2021."""
    first = np.repeat([2019.0, 2020.0, 2021.0, np.inf], [7, 6, 5, 268])
    data = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(286), 9),
            "time": np.tile(np.arange(2015, 2024), 286),
            "first": np.repeat(first, 9),
            "y": np.random.default_rng(0).normal(size=286 * 9),
        }
    )
    data["d"] = (data.time >= data["first"]).astype(float)
    scalars = decompose(data, outcome="y", treatment="d").scalars
    # the paper prints .006, .005 and .989; nine decimals from an independent program
    assert scalars["weight_earlier_vs_later"] == pytest.approx(0.006303629, abs=1e-9)
    assert scalars["weight_later_vs_earlier"] == pytest.approx(0.004933274, abs=1e-9)
    assert scalars["weight_treated_vs_never"] == pytest.approx(0.988763097, abs=1e-9)
