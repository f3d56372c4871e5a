"""A policy that moves its own yardstick: the technologies, the table, known truths."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from estimators.steps.directional import Directional
from estimators.steps.order_alpha import OrderAlpha
from estimators.steps.order_m import OrderM
from estimators.steps.radial import Radial
from estimators.steps.sbm import Sbm
from framework import run
from framework.contract import StepOutput
from framework.data.changes import outcome_change
from framework.errors import EstimandError
from framework.panel import Panel
from framework.spec.model import TreatmentSpec

UNITS, YEARS, ONSET = 20, range(2010, 2016), 2013
TREATED = 5
WRITTEN: dict[str, Any] = {
    "inputs": "x",
    "outputs": "y",
    "returns": "constant",
    "orientation": "output",
    "frontier": "yearly",
}


@pytest.fixture
def frame() -> pd.DataFrame:
    """One input of 1: a score is output over the best output of the technology.

    Controls make 0.5 to 1 in every year. Treated units make 0.8, and twice that once
    they are treated: from then on they are the frontier of their year.
    """
    base = np.r_[np.full(TREATED, 0.8), np.linspace(0.5, 1.0, UNITS - TREATED)]
    unit = np.repeat(np.arange(UNITS), len(YEARS))
    year = np.tile(list(YEARS), UNITS)
    d = ((unit < TREATED) & (year >= ONSET)).astype(float)
    y = base[unit] * (1 + d)
    first = np.where(unit < TREATED, ONSET, 0)
    return pd.DataFrame(
        {"unit": [f"u{u:02}" for u in unit], "year": year}
        | {"d": d, "first": first, "x": 1.0, "y": y}
    )


@pytest.fixture
def panel(frame: pd.DataFrame) -> Panel:
    return Panel(frame, "unit", "year", key="k")


def scored(panel: Panel, **options: Any) -> StepOutput:
    return Radial(**{**WRITTEN, **options}).apply(panel, "eff", frozenset())


def values(panel: Panel, **options: Any) -> np.ndarray:
    return scored(panel, **options).panel.frame["eff"].to_numpy()


# ---------------------------------------------------------------- peers by treatment


@pytest.mark.parametrize(
    ("rows", "condition", "frontier"),
    [
        ("before", f"year < {ONSET}", "pooled"),
        ("untreated", "d = 0", "yearly"),
        ("never", "first = 0", "yearly"),
    ],
)
@pytest.mark.parametrize(
    "column", [{"treatment": "d"}, {"first_treated": "first", "never": 0}]
)
def test_peers_by_treatment_are_the_condition_spelt_out(
    panel: Panel, rows: str, condition: str, frontier: str, column: dict[str, Any]
) -> None:
    options = {"super_efficiency": True}
    found = scored(panel, reference={"rows": rows, **column}, **options)
    expected = values(panel, reference=condition, frontier=frontier, **options)
    np.testing.assert_array_equal(found.panel.frame["eff"], expected)
    words = {"before": "before", "untreated": "untreated", "never": "never-treated"}
    assert words[rows] in found.panel.ledger[-1].detail


def test_never_may_be_missing(panel: Panel) -> None:
    gone = panel.frame.assign(first=panel.frame["first"].replace(0, np.nan))
    by = {"rows": "never", "first_treated": "first", "never": "missing"}
    np.testing.assert_array_equal(
        values(Panel(gone, "unit", "year"), reference=by),
        values(panel, reference="first = 0"),
    )


def test_a_policy_that_moves_the_frontier_lowers_its_controls(panel: Panel) -> None:
    """By hand: the frontier goes from 1 to 1.6, and every control to 1/1.6 of itself."""
    control = panel.frame["first"].to_numpy() == 0
    late = panel.frame["year"].to_numpy() >= ONSET
    plain = values(panel)
    y = panel.frame["y"].to_numpy()
    np.testing.assert_allclose(plain[control & late], y[control & late] / 1.6)
    apart = values(
        panel, reference={"rows": "never", "treatment": "d"}, super_efficiency=True
    )
    np.testing.assert_allclose(apart[control & ~late], apart[control & late])


def test_bad_peers_are_refused(panel: Panel) -> None:
    for wrong in (
        {"rows": "never"},
        {"rows": "never", "treatment": "d", "first_treated": "first"},
        {"rows": "never", "treatment": "d", "never": 0},
        {"rows": "always", "treatment": "d"},
    ):
        with pytest.raises(ValidationError):
            Radial(**WRITTEN, reference=wrong)

    def code(panel: Panel, **reference: Any) -> str:
        with pytest.raises(EstimandError) as caught:
            scored(panel, reference=reference, frontier="pooled")
        (problem,) = caught.value.problems
        assert problem.fix
        return problem.code

    dose = Panel(panel.frame.assign(d=panel.frame["d"] * 2), "unit", "year")
    assert code(dose, rows="never", treatment="d") == "T02"
    assert code(panel, rows="never", treatment="dd") == "X01"
    everybody = Panel(panel.frame.assign(d=1.0), "unit", "year")
    assert code(everybody, rows="untreated", treatment="d") == "L03"
    loose = Panel(panel.frame, None, "year")
    assert code(loose, rows="never", treatment="d") == "P04"
    still = Panel(panel.frame, "unit", None)
    assert code(still, rows="before", treatment="d") == "P04"
    assert code(still, rows="never", first_treated="first") == "P04"


def test_the_treatment_is_a_column_the_step_reads() -> None:
    """So that a permutation of the treatment refuses or rebuilds it."""
    step = Radial(**WRITTEN, reference={"rows": "never", "treatment": "d"})
    assert step.reads("eff") == ("x", "y", "d")


def test_steps_name_the_technologies_that_fit() -> None:
    yearly, pooled = (
        Radial(**{**WRITTEN, "frontier": f}) for f in ("yearly", "pooled")
    )
    found = yearly.alternatives({"column": "d"})
    assert list(found) == ["before", "untreated", "never", "pooled"]
    assert found["never"] == {"reference": {"rows": "never", "treatment": "d"}}
    assert "pooled" not in pooled.alternatives({"column": "d"})
    timing = pooled.alternatives({"first_treated": "first", "never": 0})
    assert timing["before"]["reference"] == (
        {"rows": "before", "first_treated": "first", "never": 0}
    )
    for none in ({}, {"column": ["a", "b"]}):
        assert set(pooled.alternatives(none)) == set()
    sbm = Sbm(inputs="x", outputs="y", returns="constant", frontier="yearly")
    assert set(sbm.alternatives({"column": "d"})) == set(found)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Radial, {"orientation": "output", "returns": "constant"}),
        (Sbm, {"returns": "constant"}),
        (Directional, {"returns": "constant"}),
        (OrderM, {"orientation": "output", "m": 5}),
        (OrderAlpha, {"orientation": "output", "alpha": 0.9}),
    ],
)
def test_a_step_takes_what_it_names(
    panel: Panel, kind: Any, options: dict[str, Any]
) -> None:
    written = {"inputs": "x", "outputs": "y", "frontier": "yearly", **options}
    named = kind(**written).alternatives({"column": "d"})
    assert len(named) == 4
    for change in named.values():
        out = kind(**{**written, **change}).apply(panel, "eff", frozenset())
        assert out.panel.frame["eff"].notna().any()
    spelt = kind(**written, reference="first = 0").apply(panel, "eff", frozenset())
    never = kind(**written, **named["never"]).apply(panel, "eff", frozenset())
    np.testing.assert_array_equal(spelt.panel.frame["eff"], never.panel.frame["eff"])


# ------------------------------------------------------------------- outcomes compared


def test_outcome_change_is_counted_over_controls(panel: Panel) -> None:
    before = panel.frame
    y = before["y"].to_numpy().copy()
    control = before["first"].to_numpy() == 0
    at = np.flatnonzero(control)[:3]
    y[at] += [0.1, -0.2, 0.3]
    y[0] += 5.0  # a treated unit: nobody's control
    y[1] = np.nan
    shuffled = before.assign(y=y).sample(frac=1, random_state=0)
    now = Panel(shuffled.reset_index(drop=True), "unit", "year")
    found = outcome_change(now, panel, "y", TreatmentSpec(column="d"))
    assert found is not None
    rows = int(control.sum())
    assert (found.who, found.rows) == ("never-treated units", rows)
    assert found.changed == 3 / rows
    assert found.mean == pytest.approx(0.6 / rows, rel=1e-12)
    assert found.largest == pytest.approx(0.3, rel=1e-12)
    assert (found.lost, found.gained) == (1, 0)
    back = outcome_change(panel, now, "y", None)
    assert back is not None
    assert (back.who, back.lost, back.gained) == ("all rows", 0, 1)


def test_nothing_to_say_where_outcomes_are_the_same(panel: Panel) -> None:
    spec = TreatmentSpec(column="d")
    assert outcome_change(panel, panel, "y", spec) is None
    assert outcome_change(panel, panel, "unit", spec) is None
    assert outcome_change(panel, panel, ["y"], spec) is None
    assert outcome_change(replace(panel, unit=None), panel, "y", spec) is None


def test_controls_without_never_treated_units_are_untreated_rows(panel: Panel) -> None:
    late = panel.frame["year"] >= 2015
    everybody = panel.frame.assign(d=np.where(late, 1.0, panel.frame["d"]))
    before = Panel(everybody, "unit", "year")
    now = Panel(everybody.assign(y=everybody["y"] + 1), "unit", "year")
    found = outcome_change(now, before, "y", TreatmentSpec(column="d"))
    assert found is not None
    assert found.who == "untreated rows"
    assert found.rows == int((everybody["d"] == 0).sum())


# ------------------------------------------------------------------ a line of the study


def study(folder: Any, frame: pd.DataFrame, line: dict[str, Any], **more: Any) -> Any:
    frame.to_csv(folder / "data.csv", index=False)
    step = {"radial": {**WRITTEN, "super_efficiency": True}}
    text = {
        "study": "interference",
        "data": {
            "source": "data.csv",
            "panel": {"unit": "unit", "time": "year"},
            "steps": {"eff": step},
        },
        "model": {
            "outcome": "eff",
            "treatment": "d",
            "fixed_effects": ["unit", "year"],
            "inference": {"cluster": "unit"},
            "acknowledge": ["few_treated"],
            "estimator": "twfe",
        },
        "checks": {"baseline": {"both": {}}, "interference": {"eff": line}},
        **more,
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(text, sort_keys=False), encoding="utf-8")
    return path


def test_one_line_makes_the_table(
    tmp_path: Any, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every number of the table is known: output doubles, the frontier moves by 1.6."""
    rng = np.random.default_rng(1)  # or a regression without error has no errors
    noise = np.exp(rng.normal(0, 0.01, len(frame)))
    frame = frame.assign(y=frame["y"] * noise)
    monkeypatch.chdir(tmp_path)
    path = study(
        tmp_path,
        frame,
        {
            "each": {"data.steps.eff": "every"},
            "expect": {"equal": {"bound": 0.05, "against": "baseline.both"}},
        },
    )
    quick = ("executor=inline", "report=quick")
    done = run(path, *quick, track=False)
    addresses = [f"interference.eff.{n}" for n in ("before", "untreated", "never")]
    assert done.addresses == ("baseline.both", *addresses, "interference.eff.pooled")
    late = (frame["year"] >= ONSET).to_numpy()
    treated = (frame["first"] > 0).to_numpy()

    def did(score: np.ndarray) -> float:
        groups = [
            score[a & b].mean() for a in (treated, ~treated) for b in (late, ~late)
        ]
        return float((groups[0] - groups[1]) - (groups[2] - groups[3]))

    year = frame["year"].to_numpy()
    expected = {
        "baseline.both": lambda t: year == t,
        "interference.eff.before": lambda t: ~late,
        "interference.eff.untreated": lambda t: (year == t) & ~(treated & late),
        "interference.eff.never": lambda t: (year == t) & ~treated,
        "interference.eff.pooled": lambda t: year > 0,
    }
    scores = {}
    for address, technology in expected.items():
        own = [_best_other(frame, technology(t), k) for k, t in enumerate(year)]
        scores[address] = frame["y"].to_numpy() / np.array(own)
        found = done.result(address).coefficients["estimate"].iloc[0]
        # A balanced design of one cohort: the regression is the four means.
        assert found == pytest.approx(did(scores[address]), rel=1e-9)
    manifest = json.loads((done.folder / "manifest.json").read_text())
    columns = {c["address"]: c for c in manifest["columns"]}
    base, never = scores["baseline.both"], scores["interference.eff.never"]
    shift = columns["interference.eff.never"]["shift"]
    assert shift["against"] == "baseline.both"
    assert shift["difference"] == pytest.approx(did(never) - did(base), rel=1e-9)
    assert shift["std_error"] > 0
    told = shift["outcome"]
    gap = np.abs(never - base)[~treated]
    assert told["changed"] == np.mean(gap > 1e-9)
    assert told["mean"] == pytest.approx(gap.mean(), rel=1e-9)
    assert told["largest"] == pytest.approx(gap.max(), rel=1e-9)
    assert told["lost"] == told["gained"] == 0
    table = done.table("interference")
    for words in ("Compared with baseline: both", "Difference", "Outcomes lost"):
        assert words in table
    share = f"{100 * told['changed']:.1f}%"
    assert share in table
    verdicts = {a: v[0].status for a, v in done.verdicts().items()}
    assert verdicts["interference.eff.never"] == "fails"


