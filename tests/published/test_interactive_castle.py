"""Interactive fixed effects on the castle doctrine, whose least squares is flat."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares

from estimators._math.low_rank import STEPS, Completed, complete
from estimators._math.two_way_fit import fit
from estimators.interactive_fe import InteractiveFe
from tests.build_cohorts import request_of

castle = pytest.importorskip("causaldata", reason="causaldata is not installed").castle

#: In standard deviations of the two-way residuals: where a sum of squares is flat to
#: rounding (1e-16), its arguments are known to the root of that.
SAME = 1e-6


def states() -> pd.DataFrame:
    data = castle.load_pandas().data[["sid", "year", "l_homicide", "post"]]
    first = data[data.post == 1].groupby("sid").year.min()
    return pd.DataFrame(
        {
            "unit": data.sid,
            "time": data.year,
            "y": data.l_homicide.astype(float),
            "d": data.post.astype(float),
            "first": data.sid.map(first).fillna(np.inf).astype(float),
        }
    )


def cells(held: int) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes (50, 11) and untreated cells but for so many leads of treated states."""
    data = states()
    Y = data.pivot(index="unit", columns="time", values="y").to_numpy()
    to = (data["time"] - data["first"]).to_numpy().reshape(Y.shape)
    return Y, (to < -held) | np.isinf(to)


def begun(
    Y: np.ndarray, observed: np.ndarray, seed: int, far: float = 0.3
) -> tuple[Completed, float]:
    """The two-way fit and the size of what it leaves.

    For other seeds than zero with a random factor, `far` such sizes large.
    """
    first = fit(Y, observed.astype(float), np.empty((0, *Y.shape)))
    fitted = first.predict()
    size = float(np.sqrt(np.mean(np.square((Y - fitted)[observed]))))
    if seed:
        rng = np.random.default_rng(seed)
        random = rng.normal(size=(len(Y), 1)) @ rng.normal(size=(1, Y.shape[1]))
        fitted = fitted + far * size * random
    return Completed(fitted, first.beta, np.zeros_like(Y), 0), size


def projected(
    Y: np.ndarray, observed: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, float]:
    """Variable projection: a search over periods and factor, units solved exactly."""

    def residuals(theta: np.ndarray) -> np.ndarray:
        xi, factor = theta.reshape(2, -1)
        out = np.empty_like(Y)
        B = np.column_stack([np.ones(len(xi)), factor])
        for i, seen in enumerate(observed):
            own = np.linalg.lstsq(B[seen], (Y[i] - xi)[seen], rcond=None)[0]
            out[i] = Y[i] - xi - B @ own
        return out

    found = least_squares(
        lambda theta: residuals(theta)[observed],
        start,
        xtol=1e-15,
        ftol=1e-15,
        gtol=1e-15,
        max_nfev=40,
    )
    return Y - residuals(found.x), 2.0 * found.cost


@pytest.mark.parametrize("held", [0, 3])
def test_one_optimum_from_every_start_and_by_another_method(held: int) -> None:
    """With three leads held out states keep three years for two parameters each."""
    Y, observed = cells(held)
    nothing = np.empty((0, *Y.shape))
    fits = []
    for seed in range(3):
        start, size = begun(Y, observed, seed)
        fits.append(complete(Y, observed, nothing, start, rank=1, size=size))
    for found in fits:
        assert found.steps <= STEPS
        assert np.abs(found.fitted - fits[0].fitted).max() < SAME * size
    L = fits[0].L
    begin = np.append(fits[0].fitted.mean(axis=0), np.linalg.svd(L)[2][0])
    other, squares = projected(Y, observed, begin)
    left = (Y - fits[0].fitted)[observed]
    assert left @ left == pytest.approx(squares, rel=1e-12)  # rounding of a sum
    assert np.abs(other - fits[0].fitted).max() < SAME * size


def test_a_start_far_away_that_does_not_end_has_nothing_better() -> None:
    """A loading that grows without end: why a fit begins at the two-way effects."""
    Y, observed = cells(3)
    nothing = np.empty((0, *Y.shape))
    sums = []
    for seed, far in ((0, 0.0), (1, 1.0)):
        start, size = begun(Y, observed, seed, far)
        found = complete(Y, observed, nothing, start, rank=1, size=size)
        left = (Y - found.fitted)[observed]
        sums.append(float(left @ left))
        assert (found.steps > STEPS) == bool(seed)
    assert sums[1] > sums[0] + 0.01


def test_one_factor_on_the_castle_doctrine() -> None:
    result = InteractiveFe(factors=1).estimate(request_of(states()))
    row = result.coefficients.iloc[0]
    Y, observed = cells(0)
    start, size = begun(Y, observed, 0)
    found = complete(Y, observed, np.empty((0, *Y.shape)), start, rank=1, size=size)
    begin = np.append(found.fitted.mean(axis=0), np.linalg.svd(found.L)[2][0])
    fitted, _ = projected(Y, observed, begin)
    assert row.estimate == pytest.approx((Y - fitted)[~observed].mean(), abs=SAME)
    assert row.std_error > 0
    assert {t.name for t in result.tests if t.p_value is not None} == {
        "joint_pretrend",
        "placebo_leads",
        "equivalence",
    }
