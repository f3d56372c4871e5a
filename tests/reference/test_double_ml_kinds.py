"""Kinds ssm, qte and plpr against doubleml, in the same folds, halves and learners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from estimators._double.quantiles import Halves, _solved, quantile_effects
from estimators._double.sample import Sample, read
from estimators._double.scores import Splitting, repetition
from estimators._double.transform import Transform
from estimators._math.quantiles import density
from estimators.learners.linear import Linear
from tests.build_double import panel, panel_request, plan, request, rows

#: The same predictions, scores and sums in another order: rounding.
SAME = 1e-10
LOGIT = Linear().build("classification", 0)
OLS = Linear().build("regression", 0)


def splits(fold: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in set(fold)]


def clusters(sample: Sample, found: Any) -> Any:
    assert sample.cluster is not None
    return [
        ([np.unique(sample.cluster[a])], [np.unique(sample.cluster[b])])
        for a, b in found
    ]


def framed(sample: Sample, **more: Any) -> tuple[pd.DataFrame, list[str]]:
    x = [f"x{j}" for j in range(sample.X.shape[1])]
    made = pd.DataFrame(sample.X, columns=x)
    return made.assign(y=sample.outcome, d=sample.d, **more), x


# -- sample selection -------------------------------------------------------------------


def attrition(n: int = 900) -> pd.DataFrame:
    """`yb` is unseen for those with low x2, more often if treated."""
    data = rows(n)
    rng = np.random.default_rng(9)
    seen = 1.0 + 0.8 * data["x2"] - 0.7 * data["b"] + rng.logistic(size=n) > 0
    return data.assign(yb=data["yb"].where(seen))


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("by", [(), ("g",)], ids=["rows", "clusters"])
def test_sample_selection_is_doublemls(normalise: bool, by: tuple[str, ...]) -> None:
    import doubleml

    fields = {"clusters": by} if by else {}
    made = request("irm", attrition(), **fields)
    how = plan(normalise=normalise)
    sample = read(made, "ssm", "none", how.folds)
    found = repetition(sample, how, 0).solved["ate"]
    fold = sample.folds(how.folds, how.seed, 0)
    frame, x = framed(sample, s=sample.seen)
    more = {"cluster_cols": "c"} if by else {}
    if by:
        frame["c"] = sample.cluster
    model = doubleml.DoubleMLSSM(
        doubleml.DoubleMLSSMData(frame, "y", "d", x_cols=x, s_col="s", **more),
        OLS,
        LOGIT,
        LOGIT,
        n_folds=how.folds,
        normalize_ipw=normalise,
        draw_sample_splitting=False,
    )
    parts = splits(fold)
    if by:
        model.set_sample_splitting([parts], all_smpls_cluster=[clusters(sample, parts)])
    else:
        model.set_sample_splitting([parts])
    model.fit()
    assert found.theta[0] == pytest.approx(float(model.coef[0]), rel=SAME)
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(
        float(model.se[0]), rel=SAME
    )


# -- quantiles ----------------------------------------------------------------------------


def doublemls_halves(fold: np.ndarray, strata: np.ndarray) -> Halves:
    """The halves and inner folds that doubleml draws inside every training sample."""
    from sklearn.model_selection import StratifiedKFold, train_test_split

    K, n = int(fold.max()) + 1, len(fold)
    first, second = np.zeros((2, K, n), dtype=bool)
    inner = np.zeros((K, n), dtype=np.int64)
    for k in range(K):
        train = np.flatnonzero(fold != k)
        one, two = train_test_split(
            train, test_size=0.5, random_state=42, stratify=strata[train]
        )
        first[k, one], second[k, two] = True, True
        drawn = StratifiedKFold(n_splits=K).split(one, strata[one])
        for j, (_, test) in enumerate(drawn):
            inner[k, one[test]] = j
    return Halves(first, second, inner)


QUANTITIES: Mapping[str, tuple[str, str, Any]] = {
    "pq": ("DoubleMLPQ", "qte", LOGIT),
    "cvar": ("DoubleMLCVAR", "tail_effect", OLS),
    "lpq": ("DoubleMLLPQ", "local_qte", LOGIT),
}


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("by", [(), ("g",)], ids=["rows", "clusters"])
def test_quantiles_are_doublemls(
    quantity: str,
    normalise: bool,
    by: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With our first guess: theirs minimises the absolute value of a step function."""
    import doubleml
    from scipy.optimize import brentq

    def rooted(ipw_score: Any, bracket_guess: Any) -> float:
        return float(brentq(ipw_score, *bracket_guess))

    for module in ("pq", "lpq", "cvar"):
        monkeypatch.setattr(f"doubleml.irm.{module}._solve_ipw_score", rooted)

    cls, key, learner = QUANTITIES[quantity]
    data = rows(3_000 if quantity == "lpq" else 1_200)
    fields = {"clusters": by} if by else {}
    made = request("iivm" if quantity == "lpq" else "irm", data, **fields)
    how = plan(quantity=quantity, quantiles=(0.4, 0.6), normalise=normalise)
    sample = read(made, "qte", "none", how.folds)
    fold = sample.folds(how.folds, how.seed, 0)
    strata = sample.d
    frame, x = framed(sample)
    roles: dict[str, Any] = {"x_cols": x}
    if quantity == "lpq":
        frame["z"] = sample.instruments[0].values
        strata = sample.d + 2 * frame["z"].to_numpy()
        roles["z_cols"] = "z"
    if by:
        frame["c"] = sample.cluster
        roles["cluster_cols"] = "c"
    # doubleml trains its halves in the order they were drawn; logits do not mind.
    halves = doublemls_halves(fold, strata)
    kept: list[Any] = []

    def solved(found: Any) -> Any:
        kept.extend(found)
        return _solved(found)

    monkeypatch.setattr("estimators._double.quantiles._solved", solved)
    found = quantile_effects(Splitting(sample, how, 0, fold), halves).solved[key]
    data = doubleml.DoubleMLData(frame, "y", "d", **roles)
    for i, q in enumerate(how.quantiles):
        sides = []
        for a in (0, 1):
            model = getattr(doubleml, cls)(
                data,
                learner,
                LOGIT,
                treatment=a,
                quantile=q,
                n_folds=how.folds,
                normalize_ipw=normalise,
                draw_sample_splitting=False,
            )
            parts = splits(fold)
            if by:
                model.set_sample_splitting(
                    [parts], all_smpls_cluster=[clusters(sample, parts)]
                )
            else:
                model.set_sample_splitting([parts])
            model.fit()
            own = kept[i][a]
            error = np.sqrt(own.influence @ own.influence)
            # A root of a step function is found to 2e-12 of the outcome's range.
            assert own.theta == pytest.approx(float(model.coef[0]), rel=SAME)
            assert error == pytest.approx(float(model.se[0]), rel=SAME)
            sides.append(model.framework)
        theirs = sides[1] - sides[0]
        assert found.theta[i] == pytest.approx(float(theirs.thetas[0]), rel=SAME)
        if not by:  # doubleml's difference of two models forgets their clusters
            assert np.sqrt(found.covariance[i, i]) == pytest.approx(
                float(theirs.ses[0]), rel=SAME
            )


