"""Frames that an estimator asks to be drawn, and what their figures are called."""

from __future__ import annotations

from collections.abc import Iterator

from framework.render.run import Column, Drawing, Frame, Heading, RunFolder, spoken
from framework.render.words import file_stem


def plotted(
    run: RunFolder, heading: Heading, kind: str
) -> Iterator[tuple[Column, Drawing, Frame]]:
    """Every plot of a kind that a heading's columns ask for and that has rows."""
    for column in heading.columns:
        for plot in column.plots:
            frame = run.frame(column, plot.frame) if plot.kind == kind else None
            if frame is not None and frame.rows:
                yield column, plot, frame


def stem_of(heading: Heading, column: Column, last: str) -> str:
    """Name of the figure's files: heading, line, value and what is drawn."""
    words = [heading.name, column.line, column.value, last]
    return "_".join(file_stem(word) for word in words if word)


def called(run: RunFolder, column: Column) -> str:
    """A column in the words of a caption."""
    words = [spoken(column.line), run.label(column.value) if column.value else ""]
    return ", ".join(word for word in words if word)
