"""Figures of estimates with learned nuisances: propensities, omitted confounders."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from framework.render import numbers
from framework.render.plotted import called, plotted, stem_of
from framework.render.run import Column, Drawing, Frame, Heading, RunFolder
from framework.render.style import (
    BLUE,
    FAINT,
    GREY,
    INK,
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

_PROPENSITY = ("from", "to", "rows_0", "rows_1", "predicted", "observed")
#: Normal quantile of the 95% interval of an observed share.
_Z = 1.96


def propensity_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """Both arms by predicted probability, and how often it came true."""
    for column, plot, frame in plotted(run, heading, "propensity"):
        if not {*_PROPENSITY} <= {*frame.columns}:
            continue
        bins = [
            _Bin(*cells)
            for cells in zip(*(frame.numbers(c) for c in _PROPENSITY), strict=True)
            if all_finite(*cells)
        ]
        if not bins:
            continue
        arm = run.label(str(plot.options.get("arm", "")))
        yield Sketch(
            stem=stem_of(heading, column, plot.kind),
            caption=f"{heading.title}, {called(run, column)}: overlap and calibration "
            f"of the propensity of {arm}",
            description="; ".join(
                f"{b.low:.1f} to {b.high:.1f}: {b.off:.0f} without, {b.on:.0f} with, "
                f"predicted {b.predicted:.2f}, observed {b.observed:.2f}"
                for b in bins
            ),
            draw=partial(
                _draw_propensity, bins, first_number(plot.options["trimming"])
            ),
            wide=is_wide([arm]),
        )


@dataclass(frozen=True, slots=True)
class _Bin:
    """Rows with a propensity from `low` to `high`, in the order of the columns."""

    low: float
    high: float
    off: float
    on: float
    predicted: float
    observed: float

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95% interval of the observed share, rows taken as independent."""
        n = self.off + self.on
        middle = (self.observed + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        spread = self.observed * (1 - self.observed) / n + _Z**2 / (4 * n**2)
        reach = _Z * math.sqrt(max(spread, 0.0)) / (1 + _Z**2 / n)
        return middle - reach, middle + reach


def _draw_propensity(bins: Sequence[_Bin], trimming: float | None) -> Drawn:
    figure, _ = canvas(3.1)
    figure.clear()
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    figure.subplots_adjust(wspace=0.32)
    _overlap(left, bins, trimming)
    _calibration(right, bins)
    return figure


def _overlap(axes: Plane, bins: Sequence[_Bin], trimming: float | None) -> None:
    """Shares of either arm, back to back."""
    arms = (
        ("treated", 1, [b.on for b in bins], VERMILION),
        ("untreated", -1, [b.off for b in bins], BLUE),
    )
    top = 0.0
    for name, sign, rows, colour in arms:
        total = sum(rows) or 1.0
        shares = [sign * r / total for r in rows]
        top = max(top, *(abs(s) for s in shares))
        axes.bar(
            [b.low for b in bins],
            shares,
            [b.high - b.low for b in bins],
            align="edge",
            color=colour,
            alpha=0.75,
            ec="white",
            lw=0.6,
        )
        axes.annotate(
            f"{name} ({numbers.plain(sum(rows))})",
            (0.94, 0.97 if sign > 0 else 0.03),
            xycoords="axes fraction",
            ha="right",
            va="top" if sign > 0 else "bottom",
            color=colour,
        )
    if trimming is not None:
        for at in (trimming, 1 - trimming):
            axes.axvline(at, color=GREY, lw=0.8, ls=(0, (4, 3)), zorder=0)
    axes.axhline(0, color=GREY, lw=0.8)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-1.2 * top, 1.2 * top)
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0%}")
    axes.set_xlabel("Predicted probability")
    axes.set_ylabel("Share of the arm")
    dashed = "; dashed: trimming" if trimming is not None else ""
    said_above(axes, f"rows of either arm{dashed}")
    bare(axes, "")


