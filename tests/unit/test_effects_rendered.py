"""Direct and indirect effects in their own words; numbers by period as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framework.render import render
from framework.render.figures import sketches_of
from framework.render.run import RunFolder
from framework.render.style import save
from tests.build_rendered import Maker


def split(m: Maker, heading: str, line: str, **said: Any) -> None:
    """A column with direct, indirect and total effect."""
    m.column(heading, line, estimand="indirect", **said)
    for estimand, estimate in (("direct", 0.2), ("indirect", 0.1), ("total", 0.3)):
        m.row("post", estimate, 0.05, estimand)
    m.row("post", 0.25, 0.05, "coefficient")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    m = Maker(tmp_path)
    split(m, "carried", "trade", mediators=["trade"])
    split(m, "space", "near")
    split(m, "both", "trade", mediators=["trade"])
    split(m, "both", "near")
    judged = {"estimand": "morans_i", "term": "I", "index": {"period": "2015"}}
    said = {"estimand": "morans_i", "treatment": [], "judged": judged}
    m.column("clustered", "by_year", "near", **said)
    for period, estimate in ((2015, 0.10), (2016, 0.20), (2017, 0.15)):
        m.row("I", estimate, 0.02, "morans_i", period=period)
    m.row("I", 0.16, 0.01, "morans_i", equation="pooled")
    return m.finish()


def words(folder: Path, heading: str) -> str:
    return (folder / "tables" / f"{heading}.md").read_text(encoding="utf-8")


def test_what_is_indirect_goes_over_mediators_or_over_other_units(folder: Path):
    render(folder, ("md",), ())
    carried, space = words(folder, "carried"), words(folder, "space")
    assert "Indirect effects (through the mediators)" in carried
    assert "Direct effects (not through the mediators)" in carried
    assert "spillovers" not in carried
    assert "Indirect effects (spillovers)" in space
    assert "mediator" not in space
    both = words(folder, "both")
    assert "*Indirect effects*" in both
    assert "spillovers" not in both


def test_coefficients_below_effects_do_not_pass_for_effects(folder: Path):
    render(folder, ("md",), ())
    lines = words(folder, "space").splitlines()
    effects = next(n for n, line in enumerate(lines) if "*Total effects*" in line)
    plain = next(n for n, line in enumerate(lines) if "*Coefficients*" in line)
    (at,) = (n for n, line in enumerate(lines) if "0.250" in line)
    assert effects < plain < at


def test_numbers_by_period_are_drawn_by_period(folder: Path):
    run = RunFolder.read(folder)
    (sketch,) = sketches_of(run, run.heading("clustered"))
    assert sketch.caption.startswith("Clustered, by year: Moran's I of")
    assert "2016 0.2" in sketch.description
    (axes,) = sketch.draw().axes
    ticks = [tick.get_text() for tick in axes.get_xticklabels()]
    assert ticks == ["2015", "2016", "2017"]
    # The pooled number belongs to no period.
    (points,) = (line for line in axes.lines if len(line.get_xdata()) == 3)
    assert list(points.get_ydata()) == [0.10, 0.20, 0.15]
    assert "Moran's I" in axes.get_ylabel()
    assert save(sketch, ("png",))["png"].startswith(b"\x89PNG")


def test_the_axis_says_which_effect_it_is(folder: Path):
    run = RunFolder.read(folder)
    (sketch,) = sketches_of(run, run.heading("both"))
    (axes,) = sketch.draw().axes
    assert axes.get_xlabel().startswith("Indirect effect of")


@pytest.fixture
def doses(tmp_path: Path) -> RunFolder:
    """A slope and a mean effect of one estimator, and a coefficient per unit of dose."""
    m = Maker(tmp_path)
    for line, judged in (("curve", "acrt"), ("steps", "att")):
        about = {"estimand": judged, "term": "post", "index": {}}
        m.column("dose", line, estimand=judged, judged=about)
        for estimand, estimate in (("att", 3.9), ("acrt", 1.9)):
            m.row("post", estimate, 0.05, estimand)
    m.column("dose", "linear", estimand="coefficient")
    m.row("post", 2.1, 0.05, "coefficient")
    return RunFolder.read(m.finish())


def test_a_mean_effect_does_not_share_the_row_of_a_slope_per_unit(doses: RunFolder):
    render(doses.path, ("md",), ())
    lines = words(doses.path, "dose").splitlines()
    places = [
        next(n for n, line in enumerate(lines) if text in line)
        for text in ("Mean effect on the treated", "3.9", "*Coefficients*", "2.1")
    ]
    assert places == sorted(places)
    assert "3.9" not in lines[places[-1]]


def test_a_figure_of_slopes_and_effects_says_which_is_which(doses: RunFolder):
    (sketch,) = sketches_of(doses, doses.heading("dose"))
    for said in ("curve: average slope of the effect", "steps: att", ": coefficient"):
        assert said in sketch.description
    (axes,) = sketch.draw().axes
    assert axes.get_xlabel().startswith("Estimate, outcome")


def test_outcomes_of_a_line_have_figures_of_their_own_and_no_series_is_lost(
    tmp_path: Path,
) -> None:
    """Eight estimators do not fit six colours; two outcomes are not one scale."""
    m = Maker(tmp_path)
    values = [f"way{i}" for i in range(8)]
    for line, outcomes in (("many", ["y"]), ("controls", ["income", "poverty"])):
        for outcome in outcomes:
            for value in values if line == "many" else [outcome]:
                m.column("dynamics", line, value, outcome=outcome)
                for time in (-2, 0, 1):
                    m.row("post", 0.1 * time, 0.05, "by_event_time", event_time=time)
    run = RunFolder.read(m.finish())
    drawn = {s.stem: s for s in sketches_of(run, run.heading("dynamics"))}
    events = {k: s for k, s in drawn.items() if "periods since" in s.caption}
    assert set(events) == {
        "dynamics_many_1", "dynamics_many_2",
        "dynamics_controls_income", "dynamics_controls_poverty",
    }  # fmt: skip
    figures = {stem: sketch.draw() for stem, sketch in events.items()}
    shown = []
    for stem in ("dynamics_many_1", "dynamics_many_2"):
        (legend,) = (figures[stem].axes[0].get_legend(),)
        shown += [text.get_text() for text in legend.get_texts()]
    assert shown == values
    for outcome in ("income", "poverty"):
        (axes,) = figures[f"dynamics_controls_{outcome}"].axes
        assert axes.get_ylabel() == f"Effect on {outcome}"
