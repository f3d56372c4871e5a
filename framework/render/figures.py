"""Figures in one house style; the only file that knows matplotlib.

Many kinds; what each needs is a frame of a run, never an engine.
Colours are Okabe and Ito's (2008), safe for colour-blind readers; there is no title
inside a figure (the report and the paper have captions) and no legend where a label
can stand beside the thing.
"""

from __future__ import annotations

import io
import logging
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeAlias

from framework.render import numbers
from framework.render.content import (
    Curve,
    column_marks,
    curves_of,
    file_stem,
    number_columns,
)
from framework.render.run import (
    Coefficient,
    Column,
    Drawing,
    Frame,
    Heading,
    RunFolder,
    spoken,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import BboxBase

    #: What drawing gives, for modules that must not know matplotlib.
    Drawn: TypeAlias = Figure

INK, GREY, FAINT = "#222222", "#767676", "#d5d5d5"
BLUE, VERMILION = "#0072b2", "#d55e00"
SERIES = (BLUE, VERMILION, "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
#: Points that stand behind the others.
_BEHIND = "#a6a6a6"
_MARKERS = ("o", "^", "s", "D", "v", "P")
#: CJK radicals: the first characters that DejaVu Sans lacks and a CJK font has.
_FIRST_WIDE = 0x2E80
#: Columns of a frame of violations.
_TREND = frozenset({"power", "event_time", "trend", "after_pretest"})
#: Columns of a frame of bands, and what a caption says of them.
_BAND = frozenset({"event_time", "conf_low", "conf_high"})
_BANDS = " (thin: bands that hold for all periods at once)"
#: Inches; the width of a text block.
_WIDTH, _MARGIN = 6.5, 0.08
#: Fewer coefficients than this are better read in the table.
_FEWEST_EVENT_TIMES = 3
#: Above this many values the labels of a curve's values no longer fit.
_MOST_VALUE_LABELS = 60
_MOST_CHOICES = 28


@dataclass(frozen=True, slots=True)
class Sketch:
    """A figure to draw: file stem, caption, description for readers, the drawing.

    `wide`: some label needs a Chinese, Japanese or Korean font. It is asked for only
    then, because a PDF carries every font that is asked for.
    """

    stem: str
    caption: str
    description: str
    draw: Callable[[], Figure]
    wide: bool = False


def sketches_of(run: RunFolder, heading: Heading) -> tuple[Sketch, ...]:
    """The figures of a heading that show something; nothing is drawn yet."""
    found = [
        *_coefficient_sketches(run, heading),
        *_event_sketches(run, heading),
        *(_curve_sketch(run, heading, curve) for curve in curves_of(heading)),
        *_density_sketches(run, heading),
        *_scatter_sketches(run, heading),
        *_balance_sketches(run, heading),
        *_overlap_sketches(run, heading),
        *_sensitivity_sketches(run, heading),
        *_map_sketches(run, heading),
        *_ordered_sketches(run, heading),
    ]
    if len(found) == 1:
        found = [replace(found[0], stem=file_stem(heading.name))]
    wide = has_wide_labels(run, heading)
    return tuple(replace(sketch, wide=wide or sketch.wide) for sketch in found)


def has_wide_labels(run: RunFolder, heading: Heading) -> bool:
    """Whether some label of a run needs a Chinese, Japanese or Korean font."""
    texts = [heading.title, *run.labels.values()]
    for column in run.columns:
        texts += [column.line, column.value, column.outcome, *column.treatment]
        texts += [row.term for row in column.coefficients]
    return is_wide(texts)


def is_wide(texts: Iterable[str]) -> bool:
    """Whether a text needs a Chinese, Japanese or Korean font."""
    return any(ord(character) >= _FIRST_WIDE for text in texts for character in text)


def undrawn(heading: Heading) -> tuple[str, ...]:
    """Kinds of figures that columns ask for and this version does not draw."""
    known = {
        *("coefficients", "event_study", "density", "scatter", "specification_curve"),
        *("balance", "overlap", "ranked", "heatmap", "distribution", "table"),
        "ordered",
        "map",
        "sensitivity",
        "trajectories",
    }
    kinds = {plot.kind for column in heading.columns for plot in column.plots}
    return tuple(sorted(kinds - known))


def save(sketch: Sketch, formats: Sequence[str]) -> Mapping[str, bytes]:
    """Format (`png`, `pdf`, `svg`) -> the file's bytes; same input, same bytes."""
    import matplotlib as mpl

    # The font subsetter of PDFs tells every table it drops.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    with mpl.rc_context(_style(_fonts() if sketch.wide else _fonts()[:1])):
        figure = sketch.draw()
        # Once for all formats: "tight" would draw the figure again for each.
        box = figure.get_tightbbox().padded(_MARGIN)
        return {form: _bytes(figure, form, box) for form in formats}


# --- coefficients by column --------------------------------------------------------


def _coefficient_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    columns = [c for c in number_columns(run, heading) if c.done]
    rows = [(c, c.judged) for c in columns if not c.event_times]
    shown = [(c, r) for c, r in rows if r is not None and _drawable(r)]
    if len(shown) < 2:  # noqa: PLR2004 - one point is no figure
        return
    marks = column_marks(number_columns(run, heading))
    labels = [_column_label(run, c, marks[c.address]) for c, _ in shown]
    yield Sketch(
        stem=f"{file_stem(heading.name)}_coefficients",
        caption=f"{heading.title}: estimates with {_level(columns)} intervals",
        description="; ".join(
            f"{label} {numbers.plain(r.estimate)}"
            for label, (_, r) in zip(labels, shown, strict=True)
        ),
        draw=lambda: _draw_coefficients(run, shown, labels),
    )


def _draw_coefficients(
    run: RunFolder, shown: Sequence[tuple[Column, Coefficient]], labels: Sequence[str]
) -> Figure:
    figure, axes = canvas(0.9 + 0.34 * len(shown))
    for place, (column, row) in enumerate(shown):
        colour = INK if column.is_model else BLUE
        axes.hlines(place, row.conf_low, row.conf_high, color=colour, lw=1.6)
        axes.plot(row.estimate, place, "o", color=colour, ms=5.5, zorder=3)
    axes.set_yticks(range(len(shown)), labels)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.axvline(0, color=GREY, lw=0.8, zorder=0)
    terms = {run.label(row.term) for _, row in shown}
    outcomes = {run.label(column.outcome) for column, _ in shown}
    what = f"Effect of {terms.pop()}" if len(terms) == 1 else "Estimate"
    on = f" on {outcomes.pop()}" if len(outcomes) == 1 else ""
    axes.set_xlabel(_broken(what + on, 70))
    bare(axes, "y")
    axes.grid(axis="x", color=FAINT, lw=0.5)
    return figure


# --- event study -------------------------------------------------------------------


def _event_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    for line, columns in heading.lines().items():
        usable = tuple(
            c for c in columns if c.done and len(c.event_times) >= _FEWEST_EVENT_TIMES
        )[: len(SERIES)]
        if not usable:
            continue
        first = usable[0].event_times
        yield Sketch(
            stem=f"{file_stem(heading.name)}_{file_stem(line)}",
            caption=(
                f"{heading.title}, {spoken(line)}: effect by periods since treatment, "
                f"{_level(usable)} intervals"
                f"{_BANDS if any(_bands(run, c) for c in usable) else ''}"
            ),
            description="; ".join(
                f"period {_whole(row)}: {numbers.plain(row.estimate)}" for row in first
            ),
            draw=partial(_draw_events, run, usable),
        )


def _draw_events(run: RunFolder, columns: Sequence[Column]) -> Figure:
    figure, axes = canvas(3.6)
    axes.axhline(0, color=GREY, lw=0.8, zorder=0)
    times = sorted({_whole(row) for c in columns for row in c.event_times})
    references = {reference for c in columns for reference in [_reference(c)]}
    times = sorted({*times, *(r for r in references if r is not None)})
    axes.axvline(-0.5, color=GREY, lw=0.8, ls=(0, (4, 3)), zorder=0)
    spread = 0.16 if len(columns) > 1 else 0.0
    for number, column in enumerate(columns):
        shift = spread * (number - (len(columns) - 1) / 2)
        _draw_event_series(axes, run, column, shift, SERIES[number])
    if len(columns) == 1:
        _draw_trends(axes, run, columns[0])
    _name_series(axes, run, columns)
    axes.set_xticks(times, [_event_tick(run, columns, time) for time in times])
    axes.set_xlim(min(times) - 0.6, max(times) + 0.6)
    supported = any(_support(run, column) for column in columns)
    axes.set_xlabel(
        "Periods since treatment (below: treated units in support)"
        if supported
        else "Periods since treatment"
    )
    axes.set_ylabel(_broken(f"Effect on {run.label(columns[0].outcome)}", 34))
    axes.grid(axis="y", color=FAINT, lw=0.5)
    bare(axes, "x")
    if len(columns) == 1:
        _corner(axes, _pretrend(columns[0]))
    return figure


def _draw_trends(axes: Axes, run: RunFolder, column: Column) -> None:
    """Violations of parallel trends by the power to detect them, where they are given."""
    names = [p.options.get("trends") for p in column.plots if p.kind == "event_study"]
    frame = next((run.frame(column, str(n)) for n in names if n), None)
    if frame is None or not _TREND.issubset(frame.columns):
        return
    power, time = frame.numbers("power"), frame.numbers("event_time")
    trend, after = frame.numbers("trend"), frame.numbers("after_pretest")
    keys = []
    for number, level in enumerate(dict.fromkeys(power)):
        at = [i for i, p in enumerate(power) if p == level]
        colour = SERIES[1 + number % (len(SERIES) - 1)]
        x = [time[i] for i in at]
        axes.plot(x, [trend[i] for i in at], "-", color=colour, lw=1.2, zorder=1)
        axes.plot(x, [after[i] for i in at], ":", color=colour, lw=1.6, zorder=1)
        keys.append((f"trend seen with {level:.0%} power", "-", colour))
    keys.append(("the same, given the test is passed", ":", GREY))
    _legend(axes, keys, 2)


def _draw_event_series(
    axes: Axes, run: RunFolder, column: Column, shift: float, colour: str
) -> None:
    reference = _reference(column)
    bands = _bands(run, column)
    for row in column.event_times:
        time = _whole(row)
        if time == reference or not _drawable(row):
            continue
        axes.vlines(time + shift, row.conf_low, row.conf_high, color=colour, lw=1.6)
        axes.plot(time + shift, row.estimate, "o", color=colour, ms=5, zorder=3)
        if time in bands:
            axes.vlines(time + shift, *bands[time], color=colour, lw=0.7)
            ends = [time + shift] * len(bands[time])
            axes.plot(ends, bands[time], "_", color=colour, ms=5, mew=0.7)
    if reference is not None:
        axes.plot(
            reference + shift, 0, "o", mfc="white", mec=colour, mew=1.2, ms=5, zorder=3
        )


def _reference(column: Column) -> int | None:
    """The omitted period: as the plot says, else the row without an error, else -1."""
    for plot in column.plots:
        if plot.kind == "event_study" and plot.options.get("reference") is not None:
            return int(plot.options["reference"])
    for row in column.event_times:
        if row.estimate == 0 and not row.std_error > 0:
            return _whole(row)
    times = {_whole(row) for row in column.event_times}
    return -1 if -1 not in times and min(times) < -1 < max(times) else None


def _bands(run: RunFolder, column: Column) -> Mapping[int, tuple[float, float]]:
    """Event time -> simultaneous band, from the frame that the plot names."""
    names = [p.options.get("bands") for p in column.plots if p.kind == "event_study"]
    for name in names:
        frame = run.frame(column, str(name)) if name in column.frames else None
        if frame is None or not _BAND.issubset(frame.columns):
            continue
        cells = zip(*(frame.numbers(c) for c in sorted(_BAND)), strict=True)
        return {int(t): (low, high) for high, low, t in cells if _finite(low, high, t)}
    return {}


def _support(run: RunFolder, column: Column) -> Mapping[int, str]:
    """Event time -> treated units behind the coefficient, where the run counted."""
    for name in column.frames:
        if "support" not in name:
            continue
        frame = run.frame(column, name)
        if frame is None or "event_time" not in frame.columns:
            continue
        counts = [c for c in frame.columns if c != "event_time" and frame.is_numeric(c)]
        counts.sort(key=lambda c: ("treated" not in c, "unit" not in c))
        if counts:
            times = frame.numbers("event_time")
            units = frame.numbers(counts[0])
            return {int(t): numbers.plain(n) for t, n in zip(times, units, strict=True)}
    return {}


def _event_tick(run: RunFolder, columns: Sequence[Column], time: int) -> str:
    counts = _support(run, columns[0])
    tick = numbers.typeset(str(time))
    return f"{tick}\n{counts.get(time, '')}" if counts else tick


def _pretrend(column: Column) -> str:
    test = column.test("joint_pretrend")
    if test is None:
        return ""
    if math.isnan(test.p_value):
        return _broken(f"no joint test: {test.reason}", 40)
    value = numbers.p_value(test.p_value)
    sign = "" if value.startswith("<") else "= "
    return f"joint test of pre-trends: p {sign}{value}"


def _name_series(axes: Axes, run: RunFolder, columns: Sequence[Column]) -> None:
    """Names above the plot, each in its own colour: a legend without a box."""
    if len(columns) < 2:  # noqa: PLR2004 - one series needs no name
        return
    names = [run.label(c.value) if c.value else spoken(c.line) for c in columns]
    _legend(axes, [(name, "o", SERIES[n]) for n, name in enumerate(names)], 3)


def _legend(
    axes: Axes,
    keys: Sequence[tuple[str, str, str]],
    columns: int,
    hollow: Sequence[str] = (),
) -> None:
    """Above the plot: (name, marker, colour) of every series; `hollow` ones by name."""
    axes.legend(
        handles=[
            axes.plot(
                [],
                [],
                marker,
                color=colour,
                mfc="white" if name in hollow else colour,
                ms=5,
                label=name,
            )[0]
            for name, marker, colour in keys
        ],
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=min(len(keys), columns),
        frameon=False,
        handletextpad=0.2,
        columnspacing=1.4,
        borderaxespad=0.2,
        labelcolor=[colour for _, _, colour in keys],
    )


# --- specification curve -----------------------------------------------------------


def _curve_sketch(run: RunFolder, heading: Heading, curve: Curve) -> Sketch:
    return Sketch(
        stem=f"{file_stem(heading.name)}_{file_stem(curve.line)}",
        caption=f"{heading.title}, {curve.sentence()}",
        description=curve.sentence(),
        draw=lambda: _draw_curve(run, curve),
    )


def _draw_curve(run: RunFolder, curve: Curve) -> Figure:
    columns = sorted(curve.done, key=lambda c: c.judged.estimate if c.judged else 0.0)
    choices = _choices(run, columns, curve.columns)
    groups = len({path for path, _, _ in choices})
    lower = 0.17 * (len(choices) + groups / 2)
    figure, axes = canvas(3.0 + lower)
    if choices:
        grid = axes.get_gridspec() or figure.add_gridspec()
        figure.clear()
        grid = figure.add_gridspec(
            2, 1, height_ratios=(3.0, max(lower, 0.4)), hspace=0.06
        )
        axes = figure.add_subplot(grid[0])
    _draw_sorted(axes, run, columns)
    if choices:
        matrix = figure.add_subplot(grid[1], sharex=axes)
        _draw_choices(matrix, columns, choices)
        axes.tick_params(labelbottom=False, bottom=False)
    elif len(columns) <= _MOST_VALUE_LABELS:
        axes.set_xticks(
            range(len(columns)),
            [run.label(c.value) for c in columns],
            rotation=90,
            fontsize=7 if len(columns) > 25 else 8,  # noqa: PLR2004 - 50 states fit in 7 pt
        )
        axes.tick_params(axis="x", length=0, pad=2)
    else:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(columns)} values, sorted by estimate")
        _name_extremes(axes, run, columns)
    return figure


def _draw_sorted(axes: Axes, run: RunFolder, columns: Sequence[Column]) -> None:
    axes.axhline(0, color=GREY, lw=0.8, zorder=0)
    thin = 1.4 if len(columns) <= _MOST_VALUE_LABELS else 0.6
    for place, column in enumerate(columns):
        row = column.judged
        if row is None:
            continue
        colour = BLUE if row.p_value < 0.05 else GREY  # noqa: PLR2004 - 5%
        if _drawable(row):
            axes.vlines(
                place, row.conf_low, row.conf_high, color=colour, lw=thin, alpha=0.55
            )
        axes.plot(place, row.estimate, "o", color=colour, ms=3.2, zorder=3)
    base = run.baseline.judged if run.baseline else None
    outcomes = {column.outcome for column in columns}
    same = run.baseline is not None and outcomes == {run.baseline.outcome}
    if base is not None and same:
        axes.axhline(base.estimate, color=VERMILION, lw=1, zorder=1)
        axes.annotate(
            f"baseline {numbers.typeset(numbers.plain(base.estimate))}",
            (1, base.estimate),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            color=VERMILION,
            fontsize=8,
        )
    axes.set_xlim(-0.8, len(columns) - 0.2)
    axes.set_ylabel("Estimate")
    axes.grid(axis="y", color=FAINT, lw=0.5)
    significant = any(c.judged and c.judged.p_value < 0.05 for c in columns)  # noqa: PLR2004 - 5%
    _above(
        axes,
        "blue: significant at 5%, grey: not"
        if significant
        else "no estimate is significant at 5%",
    )
    bare(axes, "x")


def _choices(
    run: RunFolder, columns: Sequence[Column], written: Sequence[Column]
) -> tuple[tuple[str, str, tuple[bool, ...]], ...]:
    """(path, choice, made in which columns); empty where a matrix would say nothing.

    One path whose values are all different (leave one out) is told by labels instead.
    Choices stand in the order in which the study writes them.
    """
    rows: list[tuple[str, str, tuple[bool, ...]]] = []
    for path in dict.fromkeys(path for column in columns for path in column.choices):
        kinds = dict.fromkeys(column.choices.get(path, "") for column in written)
        if len(kinds) == 1:
            continue
        rows += [
            (path, run.label(kind), tuple(c.choices.get(path) == kind for c in columns))
            for kind in kinds
        ]
    if len(rows) > _MOST_CHOICES or len(rows) >= len(columns) > 1 == len(
        {path for path, _, _ in rows}
    ):
        return ()
    return tuple(rows)


def _draw_choices(
    axes: Axes,
    columns: Sequence[Column],
    choices: Sequence[tuple[str, str, tuple[bool, ...]]],
) -> None:
    size = max(1.2, min(3.4, 220 / len(columns)))
    paths = list(dict.fromkeys(path for path, _, _ in choices))
    # Half a line of air between the choices of different paths.
    places = [n + 0.5 * paths.index(path) for n, (path, _, _) in enumerate(choices)]
    for place, (_, _, made) in zip(places, choices, strict=True):
        at = [x for x, yes in enumerate(made) if yes]
        axes.axhline(place, color=FAINT, lw=0.4, zorder=0)
        axes.plot(at, [place] * len(at), "s", color=INK, ms=size)
    labels, previous = [], ""
    for path, kind, _ in choices:
        start = f"{spoken(path.split('.')[-1])}: " if path != previous else ""
        labels.append(start + textwrap.shorten(kind, 34, placeholder="…"))
        previous = path
    axes.set_yticks(places, labels, fontsize=7.5)
    axes.set_ylim(places[-1] + 0.6, -0.6)
    axes.set_xticks([])
    axes.set_xlabel(f"{len(columns)} specifications, sorted by estimate")
    bare(axes, "xy")


def _name_extremes(axes: Axes, run: RunFolder, columns: Sequence[Column]) -> None:
    for place, side in ((0, "left"), (len(columns) - 1, "right")):
        row = columns[place].judged
        if row is None:
            continue
        axes.annotate(
            run.label(columns[place].value),
            (place, row.estimate),
            xytext=(6 if side == "left" else -6, 10 if side == "left" else -14),
            textcoords="offset points",
            ha=side,
            fontsize=8,
            color=INK,
        )


# --- density of draws --------------------------------------------------------------


def _density_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
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
                description=f"{len(values)} draws",
                draw=partial(_draw_density, run, column, plot, values),
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


def _draw_density(
    run: RunFolder, column: Column, plot: Drawing, values: Sequence[float]
) -> Figure:
    import numpy as np

    figure, axes = canvas(3.2)
    draws = np.asarray(values)
    line = first_number(
        plot.options.get("line"),
        plot.options.get("estimate"),
        column.draws.get("estimate"),
        column.judged.estimate if column.judged else None,
        run.baseline.judged.estimate if run.baseline and run.baseline.judged else None,
    )
    axes.hist(draws, bins="fd" if draws.size > 30 else 10, density=True, color=FAINT)  # noqa: PLR2004 - Freedman-Diaconis needs a sample
    grid, height = _kernel_density(draws)
    axes.plot(grid, height, color=BLUE, lw=1.8)
    axes.plot(
        draws, np.zeros_like(draws), "|", color=BLUE, ms=6, alpha=0.35, clip_on=False
    )
    axes.axvline(0, color=GREY, lw=0.8, zorder=0)
    if line is not None:
        axes.axvline(line, color=VERMILION, lw=1.6)
        axes.annotate(
            f"our estimate {numbers.typeset(numbers.plain(line))}",
            (line, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            color=VERMILION,
            fontsize=8.5,
        )
    test = column.test("randomization")
    value = first_number(
        plot.options.get("p_value"),
        test.p_value if test else None,
        column.draws.get("p_value"),
    )
    corner = [f"{len(values)} draws"]
    if value is not None:
        text = numbers.p_value(value)
        corner.append(f"exact p {text if text.startswith('<') else '= ' + text}")
    right = line is not None and line > float(np.median(draws))
    _corner(axes, "\n".join(corner), left=right)
    axes.set_yticks([])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(_broken(f"Estimate of {_estimated(run, column)} in a draw", 70))
    axes.set_ylabel("Density")
    bare(axes, "y")
    return figure


def _estimated(run: RunFolder, column: Column) -> str:
    return run.label(column.treatment[0]) if column.treatment else "the effect"


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


def first_number(*candidates: Any) -> float | None:
    """The first candidate that is a finite number."""
    for candidate in candidates:
        if isinstance(candidate, int | float) and math.isfinite(candidate):
            return float(candidate)
    return None


# --- scatter of a frame ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cloud:
    """Points of one group."""

    name: str
    marker: str
    colour: str
    x: tuple[float, ...]
    y: tuple[float, ...]


def _scatter_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    for column in heading.columns:
        for plot in column.plots:
            if plot.kind != "scatter":
                continue
            clouds = _clouds(run.frame(column, plot.frame), plot)
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


def _clouds(frame: Frame | None, plot: Drawing) -> tuple[_Cloud, ...]:
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
        if _finite(*point):
            points.setdefault(name, []).append((point[0], point[1]))
    if len(points) > len(SERIES):
        points = {"": [point for some in points.values() for point in some]}
    background = str(plot.options.get("background", ""))
    # Groups that are named keep their look where some of them have no point.
    listed = [*map(str, plot.options.get("groups", ())), *points]
    named = [name for name in dict.fromkeys(listed) if name != background or not name]
    looks = [*zip(named, _MARKERS, SERIES, strict=False), (background, "o", _BEHIND)]
    return tuple(
        _Cloud(name, marker, colour, *zip(*points.pop(name), strict=True))
        for name, marker, colour in looks
        if name in points
    )


def _draw_scatter(plot: Drawing, clouds: Sequence[_Cloud]) -> Figure:
    from matplotlib.ticker import MaxNLocator

    figure, axes = canvas(3.6)
    axes.axhline(0, color=GREY, lw=0.8, zorder=0)
    for cloud in clouds:
        axes.plot(
            cloud.x,
            cloud.y,
            cloud.marker,
            color=cloud.colour,
            ms=4 if cloud.colour == _BEHIND else 5,
            alpha=0.75,
            mew=0,
        )
    if len(clouds) > 1:
        _legend(axes, [(c.name, c.marker, c.colour) for c in clouds], 2)
    if all(x == int(x) for cloud in clouds for x in cloud.x):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    slope = first_number(plot.options.get("slope"))
    if slope is not None:
        axes.axvline(0, color=GREY, lw=0.8, zorder=0)
        axes.axline((0, 0), slope=slope, color=INK, lw=1, zorder=1)
        _corner(axes, f"slope {numbers.typeset(numbers.plain(slope))}")
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


# --- a matched sample --------------------------------------------------------------

#: Standardised difference that is small (Austin 2009).
_SMALL_DIFFERENCE = 0.1
#: Twentieths of an inch per covariate.
_LINE = 0.24


def _balance_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """Love's plot: standardised differences of the covariates before and after."""
    for column, plot, frame in _drawn(run, heading, "balance"):
        before = frame.numbers("difference_before")
        after = frame.numbers("difference_after")
        names = [run.label(name) for name in frame.text("variable")]
        worst = max((abs(x) for x in after if math.isfinite(x)), default=0.0)
        yield Sketch(
            stem=_stem(heading, column, plot),
            caption=f"{heading.title}, {_called(run, column)}: {plot.title}",
            description=f"{len(names)} covariates; largest standardised difference "
            f"after matching {worst:.2f}",
            draw=partial(
                _draw_balance, str(plot.options["what"]), names, before, after
            ),
            wide=is_wide(names),
        )


def _overlap_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """Scores of both groups, back to back, before and after."""
    for column, plot, frame in _drawn(run, heading, "overlap"):
        yield Sketch(
            stem=_stem(heading, column, plot),
            caption=f"{heading.title}, {_called(run, column)}: {plot.title}",
            description=f"shares of both groups in {len(frame.rows)} intervals of the "
            "score, before and after matching",
            draw=partial(_draw_overlap, frame),
        )


def _drawn(
    run: RunFolder, heading: Heading, kind: str
) -> Iterator[tuple[Column, Drawing, Frame]]:
    for column in heading.columns:
        for plot in column.plots:
            frame = run.frame(column, plot.frame) if plot.kind == kind else None
            if frame is not None and frame.rows:
                yield column, plot, frame


def _stem(heading: Heading, column: Column, plot: Drawing) -> str:
    words = [heading.name, column.line, column.value, plot.frame]
    return "_".join(file_stem(word) for word in words if word)


def _called(run: RunFolder, column: Column) -> str:
    words = [spoken(column.line), run.label(column.value) if column.value else ""]
    return ", ".join(word for word in words if word)


def _draw_balance(
    what: str, names: Sequence[str], before: Sequence[float], after: Sequence[float]
) -> Figure:
    order = sorted(range(len(names)), key=lambda i: abs(before[i]))
    figure, axes = canvas(0.9 + _LINE * max(len(names), 3))
    axes.axvspan(-_SMALL_DIFFERENCE, _SMALL_DIFFERENCE, color=FAINT, alpha=0.45, lw=0)
    axes.axvline(0, color=GREY, lw=0.8, zorder=1)
    for place, i in enumerate(order):
        axes.plot([before[i], after[i]], [place, place], color=FAINT, lw=1.2, zorder=1)
    places = range(len(order))
    axes.plot(
        [before[i] for i in order],
        places,
        "o",
        color=VERMILION,
        mfc="white",
        ms=5.5,
        mew=1.3,
        zorder=2,
    )
    axes.plot([after[i] for i in order], places, "o", color=BLUE, ms=5.5, zorder=3)
    axes.set_yticks(list(places), [_broken(names[i], 30) for i in order])
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.set_xlabel(
        "Difference of means, treated minus untreated, in standard deviations before "
        + what
    )
    first = f"before {what}"
    keys = [(first, "o", VERMILION), ("after", "o", BLUE)]
    _legend(axes, keys, 2, hollow=[first])
    bare(axes, "y")
    return figure


def _draw_overlap(frame: Frame) -> Figure:
    figure, axes = canvas(3.4)
    low, high = frame.numbers("low"), frame.numbers("high")
    width = [b - a for a, b in zip(low, high, strict=True)]
    for group, sign, colour in (("treated", 1, VERMILION), ("untreated", -1, BLUE)):
        all_ = [sign * share for share in frame.numbers(group)]
        kept = [sign * share for share in frame.numbers(f"{group}_kept")]
        axes.bar(low, all_, width, align="edge", color=FAINT, lw=0)
        axes.stairs(kept, [*low, high[-1]], color=colour, lw=1.6, baseline=0)
        axes.annotate(
            group,
            (1, 0),
            xycoords=("axes fraction", "data"),
            xytext=(4, 5 * sign),
            textcoords="offset points",
            va="bottom" if sign > 0 else "top",
            color=colour,
        )
    axes.axhline(0, color=GREY, lw=0.8)
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0%}")
    axes.set_xlabel("Propensity score")
    axes.set_ylabel("Share of the group")
    _above(axes, "grey: everyone; line: those that are kept, with their weights")
    return figure


# --- rows of a frame in their order ------------------------------------------------

_ORDERED = ("estimate", "conf_low", "conf_high")


def _ordered_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
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
                if _finite(*numbers_)
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
) -> Figure:
    figure, axes = canvas(3.4)
    thin = 1.4 if len(rows) <= _MOST_VALUE_LABELS else 0.6
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
    if len(rows) <= _MOST_VALUE_LABELS:
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


