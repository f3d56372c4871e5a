"""Densities of random draws, and scatters of two columns of a frame."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from framework.render import numbers
from framework.render.run import Column, Drawing, Frame, Heading, RunFolder, spoken
from framework.render.style import (
    BEHIND,
    BLUE,
    FAINT,
    GREY,
    INK,
    MARKERS,
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
    legend_of,
    said_in_corner,
    whole_ticks,
)
from framework.render.words import file_stem

if TYPE_CHECKING:
    from framework.render.style import Drawn, Plane

#: Where a p value is small: drawn across the p values of draws.
_LEVEL = 0.05
#: Share of an axis in which a centred label would leave it.
_EDGE = 0.15


def density_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """Densities of draws, the estimate marked in them."""
    summed = {(m["heading"], m["line"]) for m in run.multiverses}
    for column in heading.columns:
        if (column.heading, column.line) in summed:
            continue  # joint tests stand for the many distributions
        for plot in column.plots:
            if plot.kind != "density":
                continue
            frame = run.frame(column, plot.frame)
            values = _draws(frame, plot)
            if len(values) < 2:  # noqa: PLR2004 - no distribution
                continue
            words = [heading.name, column.line, column.value]
            yield Sketch(
                stem="_".join(file_stem(word) for word in words if word),
                caption=plot.title
                or f"{heading.title}: estimates in {len(values)} random draws",
                description=f"{len(values)} draws"
                + (", with their p values" if _p_values(frame, plot) else ""),
                draw=partial(
                    _draw_density, run, column, plot, values, _p_values(frame, plot)
                ),
            )


def _draws(frame: Frame | None, plot: Drawing) -> tuple[float, ...]:
    if frame is None:
        return ()
    numeric = [name for name in frame.columns if frame.is_numeric(name)]
    wanted = [plot.options.get("column"), "estimate", *numeric]
    name = next((name for name in wanted if name in frame.columns), None)
    if name is None:
        return ()
    return tuple(v for v in frame.numbers(str(name)) if math.isfinite(v))


def _p_values(frame: Frame | None, plot: Drawing) -> tuple[tuple[float, float], ...]:
    """(estimate, p value) of every draw that has both; the plot names the columns."""
    names = [str(plot.options.get(key, "")) for key in ("column", "p_values")]
    if frame is None or not {*names} <= {*frame.columns}:
        return ()
    pairs = zip(*(frame.numbers(name) for name in names), strict=True)
    return tuple((x, p) for x, p in pairs if all_finite(x, p))


def _draw_density(
    run: RunFolder,
    column: Column,
    plot: Drawing,
    values: Sequence[float],
    p_values: Sequence[tuple[float, float]],
) -> Drawn:
    import numpy as np

    figure, axes = canvas(3.4 if p_values else 3.2)
    draws = np.asarray(values)
    line = first_number(
        plot.options.get("line"),
        plot.options.get("estimate"),
        column.draws.get("estimate"),
        column.judged.estimate if column.judged else None,
        run.baseline.judged.estimate if run.baseline and run.baseline.judged else None,
    )
    grid, height = _kernel_density(draws)
    axes.plot(grid, height, color=BLUE, lw=1.8)
    if not p_values:  # whose dots show every draw
        bins = "fd" if draws.size > 30 else 10  # noqa: PLR2004 - Freedman-Diaconis needs a sample
        axes.hist(draws, bins=bins, density=True, color=FAINT)
        rug = np.zeros_like(draws)
        axes.plot(draws, rug, "|", color=BLUE, ms=6, alpha=0.35, clip_on=False)
    axes.axvline(0, color=GREY, lw=0.8, zorder=0)
    place = 0.0
    if line is not None:
        axes.axvline(line, color=VERMILION, lw=1.6)
        left, right = axes.get_xlim()
        place = (line - left) / (right - left)
        axes.annotate(
            f"our estimate {numbers.typeset(numbers.plain(line))}",
            (line, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            # At an edge it would reach into what stands beside the axes.
            ha="left" if place < _EDGE else "right" if place > 1 - _EDGE else "center",
            color=VERMILION,
            fontsize=8.5,
        )
    test = column.test("randomization")
    value = first_number(
        plot.options.get("p_value"),
        test.p_value if test else None,
        column.draws.get("p_value"),
    )
    said = f"{len(values)} draws"
    if value is not None:
        text = numbers.p_value(value)
        said += f", exact p {text if text.startswith('<') else '= ' + text}"
    # Above the axes, where no curve is, and on the side where our estimate is not.
    side: Literal["left", "right"] = "left" if place > 0.5 else "right"  # noqa: PLR2004 - half
    axes.set_title(said, loc=side, fontsize=8.5, pad=3)
    axes.set_yticks([])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(
        in_lines(f"Estimate of {estimated_term(run, column)} in a draw", 70)
    )
    axes.set_ylabel("Density")
    bare(axes, "y")
    if p_values:
        _beside_density(axes, p_values)
    return figure


def _beside_density(axes: Plane, p_values: Sequence[tuple[float, float]]) -> None:
    """The p value of every draw over its estimate, on an axis of its own."""
    other = axes.twinx()
    x, p = zip(*p_values, strict=True)
    other.plot(x, p, "o", color=INK, ms=2.6, mew=0, alpha=0.35)
    other.axhline(_LEVEL, color=GREY, lw=0.8, ls=(0, (4, 3)))
    other.set_ylim(0, 1)
    # 0 is the axis; its label would touch that of the level.
    other.set_yticks([_LEVEL, 0.5, 1], [f"{_LEVEL:g}", "0.5", "1"])
    other.set_ylabel("p value in the draw (dots)")
    other.spines[["top", "left"]].set_visible(False)
    # The line of our estimate and the words stay in front of the dots.
    other.set_zorder(axes.get_zorder() - 1)
    axes.patch.set_visible(False)


def _kernel_density(draws: Any) -> tuple[Any, Any]:
    """Gaussian kernel density, Silverman's (1986) rule of thumb, on 300 points."""
    import numpy as np

    low, high = np.quantile(draws, [0.25, 0.75])
    spread = min(draws.std(ddof=1), (high - low) / 1.349) or draws.std(ddof=1) or 1.0
    width = 0.9 * spread * draws.size ** (-0.2)
    grid = np.linspace(draws.min() - 3 * width, draws.max() + 3 * width, 300)
    z = (grid[:, None] - draws[None, :]) / width
    height = np.exp(-0.5 * z**2).sum(axis=1) / (
        draws.size * width * math.sqrt(2 * math.pi)
    )
    return grid, height