def _calibration(axes: Plane, bins: Sequence[_Bin]) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=(0, (4, 3)), zorder=0)
    for b in bins:
        low, high = b.interval
        axes.vlines(b.predicted, low, high, color=BLUE, lw=1.4, alpha=0.55)
        axes.plot(b.predicted, b.observed, "o", color=BLUE, ms=4, zorder=3)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("Predicted probability")
    axes.set_ylabel("Share that is treated")
    axes.grid(color=FAINT, lw=0.5)
    said_above(axes, "by tenth, 95% intervals of rows")


# --- omitted confounders -----------------------------------------------------------

#: Shares of the estimate that have a contour; the one of zero is drawn apart.
_LEVELS = (0.8, 0.6, 0.4, 0.2, -0.5, -1.0, -2.0)
#: A name is written to the right of a mark up to this share of the width.
_ROOM = 0.6
#: Share of the height that a line of text takes.
_LINE = 0.055
_CONTOUR = ("treatment_share", "outcome_share", "bound")


@dataclass(frozen=True, slots=True)
class _Mark:
    """A confounder as strong as these controls."""

    name: str
    treatment_share: float
    outcome_share: float
    bound: float


def confounding_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """Contours of the estimate under a confounder of either strength."""
    for column, plot, frame in plotted(run, heading, "confounding"):
        if not {*_CONTOUR} <= {*frame.columns}:
            continue
        marks = _marks(run, column, str(plot.options.get("points", "")))
        yield Sketch(
            stem=stem_of(heading, column, plot.kind),
            caption=f"{heading.title}, {called(run, column)}: {plot.title}",
            description="; ".join(
                f"as strong as {m.name}: {numbers.plain(m.bound)}" for m in marks
            )
            or "the estimate by the strength of an omitted confounder",
            draw=partial(_draw_confounding, run, column, plot, frame, marks),
            wide=is_wide(m.name for m in marks),
        )


def _marks(run: RunFolder, column: Column, name: str) -> list[_Mark]:
    frame = run.frame(column, name) if name else None
    if frame is None or not {"controls", *_CONTOUR} <= {*frame.columns}:
        return []
    names = [
        ", ".join(run.label(part) for part in text.split(", "))
        for text in frame.text("controls")
    ]
    cells = zip(names, *(frame.numbers(c) for c in _CONTOUR), strict=True)
    return [_Mark(*cell) for cell in cells if all_finite(*cell[1:])]


def _draw_confounding(
    run: RunFolder,
    column: Column,
    plot: Drawing,
    frame: Frame,
    marks: Sequence[_Mark],
) -> Drawn:
    import numpy as np

    x, y, z = (np.asarray(frame.numbers(c)) for c in _CONTOUR)
    across, up = np.unique(x), np.unique(y)
    grid = np.full((len(up), len(across)), np.nan)
    grid[np.searchsorted(up, y), np.searchsorted(across, x)] = z
    figure, axes = canvas(3.9)
    estimate = float(grid[0, 0])
    levels = sorted(estimate * share for share in _LEVELS)
    lines = axes.contour(
        across, up, grid, levels, colors=GREY, linewidths=0.8, linestyles="-"
    )
    axes.clabel(lines, fontsize=7.5, fmt=lambda v: numbers.typeset(f"{v:.2g}"))
    axes.contour(across, up, grid, [0.0], colors=VERMILION, linewidths=1.6)
    axes.plot(0, 0, "o", color=INK, ms=6, clip_on=False, zorder=4)
    axes.annotate(
        f"estimate {numbers.typeset(numbers.plain(estimate))}",
        (0, 0),
        xytext=(7, 5),
        textcoords="offset points",
        bbox={"fc": "white", "ec": "none", "alpha": 0.85, "pad": 1},
        zorder=5,
    )
    ends = float(across[-1]), float(up[-1])
    taken: list[float] = []
    for mark in sorted(marks, key=lambda m: m.outcome_share):
        _place(axes, mark, ends, taken)
    robust = first_number(plot.options.get("robustness"))
    if robust is not None and robust <= across[-1]:
        axes.plot(robust, robust, "x", color=VERMILION, ms=6, mew=1.6, zorder=4)
    axes.set_xlim(0, across[-1])
    axes.set_ylim(0, up[-1])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:.0%}")
    term = estimated_term(run, column)
    axes.set_xlabel(
        in_lines(f"What the confounder adds to the prediction of {term}", 60)
    )
    axes.set_ylabel(
        in_lines(
            f"Share of the residual variance of {run.label(column.outcome)} that it "
            "explains",
            42,
        )
    )
    cross = "" if robust is None else f"; cross: robustness value {robust:.1%}"
    said_above(axes, f"red: the estimate is zero{cross}")
    return figure


