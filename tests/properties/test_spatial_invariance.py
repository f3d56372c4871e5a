"""No order and no name of units moves a number; nested models collapse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from estimators.morans_i import MoransI
from estimators.spatial_panel import SpatialPanel
from estimators.spatial_selection import SpatialSelection
from estimators.twfe import Twfe
from framework.data.design import build
from framework.data.panels import PanelSpec, build_panel
from framework.errors import EstimandError
from framework.spec.model import Data, Model
from tests.build_spatial import some_weights, spatial_panel, spatial_request

N, T = 18, 5
ROLES = ("outcome", "covariates", "errors")


def world(seed=1):
    W = some_weights(N, 4)
    data = spatial_panel(W, T, seed, rho=0.3, lam=0.2, theta=(0.5, 0.2))
    ids = sorted(data["unit"].unique())
    table = pd.DataFrame(W.toarray(), columns=ids)
    table.insert(0, "unit", ids)
    return data, table


def designed(data, table, estimator, name="spatial_panel", *, others=None, **model):
    """Through the framework: build the matrix from a file, align, resolve."""
    panel = build_panel(data, PanelSpec("unit", "time"), "key")
    panel = replace(panel, frames={"spatial_weights.w.weights": table})
    flat = {"name": "from_file", "path": "w.csv"} | (others or {})
    told = Data.model_validate(
        {
            "source": {"path": "data.csv"},
            "panel": {"unit": "unit", "time": "time"},
            "spatial_weights": {"w": flat},
        }
    )
    tree = {
        "outcome": "y",
        "treatment": {"column": "x1", "kind": "dose"},
        "controls": ["x2"],
        "fixed_effects": ["unit", "time"],
        "inference": {"name": "iid"},
        "spatial_weights": {"all": "w"},
        "estimator": {"name": name},
    }
    return build(panel, told, Model.model_validate(tree | model), estimator, 1)


def numbers(design, estimator):
    return estimator.estimate(design.request).coefficients.set_index(
        ["estimand", "term"]
    )[["estimate", "std_error"]]


@pytest.mark.parametrize("lag", ["all", "errors"])
def test_a_hundred_orders_of_units_rows_and_names(lag):
    data, table = world()
    estimator = SpatialPanel(lag=lag)
    base = numbers(designed(data, table, estimator), estimator)
    rng = np.random.default_rng(3)
    ids = np.array(table["unit"])
    for _ in range(100 if lag == "all" else 10):
        names = dict(
            zip(ids, [f"n{i}" for i in rng.permutation(1000)[:N]], strict=True)
        )
        order = rng.permutation(N)
        other = table.iloc[order].rename(columns=names)
        other["unit"] = other["unit"].map(names)
        columns = ["unit", *rng.permutation([c for c in other if c != "unit"])]
        shuffled = data.sample(frac=1, random_state=int(rng.integers(1e6)))
        shuffled = shuffled.assign(unit=shuffled["unit"].map(names))
        found = numbers(designed(shuffled, other[columns], estimator), estimator)
        # Sums in another order: rounding.
        assert found.to_numpy() == pytest.approx(base.to_numpy(), rel=1e-10, abs=1e-10)


def test_numbers_as_names_sort_as_numbers():
    data, table = world()
    estimator = SpatialPanel(lag="all")
    base = numbers(designed(data, table, estimator), estimator)
    names = {u: 2 * (N - i) for i, u in enumerate(table["unit"])}
    other = table.rename(columns={k: str(v) for k, v in names.items()})
    other["unit"] = other["unit"].map(names)
    found = numbers(
        designed(data.assign(unit=data["unit"].map(names)), other, estimator), estimator
    )
    assert found.to_numpy() == pytest.approx(base.to_numpy(), rel=1e-10, abs=1e-10)


def test_direct_and_indirect_add_up():
    data, table = world()
    for lag in ("outcome", "covariates", "all"):
        estimator = SpatialPanel(lag=lag)
        rows = numbers(designed(data, table, estimator), estimator).estimate
        total = rows["direct"] + rows["indirect"]
        assert total.to_numpy() == pytest.approx(rows["total"].to_numpy(), abs=1e-13)


def test_without_lags_it_is_two_way_fixed_effects():
    data, table = world()
    plain, twfe = SpatialPanel(lag="none"), Twfe()
    one = plain.estimate(designed(data, table, plain).request)
    two = twfe.estimate(designed(data, table, twfe, "twfe").request)
    ours = one.coefficients.set_index("term")
    theirs = two.coefficients.set_index("term")
    for term in ("x1", "x2"):
        assert ours.estimate[term] == pytest.approx(theirs.estimate[term], abs=1e-10)
    # The variance divides by (N - 1)(T - 1), least squares by k less.
    left = (N - 1) * (T - 1)
    ratio = ours.std_error["x1"] / theirs.std_error["x1"]
    assert ratio == pytest.approx(np.sqrt((left - 2) / left), abs=1e-8)


def test_a_matrix_that_links_nothing_to_the_outcome_gives_rho_near_zero():
    # W from other places than those of the data: rho and lambda are noise around zero.
    W, other = some_weights(40, 1), some_weights(40, 99)
    data = spatial_panel(W, 12, 3)
    for lag, term in (("outcome", "rho"), ("errors", "lambda")):
        result = SpatialPanel(lag=lag).estimate(
            spatial_request(data, dict.fromkeys(ROLES, other))
        )
        row = result.coefficients.set_index("term").loc[term]
        assert abs(row.statistic) < 4  # standard normal


@pytest.mark.parametrize("factor", [1e-9, 1e9])
@pytest.mark.parametrize("lag", ["all", ["outcome", "errors"]])
def test_units_of_measurement(lag, factor):
    data, table = world()
    estimator = SpatialPanel(lag=lag)
    base = numbers(designed(data, table, estimator), estimator)
    scaled = data.assign(x1=data["x1"] * factor)
    found = numbers(designed(scaled, table, estimator), estimator)
    for (estimand, term), row in base.iterrows():
        times = 1 / factor if "x1" in term else 1.0
        assert found.loc[(estimand, term)].to_numpy() == pytest.approx(
            row.to_numpy() * times,
            rel=1e-8,  # a polished root of the score
        )
    larger = data.assign(y=data["y"] * factor)
    found = numbers(designed(larger, table, estimator), estimator)
    assert found.loc[("coefficient", "rho")].to_numpy() == pytest.approx(
        base.loc[("coefficient", "rho")].to_numpy(), rel=1e-8
    )


def test_moran_and_selection_know_no_names():
    data, table = world()
    names = {u: f"z{N - i:02d}" for i, u in enumerate(table["unit"])}
    other = table.rename(columns=names).iloc[::-1]
    other["unit"] = other["unit"].map(names)
    renamed = data.assign(unit=data["unit"].map(names))
    for estimator, name in (
        (MoransI(), "morans_i"),
        (SpatialSelection(), "spatial_selection"),
    ):
        one, two = (
            estimator.estimate(designed(d, w, estimator, name).request)
            for d, w in ((data, table), (renamed, other))
        )
        if name == "morans_i":
            pd.testing.assert_frame_equal(
                one.frames["autocorrelation"], two.frames["autocorrelation"], rtol=1e-9
            )
        else:
            for a, b in zip(one.tests, two.tests, strict=True):
                # Hausman's statistic divides by a small difference of two variances.
                rel = 1e-6 if a.name == "hausman" else 1e-9
                assert a.statistic == (b.statistic and pytest.approx(b.statistic, rel))


# -- the sample ------------------------------------------------------------------------


def test_fewer_units_see_each_other_only():
    data, table = world()
    estimator = SpatialPanel(lag="all")
    left_out = ["u0003", "u0007"]
    gone = {
        "sample": {"some": {"name": "without", "column": "unit", "values": left_out}}
    }
    design = designed(data, table, estimator, **gone)
    kept = [u for u in table["unit"] if u not in left_out]
    alone = designed(
        data[data["unit"].isin(kept)],
        table.set_index("unit").loc[kept, kept].reset_index(),
        estimator,
    )
    assert numbers(design, estimator).to_numpy() == pytest.approx(
        numbers(alone, estimator).to_numpy(), rel=1e-10
    )
    assert any("16 of 18 units" in note for note in design.notes)


def test_islands_leave_the_sample_with_a_line_of_the_ledger():
    data, table = world()
    table = table.set_index("unit")
    table.loc["u0003"] = 0.0
    table["u0003"] = 0.0
    estimator = SpatialPanel(lag="all")
    with pytest.raises(EstimandError) as caught:
        designed(data, table.reset_index(), estimator)
    (problem,) = caught.value.problems
    assert (problem.code, problem.path) == ("S02", "data.spatial_weights.w")
    design = designed(data, table.reset_index(), estimator, others={"islands": "drop"})
    (line,) = [x for x in design.ledger if x.name == "islands"]
    assert line.rows_in - line.rows_out == T
    assert "u0003" in line.detail
    assert len(design.request.spatial["outcome"].ids) == N - 1


def test_a_unit_whose_neighbours_all_left():
    data, table = world()
    table = table.set_index("unit")
    table.loc["u0003"] = 0.0
    table.loc["u0003", "u0007"] = 1.0
    estimator = SpatialPanel(lag="all")
    gone = {
        "sample": {"some": {"name": "without", "column": "unit", "values": "u0007"}}
    }
    with pytest.raises(EstimandError) as caught:
        designed(data, table.reset_index(), estimator, **gone)
    assert [p.code for p in caught.value.problems] == ["S02"]
    assert "u0003" in str(caught.value)


def test_an_estimator_without_space_builds_no_matrix():
    data, table = world()
    assert not designed(data, table.iloc[:3], Twfe(), "twfe").request.spatial
