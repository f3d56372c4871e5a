"""esda and libpysal as independent judges of statistics and weights."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from estimators._math import spatial_autocorrelation as ours
from estimators._math.neighbours import normalised
from estimators._spatial.pysal import from_libpysal, to_libpysal
from estimators.weights.block import Block
from estimators.weights.contiguity import Contiguity
from estimators.weights.inverse_distance import InverseDistance
from estimators.weights.k_nearest import KNearest
from framework.contract import SpatialWeights
from framework.errors import EstimandError
from framework.panel import Panel
from tests.build_spatial import some_weights

libpysal = pytest.importorskip("libpysal")
esda = pytest.importorskip("esda")


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def case(n=40, seed=1, transform="row"):
    W = some_weights(n, seed, transform=transform)
    x = np.exp(0.3 * np.random.default_rng(seed).normal(size=n)) + 1
    return x, W, to_libpysal(SpatialWeights(tuple(range(n)), W, transform))


@pytest.mark.parametrize("transform", ["row", "none"])
@pytest.mark.parametrize("normal", [True, False])
def test_global_statistics_of_esda(transform, normal):
    x, W, w = case(transform=transform)
    sums = ours.Sums.of(W)
    if transform == "row":
        # esda's Moran and Geary divide by row sums; these are given.
        theirs = esda.Moran(x, w, transformation="O", permutations=0)
        mine = ours.morans_i(x, W, sums, normal=normal)
        held = theirs.VI_norm if normal else theirs.VI_rand
        assert mine.value == pytest.approx(theirs.I, abs=1e-12)  # two sums
        assert mine.variance == pytest.approx(held, rel=1e-9)
    theirs = esda.Geary(x, w, transformation="O", permutations=0)
    mine = ours.gearys_c(x, W, sums, normal=normal)
    held = theirs.VC_norm if normal else theirs.VC_rand
    assert mine.value == pytest.approx(theirs.C, abs=1e-12)
    assert mine.variance == pytest.approx(held, rel=1e-9)


def test_global_g_of_esda():
    x, _, _ = case()
    W = (some_weights(40, 1, transform="none") != 0).astype(float).tocsr()
    w = to_libpysal(SpatialWeights(tuple(range(40)), W))
    theirs = esda.G(x, w, permutations=0)
    mine = ours.getis_ord_g(x, W, ours.Sums.of(W))
    assert mine.value == pytest.approx(theirs.G, rel=1e-12)
    assert mine.mean == pytest.approx(theirs.EG, rel=1e-12)
    assert mine.variance == pytest.approx(
        theirs.VG, rel=1e-8
    )  # a difference of squares


@pytest.mark.parametrize("transform", ["row", "none"])
@pytest.mark.parametrize("star", [True, False])
def test_local_g_of_esda(star, transform):
    x, _, _ = case()
    links = (some_weights(40, 1, transform="none") != 0).astype(float).tocsr()
    W = normalised(links, transform)
    w = to_libpysal(SpatialWeights(tuple(range(40)), links))
    if star:
        w = libpysal.weights.fill_diagonal(w, 1.0)
    code = "R" if transform == "row" else "B"
    theirs = esda.G_Local(x, w, transform=code, permutations=0, star=star or None)
    value, z = ours.local_g(x, W, star=star)
    assert value == pytest.approx(theirs.Gs, rel=1e-10)
    if transform == "none":
        # esda's variance holds for 0/1 weights only; see the test over all orders.
        assert z == pytest.approx(theirs.Zs, rel=1e-8)


def test_local_moran_of_esda():
    x, W, w = case()
    theirs = esda.Moran_Local(x, w, transformation="O", permutations=0)
    value, z, lag = ours.local_i(x, W)
    # esda divides by n - 1.
    assert value == pytest.approx(theirs.Is * 40 / 39, rel=1e-10)
    quadrant = np.select(
        [(z > 0) & (lag > 0), (z < 0) & (lag > 0), (z < 0) & (lag < 0)], [1, 2, 3], 4
    )
    assert (quadrant == theirs.q).all()


# -- weights ---------------------------------------------------------------------------


def places(n=30, seed=5):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "city": [f"c{i:02d}" for i in range(n)],
            "year": 2000,
            "lat": rng.uniform(20, 50, n),
            "lon": rng.uniform(80, 130, n),
            "region": [f"r{i % 4}" for i in range(n)],
        }
    )
    return Panel(frame, "city", "year", key="k")


AT = {"latitude": "lat", "longitude": "lon"}


def theirs_of(kind, panel):
    points = panel.frame[["lon", "lat"]].to_numpy()
    ids = panel.frame["city"].tolist()
    weights = libpysal.weights
    if kind == "k_nearest":
        return weights.KNN(points, 4, ids=ids, distance_metric="Arc", radius=1.0)
    if kind == "block":
        return weights.block_weights(panel.frame["region"], ids=ids)
    band = {"binary": False, "distance_metric": "arc", "radius": 6371.0088, "ids": ids}
    return weights.DistanceBand(points, 900.0, alpha=-1.0, **band)


@pytest.mark.parametrize("transform", ["row", "none"])
@pytest.mark.parametrize("kind", ["k_nearest", "block", "inverse_distance"])
def test_weights_of_libpysal(kind, transform):
    panel = places()
    plugin = {
        "k_nearest": KNearest(k=4, transform=transform, **AT),
        "block": Block(column="region", transform=transform),
        "inverse_distance": InverseDistance(
            cutoff_km=900.0, islands="drop", transform=transform, **AT
        ),
    }[kind]
    built = plugin.build(panel)
    w = theirs_of(kind, panel)
    w.transform = "R" if transform == "row" else "O"
    order = [w.id_order.index(i) for i in built.ids]
    held = w.sparse.toarray()[np.ix_(order, order)]
    assert built.matrix.toarray() == pytest.approx(held, rel=1e-9)  # chord, haversine


@pytest.mark.parametrize("rule", ["queen", "rook"])
def test_contiguity_of_libpysal(rule):
    w = libpysal.weights.lat2W(4, 5, rook=rule == "rook", id_type="string")
    cells = [(i, j) for i in range(4) for j in range(5)]
    ring = "POLYGON (({0} {1}, {2} {1}, {2} {3}, {0} {3}, {0} {1}))"
    shapes = pd.DataFrame(
        {
            "city": [f"c{i:02d}" for i in range(20)],
            "geometry": [ring.format(j, i, j + 1, i + 1) for i, j in cells],
        }
    )
    frame = pd.DataFrame({"city": shapes["city"], "year": 2000})
    panel = Panel(frame, "city", "year", key="k", frames={"boundaries": shapes})
    built = Contiguity(boundaries="b.csv", rule=rule, transform="none").build(panel)
    assert (built.matrix.toarray() == w.sparse.toarray()).all()


@pytest.mark.parametrize("transform", ["row", "spectral", "none"])
def test_to_libpysal_and_back(transform):
    W = some_weights(25, 3, transform=transform)
    ids = tuple(f"u{i}" for i in np.random.default_rng(1).permutation(25))
    weights = SpatialWeights(ids, W, transform)
    back = from_libpysal(to_libpysal(weights))
    assert back.ids == ids
    assert (back.matrix != W).nnz == 0
    assert back.transform == ("row" if transform == "row" else "none")
    assert from_libpysal(to_libpysal(weights), transform).transform == transform


def test_from_libpysal_refuses_what_no_lag_can_use():
    with pytest.raises(EstimandError, match="without a neighbour"):
        from_libpysal(libpysal.weights.W({0: [1], 1: [0], 2: []}))
    with pytest.raises(EstimandError, match="negative"):
        from_libpysal(libpysal.weights.W({0: [1], 1: [0]}, {0: [-1.0], 1: [1.0]}))


def test_spreg_takes_our_weights():
    spreg = pytest.importorskip("spreg")
    x, W, w = case()
    y = np.linalg.solve(np.eye(40) - 0.4 * W.toarray(), 1 + x)[:, None]
    y = y + 0.1 * np.random.default_rng(2).normal(size=y.shape)
    assert float(np.ravel(spreg.ML_Lag(y, x[:, None], w).rho)[0]) > 0.1
