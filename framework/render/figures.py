"""Which figures a heading has. Each kind is drawn in a module of its own.

What a figure needs is in the folder of a run, never in an engine.
"""

from __future__ import annotations

from dataclasses import replace

from framework.render.curve_figures import curve_sketch
from framework.render.curves import curves_of
from framework.render.dose_figures import dose_sketches
from framework.render.draw_figures import density_sketches, scatter_sketches
from framework.render.estimate_figures import (
    coefficient_sketches,
    event_sketches,
    period_sketches,
)
from framework.render.group_figures import group_sketches
from framework.render.learned_figures import (
    along_sketches,
    confounding_sketches,
    propensity_sketches,
)
from framework.render.map_figures import map_sketches
from framework.render.matched_figures import balance_sketches, overlap_sketches
from framework.render.run import Heading, RunFolder
from framework.render.sensitivity_figures import ordered_sketches, sensitivity_sketches
from framework.render.style import Sketch, is_wide
from framework.render.words import file_stem


def sketches_of(run: RunFolder, heading: Heading) -> tuple[Sketch, ...]:
    """The figures of a heading that show something; nothing is drawn yet."""
    found = [
        *coefficient_sketches(run, heading),
        *period_sketches(run, heading),
        *event_sketches(run, heading),
        *(curve_sketch(run, heading, curve) for curve in curves_of(heading)),
        *density_sketches(run, heading),
        *scatter_sketches(run, heading),
        *balance_sketches(run, heading),
        *overlap_sketches(run, heading),
        *sensitivity_sketches(run, heading),
        *propensity_sketches(run, heading),
        *confounding_sketches(run, heading),
        *along_sketches(run, heading),
        *dose_sketches(run, heading),
        *group_sketches(run, heading),
        *map_sketches(run, heading),
        *ordered_sketches(run, heading),
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


def undrawn(heading: Heading) -> tuple[str, ...]:
    """Kinds of figures that columns ask for and this version does not draw."""
    known = {
        *("coefficients", "event_study", "density", "scatter", "specification_curve"),
        *("balance", "overlap", "ranked", "heatmap", "distribution", "table"),
        "ordered",
        "propensity",
        "confounding",
        "along",
        "dose_response",
        "groups",
        "map",
        "sensitivity",
        "trajectories",
    }
    kinds = {plot.kind for column in heading.columns for plot in column.plots}
    return tuple(sorted(kinds - known))
