"""Coverage with few treated clusters: committed figures, and a small part of them anew."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.simulation import few_treated
from tests.simulation.few_treated import KINDS, REPLICATIONS, TREATED, intervals

#: Three Monte Carlo errors of a share of .95.
BAND = 3 * np.sqrt(0.95 * 0.05 / REPLICATIONS)


@pytest.fixture(scope="module")
def stored() -> pd.DataFrame:
    file = few_treated.__file__.replace(".py", ".csv")
    return pd.read_csv(file).set_index(["treated", "kind"])


def test_the_figures_are_those_of_the_design(stored: pd.DataFrame) -> None:
    assert set(stored.index) == {(t, k) for t in TREATED for k in KINDS}
    assert (stored.replications == REPLICATIONS).all()


@pytest.mark.parametrize("treated", TREATED)
def test_ferman_and_pinto_cover_however_few_are_treated(stored, treated) -> None:
    row = stored.loc[(treated, "FP")]
    assert row.coverage == pytest.approx(0.95, abs=BAND)
    assert row.refused == 0


def test_ten_treated_are_covered_by_all(stored: pd.DataFrame) -> None:
    ten = stored.loc[10].coverage
    np.testing.assert_allclose(ten, 0.95, atol=BAND)


def test_one_and_two_treated_fail_as_the_papers_say(stored: pd.DataFrame) -> None:
    two = stored.loc[2].coverage
    # MacKinnon and Webb (2017): WCR rejects too rarely, CV1 and WCU far too often
    assert two["WCR"] > 0.95
    assert two["CV1"] < 0.85
    assert two["WCU"] < 0.85
    assert two["CV1"] < two["CV3"]
    # one treated cluster: about a quarter; the jackknife has no interval
    assert stored.loc[(1, "CV1"), "coverage"] < 0.4
    assert stored.loc[(1, "CV3"), "refused"] == 1


def test_a_part_of_the_figures_anew(stored: pd.DataFrame) -> None:
    few = 6
    found = intervals(2, few)
    for kind in KINDS:
        expected = stored.loc[(2, kind)].coverage
        # four binomial errors of so few replications
        error = np.sqrt(max(expected * (1 - expected), 0.02) / few)
        assert found[kind].mean() == pytest.approx(expected, abs=4 * error)
