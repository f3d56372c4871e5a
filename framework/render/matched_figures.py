"""Figures of a matched sample: balance of its covariates, overlap of its scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from framework.errors import counted
from framework.render.plotted import called, plotted, stem_of
from framework.render.run import Frame, Heading, RunFolder
from framework.render.style import (
    BLUE,
    FAINT,
    GREY,
    VERMILION,
    Sketch,
    bare,
    canvas,
    in_lines,
    is_wide,
    legend_of,
    said_above,
)

if TYPE_CHECKING:
    from framework.render.style import Drawn

#: Standardised difference that is small (Austin 2009).
_SMALL_DIFFERENCE = 0.1
#: Twentieths of an inch per covariate.
_LINE = 0.24


def balance_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """Love's plot: standardised differences of the covariates before and after."""
    for column, plot, frame in plotted(run, heading, "balance"):
        before = frame.numbers("difference_before")
        after = frame.numbers("difference_after")
        names = [run.label(name) for name in frame.text("variable")]
        worst = max((abs(x) for x in after if math.isfinite(x)), default=0.0)
        yield Sketch(
            stem=stem_of(heading, column, plot.frame),
            caption=f"{heading.title}, {called(run, column)}: {plot.title}",
            description=f"{counted(len(names), 'covariate')}; largest standardised "
            f"difference after matching {worst:.2f}",
            draw=partial(
                _draw_balance, str(plot.options["what"]), names, before, after
            ),
            wide=is_wide(names),
        )


def overlap_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """Scores of both groups, back to back, before and after."""
    for column, plot, frame in plotted(run, heading, "overlap"):
        yield Sketch(
            stem=stem_of(heading, column, plot.frame),
            caption=f"{heading.title}, {called(run, column)}: {plot.title}",
            description=f"shares of both groups in {len(frame.rows)} intervals of the "
            "score, before and after matching",
            draw=partial(_draw_overlap, frame),
        )


def _draw_balance(
    what: str, names: Sequence[str], before: Sequence[float], after: Sequence[float]
) -> Drawn:
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
    axes.set_yticks(list(places), [in_lines(names[i], 30) for i in order])
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.set_xlabel(
        "Difference of means, treated minus untreated, in standard deviations before "
        + what
    )
    first = f"before {what}"
    keys = [(first, "o", VERMILION), ("after", "o", BLUE)]
    legend_of(axes, keys, 2, hollow=[first])
    bare(axes, "y")
    return figure


def _draw_overlap(frame: Frame) -> Drawn:
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
    said_above(axes, "grey: everyone; line: those that are kept, with their weights")
    return figure
