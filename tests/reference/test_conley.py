"""Conley's errors against loops over all pairs, another package, and three limits."""

from __future__ import annotations

import warnings
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from estimators.event_study import EventStudy
from estimators.ols import Ols
from estimators.twfe import Twfe
from framework.errors import EstimandError
from framework.result import Result, influence_variance
from tests.build_request import build_request

RADIUS = 6371.0088


def cities(n: int = 40, years: int = 6, seed: int = 4) -> pd.DataFrame:
    """Cities over some 1,500 km, with shocks that near cities share."""
    rng = np.random.default_rng(seed)
    lat, lon = rng.uniform(25, 38, n), rng.uniform(105, 120, n)
    lat[1], lon[1] = lat[0], lon[0]  # two cities in one place
    km = between(lat[:, None], lon[:, None], lat, lon)
    shared = np.linalg.cholesky(np.exp(-km / 300) + 1e-9 * np.eye(n))
    city = np.repeat(np.arange(n), years)
    year = np.tile(np.arange(years), n)
    dose = (shared @ rng.normal(size=(n, years))).ravel()
    start = np.where(np.arange(n) % 2 == 0, 3.0, np.inf)[city]
    data = pd.DataFrame({"city": city, "year": year, "dose": dose})
    data["first"], data["law"] = start, (year >= start).astype(float)
    data["x"] = rng.normal(size=n * years)
    data["y"] = 0.3 * dose + (shared @ rng.normal(size=(n, years))).ravel()
    data["lat"], data["lon"], data["w"] = (
        lat[city],
        lon[city],
        rng.uniform(1, 3, len(data)),
    )
    return data


def between(lat: Any, lon: Any, lat2: Any, lon2: Any) -> Any:
    """Great circles by the spherical law of cosines (the code measures chords)."""
    a, b, c, d = (np.radians(v) for v in (lat, lon, lat2, lon2))
    cosine = np.sin(a) * np.sin(c) + np.cos(a) * np.cos(c) * np.cos(b - d)
    return RADIUS * np.arccos(np.clip(cosine, -1, 1))


def estimated(
    data: pd.DataFrame, inference: str = "conley", *, to: type = Twfe, **changes: Any
) -> Result:
    options = {
        k: changes.pop(k) for k in ("cutoff_km", "kernel", "lags") if k in changes
    }
    given: dict[str, Any] = {
        "outcome": "y",
        "treatment": "dose",
        "controls": ["x"],
        "fixed_effects": ["city", "year"],
        "inference": inference,
        "options": options,
        "unit": "city",
        "time": "year",
        "acknowledge": frozenset({"few_clusters"}),
    }
    if inference == "conley":
        given["places"] = ["lat", "lon"]
    return to().estimate(build_request(data, **(given | changes)))


def scores(
    data: pd.DataFrame, weights: Any = 1.0
) -> tuple[np.ndarray, np.ndarray, int]:
    """Scores (n, 2) and bread of y on dose and x with dummies, by least squares."""
    D = np.column_stack([pd.get_dummies(data.city), pd.get_dummies(data.year)])
    X = np.column_stack([data.dose, data.x, D]).astype(float)
    root = np.sqrt(np.broadcast_to(weights, len(data)))
    W, y = X * root[:, None], data.y * root
    beta, _, rank, _ = np.linalg.lstsq(W, y, rcond=None)
    u = (y - W @ beta).to_numpy()
    D = D * root[:, None]
    R = W[:, :2] - D @ np.linalg.lstsq(D.astype(float), W[:, :2], rcond=None)[0]
    return R * u[:, None], np.linalg.inv(R.T @ R), int(rank)


