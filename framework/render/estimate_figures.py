"""Figures of estimates: coefficients by column, and event studies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from framework.render import numbers
from framework.render.coefficient_rows import block_word
from framework.render.content import number_columns
from framework.render.run import Coefficient, Column, Heading, RunFolder, spoken
from framework.render.style import (
    BLUE,
    FAINT,
    GREY,
    INK,
    SERIES,
    Sketch,
    all_finite,
    bare,
    canvas,
    column_label,
    has_interval,
    in_lines,
    is_drawable,
    legend_of,
    level_of,
    said_in_corner,
    spaced_ticks,
    whole_time,
)
from framework.render.words import column_marks, file_stem

if TYPE_CHECKING:
    from framework.render.style import Drawn, Plane

#: Columns of a frame of violations.
_TREND = frozenset({"power", "event_time", "trend", "after_pretest"})
#: Columns of a frame of bands, and what a caption says of them.
_BAND = frozenset({"event_time", "conf_low", "conf_high"})
_BANDS = " (thin: bands that hold for all periods at once)"
#: What stands before the term and before the outcome on the axis, by the estimand.
_EFFECT = ("Effect of ", " on ")
_IN_WORDS: Mapping[str, tuple[str, str]] = {
    "description": ("", " of "),
    "coefficient": ("Coefficient of ", ", outcome "),
    "direct": ("Direct effect of ", " on "),
    "indirect": ("Indirect effect of ", " on "),
    "total": ("Total effect of ", " on "),
}
#: Fewer coefficients than this are better read in the table.
_FEWEST_EVENT_TIMES = 3


def coefficient_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """Estimates of a heading below each other, with their intervals."""
    columns = [c for c in number_columns(run, heading) if c.done]
    rows = [(c, c.judged) for c in columns if not (c.event_times or _periods(c))]
    shown = [(c, r) for c, r in rows if r is not None and has_interval(r)]
    if len(shown) < 2:  # noqa: PLR2004 - one point is no figure
        return
    marks = column_marks(number_columns(run, heading))
    labels = [column_label(run, c, marks[c.address]) for c, _ in shown]
    if _several_kinds(shown):
        labels = [
            f"{label}: {_kind(row)}"
            for label, (_, row) in zip(labels, shown, strict=True)
        ]
    yield Sketch(
        stem=f"{file_stem(heading.name)}_coefficients",
        caption=f"{heading.title}: estimates with {level_of(columns)} intervals",
        description="; ".join(
            f"{label} {numbers.plain(r.estimate)}"
            for label, (_, r) in zip(labels, shown, strict=True)
        ),
        draw=lambda: _draw_coefficients(run, shown, labels),
    )


def _kind(row: Coefficient) -> str:
    """What an estimate is, where others beside it are something else."""
    word = block_word(row.estimand)
    return word[0].lower() + word[1:] if word else spoken(row.estimand)


def _several_kinds(shown: Sequence[tuple[Column, Coefficient]]) -> bool:
    """Whether a slope stands beside an effect, a direct effect beside a total one."""
    return len({block_word(row.estimand) for _, row in shown}) > 1


def _draw_open_ends(axes: Plane, rows: Sequence[Coefficient]) -> None:
    """Intervals without an end go to the edge of the figure, with an arrow."""
    left, right = axes.get_xlim()
    for place, row in enumerate(rows):
        for end, edge, arrow in (
            (row.conf_low, left, "<"),
            (row.conf_high, right, ">"),
        ):
            if math.isinf(end):
                axes.hlines(place, row.estimate, edge, color=GREY, lw=1.6)
                axes.plot(edge, place, arrow, color=GREY, ms=6, clip_on=False)
    axes.set_xlim(left, right)


def _draw_coefficients(
    run: RunFolder, shown: Sequence[tuple[Column, Coefficient]], labels: Sequence[str]
) -> Drawn:
    figure, axes = canvas(0.9 + 0.34 * len(shown))
    for place, (column, row) in enumerate(shown):
        colour = INK if column.is_model else BLUE
        ends = (row.conf_low, row.conf_high)
        low, high = (e if math.isfinite(e) else row.estimate for e in ends)
        axes.hlines(place, low, high, color=colour, lw=1.6)
        axes.plot(row.estimate, place, "o", color=colour, ms=5.5, zorder=3)
    axes.set_yticks(range(len(shown)), labels)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.axvline(0, color=GREY, lw=0.8, zorder=0)
    _draw_open_ends(axes, [row for _, row in shown])
    terms = {run.label(row.term) for _, row in shown}
    outcomes = {run.label(column.outcome) for column, _ in shown}
    estimands = {row.estimand for _, row in shown}
    said, on_ = _IN_WORDS.get(estimands.pop() if len(estimands) == 1 else "", _EFFECT)
    if several := _several_kinds(shown):
        on_ = ", outcome "
    what = f"{said}{terms.pop()}" if len(terms) == 1 and not several else "Estimate"
    on = f"{on_}{outcomes.pop()}" if len(outcomes) == 1 else ""
    axes.set_xlabel(in_lines(what + on, 70))
    bare(axes, "y")
    axes.grid(axis="x", color=FAINT, lw=0.5)
    return figure


def _periods(column: Column) -> tuple[Coefficient, ...]:
    """Numbers of the judged estimand and equation by period, if it has several."""
    judged = column.judged
    if judged is None or judged.at("period") is None:
        return ()
    of = (judged.equation, judged.estimand, judged.term)
    found = (
        row
        for row in column.coefficients
        if (row.equation, row.estimand, row.term) == of and len(row.index) == 1
    )
    rows = tuple(r for r in found if r.at("period") is not None and is_drawable(r))
    return rows if len(rows) >= _FEWEST_EVENT_TIMES else ()


def period_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """What a line finds in every period, its values side by side."""
    for line, columns in heading.lines().items():
        usable = tuple(c for c in columns if c.done and _periods(c))
        for name, some in _as_many_as_colours(usable):
            what = _by_period(run, some)
            yield Sketch(
                stem=f"{file_stem(heading.name)}_{file_stem(line)}{name and '_' + name}",
                caption=(
                    f"{heading.title}, {spoken(line)}: {what} by period, "
                    f"{level_of(some)} intervals"
                ),
                description="; ".join(
                    f"{run.label(column.value) or spoken(line)}: "
                    + ", ".join(
                        f"{row.at('period'):g} {numbers.plain(row.estimate)}"
                        for row in _periods(column)
                    )
                    for column in some
                ),
                draw=partial(_draw_periods, run, some, what),
            )


def _by_period(run: RunFolder, columns: Sequence[Column]) -> str:
    """What the numbers are: `Moran's I of ulgue`, `effect of ai on ulgue`."""
    outcomes = {run.label(column.outcome) for column in columns}
    outcome = outcomes.pop() if len(outcomes) == 1 else ""
    rows = {(r.estimand, run.label(r.term)) for c in columns for r in _periods(c)[:1]}
    estimand, term = rows.pop() if len(rows) == 1 else ("", "")
    word = block_word(estimand)
    if word:
        return f"{word} of {outcome}" if outcome else word
    what = f"Effect of {term}" if term else "Estimate"
    return f"{what} on {outcome}" if outcome else what


def _draw_periods(run: RunFolder, columns: Sequence[Column], what: str) -> Drawn:
    figure, axes = canvas(3.2)
    axes.axhline(0, color=GREY, lw=0.8, zorder=0)
    spread = 0.12 if len(columns) > 1 else 0.0
    times: set[float] = set()
    for number, column in enumerate(columns):
        rows = _periods(column)
        at = [float(row.at("period") or 0.0) for row in rows]
        times |= set(at)
        shift = spread * (number - (len(columns) - 1) / 2)
        place = [x + shift for x in at]
        axes.vlines(
            place,
            [row.conf_low for row in rows],
            [row.conf_high for row in rows],
            color=SERIES[number],
            lw=1.3,
        )
        axes.plot(
            place, [row.estimate for row in rows], "o", color=SERIES[number], ms=4.5
        )
    _name_series(axes, run, columns)
    spaced_ticks(axes, sorted(times), [f"{t:g}" for t in sorted(times)], min(times))
    axes.set_ylabel(in_lines(what, 34))
    axes.grid(axis="y", color=FAINT, lw=0.5)
    bare(axes, "x")
    return figure


def event_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
    """Estimates by event time, several estimators side by side."""
    for line, columns in heading.lines().items():
        usable = tuple(
            c for c in columns if c.done and len(c.event_times) >= _FEWEST_EVENT_TIMES
        )
        for name, some in _on_one_scale(usable):
            yield Sketch(
                stem=f"{file_stem(heading.name)}_{file_stem(line)}{name and '_' + name}",
                caption=(
                    f"{heading.title}, {spoken(line)}: effect on "
                    f"{run.label(some[0].outcome)} by periods since treatment, "
                    f"{level_of(some)} intervals"
                    f"{_BANDS if any(_bands(run, c) for c in some) else ''}"
                ),
                description="; ".join(
                    f"period {whole_time(row)}: {numbers.plain(row.estimate)}"
                    for row in some[0].event_times
                ),
                draw=partial(_draw_events, run, some),
            )


def _on_one_scale(
    columns: Sequence[Column],
) -> Iterator[tuple[str, tuple[Column, ...]]]:
    """Columns that share one pair of axes: one outcome, as many as there are colours.

    Yields:
        What is added to the figure's name, and its columns.
    """
    by_outcome: dict[str, list[Column]] = {}
    for column in columns:
        by_outcome.setdefault(column.outcome, []).append(column)
    for outcome, held in by_outcome.items():
        own = file_stem(outcome) if len(by_outcome) > 1 else ""
        for number, some in _as_many_as_colours(held):
            yield "_".join(word for word in (own, number) if word), some


def _as_many_as_colours(
    columns: Sequence[Column],
) -> Iterator[tuple[str, tuple[Column, ...]]]:
    """Columns in figures of about as many series each, numbered if there are several."""
    figures = math.ceil(len(columns) / len(SERIES))
    many = math.ceil(len(columns) / max(1, figures))
    for number in range(figures):
        some = tuple(columns[number * many : (number + 1) * many])
        yield str(number + 1) if figures > 1 else "", some


def _draw_events(run: RunFolder, columns: Sequence[Column]) -> Drawn:
    figure, axes = canvas(3.6)
    axes.axhline(0, color=GREY, lw=0.8, zorder=0)
    times = sorted({whole_time(row) for c in columns for row in c.event_times})
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
    axes.set_xlim(min(times) - 0.6, max(times) + 0.6)
    spaced_ticks(axes, times, [_event_tick(run, columns, t) for t in times], 0)
    supported = any(_support(run, column) for column in columns)
    axes.set_xlabel(
        "Periods since treatment (below: treated units in support)"
        if supported
        else "Periods since treatment"
    )
    axes.set_ylabel(in_lines(f"Effect on {run.label(columns[0].outcome)}", 34))
    axes.grid(axis="y", color=FAINT, lw=0.5)
    bare(axes, "x")
    if len(columns) == 1:
        said_in_corner(axes, _pretrend(columns[0]))
    return figure


def _draw_trends(axes: Plane, run: RunFolder, column: Column) -> None:
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
    legend_of(axes, keys, 2)


def _draw_event_series(
    axes: Plane, run: RunFolder, column: Column, shift: float, colour: str
) -> None:
    reference = _reference(column)
    bands = _bands(run, column)
    for row in column.event_times:
        time = whole_time(row)
        if time == reference or not is_drawable(row):
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
    told = [p.options.get("reference") for p in column.plots if p.kind == "event_study"]
    if told:  # a plot that names none has no common one
        return None if told[0] is None else int(told[0])
    for row in column.event_times:
        if row.estimate == 0 and not row.std_error > 0:
            return whole_time(row)
    times = {whole_time(row) for row in column.event_times}
    return -1 if -1 not in times and min(times) < -1 < max(times) else None


def _bands(run: RunFolder, column: Column) -> Mapping[int, tuple[float, float]]:
    """Event time -> simultaneous band, from the frame that the plot names."""
    names = [p.options.get("bands") for p in column.plots if p.kind == "event_study"]
    for name in names:
        frame = run.frame(column, str(name)) if name in column.frames else None
        if frame is None or not _BAND.issubset(frame.columns):
            continue
        cells = zip(*(frame.numbers(c) for c in sorted(_BAND)), strict=True)
        return {
            int(t): (low, high) for high, low, t in cells if all_finite(low, high, t)
        }
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
        return in_lines(f"no joint test: {test.reason}", 40)
    value = numbers.p_value(test.p_value)
    sign = "" if value.startswith("<") else "= "
    return f"joint test of pre-trends: p {sign}{value}"


def _name_series(axes: Plane, run: RunFolder, columns: Sequence[Column]) -> None:
    """Names above the plot, each in its own colour: a legend without a box."""
    if len(columns) < 2:  # noqa: PLR2004 - one series needs no name
        return
    names = [run.label(c.value) if c.value else spoken(c.line) for c in columns]
    legend_of(axes, [(name, "o", SERIES[n]) for n, name in enumerate(names)], 3)
