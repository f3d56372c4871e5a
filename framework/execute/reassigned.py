"""Whose treatment path each unit gets in a draw of `permute: treatment`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from framework.contract import Request
from framework.data.treatment import Assigned
from framework.errors import (
    DataError,
    SpecError,
    counted,
)
from framework.execute import placing
from framework.panel import Panel
from framework.spec.model import Model

if TYPE_CHECKING:
    import numpy as np


class Reassignment:
    """A permutation of treatment paths: `(panel, assigned) -> assigned`."""

    def __init__(self, source: dict[Any, Any], by: str | None = None) -> None:
        self.source = source  # unit or group -> the one whose path it gets
        self.by = by  # column of the groups, where there are no units

    def __call__(self, panel: Panel, assigned: Assigned) -> Assigned:
        import numpy as np
        import pandas as pd

        carrier = panel.unit or self.by
        if carrier is None or panel.time is None:
            order = np.array([self.source.get(i, i) for i in range(len(panel.frame))])
            columns = {k: v[order] for k, v in assigned.columns.items()}
            return replace(assigned, columns=columns)
        unit = panel.frame[carrier]
        given = unit.map(lambda u: self.source.get(u, u))
        period = panel.frame[panel.time].to_numpy()
        if assigned.cohort is not None:
            first = pd.Series(assigned.cohort, index=unit).groupby(level=0).first()
            cohort = first.loc[given].to_numpy(dtype="float64")
            label = next(iter(assigned.columns))
            values = (period >= cohort).astype("float64")
            return replace(assigned, columns={label: values}, cohort=cohort)
        keys = pd.MultiIndex.from_arrays([unit, period])
        wanted = pd.MultiIndex.from_arrays([given, period])
        columns = {
            label: pd.Series(values, index=keys).reindex(wanted).to_numpy()
            for label, values in assigned.columns.items()
        }
        return replace(assigned, columns=columns)


def reassignments(
    draws: Mapping[str, Any],
    panel: Panel,
    request: Request,
    seed: int,
    named: list[str],
    model: Model,
) -> Iterator[Reassignment]:
    """The draws; `named` gets the name by which another estimation's are the same."""
    by = model.treatment.by if model.treatment else None
    units, cohort = units_in_order(panel, request, by)
    if cohort is None and draws["times"] == "every":
        cohort = _groups_of(request)
    for source in places_drawn(draws, panel, units, cohort, seed, named, by):
        for row in source.tolist():
            given = {u: units[j] for u, j in zip(units, row, strict=True)}
            yield Reassignment(given, by)


def places_drawn(
    draws: Mapping[str, Any],
    panel: Panel,
    units: list[Any],
    cohort: np.ndarray[Any, Any] | None,
    seed: int,
    named: list[str],
    by: str | None = None,
) -> Iterator[np.ndarray[Any, Any]]:
    """Some draws at a time, (draws, n): position of the unit whose path a unit gets."""
    import numpy as np

    blocks = blocks_within(draws.get("within"), panel, units, by)
    kind = "every" if draws["times"] == "every" else "drawn"
    told = json.dumps([seed, kind, [str(u) for u in units], blocks])
    named.append(hashlib.sha256(told.encode()).hexdigest()[:16])
    if kind == "every":
        yield from placing.enumerated(cohort, blocks)
        return
    paths = np.arange(len(units))
    if cohort is not None:
        paths = np.unique(cohort, return_inverse=True)[1]
    within = draws.get("within")
    if within is not None and placing.all_alike(paths, blocks):
        raise DataError(
            "X24",
            f"draws.within: in every '{within}' all units are treated alike, so that "
            "no draw differs from the data",
            why="The p value of the only assignment is 1, whatever the effect is.",
            fix="coarser blocks, or none",
            path="draws.within",
        )
    yield from placing.drawn(paths, blocks, int(draws["times"]), seed)


def units_in_order(
    panel: Panel, request: Request, by: str | None
) -> tuple[list[Any], np.ndarray[Any, Any] | None]:
    """Units (or groups `by`) of the sample in a fixed order, and their cohorts.

    Raises:
        SpecError: X24 cohorts of rows that belong to no unit and no group.
    """
    import numpy as np

    treatment = request.treatment
    if request.unit is None:
        rows = (
            range(len(panel.frame)) if request.rows is None else request.rows.tolist()
        )
        if treatment is None or treatment.cohort is None:
            return list(rows), None
        if by is None:
            raise SpecError(
                "X24",
                "draws: {permute: treatment} would move the treatment of single rows",
                why="rows of a group are treated together, so single rows give far too "
                "many draws without an effect",
                fix="treatment.by: the groups whose rows are treated together",
                path="model.treatment.by",
            )
        held = panel.frame[by].iloc[list(rows)].to_numpy()
        first = dict(zip(held, request.frame[treatment.cohort], strict=True))
        groups = sorted(first, key=str)
        return groups, np.array([first[g] for g in groups])
    units = list(request.ids[request.unit])
    order = sorted(range(len(units)), key=lambda i: str(units[i]))
    cohort = None
    if treatment is not None and treatment.cohort is not None:
        by_unit = request.frame.groupby(request.unit)[treatment.cohort].first()
        cohort = by_unit.reindex(order).to_numpy()
    return [units[i] for i in order], cohort


def _groups_of(request: Request) -> np.ndarray[Any, Any] | None:
    """Of a 0/1 treatment in data without units: 0 treated, inf untreated; else None."""
    import numpy as np

    treatment = request.treatment
    if request.unit is not None or treatment is None or len(treatment.columns) != 1:
        return None
    on = request.frame[treatment.columns[0]].to_numpy(dtype="float64")
    return np.where(on == 1, 0.0, np.inf) if np.isin(on, (0.0, 1.0)).all() else None


def blocks_within(
    within: Any, panel: Panel, units: list[Any], by: str | None = None
) -> list[list[int]]:
    """Positions of units that may swap paths: those alike in `within`."""
    import pandas as pd

    if within is None:
        return [list(range(len(units)))]
    frame = panel.frame
    if within not in frame.columns:
        raise DataError("X51", f"no column '{within}'", path="draws.within")
    carrier = panel.unit or by
    if carrier is None:
        values = frame[within].iloc[units].tolist()
    else:
        several = frame.groupby(carrier)[within].nunique(dropna=False)
        if (several > 1).any():
            unit = several.index[int((several > 1).argmax())]
            what = "unit" if panel.unit else f"'{by}'"
            raise DataError(
                "X24",
                f"draws.within: '{within}' changes within {what} {unit}",
                fix=f"a column that is fixed for every {what}",
                path="draws.within",
            )
        held = frame.groupby(carrier)[within].first()
        values = [held.loc[u] for u in units]
    lost = [u for u, missing in zip(units, pd.isna(values), strict=True) if missing]
    if lost:
        raise DataError(
            "D01",
            f"draws.within: '{within}' is missing in {counted(len(lost), 'unit')} of the "
            f"sample (first: {lost[0]})",
            why="A unit without a block could exchange its treatment with nobody.",
            fix="a sample restriction, sample.blocks: {complete: [COLUMN]}",
            path="draws.within",
        )
    blocks: dict[Any, list[int]] = {}
    for index, value in enumerate(values):
        blocks.setdefault(value, []).append(index)
    return list(blocks.values())