def by_loops(
    data: pd.DataFrame, s: np.ndarray, cutoff: float, kernel: str, lags: int
) -> np.ndarray:
    """The double sum, a pair of rows at a time."""
    meat = np.zeros((2, 2))
    city, year = data.city.to_numpy(), data.year.to_numpy()
    lat, lon = data.lat.to_numpy(), data.lon.to_numpy()
    for i, j in product(range(len(data)), repeat=2):
        weight = 0.0
        if year[i] == year[j]:
            same = lat[i] == lat[j] and lon[i] == lon[j]
            km = 0.0 if same else between(lat[i], lon[i], lat[j], lon[j])
            if km <= cutoff:
                weight = 1.0 if kernel == "uniform" else 1.0 - km / cutoff
        elif city[i] == city[j] and abs(year[i] - year[j]) <= lags:
            weight = 1.0 - abs(year[i] - year[j]) / (lags + 1.0)
        if weight:
            meat += weight * np.outer(s[i], s[j])
    return meat


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("cutoff", "kernel", "lags"),
    [(400.0, "bartlett", 0), (400.0, "bartlett", 2), (250.0, "uniform", 0)],
)
def test_all_pairs_by_hand(
    cutoff: float, kernel: str, lags: int, weighted: bool
) -> None:
    data = cities(n=16, years=5)
    weights = {"weights": ("analytic", "w")} if weighted else {}
    rows = estimated(
        data, cutoff_km=cutoff, kernel=kernel, lags=lags, **weights
    ).coefficients
    s, bread, K = scores(data, data.w if weighted else 1.0)
    V = bread @ by_loops(data, s, cutoff, kernel, lags) @ bread
    V *= len(data) / (len(data) - K)
    # rounding of sums in another order, and of arccos against chords
    assert rows.std_error.to_numpy() == pytest.approx(np.sqrt(np.diag(V)), rel=1e-8)


@pytest.mark.parametrize("lags", [0, 2])
@pytest.mark.parametrize("kernel", ["bartlett", "uniform"])
def test_another_package(kernel: str, lags: int) -> None:
    conley = pytest.importorskip("diff_diff.conley")
    data = cities()
    cutoff = 300.0
    s, bread, K = scores(data)
    with warnings.catch_warnings():
        # It says where its meat is indefinite; ours is refused there.
        warnings.simplefilter("ignore")
        meat = conley._compute_conley_meat(
            s,
            data[["lat", "lon"]].to_numpy(),
            # Its earth has another radius.
            cutoff * conley._CONLEY_EARTH_RADIUS_KM / RADIUS,
            "haversine",
            kernel,
            time=data.year.to_numpy(),
            unit=data.city.to_numpy(),
            lag_cutoff=lags,
        )
    V = bread @ meat @ bread * len(data) / (len(data) - K)
    rows = estimated(data, cutoff_km=cutoff, kernel=kernel, lags=lags).coefficients
    # rounding of haversines against chords
    assert rows.std_error.to_numpy() == pytest.approx(np.sqrt(np.diag(V)), rel=1e-8)


def test_a_cutoff_below_every_distance_is_robust_errors() -> None:
    data = cities()
    data = data[data.city != 1]  # it stands where another does
    near = estimated(data, cutoff_km=1e-3).coefficients
    robust = estimated(data, "hetero").coefficients
    pd.testing.assert_frame_equal(near, robust, rtol=1e-12)  # sums in another order


def test_a_cutoff_beyond_the_earth_is_clusters_by_period() -> None:
    data = cities()
    whole = estimated(data, cutoff_km=25_000.0, kernel="uniform").coefficients
    periods = estimated(data, "cluster", clusters=["year"]).coefficients
    ratio = (whole.std_error / periods.std_error).to_numpy()
    # their small-sample factors differ, the same for every coefficient
    assert ratio == pytest.approx(np.full(len(ratio), ratio[0]), rel=1e-9)
    n, T, U, k = len(data), 6, 40, 2
    K = k + U + T - 1
    hetero, cluster = n / (n - K), (n - 1) / (n - (K - (T - 1))) * T / (T - 1)
    assert ratio[0] == pytest.approx(np.sqrt(hetero / cluster), rel=1e-9)


def test_lags_alone_are_newey_west() -> None:
    data = cities()
    data = data[data.city != 1]
    own = estimated(data, cutoff_km=1e-3, lags=2).coefficients.std_error
    serial = estimated(data, "newey_west", lags=2).coefficients.std_error
    ratio = (own / serial).to_numpy()
    # their small-sample factors differ, the same for every coefficient
    assert ratio == pytest.approx(np.full(len(ratio), ratio[0]), rel=1e-9)