# --- intervals by size of a violation ----------------------------------------------

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


def _sensitivity_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
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
                caption=f"{heading.title}, {spoken(column.line)}: {_level([column])} "
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
        if _finite(*bar):
            found.setdefault(restriction, []).append(_Bar(method, *bar))
    return found


def _draw_sensitivity(
    run: RunFolder,
    column: Column,
    plot: Drawing,
    bars: Mapping[str, Sequence[_Bar]],
    shown: Sequence[str],
) -> Figure:
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
        said = "" if value is None else f", breakdown M = {value:.3g}"
        _above(axes, f"{spoken(name)} ({methods}){said}")
        bare(axes, "xy" if number else "x")
    label = f"Effect of {_estimated(run, column)} on {run.label(column.outcome)}"
    panels[0].set_ylabel(_broken(label, 38))
    return figure


# --- map of points -----------------------------------------------------------------


def _map_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """Units at their places, coloured by group.

    Options of the plot: `longitude`, `latitude` (degrees) and `group` name columns of
    the frame, `background` is the group that is drawn small and grey.
    """
    for column in heading.columns:
        for plot in column.plots:
            if plot.kind != "map":
                continue
            axes = {"x": plot.options["longitude"], "y": plot.options["latitude"]}
            placed = replace(plot, options={**plot.options, **axes})
            clouds = _clouds(run.frame(column, plot.frame), placed)
            if not clouds:
                continue
            words = [heading.name, column.line, column.value, plot.frame]
            yield Sketch(
                stem="_".join(file_stem(word) for word in words if word),
                caption=f"{heading.title}, {spoken(column.line)}: "
                f"{plot.title or 'map of ' + spoken(plot.frame)}",
                description="units on a map: "
                + "; ".join(f"{c.name or 'all'} {len(c.x)}" for c in clouds),
                draw=partial(_draw_map, clouds),
                wide=is_wide([cloud.name for cloud in clouds]),
            )


