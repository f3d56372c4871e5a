"""Double machine learning: what carries the nuisances, overlap, omitted confounders."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from estimators._double.confounding import bound
from estimators._math.carried import classes, first_order
from estimators.double_ml import DoubleMl
from framework.errors import EstimandError
from framework.render.group_figures import group_sketches
from framework.render.learned_figures import (
    along_sketches,
    confounding_sketches,
    propensity_sketches,
)
from framework.render.run import Coefficient, Drawing, Frame
from framework.render.style import save
from framework.result import Result
from tests.build_double import panel, panel_request, request, rows
from tests.reference.test_double_ml import CASES, ours, theirs

FAST: dict[str, Any] = {"learner": "linear", "folds": 3, "repetitions": 1}
#: The same sums in another order: rounding.
SAME = 1e-10


def estimated(made: Any, **options: Any) -> Result:
    return DoubleMl(**(FAST | options)).estimate(made)


# -- which covariates carry the nuisances -----------------------------------------------


def test_shares_of_a_crossed_design_are_those_of_analysis_of_variance() -> None:
    a, b = np.meshgrid([0.0, 1.0], np.arange(5.0), indexing="ij")
    X = np.column_stack([np.tile(a.ravel(), 400), np.tile(b.ravel(), 400)])
    values = 3 * X[:, 0] + X[:, 1] ** 2
    shares = first_order(values, classes(X))
    parts = np.array([9 / 4, np.var(np.arange(5.0) ** 2)])
    # Chance's share of five classes in 4,000 rows is 1e-3; it is taken out.
    np.testing.assert_allclose(shares, parts / parts.sum(), atol=1e-3)


def test_a_curve_without_a_slope_is_carried_and_noise_is_not() -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(5_000, 2))
    shares = first_order(X[:, 0] ** 2, classes(X))
    assert shares[0] > 0.5  # a line would carry nothing
    # Ten classes of noise in 5,000 rows carry 2e-3 by chance.
    assert shares[1] < 0.01
    assert not first_order(np.ones(5_000), classes(X)).any()


def test_classes_keep_equal_values_together_in_any_order() -> None:
    rng = np.random.default_rng(2)
    X = np.column_stack([np.repeat([0.0, 1.0], [95, 5]), rng.integers(0, 40, 100)])
    code = classes(X)
    assert code[:, 0].tolist() == [0] * 95 + [1] * 5
    assert code[:, 1].max() <= 9
    assert pd.Series(code[:, 1]).groupby(X[:, 1]).nunique().max() == 1
    order = rng.permutation(100)
    np.testing.assert_array_equal(classes(X[order]), code[order])


def test_every_nuisance_says_what_carries_it() -> None:
    carried = estimated(request("plr")).frames["carried"]
    assert list(carried) == ["nuisance", "variable", "share"]
    of_y = carried[carried["nuisance"] == "y"].set_index("variable")["share"]
    assert of_y.idxmax() == "x1"  # y follows x1 with slope one and more
    assert set(carried["nuisance"]) == {"y", "d"}


def test_the_share_of_a_01_treatment_that_is_left_is_said() -> None:
    result = estimated(request("irm"), kind="irm")
    p = result.scalars["treatment_residual_share"]
    assert 0.5 < p < 1.05  # three weak controls of a logit take some of it
    assert (
        "treatment_residual_share"
        not in estimated(request("iivm"), kind="iivm").scalars
    )


# -- omitted confounders ------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plr", "irm"])
def test_benchmarks_and_bounds_are_doublemls(kind: str) -> None:
    cls, _, settings = CASES[kind]
    made = request(kind)
    sample, fold, _ = ours(made, kind)
    _, _, model = theirs(cls, sample, fold, **settings)
    made = replace(made, seed=1)
    result = estimated(
        made, kind=kind, normalize=False, benchmarks=["x1", ["x2", "x3"]]
    )
    frame = result.frames["benchmarks"].set_index("controls")
    for name, columns in (("x1", ["x0"]), ("x2, x3", ["x1", "x2"])):
        wanted = model.sensitivity_benchmark(columns).iloc[0]
        row = frame.loc[name]
        for our, their in (
            ("outcome_share", "cf_y"),
            ("treatment_share", "cf_d"),
            ("rho", "rho"),
            ("shift", "delta_theta"),
        ):
            assert row[our] == pytest.approx(wanted[their], rel=SAME), our
    model.sensitivity_analysis(cf_y=0.05, cf_d=0.08, rho=1.0)
    side = "lower" if model.coef[0] > 0 else "upper"
    theirs_bound = float(model.sensitivity_params["theta"][side][0])
    grid = result.frames["confounding"]
    start = float(grid["bound"].iloc[0])
    assert start == result.coefficients["estimate"].iloc[0]
    far = grid.iloc[-1]
    y, d = far["outcome_share"], far["treatment_share"]
    scale = (start - far["bound"]) / np.sqrt(y * d / (1 - d)) * np.sign(start)
    assert bound(start, scale, 0.05, 0.08) == pytest.approx(theirs_bound, rel=SAME)


def test_benchmarks_that_are_no_controls_are_refused() -> None:
    with pytest.raises(EstimandError, match="is called 'income'") as caught:
        estimated(request("plr"), benchmarks=["income"])
    assert "'x1', 'x2', 'x3'" in str(caught.value)
    with pytest.raises(EstimandError, match="nothing is left to learn from"):
        estimated(request("plr"), benchmarks=[["x1", "x2", "x3"]])
    with pytest.raises(ValidationError, match="kind pliv has no bounds"):
        DoubleMl(kind="pliv", benchmarks=["x1"])


def test_a_benchmark_takes_its_unit_means_with_it() -> None:
    made = panel_request()
    result = estimated(made, transform="correlated_random_effects", benchmarks=["x1"])
    without = estimated(
        panel_request(controls=("x2",)), transform="correlated_random_effects"
    )
    shift = result.frames["benchmarks"]["shift"].iloc[0]
    full = result.coefficients["estimate"].iloc[0]
    # Folds are by unit, so that both are the same fit: rounding.
    assert full + shift == pytest.approx(
        without.coefficients["estimate"].iloc[0], rel=SAME
    )


# -- figures ------------------------------------------------------------------------------


def drawn(result: Result, kind: str, of: Any) -> Any:
    """The figure of a result, as a run's folder would give it."""
    frames = {
        name: Frame(tuple(frame), tuple(tuple(map(str, r)) for r in frame.to_numpy()))
        for name, frame in result.frames.items()
    }
    (plot,) = [p for p in result.plots if p.kind == kind]
    column = SimpleNamespace(
        plots=(Drawing(plot.kind, plot.frame, plot.title, plot.options),),
        line="main",
        value="",
        outcome="y",
        treatment=("d",),
        confidence=0.95,
        coefficients=tuple(
            Coefficient(
                *(row[c] for c in ("equation", "estimand", "term")),
                *(row[c] for c in ("estimate", "std_error", "p_value")),
                *(row[c] for c in ("conf_low", "conf_high")),
                index=tuple(
                    (c, str(row[c])) for c in ("group", "quantile") if c in row
                ),
            )
            for _, row in result.coefficients.iterrows()
        ),
    )
    run = SimpleNamespace(frame=lambda _, name: frames.get(name), label=str)
    heading = SimpleNamespace(name="h", title="H", columns=(column,))
    (sketch,) = of(run, heading)
    assert save(sketch, ("png",))["png"].startswith(b"\x89PNG")
    return sketch


