"""Triple differences: the results that the README of R's `triplediff` 0.1.0 prints.

Its data are simulated; `tests/build_triplediff.py` draws the same ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.triple_did import TripleDid
from framework.result import Result
from tests.build_eligible import request_with
from tests.build_triplediff import staggered, two_periods

COVARIATES = ["cov1", "cov2", "cov3", "cov4"]
#: Half a unit of the last of the four printed digits.
PRINTED = 0.5e-4
#: R's two-period and GMM errors divide by n - 1, those of other cells by n.
SAMPLE = np.sqrt(500 / 499)


def estimate(data: pd.DataFrame, **options: Any) -> Result:
    request = request_with(data, controls=COVARIATES, estimand=("by_event_time", "att"))
    return TripleDid(**options).estimate(request)


def test_the_data_are_those_of_the_readme():
    data = two_periods()
    assert data["y"].round(4).tolist()[:6] == [
        216.3097, 430.9374, 186.5831, 375.9393, 425.6606, 639.5013,
    ]  # fmt: skip
    # treated-and-eligible 131, ineligible 133; untreated 116 and 120
    sizes = data[data.time == 1].groupby(["first", "eligible"]).size()
    assert sizes.tolist() == [133, 131, 120, 116]
    data = staggered()
    assert data["y"].round(4).tolist()[:6] == [
        1371.1923, 1690.9157, 2034.5661, 934.0812, 1189.5495, 1444.1072,
    ]  # fmt: skip
    assert data[data.time == 1].groupby("first").size().tolist() == [195, 198, 107]


def test_two_periods_with_covariates():
    request = request_with(two_periods(), controls=COVARIATES)
    (row,) = TripleDid().estimate(request).coefficients.itertuples()
    assert row.estimate == pytest.approx(0.0439, abs=PRINTED)
    assert row.std_error * SAMPLE == pytest.approx(0.2626, abs=PRINTED)
    assert row.p_value == pytest.approx(0.8672, abs=1e-3)  # from the rounded error


def cells(result: Result) -> pd.DataFrame:
    return result.frames["group_time"].set_index(["cohort", "period"])


def test_group_time_effects_against_the_never_treated():
    found = cells(estimate(staggered(), control_group="never_treated"))
    for key, effect, error in (
        ((2, 2), 10.4901, 0.3613),
        ((2, 3), 20.5986, 0.3868),
        ((3, 1), -0.4593, 0.3660),
        ((3, 3), 24.5983, 0.3333),
    ):
        assert found.estimate[key] == pytest.approx(effect, abs=PRINTED)
        assert found.std_error[key] == pytest.approx(error, abs=PRINTED)


def test_the_event_study_and_its_mean():
    result = estimate(
        staggered(),
        control_group="never_treated",
        cohort_shares="groups",
        overall="by_event_time",
    )
    rows = result.coefficients
    printed = [(-2, -0.4593, 0.3660), (0, 17.5980, 0.4095), (1, 20.5986, 0.3868)]
    for row, (e, effect, error) in zip(rows.itertuples(), printed, strict=False):
        assert row.event_time == e
        assert row.estimate == pytest.approx(effect, abs=PRINTED)
        assert row.std_error == pytest.approx(error, abs=PRINTED)
    assert rows.estimate.iloc[-1] == pytest.approx(19.0983, abs=PRINTED)
    assert rows.std_error.iloc[-1] == pytest.approx(0.3213, abs=PRINTED)


def test_comparison_groups_combined_by_gmm():
    found = cells(estimate(staggered()))
    assert found.n_comparisons[2, 2] == 2
    assert found.estimate[2, 2] == pytest.approx(10.1894, abs=PRINTED)
    assert found.std_error[2, 2] * SAMPLE == pytest.approx(0.2759, abs=PRINTED)
    assert found.estimate[2, 3] == pytest.approx(20.5986, abs=PRINTED)
    assert found.estimate[3, 3] == pytest.approx(24.5983, abs=PRINTED)
