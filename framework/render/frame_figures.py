"""Figures of a frame: members ranked, a heat map by period, distributions by period.

An estimation or a data step says which frame and which columns (`Plot.options`); here it
is drawn in the house style of `figures`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from framework.render import numbers
from framework.render.run import Drawing, Frame, Heading, RunFolder, spoken
from framework.render.style import (
    BLUE,
    FAINT,
    GREY,
    INK,
    VERMILION,
    Sketch,
    bare,
    canvas,
    first_number,
    is_wide,
)
from framework.render.words import file_stem

if TYPE_CHECKING:
    from framework.render.style import Drawn

    Draw = Callable[[Drawing, Frame], Drawn]

#: Members of a ranking that are drawn; the table has all.
_MOST_RANKED = 20
#: Rows of a heat map that are named one by one.
_MOST_NAMED = 30
#: About as many are named where there are more.
_RANKS_NAMED = 14
#: Cells of a heat map that can hold their number.
_MOST_CELLS = 160
#: A group of fewer values has no distribution to draw.
_FEWEST = 5
#: From this share of the colour map on, its colours are dark.
_DARK = 0.55


def heading_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """Figures of frames that the columns of a heading ask for."""
    for column in heading.columns:
        for plot in column.plots:
            frame = run.frame(column, plot.frame) if plot.kind in _KINDS else None
            words = [heading.name, column.line, column.value, plot.frame]
            what = f"{heading.title}, {spoken(column.line)}"
            if frame is not None:
                yield from _sketch(plot, frame, words, what)


def data_sketches(run: RunFolder) -> Iterator[Sketch]:
    """Figures that the data steps of the study leave behind."""
    for plot in run.data_plots:
        frame = run.data_frame(plot.frame) if plot.kind in _KINDS else None
        if frame is not None:
            yield from _sketch(plot, frame, ["data", plot.frame, plot.kind], "Data")


def _sketch(
    plot: Drawing, frame: Frame, words: Sequence[str], what: str
) -> Iterator[Sketch]:
    draw, columns = _KINDS[plot.kind]
    wanted = [str(plot.options.get(c, "")) for c in columns]
    if not set(wanted) <= set(frame.columns) or not frame.rows:
        return
    shown = _only(frame, plot.options.get("only"))
    title = plot.title or spoken(plot.kind)
    yield Sketch(
        stem="_".join(file_stem(word) for word in words if word),
        caption=f"{what}: {title}",
        description=f"{title}; {len(shown.rows)} values",
        draw=partial(draw, plot, shown),
        wide=is_wide([*wanted, *(cell for row in shown.rows for cell in row)]),
    )


def _only(frame: Frame, only: Any) -> Frame:
    """The rows with these values: `{"technology": "all"}`."""
    if not isinstance(only, Mapping):
        return frame
    held = [
        row
        for number, row in enumerate(frame.rows)
        if all(frame.text(str(k))[number] == str(v) for k, v in only.items())
    ]
    return Frame(frame.columns, tuple(held))


# --- members ranked ----------------------------------------------------------------


def _ranked(plot: Drawing, frame: Frame) -> Drawn:
    """Points from zero, the largest first; a band of one `unit` either side."""
    options = plot.options
    values = frame.numbers(str(options["value"]))
    pairs = zip(frame.text(str(options["label"])), values, strict=True)
    known = sorted(
        (pair for pair in pairs if math.isfinite(pair[1])), key=lambda p: -abs(p[1])
    )
    shown = known[:_MOST_RANKED]
    figure, axes = canvas(0.9 + 0.22 * len(shown))
    unit = first_number(options.get("unit"))
    reach = max((abs(value) for _, value in shown), default=1.0) or 1.0
    for place, (_, value) in enumerate(shown):
        axes.hlines(place, 0, value, color=FAINT, lw=2.2)
        axes.plot(value, place, "o", color=BLUE if value > 0 else VERMILION, ms=5)
    axes.axvline(0, color=GREY, lw=0.8, zorder=0)
    axes.set_yticks(range(len(shown)), [name for name, _ in shown], fontsize=8)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    if unit is not None and unit > 0:
        top = axes.secondary_xaxis("top", functions=_in_units(unit))
        top.set_xlabel("in standard errors", fontsize=8)
        top.tick_params(labelsize=8)
    axes.set_xlim(-1.12 * reach, 1.12 * reach)
    more = len(known) - len(shown)
    rest = f" ({more} smaller ones not drawn)" if more > 0 else ""
    axes.set_xlabel(f"{options.get('what') or spoken(str(options['value']))}{rest}")
    axes.grid(axis="x", color=FAINT, lw=0.5)
    bare(axes, "y")
    return figure


def _in_units(unit: float) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """To units and back, of numbers and arrays."""
    return lambda x: x / unit, lambda x: x * unit


# --- a heat map --------------------------------------------------------------------


def _heatmap(plot: Drawing, frame: Frame) -> Drawn:
    """Rows from the largest mean to the smallest (or as they come), columns in order."""
    import numpy as np

    options = plot.options
    rows = frame.text(str(options["row"]))
    columns = frame.text(str(options["column"]))
    values = frame.numbers(str(options["value"]))
    across = sorted(dict.fromkeys(columns), key=_sortable)
    down = list(dict.fromkeys(rows))
    sums, counts = np.zeros((2, len(down), len(across)))
    at = {name: k for k, name in enumerate(down)}, {c: k for k, c in enumerate(across)}
    for row, column, value in zip(rows, columns, values, strict=True):
        if math.isfinite(value):
            sums[at[0][row], at[1][column]] += value
            counts[at[0][row], at[1][column]] += 1
    with np.errstate(invalid="ignore"):
        grid = sums / counts  # several values of a cell, as of windows: their mean
    if options.get("order") != "given":
        known = np.where(np.isnan(grid), 0.0, grid).sum(axis=1)
        cells = np.maximum((~np.isnan(grid)).sum(axis=1), 1)
        order = np.argsort(-known / cells, kind="stable")
        most = options.get("most")
        order = order[:most] if isinstance(most, int) else order
        grid, down = grid[order], [down[k] for k in order]
    named = len(down) <= _MOST_NAMED
    figure, axes = canvas(0.9 + (0.26 * len(down) if named else 4.6))
    low, high = np.nanquantile(grid, [0.01, 0.99]) if not named else _ends(grid)
    image = axes.imshow(
        grid, aspect="auto", cmap="YlGnBu", vmin=low, vmax=high, interpolation="none"
    )
    axes.set_xticks(range(len(across)), across)
    axes.tick_params(length=0)
    if named:
        axes.set_yticks(range(len(down)), [spoken(d) for d in down])
    else:
        step = -(-len(down) // _RANKS_NAMED)
        ranks = [0, *range(step - 1, len(down), step)]
        labels = [f"{down[rank]}  ({rank + 1})" for rank in ranks]
        axes.set_yticks(ranks, labels, fontsize=8)
        axes.set_ylabel(f"{spoken(str(options['row'])).capitalize()} (rank by mean)")
    if named and grid.size <= _MOST_CELLS:
        _write_cells(axes, grid, (low, high), percent=bool(options.get("percent")))
    else:
        bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02, extend="both")
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0, labelsize=8)
        bar.set_label(
            options.get("what") or spoken(str(options["value"])), fontsize=8.5
        )
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel(spoken(str(options["column"])).capitalize())
    return figure


def _ends(grid: Any) -> tuple[float, float]:
    import numpy as np

    return float(np.nanmin(grid)), float(np.nanmax(grid))


def _write_cells(
    axes: Any, grid: Any, ends: tuple[float, float], *, percent: bool
) -> None:
    """The number of every cell, in the ink that its colour bears."""
    low, high = ends
    for (row, column), value in _cells(grid):
        dark = (value - low) / ((high - low) or 1.0) > _DARK
        text = f"{100 * value:.0f}%" if percent else f"{value:.2f}"
        axes.text(
            column,
            row,
            numbers.typeset(text),
            ha="center",
            va="center",
            fontsize=7.5,
            color="white" if dark else INK,
        )


def _cells(grid: Any) -> Iterator[tuple[tuple[int, int], float]]:
    for row, line in enumerate(grid):
        for column, value in enumerate(line):
            if math.isfinite(value):
                yield (row, column), float(value)


def _sortable(text: str) -> tuple[int, float, str]:
    """Numbers in their order, then words in theirs."""
    try:
        return 0, float(text), text
    except ValueError:
        return 1, 0.0, text


# --- distributions -----------------------------------------------------------------


def _distribution(plot: Drawing, frame: Frame) -> Drawn:
    """A violin per group with its quartiles and its median; a `line` to compare with."""
    import numpy as np

    options = plot.options
    groups: dict[str, list[float]] = {}
    held = zip(
        frame.text(str(options["group"])),
        frame.numbers(str(options["value"])),
        strict=True,
    )
    for name, value in held:
        if math.isfinite(value):
            groups.setdefault(name, []).append(value)
    names = sorted((n for n in groups if len(groups[n]) >= _FEWEST), key=_sortable)
    figure, axes = canvas(3.6)
    for place, name in enumerate(names):
        values = np.asarray(groups[name])
        if np.ptp(values) > 0:
            body: Any = axes.violinplot(values, [place], widths=0.85, showextrema=False)
            for part in body["bodies"]:
                part.set(facecolor=BLUE, alpha=0.25, edgecolor="none")
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        axes.vlines(place, low, high, color=BLUE, lw=3)
        axes.plot(place, middle, "o", color="white", mec=BLUE, mew=1.2, ms=5, zorder=3)
    line = first_number(options.get("line"))
    if line is not None:
        axes.axhline(line, color=VERMILION, lw=1, zorder=1)
        if options.get("line_label"):
            axes.annotate(
                str(options["line_label"]),
                (1, line),
                xycoords=("axes fraction", "data"),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                color=VERMILION,
                fontsize=8,
            )
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_xlabel(spoken(str(options["group"])).capitalize())
    axes.set_ylabel(options.get("what") or spoken(str(options["value"])).capitalize())
    axes.annotate(
        "dot: median, bar: quartiles",
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 4),
        textcoords="offset points",
        fontsize=8,
        color=GREY,
    )
    axes.grid(axis="y", color=FAINT, lw=0.5)
    bare(axes, "x")
    return figure


#: Kind -> how it is drawn, and the options that name columns it can't do without.
_KINDS: Mapping[str, tuple[Draw, tuple[str, ...]]] = {
    "ranked": (_ranked, ("label", "value")),
    "heatmap": (_heatmap, ("row", "column", "value")),
    "distribution": (_distribution, ("group", "value")),
}

__all__ = ["data_sketches", "heading_sketches"]
