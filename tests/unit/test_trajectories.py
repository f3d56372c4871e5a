"""The figure of trajectories: lines, the start of treatment, weights of the periods."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from framework.render.run import Drawing, Frame
from framework.render.style import save
from framework.render.trajectories import heading_sketches

OPTIONS: dict[str, Any] = {
    "period": "year",
    "lines": ["treated", "synthetic"],
    "weight": "w",
    "after": "on",
    "what": "packs",
    "by": "cohort",
}


def frame(cohorts: int = 1) -> Frame:
    rows = [
        (f"{2003 + c}", f"{2000 + t}", f"{t}.5", f"{t}", f"{t == 2}", f"{t > 2}")
        for c in range(cohorts)
        for t in range(6)
    ]
    return Frame(("cohort", "year", "treated", "synthetic", "w", "on"), tuple(rows))


def sketches(held: Frame, **options: Any) -> list[Any]:
    plot = Drawing("trajectories", "path", "", OPTIONS | options)
    column = SimpleNamespace(plots=(plot,), line="did", value="")
    heading = SimpleNamespace(name="main", title="Main", columns=(column,))
    run = SimpleNamespace(frame=lambda _, name: held if name == "path" else None)
    return list(heading_sketches(run, heading))


def test_lines_and_the_start_of_treatment_are_drawn():
    (sketch,) = sketches(frame())
    assert sketch.stem == "main_did_path"
    for form, start in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        assert save(sketch, (form,))[form].startswith(start)
    first = sketch.draw().axes[0]
    assert first.get_ylabel() == "packs"
    assert [list(line.get_ydata()) for line in first.lines[:2]] == [
        [0.5, 1.5, 2.5, 3.5, 4.5, 5.5],
        [0, 1, 2, 3, 4, 5],
    ]
    # halfway between the last period before and the first under treatment
    assert list(first.lines[2].get_xdata()) == [2002.5, 2002.5]


def test_every_cohort_has_a_panel_up_to_nine():
    figure = sketches(frame(11))[0].draw()
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == [f"cohort {2003 + c}" for c in range(9)]
    assert "2 more" in figure.get_supxlabel()


@pytest.mark.parametrize("options", [{"lines": ["treated", "other"]}, {"period": ""}])
def test_a_frame_without_the_columns_is_not_drawn(options):
    assert sketches(frame(), **options) == []
