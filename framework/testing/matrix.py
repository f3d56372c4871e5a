"""A matrix of spatial weights against its contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from framework.contract import Matrix, SpatialWeights
from framework.panel import Panel
from framework.testing.alike import changed, snapshot
from framework.testing.canonical import canonical_panel
from framework.testing.declaration import check_declaration
from framework.testing.findings import Findings

#: Another order of the units: rounding.
SAME = 1e-12
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def check_matrix(
    cls: type[Matrix],
    /,
    *,
    panel: Panel | None = None,
    frames: Mapping[str, pd.DataFrame] = _NOTHING,
    exempt: Mapping[str, str] = _NOTHING,
    **options: Any,
) -> None:
    """Hold spatial weights to the contract: aligned by id, no loops, no surprises.

    Args:
        cls: the matrix.
        panel: in place of the kit's panel; then units are not renamed.
        frames: second files of the matrix, by name; then units are not renamed.
        exempt: rule -> reason why it can't hold.
        options: the matrix's options; columns are those of
            `framework.testing.canonical`.

    Raises:
        NotConforming: every promise that it breaks.
    """
    found = Findings(cls.__name__, exempt)
    matrix = check_declaration(cls, Matrix, options, found)
    given = canonical_panel() if panel is None else panel
    given = replace(given, frames={**given.frames, **frames})
    before = snapshot(given)
    if matrix is not None:
        with found.untouched_state():
            built = found.attempt(lambda: matrix.build(given), "output", "build")
        for path in changed(before, given):
            found.add("purity", f"it changes panel.{path}")
        if built is not None and _sound(built, before, found):
            again = matrix.build(snapshot(before))
            if list(changed(built, again)):
                found.add("determinism", "the same panel gives other weights")
            if panel is None and not frames:
                _renamed(matrix, built, found)
        _refused(matrix, frames, found)
    found.conclude()


def _sound(built: Any, panel: Panel, found: Findings) -> bool:
    if not isinstance(built, SpatialWeights):
        found.add("output", f"build returns a {type(built).__name__}")
        return False
    if not hasattr(built.matrix, "toarray"):
        found.add("output", "the matrix is not a scipy sparse array")
        return False
    units = set(panel.frame[panel.unit]) if panel.unit else set(panel.frame.index)
    if len(set(built.ids)) != len(built.ids) or set(built.ids) != units:
        found.add("output", "ids are not every unit of the panel, once")
        return False
    W = built.matrix.toarray()
    if W.shape != (len(units), len(units)):
        found.add("output", f"the matrix is {W.shape}, there are {len(units)} ids")
        return False
    if not np.isfinite(W).all() or (W < 0).any():
        found.add("output", "a weight is negative or not finite")
    if np.diag(W).any():
        found.add("output", "the diagonal is not zero: a unit is its own neighbour")
    if not W.any():
        found.add("output", "no unit has a neighbour")
    return True


def _renamed(matrix: Matrix, built: SpatialWeights, found: Findings) -> None:
    """Units with other names in the opposite order: the same weights by unit."""
    data = canonical_panel().frame
    names = {old: f"place {len(built.ids) - i:03d}" for i, old in enumerate(built.ids)}
    other = found.attempt(
        lambda: matrix.build(
            canonical_panel(data=data.assign(city=data["city"].map(names)))
        ),
        "unit_names",
        "renaming the units",
    )
    if other is None:
        return
    at = {unit: i for i, unit in enumerate(other.ids)}
    order = [at[names[unit]] for unit in built.ids if names[unit] in at]
    if len(order) != len(built.ids):
        found.add("unit_names", "ids are not the units' names when these are others")
        return
    W = other.matrix.toarray()[np.ix_(order, order)]
    if not np.allclose(W, built.matrix.toarray(), rtol=SAME, atol=SAME):
        found.add("unit_names", "weights move when units are renamed: align by id")


def _refused(
    matrix: Matrix, frames: Mapping[str, pd.DataFrame], found: Findings
) -> None:
    for kind in ("repeated_cross_sections", "cross_section"):
        other = replace(canonical_panel(kind), frames=dict(frames))
        doing = kind.replace("_", " ")
        found.refusal(lambda p=other: matrix.build(p), doing, demanded=False)  # type: ignore[misc]  # bound now


__all__ = ["check_matrix"]
