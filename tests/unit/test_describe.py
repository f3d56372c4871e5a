from __future__ import annotations

import numpy as np
import pytest

from estimators.describe import Describe
from framework.errors import DataError
from framework.result import COEFFICIENT_COLUMNS
from tests.build_panel import staggered
from tests.build_request import build_request


def test_table_is_pandas_own():
    data = staggered(unbalanced=0.1)
    request = build_request(
        data,
        outcome="y",
        treatment="d",
        controls=["x1", "x2"],
        unit="unit",
        time="time",
    )
    result = Describe().estimate(request)
    table = result.frames["describe"].set_index("variable")
    assert list(table.index) == ["y", "d", "x1", "x2"]
    assert list(table.columns) == [
        "n", "mean", "sd", "min", "p25", "median", "p75", "max",
    ]  # fmt: skip
    expected = data[["y", "d", "x1", "x2"]].describe().T
    assert table.to_numpy(float) == pytest.approx(expected.to_numpy(float))
    assert tuple(result.coefficients.columns) == COEFFICIENT_COLUMNS
    assert len(result.coefficients) == 0
    assert result.scalars["n_units"] == 40


def test_without_treatment_and_with_one_row():
    data = staggered().iloc[:1]
    request = build_request(data, outcome="y", treatment=None)
    table = Describe().estimate(request).frames["describe"]
    assert list(table.variable) == ["y"]
    assert np.isnan(table.sd[0])


def test_weights_count_copies():
    data = staggered()
    many = data.loc[data.index.repeat(data["w"].astype(int))]
    request = build_request(
        data, outcome="y", treatment="d", weights=("frequency", "w")
    )
    result = Describe().estimate(request)
    row = result.frames["describe"].iloc[0]
    assert row["n"] == len(many)
    assert row["mean"] == pytest.approx(many["y"].mean())
    assert row["sd"] == pytest.approx(many["y"].std())
    assert any("weighted" in n for n in result.notes)


def test_no_rows():
    request = build_request(staggered().iloc[:0], outcome="y", treatment="d")
    with pytest.raises(DataError, match="0 rows"):
        Describe().estimate(request)
