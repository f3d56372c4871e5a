"""Interactive effects and matrix completion against a port of R's fect (stored)."""

from __future__ import annotations

import ast
import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from estimators._math.low_rank import Completed, complete, largest
from estimators._math.two_way_fit import fit
from estimators.interactive_fe import InteractiveFe
from estimators.matrix_completion import MatrixCompletion
from tests.build_cohorts import request_of

STORED = Path(__file__).with_name("fect")
ROWS = list(csv.DictReader((STORED / "results.csv").open(encoding="utf-8")))
#: Both iterate; theirs ends at a relative change of 1e-13, ours at 1e-10 of a residual.
SAME = 1e-7


def panel() -> pd.DataFrame:
    """The panel of the stored script, whose other imports are not here."""
    source = (STORED / "make.py").read_text(encoding="utf-8")
    (made,) = (
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name == "panel"
    )
    space = {"np": np, "pd": pd}
    exec(compile(ast.Module([made], []), "make.py", "exec"), space)
    return space["panel"]()


def arrays(data: pd.DataFrame, controls: list[str]):
    N, T = data.unit.nunique(), data.time.nunique()
    grid = {c: data[c].to_numpy().reshape(N, T) for c in ("y", "x", "d")}
    X = np.stack([grid[c] for c in controls]) if controls else np.empty((0, N, T))
    untreated = grid["d"] == 0
    first = fit(grid["y"], untreated.astype(float), X)
    start = Completed(first.predict(), first.beta, np.zeros((N, T)), 0)
    return grid["y"], untreated, X, start


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r['method']}-{r['value']}")
def test_att_and_coefficients(row) -> None:
    controls = ["x"][: int(row["controls"])]
    Y, untreated, X, start = arrays(panel(), controls)
    value = float(row["value"])
    if row["method"] == "ife":
        found = complete(Y, untreated, X, start, rank=int(value))
    else:
        found = complete(Y, untreated, X, start, penalty=value * Y.size)
    left = Y - found.fitted - sum(b * x for b, x in zip(found.beta, X, strict=True))
    assert left[~untreated].mean() == pytest.approx(float(row["att"]), abs=SAME)
    if controls:
        assert found.beta[0] == pytest.approx(float(row["beta"]), abs=SAME)


@pytest.mark.parametrize("method", ["ife", "mc"])
def test_the_estimators_report_it(method: str) -> None:
    data = panel()
    (row,) = (
        r
        for r in ROWS
        if (r["method"], r["controls"]) == (method, "0")
        and float(r["value"]) in {2.0, 0.004}
    )
    value = float(row["value"])
    plugin = InteractiveFe(factors=2, pretrends=1)
    if method == "mc":
        Y, untreated, _, start = arrays(data, [])
        top = largest(np.where(untreated, Y - start.fitted, 0.0))
        plugin = MatrixCompletion(penalty=value * Y.size / top, pretrends=1)
    found = plugin.estimate(request_of(data)).coefficients.estimate[0]
    assert found == pytest.approx(float(row["att"]), abs=SAME)


def test_two_factors_are_found_to_be_two() -> None:
    found = InteractiveFe(pretrends=2).estimate(request_of(panel()))
    assert found.scalars["n_factors"] == 2
    tuning = found.frames["tuning"]
    assert tuning.n_factors[tuning.chosen].tolist() == [2]
    # The truth is two; the errors of two-way effects are biased by the factors.
    row = found.coefficients.iloc[0]
    assert abs(row.estimate - 2.0) < 3 * row.std_error
