"""Learners: written as choices, built fresh, refused with the path of what is wrong."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import Field
from sklearn.linear_model import ElasticNetCV, LogisticRegressionCV

from estimators.double_ml import DoubleMl
from estimators.learners._cross_validated import PenalisedLeastSquares, PenalisedLogit
from estimators.learners.best import Best
from estimators.learners.elastic_net import ElasticNet
from estimators.learners.forest import Forest
from estimators.learners.lasso import Lasso
from estimators.learners.linear import Linear
from estimators.learners.stacking import Stacking
from framework import registry
from framework.contract import Learner
from framework.errors import EstimandError
from framework.spec import choices
from framework.spec.study import open_study
from framework.vary import unfold

#: Cheap options, so that all learners run in seconds.
CHEAP = {
    "forest": {"trees": 40, "max_features": 1.0},
    "extra_trees": {"trees": 40, "max_features": 1.0},
    "boosting": {"trees": 40},
    "lightgbm": {"trees": 40},
    "xgboost": {"trees": 40},
    "stacking": {"learners": ["linear", "ridge"]},
    "best": {"learners": ["linear", {"forest": 5}]},
}


def curved(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, 4))
    return X, X[:, 0] + 0.5 * X[:, 1] + 0.3 * rng.normal(size=n)


@pytest.mark.parametrize("name", registry.names("learner"))
def test_a_learner_predicts_rows_it_has_not_seen(name: str) -> None:
    X, y = curved()
    learner = choices.build("learner", {"name": name, **CHEAP.get(name, {})})
    model = learner.build("regression", 3).fit(X[:300], y[:300])  # type: ignore[attr-defined]  # a learner
    left = y[300:] - model.predict(X[300:])
    # The worst here (extra trees of 40) explains four fifths.
    assert 1 - left.var() / y[300:].var() > 0.75


@pytest.mark.parametrize("name", registry.names("learner"))
def test_the_unit_of_the_outcome_moves_predictions_with_it(name: str) -> None:
    X, y = curved(200)
    learner = choices.build("learner", {"name": name, **CHEAP.get(name, {})})
    one, large = (
        learner.build("regression", 3).fit(X, scale * y).predict(X) / scale  # type: ignore[attr-defined]  # a learner
        for scale in (1.0, 2.0**20)  # exact: equal cuts of a tree stay equal
    )
    # Solvers stop at relative tolerances of 1e-6; trees cut at the same places.
    assert np.allclose(one, large, rtol=0, atol=1e-5)


def test_a_lasso_finds_the_columns_that_matter() -> None:
    rng = np.random.default_rng(2)
    X = rng.normal(size=(300, 30))
    y = X[:, 3] - X[:, 7] + 0.2 * rng.normal(size=300)
    model = Lasso().build("regression", 0).fit(X, y)
    found = model[-1].regressor_.coef_
    # 0.5 of the outcome's spread each; the others are noise of about 0.2 / sqrt(300).
    assert set(np.argsort(-np.abs(found))[:2]) == {3, 7}
    assert np.sum(np.abs(found) > 0.05) == 2


@pytest.mark.parametrize(
    ("rows", "columns", "l1_ratio"), [(200, 12, 1.0), (200, 12, 0.5), (40, 60, 1.0)]
)
def test_penalised_least_squares_is_scikit_learns(
    rows: int, columns: int, l1_ratio: float
) -> None:
    rng = np.random.default_rng(rows)
    X = rng.normal(size=(rows, columns)) + rng.normal(size=(rows, 1))
    y = X[:, 0] - 2 * X[:, 3] + rng.normal(size=rows)
    ours = PenalisedLeastSquares(l1_ratio, penalties=50, folds=5).fit(X, y)
    theirs = ElasticNetCV(
        l1_ratio=l1_ratio, alphas=50, cv=5, max_iter=20_000, tol=1e-6
    ).fit(X, y)
    assert ours.alpha_ == pytest.approx(theirs.alpha_, rel=1e-12)
    # Both stop at a gap of 1e-6 of the sum of squares.
    assert np.allclose(ours.predict(X), theirs.predict(X), atol=1e-4)


def binary(n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    X = rng.normal(size=(n, p))
    return X, (X[:, 0] - X[:, 1] + rng.logistic(size=n) > 0.7).astype(int)


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
def test_a_penalised_logit_is_scikit_learns_where_that_settles(l1_ratio: float) -> None:
    X, d = binary(120, 6)
    strengths = np.logspace(-4, 4, 10)
    ours = PenalisedLogit(l1_ratio, tuple(strengths), penalty=None, folds=5).fit(X, d)
    theirs = LogisticRegressionCV(
        Cs=strengths, l1_ratios=(l1_ratio,), cv=5, scoring="neg_log_loss",
        solver="saga", max_iter=100_000, tol=1e-9, use_legacy_attributes=False,
    ).fit(X, d)  # fmt: skip
    # saga ends where a step is 1e-9 of the coefficients, a little before the optimum.
    assert np.allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
def test_the_penalty_of_a_logit_is_on_the_mean_of_the_log_loss(l1_ratio: float) -> None:
    X, d = binary(300, 8)
    model = (Lasso(penalty=0.03) if l1_ratio == 1 else ElasticNet(penalty=0.03)).build(
        "classification", 0
    )
    p = model.fit(X, d).predict_proba(X)[:, 1]
    Z, coef = model[0].transform(X), model[-1].coef_
    slope = Z.T @ (d - p) / len(d) - 0.03 * (1 - l1_ratio) * coef
    # First-order conditions: 1e-6 is the digits that a step's objective resolves.
    assert abs(np.mean(d - p)) < 1e-6
    assert np.allclose(
        slope[coef != 0], 0.03 * l1_ratio * np.sign(coef[coef != 0]), atol=1e-6
    )
    assert np.all(np.abs(slope[coef == 0]) <= 0.03 * l1_ratio + 1e-6)
    assert 0 < np.sum(coef == 0) < 8  # both kinds are there


def test_a_penalised_logit_settles_where_a_line_separates_the_classes() -> None:
    X, _ = binary(80, 3)
    d = (X[:, 0] > 0.2).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = Lasso().build("classification", 0).fit(X, d)
    assert np.array_equal(model.predict(X), d)
    assert np.isfinite(model[-1].coef_).all()


def test_logit_without_penalty_is_the_maximum_of_the_likelihood() -> None:
    X, y = curved()
    d = (y > 0).astype(int)
    p = Linear().build("classification", 0).fit(X, d).predict_proba(X)[:, 1]
    # First-order conditions: residuals are orthogonal to columns and constant.
    conditions = np.column_stack([np.ones(len(X)), X]).T @ (d - p)
    assert np.abs(conditions).max() < 1e-6  # Newton's last step of rows' sums


def test_a_column_in_large_units_takes_no_other_away() -> None:
    X, y = curved()
    model = Linear().build("regression", 0)
    plain = model.fit(X, y).predict(X)
    # scikit-learn alone loses 4 % of the fit here: it sees columns 1e14 apart as one.
    large = X * [1.0, 1.0, 1.0, 1e14]
    assert np.allclose(
        Linear().build("regression", 0).fit(large, y).predict(large), plain
    )


def test_best_takes_the_lower_cross_validated_loss() -> None:
    X, y = curved()
    picked = Best(learners=("linear", {"forest": 5})).build("regression", 0).fit(X, y)
    assert type(picked.best_params_["learner"]).__name__ == "Pipeline"
    y = np.sign(X[:, 0] * X[:, 1])  # no line fits it
    picked = Best(learners=("linear", {"forest": 30})).build("regression", 0).fit(X, y)
    assert type(picked.best_params_["learner"]).__name__ == "RandomForestRegressor"


def test_best_tells_its_choice() -> None:
    X, y = curved()
    y = np.sign(X[:, 0] * X[:, 1])  # no line fits it
    learner = Best(learners=("linear", {"forest": 30}))
    assert learner.members() == ("linear", "forest")
    assert list(learner.chosen(learner.build("regression", 0).fit(X, y))) == [0, 1]
    straight = learner.build("regression", 0).fit(X, X[:, 0])
    assert list(learner.chosen(straight)) == [1, 0]


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_stacking_tells_the_weights_that_its_predictions_are_made_with(
    task: Any,
) -> None:
    X, y = curved()
    y = (y > 0).astype(int) if task == "classification" else y
    learner = Stacking(learners=("linear", {"forest": 20}))
    model = learner.build(task, 0).fit(X, y)
    if task == "classification":
        own = np.column_stack([m.predict_proba(X)[:, 1] for m in model.estimators_])
        p = model.predict_proba(X)[:, 1]
        total = np.log(p / (1 - p))
    else:
        own = np.column_stack([m.predict(X) for m in model.estimators_])
        total = model.predict(X)
    rest = total - own @ np.asarray(learner.chosen(model))
    assert np.ptp(rest) < 1e-9  # a constant is left, and rounding
    assert learner.members() == ("linear", "forest")


def test_members_are_told_apart_by_what_differs() -> None:
    one, two = {"forest": {"min_leaf": 5}}, {"forest": {"min_leaf": 20}}
    assert Best(learners=(one, two, "lasso", "lasso", "lasso")).members() == (
        "forest (min_leaf 5)",
        "forest (min_leaf 20)",
        "lasso",
        "lasso #2",
        "lasso #3",
    )
    nested = Best(learners=({"stacking": ["lasso", one]}, {"stacking": ["ridge", two]}))
    assert nested.members() == (
        "stacking (learners lasso + forest)",
        "stacking (learners ridge + forest)",
    )
    drawn = Best(learners=("lasso", {"lasso": 0.5}))
    assert drawn.members() == ("lasso (penalty not set)", "lasso (penalty 0.5)")
    assert Lasso().members() == ()


def test_a_learner_is_written_as_every_choice_is() -> None:
    forest = Forest(trees=7)
    for written in (
        {"forest": 7},
        {"forest": {"trees": 7}},
        {"outcome": {"forest": 7}},
    ):
        learners = DoubleMl(learner=written).learner
        assert learners.outcome == forest
        assert learners.treatment is None
    two = DoubleMl(learner={"outcome": {"forest": 7}, "treatment": "lasso"}).learner
    assert (two.outcome, two.treatment) == (forest, Lasso())
    assert Stacking(learners=["lasso", {"forest": 7}]).learners == (Lasso(), forest)


def test_options_survive_being_written_and_read() -> None:
    plugin = DoubleMl(learner={"stacking": ["lasso", {"forest": 7}]})
    assert DoubleMl.model_validate(plugin.model_dump()) == plugin


@pytest.mark.parametrize(
    ("written", "path", "words"),
    [
        ("laso", "model.estimator", "no learner 'laso'"),
        ({"forest": {"tres": 5}}, "model.estimator.forest.tres", "unknown key 'tres'"),
        ({"forest": {"trees": 0}}, "model.estimator.forest.trees", "greater than"),
        (
            {"stacking": ["lasso", {"forest": {"trees": -1}}]},
            "model.estimator.stacking.forest.trees",
            "greater than",
        ),
        ({"forest": 5, "lasso": {}}, "model.estimator", "a learner is"),
    ],
)
def test_a_wrong_learner_is_refused_where_it_is_written(
    written: object, path: str, words: str
) -> None:
    flat = {"name": "double_ml", "learner": written}
    problems = choices.check("estimator", flat, "model.estimator")
    assert [p.path for p in problems] == [path]
    assert words in problems[0].what


def test_an_unknown_learner_is_guessed() -> None:
    with pytest.raises(EstimandError, match="lasso"):
        DoubleMl(learner="laso")


def test_a_line_that_names_another_learner_replaces_it(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(
        """