class Certain(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A logit that is sure where it has seen one class alone."""

    def fit(self, X: Any, y: Any) -> Certain:
        self.classes_ = np.array([0.0, 1.0])
        self.only_ = float(y[0]) if len(np.unique(y)) == 1 else None
        self.logit_ = None if self.only_ is not None else clone(LOGIT).fit(X, y)
        return self

    def predict_proba(self, X: Any) -> Any:
        if self.logit_ is not None:
            return self.logit_.predict_proba(X)
        return np.tile([1 - self.only_, self.only_], (len(X), 1))

    def predict(self, X: Any) -> Any:
        return (self.predict_proba(X)[:, 1] > 0.5).astype(float)


@pytest.mark.parametrize("side", [0, 1], ids=["no always-takers", "no never-takers"])
def test_quantiles_of_compliers_where_only_they_deviate_are_doublemls(
    side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """401(k) is such a case: nobody participates who is not eligible."""
    import doubleml
    from scipy.optimize import brentq

    def rooted(ipw_score: Any, bracket_guess: Any) -> float:
        return float(brentq(ipw_score, *bracket_guess))

    monkeypatch.setattr("doubleml.irm.lpq._solve_ipw_score", rooted)
    data = rows(3_000)
    data["t"] = data["t"].where(data["w"] != side, float(side))
    made = request("iivm", data)
    how = plan(quantity="lpq", quantiles=(0.4, 0.6))
    sample = read(made, "qte", "none", how.folds)
    fold = sample.folds(how.folds, how.seed, 0)
    frame, x = framed(sample)
    frame["z"] = sample.instruments[0].values
    strata = sample.d + 2 * frame["z"].to_numpy()
    halves = doublemls_halves(fold, strata)
    split = Splitting(sample, how, 0, fold)
    found = quantile_effects(split, halves).solved["local_qte"]
    theirs = doubleml.DoubleMLData(frame, "y", "d", x_cols=x, z_cols="z")
    for i, q in enumerate(how.quantiles):
        models = []
        for a in (0, 1):
            model = doubleml.DoubleMLLPQ(
                theirs,
                Certain(),
                Certain(),
                treatment=a,
                quantile=q,
                n_folds=how.folds,
                normalize_ipw=False,
                draw_sample_splitting=False,
            )
            model.set_sample_splitting([splits(fold)])
            models.append(model.fit().framework)
        effect = models[1] - models[0]
        assert found.theta[i] == pytest.approx(float(effect.thetas[0]), rel=SAME)
        error = np.sqrt(found.covariance[i, i])
        assert error == pytest.approx(float(effect.ses[0]), rel=SAME)


def test_the_kernel_density_is_statsmodels() -> None:
    from doubleml.utils._estimation import _default_kde

    rng = np.random.default_rng(0)
    u, w = rng.normal(size=400) ** 3, rng.random(400) * 3 - 0.5
    theirs = float(_default_kde(u.reshape(-1, 1), w)[0])
    assert density(u, w) == pytest.approx(theirs, rel=SAME)


# -- panels -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("transform", "approach"),
    [
        ("first_difference", "fd_exact"),
        ("within", "wg_approx"),
        ("correlated_random_effects", "cre_general"),
    ],
)
@pytest.mark.parametrize("score", ["partialling_out", "iv_type"])
def test_panels_are_doublemls(transform: Transform, approach: str, score: str) -> None:
    """Their panel has our period columns among its controls."""
    import doubleml

    raw = panel(60)
    made = panel_request(raw)
    how = plan(score=score)
    sample = read(made, "plr", transform, how.folds)
    found = repetition(sample, how, 0).solved["coefficient"]
    fold = sample.folds(how.folds, how.seed, 0)
    periods = pd.get_dummies(raw["time"], prefix="p", dtype=float).iloc[:, 1:]
    frame = pd.concat([raw[["unit", "time", "y", "d", "x1", "x2"]], periods], axis=1)
    frame["unit"] = frame["unit"].str[1:].astype(int)
    data = doubleml.DoubleMLPanelData(
        frame,
        "y",
        "d",
        "time",
        "unit",
        x_cols=["x1", "x2", *periods],
        static_panel=True,
    )
    model = doubleml.DoubleMLPLPR(
        data,
        OLS,
        OLS,
        ml_g=OLS if score == "iv_type" else None,
        score="IV-type" if score == "iv_type" else "partialling out",
        approach=approach,
        n_folds=how.folds,
        draw_sample_splitting=False,
    )
    # Their rows are sorted by unit and time.
    assert sample.unit is not None
    names = np.array([int(u[1:]) for u in sample.unit_names])
    of_unit = dict(zip(names[sample.unit], fold, strict=True))
    theirs_rows = model.data_transform.data["unit"].map(of_unit).to_numpy()
    parts = splits(theirs_rows)
    ids = model.data_transform.data["unit"].to_numpy()
    by = [([np.unique(ids[a])], [np.unique(ids[b])]) for a, b in parts]
    model.set_sample_splitting([parts], all_smpls_cluster=[by])
    model.fit()
    assert found.theta[0] == pytest.approx(float(model.coef[0]), rel=SAME)
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(
        float(model.se[0]), rel=SAME
    )


def test_a_panel_kind_is_plr_after_its_transform() -> None:
    from estimators.double_ml import DoubleMl

    options: dict[str, Any] = {"learner": "linear", "folds": 3, "repetitions": 1}
    made = replace(panel_request(), seed=4)
    one = DoubleMl(kind="plpr", transform="within", **options).estimate(made)
    two = DoubleMl(kind="plr", transform="within", **options).estimate(made)
    pd.testing.assert_frame_equal(one.coefficients, two.coefficients, check_exact=True)
