"""What a terminal or a log is told while a data step takes long."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from framework.commands import watching
from framework.commands.line import main
from framework.commands.watching import Bar
from tests.build_panel import staggered
from tests.real_command import patience


def test_a_quick_step_says_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watching._PATIENCE >= 1.0  # s, which a step of nothing may take, too
    monkeypatch.setattr(watching, "_PATIENCE", 600.0)
    with Bar().step("eff (sbm)"):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("terminal", [False, True])
def test_a_long_step_is_shown_while_it_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr(watching, "_PATIENCE", 0.05)
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    show, shown = watching._show_step, threading.Event()

    def told(name: str, clocks: list[Any]) -> None:
        show(name, clocks)
        shown.set()

    monkeypatch.setattr(watching, "_show_step", told)
    with Bar().step("eff (sbm)"):
        # What is read while a line is written may be lost.
        assert shown.wait(patience(60))
        began, during = time.monotonic(), ""
        while "data step eff (sbm)" not in during:  # another thread says it
            assert time.monotonic() - began < patience(20)
            time.sleep(0.01)
            during += capsys.readouterr().err
    after = capsys.readouterr().err
    assert re.search(r"data step eff \(sbm\): \d+\.\d s\n$", after)
    with Bar(quiet=True).step("eff (sbm)"):
        time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_a_step_that_fails_takes_its_clock_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_PATIENCE", 0.01)

    def fail() -> None:
        with Bar().step("eff (sbm)"):
            time.sleep(0.05)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert "data step eff (sbm): " in capsys.readouterr().err


def test_the_command_watches_the_steps_of_a_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame: pd.DataFrame = staggered(seed=3)
    frame.to_csv(tmp_path / "data.csv", index=False)
    data: dict[str, Any] = {
        "source": "data.csv",
        "panel": {"unit": "unit", "time": "time"},
        "steps": {"trim": {"winsorize": {"limits": [0, 1], "columns": ["y"]}}},
    }
    model = {"outcome": "y", "treatment": "d", "fixed_effects": ["unit", "time"]}
    text = {"study": "watched", "data": data}
    text["model"] = {**model, "inference": {"cluster": "unit"}, "estimator": "twfe"}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(text), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(watching, "_PATIENCE", -1.0)  # every step is long
    quick = ("executor=inline", "tracking=none", "report=quick")
    assert main(["run", str(path), *quick]) == 0
    assert "data step trim (winsorize): " in capsys.readouterr().err