@dataclass(frozen=True, slots=True)
class Cloud:
    """Points of one group."""

    name: str
    marker: str
    colour: str
    x: tuple[float, ...]
    y: tuple[float, ...]


def scatter_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """Scatters of two columns of a frame."""
    for column in heading.columns:
        for plot in column.plots:
            if plot.kind != "scatter":
                continue
            clouds = clouds_of(run.frame(column, plot.frame), plot)
            if not clouds:
                continue
            x, y = (str(plot.options[axis]) for axis in "xy")
            words = [heading.name, column.line, column.value, plot.frame]
            what = plot.title or f"{spoken(y)} against {spoken(x)}"
            yield Sketch(
                stem="_".join(file_stem(word) for word in words if word),
                caption=f"{heading.title}, {spoken(column.line)}: {what}",
                description="points: "
                + "; ".join(f"{c.name or 'all'} {len(c.x)}" for c in clouds),
                draw=partial(_draw_scatter, plot, clouds),
                wide=is_wide([x, y, *(cloud.name for cloud in clouds)]),
            )


def clouds_of(frame: Frame | None, plot: Drawing) -> tuple[Cloud, ...]:
    """Finite points by group, groups as they first occur; at most one per colour.

    Options of the plot: `x`, `y` and `group` (may be left out) name columns of the
    frame, `groups` orders the groups, `background` is one that is drawn in grey, `line`
    is a value of `y` to draw a line at, `slope` that of a line through
    the origin.
    """
    x, y, group = (str(plot.options.get(key, "")) for key in ("x", "y", "group"))
    if frame is None or not {x, y} <= {*frame.columns}:
        return ()
    names = frame.text(group) if group in frame.columns else [""] * len(frame.rows)
    points: dict[str, list[tuple[float, float]]] = {}
    for name, *point in zip(names, frame.numbers(x), frame.numbers(y), strict=True):
        if all_finite(*point):
            points.setdefault(name, []).append((point[0], point[1]))
    if len(points) > len(SERIES):
        points = {"": [point for some in points.values() for point in some]}
    background = str(plot.options.get("background", ""))
    # Groups that are named keep their look where some of them have no point.
    listed = [*map(str, plot.options.get("groups", ())), *points]
    named = [name for name in dict.fromkeys(listed) if name != background or not name]
    looks = [*zip(named, MARKERS, SERIES, strict=False), (background, "o", BEHIND)]
    return tuple(
        Cloud(name, marker, colour, *zip(*points.pop(name), strict=True))
        for name, marker, colour in looks
        if name in points
    )


def _draw_scatter(plot: Drawing, clouds: Sequence[Cloud]) -> Drawn:
    figure, axes = canvas(3.6)
    axes.axhline(0, color=GREY, lw=0.8, zorder=0)
    for cloud in clouds:
        axes.plot(
            cloud.x,
            cloud.y,
            cloud.marker,
            color=cloud.colour,
            ms=4 if cloud.colour == BEHIND else 5,
            alpha=0.75,
            mew=0,
        )
    if len(clouds) > 1:
        legend_of(axes, [(c.name, c.marker, c.colour) for c in clouds], 2)
    if all(x == int(x) for cloud in clouds for x in cloud.x):
        whole_ticks(axes)
    slope = first_number(plot.options.get("slope"))
    if slope is not None:
        axes.axvline(0, color=GREY, lw=0.8, zorder=0)
        axes.axline((0, 0), slope=slope, color=INK, lw=1, zorder=1)
        said_in_corner(axes, f"slope {numbers.typeset(numbers.plain(slope))}")
    line = first_number(plot.options.get("line"))
    if line is not None:
        axes.axhline(line, color=INK, lw=1, zorder=1)
        axes.annotate(
            f"estimate {numbers.typeset(numbers.plain(line))}",
            (1, line),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_xlabel(spoken(str(plot.options["x"])).capitalize())
    axes.set_ylabel(spoken(str(plot.options["y"])).capitalize())
    axes.grid(color=FAINT, lw=0.5)
    return figure
