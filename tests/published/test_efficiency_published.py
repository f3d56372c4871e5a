"""Efficiency as a program's manual prints it: DEAP 2.1, example 4 (Coelli 1996)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from estimators.steps.malmquist import Malmquist
from estimators.steps.radial import Radial
from framework.panel import Panel

#: Output and input of five firms in three years.
FIRMS = pd.DataFrame(
    {
        "firm": [1, 2, 3, 4, 5] * 3,
        "year": np.repeat([1, 2, 3], 5),
        "y": [1.0, 2, 3, 4, 5, 1, 3, 4, 3, 5, 1, 3, 4, 3, 5],
        "x": [2.0, 4, 3, 5, 6, 2, 4, 3, 5, 5, 2, 4, 3, 5, 5],
    }
).sort_values(["firm", "year"], ignore_index=True)
#: Three printed digits.
DIGITS = 5.1e-4


def by_year(values: pd.Series, year: int) -> np.ndarray:
    return values[FIRMS["year"] == year].to_numpy()


@pytest.mark.parametrize(
    ("returns", "printed"),
    [
        (
            "constant",
            [[0.5, 0.5, 1, 0.8, 0.833], [0.375, 0.563, 1, 0.45, 0.75]],
        ),
        ("variable", [[1, 0.545, 1, 0.923, 1], [1, 0.667, 1, 0.6, 1]]),
    ],
)
def test_technical_efficiency(returns: str, printed: list[list[float]]) -> None:
    step = Radial(
        inputs="x",
        outputs="y",
        returns=returns,
        frontier="yearly",
        orientation="output",
    )
    out = step.apply(Panel(FIRMS, "firm", "year"), "s", frozenset())
    for year, expected in zip((1, 2), printed, strict=True):
        found = by_year(out.panel.frame["s"], year)
        np.testing.assert_allclose(found, expected, atol=DIGITS)


def test_malmquist_index_and_its_factors() -> None:
    step = Malmquist(
        inputs="x", outputs="y", returns="constant", frontier="adjacent", scale=True
    )
    out = step.apply(Panel(FIRMS, "firm", "year"), "m", frozenset())
    frame = out.panel.frame
    printed = {
        "m_efficiency": [0.75, 1.125, 1, 0.562, 0.9],
        "m_technical": [1.333] * 5,
        "m_pure": [1, 1.222, 1, 0.65, 1],
        "m_scale": [0.75, 0.920, 1, 0.865, 0.9],
        "m": [1, 1.5, 1.333, 0.75, 1.2],
    }
    for column, expected in printed.items():
        np.testing.assert_allclose(by_year(frame[column], 2), expected, atol=DIGITS)
        np.testing.assert_allclose(by_year(frame[column], 3), 1, rtol=1e-12)
    assert by_year(frame["m"], 1).tolist() == pytest.approx([np.nan] * 5, nan_ok=True)
    # Distances to the year after: DEAP's 0.375, 0.375, 0.750, 0.600, 0.625.
    later = 1 / (1 + by_year(out.frames["distances"]["next_frontier"], 1))
    np.testing.assert_allclose(later, [0.375, 0.375, 0.75, 0.6, 0.625], atol=DIGITS)
    with pytest.raises(ValidationError, match="scale"):
        Malmquist(
            inputs="x", outputs="y", returns="variable", frontier="global", scale=True
        )
