"""Figures of frames: what is drawn, in which order, and what is left out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from framework.render.frame_figures import data_sketches
from framework.render.run import Drawing, Frame
from framework.render.style import save


def sketches(plot: Drawing, **columns: list[Any]) -> list[Any]:
    names = tuple(columns)
    rows = tuple(tuple(map(str, row)) for row in zip(*columns.values(), strict=True))
    frames = {plot.frame: Frame(names, rows)}
    return list(
        data_sketches(SimpleNamespace(data_plots=(plot,), data_frame=frames.get))
    )


def axes_of(plot: Drawing, **columns: list[Any]) -> Any:
    (sketch,) = sketches(plot, **columns)
    for form, start in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        assert save(sketch, (form,))[form].startswith(start)
    return sketch.draw().axes


def labels(ticks: Any) -> list[str]:
    return [tick.get_text() for tick in ticks]


def test_members_are_ranked_by_size_and_the_smallest_not_drawn() -> None:
    values = [(-1) ** k * float(k) for k in range(1, 31)]
    plot = Drawing("ranked", "s.f", "", {"label": "who", "value": "shift", "unit": 2.0})
    who = [f"m{abs(int(v))}" for v in values]
    axes = axes_of(plot, who=who, shift=[*values[:-1], "nan"])
    assert labels(axes[0].get_yticklabels()) == [f"m{k}" for k in range(29, 9, -1)]
    assert "9 smaller ones not drawn" in axes[0].get_xlabel()


def test_rows_of_a_heat_map_stand_by_their_mean() -> None:
    options = {"row": "city", "column": "year", "value": "score"}
    columns: dict[str, list[Any]] = {
        "city": ["a", "b", "c"] * 2,
        "year": [2010] * 3 + [2009] * 3,
        "score": [0.1, 0.9, 0.5, 0.3, 0.7, "nan"],
        "technology": ["all"] * 6,
    }
    (axes, *_) = axes_of(Drawing("heatmap", "s.f", "", options), **columns)
    assert labels(axes.get_yticklabels()) == ["b", "c", "a"]
    assert labels(axes.get_xticklabels()) == ["2009", "2010"]
    drawn = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_array_equal(drawn, [[0.7, 0.9], [np.nan, 0.5], [0.3, 0.1]])
    twice = {k: [*v, v[0]] for k, v in columns.items()}
    twice["score"][-1] = 0.3  # a second window of the cell that holds 0.1
    (axes, *_) = axes_of(Drawing("heatmap", "s.f", "", options), **twice)
    drawn = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_allclose(drawn[2], [0.3, 0.2], rtol=1e-15)
    given = Drawing(
        "heatmap", "s.f", "", {**options, "order": "given", "percent": True}
    )
    (axes, *_) = axes_of(given, **columns)
    assert labels(axes.get_yticklabels()) == ["a", "b", "c"]
    assert "90%" in [text.get_text() for text in axes.texts]
    some = {"only": {"technology": "east"}}
    columns["technology"][:2] = ["east", "east"]
    (axes, *_) = axes_of(Drawing("heatmap", "s.f", "", options | some), **columns)
    assert labels(axes.get_yticklabels()) == ["b", "a"]


def test_every_named_row_of_a_long_strip_stands_at_its_rank() -> None:
    n = 200
    columns: dict[str, list[Any]] = {
        "city": [f"c{k}" for k in range(n)],
        "year": [2010] * n,
        "score": [float(n - k) for k in range(n)],
    }
    plot = Drawing(
        "heatmap", "s.f", "", {"row": "city", "column": "year", "value": "score"}
    )
    (axes, *_) = axes_of(plot, **columns)
    for place, label in zip(
        axes.get_yticks(), labels(axes.get_yticklabels()), strict=True
    ):
        assert label == f"c{int(place)}  ({int(place) + 1})"


def test_distributions_stand_in_the_order_of_their_groups() -> None:
    rng = np.random.default_rng(0)
    years = [9, 10, 11]
    columns: dict[str, list[Any]] = {
        "year": [y for y in years for _ in range(40)] + [12] * 3,
        "score": [*rng.uniform(0, 1, 80), *[0.5] * 40, 0.1, 0.2, 0.3],
    }
    options = {"group": "year", "value": "score", "line": 1.0, "line_label": "frontier"}
    (axes, *_) = axes_of(Drawing("distribution", "s.f", "", options), **columns)
    # Three values are no distribution; forty alike have no width but a median.
    assert labels(axes.get_xticklabels()) == ["9", "10", "11"]
    assert len(axes.collections) == 2 + 3
    assert "frontier" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("kind", ["ranked", "heatmap", "distribution", "table", "odd"])
def test_what_can_not_be_drawn_is_not(kind: str) -> None:
    plot = Drawing(kind, "s.f", "", {"label": "who", "value": "none"})
    assert sketches(plot, who=["a"], shift=[1.0]) == []
    missing = Drawing(kind, "s.other", "", {"label": "who", "value": "shift"})
    run = SimpleNamespace(data_plots=(missing,), data_frame=lambda name: None)
    assert list(data_sketches(run)) == []
