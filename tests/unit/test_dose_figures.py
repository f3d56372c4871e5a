"""The figure of a dose: both curves, single doses, bands, the two-way line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from estimators.continuous_did import ContinuousDid
from framework.render.dose_figures import dose_sketches
from framework.render.figures import undrawn
from framework.render.run import Drawing, Frame
from framework.render.style import save
from framework.result import Result
from tests.build_doses import doses, request_of


def heading_of(result: Result) -> Any:
    (plot,) = (p for p in result.plots if p.kind == "dose_response")
    column = SimpleNamespace(
        plots=(Drawing(plot.kind, plot.frame, plot.title, plot.options),),
        line="main",
        value="",
        outcome="y",
        treatment=("dose",),
        confidence=0.95,
    )
    return SimpleNamespace(name="h", title="H", columns=(column,))


def sketches(result: Result, **frames: Any) -> list[Any]:
    held = {
        name: Frame(tuple(frame), tuple(tuple(map(str, r)) for r in frame.to_numpy()))
        for name, frame in ({**result.frames, **frames}).items()
    }
    run = SimpleNamespace(frame=lambda _, name: held.get(name), label=str)
    return list(dose_sketches(run, heading_of(result)))


def said(axes: Any) -> str:
    return " ".join(text.get_text() for text in axes.texts)


def test_the_curve_and_its_slope_stand_side_by_side() -> None:
    result = ContinuousDid(bootstrap=99).estimate(request_of(doses(41)))
    assert not undrawn(heading_of(result))
    (sketch,) = sketches(result)
    for form, start in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        assert save(sketch, (form,))[form].startswith(start)
    left, right = sketch.draw().axes
    curve = result.frames["dose_response"]
    two_way = result.scalars["two_way_estimate"]
    for axes, estimand in ((left, "att_dose"), (right, "slope_dose")):
        own = curve[curve.estimand == estimand]
        _, line, dashed = axes.lines  # zero, the curve, the two-way coefficient
        np.testing.assert_allclose(line.get_xdata(), own.dose)
        np.testing.assert_allclose(line.get_ydata(), own.estimate)
        drawn = two_way * (own.dose if estimand == "att_dose" else 1.0)
        np.testing.assert_allclose(dashed.get_ydata(), drawn + 0 * own.dose)
        assert len(axes.collections) == 2  # intervals and band
    assert "light: band for all doses" in said(left)
    assert "two-way" in said(right)


def test_single_doses_are_points() -> None:
    data = doses(42, levels=(1.0, 2.0, 4.0))
    request = request_of(data, controls=["x"])
    (sketch,) = sketches(ContinuousDid(basis="levels").estimate(request))
    left, right = sketch.draw().axes
    points = left.lines[1]
    assert points.get_xdata() == pytest.approx([1, 2, 4])
    assert points.get_linestyle() == "None"
    assert len(left.lines) == 2  # no two-way line with covariates
    assert "band" not in said(left)
    assert not said(right)


def test_a_frame_without_both_curves_is_not_drawn() -> None:
    result = ContinuousDid().estimate(request_of(doses(43)))
    frame = result.frames["dose_response"]
    one = frame[frame.estimand == "att_dose"]
    assert not sketches(result, dose_response=one)
    assert not sketches(result, dose_response=frame.drop(columns="conf_low"))
