"""Paper 2's design: the stored panels are reproduced, and the page says what they show.

The whole of it is `make simulations` (`python -m bench.double_ml_simulation`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.double_ml_simulation import (
    FIRST,
    PAGE,
    ROWS,
    estimated,
    methods,
    panel,
    said,
    summary,
)


@pytest.fixture(scope="module")
def stored() -> pd.DataFrame:
    return pd.read_csv(ROWS, keep_default_na=False, na_values=["nan"])


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
    assert done == 5


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
