"""Rows of a frame in their order, and intervals by the size of a violation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from framework.render import numbers
from framework.render.run import Column, Drawing, Frame, Heading, RunFolder, spoken
from framework.render.style import (
    BLUE,
    FAINT,
    GREY,
    INK,
    MOST_VALUE_LABELS,
    SERIES,
    VERMILION,
    Sketch,
    all_finite,
    bare,
    canvas,
    estimated_term,
    first_number,
    in_lines,
    is_wide,
    level_of,
    said_above,
)
from framework.render.words import file_stem

if TYPE_CHECKING:
    from framework.render.style import Drawn

_ORDERED = ("estimate", "conf_low", "conf_high")


def ordered_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """Estimates of the rows of a frame, in their order."""
    for column in heading.columns:
        for plot in column.plots:
            if plot.kind != "ordered":
                continue
            frame = run.frame(column, plot.frame)
            name = str(plot.options.get("label", ""))
            if frame is None or not {name, *_ORDERED} <= {*frame.columns}:
                continue
            cells = zip(*(frame.numbers(c) for c in _ORDERED), strict=True)
            rows = [
                (label, numbers_)
                for label, numbers_ in zip(frame.text(name), cells, strict=True)
                if all_finite(*numbers_)
            ]
            if not rows:
                continue
            words = [heading.name, column.line, column.value, plot.frame]
            yield Sketch(
                stem="_".join(file_stem(word) for word in words if word),
                caption=f"{heading.title}, {spoken(column.line)}: {plot.title}",
                description=f"{len(rows)} rows; first {rows[0][0]} "
                f"{numbers.plain(rows[0][1][0])}, last {rows[-1][0]} "
                f"{numbers.plain(rows[-1][1][0])}",
                draw=partial(_draw_ordered, plot, rows),
                wide=is_wide(label for label, _ in rows),
            )


def _draw_ordered(
    plot: Drawing, rows: Sequence[tuple[str, tuple[float, ...]]]
) -> Drawn:
    figure, axes = canvas(3.4)
    thin = 1.4 if len(rows) <= MOST_VALUE_LABELS else 0.6
    for place, (_, (estimate, low, high)) in enumerate(rows):
        axes.vlines(place, low, high, color=BLUE, lw=thin, alpha=0.55)
        axes.plot(place, estimate, "o", color=BLUE, ms=3.2, zorder=3)
    axes.axhline(0, color=GREY, lw=0.8, zorder=0)
    line = first_number(plot.options.get("line"))
    if line is not None:
        axes.axhline(line, color=VERMILION, lw=1, zorder=1)
        axes.annotate(
            f"all {numbers.typeset(numbers.plain(line))}",
            (1, line),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            color=VERMILION,
            fontsize=8,
        )
    if len(rows) <= MOST_VALUE_LABELS:
        size = 7 if len(rows) > 25 else 8  # noqa: PLR2004 - 50 states fit in 7 pt
        labels = [label for label, _ in rows]
        axes.set_xticks(range(len(rows)), labels, rotation=90, fontsize=size)
    else:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(rows)} rows, in order")
    axes.set_xlim(-0.8, len(rows) - 0.2)
    axes.set_ylabel(str(plot.options.get("y", "Estimate")))
    axes.grid(axis="y", color=FAINT, lw=0.5)
    bare(axes, "x")
    return figure


_SENSITIVITY = ("restriction", "method", "M", "lower", "upper")
#: Restriction -> what M counts.
_VIOLATIONS = {
    "relative_magnitudes": "M: largest step after treatment,\nin largest steps before it",
    "smoothness": "M: largest change of slope per period,\nin units of the outcome",
}


@dataclass(frozen=True, slots=True)
class _Bar:
    """An interval at one size of the violation."""

    method: str
    size: float
    lower: float
    upper: float


def sensitivity_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """Intervals by the size of a violation, the ordinary one beside."""
    for column in heading.columns:
        for plot in column.plots:
            if plot.kind != "sensitivity":
                continue
            bars = _bars(run.frame(column, plot.frame))
            shown = [name for name in bars if name in _VIOLATIONS]
            if not shown:
                continue
            words = [heading.name, column.line, column.value]
            yield Sketch(
                stem="_".join(file_stem(word) for word in words if word),
                caption=f"{heading.title}, {spoken(column.line)}: {level_of([column])} "
                "intervals by size of the violation of parallel trends",
                description="; ".join(
                    f"{spoken(name)} M {numbers.plain(bar.size)}: "
                    f"{numbers.plain(bar.lower)} to {numbers.plain(bar.upper)}"
                    for name in shown
                    for bar in bars[name]
                ),
                draw=partial(_draw_sensitivity, run, column, plot, bars, shown),
            )


def _bars(frame: Frame | None) -> dict[str, list[_Bar]]:
    """Restriction -> its intervals, in the order of the frame."""
    found: dict[str, list[_Bar]] = {}
    if frame is None or not {*_SENSITIVITY} <= {*frame.columns}:
        return found
    cells = zip(
        *(frame.text(c) for c in _SENSITIVITY[:2]),
        *(frame.numbers(c) for c in _SENSITIVITY[2:]),
        strict=True,
    )
    for restriction, method, *bar in cells:
        if all_finite(*bar):
            found.setdefault(restriction, []).append(_Bar(method, *bar))
    return found


def _draw_sensitivity(
    run: RunFolder,
    column: Column,
    plot: Drawing,
    bars: Mapping[str, Sequence[_Bar]],
    shown: Sequence[str],
) -> Drawn:
    figure, _ = canvas(3.4)
    figure.clear()
    panels = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
    figure.subplots_adjust(wspace=0.08)
    plain = [bar for name in bars if name not in _VIOLATIONS for bar in bars[name]]
    breakdown = plot.options.get("breakdown") or {}
    for number, (axes, name) in enumerate(zip(panels, shown, strict=True)):
        places = [*plain, *bars[name]]
        for place, bar in enumerate(places):
            colour = INK if bar in plain else SERIES[number]
            axes.vlines(place, bar.lower, bar.upper, color=colour, lw=1.8)
            axes.plot([place] * 2, [bar.lower, bar.upper], "_", color=colour, ms=7)
        axes.axhline(0, color=GREY, lw=0.8, zorder=0)
        if plain:
            axes.axvline(len(plain) - 0.5, color=GREY, lw=0.8, ls=(0, (4, 3)), zorder=0)
        ticks = ["none"] * len(plain) + [f"{bar.size:.2g}" for bar in bars[name]]
        axes.set_xticks(range(len(places)), ticks)
        axes.set_xlim(-0.6, len(places) - 0.4)
        axes.set_xlabel(_VIOLATIONS[name])
        axes.grid(axis="y", color=FAINT, lw=0.5)
        methods = "/".join(dict.fromkeys(bar.method for bar in bars[name]))
        value = first_number(breakdown.get(name))
        # A line of its own: side by side the panels leave no room for one.
        said = "" if value is None else f"\nbreakdown M = {value:.3g}"
        said_above(axes, f"{spoken(name)} ({methods}){said}")
        bare(axes, "xy" if number else "x")
    label = f"Effect of {estimated_term(run, column)} on {run.label(column.outcome)}"
    panels[0].set_ylabel(in_lines(label, 38))
    return figure
