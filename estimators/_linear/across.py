"""What crosses clusters, as columns: fixed effects and slopes that are not nested."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from estimators._math.projection import Floats, nested
from framework.errors import NumericalError

if TYPE_CHECKING:
    from estimators._linear.design import Design, Factor

#: Columns of what is not nested in clusters that are written out, and their cells.
_WIDE, _CELLS = 2_000, 400_000_000
#: Share of its size that is left of a column that repeats others.
_REPEATED = 1e-9


def crossing(design: Design, cluster: Factor) -> Floats:
    """Orthonormal columns (n, q) of effects and slopes that cross clusters.

    Times the root of the weights; free of the effects within clusters, which are
    orthogonal to every cluster's part of a column that is free of them.

    Raises:
        NumericalError: N04 too many levels.
    """
    # The engine's jackknife needs this module, which needs its demeaning.
    from estimators._linear.engine import demeaned_like

    inside = [nested(f.codes, cluster.codes) for f in design.fixed_effects]
    slopes_inside = [nested(s.by, cluster.codes) for s in design.slopes]
    across = [
        (f.codes, np.ones(design.n), f.n_levels)
        for f, within in zip(design.fixed_effects, inside, strict=True)
        if not within
    ] + [
        (s.by, s.variable, s.n_levels)
        for s, within in zip(design.slopes, slopes_inside, strict=True)
        if not within
    ]
    width = sum(levels for _, _, levels in across)
    if not width:
        return np.empty((design.n, 0))
    if width > _WIDE or width * design.n > _CELLS:
        raise NumericalError(
            "N04",
            f"this inference beside {width} levels of fixed effects that cross "
            f"clusters of '{cluster.term}'",
            why="Each is a column of its projection, in memory.",
            fix="cluster by a column in which the large fixed effect is nested",
        )
    D = np.zeros((design.n, width))
    at = 0
    for codes, values, levels in across:
        D[np.arange(design.n), at + codes] = values
        at += levels
    within_only = replace(
        design,
        fixed_effects=tuple(
            f for f, ok in zip(design.fixed_effects, inside, strict=True) if ok
        ),
        slopes=tuple(
            s for s, ok in zip(design.slopes, slopes_inside, strict=True) if ok
        ),
    )
    if within_only.fixed_effects or within_only.slopes:
        size = np.linalg.norm(D, axis=0)
        D = demeaned_like(within_only, D[:, size > 0] / size[size > 0])
    D = D * np.sqrt(design.scaled_weights())[:, None]
    return _orthonormal(D)


def _orthonormal(D: Floats) -> Floats:
    """Orthonormal columns that span those of `D`, which may repeat one another."""
    left, size, _ = np.linalg.svd(D, full_matrices=False)
    return left[:, size > _REPEATED * size[0]]