def _draw_map(clouds: Sequence[_Cloud]) -> Figure:
    figure, axes = canvas(4.6)
    for cloud in clouds:
        behind = cloud.colour == _BEHIND
        axes.plot(
            cloud.x,
            cloud.y,
            cloud.marker,
            color=cloud.colour,
            ms=3 if behind else 5,
            alpha=0.9,
            mew=0,
            zorder=1 if behind else 2,
        )
    if len(clouds) > 1:
        keys = [(f"{c.name} ({len(c.x)})", c.marker, c.colour) for c in clouds]
        _legend(axes, keys, 3)
    middle = sum(sum(c.y) for c in clouds) / sum(len(c.y) for c in clouds)
    # A degree of longitude is as long as one of latitude times the cosine.
    axes.set_aspect(
        1.0 / max(math.cos(math.radians(middle)), 0.05), adjustable="datalim"
    )
    axes.set_xlabel("Longitude, degrees")
    axes.set_ylabel("Latitude, degrees")
    axes.grid(color=FAINT, lw=0.4)
    return figure


# --- house style -------------------------------------------------------------------


def _style(fonts: Sequence[str]) -> Any:
    return {
        "font.family": list(fonts),
        "font.size": 9,
        "axes.labelsize": 9,
        "axes.labelcolor": INK,
        "axes.edgecolor": GREY,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        # A label with a $ is a label, not mathematics.
        "text.parse_math": False,
        "text.color": INK,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "pdf.fonttype": 42,
        "svg.hashsalt": "estimand",
        "savefig.dpi": 200,
    }


