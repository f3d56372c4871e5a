"""Kinds ssm and qte: known truths, invariances, refusals, and the way from a study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.double_ml import DoubleMl
from framework import run
from framework.errors import EstimandError
from framework.result import Result
from tests.build_double import EFFECT, panel_request, request, rows
from tests.reference.test_double_ml_kinds import attrition

FAST: dict[str, Any] = {"learner": "linear", "folds": 3, "repetitions": 1}


def estimated(made: Any, **options: Any) -> Result:
    return DoubleMl(**(FAST | options)).estimate(made)


def selected(n: int, seed: int) -> pd.DataFrame:
    """Seen more often if treated and if x1 is high; x1 raises the outcome."""
    rng = np.random.default_rng(seed)
    x1, x2 = rng.normal(size=(2, n))
    b = (0.5 * x1 + rng.logistic(size=n) > 0).astype(float)
    y = EFFECT * b * (1 + x2) + x1 + 0.5 * rng.normal(size=n)
    seen = 0.5 + 1.5 * x1 * (2 * b - 1) + rng.logistic(size=n) > 0
    return pd.DataFrame({"yb": np.where(seen, y, np.nan), "b": b, "x1": x1, "x2": x2})


def test_attrition_that_controls_explain_leaves_the_effect() -> None:
    """Effects grow with x2, so that who is seen changes who is averaged over."""
    data = selected(8_000, 1)
    data["yb"] = data["yb"].where((data["x2"] < 0) | (data["x1"] > -0.5))
    made = request("irm", data, controls=("x1", "x2"))
    row = estimated(made, kind="ssm", folds=5).coefficients.iloc[0]
    # The one draw is within three standard errors of the truth.
    assert abs(row["estimate"] - EFFECT) < 3 * row["std_error"]
    kept = request("irm", data.dropna(), controls=("x1", "x2"))
    naive = estimated(kept, kind="irm", folds=5).coefficients.iloc[0]
    # Those seen have lower x2: their average effect is another one.
    assert naive["estimate"] < EFFECT - 3 * naive["std_error"]


def test_effects_on_quantiles_of_a_spread_that_grows() -> None:
    """Y(1) = 2 Y(0) with Y(0) normal: the effect at a quantile is that quantile."""
    rng = np.random.default_rng(3)
    n = 6_000
    x1, e = rng.normal(size=(2, n))
    b = (0.5 * x1 + rng.logistic(size=n) > 0).astype(float)
    data = pd.DataFrame({"yb": (1 + b) * (x1 + e), "b": b, "x1": x1})
    made = request("irm", data, controls=("x1",))
    truth = {0.25: -0.6745, 0.5: 0.0, 0.75: 0.6745}
    table = estimated(made, kind="qte", folds=5).coefficients
    for row in table.itertuples():
        wanted = truth[row.quantile] * np.sqrt(2)
        # The one draw is within three standard errors of the truth.
        assert abs(row.estimate - wanted) < 3 * row.std_error
    tail = estimated(
        made, kind="qte", quantity="cvar", quantiles=(0.75,), folds=5
    ).coefficients.iloc[0]
    # Mean of a standard normal beyond its upper quarter: density over share.
    beyond = np.sqrt(2) * 0.31778 / 0.25
    assert abs(tail["estimate"] - beyond) < 3 * tail["std_error"]


@pytest.mark.parametrize("kind", ["ssm", "qte"])
def test_the_order_of_rows_moves_no_bit(kind: str) -> None:
    data = attrition() if kind == "ssm" else rows(1_200)
    made = request("irm", data)
    order = np.random.default_rng(4).permutation(len(data))
    shuffled = request("irm", data.iloc[order])
    one = estimated(made, kind=kind).coefficients
    two = estimated(shuffled, kind=kind).coefficients
    pd.testing.assert_frame_equal(one, two, check_exact=True)


@pytest.mark.parametrize("kind", ["ssm", "qte"])
def test_units_of_the_outcome_scale_the_effect(kind: str) -> None:
    data = attrition() if kind == "ssm" else rows(1_200)
    one = estimated(request("irm", data), kind=kind).coefficients
    two = estimated(
        request("irm", data.assign(yb=1_000 * data["yb"])), kind=kind
    ).coefficients
    for column in ("estimate", "std_error"):
        # Roots of steps are found to 1e-12 of the outcome's range.
        np.testing.assert_allclose(two[column], 1_000 * one[column], rtol=1e-8)


def test_quantiles_are_tested_for_equality() -> None:
    (test,) = estimated(request("irm", rows(1_200)), kind="qte").tests
    assert test.null == "the effect is the same at all quantiles"
    assert test.p_value is not None
    assert test.p_value > 0.01  # it is the same


def test_what_the_kinds_cannot_do_is_refused() -> None:
    with pytest.raises(EstimandError, match="seen in every row"):
        estimated(request("irm"), kind="ssm")
    with pytest.raises(EstimandError, match="has no transform within"):
        estimated(panel_request(), kind="ssm", transform="within")
    with pytest.raises(EstimandError, match="needs a 0/1 treatment"):
        estimated(request("plr"), kind="qte")
    with pytest.raises(EstimandError, match="nearer to the median"):
        estimated(request("irm"), kind="qte", quantiles=(0.01,))
    data = rows(1_500).assign(w=lambda held: 1 - held["w"])
    with pytest.raises(EstimandError, match="share of compliers -"):
        estimated(request("iivm", data), kind="qte", quantity="lpq")
    with pytest.raises(EstimandError, match="observed in no row"):
        estimated(request("irm", attrition().assign(yb=np.nan)), kind="ssm")
    few = attrition()
    few["yb"] = few["yb"].where((few["b"] == 0) | (few.index < 20))
    with pytest.raises(EstimandError, match="it is seen where fold"):
        estimated(request("irm", few), kind="ssm")


def test_an_outcome_in_steps_is_said_to_have_no_density() -> None:
    data = rows(1_200)
    result = estimated(request("irm", data), kind="qte")
    assert not any("presumes a density" in note for note in result.notes)
    stepped = estimated(request("irm", data.assign(yb=data["yb"].round())), kind="qte")
    assert any("presumes a density" in note for note in stepped.notes)


@pytest.mark.parametrize("quantity", ["pq", "cvar"])
def test_clusters_of_one_row_are_no_clusters(quantity: str) -> None:
    data = rows(1_200)
    alone = estimated(
        request("irm", data.assign(g=np.arange(1_200)), clusters=("g",)),
        kind="qte",
        quantity=quantity,
    )
    plain = estimated(request("irm", data), kind="qte", quantity=quantity)
    # Other names, other folds: the same size of error, not the same number.
    ratio = alone.coefficients["std_error"] / plain.coefficients["std_error"]
    assert ratio.between(0.8, 1.25).all()
    many = estimated(
        request("irm", data, clusters=("g",)), kind="qte", quantity=quantity
    )
    ratio = many.coefficients["std_error"] / plain.coefficients["std_error"]
    # Rows of a cluster have nothing in common: 40 clusters know the error to a tenth.
    assert ratio.between(0.6, 1.6).all()


def test_memory_is_shared_with_the_average_effect() -> None:
    """The propensity of qte's last step is irm's."""
    from estimators._double.nuisance import MEMORY

    made = replace(request("irm"), seed=3)
    MEMORY.clear()
    estimated(made, kind="irm")
    before = MEMORY.made
    estimated(made, kind="qte", quantiles=(0.5,))
    assert MEMORY.found >= 1
    assert MEMORY.made > before


def test_a_study_keeps_rows_without_an_outcome_for_that_kind_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = attrition(400)
    data.assign(row=range(400)).to_csv("rows.csv", index=False)
    Path("study.yaml").write_text(
        """
study: attrition
data: {source: rows.csv}
model:
  outcome: yb
  treatment: {column: b, kind: cross_section}
  controls: [x1, x2]
  inference: hetero
  estimator: {double_ml: {kind: ssm, learner: linear, folds: 3, repetitions: 1}}
checks:
  main: {seen: {}, all: {estimator.kind: irm}}
""",
        encoding="utf-8",
    )
    done = run("study.yaml", "executor=inline", report=False, track=False)
    scalars = done.result("main.seen").scalars
    assert scalars["n_obs"] == 400
    assert scalars["n_seen"] == data["yb"].notna().sum() < 400
    with pytest.raises(EstimandError, match="'yb' missing in"):
        done.result("main.all")