study: learners
data: {source: rows.csv}
model:
  outcome: y
  treatment: {column: d, kind: cross_section}
  controls: [x]
  estimator: {double_ml: {learner: {forest: {trees: 7, min_leaf: 3}}}}
checks:
  learners:
    other:  {each: {estimator.learner: {boost: {boosting: 9}, plain: lasso}}}
    roles:  {estimator.learner: {outcome: lasso, treatment: {forest: 5}}}
    option: {estimator.learner.forest.trees: 11}
    merged: {estimator.learner: {forest: {trees: 12}}}
    whole:  {estimator: {double_ml: {learner: {lasso: 0.1}}}}
""",
        encoding="utf-8",
    )
    found = {
        v.address: v.tree["model"]["estimator"]["learner"]
        for v in unfold(open_study(study))
        if v.heading != "model"
    }
    assert found == {
        "learners.other.boost": {"boosting": 9},
        "learners.other.plain": "lasso",
        "learners.roles": {"outcome": "lasso", "treatment": {"forest": 5}},
        "learners.option": {"forest": {"trees": 11, "min_leaf": 3}},
        "learners.merged": {"forest": {"trees": 12, "min_leaf": 3}},
        "learners.whole": {"lasso": 0.1},
    }


class Mine(Learner):
    """A learner of another distribution."""

    size: int = Field(default=1, description="Nothing.")

    def build(self, task: str, seed: int) -> object:
        return Linear().build("regression", seed)


def test_a_foreign_learner_is_part_of_what_a_number_depends_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its code names the finished estimation: new code, new number."""
    target = f"{Mine.__module__}:{Mine.__qualname__}"
    mine = registry.Entry("learner", "mine", target, "estimand-mine")
    monkeypatch.setattr(
        registry,
        "_third_party",
        lambda kind: {"mine": mine} if kind == "learner" else {},
    )
    choices.plugin.cache_clear()
    monkeypatch.setattr(
        registry, "load", lambda entry: Mine if entry is mine else _load(entry)
    )
    for learner in ("mine", {"treatment": "mine"}, {"stacking": ["lasso", "mine"]}):
        flat = {"name": "double_ml", "learner": learner}
        own, other = choices.entries("estimator", flat)
        assert (own.name, other) == ("double_ml", mine)
    assert len(choices.entries("estimator", {"name": "double_ml"})) == 1
    choices.plugin.cache_clear()


_load = registry.load


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_a_package_that_is_not_there_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    learner: Any = choices.build("learner", {"name": name})
    with pytest.raises(EstimandError, match="which is not installed") as caught:
        learner.build("regression", 1)
    assert "estimand[boosting]" in str(caught.value)


def test_lightgbm_is_the_algorithm_of_boosting() -> None:
    """The same trees on the same bins, but for ties and rounding of the bins."""
    X, y = curved()
    one, two = (
        choices.build("learner", {"name": name}).build("regression", 1).fit(X, y)  # type: ignore[attr-defined]  # a learner
        for name in ("lightgbm", "boosting")
    )
    assert np.corrcoef(one.predict(X), two.predict(X))[0, 1] > 0.999
