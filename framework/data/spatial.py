"""The spatial weights of a model, matched with the units of its sample by unit id.

A matrix is built once for all units of the prepared panel. A sample with fewer units
sees the weights among these, normalised again in the way the matrix was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from framework.contract import Estimator, Matrix, SpatialWeights
from framework.data.working import Working
from framework.errors import EstimandError, Phase, Problem, counted, no_column
from framework.panel import LedgerLine, Panel
from framework.spec import choices
from framework.spec.model import Data, Model

if TYPE_CHECKING:
    import pandas as pd

#: What a matrix can be used for, in the order of `model.spatial_weights`.
ROLES = ("outcome", "covariates", "errors")
_SHOWN = 3


def frame_name(matrix: str, file: str) -> str:
    """Where a matrix's second file waits among the panel's frames."""
    return f"spatial_weights.{matrix}.{file}"


def matrix_of(flat: Mapping[str, Any]) -> Matrix:
    """The plugin of an entry of `data.spatial_weights`."""
    matrix = choices.build("matrix", flat)
    assert isinstance(matrix, Matrix)  # noqa: S101 - the kind says so
    return matrix


@dataclass(frozen=True, slots=True)
class Spatial:
    """The matrices of one model, of all units of the panel.

    Attributes:
        by_role: role -> weights.
    """

    by_role: Mapping[str, SpatialWeights] = field(default_factory=dict)

    def dropped(self) -> tuple[Any, ...]:
        """Units that some matrix leaves out."""
        lost = [unit for w in self.by_role.values() for unit in w.dropped]
        return tuple(dict.fromkeys(lost))

    def notes(self) -> list[str]:
        """What the matrices say of themselves, each once."""
        said = {
            f"{w.name}: {note}": None for w in self.by_role.values() for note in w.notes
        }
        return list(said)


def weights_of(
    work: Working, data: Data, model: Model, estimator: Estimator
) -> Spatial:
    """The matrices that this model uses; faults go to `work.problems`."""
    use = model.spatial_weights
    if use is None or "spatial_weights" not in estimator.demands().uses:
        return Spatial()
    asked = {role: getattr(use, role) or use.all for role in ROLES}
    built: dict[str, SpatialWeights] = {}
    for name in dict.fromkeys(n for n in asked.values() if n in data.spatial_weights):
        try:
            built[name] = _built(work.source, name, data.spatial_weights[name])
        except EstimandError as error:
            path = f"data.spatial_weights.{name}"
            work.problems += [p.at(path=path) for p in error.problems]
    return Spatial({r: built[n] for r, n in asked.items() if n in built})


#: The last matrices built, with the frames they are of: draws ask for the same ones.
_RECENT: dict[tuple[int, str], tuple[tuple[pd.DataFrame, ...], SpatialWeights]] = {}
_KEPT = 8


def _built(panel: Panel, name: str, flat: Mapping[str, Any]) -> SpatialWeights:
    matrix = matrix_of(flat)
    columns = list(map(str, panel.frame.columns))
    missing = [c for c in matrix.reads() if c not in columns]
    if missing:
        raise EstimandError(no_column(c, "", columns) for c in missing)
    files = {file: panel.frames[frame_name(name, file)] for file in matrix.files()}
    frames = (panel.frame, *files.values())
    key = (id(panel.frame), json.dumps([name, dict(flat)], sort_keys=True, default=str))
    held = _RECENT.get(key)
    if held is not None and all(a is b for a, b in zip(held[0], frames, strict=True)):
        return held[1]
    given = replace(panel, frames={**panel.frames, **files})
    built = replace(matrix.build(given), name=name)
    _examine(built, panel, name)
    while len(_RECENT) >= _KEPT:
        del _RECENT[next(iter(_RECENT))]
    _RECENT[key] = (frames, built)
    return built


def _examine(built: SpatialWeights, panel: Panel, name: str) -> None:
    """Refuse what would be a wrong number: other units, loops, signs, holes."""
    import numpy as np

    units = panel.frame[panel.unit].unique() if panel.unit else panel.frame.index
    known, given = set(units), [*built.ids, *built.dropped]
    faults: list[tuple[str, str]] = []
    if len(set(given)) != len(given):
        faults.append(("S01", "has a unit twice"))
    for word, odd in (
        ("has no weights of", known - set(given)),
        ("has weights of units that the data do not have:", set(given) - known),
    ):
        if odd:
            faults.append(("S01", f"{word} {_listed(odd)}"))
    n, W = len(built.ids), built.matrix
    if W.shape != (n, n):
        faults.append(
            ("S01", f"is {W.shape[0]} x {W.shape[1]} for {counted(n, 'unit')}")
        )
    elif W.diagonal().any():
        faults.append(("S05", "makes a unit its own neighbour"))
    if W.nnz and not (np.isfinite(W.data).all() and (W.data >= 0).all()):
        faults.append(("S05", "has negative or undefined weights"))
    if faults:
        raise EstimandError(
            Problem(
                Phase.DATA,
                code,
                f"'{name}' {what}",
                why="weights are matched with the panel by unit id",
            )
            for code, what in faults
        )


def _listed(ids: Any) -> str:
    shown = sorted(map(str, ids))
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


def leave_out(work: Working, spatial: Spatial) -> list[LedgerLine]:
    """Rows of units that a matrix leaves out go, with a line of the ledger."""
    import numpy as np

    lost, unit = spatial.dropped(), work.panel.unit
    if not lost or unit is None:
        return []
    rows, frame = work.n, work.panel.frame
    stays = ~frame[unit].isin(lost).to_numpy()
    if stays.all():
        return []
    at = np.flatnonzero(stays)
    kept = frame.iloc[at].reset_index(drop=True)
    work.keep(replace(work.panel, frame=kept), at)
    detail = f"units without a neighbour: {_listed(lost)}"
    return [LedgerLine("sample", "islands", rows, work.n, detail=detail)]


def aligned(
    spatial: Spatial, units: Sequence[Any], problems: list[Problem]
) -> tuple[dict[str, SpatialWeights], list[str]]:
    """Role -> weights in the order of `units`, and what was done to them.

    Args:
        spatial: of all units of the panel.
        units: ids of the sample, in the order of their codes.
        problems: S02 a unit whose neighbours are all outside the sample.
    """
    found: dict[str, SpatialWeights] = {}
    done: dict[int, SpatialWeights] = {}
    notes: list[str] = []
    for role, whole in spatial.by_role.items():
        if id(whole) not in done:
            done[id(whole)], said = _restricted(whole, units, problems)
            notes += said
        found[role] = done[id(whole)]
    return found, notes


def _restricted(
    whole: SpatialWeights, units: Sequence[Any], problems: list[Problem]
) -> tuple[SpatialWeights, list[str]]:
    import numpy as np

    at = {unit: i for i, unit in enumerate(whole.ids)}
    order = np.array([at[unit] for unit in units], dtype=np.intp)
    W = whole.matrix[order][:, order]
    if whole.points is not None:
        whole = replace(whole, points=whole.points[order])
    if len(order) == len(whole.ids):
        return replace(whole, ids=tuple(units), matrix=W), []
    alone = np.flatnonzero(np.asarray(W.sum(axis=1)).ravel() == 0)
    if len(alone):
        lost = [units[int(i)] for i in alone]
        problems.append(
            Problem(
                Phase.DATA,
                "S02",
                f"{counted(len(lost), 'unit')} of the sample with all neighbours by "
                f"'{whole.name}' outside it: {_listed(lost)}",
                why="their spatial lag would be zero",
                fix="leave them out of the sample too, or keep their neighbours",
                path="model.spatial_weights",
            )
        )
        return whole, []
    note = (
        f"spatial weights '{whole.name}': {len(units)} of {len(whole.ids)} units are in "
        "the sample; neighbours outside it are left out"
    )
    if whole.transform == "none":
        return replace(whole, ids=tuple(units), matrix=W), [note]
    scaled = _normalised(W, whole.transform)
    return (
        replace(whole, ids=tuple(units), matrix=scaled),
        [f"{note} and the others' weights normalised again"],
    )


def _normalised(W: Any, transform: str) -> Any:
    import numpy as np
    from scipy.sparse import csr_array, diags_array

    if transform == "row":
        total = np.asarray(W.sum(axis=1)).ravel()
        return csr_array(diags_array(1.0 / total) @ W)
    return csr_array(W / np.abs(np.linalg.eigvals(W.toarray())).max())


__all__ = [
    "ROLES",
    "Spatial",
    "aligned",
    "frame_name",
    "leave_out",
    "matrix_of",
    "weights_of",
]