def test_overlap_and_calibration_are_drawn_of_both_arms() -> None:
    result = estimated(request("irm"), kind="irm")
    sketch = drawn(result, "propensity", propensity_sketches)
    left, right = sketch.draw().axes
    said = " ".join(text.get_text() for text in left.texts)
    overlap = result.frames["overlap"]
    assert f"treated ({overlap['rows_1'].sum()})" in said
    heights = np.array([bar.get_height() for bar in left.patches])
    np.testing.assert_allclose(
        [heights[heights > 0].sum(), heights.sum()], [1, 0], atol=1e-12
    )
    dots = [line for line in right.lines if line.get_marker() == "o"]
    assert len(dots) == len(overlap)


def test_differences_draw_their_propensity() -> None:
    made = panel_request(panel(120))
    result = estimated(
        replace(made, acknowledge=frozenset({"poor_overlap"})), kind="did_multi"
    )
    assert {p.kind for p in result.plots} == {"propensity"}
    none = estimated(
        replace(made, acknowledge=frozenset({"poor_overlap"})),
        kind="did_multi",
        figures=[],
    )
    assert {p.kind for p in none.plots} == set()


def test_the_contour_of_zero_passes_through_the_robustness_value() -> None:
    result = estimated(request("plr"), benchmarks=["x2"], figures=["confounding"])
    sketch = drawn(result, "confounding", confounding_sketches)
    (axes,) = sketch.draw().axes
    said = " ".join(text.get_text() for text in axes.texts)
    robust = result.scalars["robustness_value"]
    assert "x2 (" in said
    assert f"{robust:.1%}" in said
    zero = axes.collections[-1].get_paths()[0].vertices
    # The contour is drawn between grid points, 41 to a side.
    assert np.min(np.abs(zero - robust).max(axis=1)) < 0.02


