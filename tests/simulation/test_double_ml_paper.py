"""Paper 2's design: the stored panels are reproduced, and the page says what they show.

The whole of it is `make simulations` (`python -m bench.double_ml_simulation`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bench.double_ml_simulation as simulation
from bench.double_ml_simulation import (
    COLUMNS,
    FIRST,
    INFORMED,
    KNOWN,
    PAGE,
    estimated,
    methods,
    panel,
    read,
    run,
    said,
    summary,
)


@pytest.fixture(scope="module")
def stored() -> pd.DataFrame:
    return read()


def test_the_first_panel_gives_the_stored_numbers(stored: pd.DataFrame) -> None:
    frame, truth = panel(FIRST)
    rows = stored[stored["seed"] == FIRST].set_index(["method", "learner"])
    done = 0
    for method, learner, estimator, made in methods(frame, FIRST):
        if learner not in {"", "linear"} or method == "DID":
            continue  # the others take minutes
        estimate, error = estimated(estimator, made)
        row = rows.loc[(method, learner)]
        # Eight digits are stored; least squares rounds in the last of sixteen.
        assert row["truth"] == pytest.approx(truth, rel=1e-7)
        assert row["estimate"] == pytest.approx(estimate, rel=1e-6)
        assert row["std_error"] == pytest.approx(error, rel=1e-6)
        done += 1
    assert done == 6


def test_the_page_says_what_the_panels_show(stored: pd.DataFrame) -> None:
    page = PAGE.read_text(encoding="utf-8")
    for line in said(summary(stored)):
        assert line in page, line


def test_regressions_that_miss_the_curve_are_biased(stored: pd.DataFrame) -> None:
    """The design does what it is for: least squares is off by a third and more."""
    found = summary(stored).set_index(["method", "learner"])
    for method, learner in (("TWFE", ""), ("PLR, within", "linear")):
        row = found.loc[(method, learner)]
        error = row["spread"] / np.sqrt(row["panels"])
        assert row["bias"] > 0.1 + 4 * error


def test_the_final_stage_is_right_where_the_curve_is_known(
    stored: pd.DataFrame,
) -> None:
    """What biases the others is the curve, neither the design nor the method."""
    found = summary(stored).set_index(["method", "learner"])
    for method, (_, learner, _) in INFORMED.items():
        if method == "PLR, year a control":
            continue  # trees find most of the curve, and the page says how much
        row = found.loc[(method, learner)]
        error = row["spread"] / np.sqrt(row["panels"])
        assert abs(row["bias"]) < 4 * error, method
        assert row["errors"] == pytest.approx(row["bias"] / error)
        # Below a sixth of what least squares is off by, chance aside.
        assert abs(row["bias"]) < 0.05 + 2 * error, method


def test_intervals_cover_where_the_curve_is_known(stored: pd.DataFrame) -> None:
    found = summary(stored).set_index(["method", "learner"])
    row = found.loc[(KNOWN, INFORMED[KNOWN][1])]
    # From a thousand panels on coverage is known to 0.7 points, and is gated.
    assert row["panels"] >= 1_000
    assert abs(row["coverage"] - 0.95) <= 0.025


def test_a_new_method_is_added_to_the_panels_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, done = tmp_path / "rows.csv", list[tuple[str, str]]()
    cells = [("OLS, years", ""), ("DID", "linear")]

    def estimated_(estimator: tuple[str, str], made: None) -> tuple[float, float]:
        del made
        done.append(estimator)
        return 1.0, np.nan  # refused, and there all the same

    monkeypatch.setattr(simulation, "panel", lambda seed: (None, 0.05))
    monkeypatch.setattr(simulation, "estimated", estimated_)
    monkeypatch.setattr(
        simulation, "methods", lambda frame, seed: [(*c, c, None) for c in cells]
    )
    run(1, 3, path)
    assert done == cells * 2
    before = path.read_bytes()
    run(1, 3, path)
    assert done == cells * 2
    assert path.read_bytes() == before
    cells.append(("DID", "forest"))
    run(1, 4, path)
    assert done[4:] == [cells[2], cells[2], *cells]
    rows = read(path)
    assert tuple(rows.columns) == COLUMNS
    assert not rows.duplicated(["seed", "method", "learner"]).any()
    assert len(rows) == 9
