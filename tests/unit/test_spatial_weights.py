"""Matrices by hand, and what is wrong with their input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from estimators._math import neighbours
from estimators.weights.block import Block
from estimators.weights.contiguity import Contiguity
from estimators.weights.economic_distance import EconomicDistance
from estimators.weights.from_file import FromFile
from estimators.weights.inverse_distance import InverseDistance
from estimators.weights.k_nearest import KNearest
from framework.data.panels import PanelSpec, build_panel
from framework.errors import EstimandError

#: A degree of the equator, km: 2 pi 6371.0088 / 360.
DEGREE = 111.19508
POINTS = {"latitude": "lat", "longitude": "lon"}


def places(**columns):
    """Four places on the equator at 0, 1, 3 and 7 degrees east, two years."""
    data = pd.DataFrame(
        {
            "place": ["d", "b", "a", "c"],
            "lat": 0.0,
            "lon": [7.0, 1.0, 0.0, 3.0],
            "gdp": [8.0, 2.0, 1.0, 4.0],
            "group": ["y", "x", "x", "y"],
        }
    ).assign(**columns)
    both = pd.concat([data.assign(year=2000), data.assign(year=2001)])
    return build_panel(both, PanelSpec("place", "year"), "places")


def with_file(panel, **frames):
    return replace(panel, frames=frames)


def dense(matrix, panel):
    built = matrix.build(panel)
    assert built.ids == tuple("abcd")
    return built.matrix.toarray()


def codes(matrix, panel):
    with pytest.raises(EstimandError) as caught:
        matrix.build(panel)
    return [p.code for p in caught.value.problems], str(caught.value)


EDGES = pd.DataFrame({"from": ["a", "c", "b"], "to": ["b", "b", "a"]})


def test_inverse_distance_is_in_km():
    W = dense(InverseDistance(**POINTS, transform="none"), places())
    expected = 1 / (DEGREE * np.array([1, 3, 7]))
    assert W[0, 1:] == pytest.approx(expected, rel=1e-7)  # digits of DEGREE
    assert pytest.approx(W.T) == W


def test_power_and_cut_off():
    near = InverseDistance(**POINTS, transform="none", power=2, cutoff_km=4.5 * DEGREE)
    W = dense(near, places())
    assert W[0, 2] == pytest.approx((3 * DEGREE) ** -2, rel=1e-7)  # digits of DEGREE
    assert W[0, 3] == 0
    assert W[2, 3] > 0


def test_rows_sum_to_one_or_the_largest_eigenvalue_is_one():
    row = dense(InverseDistance(**POINTS), places())
    assert row.sum(axis=1) == pytest.approx(np.ones(4))
    spectral = dense(InverseDistance(**POINTS, transform="spectral"), places())
    assert np.abs(np.linalg.eigvals(spectral)).max() == pytest.approx(1.0)
    raw = dense(InverseDistance(**POINTS, transform="none"), places())
    # Proportions stay.
    assert spectral / spectral[0, 1] == pytest.approx(raw / raw[0, 1])


def test_nearest_neighbours_and_ties():
    W = dense(KNearest(k=1, **POINTS, transform="none"), places())
    assert W.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    both = dense(KNearest(k=1, **POINTS, transform="none", symmetric=True), places())
    assert both.tolist() == [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]
    even = places(lon=[3.0, 1.0, 0.0, 2.0])
    tied = dense(KNearest(k=1, **POINTS, transform="none"), even)
    assert tied[1].tolist() == [1, 0, 1, 0]  # a and c are as near


def test_block():
    W = dense(Block(column="group"), places())
    assert W.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]


def test_edges_hold_in_both_directions_and_once():
    matrix = Contiguity(edges="e.csv", transform="none", islands="drop")
    built = matrix.build(with_file(places(), edges=EDGES))
    assert built.ids == ("a", "b", "c")
    assert built.dropped == ("d",)
    assert built.matrix.toarray().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


def test_islands_linked_to_the_nearest():
    matrix = Contiguity(edges="e.csv", transform="none", islands="nearest", **POINTS)
    built = matrix.build(with_file(places(), edges=EDGES))
    assert built.matrix.toarray()[3].tolist() == [0, 0, 1, 0]
    assert built.matrix.toarray()[:, 3].tolist() == [0, 0, 1, 0]
    assert "445 km" in built.notes[0]


SQUARES = {
    "a": "POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0))",
    "b": "POLYGON ((1 0, 2 0, 2 1, 1 1, 1 0))",
    "c": "MULTIPOLYGON (((2 1, 3 1, 3 2, 2 2, 2 1)), ((9 9, 9 8, 8 8, 9 9)))",
    "d": "POLYGON ((1 1, 2 1, 2 2, 1 2, 1 1))",
}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # b and d touch c at the corner (2, 1); a and d at (1, 1)
        ("queen", {"ab", "ad", "bc", "bd", "cd"}),
        ("rook", {"ab", "bd", "cd"}),
    ],
)
def test_boundaries(rule, expected):
    frame = pd.DataFrame({"place": list(SQUARES), "geometry": list(SQUARES.values())})
    matrix = Contiguity(boundaries="b.csv", rule=rule, transform="none")
    W = dense(matrix, with_file(places(), boundaries=frame))
    found = {
        "abcd"[i] + "abcd"[j] for i, j in zip(*np.nonzero(W), strict=True) if i < j
    }
    assert found == expected
    assert (W == W.T).all()


def test_economic_distance_forms():
    given = {"income": "gdp", "at": 2000, "transform": "none"}
    gap = dense(EconomicDistance(**given), places())
    assert gap[0].tolist() == pytest.approx([0, 1, 1 / 3, 1 / 7])
    product = dense(EconomicDistance(**given, **POINTS), places())
    assert product[0, 2] == pytest.approx(1 / 3 / (3 * DEGREE), rel=1e-7)
    mass = dense(EconomicDistance(**given, **POINTS, form="mass"), places())
    assert mass[0, 3] == pytest.approx(8 / 3.75 / (7 * DEGREE), rel=1e-7)
    mixture = dense(
        EconomicDistance(**given, **POINTS, form="mixture", share=0.25), places()
    )
    near = np.array([1, 1 / 3, 1 / 7]) / (1 + 1 / 3 + 1 / 7)
    # Incomes 1, 2, 4, 8 lie as the places do from the first one.
    assert mixture[0, 1:] == pytest.approx(near)


def test_economic_distance_is_of_one_year():
    panel = places()
    later = panel.frame.copy()
    later.loc[later["year"] == 2001, "gdp"] = [5.0, 6.0, 7.0, 9.0]
    moved = replace(panel, frame=later)
    matrix = EconomicDistance(income="gdp", at=2000)
    assert (dense(matrix, moved) == dense(matrix, panel)).all()


def square(ids="dbac"):
    frame = pd.DataFrame(
        [[0, 1, 2, 0], [3, 0, 1, 1], [1, 1, 0, 4], [2, 0, 1, 0]],
        columns=list(ids),
        dtype=float,
    )
    frame.insert(0, "place", list(ids))
    return frame


def test_a_square_is_matched_by_id():
    W = dense(
        FromFile(path="w.csv", transform="none"), with_file(places(), weights=square())
    )
    order = list("abcd")
    assert (square().set_index("place").loc[order, order].to_numpy() == W).all()


def test_a_list_is_matched_by_id():
    long = square().melt("place", var_name="other", value_name="w")
    long = long[long["w"] > 0].sample(frac=1, random_state=1)
    W = dense(
        FromFile(path="w.csv", form="pairs", transform="none"),
        with_file(places(), weights=long),
    )
    order = list("abcd")
    assert (square().set_index("place").loc[order, order].to_numpy() == W).all()


def test_numbers_as_ids():
    panel = places()
    frame = panel.frame.assign(
        place=panel.frame["place"].map({"a": 2, "b": 10, "c": 1, "d": 3})
    )
    panel = build_panel(frame, PanelSpec("place", "year"), "numbers")
    table = pd.DataFrame(1.0 - np.eye(4), columns=["1", "2", "3", "10"])
    table.insert(0, "place", [1, 2, 3, 10])
    table.loc[0, "10"] = 7.0
    built = FromFile(path="w.csv", transform="none").build(
        with_file(panel, weights=table)
    )
    # Sorted as numbers, never as text ("10" < "2").
    assert built.ids == (1, 2, 3, 10)
    assert built.matrix.toarray()[0].tolist() == [0, 1, 1, 7]


# -- what is refused -------------------------------------------------------------------


def test_a_cut_off_that_leaves_islands():
    found, said = codes(InverseDistance(**POINTS, cutoff_km=200), places())
    assert found == ["S02"]
    assert "2 of 4 units" in said
    assert "c, d" in said


def test_islands_of_an_edge_list():
    found, said = codes(Contiguity(edges="e.csv"), with_file(places(), edges=EDGES))
    assert found == ["S02"]
    assert "no neighbour: d" in said
    # Files and groups know no distance: the fix says where `nearest` is to be had.
    assert "where the matrix knows coordinates" in said


def test_units_at_one_point():
    found, said = codes(InverseDistance(**POINTS), places(lon=[7.0, 1.0, 1.0, 3.0]))
    assert found == ["S04"]
    assert "a, b" in said


def test_metres_are_no_degrees():
    found, _ = codes(KNearest(k=1, **POINTS), places(lon=[7e5, 1e5, 0.0, 3e5]))
    assert found == ["S06"]


def test_coordinates_that_move_or_are_missing():
    panel = places()
    moving = panel.frame.copy()
    moving.loc[0, "lon"] = 0.5
    found, said = codes(InverseDistance(**POINTS), replace(panel, frame=moving))
    assert found == ["S06"]
    assert "'lon' differs between the periods of 1 unit: a" in said
    lost = panel.frame.assign(lat=panel.frame["lat"].where(panel.frame["place"] != "b"))
    found, said = codes(InverseDistance(**POINTS), replace(panel, frame=lost))
    assert found == ["S06"]
    assert "has no value in 1 unit: b" in said


def test_equal_incomes():
    found, _ = codes(
        EconomicDistance(income="gdp", at=2000), places(gdp=[8.0, 2.0, 2.0, 4.0])
    )
    assert found == ["S07"]


def test_a_year_without_rows():
    found, said = codes(EconomicDistance(income="gdp", at=1999), places())
    assert found == ["S06"]
    assert "2000 to 2001" in said


def test_negative_weights():
    table = square()
    table.loc[1, "d"] = -1.0
    found, said = codes(FromFile(path="w.csv"), with_file(places(), weights=table))
    assert found == ["S05"]
    assert ": b" in said


def test_ids_that_the_data_do_not_have():
    strange = pd.concat([EDGES, pd.DataFrame({"from": ["a"], "to": ["zz"]})])
    found, said = codes(Contiguity(edges="e.csv"), with_file(places(), edges=strange))
    assert found == ["S01"]
    assert "zz" in said
    kept = Contiguity(edges="e.csv", others="drop", islands="drop")
    assert kept.build(with_file(places(), edges=strange)).ids == ("a", "b", "c")


def test_text_against_numbers():
    numbers = pd.DataFrame({"from": [1, 2], "to": [2, 3]})
    found, said = codes(Contiguity(edges="e.csv"), with_file(places(), edges=numbers))
    assert found == ["S01"]
    assert "one side is text" in said


def test_a_file_without_a_unit():
    short = square()[["place", "d", "b", "a"]].iloc[:3]
    found, said = codes(FromFile(path="w.csv"), with_file(places(), weights=short))
    assert found == ["S01"]
    assert "1 unit of the data not in the file: c" in said


def test_rows_and_columns_with_other_ids():
    wrong = square().rename(columns={"c": "x"})
    found, said = codes(FromFile(path="w.csv"), with_file(places(), weights=wrong))
    assert found == ["S01"]
    assert "c, x" in said


def test_an_id_twice():
    table = square()
    table.loc[0, "place"] = "b"
    table.columns = ["place", "b", "b2", "a", "c"]
    found, _ = codes(
        FromFile(path="w.csv", form="pairs", pairs=("place", "place", "a")),
        with_file(places(), weights=table),
    )
    assert found == ["P01"]


def test_no_column_of_the_file():
    found, said = codes(
        Contiguity(edges="e.csv", pair=("frm", "to")), with_file(places(), edges=EDGES)
    )
    assert found == ["X51"]
    assert "did you mean 'from'" in said


@pytest.mark.parametrize(
    ("matrix", "options"),
    [
        (Contiguity, {}),
        (Contiguity, {"edges": "a", "boundaries": "b"}),
        (Contiguity, {"edges": "a", "islands": "nearest"}),
        (EconomicDistance, {"income": "gdp", "at": 1, "form": "mass"}),
        (EconomicDistance, {"income": "gdp", "at": 1, "latitude": "lat"}),
        (InverseDistance, {**POINTS, "power": 0}),
        (KNearest, {**POINTS, "k": 0}),
    ],
)
def test_options_that_do_not_go_together(matrix, options):
    with pytest.raises(ValueError, match=matrix.__name__):
        matrix(**options)


def test_what_is_remembered_is_the_answer_to_the_same_matrices():
    asked = []

    @neighbours.remembered
    def links(one, other):
        asked.append((one, other))
        return one.nnz + (0 if other is None else other.nnz)

    matrices = [sparse.csr_array(np.eye(n)) for n in range(1, 12)]
    for _ in range(2):
        # Equal matrices are two, and each answer belongs to its own.
        assert [links(m, None) for m in matrices[:3]] == [1, 2, 3]
        assert links(matrices[0], matrices[2]) == 4
        assert links(matrices[2].copy(), None) == 3
    assert len(asked) == 6
    # However many are asked about, answers stay right.
    assert [links(m, None) for m in matrices] == list(range(1, 12))
    assert [links(m, None) for m in matrices] == list(range(1, 12))
