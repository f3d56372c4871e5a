"""Scores are solved once: a second study on the same inputs takes them from the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from estimators.steps import _programs
from framework import run
from framework.execute.inline import Inline

UNITS, YEARS = 14, range(2010, 2015)
STEPS: dict[str, Any] = {
    "recent": {"keep": "year >= 2010"},
    "eff": {
        "sbm": {
            "inputs": ["land", "labor"],
            "outputs": ["gdp"],
            "bad_outputs": ["so2"],
            "returns": "constant",
            "frontier": "yearly",
            "super_efficiency": True,
        }
    },
}
MODEL: dict[str, Any] = {
    "outcome": "eff",
    "treatment": "d",
    "fixed_effects": ["unit", "year"],
    "inference": {"cluster": "unit"},
    "acknowledge": ["few_treated"],
    "estimator": "twfe",
}


@pytest.fixture
def solved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a study, run it, and count the programs it solves."""
    rng = np.random.default_rng(4)
    unit = np.repeat(np.arange(UNITS), len(YEARS))
    year = np.tile(list(YEARS), UNITS)
    frame = pd.DataFrame({"unit": [f"u{u:02}" for u in unit], "year": year})
    frame["d"] = ((unit < UNITS // 2) & (year >= 2012)).astype(int)
    for column in ("land", "labor", "gdp", "so2", "x"):
        frame[column] = np.exp(rng.normal(0, 0.5, len(frame)))
    frame.to_csv(tmp_path / "data.csv", index=False)
    monkeypatch.chdir(tmp_path)
    counted: list[int] = []
    solve = _programs.solve

    def counting(programs: Any) -> Any:
        counted.append(len(programs))
        return solve(programs)

    monkeypatch.setattr(_programs, "solve", counting)

    def make(name: str, steps: dict[str, Any], **model: Any) -> tuple[int, Any]:
        text = {
            "study": name,
            "data": {
                "source": "data.csv",
                "panel": {"unit": "unit", "time": "year"},
                "steps": steps,
            },
            "model": {**MODEL, **model},
            "checks": {"main": {"both": {}, "early": {"sample.early": "year < 2014"}}},
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(text, sort_keys=False), encoding="utf-8")
        counted.clear()
        done = run(path, "executor=inline", track=False, report=False)
        return sum(counted), done.result("main.both")

    return make


def test_a_second_study_on_the_same_inputs_solves_nothing(
    solved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, first = solved("first", STEPS)
    rows = UNITS * len(YEARS)
    assert rows < programs < 2 * rows  # all of them, and the efficient ones again
    # Another study: other controls, other errors, a step of its own after the scores.
    after = {**STEPS, "level": {"log": {"columns": {"level": "x"}}}}
    programs, second = solved("second", after, controls=["level"], inference="hetero")
    assert programs == 0
    assert second.coefficients["estimate"][0] != first.coefficients["estimate"][0]
    # The same study again does not even look at the scores' programs.
    monkeypatch.setattr(Inline, "submit", lambda *_: pytest.fail("estimated again"))
    programs, again = solved("first", STEPS)
    assert programs == 0
    pd.testing.assert_frame_equal(again.coefficients, first.coefficients)


def test_other_inputs_or_options_are_solved_again(solved: Any) -> None:
    first, _ = solved("first", STEPS)
    for change in (
        {"recent": {"keep": "year >= 2011"}},
        {"eff": {"sbm": {**STEPS["eff"]["sbm"], "frontier": "pooled"}}},
    ):
        programs, _ = solved("other", {**STEPS, **change})
        assert programs > first / 2