@cache
def _fonts() -> tuple[str, ...]:
    """DejaVu Sans, then the first font of this machine that has Chinese."""
    from matplotlib import font_manager

    wanted = (
        "Noto Sans CJK SC",
        "Noto Sans CJK JP",
        "Source Han Sans SC",
        "Source Han Sans CN",
        "PingFang SC",
        "Hiragino Sans GB",
        "Microsoft YaHei",
        "SimHei",
        "WenQuanYi Zen Hei",
        "WenQuanYi Micro Hei",
        "Arial Unicode MS",
    )
    have = {font.name for font in font_manager.fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in wanted if name in have))


def canvas(height: float) -> tuple[Figure, Axes]:
    """A figure without pyplot: no global state, Agg only."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height))
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _bytes(figure: Figure, form: str, box: BboxBase) -> bytes:
    # Clocks and versions in metadata would make equal figures differ.
    metadata: dict[str, dict[str, Any]] = {
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
        "svg": {"Date": None, "Creator": None},
        "png": {"Software": None},
    }
    out = io.BytesIO()
    figure.savefig(out, format=form, metadata=metadata.get(form), bbox_inches=box)
    return out.getvalue()


def bare(axes: Axes, sides: str) -> None:
    """No ticks and no frame on these sides."""
    for side in sides:
        axes.tick_params(axis="x" if side == "x" else "y", length=0)
        axes.spines["bottom" if side == "x" else "left"].set_visible(False)


def _corner(axes: Axes, text: str, *, left: bool = True) -> None:
    if text:
        axes.annotate(
            text,
            (0.01 if left else 0.99, 0.985),
            xycoords="axes fraction",
            ha="left" if left else "right",
            va="top",
            fontsize=8.5,
            color=INK,
            bbox={"fc": "white", "ec": "none", "alpha": 0.8, "pad": 1.5},
        )


def _above(axes: Axes, text: str) -> None:
    axes.annotate(
        text,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 4),
        textcoords="offset points",
        fontsize=8,
        color=GREY,
    )


def _drawable(row: Coefficient) -> bool:
    return _finite(row.estimate, row.conf_low, row.conf_high)


def _finite(*values: float) -> bool:
    return all(map(math.isfinite, values))


def _whole(row: Coefficient) -> int:
    return int(row.at("event_time") or 0)


def _level(columns: Sequence[Column]) -> str:
    return f"{100 * columns[0].confidence:g}%"


def _column_label(run: RunFolder, column: Column, mark: str) -> str:
    words = [spoken(column.line)]
    if column.value:
        words.append(run.label(column.value))
    return _broken(f"{mark} {', '.join(words)}", 34)


def _broken(text: str, width: int) -> str:
    return textwrap.fill(text, width)
