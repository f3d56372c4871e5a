"""The effect by dose and its slope, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from framework.render import numbers
from framework.render.plotted import called, plotted, stem_of
from framework.render.run import Column, Frame, Heading, RunFolder
from framework.render.style import (
    BLUE,
    FAINT,
    GREY,
    VERMILION,
    Sketch,
    all_finite,
    bare,
    canvas,
    estimated_term,
    first_number,
    in_lines,
    is_wide,
    said_above,
)

if TYPE_CHECKING:
    from framework.render.style import Drawn, Plane

_CURVE = ("dose", "estimate", "conf_low", "conf_high")
_BAND = ("band_low", "band_high")
#: Panels in this order.
_PANELS = ("att_dose", "slope_dose")


@dataclass(frozen=True, slots=True)
class _Curves:
    """What a figure shows.

    Attributes:
        dose: its name.
        rows: estimand -> dose, estimate, interval and, where there is one, band.
        line: slope of the line from zero that another regression draws, or None.
        apart: single doses, no curve between them.
    """

    dose: str
    rows: dict[str, list[tuple[float, ...]]]
    line: float | None
    apart: bool


def dose_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """The effect by dose, and its slope, with intervals and joint bands."""
    for column, plot, frame in plotted(run, heading, "dose_response"):
        if not {"estimand", *_CURVE} <= {*frame.columns}:
            continue
        rows = {name: _rows(frame, name) for name in _PANELS}
        if not all(rows.values()):
            continue
        dose = run.label(str(plot.options.get("dose", "")))
        line = first_number(plot.options.get("two_way"))
        curves = _Curves(dose, rows, line, bool(plot.options.get("apart")))
        ends = rows[_PANELS[0]][0], rows[_PANELS[0]][-1]
        yield Sketch(
            stem=stem_of(heading, column, plot.kind),
            caption=f"{heading.title}, {called(run, column)}: effect by {dose}, and its "
            "slope",
            description="; ".join(
                f"{numbers.plain(row[0])}: {numbers.plain(row[1])}" for row in ends
            ),
            draw=partial(_draw, run, column, curves),
            wide=is_wide([dose]),
        )


def _rows(frame: Frame, estimand: str) -> list[tuple[float, ...]]:
    names = [*_CURVE, *(c for c in _BAND if c in frame.columns)]
    cells = zip(*(frame.numbers(c) for c in names), strict=True)
    kinds = frame.text("estimand")
    return [
        row
        for kind, row in zip(kinds, cells, strict=True)
        if kind == estimand and all_finite(*row)
    ]


def _draw(run: RunFolder, column: Column, curves: _Curves) -> Drawn:
    figure, _ = canvas(3.1)
    figure.clear()
    panels = figure.subplots(1, 2)
    figure.subplots_adjust(wspace=0.36)
    effect = f"effect of {estimated_term(run, column)} on {run.label(column.outcome)}"
    for axes, name in zip(panels, _PANELS, strict=True):
        rows = curves.rows[name]
        _panel(axes, rows, apart=curves.apart)
        if curves.line is not None:
            line = [curves.line * (row[0] if name == _PANELS[0] else 1) for row in rows]
            axes.plot(
                [row[0] for row in rows], line, color=VERMILION, lw=1, ls=(0, (4, 3))
            )
        axes.set_xlabel(in_lines(curves.dose, 36))
    left, right = panels
    left.set_ylabel(in_lines(effect[0].upper() + effect[1:], 34))
    right.set_ylabel("Slope of the effect")
    level = f"{100 * column.confidence:g}%"
    light = "; light: band for all doses" if len(rows[0]) > len(_CURVE) else ""
    said_above(left, f"{level} intervals{light}")
    if curves.line is not None:
        said_above(right, "dashed: two-way coefficient")
    return figure


def _panel(axes: Plane, rows: Sequence[tuple[float, ...]], *, apart: bool) -> None:
    dose, estimate, low, high, *band = map(list, zip(*rows, strict=True))
    axes.axhline(0, color=GREY, lw=0.8, zorder=0)
    if apart:
        if band:
            axes.vlines(dose, band[0], band[1], color=BLUE, lw=4, alpha=0.15)
        axes.vlines(dose, low, high, color=BLUE, lw=1.4, alpha=0.55)
        axes.plot(dose, estimate, "o", color=BLUE, ms=4, zorder=3)
    else:
        if band:
            axes.fill_between(dose, band[0], band[1], color=BLUE, alpha=0.12, lw=0)
        axes.fill_between(dose, low, high, color=BLUE, alpha=0.22, lw=0)
        axes.plot(dose, estimate, color=BLUE, lw=1.6)
        axes.set_xlim(dose[0], dose[-1])
    axes.grid(axis="y", color=FAINT, lw=0.5)
    bare(axes, "x")
