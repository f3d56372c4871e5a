"""Estimators of difference-in-differences where the truth is known: figures and gates.

The whole of it is `make simulations ONLY=did` (`python -m bench.did_simulation`).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.did_methods import METHODS, Method
from bench.did_simulation import (
    BAND,
    FIRST,
    PAGE,
    PANELS,
    ROOT,
    drawn,
    failures,
    gated,
    newest,
    one,
    run,
    said,
    stored,
    summary,
)
from framework import registry

#: Estimators of effects with a simulation of their own: its file and what it is called.
ELSEWHERE = {
    "double_ml": ("bench/double_ml_simulation.py", "DoubleMl"),
    "dml_mediation": (
        "tests/unit/test_dml_mediation.py",
        "test_effects_that_go_through_the_mediator_are_found",
    ),
    "dynamic_spatial_panel": (
        "tests/unit/test_dynamic_spatial.py",
        "test_the_correction_takes_most_of_the_bias_and_intervals_cover",
    ),
    "continuous_did": (
        "tests/simulation/test_continuous_did_simulation.py",
        "test_no_bias_and_intervals_that_cover",
    ),
    "triple_did": (
        "tests/simulation/test_triple_simulation.py",
        "test_no_bias_and_coverage_as_announced",
    ),
    "logit": ("tests/unit/test_logit.py", "test_known_truth"),
    "probit": ("tests/unit/test_probit.py", "test_known_truth"),
    "pretrend_power": (
        "tests/unit/test_pretrend_power.py",
        "test_power_and_bias_by_drawing",
    ),
    "slx_decay": (
        "tests/unit/test_spillover_did.py",
        "test_intervals_of_the_decay_cover",
    ),
    "spatial_panel": ("bench/spatial_simulation.py", "maximise"),
    "truncated": ("tests/simulation/test_efficiency_simulation.py", "bootstrap"),
}
#: Estimators of effects that have no number of their own, and whose numbers they are.
WITHOUT = {"ols": "twfe without units", "leave_one_out": "any estimator's, on a subset"}
#: Where coverage must be gated, not only reported; few treated units keep it from
#: `interactive_fe`, `matrix_completion` and `synthetic_control`.
GATED = {
    "twfe",
    "event_study",
    "callaway_santanna",
    "sun_abraham",
    "imputation",
    "did2s",
    "etwfe",
    "lp_did",
    "stacked",
    "dechaisemartin_dhaultfoeuille",
    "synthetic_did",
    "iv_2sls",
    "poisson",
    "binned_interaction",
    "mediation",
    "gelbach",
    "spillover_did",
}


@pytest.fixture(scope="module")
def figures() -> pd.DataFrame:
    return stored()


def test_every_number_shows_what_it_has_to(figures: pd.DataFrame) -> None:
    """Bias within three Monte Carlo errors, coverage within .025 where it is gated."""
    assert failures(figures) == []


def test_every_method_has_its_panels(figures: pd.DataFrame) -> None:
    held = figures.groupby(["design", "method"], sort=False)
    assert list(held.groups) == [(m.design, m.name) for m in METHODS]
    for method in METHODS:
        rows = held.get_group((method.design, method.name))
        assert (rows["first_seed"] == FIRST).all()
        assert (rows["last_seed"] == FIRST + PANELS - 1).all()
        assert (rows["panels"] + rows["refused"] == PANELS).all()


def test_estimators_of_staggered_designs_and_inference_are_gated(
    figures: pd.DataFrame,
) -> None:
    rows = figures[[gated(row) for row in figures.itertuples()]]
    assert (rows["panels"] >= 1000).all()
    assert (rows["treated"] >= 100).all()
    assert rows["coverage"].between(0.95 - BAND, 0.95 + BAND).all()
    names = {n.strip() for text in rows["method"] for n in text.split(",")}
    assert names >= GATED


def test_no_estimator_of_an_effect_is_without_a_simulation() -> None:
    simulated = {n.strip() for m in METHODS for n in m.name.split(",")}
    effects = {
        name
        for name in registry.names("estimator")
        if registry.estimator(name).estimates == "treatment"
    }
    missing = effects - simulated - set(ELSEWHERE) - set(WITHOUT)
    assert not missing, f"simulate {missing}, or say in ELSEWHERE where that is done"
    assert set(ELSEWHERE) | set(WITHOUT) <= effects - simulated
    for file, word in ELSEWHERE.values():
        assert word in (ROOT / file).read_text(encoding="utf-8"), file


@pytest.mark.parametrize(
    "method", METHODS, ids=[f"{m.design}-{m.name}" for m in METHODS]
)
def test_the_first_panel_gives_the_stored_numbers(
    method: Method, figures: pd.DataFrame
) -> None:
    rows = figures[
        (figures["design"] == method.design) & (figures["method"] == method.name)
    ]
    found, _ = one(method, FIRST)
    assert [f.quantity for f in found] == rows["quantity"].to_list()
    for f, (_, row) in zip(found, rows.iterrows(), strict=True):
        # Nine digits are stored; solvers stop at 1e-8 of the estimate at the latest.
        assert row["estimate"] == pytest.approx(f.estimate, rel=1e-6, nan_ok=True)
        assert row["error"] == pytest.approx(f.std_error, rel=1e-6, nan_ok=True)
        assert row["covered"] == f.covered


def test_a_few_other_panels_agree(tmp_path: Path) -> None:
    """Staggered adoption on panels that the figures do not have."""
    methods = [
        m for m in METHODS if m.design == "staggered" and m.claim.coverage == "gated"
    ]
    rows = []
    for method in methods:
        for seed in range(FIRST, FIRST + 15):
            found, treated = one(method, 5000 + seed)
            rows.append(
                {
                    "design": method.design,
                    "method": method.name,
                    "seed": seed,
                    "treated": treated,
                    "found": [
                        (f.quantity, f.truth, f.estimate, f.std_error, f.covered)
                        for f in found
                    ],
                }
            )
    few = summary(rows, methods)
    estimated = few[np.isfinite(few["bias"])]
    # four and a half errors of t(14): a false alarm in 2,000
    assert (estimated["bias"].abs() < 4.5 * estimated["mc_error"]).all()
    # 95 % less six binomial deviations at 15 panels
    assert (few["coverage"] >= 0.6).all()


def test_a_run_that_was_stopped_makes_only_what_is_missing(tmp_path: Path) -> None:
    methods = [m for m in METHODS if m.name in {"sun_abraham", "etwfe"}]
    path = tmp_path / "drawn.jsonl"
    assert run(FIRST, FIRST + 2, path, methods) == 2 * len(methods)
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole[:-20], encoding="utf-8")
    assert len(list(drawn(path))) == 2 * len(methods) - 1
    assert run(FIRST, FIRST + 2, path, methods) == 1
    assert path.read_text(encoding="utf-8") == whole
    assert run(FIRST, FIRST + 2, path, methods) == 0


def test_the_gates_can_fail(figures: pd.DataFrame) -> None:
    names = figures["design"] + "/" + figures["method"] + "/" + figures["quantity"]
    here = names == "staggered/sun_abraham/effect on the treated"
    (row,) = figures[here].index
    error = figures.loc[row, "mc_error"]
    for column, value, said_ in (
        ("bias", 3.01 * error, "bias 3.01 errors"),
        ("coverage", 0.924, "coverage 0.924"),
        ("coverage", 0.976, "coverage 0.976"),
        ("panels", 999, "999 panels"),
        ("treated", 99, "99 treated are no gate"),
    ):
        doctored = figures.copy()
        doctored.loc[row, column] = value
        (message,) = failures(doctored)
        assert said_ in message
    for asked, column in (("shown", "asked_bias"), ("too low", "asked_coverage")):
        doctored = figures.copy()
        doctored.loc[row, column] = asked
        assert failures(doctored)


def test_the_page_says_what_the_panels_show(figures: pd.DataFrame) -> None:
    page = PAGE.read_text(encoding="utf-8").splitlines()
    missing = [line for line in said(figures) if line not in page]
    assert missing == []


def test_a_summary_is_of_the_lines(tmp_path: Path) -> None:
    methods = [m for m in METHODS if m.name == "etwfe"]
    path = tmp_path / "drawn.jsonl"
    run(FIRST, FIRST + 3, path, methods)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    found = summary(lines, methods)
    numbers = np.array([[q[1:] for q in line["found"]] for line in lines])
    off = numbers[:, :, 1] - numbers[:, :, 0]
    assert found["bias"].to_numpy() == pytest.approx(off.mean(axis=0))
    spread = off.std(axis=0, ddof=1) / np.sqrt(3)
    assert found["mc_error"].to_numpy() == pytest.approx(spread)
    assert found["coverage"].to_numpy() == pytest.approx(numbers[:, :, 3].mean(axis=0))
    # another estimate in any panel is another digest
    lines[1]["found"][0][2] += 1e-4
    other = summary(lines, methods)["digest"]
    assert other[0] != found["digest"][0]
    assert other[1] == found["digest"][1]


def test_a_method_that_is_not_drawn_again_keeps_its_numbers() -> None:
    methods = [m for m in METHODS if m.name in {"sun_abraham", "etwfe"}][:2]
    first, second = methods
    known = pd.DataFrame(
        {
            "design": [first.design, second.design],
            "method": [first.name, second.name],
            "quantity": "effect",
            "asked_bias": "reported",
            "asked_coverage": "reported",
            "panels": [1000, 1000],
            "bias": [1.0, 2.0],
        }
    )
    more = known[1:].assign(panels=1200, bias=3.0)
    fewer = known[1:].assign(panels=20, bias=4.0)
    for found, biases in (
        (known[:0], [1.0, 2.0]),
        (more, [1.0, 3.0]),
        (fewer, [1.0, 2.0]),
    ):
        kept = newest(found, known, methods)
        assert kept["bias"].to_list() == biases
        # what is asked is asked of old numbers, too
        assert kept["asked_coverage"].to_list() == ["gated", "gated"]
    assert newest(more, None, methods)["bias"].to_list() == [3.0]
