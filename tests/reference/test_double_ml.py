"""Double machine learning against doubleml, against its own formulas by hand, and
against stored numbers of the 401(k) study.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from estimators._double.sample import Sample, read
from estimators._double.scores import Repetition, repetition
from estimators.double_ml import DoubleMl
from estimators.learners.linear import Linear
from tests.build_double import panel, panel_request, plan, request, rows
from tests.build_request import build_request

#: The same predictions, scores and sums in another order: rounding.
SAME = 1e-10
OLS = ("regression", 0)
LOGIT = ("classification", 0)


def ours(made: Any, kind: str, **changes: Any) -> tuple[Sample, np.ndarray, Repetition]:
    how = plan(**changes)
    sample = read(made, kind, "none", how.folds)  # type: ignore[arg-type]  # kinds by name
    fold = sample.folds(how.folds, how.seed, 0)
    return sample, fold, repetition(sample, how, 0)


def theirs(
    cls: str, sample: Sample, fold: np.ndarray, **settings: Any
) -> tuple[float, float, Any]:
    """doubleml on our rows in our folds with our learners."""
    import doubleml

    columns = {f"x{j}": sample.X[:, j] for j in range(sample.X.shape[1])}
    columns |= {"y": sample.outcome, "d": sample.d}
    columns |= {f"z{j}": c.values for j, c in enumerate(sample.instruments)}
    if sample.cluster is not None:
        columns["c"] = sample.cluster
    frame = pd.DataFrame(columns)
    roles: dict[str, Any] = {"x_cols": [c for c in frame if c.startswith("x")]}
    if sample.instruments:
        roles["z_cols"] = [c for c in frame if c.startswith("z")]
    if sample.cluster is not None:
        roles["cluster_cols"] = "c"
    data = doubleml.DoubleMLData(frame, "y", "d", **roles)
    model = getattr(doubleml, cls)(
        data, n_folds=int(fold.max()) + 1, draw_sample_splitting=False, **settings
    )
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in set(fold)]
    if sample.cluster is None:
        model.set_sample_splitting([splits])
    else:
        clusters = [
            ([np.unique(sample.cluster[a])], [np.unique(sample.cluster[b])])
            for a, b in splits
        ]
        model.set_sample_splitting([splits], all_smpls_cluster=[clusters])
    model.fit()
    return float(model.coef[0]), float(model.se[0]), model


def learners(*names: str, logit: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        name: Linear().build(*(LOGIT if name in logit else OLS))  # type: ignore[arg-type]  # tasks
        for name in names
    }


CASES: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "plr": ("DoubleMLPLR", "coefficient", learners("ml_l", "ml_m")),
    "irm": ("DoubleMLIRM", "ate", learners("ml_g", "ml_m", logit=("ml_m",))),
    "pliv": ("DoubleMLPLIV", "coefficient", learners("ml_l", "ml_m", "ml_r")),
    "iivm": (
        "DoubleMLIIVM",
        "late",
        learners("ml_g", "ml_m", "ml_r", logit=("ml_m", "ml_r")),
    ),
}


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("clusters", [(), ("g",)], ids=["rows", "clusters"])
def test_the_same_folds_and_learners_give_doublemls_numbers(
    kind: str, clusters: tuple[str, ...]
) -> None:
    cls, key, settings = CASES[kind]
    fields = {"clusters": clusters} if clusters else {}
    sample, fold, found = ours(request(kind, **fields), kind)
    estimate, error, _ = theirs(cls, sample, fold, **settings)
    solved = found.solved[key]
    assert solved.theta[0] == pytest.approx(estimate, rel=SAME)
    assert np.sqrt(solved.covariance[0, 0]) == pytest.approx(error, rel=SAME)


def test_effects_on_the_treated_and_normalised_weights_are_doublemls() -> None:
    _, _, settings = CASES["irm"]
    for normalise in (False, True):
        sample, fold, found = ours(request("irm"), "irm", normalise=normalise)
        for score, key in (("ATE", "ate"), ("ATTE", "att")):
            estimate, error, _ = theirs(
                "DoubleMLIRM",
                sample,
                fold,
                score=score,
                normalize_ipw=normalise,
                **settings,
            )
            solved = found.solved[key]
            assert solved.theta[0] == pytest.approx(estimate, rel=SAME)
            assert np.sqrt(solved.covariance[0, 0]) == pytest.approx(error, rel=SAME)


def test_the_iv_type_score_is_doublemls() -> None:
    sample, fold, found = ours(request("plr"), "plr", score="iv_type")
    settings = learners("ml_l", "ml_m", "ml_g") | {"score": "IV-type"}
    estimate, error, _ = theirs("DoubleMLPLR", sample, fold, **settings)
    assert found.solved["coefficient"].theta[0] == pytest.approx(estimate, rel=SAME)
    assert np.sqrt(found.solved["coefficient"].covariance[0, 0]) == pytest.approx(
        error, rel=SAME
    )


def test_several_instruments_are_two_stage_least_squares_on_residuals() -> None:
    from dataclasses import replace

    made = request("pliv")
    second = made.frame["z0"] + np.random.default_rng(3).normal(size=len(made.frame))
    made = replace(
        made,
        frame=made.frame.assign(z1=second),
        instruments=("z0", "z1"),
        labels={**made.labels, "z1": "second"},
    )
    sample, fold, found = ours(made, "pliv")
    estimate, error, _ = theirs("DoubleMLPLIV", sample, fold, **CASES["pliv"][2])
    assert found.solved["coefficient"].theta[0] == pytest.approx(estimate, rel=SAME)
    assert np.sqrt(found.solved["coefficient"].covariance[0, 0]) == pytest.approx(
        error, rel=SAME
    )


@pytest.mark.parametrize("kind", ["plr", "irm"])
def test_the_robustness_value_is_doublemls(kind: str) -> None:
    cls, _, settings = CASES[kind]
    made = request(kind)
    sample, fold, _ = ours(made, kind)
    _, _, model = theirs(cls, sample, fold, **settings)
    model.sensitivity_analysis(rho=1.0)
    result = DoubleMl(
        kind=kind, learner="linear", folds=3, repetitions=1, normalize=False
    ).estimate(replace_seed(made, 1))
    # doubleml finds its root numerically, to about 1e-4.
    assert result.scalars["robustness_value"] == pytest.approx(
        float(model.sensitivity_params["rv"][0]), abs=1e-3
    )


def replace_seed(made: Any, seed: int) -> Any:
    from dataclasses import replace

    return replace(made, seed=seed)


def test_partialling_out_by_hand() -> None:
    """A twin without any of our modules: OLS by normal equations, fold by fold."""
    sample, fold, found = ours(request("plr"), "plr")
    A = np.column_stack([np.ones(sample.n), sample.X])
    u, v = sample.outcome.copy(), sample.d.copy()
    for k in range(3):
        train, test = A[fold != k], A[fold == k]
        M = np.linalg.solve(train.T @ train, train.T)
        u[fold == k] -= test @ (M @ sample.outcome[fold != k])
        v[fold == k] -= test @ (M @ sample.d[fold != k])
    theta = (u @ v) / (v @ v)
    error = np.sqrt(np.sum((v * (u - theta * v)) ** 2)) / (v @ v)
    solved = found.solved["coefficient"]
    assert solved.theta[0] == pytest.approx(theta, rel=SAME)
    assert np.sqrt(solved.covariance[0, 0]) == pytest.approx(error, rel=SAME)


def test_within_with_least_squares_is_near_two_way_fixed_effects() -> None:
    """The same regression, cross-fitted: the difference is what folds add."""
    from estimators.twfe import Twfe

    data = panel(units=120)
    fixed = Twfe().estimate(panel_request(data, fixed_effects=("unit", "time")))
    for transform in ("within", "two_way"):
        learned = DoubleMl(
            learner="linear", transform=transform, folds=10, repetitions=3
        ).estimate(panel_request(data))
        apart = (
            learned.coefficients["estimate"].iloc[0]
            - fixed.coefficients["estimate"].iloc[0]
        )
        # A tenth of a standard error: 3 features on 960 rows.
        assert abs(apart) < 0.1 * fixed.coefficients["std_error"].iloc[0]
        assert learned.coefficients["std_error"].iloc[0] == pytest.approx(
            fixed.coefficients["std_error"].iloc[0], rel=0.05
        )


# -- 401(k) ---------------------------------------------------------------------------

REFERENCES = os.environ.get("ESTIMAND_REFERENCES")
BASE = ["age", "inc", "educ", "fsize", "marr", "twoearn", "db", "pira", "hown"]
SQUARED = ["age", "inc", "educ", "fsize"]


@pytest.mark.skipif(REFERENCES is None, reason="ESTIMAND_REFERENCES is not set")
@pytest.mark.parametrize(
    ("name", "kind", "flexible", "tolerance"),
    [
        # Tolerances of expected.yaml: least squares to the printed digits, logit to
        # what its solver left.
        ("PLR_ols_base9", "plr", False, 0.001),
        ("PLR_ols_flex", "plr", True, 0.01),
        ("IRM_flex", "irm", True, 0.1),
        ("IIVM_flex", "iivm", True, 0.1),
    ],
)
def test_401k(name: str, kind: str, flexible: bool, tolerance: float) -> None:
    root = Path(str(REFERENCES)) / "replications"
    data = pd.read_csv(root / "data" / "pension_401k.csv")
    controls = list(BASE)
    if flexible:
        for c in SQUARED:
            data[f"{c}_squared"] = data[c] ** 2
            controls.append(f"{c}_squared")
    entries = yaml.safe_load((root / "expected.yaml").read_text(encoding="utf-8"))
    study = next(s for s in entries["fixtures"] if s["id"] == "pension_401k")
    expected = next(c for c in study["checks"] if c["name"] == name)["obtained"]
    made = build_request(
        data,
        outcome="net_tfa",
        treatment="p401" if kind == "iivm" else "e401",
        kind="cross_section",
        controls=controls,
        inference="hetero",
    )
    if kind == "iivm":
        from dataclasses import replace

        made = replace(
            made,
            frame=made.frame.assign(z=data["e401"].astype(float)),
            instruments=("z",),
            labels={**made.labels, "z": "e401"},
        )
    sample = read(made, kind, "none", 3)  # type: ignore[arg-type]  # kinds by name
    # The reference's folds: the row's number in the file modulo three.
    found = repetition(sample, plan(), 0, np.asarray(sample.ids) % 3)
    solved = next(iter(found.solved.values()))
    assert solved.theta[0] == pytest.approx(expected[0], abs=tolerance)
    assert np.sqrt(solved.covariance[0, 0]) == pytest.approx(expected[1], abs=tolerance)


def test_the_plain_rows_of_the_tests_are_not_degenerate() -> None:
    data = rows()
    assert set(data["b"]) == {0.0, 1.0}
    assert data["t"].corr(data["w"]) > 0.3
