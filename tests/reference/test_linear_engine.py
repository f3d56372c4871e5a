"""Against the engine called directly: same numbers where the engine is right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from estimators._linear.design import build, control_regressors, treatment_regressors
from estimators._linear.engine import Columns, feols, formula, prepare
from estimators._linear.options import SmallSample
from estimators.ols import Ols
from estimators.twfe import Twfe
from tests.build_panel import staggered
from tests.build_request import build_request
from tests.real_command import patience

ROOT = Path(__file__).parents[2]


def engine(data: Any, vcov: Any, weights: str | None = None, **options: Any) -> Any:
    import pyfixest as pf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pf.feols(
            options.pop("fml", "y ~ d + x1 + x2 | u + time"),
            data,
            vcov=vcov,
            weights=weights,
            demeaner=pf.MapDemeaner(fixef_tol=1e-12, fixef_maxiter=100_000),
            **options,
        )


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize(
    ("inference", "clusters", "options", "vcov", "kwargs"),
    [
        ("iid", [], {}, "iid", None),
        ("hetero", [], {}, "HC1", None),
        ("cluster", ["unit"], {}, {"CRV1": "u"}, None),
        ("cluster", ["region"], {}, {"CRV1": "r"}, None),
        ("cluster", ["unit", "time"], {}, {"CRV1": "u+time"}, None),
        ("newey_west", [], {"lags": 2}, "NW", {"lag": 2}),
        ("newey_west", [], {}, "NW", {}),
        ("driscoll_kraay", [], {"lags": 3}, "DK", {"lag": 3}),
        ("driscoll_kraay", [], {}, "DK", {}),
    ],
)
def test_every_inference_equals_the_engines(
    weights, inference, clusters, options, vcov, kwargs
):
    data = staggered(periods=12)
    data["u"] = data["unit"].str[1:].astype(int)
    data["r"] = data["region"].str[1:].astype(int)
    if kwargs is not None:
        kwargs = {"time_id": "time", "panel_id": "u", **kwargs}
    peer = engine(data, vcov, weights, vcov_kwargs=kwargs)
    result = Twfe().estimate(
        build_request(
            data,
            outcome="y",
            treatment="d",
            controls=["x1", "x2"],
            fixed_effects=["unit", "time"],
            inference=inference,
            clusters=clusters,
            options=options,
            unit="unit",
            time="time",
            weights=("analytic", weights) if weights else None,
        )
    )
    rows = result.coefficients.set_index("term")
    tidy = peer.tidy().loc[["d", "x1", "x2"]]
    # the same arithmetic on scaled columns
    assert rows.estimate.to_numpy() == pytest.approx(tidy["Estimate"], rel=1e-10)
    assert rows.std_error.to_numpy() == pytest.approx(tidy["Std. Error"], rel=1e-10)
    assert rows.p_value.to_numpy() == pytest.approx(tidy["Pr(>|t|)"], rel=1e-8)
    assert rows.conf_low.to_numpy() == pytest.approx(tidy["2.5%"], rel=1e-8)
    assert result.scalars["df_t"] == peer._df_t
    assert result.scalars["r2"] == pytest.approx(peer._r2, rel=1e-10)
    assert result.scalars["r2_within"] == pytest.approx(peer._r2_within, rel=1e-10)
    assert result.scalars["r2_adjusted"] == pytest.approx(peer._adj_r2, rel=1e-10)
    if not weights:
        assert result.scalars["rmse"] == pytest.approx(peer._rmse, rel=1e-10)


def by_formula(
    design: Any, columns: Columns, vcov: Any, weights_type: str, **options: Any
) -> Any:
    """`pyfixest.feols` on the same columns, through its formula and model matrix."""
    import pandas as pd

    effects = () if design.slopes else design.fixed_effects
    data = {"y": columns.y}
    data |= {f"x{j}": x for j, x in enumerate(columns.X.T)}
    data |= {f"f{j}": f.codes for j, f in enumerate(effects)}
    data |= {f"c{j}": c.codes for j, c in enumerate(design.clusters)}
    data |= {"t": design.periods, "u": design.unit_codes}
    if design.weights is not None:
        data["w"] = design.scaled_weights()
    import pyfixest as pf

    return pf.feols(
        formula(columns.X.shape[1], len(effects)),
        pd.DataFrame(data),
        vcov=vcov,
        weights="w" if "w" in data else None,
        weights_type=weights_type,
        drop_intercept=bool(design.slopes),
        fixef_rm="none",
        collin_tol=1e-13 * design.n,
        **options,
    )


#: Changes of a request: weights, effects, slopes, columns that repeat one another.
MODELS: dict[str, dict[str, Any]] = {
    "two effects": {},
    "analytic weights": {"weights": ("analytic", "w")},
    "frequency weights": {"weights": ("frequency", "copies")},
    "one effect": {"fixed_effects": ["unit"]},
    "no effects": {"fixed_effects": []},
    "slopes": {"slopes": [("trend", "unit")]},
    "collinear": {"controls": ["x1", "x2", "twice"]},
}


@pytest.mark.parametrize("fixed_effects", ["nonnested", "full", "none"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("inference", "clusters", "vcov", "serial"),
    [
        ("iid", [], "iid", None),
        ("hetero", [], "HC1", None),
        ("cluster", ["unit"], {"CRV1": "c0"}, None),
        ("cluster", ["region", "time"], {"CRV1": "c0+c1"}, None),
        ("newey_west", [], "NW", {"time_id": "t", "panel_id": "u", "lag": 1}),
        ("driscoll_kraay", [], "DK", {"time_id": "t", "panel_id": "u", "lag": 1}),
    ],
)
def test_the_engines_class_gives_what_its_function_gives(
    inference, clusters, vcov, serial, model, fixed_effects
):
    """The same code on the same columns, less a formula and tables."""
    import pyfixest as pf

    data = staggered(units=40, periods=12)
    data["copies"] = 1 + np.arange(len(data)) % 3
    data["trend"] = data["time"] - 2000.0
    data["twice"] = 2.0 * data["x1"]
    asked = {"controls": ["x1", "x2"], "fixed_effects": ["unit", "time"]}
    request = build_request(
        data,
        outcome="y",
        treatment="d",
        inference=inference,
        clusters=clusters,
        options={"lags": 1} if serial else {},
        unit="unit",
        time="time",
        acknowledge=frozenset({"few_clusters"}),
        **asked | MODELS[model],
    )
    design = build(
        request, [*treatment_regressors(request), *control_regressors(request)]
    )
    columns = prepare(design)
    weights_type = "fweights" if model == "frequency weights" else "aweights"
    small = SmallSample(fixed_effects=fixed_effects)
    ssc = pf.ssc(
        k_adj=small.adjust,
        k_fixef=fixed_effects,
        G_adj=small.cluster_adjust,
        G_df=small.two_way,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = feols(design, columns, request.inference, small)
        theirs = by_formula(
            design, columns, vcov, weights_type, vcov_kwargs=serial, ssc=ssc
        )
    assert ours._coefnames == theirs._coefnames
    assert ours._collin_vars == theirs._collin_vars
    assert ours._collin_vars == (["x3"] if model == "collinear" else [])
    # Columns that lie otherwise in memory are summed in another order.
    assert ours._beta_hat == pytest.approx(theirs._beta_hat, rel=1e-11)
    error = np.sqrt(np.diag(theirs._vcov))
    assert np.all(error > 0)
    scale = np.outer(error, error)
    assert np.allclose(ours._vcov / scale, theirs._vcov / scale, rtol=0, atol=1e-11)
    assert ours._df_k == theirs._df_k


def test_without_fixed_effects_the_constant_is_right():
    data = staggered().assign(x1=lambda f: 1e4 + f["x1"])
    peer = engine(data, "HC1", fml="y ~ d + x1").tidy()
    result = Ols().estimate(
        build_request(
            data, outcome="y", treatment="d", controls=["x1"], inference="hetero"
        )
    )
    rows = result.coefficients.set_index("term")
    # x1 sits at 1e4, so the peer's uncentred cross-products lose eight digits
    assert rows.std_error["constant"] == pytest.approx(
        peer.loc["Intercept", "Std. Error"], rel=1e-6
    )
    assert rows.estimate["constant"] == pytest.approx(
        peer.loc["Intercept", "Estimate"], rel=1e-6
    )


def test_gaps_in_time_keep_lags_in_calendar_time():
    data = staggered(periods=12)
    hole = data[~((data["unit"] == "u005") & data["time"].isin([2004, 2005]))]

    def error(frame: Any) -> float:
        request = build_request(
            frame,
            outcome="y",
            treatment="d",
            fixed_effects=["unit", "time"],
            inference="newey_west",
            options={"lags": 1},
            unit="unit",
            time="time",
        )
        return float(Twfe().estimate(request).coefficients.std_error[0])

    X, u, position, units = _by_hand(hole)
    n, k = X.shape
    meat = np.zeros((k, k))
    for g in np.unique(units):
        at = units == g
        score = X[at] * u[at, None]
        distance = np.abs(position[at][:, None] - position[at][None, :])
        meat += score.T @ np.maximum(0, 1 - distance / 2) @ score
    B = np.linalg.inv(X.T @ X)
    levels = hole["unit"].nunique() + 12 - 1
    V = B @ meat @ B * (n - 1) / (n - k - levels) * 12 / 11
    # both exact up to the demeaning tolerance
    assert error(hole) == pytest.approx(np.sqrt(V[0, 0]), rel=1e-8)


def _by_hand(data: Any) -> tuple[Any, Any, Any, Any]:
    import pandas as pd

    dummies = np.hstack(
        [
            pd.get_dummies(data["unit"]).to_numpy(float),
            pd.get_dummies(data["time"]).to_numpy(float),
        ]
    )
    both = data[["y", "d"]].to_numpy(float)
    left = both - dummies @ np.linalg.lstsq(dummies, both, rcond=None)[0]
    y, X = left[:, 0], left[:, 1:]
    b = np.linalg.lstsq(X, y, rcond=None)[0]
    return X, y - X @ b, data["time"].to_numpy(), data["unit"].to_numpy()


def test_formula_has_spaces_and_no_user_text():
    assert formula(2, 2) == "y ~ x0 + x1 | f0 + f1"
    assert formula(1, 0) == "y ~ x0"


SCRIPT = """
import json
from estimators.twfe import Twfe
from tests.build_panel import staggered
from tests.build_request import build_request

data = staggered(units=60, periods=6)
found = []
for effects in (["unit", "time"], ["time", "unit"], ["region_time", "unit"]):
    data["region_time"] = data["region"] + data["time"].astype(str)
    request = build_request(
        data, outcome="y", treatment="d", controls=["x1"], fixed_effects=effects,
        inference="cluster", clusters=["unit"], unit="unit", time="time",
    )
    result = Twfe().estimate(request)
    found.append([result.coefficients.std_error[0].hex(), result.scalars["df_model"]])
print(json.dumps(found))
"""


def test_errors_do_not_depend_on_the_hash_seed():
    """The engine's own count does: it flags other columns as nested by set order."""
    answers = []
    for seed in ("0", "1", "2", "3"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=patience(120),
        )
        answers.append(json.loads(done.stdout.strip().splitlines()[-1]))
    assert answers[0] == answers[1] == answers[2] == answers[3]
    # d, x1 and 6 periods less none: unit effects are nested in the clusters
    assert answers[0][0][1] == answers[0][1][1] == 8
