"""Matrices on their way from the study to the estimator: files, keys, ids, faults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from framework.contract import Matrix, SpatialWeights
from framework.data import spatial
from framework.data.panels import PanelSpec, build_panel
from framework.data.prepare import Prepared
from framework.errors import EstimandError
from framework.plan import plan
from framework.spec.study import open_study

STUDY = """
study: borders
data:
  source: data.csv
  panel: {unit: place, time: year}
  spatial_weights: {near: {contiguity: edges.csv}}
model:
  outcome: y
  treatment: {column: x, kind: dose}
  fixed_effects: [place, year]
  spatial_weights: near
  estimator: {spatial_panel: {lag: outcome}}
checks: {main: {sar: {}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    places = [f"p{i}" for i in range(8)]
    data = pd.DataFrame(
        {"place": np.repeat(places, 4), "year": np.tile(range(2000, 2004), 8)}
    )
    data = data.assign(y=rng.normal(size=32), x=rng.normal(size=32))
    data.to_csv(tmp_path / "data.csv", index=False)
    ring = pd.DataFrame({"from": places, "to": [*places[1:], places[0]]})
    ring.to_csv(tmp_path / "edges.csv", index=False)
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path


def prepared(folder: Path):
    study = open_study(folder / "study.yaml")
    return study, Prepared(folder, folder).panel(study.data, frozenset())


def test_the_file_travels_with_the_panel_and_is_part_of_its_key(folder):
    _, before = prepared(folder)
    assert len(before.frames["spatial_weights.near.edges"]) == 8
    edges = folder / "edges.csv"
    edges.write_text(edges.read_text() + "p0,p4\n", encoding="utf-8")
    _, after = prepared(folder)
    assert after.key != before.key
    pd.testing.assert_frame_equal(after.frame, before.frame)


def test_without_files_the_key_is_that_of_the_data(folder):
    study, with_file = prepared(folder)
    bare = study.data.model_copy(update={"spatial_weights": {}})
    panel = Prepared(folder, folder).panel(bare, frozenset())
    assert panel.key != with_file.key
    block = {"near": {"name": "block", "column": "place"}}
    other = study.data.model_copy(update={"spatial_weights": block})
    assert Prepared(folder, folder).panel(other, frozenset()).key == panel.key


def test_a_missing_file_is_found_with_its_place(folder):
    (folder / "edges.csv").unlink()
    with pytest.raises(EstimandError) as caught:
        prepared(folder)
    (problem,) = caught.value.problems
    assert (problem.code, problem.path) == ("D17", "data.spatial_weights.near")


def test_a_file_outside_the_project_is_not_read(folder):
    text = STUDY.replace("edges.csv", "../../edges.csv")
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(EstimandError) as caught:
        prepared(folder)
    assert {p.code for p in caught.value.problems} == {"X08"}


def test_a_misspelt_column_is_found_before_the_data_are_read(folder):
    text = STUDY.replace(
        "{contiguity: edges.csv}", "{inverse_distance: {latitude: lat, longitude: x}}"
    )
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(EstimandError) as caught:
        plan(open_study(folder / "study.yaml"))
    (problem,) = caught.value.problems
    assert (problem.code, problem.path) == ("X51", "data.spatial_weights.near")


def test_an_estimator_without_its_matrix_is_refused(folder):
    text = STUDY.replace("  spatial_weights: near\n", "")
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    from framework.data.design import build
    from framework.plan import trees
    from framework.spec import choices

    study, panel = prepared(folder)
    (estimation,) = (e for e in plan(study) if not e.hidden)
    data, model = trees(estimation)
    with pytest.raises(EstimandError) as caught:
        build(panel, data, model, choices.build("estimator", model.estimator))
    assert "model.spatial_weights" in str(caught.value)


# -- what a foreign plugin may get wrong -------------------------------------------------


def panel():
    frame = pd.DataFrame({"place": list("aabbcc"), "year": [1, 2] * 3, "y": 1.0})
    return build_panel(frame, PanelSpec("place", "year"), "foreign")


def foreign(monkeypatch, ids, cells):
    class Foreign(Matrix):
        def build(self, panel):
            return SpatialWeights(tuple(ids), sparse.csr_array(np.array(cells, float)))

    monkeypatch.setattr(spatial, "matrix_of", lambda flat: Foreign())
    with pytest.raises(EstimandError) as caught:
        spatial._built(panel(), "w", {"name": "foreign"})
    return [p.code for p in caught.value.problems], str(caught.value)


LINKS = [[0, 1, 1], [1, 0, 1], [1, 1, 0]]


@pytest.mark.parametrize(
    ("ids", "cells", "code", "said"),
    [
        ("abd", LINKS, "S01", "no weights of c"),
        ("ab", [[0, 1], [1, 0]], "S01", "no weights of c"),
        ("aab", LINKS, "S01", "a unit twice"),
        ("abc", [[0, 1], [1, 0]], "S01", "2 x 2 for 3 units"),
        ("abc", [[1, 1, 1], *LINKS[1:]], "S05", "its own neighbour"),
        ("abc", [[0, -1, 1], *LINKS[1:]], "S05", "negative"),
        ("abc", [[0, np.nan, 1], *LINKS[1:]], "S05", "undefined"),
    ],
)
def test_a_matrix_that_is_none_is_refused(monkeypatch, ids, cells, code, said):
    found, text = foreign(monkeypatch, ids, cells)
    assert code in found
    assert said in text


def test_weights_follow_the_order_of_the_sample():
    whole = SpatialWeights(
        tuple("abc"), sparse.csr_array(np.array([[0, 1, 3], [1, 0, 1], [2, 2, 0.0]]))
    )
    problems = []
    found, notes = spatial.aligned(
        spatial.Spatial({"outcome": whole}), ["c", "a", "b"], problems
    )
    W = found["outcome"].matrix.toarray()
    assert W.tolist() == [[0, 2, 2], [3, 0, 1], [1, 1, 0]]
    assert (notes, problems) == ([], [])


@pytest.mark.parametrize("transform", ["row", "spectral", "none"])
def test_fewer_units_are_normalised_as_the_whole_was(transform):
    from estimators._math.neighbours import normalised

    raw = sparse.csr_array(np.random.default_rng(1).random((6, 6)) * (1 - np.eye(6)))
    whole = SpatialWeights(tuple("abcdef"), normalised(raw, transform), transform)
    found, notes = spatial.aligned(
        spatial.Spatial({"errors": replace(whole, name="w")}), ["f", "a", "d"], []
    )
    order = [5, 0, 3]
    expected = normalised(raw[order][:, order], transform)
    # Normalising a part of what was normalised is normalising the part.
    assert found["errors"].matrix.toarray() == pytest.approx(expected.toarray())
    assert "3 of 6 units" in notes[0]
