"""Figures of trajectories: the treated and what they are compared with, by period.

An estimation says which columns hold the periods, the lines and (optional) the weights
of the periods, whether treatment is on, and the groups that get a panel each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from framework.render.run import Drawing, Frame, Heading, RunFolder, spoken
from framework.render.style import (
    BLUE,
    FAINT,
    GREY,
    INK,
    Sketch,
    bare,
    canvas,
    is_wide,
)
from framework.render.words import file_stem

if TYPE_CHECKING:
    from framework.render.style import Drawn

KIND = "trajectories"
#: Panels side by side, and the most that are drawn: the frame has all.
_ACROSS, _MOST_PANELS = 3, 9
#: Height of a figure with one panel, and of each row of several, in inches.
_ALONE, _ONE_OF_MANY = 3.8, 2.1
#: Share of the height that the largest weight of a period takes.
_WEIGHTS_UP_TO = 0.18
_STYLES: tuple[Mapping[str, Any], ...] = (
    {"color": INK, "lw": 1.6},
    {"color": BLUE, "lw": 1.6, "ls": (0, (5, 2))},
    {"color": GREY, "lw": 1.0, "ls": ":"},
)


def heading_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """Figures of trajectories that the columns of a heading ask for."""
    for column in heading.columns:
        for plot in column.plots:
            frame = run.frame(column, plot.frame) if plot.kind == KIND else None
            if frame is None or not frame.rows or not _fits(plot, frame):
                continue
            words = [heading.name, column.line, column.value, plot.frame]
            title = plot.title or "treated and synthetic control"
            yield Sketch(
                stem="_".join(file_stem(word) for word in words if word),
                caption=f"{heading.title}, {spoken(column.line)}: {title}",
                description=f"{title}; {len(frame.rows)} periods",
                draw=partial(_draw, plot, frame),
                wide=is_wide([str(plot.options.get("what", ""))]),
            )


def _fits(plot: Drawing, frame: Frame) -> bool:
    """Whether the frame has the columns that the drawing can't do without."""
    lines = plot.options.get("lines")
    wanted = [plot.options.get("period"), *(lines if isinstance(lines, list) else [""])]
    return {str(name) for name in wanted} <= set(frame.columns)


def _draw(plot: Drawing, frame: Frame) -> Drawn:
    options = plot.options
    by = str(options.get("by", ""))
    names = frame.text(by) if by in frame.columns else ("",) * len(frame.rows)
    groups = list(dict.fromkeys(names))
    shown = groups[:_MOST_PANELS]
    across = min(len(shown), _ACROSS)
    down = -(-len(shown) // across)
    figure, _ = canvas(_ALONE if len(shown) == 1 else 0.3 + _ONE_OF_MANY * down)
    figure.clear()
    figure.set_layout_engine("constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(shown):
            axes.set_visible(False)
            continue
        mine = [
            row for row, g in zip(frame.rows, names, strict=True) if g == shown[place]
        ]
        _panel(axes, options, Frame(frame.columns, tuple(mine)))
        if len(shown) > 1:
            axes.set_title(f"{spoken(by)} {shown[place]}", fontsize=8.5)
    first = grid[0][0]
    first.set_ylabel(str(options.get("what", "")))
    first.legend(frameon=False, fontsize=8)
    more = len(groups) - len(shown)
    said = ["bars: weights of the periods"] if options.get("weight") else []
    said += [f"{more} more in the table of the frame"] if more else []
    figure.supxlabel("; ".join(said), fontsize=8, color=GREY)
    # The layout moves the axes when drawn first; the box is measured before.
    figure.draw_without_rendering()
    return figure


def _panel(axes: Any, options: Mapping[str, Any], frame: Frame) -> None:
    period = frame.numbers(str(options["period"]))
    for style, line in zip(_STYLES, options["lines"], strict=False):
        axes.plot(period, frame.numbers(line), label=spoken(line), **style)
    after = str(options.get("after", ""))
    if after in frame.columns:
        on = [
            t
            for t, a in zip(period, frame.text(after), strict=True)
            if a.lower() in _ON
        ]
        before = [t for t in period if on and t < min(on)]
        if before:
            axes.axvline((max(before) + min(on)) / 2, color=GREY, lw=0.8, zorder=0)
    weight = str(options.get("weight", ""))
    if weight in frame.columns:
        _weights(axes, period, frame.numbers(weight))
    axes.grid(axis="y", color=FAINT, lw=0.5)
    axes.tick_params(labelsize=8)
    bare(axes, "y")


#: How a frame's true cell is written.
_ON = frozenset({"true", "1", "1.0"})


def _weights(axes: Any, period: tuple[float, ...], weight: tuple[float, ...]) -> None:
    """Weights of the periods as bars at the foot; the axis stays the lines'."""
    largest = max((w for w in weight if math.isfinite(w)), default=0.0)
    if largest <= 0:
        return
    foot = axes.twinx()
    foot.bar(period, weight, color=BLUE, alpha=0.25, width=0.8, zorder=0)
    foot.set_ylim(0, largest / _WEIGHTS_UP_TO)
    foot.set_axis_off()


__all__ = ["KIND", "heading_sketches"]
