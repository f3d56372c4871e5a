"""Known truth: where efficiency is known, the scores find it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from estimators.steps.radial import Radial
from estimators.steps.sbm import Sbm
from framework.panel import Panel


def frame(n: int, seed: int) -> pd.DataFrame:
    """Cobb-Douglas with efficiency exp(-u), u half-normal; decreasing returns."""
    rng = np.random.default_rng(seed)
    x1, x2 = rng.uniform(1, 10, (2, n))
    truth = np.exp(-np.abs(rng.normal(0, 0.3, n)))
    return pd.DataFrame(
        {"x1": x1, "x2": x2, "y": truth * x1**0.4 * x2**0.4, "truth": truth}
    )


def test_one_input_and_one_output_give_the_truth() -> None:
    """Constant returns: with somebody on the frontier every score is the truth."""
    rng = np.random.default_rng(2)
    truth = np.append(1.0, rng.uniform(0.2, 0.99, 60))
    x = np.exp(rng.normal(0, 1, 61))
    data = pd.DataFrame({"x": x, "y": 3 * truth * x})
    out = Sbm(inputs="x", outputs="y", returns="constant", frontier="pooled").apply(
        Panel(data), "e", frozenset()
    )
    np.testing.assert_allclose(out.panel.frame["e"], truth, rtol=1e-12)


def test_a_frontier_that_moves_each_year_needs_a_yearly_frontier() -> None:
    """Technical progress of 10% a year: yearly finds efficiency, pooled mixes both."""
    rng = np.random.default_rng(4)
    truth = rng.uniform(0.3, 0.95, (40, 3))
    truth[0] = 1
    x = np.exp(rng.normal(0, 1, (40, 3)))
    data = pd.DataFrame(
        {
            "city": np.repeat(np.arange(40), 3),
            "year": np.tile([2000, 2001, 2002], 40),
            "x": x.ravel(),
            "y": (truth * x * 1.1 ** np.arange(3)).ravel(),
        }
    )
    found = {
        frontier: Sbm(inputs="x", outputs="y", returns="constant", frontier=frontier)
        .apply(Panel(data, "city", "year"), "e", frozenset())
        .panel.frame["e"]
        .to_numpy()
        .reshape(40, 3)
        for frontier in ("yearly", "pooled", "sequential")
    }
    np.testing.assert_allclose(found["yearly"], truth, rtol=1e-12)
    np.testing.assert_allclose(found["sequential"], truth, rtol=1e-12)
    np.testing.assert_allclose(
        found["pooled"], truth * 1.1 ** (np.arange(3) - 2), rtol=1e-12
    )


@pytest.mark.slow
def test_scores_are_above_the_truth_and_come_down_to_it() -> None:
    """The frontier lies inside the technology; the bias shrinks with units.

    Banker (1993). Output orientation and one output: the score is Farrell's measure
    but for input slacks, which a frontier without corners does not have.
    """
    bias = {}
    for n in (50, 400):
        data = frame(n, seed=n)
        out = Sbm(
            inputs=["x1", "x2"],
            outputs="y",
            returns="variable",
            frontier="pooled",
            orientation="output",
        ).apply(Panel(data), "e", frozenset())
        error = out.panel.frame["e"] - data["truth"]
        assert error.min() > -1e-12
        bias[n] = error.mean()
    assert bias[400] < bias[50] / 2
    assert bias[400] < 0.05


@pytest.mark.slow
def test_the_bootstrap_takes_most_of_the_bias_away() -> None:
    """Simar and Wilson (1998): the corrected score is nearer to the truth on average.

    60 units, known frontier, variable returns; three samples for the Monte Carlo.
    """
    raw, corrected, inside = [], [], []
    for seed in range(3):
        data = frame(60, seed)
        out = Radial(
            inputs=["x1", "x2"],
            outputs="y",
            returns="variable",
            frontier="pooled",
            orientation="output",
            bootstrap=200,
            seed=seed,
        ).apply(Panel(data), "e", frozenset())
        raw.append((out.panel.frame["e"] - data["truth"]).mean())
        corrected.append((out.panel.frame["e_corrected"] - data["truth"]).mean())
        table = out.frames["bootstrap"]
        inside.append(
            ((table["low"] <= data["truth"]) & (data["truth"] <= table["high"])).mean()
        )
        assert (table["bias"] > 0).all()
    assert np.mean(raw) > 0.02
    assert abs(np.mean(corrected)) < 0.6 * np.mean(raw)
    # Nominal 0.95; known to be too low in small samples, far above chance.
    assert np.mean(inside) > 0.7
