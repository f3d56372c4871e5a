"""Numbers that the README of R's contdid prints (version 0.1.0, July 2025).

Its data are `simulate_contdid_data(n = 5000, num_time_periods = 4, num_groups = 4)` after
`set.seed(1234)`: made again here by R's own generators (Mersenne Twister, inversion,
sampling by the walk through cumulated probabilities), to the last digit that it prints.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from estimators.continuous_did import ContinuousDid
from framework.contract import Request
from framework.result import Result
from tests.build_request import build_request

UNITS, PERIODS = 5000, 4
#: Half a unit of the last digit printed.
DIGITS = 5e-5


class R:
    """R's random numbers after `set.seed(seed)`."""

    def __init__(self, seed: int) -> None:
        state, word = [], seed
        for k in range(50 + 625):
            word = (69069 * word + 1) % 2**32
            if k >= 50:
                state.append(word)
        self.bits = np.random.MT19937()
        key = np.array(state[1:], dtype=np.uint32)
        self.bits.state = {
            "bit_generator": "MT19937",
            "state": {"key": key, "pos": 624},
        }

    def runif(self, n: int) -> np.ndarray:
        return self.bits.random_raw(n) * 2.3283064365386963e-10

    def rnorm(self, n: int) -> np.ndarray:
        first, second = self.runif(2 * n).reshape(n, 2).T
        return ndtri((np.floor(2**27 * first) + second) / 2**27)


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    """A dose without any effect, uniform, starting in period 2, 3, 4 or never."""
    r = R(1234)
    # `sample` walks through four probabilities of a quarter in the order in which its
    # heap sort leaves equal numbers.
    order = np.array([2, 3, 4, 0])
    start = order[np.minimum((4 * r.runif(UNITS)).astype(int), 3)]
    dose = r.runif(UNITS)
    level = r.rnorm(UNITS) + start
    untreated, treated = (
        np.column_stack([t + level + r.rnorm(UNITS) for t in range(1, PERIODS + 1)])
        for _ in range(2)
    )
    time = np.arange(1, PERIODS + 1)
    on = (start[:, None] > 0) & (time >= start[:, None])
    y = np.where(on, treated, untreated)
    return pd.DataFrame(
        {
            "id": np.repeat(np.arange(1, UNITS + 1), PERIODS),
            "time": np.tile(time, UNITS),
            "start": np.repeat(start, PERIODS),
            "D": np.repeat(dose, PERIODS),
            "dose": (on * dose[:, None]).ravel(),
            "y": y.ravel(),
        }
    )


@pytest.fixture(scope="module")
def request_(data: pd.DataFrame) -> Request:
    return build_request(
        data,
        outcome="y",
        treatment="dose",
        kind="dose",
        fixed_effects=["id", "time"],
        inference="cluster",
        clusters=["id"],
        unit="id",
        time="time",
        estimand=("att", "acrt", "by_event_time"),
    )


@pytest.fixture(scope="module")
def result(request_: Request) -> Result:
    """`num_knots = 1, degree = 3, control_group = "notyettreated"`."""
    return ContinuousDid(knots=1, degree=3, base_period="varying").estimate(request_)


def test_the_data_are_those_of_the_readme(data: pd.DataFrame) -> None:
    head = data.iloc[:6]
    assert head.start.tolist() == [2, 2, 2, 2, 4, 4]
    # eight digits are printed of the dose, seven behind the point of the outcome
    assert head.D.iloc[[0, 4]].tolist() == pytest.approx(
        [0.08593221, 0.17217781], abs=5e-9
    )
    printed = [0.3579583, 5.2354694, 3.2717079, 4.3988042, 5.9743351, 5.8463051]
    assert head.y.tolist() == pytest.approx(printed, abs=5e-8)


def test_overall_effect_and_overall_slope(result: Result) -> None:
    att, acrt = result.coefficients.estimate.iloc[:2]
    assert att == pytest.approx(-0.0265, abs=DIGITS)
    assert acrt == pytest.approx(0.1341, abs=DIGITS)
    # 0.0301 from a hundred draws of a bootstrap: a Monte Carlo error of 7% each
    error = result.coefficients.std_error.iloc[0]
    assert error == pytest.approx(0.0301, rel=3 / np.sqrt(2 * 100))


def test_slopes_by_event_time(result: Result) -> None:
    found = result.frames["event_study"].set_index("event_time").acrt
    printed = {-2: -0.0701, -1: -0.2212, 0: 0.1592, 1: 0.0551, 2: -0.5405}
    assert found.to_dict() == pytest.approx(printed, abs=DIGITS)


def test_effects_by_event_time_as_printed_take_the_dose_for_a_switch(
    data: pd.DataFrame, result: Result
) -> None:
    """contdid hands the dose to a doubly robust estimator of a 0/1 treatment.

    Units then count as treated by their dose D and as controls by 1 - D. The printed
    -0.0839 two periods after the start is that number, not a mean effect.
    """
    wide = data.pivot_table(index="id", columns="time", values="y")
    first = data.groupby("id")[["start", "D"]].first()
    dy = wide[4] - wide[1]
    own, never = first.start == 2, first.start == 0
    left = (dy - dy[never].mean())[own | never]
    D = first.D.where(own, 0.0)[own | never]
    printed = np.average(left, weights=D) - np.average(left, weights=1 - D)
    assert printed == pytest.approx(-0.0839, abs=DIGITS)
    events = result.coefficients.set_index("event_time").estimate
    assert events[2] == pytest.approx(left[D > 0].mean(), abs=1e-10)