def _best_other(frame: pd.DataFrame, rows: np.ndarray, k: int) -> float:
    """The largest output of a technology without row k, which is not its own peer."""
    others = rows.copy()
    others[k] = False
    return float(frame["y"].to_numpy()[others].max())


def test_scores_lost_are_counted(
    tmp_path: Any, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variable returns: nobody untreated gets by with less than an input of 1."""
    x = np.random.default_rng(2).uniform(1, 2, len(frame))
    x[(frame["d"] == 1) & (frame["unit"] == "u01")] = 0.5
    y = frame["y"] * np.sqrt(x)
    monkeypatch.chdir(tmp_path)
    path = study(
        tmp_path,
        frame.assign(x=x, y=y),
        {"each": {"data.steps.eff": "every"}, "expect": "same_sign"},
    )
    done = run(
        path,
        "data.steps.eff.returns=variable",
        "data.steps.eff.super_efficiency=false",
        "data.missing=drop",
        "executor=inline",
        track=False,
        report=False,
    )
    manifest = json.loads((done.folder / "manifest.json").read_text())
    (column,) = [c for c in manifest["columns"] if c["value"] == "never"]
    lost = column["shift"]["outcome"]["lost"]
    assert lost == sum(x < 1) == len(frame) - _used(column)
    assert "Outcomes lost" in done.table("interference")


def _used(column: dict[str, Any]) -> int:
    return int(column["ledger"][-1]["rows_out"])