def test_figures_are_those_asked_for() -> None:
    assert estimated(request("plr")).plots == ()
    kinds = [
        p.kind
        for p in estimated(request("plr"), figures=["nuisances", "confounding"]).plots
    ]
    assert kinds == ["heatmap", "confounding"]


def test_the_note_claims_no_small_sample_factor() -> None:
    """Robust errors are sums of squared influence functions: nothing is HC1 there."""
    from framework.data.words import said_inference

    said = said_inference({"name": "hetero"})
    assert said == "heteroskedasticity-robust (HC1)"
    assert DoubleMl().names_errors("hetero", said) == "heteroskedasticity-robust"
    clustered = said_inference({"name": "cluster", "by": "city"})
    assert DoubleMl().names_errors("cluster", clustered) == "clustered by city"


# -- bands ----------------------------------------------------------------------------------


def moderated(moderator: np.ndarray, kind: str = "irm", **fields: Any) -> Any:
    """`x2` moderates: a request as the framework makes it of `interact: x2`."""
    data = rows(1_500)
    d = "b" if kind == "irm" else "d"
    data = data.assign(m=moderator[: len(data)])
    data["p"] = data[d] * data["m"]
    data["yb"] += 0.4 * data["p"]
    data["y"] += 0.4 * data["p"]
    made = request(kind, data, controls=("x1", "x2", "x3", "m"), **fields)
    alias = {label: a for a, label in made.labels.items()}
    frame = made.frame.assign(p=data["p"].to_numpy())
    treatment = made.treatment
    assert treatment is not None
    return replace(
        made,
        frame=frame,
        labels={**made.labels, "p": f"{d} × m"},
        treatment=replace(treatment, judged=("p",), moderators=(alias["m"],)),
        estimand=made.estimand,
    )


@pytest.mark.parametrize("kind", ["plr", "irm"])
def test_the_effect_along_a_moderator_is_its_line_with_a_band(kind: str) -> None:
    m = np.random.default_rng(5).normal(size=1_500)
    result = estimated(moderated(m, kind), kind=kind)
    line = result.frames["cate"]
    slope = np.diff(line["estimate"]) / np.diff(line["value"])
    table = result.coefficients.set_index("estimand")
    # One split: the line is the coefficients' own, up to rounding.
    np.testing.assert_allclose(slope, table.loc["interaction", "estimate"], rtol=1e-9)
    truth = 0.5 + 0.4 * line["value"]
    assert ((line["band_low"] < truth) & (truth < line["band_high"])).all()
    assert (line["band_high"] - line["conf_high"] > 0).all()
    # A line in one moderator has two free numbers: Scheffe's bound is sqrt(5.99).
    critical = (line["band_high"] - line["estimate"]) / line["std_error"]
    assert 1.96 < critical.iloc[0] < np.sqrt(5.992) * 1.03
    sketch = drawn(result, "along", along_sketches)
    (axes,) = sketch.draw().axes
    assert "at once" in " ".join(text.get_text() for text in axes.texts)


def test_bands_of_groups_hold_for_all_at_once() -> None:
    m = np.random.default_rng(6).integers(0, 4, 1_500).astype(float)
    result = estimated(moderated(m, estimand=("by_group",)), kind="irm")
    bands = result.frames["bands"]
    assert len(bands) == 4
    table = result.coefficients
    reach = (bands["conf_high"] - bands["estimate"]) / table["std_error"]
    # Four independent groups: the 95 % point of the largest of four is 2.491; 999
    # draws give it to about 0.07.
    assert reach.iloc[0] == pytest.approx(2.491, abs=0.2)
    assert any(
        "2.4" in n or "2.5" in n or "2.6" in n for n in result.notes if "bands" in n
    )
    assert "cate" not in result.frames
    sketch = drawn(result, "groups", group_sketches)
    (axes,) = sketch.draw().axes
    # A point, an interval and a band with two ends for each.
    assert [text.get_text() for text in axes.get_yticklabels()] == list(bands["group"])
    assert sketch.description.count(";") == 3
    assert "at once" in " ".join(text.get_text() for text in axes.texts)


def test_effects_on_quantiles_are_drawn_with_their_band() -> None:
    result = estimated(request("irm", rows(1_200)), kind="qte", quantiles=(0.25, 0.75))
    (axes,) = drawn(result, "groups", group_sketches).draw().axes
    said = [text.get_text() for text in axes.get_yticklabels()]
    assert said == ["quantile 0.25", "quantile 0.75"]
    one = estimated(request("irm"), kind="qte", quantiles=(0.5,))
    assert not [plot for plot in one.plots if plot.kind == "groups"]


def test_one_effect_has_no_band() -> None:
    assert "bands" not in estimated(request("plr")).frames
