"""Goodman-Bacon against an independent program."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tests.unit.test_bacon import bacon, panel


def test_every_comparison_equals_diff_diff():
    diff_diff = pytest.importorskip("diff_diff", reason="diff-diff is not installed")
    # diff-diff has no always-treated comparison of its own name
    data = panel(4, cohorts={3: 4, 5: 2, 6: 5, np.inf: 6})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = diff_diff.BaconDecomposition(weights="exact").fit(
            data.assign(first=data["first"].replace(np.inf, 0)),
            outcome="y",
            unit="unit",
            time="time",
            first_treat="first",
        )
    expected = {
        (f"{c.treated_group:.0f}", _control(c)): (c.weight, c.estimate)
        for c in theirs.comparisons
    }
    found = bacon(data).frames["comparisons"]
    assert len(found) == len(expected)
    for row in found.itertuples():
        weight, estimate = expected[row.treated, row.control]
        # both are closed forms in double precision
        assert row.weight == pytest.approx(weight, abs=1e-12)
        assert row.estimate == pytest.approx(estimate, abs=1e-12)


def _control(comparison) -> str:
    never = comparison.comparison_type == "treated_vs_never"
    return "never" if never else f"{comparison.control_group:.0f}"