def _place(
    axes: Plane, mark: _Mark, ends: tuple[float, float], taken: list[float]
) -> None:
    """A benchmark with its name, on the side that has room, above those before it."""
    at = (min(mark.treatment_share, ends[0]), min(mark.outcome_share, ends[1]))
    right = at[0] < _ROOM * ends[0]
    height = max([at[1] / ends[1], *(t + _LINE for t in taken)])
    if height > 1 - _LINE:  # no room above: below the lowest
        height = min([at[1] / ends[1], *taken]) - _LINE
    taken.append(height)
    axes.plot(*at, "D", color=BLUE, ms=4.5, clip_on=False, zorder=4)
    bound = numbers.typeset(numbers.plain(mark.bound))
    axes.annotate(
        f"{mark.name} ({bound})",
        at,
        xytext=(at[0] / ends[0] + (0.03 if right else -0.03), height),
        textcoords="axes fraction",
        arrowprops={"arrowstyle": "-", "color": BLUE, "lw": 0.6},
        ha="left" if right else "right",
        va="center",
        fontsize=8,
        color=BLUE,
        bbox={"fc": "white", "ec": "none", "alpha": 0.85, "pad": 1},
        zorder=5,
    )


# --- an effect along a moderator -----------------------------------------------------

_ALONG = ("value", "estimate", "conf_low", "conf_high", "band_low", "band_high")


def along_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """The effect by the value of a moderator, its intervals and its joint band."""
    for column, plot, frame in plotted(run, heading, "along"):
        if not {*_ALONG} <= {*frame.columns}:
            continue
        rows = [
            row
            for row in zip(*(frame.numbers(c) for c in _ALONG), strict=True)
            if all_finite(*row)
        ]
        if not rows:
            continue
        moderator = run.label(str(plot.options.get("moderator", "")))
        yield Sketch(
            stem=stem_of(heading, column, plot.kind),
            caption=f"{heading.title}, {called(run, column)}: effect along {moderator}",
            description="; ".join(
                f"{numbers.plain(value)}: {numbers.plain(estimate)}"
                for value, estimate, *_ in (rows[0], rows[-1])
            ),
            draw=partial(_draw_along, run, column, moderator, rows),
            wide=is_wide([moderator]),
        )


def _draw_along(
    run: RunFolder, column: Column, moderator: str, rows: Sequence[tuple[float, ...]]
) -> Drawn:
    figure, axes = canvas(3.4)
    value, estimate, low, high, band_low, band_high = map(list, zip(*rows, strict=True))
    axes.fill_between(value, band_low, band_high, color=BLUE, alpha=0.12, lw=0)
    axes.fill_between(value, low, high, color=BLUE, alpha=0.22, lw=0)
    axes.plot(value, estimate, color=BLUE, lw=1.6)
    axes.axhline(0, color=GREY, lw=0.8, zorder=0)
    axes.set_xlim(value[0], value[-1])
    axes.set_xlabel(in_lines(moderator, 70))
    label = f"Effect of {estimated_term(run, column)} on {run.label(column.outcome)}"
    axes.set_ylabel(in_lines(label, 38))
    axes.grid(axis="y", color=FAINT, lw=0.5)
    level = f"{100 * column.confidence:g}%"
    said_above(
        axes, f"dark: {level} intervals; light: {level} band for all values at once"
    )
    bare(axes, "x")
    return figure


__all__ = ["along_sketches", "confounding_sketches", "propensity_sketches"]
