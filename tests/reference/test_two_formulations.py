"""Envelopment and multipliers say the same; the whole run stands beside its script."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.reference.two_formulations import compared

STORED = Path(__file__).parent / "two_formulations.csv"
#: Both are vertices to rounding; the bound is what a reader was promised.
AGREE = 1e-8


def test_units_in_small() -> None:
    for row in compared(25, 3):
        assert row["missing_in_one"] == 0
        assert row["above_1"] > 10
        assert row["largest_difference"] < AGREE


def test_the_stored_run_is_of_286_cities_in_9_years() -> None:
    with STORED.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {(r["frontier"], r["returns"]) for r in rows} == {
        ("pooled", "constant"),
        ("yearly", "constant"),
        ("yearly", "variable"),
    }
    for row in rows:
        assert int(row["units"]) == 286 * 9
        assert int(row["missing_in_one"]) == 0
        assert float(row["largest_difference"]) < AGREE
