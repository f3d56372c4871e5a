"""Robust intervals against PyPI's honestdid, after the bounds have been compared.

honestdid takes minutes for relative magnitudes. Without the package
(it is no dependency) the times stored with the reference results stand in, which were
measured by `tests/reference/honest_did/make.py` on whatever machine made them.
"""

from __future__ import annotations

import csv
import importlib.util
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.figures import Figure, ratio
from estimators._math.honest import Path as Events
from estimators._math.honest import relative_magnitudes, smoothness

STORED = Path(__file__).parents[1] / "tests" / "reference" / "honest_did"
#: Bounds may differ by this, and by two steps of honestdid's grid.
SAME, STEPS = 1e-3, 2
REPETITIONS = 5


def measure() -> list[Figure]:
    """Ratios of seconds for the same values of M, 5 + 2 coefficients."""
    beta = np.loadtxt(STORED / "medicaid_beta.csv")
    sigma = np.loadtxt(STORED / "medicaid_sigma.csv", delimiter=",")
    events = Events(beta, sigma, 5, np.array([1.0, 0.0]))
    live = importlib.util.find_spec("honestdid") is not None
    stored = "" if live else " (stored time)"
    found = []
    for method, sizes in (("C-LF", (0.5, 1.0)), ("FLCI", (0.0, 0.01, 0.02, 0.05))):
        make = relative_magnitudes if method == "C-LF" else smoothness
        theirs = [
            _measured(method, M, events) if live else _stored(method, M) for M in sizes
        ]
        own = []
        for _ in range(REPETITIONS):
            start = time.perf_counter()
            ours = make(events, np.array(sizes), 0.05)
            own.append(time.perf_counter() - start)
        for one, other in zip(ours, theirs, strict=True):
            apart = max(abs(one.lower - other.lower), abs(one.upper - other.upper))
            if not apart < max(SAME, STEPS * other.step):
                raise RuntimeError(f"{method}: ours {one}, theirs {other}")
        seconds = sum(other.seconds for other in theirs)
        name = f"honest_did / honestdid{stored}, {method}"
        found.append(ratio(name, own, [seconds], 1 / 100))
    return found


@dataclass(frozen=True, slots=True)
class _Theirs:
    """Bounds, step of their grid, seconds."""

    lower: float
    upper: float
    step: float
    seconds: float


def _measured(method: str, M: float, events: Events) -> _Theirs:
    import honestdid  # type: ignore[import-not-found]  # no dependency of ours

    reach, points = 0.1, 400
    common = {
        "betahat": events.beta,
        "sigma": events.sigma,
        "numPrePeriods": events.before,
        "numPostPeriods": len(events.weights),
    }
    grid = {"gridPoints": points, "grid_lb": -reach, "grid_ub": reach}
    start = time.perf_counter()
    if method == "FLCI":
        table = honestdid.createSensitivityResults(
            **common, Mvec=np.array([M]), method="FLCI"
        )
    else:
        table = honestdid.createSensitivityResults_relativeMagnitudes(
            **common, Mbarvec=np.array([M]), **grid
        )
    seconds = time.perf_counter() - start
    low, high = float(table["lb"].iloc[0]), float(table["ub"].iloc[0])
    return _Theirs(
        low, high, 0.0 if method == "FLCI" else 2 * reach / (points - 1), seconds
    )


def _stored(method: str, M: float) -> _Theirs:
    with (STORED / "results.csv").open() as file:
        for row in csv.DictReader(file):
            key = (row["data"], row["target"], row["method"], float(row["M"]))
            if key == ("medicaid", "first", method, M):
                numbers = (float(row[c]) for c in ("lower", "upper", "grid", "seconds"))
                return _Theirs(*numbers)
    raise RuntimeError(f"no stored result for {method}, M = {M:g}")
