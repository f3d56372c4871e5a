"""What the note under a table says of the learners, and what is said of wrong ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import ValidationError

from estimators._double.chosen import spoken_learner
from estimators.dml_mediation import DmlMediation
from estimators.double_ml import DoubleMl
from estimators.learners.best import Best
from estimators.learners.boosting import Boosting
from estimators.learners.forest import Forest
from estimators.learners.lasso import Lasso
from estimators.learners.neural_net import NeuralNet
from framework.contract import Learner
from framework.errors import EstimandError
from framework.spec.choices import check, parse
from tests.build_double import panel_request, request, rows

FAST: dict[str, Any] = {"learner": "linear", "folds": 3, "repetitions": 1}


def said(kind: str, **options: Any) -> str:
    made = panel_request() if kind == "plpr" else request(kind)
    return DoubleMl(kind=kind, **(FAST | options)).estimate(made).notes[0]  # type: ignore[arg-type]  # kinds by name


def test_learners_are_told_with_what_is_not_their_default() -> None:
    assert spoken_learner(Lasso()) == "lasso"
    assert spoken_learner(Forest(trees=500)) == "forest (trees 500)"
    assert spoken_learner(NeuralNet(layers=(3, 2))) == "neural_net (layers 3 and 2)"
    several = Best(learners=(Lasso(), Boosting(trees=5, rate=0.25)))
    assert spoken_learner(several) == "best of lasso, boosting"


def test_every_result_says_its_kind_and_who_learned() -> None:
    assert said("plr") == "kind plr, learner linear"
    assert said("plpr", transform="within") == "kind plpr, learner linear"
    two = {"outcome": "linear", "treatment": {"lasso": {"penalty": 0.1}}}
    assert said("irm", learner=two, normalize=False) == (
        "kind irm, inverse propensities not normalised, learners linear of the outcome, "
        "lasso (penalty 0.1) of the treatment"
    )
    three = two | {"instrument": "ridge"}
    assert said("pliv", learner=three).endswith("ridge of the instrument")
    assert said("plr", score="iv_type") == "kind plr, score iv_type, learner linear"
    # A score of another kind is no reason to fail a sweep over kinds, nor to be silent.
    assert said("irm", score="iv_type") == (
        "kind irm, score iv_type (not used), learner linear"
    )


def test_quantiles_differences_and_mediation_say_it_too() -> None:
    made = request("irm", rows(1_000))
    result = DoubleMl(kind="qte", quantiles=(0.5,), **FAST).estimate(made)
    assert result.notes[0] == "kind qte, quantity pq, learner linear"
    mediated = replace(
        made,
        frame=made.frame.assign(m=rows(1_000)["z"]),
        mediators=("m",),
        labels={**made.labels, "m": "z"},
    )
    found = DmlMediation(**(FAST | {"folds": 5})).estimate(mediated)
    assert found.notes[0] == "learner linear"


def test_a_role_that_is_none_is_told_from_a_learner() -> None:
    with pytest.raises(ValidationError, match="no 'treatmnt' is learned: there is"):
        DoubleMl(learner={"outcome": "lasso", "treatmnt": "lasso"})  # type: ignore[arg-type]  # as a study writes it


def test_a_wrong_quantile_is_one_problem() -> None:
    wrong = {"name": "double_ml", "kind": "qte", "quantiles": [0.0]}
    (problem,) = check("estimator", wrong, "model.estimator")
    assert problem.path == "model.estimator.quantiles.0"
    assert "greater than 0" in problem.what


@pytest.mark.parametrize("kind", ["irm", "iivm"])
def test_either_arms_learner_has_its_r2_in_the_table(kind: Any) -> None:
    result = DoubleMl(**FAST, kind=kind).estimate(request(kind))
    held = result.frames["nuisances"].query("measure == 'r2'")
    # The curve of the rows is most of the outcome.
    assert 0.3 < result.scalars["nuisance_r2_outcome"] < 1
    assert result.scalars["nuisance_r2_outcome"] == pytest.approx(held["value"].mean())


def test_an_option_beside_its_learner_is_told_where_it_belongs() -> None:
    with pytest.raises(EstimandError, match=r"as a path forest\.trees"):
        parse("learner", {"forest": {"min_leaf": 3}, "trees": 11})


class Odd(Learner):
    """A learner of a user's own file with one fault."""

    says: Literal["many", "column", "text", "probabilities", "classes", "labels"]

    def build(self, task: str, seed: int) -> Any:
        """An estimator that predicts as `says` wants it."""
        del task, seed
        return _Odd(self.says)


class _Odd:
    def __init__(self, says: str) -> None:
        self.says = says
        if says != "labels":
            self.predict_proba = self._probabilities

    def fit(self, X: Any, y: Any) -> _Odd:
        self.mean = float(np.mean(y))
        return self

    def predict(self, X: Any) -> Any:
        if self.says == "text":
            return np.array(["much"] * len(X))
        n = len(X) + 1 if self.says == "many" else len(X)
        held = np.full(n, self.mean)
        return held[:, None] if self.says == "column" else held

    def _probabilities(self, X: Any) -> Any:
        if self.says == "classes":
            return np.full((len(X), 1), self.mean)
        # Few enough that trimming alone would have let them pass.
        held = np.full(len(X), self.mean)
        held[:3] = 1.5
        return np.column_stack([1 - held, held])


@pytest.mark.parametrize(
    ("says", "kind", "said"),
    [
        ("many", "plr", r"predict gives \(\d+,\) for \d+ rows"),
        ("text", "plr", "predicts <U4 and no numbers"),
        ("probabilities", "irm", "probabilities from .* to 1.5 are none"),
        ("classes", "irm", "for 200 rows of two classes"),
        ("labels", "irm", "'_Odd' has no predict_proba"),
    ],
)
def test_a_learner_that_predicts_nothing_usable_is_named(
    says: Any, kind: str, said: str
) -> None:
    learner = {"outcome": "linear", "treatment": Odd(says=says)}
    with pytest.raises(EstimandError, match=said) as caught:
        DoubleMl(**(FAST | {"learner": learner}), kind=kind).estimate(request(kind))  # type: ignore[arg-type]  # kinds by name
    (problem,) = caught.value.problems
    assert problem.code == "N02"
    assert "the learner of " in problem.what


def test_predictions_in_a_column_are_predictions() -> None:
    learner = {"outcome": Odd(says="column"), "treatment": "linear"}
    result = DoubleMl(**(FAST | {"learner": learner})).estimate(request("plr"))
    assert np.isfinite(result.coefficients["estimate"]).all()
