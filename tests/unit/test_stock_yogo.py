"""Stock and Yogo's tables against what they are defined by."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import chi2, ncx2, norm, poisson

from estimators._math.stock_yogo import stock_yogo


def values(criterion: str, treatments: int, instruments: int) -> dict[float, float]:
    return {
        c.threshold: c.value
        for c in stock_yogo(treatments, instruments)
        if c.criterion == criterion
    }


def relative_bias(L: int, strength: float) -> float:
    """Of one treatment: (L - 2) E[1 / chi2_L(strength)], by Stein's lemma."""
    j = np.arange(2_000)
    mean = np.sum(poisson.pmf(j, strength / 2) / (L + 2 * j - 2))
    return float((L - 2) * mean)


def size(L: int, strength: float) -> float:
    """Of the nominal 5 % test with first-stage errors equal to those of the outcome."""
    root = np.sqrt(strength)
    x = norm.ppf((np.arange(1_000) + 0.5) / 1_000)
    s = np.zeros(1) if L == 1 else chi2.ppf((np.arange(150) + 0.5) / 150, L - 1)
    X, S = np.meshgrid(x, s)
    ZW, WW = X * (X + root) + S, (X + root) ** 2 + S
    t2 = ZW**2 * WW / (root * (X + root)) ** 2
    return float(np.mean(t2 > chi2.ppf(0.95, 1)))


def bound(L: int, strength: float) -> float:
    """95 % point of the F when its noncentrality is at the bound."""
    return float(ncx2.ppf(0.95, L, strength) / L)


@pytest.mark.parametrize("L", [3, 4, 5, 8, 13, 20, 30])
def test_bias_of_one_treatment_is_derived(L):
    for threshold, value in values("bias", 1, L).items():
        strength = brentq(lambda m, b=threshold: relative_bias(L, m) - b, 1e-6, 2_000)
        # theirs are drawn, which shows at L = 3, where 1 / chi2 has no variance
        assert bound(L, strength) == pytest.approx(value, rel=2.5e-2)


@pytest.mark.parametrize("L", [1, 3, 10])
def test_size_of_one_treatment_is_derived(L):
    found = values("size", 1, L)
    for threshold in (0.10, 0.15, 0.20, 0.25):
        strength = brentq(lambda m, b=threshold: size(L, m) - b, 0.2, 2_000, xtol=1e-3)
        # a grid here and draws there; their worst correlation may be below one
        assert bound(L, strength) == pytest.approx(found[threshold], rel=4e-2)


def test_where_the_tables_end():
    assert stock_yogo(1, 1)[0].value == 16.38
    assert {c.criterion for c in stock_yogo(1, 2)} == {"size"}
    assert {c.criterion for c in stock_yogo(2, 4)} == {"size", "bias"}
    assert {c.criterion for c in stock_yogo(3, 5)} == {"bias"}
    assert stock_yogo(1, 31) == ()
    assert stock_yogo(4, 9) == ()
    # as ivreg2 prints them
    assert values("size", 2, 4)[0.10] == 16.87
    assert values("bias", 2, 4)[0.05] == 11.04
