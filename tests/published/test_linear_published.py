"""Numbers printed in papers and manuals, from data of installed packages or stored."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.event_study import EventStudy
from estimators.ols import Ols
from estimators.twfe import Twfe
from framework.result import Result
from tests.build_request import build_request

STORED = os.environ.get("ESTIMAND_REFERENCES", "")
stored = pytest.mark.skipif(not STORED, reason="ESTIMAND_REFERENCES is not set")


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(Path(STORED) / "replications" / "data" / name)


@pytest.fixture(scope="module")
def castle() -> pd.DataFrame:
    """50 states 2000-2010; `post`: years after the law's, `law`: from it on."""
    causaldata = pytest.importorskip("causaldata")
    data = causaldata.castle.load_pandas().data
    names = ["sid", "year", "post", "l_homicide", "popwt", "l_income", "l_prisoner"]
    names = [n for n in names if n in data]
    data = data[names].astype(float).astype({"sid": int, "year": int})
    first = data[data.post == 1].groupby("sid").year.min() - 1
    data["first"] = data.sid.map(first).fillna(np.inf)
    return data.assign(law=(data.year >= data["first"]).astype(float))


def on_castle(data: pd.DataFrame, **changes: Any) -> Result:
    plain: dict[str, Any] = {
        "outcome": "l_homicide",
        "treatment": "law",
        "kind": "absorbing",
        "cohort": "first",
        "fixed_effects": ["sid", "year"],
        "inference": "cluster",
        "clusters": ["sid"],
        "unit": "sid",
        "time": "year",
    }
    return Twfe().estimate(build_request(data, **(plain | changes)))


def test_castle_from_the_laws_year(castle):
    row = on_castle(castle).coefficients.iloc[0]
    # Goodman-Bacon's bacondecomp notebook prints 0.0818116169306471, from data whose
    # floats differ in the tenth digit
    assert row.estimate == pytest.approx(0.0818116169, abs=1e-9)
    assert row.std_error == pytest.approx(0.0588742181, abs=1e-9)
    assert (row.estimand, row.term) == ("att", "law")


def test_castle_after_the_laws_year(castle):
    row = on_castle(castle, treatment="post", cohort=None).coefficients.iloc[0]
    # Cunningham, Mixtape, castle_1.do in Stata: printed to nine digits
    assert row.estimate == pytest.approx(0.069398429, abs=1e-8)
    assert row.std_error == pytest.approx(0.055859635, abs=1e-8)


@pytest.mark.parametrize("kind", ["analytic", "probability"])
def test_castle_weighted_by_population(castle, kind):
    result = on_castle(castle, treatment="post", cohort=None, weights=(kind, "popwt"))
    row = result.coefficients.iloc[0]
    assert row.estimate == pytest.approx(0.075533239, abs=1e-8)
    assert row.std_error == pytest.approx(0.033193607, abs=1e-8)


def test_castle_with_state_trends_runs(castle):
    result = on_castle(castle, slopes=[("year", "sid")])
    row = result.coefficients.iloc[0]
    # K = the law and 11 years: state effects and trends are nested in the clusters
    assert result.scalars["df_model"] == 12
    assert 0 < row.std_error < 0.1


@stored
@pytest.mark.parametrize(
    ("inference", "clusters", "two_way", "error"),
    [
        ("iid", [], "min", 0.028583288),
        ("hetero", [], "min", 0.028395161),
        ("cluster", ["firm"], "min", 0.050595726),
        ("cluster", ["year"], "min", 0.033388913),
        ("cluster", ["firm", "year"], "min", 0.055297391),
        ("cluster", ["firm", "year"], "conventional", 0.053558023),
    ],
)
def test_petersen(inference, clusters, two_way, error):
    request = build_request(
        read("petersen_cl.csv"),
        outcome="y",
        treatment="x",
        inference=inference,
        clusters=clusters,
        unit="firm",
        time="year",
    )
    plugin = Ols.model_validate({"small_sample": {"two_way": two_way}})
    row = plugin.estimate(request).coefficients.iloc[0]
    # stored to nine digits; Petersen's page prints four
    assert row.estimate == pytest.approx(1.034833439, abs=1e-8)
    assert row.std_error == pytest.approx(error, abs=1e-8)


@stored
def test_fixest_walkthrough_event_study():
    data = read("base_did.csv")
    data["first"] = np.where(data.treat == 1, 6.0, np.inf)
    data["on"] = (data.treat * data.post).astype(float)
    request = build_request(
        data,
        outcome="y",
        treatment="on",
        kind="absorbing",
        cohort="first",
        controls=["x1"],
        fixed_effects=["id", "period"],
        inference="cluster",
        clusters=["id"],
        unit="id",
        time="period",
    )
    result = EventStudy().estimate(request)
    rows = result.coefficients.set_index("event_time")
    printed = {
        -4: (-1.247511, 1.093145),
        -3: (-0.273206, 1.106935),
        -2: (-1.795721, 1.087974),
        0: (0.784452, 1.028388),
        1: (3.598897, 1.101563),
        2: (3.811766, 1.247502),
        3: (4.731426, 1.097113),
        4: (6.606229, 1.120494),
    }
    for k, (estimate, error) in printed.items():
        # rounding of the six printed decimals
        assert rows.estimate[k] == pytest.approx(estimate, abs=1e-6)
        assert rows.std_error[k] == pytest.approx(error, abs=1e-6)


@stored
@pytest.mark.parametrize(
    ("controls", "estimate", "error"),
    [
        ([], -11863.90, 7456.65),
        (["age", "agesq"], -21920.27, 6359.75),
        (
            ["age", "agesq", "intst", "land", "area", "rooms", "baths"],
            -14177.93,
            4987.27,
        ),
    ],
)
def test_wooldridge_incinerator(controls, estimate, error):
    data = read("kielmc.csv").assign(both=lambda f: f.y81 * f.nearinc)
    request = build_request(
        data,
        outcome="rprice",
        treatment="both",
        kind="cross_section",
        controls=["nearinc", "y81", *controls],
        inference="iid",
        time="y81",
    )
    row = Ols().estimate(request).coefficients.iloc[0]
    # Wooldridge, Table 13.2: two printed decimals
    assert row.estimate == pytest.approx(estimate, abs=0.006)
    assert row.std_error == pytest.approx(error, abs=0.006)


@stored
def test_wooldridge_job_training_with_firm_effects():
    data = read("jtrain.csv").dropna(
        subset=["lscrap", "d88", "d89", "grant", "grant_1"]
    )
    request = build_request(
        data,
        outcome="lscrap",
        treatment=["grant", "grant_1"],
        kind="dose",
        controls=["d88", "d89"],
        fixed_effects=["fcode"],
        inference="iid",
        unit="fcode",
        time="year",
    )
    result = Twfe().estimate(request)
    rows = result.coefficients.set_index("term")
    assert result.scalars["n_obs"] == 162
    # Table 14.1 prints three decimals; stored values are R's
    assert rows.estimate["grant"] == pytest.approx(-0.252314874, abs=1e-6)
    assert rows.std_error["grant"] == pytest.approx(0.150628994, abs=1e-6)
    assert rows.estimate["grant_1"] == pytest.approx(-0.421589509, abs=1e-6)
    assert rows.std_error["grant_1"] == pytest.approx(0.210199964, abs=1e-6)
    assert [t.name for t in result.tests] == ["joint_treatment"]
