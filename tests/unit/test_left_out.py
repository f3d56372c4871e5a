"""One peer less at a time, and outcomes made anew in every resample."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from estimators.steps.directional import Directional
from estimators.steps.radial import Radial
from estimators.steps.sbm import Sbm
from estimators.steps.winsorize import Winsorize
from framework import run
from framework.errors import EstimandError, NumericalError
from framework.panel import Panel

CITIES, YEARS = 9, (2011, 2012, 2014)
WRITTEN: dict[str, Any] = {
    "inputs": ["land", "labor"],
    "outputs": ["gdp"],
    "bad_outputs": ["so2"],
    "returns": "constant",
    "frontier": "pooled",
    "super_efficiency": True,
}


@pytest.fixture
def panel() -> Panel:
    rng = np.random.default_rng(7)
    rows = CITIES * len(YEARS)
    size = np.exp(rng.normal(0, 1, rows))
    frame = pd.DataFrame(
        {
            "city": np.repeat([f"c{i}" for i in range(CITIES)], len(YEARS)),
            "year": np.tile(YEARS, CITIES),
            "region": np.repeat(["east", "west", "west"], rows // 3),
        }
    )
    for column in ("land", "labor", "gdp", "so2"):
        frame[column] = size * np.exp(rng.normal(0, 0.5, rows))
    return Panel(frame, "city", "year", key="k")


def left_out(panel: Panel, most: int | None = None, **options: Any) -> dict[str, Panel]:
    step = Sbm(**{**WRITTEN, **options})
    return dict(step.left_out(panel, "eff", frozenset(), most))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"frontier": "yearly"},
        {"frontier": "sequential", "super_efficiency": False},
        {"frontier": {"window": 2}},
        {"frontier": {"metafrontier": "region"}},
        {"returns": "variable", "orientation": "input"},
        {"twins": "same"},
        {"reference": "year < 2014"},
    ],
    ids=str,
)
def test_scores_without_a_peer_are_those_against_the_others(
    panel: Panel, options: dict[str, Any]
) -> None:
    """Few rows are solved again; the answer is that of solving all of them."""
    plain = Sbm(**{**WRITTEN, **options}).apply(panel, "eff", frozenset())
    before = plain.panel.frame
    found = left_out(panel, **options)
    assert found
    made = [c for c in before.columns if c.startswith("eff")]
    for city, less in found.items():
        written = options.get("reference")
        condition = f"city != {city}" + (f" and {written}" if written else "")
        step = Sbm(**{**WRITTEN, **options, "reference": condition})
        expected = step.apply(panel, "eff", frozenset()).panel.frame
        own = (before["city"] == city).to_numpy()
        for column in made:
            now = less.frame[column].to_numpy()
            # A score is proven to 1e-9; two proofs may start from different bases.
            np.testing.assert_allclose(now[~own], expected[column][~own], atol=2e-9)
            np.testing.assert_array_equal(now[own], before[column][own])
    # Whoever is nobody's peer moves nobody.
    peers = plain.frames["peers"]
    others = peers[peers["peer_city"] != peers["city"]]
    assert set(found) == set(others["peer_city"])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Radial, {"orientation": "input", "frontier": "yearly"}),
        (Radial, {"orientation": "output", "super_efficiency": True}),
        (Directional, {"bad_outputs": ["so2"], "frontier": {"window": 2}}),
        (Directional, {"frontier": {"metafrontier": "region"}}),
    ],
)
def test_distances_without_a_peer(
    panel: Panel, kind: Any, options: dict[str, Any]
) -> None:
    written = {"inputs": ["land"], "outputs": ["gdp"], "returns": "constant"}
    written |= {"frontier": "pooled", **options}
    before = kind(**written).apply(panel, "eff", frozenset()).panel.frame
    found = dict(kind(**written).left_out(panel, "eff", frozenset(), None))
    assert found
    for city, less in found.items():
        step = kind(**written, reference=f"city != {city}")
        expected = step.apply(panel, "eff", frozenset()).panel.frame
        own = (before["city"] == city).to_numpy()
        for column in [c for c in before.columns if c.startswith("eff")]:
            now = less.frame[column].to_numpy()
            # As above: proven to 1e-9 each.
            np.testing.assert_allclose(now[~own], expected[column][~own], atol=2e-9)
            np.testing.assert_array_equal(now[own], before[column][own])


def test_a_bootstrapped_score_is_not_left_out(panel: Panel) -> None:
    step = Radial(
        inputs="land",
        outputs="gdp",
        returns="constant",
        orientation="input",
        frontier="pooled",
        bootstrap=100,
    )
    with pytest.raises(EstimandError) as caught:
        step.left_out(panel, "eff", frozenset(), None)
    assert caught.value.problems[0].code == "X24"


def test_the_most_needed_come_first(panel: Panel) -> None:
    peers = Sbm(**WRITTEN).apply(panel, "eff", frozenset()).frames["peers"]
    others = peers[peers["peer_city"] != peers["city"]]
    rows = others.drop_duplicates(["city", "year", "peer_city"])
    counts = rows["peer_city"].value_counts()
    found = list(left_out(panel))
    assert [counts[c] for c in found] == sorted(counts, reverse=True)
    assert list(left_out(panel, most=2)) == found[:2]


def test_without_units_a_row_is_a_member() -> None:
    frame = pd.DataFrame({"x": [1.0, 1, 1], "y": [4.0, 2, 1]})
    step = Sbm(inputs="x", outputs="y", returns="constant", frontier="pooled")
    found = dict(step.left_out(Panel(frame), "e", frozenset(), None))
    assert list(found) == ["row 1"]
    # Inputs are saved, too: the non-oriented score of a row with half the output.
    np.testing.assert_allclose(found["row 1"].frame["e"], [1, 1, 0.5], rtol=1e-12)


def test_steps_of_rows_by_themselves_have_no_members(panel: Panel) -> None:
    step = Winsorize(limits=(0, 1), columns=["gdp"])
    assert step.left_out(panel, "w", frozenset(), None) is None


# ----------------------------------------------------------------- through the studies

UNITS, PERIODS, ONSET, TREATED = 20, range(2010, 2016), 2013, 5


@pytest.fixture
def frame() -> pd.DataFrame:
    """One input of 1: a score is output over the best. `u19` makes ten times as much."""
    rng = np.random.default_rng(2)
    unit = np.repeat(np.arange(UNITS), len(PERIODS))
    year = np.tile(list(PERIODS), UNITS)
    d = ((unit < TREATED) & (year >= ONSET)).astype(float)
    y = rng.uniform(0.4, 0.8, len(unit)) + 0.1 * d
    y[unit == 19] = 10.0
    names = [f"u{u:02}" for u in unit]
    return pd.DataFrame({"unit": names, "year": year, "d": d, "x": 1.0, "y": y})


def study(folder: Path, frame: pd.DataFrame, **checks: Any) -> Path:
    frame.to_csv(folder / "data.csv", index=False)
    step = {"inputs": "x", "outputs": "y", "returns": "constant", "frontier": "yearly"}
    text = {
        "study": "peers",
        "seed": 5,
        "data": {
            "source": "data.csv",
            "panel": {"unit": "unit", "time": "year"},
            "steps": {"eff": {"sbm": {**step, "orientation": "output"}}},
        },
        "model": {
            "outcome": "eff",
            "treatment": "d",
            "fixed_effects": ["unit", "year"],
            "inference": {"cluster": "unit"},
            "acknowledge": ["few_treated"],
            "estimator": "twfe",
        },
        "checks": {"a": {"both": {}, **checks}},
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(text, sort_keys=False), encoding="utf-8")
    return path


QUICK = ("executor=inline",)


def test_the_estimate_without_each_peer(
    tmp_path: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: all others are scored against the outlier; without it against their best."""
    monkeypatch.chdir(tmp_path)
    share = {"share": {"of": "positive", "at_least": 1}}
    line = {"draws": {"leave_out": "eff", "times": "every"}, "expect": share}
    few = {"draws": {"leave_out": "eff", "times": 7}, "expect": copy.deepcopy(share)}
    done = run(study(tmp_path, frame, peers=line, few=few), *QUICK, track=False)
    # There is one peer, however many were asked for; it is one draw, and it holds.
    for verdict in (v for found in done.verdicts().values() for v in found):
        assert verdict.status == "holds"
        assert "1 of 1 draws" in verdict.reason
    treated = frame["unit"].isin([f"u{k:02}" for k in range(TREATED)]).to_numpy()
    late = (frame["year"] >= ONSET).to_numpy()

    def did(score: np.ndarray) -> float:
        cells = [
            score[a & b].mean() for a in (treated, ~treated) for b in (late, ~late)
        ]
        return float((cells[0] - cells[1]) - (cells[2] - cells[3]))

    y, outlier = frame["y"].to_numpy(), (frame["unit"] == "u19").to_numpy()
    best = frame[~outlier].groupby("year")["y"].max()
    with_it = y / 10
    without = np.where(outlier, 1.0, y / frame["year"].map(best).to_numpy())
    result = done.result("a.peers")
    table = result.frames["left_out"]
    # A balanced design of one cohort: the regression is the four means.
    assert result.coefficients["estimate"][0] == pytest.approx(did(with_it), rel=1e-9)
    assert list(table["member"]) == ["u19"]
    assert table["estimate"][0] == pytest.approx(did(without), rel=1e-9)
    assert table["shift"][0] == pytest.approx(did(without) - did(with_it), rel=1e-9)
    assert table["outcomes_changed"][0] == (~outlier).sum()
    mean = without.mean() - with_it.mean()
    assert table["mean_change"][0] == pytest.approx(mean, rel=1e-9)
    assert result.scalars["n_left_out"] == 1
    assert result.scalars["left_out_low"] == result.scalars["left_out_high"]
    (note,) = [n for n in result.notes if "left out one at a time" in n]
    assert "u19" in note
    figures = {p.name for p in (done.folder / "figures").iterdir()}
    for form in ("png", "pdf"):
        assert f"a_peers_left_out.{form}" in figures
        for what in ("scores_heatmap", "scores_distribution", "slack_shares_heatmap"):
            assert f"data_eff_{what}.{form}" in figures
    printed = (done.folder / "tables" / "a_peers_left_out.md").read_text()
    assert f"u19 | {table['shift'][0]:.4f}"[:9] in printed
    # The third table of the report, and the figures of the data.
    page = (done.folder / "report.html").read_text()
    assert page.count("<figure>") >= 4
    manifest = json.loads((done.folder / "manifest.json").read_text())
    assert [p["frame"] for p in manifest["data"]["plots"]] == [
        "eff.scores",
        "eff.scores",
        "eff.slack_shares",
    ]


