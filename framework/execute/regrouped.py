"""`draws: {permute: column}`: the groups that are compared, dealt out anew.

Units keep their rows, outcomes and treatment and exchange the value of one column that is
fixed within them: the two samples of a split, or the moderator of an interaction, become
random groups of the same sizes. Under the null that the column has nothing to do with
the effect every such assignment is as good as the true one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from framework.condition import parse as parse_condition
from framework.contract import Step
from framework.errors import DataError, SpecError
from framework.execute import placing
from framework.spec import choices, terms

if TYPE_CHECKING:
    from framework.panel import Panel
    from framework.spec.model import Data, Model


def restrictions_reading(model: Model, column: str) -> tuple[str, ...]:
    """Names of the sample's restrictions that read the column."""
    found = []
    for name, flat in model.sample.items():
        columns = [flat["column"]] if "column" in flat else []
        if "where" in flat:
            columns += parse_condition(flat["where"]).columns()
        if column in columns:
            found.append(name)
    return tuple(found)


def check(data: Data, model: Model, column: str) -> None:
    """The column is what the line compares, and nothing was made from it.

    Raises:
        SpecError: X24 the line does not use it, or other parts of the model or of the
            data do and would keep the true groups.
    """
    moderators = [] if model.interact is None else [model.interact.with_]
    interacted = {
        c for t in terms.parse_list(moderators, data.groups) for c in t.columns()
    }
    if column not in interacted and not restrictions_reading(model, column):
        raise SpecError(
            "X24",
            f"draws permute '{column}', which neither a restriction nor interact reads",
            why="every draw would be the same estimation",
            fix=f"each: {{only.{column}: every}}, or interact: {column}",
            path="draws.permute",
        )
    for name, flat in data.steps.items():
        step = choices.build("step", flat)
        if isinstance(step, Step) and column in step.reads(name):
            raise SpecError(
                "X24",
                f"the step '{name}' reads '{column}', which draws permute",
                why="what it made would keep the true groups",
                fix="permute the column that the step makes",
                path=f"data.steps.{name}",
            )


def regrouped(
    panel: Panel,
    column: str,
    draws: Mapping[str, Any],
    blocks: Sequence[Sequence[int]],
    seed: int,
    named: list[str],
) -> Iterator[Panel]:
    """The panel with the column's values exchanged between units, draw by draw.

    Args:
        panel: the data after their steps, before the sample's restrictions: the same
            in every value of a line, so that draw b is one assignment in all of them.
        column: fixed within units.
        draws: of the line.
        blocks: positions in `units_of(panel)` that exchange values among themselves.
        seed: of the study.
        named: gets the name by which another estimation's draws are the same.

    Raises:
        DataError: X51 no such column, X24 it changes within a unit.
        SpecError: X22 all assignments are asked for.
    """
    import numpy as np

    if draws["times"] == "every":
        raise SpecError("X22", "groups can't be enumerated: draws.times is a number")
    frame, units = panel.frame, units_of(panel)
    held = _held(panel, column)
    values = [held[u] for u in units]
    told = json.dumps([seed, column, [str(u) for u in units], list(map(list, blocks))])
    named.append(hashlib.sha256(told.encode()).hexdigest()[:16])
    codes = {v: i for i, v in enumerate(sorted({str(v) for v in values}))}
    paths = np.array([codes[str(v)] for v in values])
    place = {u: i for i, u in enumerate(units)}
    keys = range(len(frame)) if panel.unit is None else frame[panel.unit]
    at = np.array([place[k] for k in keys], dtype=np.intp)
    rows = frame[column].to_numpy()
    first = np.zeros(len(units), dtype=np.intp)
    first[at[::-1]] = np.arange(len(frame))[::-1]
    for source in placing.drawn(paths, blocks, int(draws["times"]), seed):
        for given in source:
            drawn = frame.copy(deep=False)
            drawn[column] = rows[first[given[at]]]
            drawn[column] = drawn[column].astype(frame[column].dtype)
            yield replace(panel, frame=drawn)


def units_of(panel: Panel) -> list[Any]:
    """Units in a fixed order; the positions of the rows where there are none."""
    if panel.unit is None:
        return list(range(len(panel.frame)))
    return sorted(panel.frame[panel.unit].unique(), key=str)


def _held(panel: Panel, column: str) -> Mapping[Any, Any]:
    frame = panel.frame
    if column not in frame.columns:
        raise DataError("X51", f"no column '{column}'", path="draws.permute")
    if panel.unit is None:
        return dict(enumerate(frame[column]))
    grouped = frame.groupby(panel.unit)[column]
    several = grouped.nunique(dropna=False)
    if (several > 1).any():
        unit = several.index[int((several > 1).argmax())]
        raise DataError(
            "X24",
            f"draws.permute: '{column}' changes within unit {unit}",
            why="units exchange one value each",
            fix=f"data.steps: {{before: {{at: {{column: {column}, …}}}}}}",
            path="draws.permute",
        )
    return dict(grouped.first())