def test_a_cross_section_has_one_period() -> None:
    data = cities()
    data = data[data.year == 0].reset_index(drop=True)
    shape = {"fixed_effects": [], "unit": None, "time": None, "to": Ols}
    row = estimated(data, cutoff_km=400.0, **shape).coefficients.iloc[0]
    X = np.column_stack([data.dose, data.x, np.ones(len(data))])
    bread = np.linalg.inv(X.T @ X)
    s = X * (data.y - X @ bread @ X.T @ data.y).to_numpy()[:, None]
    lat, lon = data.lat.to_numpy(), data.lon.to_numpy()
    km = between(lat[:, None], lon[:, None], lat, lon)
    np.fill_diagonal(km, 0.0)
    km[0, 1] = km[1, 0] = 0.0
    V = bread @ s.T @ np.maximum(0, 1 - km / 400) @ s @ bread * 40 / (40 - 3)
    assert row.std_error == pytest.approx(np.sqrt(V[0, 0]), rel=1e-8)  # as above


def test_influence_functions_carry_the_covariance_into_joint_tests() -> None:
    data = cities()
    result = estimated(
        data,
        to=EventStudy,
        treatment="law",
        kind="absorbing",
        cohort="first",
        controls=[],
        cutoff_km=300.0,
        lags=1,
        estimand=("by_event_time",),
    )
    psi = result.influence
    assert psi is not None
    error = result.coefficients.std_error.to_numpy()
    # the map to a wanted covariance is exact up to its square roots
    assert np.sqrt(np.diag(influence_variance(psi))) == pytest.approx(error, rel=1e-8)
    (test,) = result.tests
    assert test.p_value is not None
    assert 0 < test.p_value < 1


def test_neither_the_order_of_rows_nor_a_turn_of_the_globe_moves_it() -> None:
    data = cities()
    one = estimated(data, cutoff_km=300.0, lags=1).coefficients
    other = data.sample(frac=1.0, random_state=2).assign(lon=data.lon - 360 + 180)
    two = estimated(other, cutoff_km=300.0, lags=1).coefficients
    pd.testing.assert_frame_equal(one, two, rtol=1e-9)  # distances are rounded anew


@pytest.mark.parametrize(
    ("wrong", "changes", "code", "says"),
    [
        ({"lat": 95.0}, {}, "D03", "'lat' is beyond 90 degrees in 240 rows"),
        ({}, {"weights": ("frequency", "f")}, "I09", "frequency weights"),
        (
            {},
            {"lags": 1, "unit": None, "time": None},
            "I09",
            "conley with lags",
        ),
    ],
)
def test_what_has_no_spatial_error_is_refused(
    wrong: dict[str, float], changes: dict[str, Any], code: str, says: str
) -> None:
    data = cities().assign(f=2.0, **wrong)
    with pytest.raises(EstimandError, match=says) as caught:
        estimated(data, cutoff_km=300.0, **changes)
    assert [p.code for p in caught.value.problems] == [code]


def test_an_indefinite_covariance_is_refused() -> None:
    # Three places in a row: the ends do not touch, the middle touches both, so the
    # uniform kernel gives the residuals (1, -√2, 1) a negative sum.
    rng = np.random.default_rng(0)
    n = 30
    place = np.arange(n) % 3
    sign = np.array([1.0, -np.sqrt(2.0), 1.0])[place]
    data = pd.DataFrame({"lat": 0.0, "lon": place.astype(float)})
    data["dose"] = rng.choice([-1.0, 1.0], n)
    data["x"] = rng.normal(size=n)
    data["y"] = data.dose * sign + 1e-3 * rng.normal(size=n)
    shape = {"fixed_effects": [], "unit": None, "time": None, "to": Ols}
    with pytest.raises(EstimandError, match="not positive definite"):
        estimated(data, cutoff_km=120.0, kernel="uniform", **shape)
