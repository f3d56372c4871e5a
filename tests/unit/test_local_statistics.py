"""Local G, and the figures of local Moran."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from estimators.local_getis_ord import LocalGetisOrd
from estimators.local_moran import LocalMoran
from framework.errors import EstimandError
from tests.build_spatial import some_weights, spatial_panel, spatial_request


def request(points=False, **change):
    W = some_weights(20, 2)
    data = spatial_panel(W, 4, 1, rho=0.5)
    data["y"] = np.exp(0.3 * data["y"])
    data = data.assign(**change)
    req = spatial_request(data, {"outcome": W})
    if not points:
        return req
    where = np.random.default_rng(1).uniform(20, 40, (20, 2))
    held = {r: replace(w, points=where) for r, w in req.spatial.items()}
    return replace(req, spatial=held)


@pytest.mark.parametrize("star", [True, False])
def test_every_unit_and_period_has_its_g(star):
    result = LocalGetisOrd(star=star, permutations=99).estimate(request())
    frame = result.frames["local_getis_ord"]
    assert len(frame) == 80
    assert set(frame["cluster"]) <= {"hot", "cold", "not significant"}
    # Two p values of one null: normal, and by permutation.
    if not star:
        assert np.corrcoef(frame["p"], frame["p_permutation"])[0, 1] > 0.9
    assert result.frames["clusters"]["period"].tolist() == [2000, 2001, 2002, 2003]


@pytest.mark.parametrize("star", [True, False])
@pytest.mark.parametrize("transform", ["row", "none"])
def test_moments_of_g_are_those_over_all_orders(star, transform):
    from itertools import permutations

    from estimators._math.spatial_autocorrelation import local_g, with_itself

    W = some_weights(6, 1, transform=transform, k=2)
    x = np.random.default_rng(1).uniform(1, 3, 6)
    row = (with_itself(W) if star else W).toarray()[2]
    value, z = local_g(x, W, star=star)
    if star:
        drawn = [row @ np.array(order) for order in permutations(x)]
        total = x.sum()
    else:
        others, w = np.delete(x, 2), np.delete(row, 2)
        drawn = [w @ np.array(order) for order in permutations(others)]
        total = others.sum()
    assert value[2] == pytest.approx(row @ x / total)
    assert z[2] == pytest.approx((row @ x - np.mean(drawn)) / np.std(drawn))


def test_a_hot_corner_is_hot():
    W = some_weights(60, 2)
    data = spatial_panel(W, 2, 1)
    ids = np.array(sorted(data["unit"].unique()))
    around = set(ids[W.toarray()[0] > 0]) | {ids[0]}
    data["y"] = np.where(data["unit"].isin(around), 9.0, 1.0)
    data["y"] += 0.1 * np.random.default_rng(1).random(len(data))
    result = LocalGetisOrd(permutations=99).estimate(
        spatial_request(data, {"outcome": W})
    )
    frame = result.frames["local_getis_ord"].set_index("unit")
    assert (frame.loc[ids[0], "cluster"] == "hot").all()


def test_values_that_are_not_positive_are_refused():
    with pytest.raises(EstimandError) as caught:
        LocalGetisOrd().estimate(request(y=np.random.default_rng(1).normal(size=80)))
    assert caught.value.problems[0].code == "D08"


def test_figures_of_the_last_period_or_the_one_asked_for():
    result = LocalMoran(permutations=99).estimate(request(points=True))
    assert [p.kind for p in result.plots] == ["scatter", "map"]
    assert result.plots[0].title.endswith("2003")
    scatter, local = result.frames["moran_scatter"], result.frames["local_moran"]
    assert len(scatter) == 20
    # Rows sum to one: the slope is the global I, the mean of the local ones.
    mean = local.loc[local["period"] == 2003, "local_i"].mean()
    assert result.plots[0].options["slope"] == pytest.approx(mean)
    other = LocalMoran(permutations=99, period=2001).estimate(request(points=True))
    assert other.plots[1].title.endswith("2001")
    assert set(other.frames["lisa_map"]) >= {"longitude", "latitude", "cluster"}


def test_without_places_there_is_no_map_and_it_is_said():
    result = LocalMoran(permutations=99).estimate(request())
    assert [p.kind for p in result.plots] == ["scatter"]
    assert any("no map" in note for note in result.notes)


def test_a_period_that_is_none():
    with pytest.raises(EstimandError) as caught:
        LocalMoran(period=1999).estimate(request())
    assert caught.value.problems[0].code == "T04"


def test_places_follow_the_units_of_the_sample():
    from framework.contract import SpatialWeights
    from framework.data.spatial import Spatial, aligned

    W = some_weights(6, 1, k=3)
    points = np.arange(12.0).reshape(6, 2)
    whole = SpatialWeights(tuple("abcdef"), W, "row", points=points)
    kept, _ = aligned(Spatial({"outcome": whole}), list("fdba"), [])
    assert kept["outcome"].points.tolist() == points[[5, 3, 1, 0]].tolist()
