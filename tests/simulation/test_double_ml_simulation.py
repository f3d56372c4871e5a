"""Known truth: double machine learning finds it where a regression on levels does not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from estimators.double_ml import DoubleMl
from tests.build_double import EFFECT, panel, panel_request, request, rows

#: Monte Carlo draws of each design: enough for bands of four standard errors to see a
#: bias of half a sampling error. Coverage is gated by the benchmark, from 1,000 draws.
DRAWS = 30


def within_bands(estimates: np.ndarray, truth: float) -> bool:
    band = 4 * estimates.std(ddof=1) / np.sqrt(len(estimates))
    return bool(abs(estimates.mean() - truth) < band)


def drawn(kind: str, n: int, **options: object) -> tuple[np.ndarray, np.ndarray]:
    found = []
    for seed in range(DRAWS):
        made = request(kind, rows(n, seed=100 + seed))
        result = DoubleMl(kind=kind, folds=5, repetitions=1, **options).estimate(made)
        found.append(result.coefficients.iloc[0][["estimate", "std_error"]])
    numbers = np.array(found, dtype=float)
    return numbers[:, 0], numbers[:, 1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["irm", "pliv", "iivm"])
def test_the_truth_is_found(kind: str) -> None:
    """Compliers' effect is everybody's; the hidden part of `e` does not reach `z`."""
    estimate, error = drawn(kind, 600, learner="linear")
    assert within_bands(estimate, EFFECT)
    # Standard errors are the spread over draws, which 30 draws know to 13 %.
    assert 0.6 < error.mean() / estimate.std(ddof=1) < 1.6


@pytest.mark.slow
def test_a_curved_confounder_is_learned_and_not_by_a_line() -> None:
    learned, straight = [], []
    for seed in range(8):
        data = rows(800, seed=300 + seed)
        wave = 1.5 * np.sin(2 * data["x1"])
        data["d"] += wave
        data["y"] += (EFFECT + 1) * wave
        made = request("plr", data)
        for learner, found in (({"boosting": 60}, learned), ("linear", straight)):
            result = DoubleMl(learner=learner, folds=3, repetitions=1).estimate(made)
            found.append(result.coefficients["estimate"].iloc[0])
    # Least squares takes the wave for the treatment's: half of the effect again.
    assert np.mean(straight) - EFFECT > 0.25
    # What boosting leaves of it with 530 rows to learn from.
    assert abs(np.mean(learned) - EFFECT) < 0.1


@pytest.mark.parametrize(
    "transform",
    ["none", "first_difference", "within", "two_way", "correlated_random_effects"],
)
def test_transforms_remove_unit_effects(transform: str) -> None:
    """Unit effects move treatment, a control and the outcome; only `none` is fooled."""
    estimates = []
    for seed in range(DRAWS):
        made = panel_request(panel(units=60, seed=200 + seed))
        result = DoubleMl(
            learner="linear", transform=transform, folds=5, repetitions=1
        ).estimate(made)
        estimates.append(result.coefficients["estimate"].iloc[0])
    found = np.array(estimates)
    if transform == "none":
        # Adopters have larger effects of their own: the bias is several tenths.
        assert found.mean() - EFFECT > 0.2
    else:
        assert within_bands(found, EFFECT)


def test_first_differences_miss_effects_that_grow() -> None:
    data = panel(units=200)
    growing = data["d"] * (data["time"] - data["first"]).where(data["d"] > 0, 0.0)
    data["y"] = data["y"] + growing
    numbers: dict[str, float] = {}
    for transform in ("first_difference", "within"):
        made = panel_request(data)
        result = DoubleMl(learner="linear", transform=transform).estimate(made)
        numbers[transform] = float(result.coefficients["estimate"].iloc[0])
    mean_effect = EFFECT + growing[data["d"] > 0].mean()
    # The note's sentence as numbers: the impact, not the mean of what came later.
    assert mean_effect > EFFECT + 1
    assert numbers["first_difference"] < EFFECT + 0.1
    assert numbers["within"] > numbers["first_difference"] + 0.3


def test_groups_have_their_own_effects() -> None:
    """GATE of the interactive model: truth 0 and 1, each within four errors."""
    from dataclasses import replace

    data = rows(3000)
    data["half"] = (data["x3"] > 0).astype(float)
    data["yb"] = data["yb"] + data["b"] * (data["half"] - EFFECT)
    data["product"] = data["b"] * data["half"]
    made = request(
        "irm", data, controls=("x1", "x2", "x3", "half"), judged=("product",)
    )
    alias = {label: a for a, label in made.labels.items()}
    assert made.treatment is not None
    made = replace(
        made,
        estimand=("by_group",),
        treatment=replace(made.treatment, moderators=(alias["half"],)),
    )
    result = DoubleMl(kind="irm", learner="linear", repetitions=1).estimate(made)
    table: pd.DataFrame = result.coefficients
    off = (table["estimate"] - [0.0, 1.0]) / table["std_error"]
    assert (off.abs() < 4).all()