def test_what_can_not_be_left_out_is_said(tmp_path: Path, frame: pd.DataFrame) -> None:
    def problem(**line: Any) -> Any:
        path = study(tmp_path, frame, bad=line)
        with pytest.raises(EstimandError) as caught:
            run(path, *QUICK, track=False, report=False, only=("a.bad",))
        (found,) = caught.value.problems
        return found

    misspelt = problem(draws={"leave_out": "ef", "times": "every"})
    assert misspelt.code == "X22"
    assert "eff" in misspelt.fix
    winsorize = {"winsorize": {"limits": [0, 1], "columns": ["y"]}}
    alone = problem(
        **{"data.steps.trim": winsorize}, draws={"leave_out": "trim", "times": 3}
    )
    assert alone.code == "X24"
    assert "no members" in alone.what
    both = problem(draws={"leave_out": "eff", "resample": "unit", "times": 3})
    assert both.code == "X15"


def test_standard_errors_with_and_without_the_step(
    tmp_path: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same resamples twice: with the data steps redone, and not."""
    monkeypatch.chdir(tmp_path)
    again = {"resample": "unit", "times": 12, "rebuild": True}
    given = {"resample": "unit", "times": 12}
    frame = frame.assign(y=frame["y"].clip(upper=1.0))
    path = study(tmp_path, frame, rebuilt={"draws": again}, given={"draws": given})
    done = run(path, *QUICK, track=False, report=False)
    rebuilt, plain = (done.result(f"a.{k}") for k in ("rebuilt", "given"))
    draws = rebuilt.frames["draws"]
    np.testing.assert_array_equal(
        draws["estimate_as_given"], plain.frames["draws"]["estimate"]
    )
    as_given = rebuilt.scalars["std_error_as_given"]
    assert as_given == plain.scalars["std_error_resampled"]
    assert rebuilt.scalars["std_error_resampled"] == pytest.approx(
        draws["estimate"].std(ddof=1), rel=1e-12
    )
    # u19 is the frontier: a resample without it has another yardstick.
    assert not np.allclose(draws["estimate"], draws["estimate_as_given"])
    (note,) = [n for n in rebuilt.notes if "not redone" in n]
    assert f"{as_given:.6g}" in note
    table = done.table("a", 200)
    assert "Resampled standard error" in table
    assert "Resampled, data steps not redone" in table


def test_steps_that_read_a_second_file_are_redone_with_it(
    tmp_path: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column looked up in every draw is the column that stands in the data."""
    frame["land"] = 1.0 + frame["year"] % 3
    frame["rain"] = np.sqrt(frame["year"])
    second = frame[["year", "land", "rain"]].drop_duplicates()
    done = {}
    for name, data in (
        ("looked_up", frame.drop(columns=["land", "rain"])),
        ("beside", frame),
    ):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        second.to_csv(folder / "second.csv", index=False)
        path = study(
            folder,
            data,
            less={"draws": {"leave_out": "eff", "times": 3}},
            anew={"draws": {"resample": "unit", "times": 4, "rebuild": True}},
        )
        text = yaml.safe_load(path.read_text("utf-8"))
        text["data"]["steps"]["eff"]["sbm"]["inputs"] = ["x", "land"]
        text["model"]["controls"] = [{"log": "rain"}]
        if name == "looked_up":
            lookup = {"source": "second.csv", "on": "year"}
            text["data"]["steps"] = {
                "fields": {"merge": {**lookup, "columns": "land"}},
                **text["data"]["steps"],
                "weather": {"merge": {**lookup, "columns": "rain"}},
            }
        path.write_text(yaml.safe_dump(text, sort_keys=False), encoding="utf-8")
        done[name] = run(path, *QUICK, track=False, report=False)
    for line, frame_name in (("a.less", "left_out"), ("a.anew", "draws")):
        one, other = (d.result(line).frames[frame_name] for d in done.values())
        assert one["estimate"].notna().all()
        assert len(one)
        pd.testing.assert_frame_equal(one, other)


def test_names_that_a_resample_changes_are_not_looked_up(
    tmp_path: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frame.drop_duplicates("unit")[["unit"]].assign(area=1.0).to_csv(
        tmp_path / "second.csv", index=False
    )
    lookup = {"merge": {"source": "second.csv", "on": "unit", "columns": "area"}}
    again = {"resample": "unit", "times": 4, "rebuild": True}
    path = study(tmp_path, frame, bad={"draws": again, "data.steps.area": lookup})
    with pytest.raises(EstimandError) as caught:
        run(path, *QUICK, track=False, report=False, only=("a.bad",))
    (problem,) = caught.value.problems
    assert problem.code == "X24"
    assert "'area' reads 'unit'" in problem.what
    assert "data file" in problem.fix


def test_a_resample_that_could_not_be_made_anew_is_in_neither_error(
    tmp_path: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without redoing the steps it has a number, with nothing to be compared with."""
    from framework.data.prepare import apply_steps

    made: list[int] = []

    def fails_once(*args: Any) -> Any:
        made.append(len(made))
        if len(made) == 3:
            raise NumericalError("L01", "no solution")
        return apply_steps(*args)

    monkeypatch.setattr("framework.execute.draws.apply_steps", fails_once)
    again = {"resample": "unit", "times": 8, "rebuild": True}
    path = study(tmp_path, frame.assign(y=frame["y"].clip(upper=1)), a={"draws": again})
    done = run(path, *QUICK, track=False, report=False, only=("a.a",)).result("a.a")
    draws = done.frames["draws"]
    assert list(draws.index[draws["estimate"].isna()]) == [2]
    both = draws.dropna(subset=["estimate"])
    for name, column in (
        ("std_error_as_given", "estimate_as_given"),
        ("std_error_resampled", "estimate"),
    ):
        assert done.scalars[name] == pytest.approx(both[column].std(ddof=1), rel=1e-12)
    (note,) = [n for n in done.notes if "not redone" in n]
    assert "standard error from 7 resamples" in note
    assert any("1 draw gave no number" in n for n in done.notes)


def test_with_and_without_the_steps_the_same_units_are_drawn(
    tmp_path: Path, frame: pd.DataFrame
) -> None:
    """Also where a step leaves units out: what needs no peers comes out the same."""
    number = frame["unit"].str[1:].astype(int)
    path = study(
        tmp_path,
        frame.assign(odd=(number % 3 == 0).astype(int)),
        kept={
            "outcome": "y",
            "data.steps.few": {"keep": "odd = 0"},
            "draws": {"resample": "unit", "times": 6, "rebuild": True},
        },
    )
    done = run(path, *QUICK, track=False, report=False, only=("a.kept",))
    draws = done.result("a.kept").frames["draws"]
    # The rows stand in the same order, so even rounding is the same.
    np.testing.assert_array_equal(draws["estimate"], draws["estimate_as_given"])
    assert draws["estimate"].nunique() > 1


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ({"data.steps.few": {"keep": "unit != 'u03'"}}, "data.steps.few"),
        ({"sample.few": "unit not in ('u03', 'u04')"}, "model.sample.few"),
        ({"without": {"unit": "u03"}}, "model.sample.without_unit"),
    ],
)
def test_conditions_on_names_are_no_conditions_on_copies(
    tmp_path: Path, frame: pd.DataFrame, line: dict[str, Any], path: str
) -> None:
    draws = {"resample": "unit", "times": 3, "rebuild": True}
    written = study(tmp_path, frame, bad={**line, "draws": draws})
    with pytest.raises(EstimandError) as caught:
        run(written, *QUICK, track=False, report=False, only=("a.bad",))
    (found,) = caught.value.problems
    assert (found.code, found.path) == ("X24", path)
    assert "'unit'" in found.what
