"""The specification curve: estimates of a line sorted, with the choices below."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from framework.render import numbers
from framework.render.curves import Curve
from framework.render.run import Column, Heading, RunFolder, spoken
from framework.render.style import (
    BLUE,
    FAINT,
    GREY,
    INK,
    MOST_VALUE_LABELS,
    VERMILION,
    Sketch,
    bare,
    canvas,
    is_drawable,
    said_above,
)
from framework.render.words import file_stem

if TYPE_CHECKING:
    from framework.render.style import Drawn, Plane

_MOST_CHOICES = 28


def curve_sketch(run: RunFolder, heading: Heading, curve: Curve) -> Sketch:
    """The specification curve of a line."""
    return Sketch(
        stem=f"{file_stem(heading.name)}_{file_stem(curve.line)}",
        caption=f"{heading.title}, {curve.sentence()}",
        description=curve.sentence(),
        draw=lambda: _draw_curve(run, curve),
    )


def _draw_curve(run: RunFolder, curve: Curve) -> Drawn:
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
    _draw_sorted(axes, run, columns, curve.spread)
    if choices:
        matrix = figure.add_subplot(grid[1], sharex=axes)
        _draw_choices(matrix, columns, choices)
        axes.tick_params(labelbottom=False, bottom=False)
    elif len(columns) <= MOST_VALUE_LABELS:
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


def _draw_sorted(
    axes: Plane, run: RunFolder, columns: Sequence[Column], left_out: str
) -> None:
    axes.axhline(0, color=GREY, lw=0.8, zorder=0)
    thin = 1.4 if len(columns) <= MOST_VALUE_LABELS else 0.6
    placed = [(x, c.judged) for x, c in enumerate(columns) if c.judged]
    # A line for each of a thousand estimates would be a thousand objects to draw.
    for colour, meant in ((GREY, False), (BLUE, True)):
        rows = [(x, r) for x, r in placed if (r.p_value < 0.05) is meant]  # noqa: PLR2004 - 5%
        spans = [(x, r.conf_low, r.conf_high) for x, r in rows if is_drawable(r)]
        if spans:
            at, low, high = zip(*spans, strict=True)
            axes.vlines(at, low, high, colors=colour, lw=thin, alpha=0.55)
        axes.plot(
            [x for x, _ in rows],
            [r.estimate for _, r in rows],
            "o",
            color=colour,
            ms=3.2,
            zorder=3,
        )
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
    told = (
        "blue: significant at 5%, grey: not"
        if significant
        else "no estimate is significant at 5%"
    )
    said_above(axes, f"{told}; not drawn: {left_out}" if left_out else told)
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
    axes: Plane,
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


def _name_extremes(axes: Plane, run: RunFolder, columns: Sequence[Column]) -> None:
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
