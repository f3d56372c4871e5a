"""`draws: {resplit: true}`: other folds, the same data; and kinds that wait."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from estimators._double.nuisance import MEMORY
from framework.cache import Cell, Job
from framework.errors import EstimandError
from framework.execute.estimation import estimate
from framework.plan import plan
from framework.spec.study import open_study
from framework.testing.canonical import canonical_panel

DOUBLE = {"name": "double_ml", "learner": "linear", "folds": 3, "repetitions": 1}


def drawn(estimator: dict[str, Any], times: Any, seed: int = 4) -> Cell:
    model = {
        "outcome": "y",
        "treatment": {"column": "d"},
        "controls": ["x1", "x2"],
        "estimator": estimator,
    }
    data = {
        "source": {"path": "canonical.csv"},
        "panel": {"unit": "city", "time": "year"},
    }
    draws = {"resplit": True, "times": times}
    job = Job("f", "a.b", "p", data, model, draws, seed)
    return estimate(job, canonical_panel())


def test_resplit_redraws_folds_and_nothing_else() -> None:
    cell = drawn(DOUBLE, 4)
    assert cell.draws is not None
    estimates = cell.draws["estimate"]
    assert estimates.nunique() == 4
    own = cell.result.coefficients["estimate"].iloc[0]
    error = cell.result.coefficients["std_error"].iloc[0]
    # Folds of least squares on 2 + 7 features move little of a standard error.
    assert (np.abs(estimates - own) < error).all()
    assert cell.result.scalars["std_error_resplit"] == pytest.approx(
        estimates.std(ddof=1)
    )
    assert any("4 redrawn splits" in note for note in cell.result.notes)
    assert [p.kind for p in cell.result.plots] == ["density"]


def test_draws_are_the_same_whatever_their_number() -> None:
    few, more = drawn(DOUBLE, 2).draws, drawn(DOUBLE, 3).draws
    assert few is not None
    assert more is not None
    assert few["estimate"].tolist() == more["estimate"].tolist()[:2]
    other = drawn(DOUBLE, 2, seed=5).draws
    assert other is not None
    assert not set(other["estimate"]) & set(few["estimate"])


def test_permuted_treatments_are_learned_anew_and_the_outcome_once() -> None:
    model = {
        "outcome": "y",
        "treatment": {"column": "d"},
        "controls": ["x1", "x2"],
        "estimator": DOUBLE | {"beside": "none"},
    }
    data = {
        "source": {"path": "canonical.csv"},
        "panel": {"unit": "city", "time": "year"},
    }
    draws = {"permute": "treatment", "times": 6}
    MEMORY.clear()
    cell = estimate(Job("f", "a.b", "p", data, model, draws, 4), canonical_panel())
    assert cell.draws is not None
    assert cell.draws["estimate"].nunique() == 6
    # One outcome, its own treatment and six drawn ones; the outcome is found six times.
    assert (MEMORY.made, MEMORY.found) == (8, 6)


def test_an_estimator_that_draws_nothing_is_not_resplit() -> None:
    with pytest.raises(EstimandError, match="draws nothing at random"):
        drawn({"name": "twfe"}, 2)


def test_splits_can_not_be_enumerated() -> None:
    with pytest.raises(EstimandError, match="can't be enumerated"):
        drawn(DOUBLE, "every")


def test_kinds_are_planned_with_what_they_give(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    (tmp_path / "rows.csv").write_text("y,d,x,z\n1,0,2,1\n2,1,3,0\n", encoding="utf-8")
    study.write_text(
        """
study: kinds
data: {source: rows.csv}
model:
  outcome: y
  treatment: {column: d, kind: cross_section}
  controls: [x]
  estimator: double_ml
checks:
  kinds:
    now:     {}
    below:   {estimator: {double_ml: qte}, estimand: qte}
    split:   {draws: {resplit: true, times: 5}}
    late:    {estimator.kind: iivm, instruments: [z], estimand: late}
    wrong:   {estimator.kind: irm, estimand: late}
""",
        encoding="utf-8",
    )
    found = {e.address: e for e in plan(open_study(study)) if e.heading != "model"}
    assert found["kinds.now"].runs
    assert found["kinds.split"].runs
    assert found["kinds.late"].runs
    assert found["kinds.below"].runs
    (problem,) = found["kinds.wrong"].problems
    assert problem.code == "X19"
