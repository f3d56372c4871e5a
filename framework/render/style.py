"""The house style of figures; the only file that sets matplotlib up.

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
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

from framework.render.run import Coefficient, Column, RunFolder, spoken

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import BboxBase

    #: What is drawn, and on what, for modules that must not know matplotlib.
    Drawn: TypeAlias = Figure
    Plane: TypeAlias = Axes

INK, GREY, FAINT = "#222222", "#767676", "#d5d5d5"
BLUE, VERMILION = "#0072b2", "#d55e00"
SERIES = (BLUE, VERMILION, "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
#: Points that stand behind the others.
BEHIND = "#a6a6a6"
MARKERS = ("o", "^", "s", "D", "v", "P")
#: CJK radicals: the first characters that DejaVu Sans lacks and a CJK font has.
_FIRST_WIDE = 0x2E80
#: Inches; the width of a text block.
_WIDTH, _MARGIN = 6.5, 0.08
#: Points in an inch; least distance between two labels of an axis, in points.
_POINTS, _BETWEEN = 72.0, 4.0
#: Above this many values the labels of a curve's values no longer fit.
MOST_VALUE_LABELS = 60


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


def is_wide(texts: Iterable[str]) -> bool:
    """Whether a text needs a Chinese, Japanese or Korean font."""
    return any(ord(character) >= _FIRST_WIDE for text in texts for character in text)


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


def legend_of(
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


def estimated_term(run: RunFolder, column: Column) -> str:
    """The treatment as the figure calls it."""
    return run.label(column.treatment[0]) if column.treatment else "the effect"


def first_number(*candidates: Any) -> float | None:
    """The first candidate that is a finite number."""
    for candidate in candidates:
        if isinstance(candidate, int | float) and math.isfinite(candidate):
            return float(candidate)
    return None


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


def spaced_ticks(
    axes: Axes, places: Sequence[float], labels: Sequence[str], origin: float
) -> None:
    """Labels under the x axis, as many as stand side by side, counted from `origin`.

    All of them where there is room, else those at least 2, 5, 10, … apart. The limits of
    the axis have to stand.
    """
    low, high = axes.get_xlim()
    wide = axes.get_position().width * _WIDTH * _POINTS / (high - low)
    needed = (max(map(_text_width, labels)) + _BETWEEN) / wide
    step = next(s for s in _steps() if s >= needed)
    chosen: list[tuple[float, str]] = []
    ordered = sorted(zip(places, labels, strict=True))
    right = [pair for pair in ordered if pair[0] >= origin]
    left = [pair for pair in reversed(ordered) if pair[0] < origin]
    for side in (right, left):
        last = chosen[0][0] if chosen else None
        for place, label in side:
            if last is None or abs(place - last) >= step:
                chosen.append((place, label))
                last = place
    axes.set_xticks([place for place, _ in chosen], [label for _, label in chosen])


def _steps() -> Iterator[float]:
    """1, 2, 5, then ten times these, and so on."""
    for power in count():
        for first in (1, 2, 5):
            yield first * 10**power


def _text_width(text: str) -> float:
    """Width of the widest line in points, as a label of an axis."""
    import matplotlib as mpl
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    size = float(mpl.rcParams["font.size"])
    font = FontProperties(family=mpl.rcParams["font.family"], size=size)
    return max(
        float(TextPath((0, 0), line, size=size, prop=font).get_extents().width)
        if line.strip()
        else 0.0
        for line in text.split("\n")
    )


def said_in_corner(axes: Axes, text: str, *, left: bool = True) -> None:
    """A few words in an upper corner, on white."""
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


def said_above(axes: Axes, text: str) -> None:
    """A few words above the axes, where a legend would stand."""
    axes.annotate(
        text,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 4),
        textcoords="offset points",
        va="bottom",
        fontsize=8,
        color=GREY,
    )


def is_drawable(row: Coefficient) -> bool:
    """It has an estimate and an interval."""
    return all_finite(row.estimate, row.conf_low, row.conf_high)


def has_interval(row: Coefficient) -> bool:
    """It has an estimate and an interval, which may have no end."""
    missing = math.isnan(row.conf_low) or math.isnan(row.conf_high)
    return math.isfinite(row.estimate) and not missing


def all_finite(*values: float) -> bool:
    """No value is missing or infinite."""
    return all(map(math.isfinite, values))


def whole_time(row: Coefficient) -> int:
    """Its event time as a whole number of periods."""
    return int(row.at("event_time") or 0)


def level_of(columns: Sequence[Column]) -> str:
    """The level of the intervals, `95%`."""
    return f"{100 * columns[0].confidence:g}%"


def column_label(run: RunFolder, column: Column, mark: str) -> str:
    """`(2) no controls`, broken into lines."""
    words = [spoken(column.line)]
    if column.value:
        words.append(run.label(column.value))
    return in_lines(f"{mark} {', '.join(words)}", 34)


def in_lines(text: str, width: int) -> str:
    """A text broken at `width` characters."""
    return textwrap.fill(text, width)


def whole_ticks(axes: Axes) -> None:
    """Ticks of the x axis at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
