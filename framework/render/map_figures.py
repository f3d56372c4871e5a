"""Maps of points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from framework.render.draw_figures import Cloud, clouds_of
from framework.render.run import Heading, RunFolder, spoken
from framework.render.style import BEHIND, FAINT, Sketch, canvas, is_wide, legend_of
from framework.render.words import file_stem

if TYPE_CHECKING:
    from framework.render.style import Drawn


def map_sketches(run: RunFolder, heading: Heading) -> Iterator[Sketch]:
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
            clouds = clouds_of(run.frame(column, plot.frame), placed)
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


def _draw_map(clouds: Sequence[Cloud]) -> Drawn:
    figure, axes = canvas(4.6)
    for cloud in clouds:
        behind = cloud.colour == BEHIND
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
        legend_of(axes, keys, 3)
    middle = sum(sum(c.y) for c in clouds) / sum(len(c.y) for c in clouds)
    # A degree of longitude is as long as one of latitude times the cosine.
    axes.set_aspect(
        1.0 / max(math.cos(math.radians(middle)), 0.05), adjustable="datalim"
    )
    axes.set_xlabel("Longitude, degrees")
    axes.set_ylabel("Latitude, degrees")
    axes.grid(color=FAINT, lw=0.4)
    return figure
