"""Robust intervals against PyPI's honestdid and the HonestDiD README."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from estimators._math.honest import (
    Path as Events,
)
from estimators._math.honest import (
    excludes_zero,
    original,
    relative_magnitudes,
    smoothness,
)

HERE = Path(__file__).parent / "honest_did"
RESULTS = pd.read_csv(HERE / "results.csv")
# honestdid looks for its shortest interval among 100 standard deviations
SEARCHED = 1e-3


def events(data: str, target: str) -> Events:
    if data == "medicaid":
        beta = np.loadtxt(HERE / "medicaid_beta.csv")
        sigma = np.loadtxt(HERE / "medicaid_sigma.csv", delimiter=",")
        before = 5
    else:
        folder = os.environ.get("ESTIMAND_REFERENCES")
        if not folder:
            pytest.skip("ESTIMAND_REFERENCES is not set: these estimates are not here")
        files = Path(folder) / "replications" / "data"
        beta = pd.read_csv(files / "honest_bc_beta.csv").to_numpy().ravel()
        sigma = pd.read_csv(files / "honest_bc_sigma.csv").to_numpy()
        before = 4
    after = len(beta) - before
    weights = np.eye(after)[0] if target == "first" else np.full(after, 1 / after)
    return Events(beta, sigma, before, weights)


@pytest.mark.parametrize("row", list(RESULTS.itertuples()), ids=str)
def test_intervals_are_those_of_honestdid(row: pd.Series) -> None:
    path = events(row.data, row.target)
    make = relative_magnitudes if row.method == "C-LF" else smoothness
    (found,) = make(path, np.array([row.M]), 0.05)
    # its ends are the last points of a grid that it accepts; its critical value is
    # simulated with 1,000 draws, which moves them by less than another step
    reach = 2 * row.grid if row.method == "C-LF" else SEARCHED
    assert abs(found.lower - row.lower) < reach
    assert abs(found.upper - row.upper) < reach
    assert reach <= 2e-3


# HonestDiD's README (Medicaid, effect of 2014), R: lb and ub as printed.
README_RM = {
    0.5: (0.0240, 0.0672),
    1.0: (0.0170, 0.0720),
    1.5: (0.00824, 0.0797),
    2.0: (-0.000916, 0.0881),
}
README_SD = {
    0.0: (0.0259, 0.0607),
    0.01: (0.0132, 0.0787),
    0.02: (0.00286, 0.0907),
    0.03: (-0.00714, 0.101),
    0.04: (-0.0171, 0.111),
    0.05: (-0.0271, 0.121),
}


def test_relative_magnitudes_are_those_of_the_readme() -> None:
    path = events("medicaid", "first")
    found = relative_magnitudes(path, np.array(list(README_RM)), 0.05)
    # R's grid: 1,000 points over 40 standard errors; ends lie inside by up to a step
    step = 40 * float(np.sqrt(path.load @ path.sigma @ path.load)) / 999
    for interval, printed in zip(found, README_RM.values(), strict=True):
        assert -5e-5 <= printed[0] - interval.lower < 1.2 * step
        assert -5e-5 <= interval.upper - printed[1] < 1.2 * step


def test_the_readme_s_breakdown_lies_between_its_values() -> None:
    path = events("medicaid", "first")
    assert excludes_zero(path, np.array([1.5, 2.0]), 0.05) == [True, False]


def test_smoothness_is_that_of_the_readme() -> None:
    found = smoothness(events("medicaid", "first"), np.array(list(README_SD)), 0.05)
    for interval, printed in zip(found, README_SD.values(), strict=True):
        # three digits printed, and the grid of standard deviations
        assert interval.lower == pytest.approx(printed[0], abs=1e-4)
        assert interval.upper == pytest.approx(printed[1], abs=5e-4)


def test_the_original_interval_of_benzarti_and_carloni() -> None:
    found = original(events("benzarti_carloni", "first"), 0.05)
    # the stored digits
    assert found.lower == pytest.approx(0.158775, abs=1e-6)
    assert found.upper == pytest.approx(0.233147, abs=1e-6)


@pytest.mark.parametrize(
    ("method", "M", "printed", "tolerance"),
    [
        # the tolerances of the stored references: a search over 100 points, a grid
        # with a step of .0038
        ("FLCI", 0.0, (0.131519, 0.216090), 0.002),
        ("FLCI", 0.1, (0.119374, 0.418578), 0.002),
        ("FLCI", 0.2, (0.019374, 0.518578), 0.002),
        ("FLCI", 0.3, (-0.080626, 0.618578), 0.002),
        ("C-LF", 0.5, (0.120130, 0.268862), 0.006),
        ("C-LF", 1.0, (0.066739, 0.318439), 0.006),
    ],
)
def test_robust_intervals_of_benzarti_and_carloni(
    method: str, M: float, printed: tuple[float, float], tolerance: float
) -> None:
    make = relative_magnitudes if method == "C-LF" else smoothness
    (found,) = make(events("benzarti_carloni", "first"), np.array([M]), 0.05)
    assert found.lower == pytest.approx(printed[0], abs=tolerance)
    assert found.upper == pytest.approx(printed[1], abs=tolerance)
