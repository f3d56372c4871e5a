"""Figures of one effect per group or quantile, with the band that holds for all."""

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
    Sketch,
    all_finite,
    bare,
    canvas,
    estimated_term,
    in_lines,
    is_wide,
    said_above,
)

if TYPE_CHECKING:
    from framework.render.style import Drawn

_BAND = ("estimand", "estimate", "conf_low", "conf_high")


@dataclass(frozen=True, slots=True)
class _Effect:
    """One group: its name, estimate, interval, and band over all groups."""

    name: str
    estimate: float
    interval: tuple[float, float]
    band: tuple[float, float]


def group_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """Effects by group or quantile, from coefficients and a frame of bands."""
    for column, plot, frame in plotted(run, heading, "groups"):
        by = str(plot.options.get("by", "group"))
        effects = _effects(run, column, frame, by)
        if not effects:
            continue
        yield Sketch(
            stem=stem_of(heading, column, plot.kind),
            caption=f"{heading.title}, {called(run, column)}: effect by {by} "
            "(thin: band that holds for all at once)",
            description="; ".join(
                f"{e.name}: {numbers.plain(e.estimate)}" for e in effects
            ),
            draw=partial(_draw, run, column, by, effects),
            wide=is_wide([e.name for e in effects]),
        )


def _effects(run: RunFolder, column: Column, frame: Frame, by: str) -> list[_Effect]:
    if not {*_BAND, by} <= {*frame.columns}:
        return []
    bands = {
        (estimand, name): (estimate, low, high)
        for estimand, name, estimate, low, high in zip(
            frame.text("estimand"),
            frame.text(by),
            *(frame.numbers(c) for c in _BAND[1:]),
            strict=True,
        )
    }
    found = []
    for row in column.coefficients:
        name = dict(row.index).get(by, "")
        band = bands.get((row.estimand, name))
        if band is None or not all_finite(*band, row.conf_low, row.conf_high):
            continue
        found.append(
            _Effect(run.label(name), band[0], (row.conf_low, row.conf_high), band[1:])
        )
    return found


def _draw(run: RunFolder, column: Column, by: str, effects: Sequence[_Effect]) -> Drawn:
    figure, axes = canvas(1.2 + 0.34 * len(effects))
    for y, effect in enumerate(effects):
        axes.hlines(y, *effect.band, color=BLUE, lw=0.7)
        axes.plot(effect.band, [y, y], "|", color=BLUE, ms=5, mew=0.7)
        axes.hlines(y, *effect.interval, color=BLUE, lw=1.8)
        axes.plot(effect.estimate, y, "o", color=BLUE, ms=5, zorder=3)
    axes.axvline(0, color=GREY, lw=0.8, zorder=0)
    axes.set_yticks(range(len(effects)))
    named = (e.name if by == "group" else f"{by} {e.name}" for e in effects)
    axes.set_yticklabels([in_lines(name, 32) for name in named])
    axes.set_ylim(len(effects) - 0.5, -0.5)
    label = f"Effect of {estimated_term(run, column)} on {run.label(column.outcome)}"
    axes.set_xlabel(in_lines(label, 70))
    axes.grid(axis="x", color=FAINT, lw=0.5)
    level = f"{100 * column.confidence:g}%"
    said_above(axes, f"thick: {level} intervals; thin: {level} band for all at once")
    bare(axes, "y")
    return figure


__all__ = ["group_sketches"]
