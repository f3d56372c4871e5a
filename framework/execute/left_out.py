"""`draws: {leave_out: step}`: the estimate without one member of a step at a time.

Where a step measures rows against each other (peers on a frontier), one row with wrong
data can move the outcome of all others. The step is redone without each of its members,
the steps after it as well, and the model is estimated again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from framework.cache import Job
from framework.contract import Estimator, Request, Step
from framework.data.changes import outcome_change
from framework.data.design import build
from framework.data.prepare import apply_steps, spread_groups
from framework.errors import NumericalError, SpecError, counted, did_you_mean
from framework.expect import Row
from framework.panel import Panel
from framework.result import Plot, Result
from framework.spec import choices
from framework.spec.model import Data, Model

if TYPE_CHECKING:
    import pandas as pd

#: Members that a note names, and that a table shows.
_NAMED, _SHOWN = 3, 20


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One member less.

    Attributes:
        member: as the data name it.
        changed, mean_change: rows whose outcome is another, and the change of the mean
            over all rows.
        make: the request of the model on these data.
    """

    member: str
    changed: int
    mean_change: float
    make: Callable[[], Request]


def each_left_out(
    job: Job, panel: Panel, data: Data, model: Model, estimator: Estimator
) -> Iterator[LeftOut]:
    """The data without each member, and the request they make.

    Raises:
        SpecError: X22 no such step, X24 a step without members.
    """
    draws = job.draws or {}
    name, times = str(draws["leave_out"]), draws["times"]
    step = _step(data, name)
    names = list(data.steps)
    at = names.index(name)
    keys = {k for k in (panel.unit, panel.time) if k}
    shielded = frozenset(job.protected) | keys
    source = panel.source or panel
    before = apply_steps(source, _only(data, names[:at]), shielded)
    found = step.left_out(before, name, shielded, None if times == "every" else times)
    if found is None:
        raise SpecError(
            "X24",
            f"the step '{name}' has no members to leave out",
            why="no row's value depends on another's in it",
            fix="a step that measures rows against each other, such as a frontier",
            path="draws.leave_out",
        )
    rest = _only(data, names[at + 1 :])
    outcome = str(model.outcome)
    for member, less in found:
        made = apply_steps(less, rest, shielded)

        def request(made: Panel = made) -> Request:
            return build(made, data, model, estimator, job.seed).request

        changed, mean = _changes(made, panel, outcome)
        yield LeftOut(member, changed, mean, request)


def _step(data: Data, name: str) -> Step:
    if name not in data.steps:
        raise SpecError(
            "X22",
            f"no step '{name}' to leave out",
            fix=did_you_mean(name, list(data.steps)),
            path="draws.leave_out",
        )
    step = choices.build("step", spread_groups(data.steps[name], data.groups))
    assert isinstance(step, Step)  # noqa: S101 - the kind says so
    return step


def _only(data: Data, names: list[str]) -> Data:
    return data.model_copy(update={"steps": {n: data.steps[n] for n in names}})


def _changes(now: Panel, before: Panel, outcome: str) -> tuple[int, float]:
    """Rows whose outcome differs, and by how much its mean does."""
    found = outcome_change(now, before, outcome, None)
    if found is None:
        return 0, 0.0
    columns = [p.frame[outcome].to_numpy(dtype="float64") for p in (now, before)]
    mean = float(_mean(columns[0]) - _mean(columns[1]))
    return round(found.changed * found.rows) + found.lost + found.gained, mean


def _mean(values: Any) -> float:
    import numpy as np

    return float(np.nanmean(values))


def told(
    result: Result, judged: Row, frame: pd.DataFrame, draws: Mapping[str, Any]
) -> Result:
    """The result with the range of estimates and who moves them most.

    Raises:
        NumericalError: N03 there is nobody to leave out.
    """
    step = str(draws["leave_out"])
    if frame.empty:
        raise NumericalError("N03", f"nobody is a member of '{step}' for another row")
    ranked = frame.assign(shift=frame["estimate"] - judged.estimate)
    ranked = ranked.sort_values("shift", key=abs, ascending=False, kind="stable")
    table = ranked[
        [
            "member",
            "shift",
            "estimate",
            "std_error",
            "outcomes_changed",
            "mean_change",
        ]
    ].reset_index(drop=True)
    known = table[table["estimate"].notna()]
    low, high = float(known["estimate"].min()), float(known["estimate"].max())
    first = known.head(_NAMED)
    most = ", ".join(
        f"{m} {s:+.3g}" for m, s in zip(first["member"], first["shift"], strict=True)
    )
    note = (
        f"{counted(len(table), 'member')} of {step} left out one at a time: estimates from "
        f"{low:.6g} to {high:.6g} ({judged.estimate:.6g} with all, standard error "
        f"{judged.std_error:.6g}); who moves it most: {most}"
    )
    options = {
        "label": "member",
        "value": "shift",
        "unit": judged.std_error,
        "what": "Shift of the estimate without the member",
    }
    layout: dict[str, Any] = {"stub": "member", "rows": _SHOWN}
    if judged.has_error and judged.std_error > 0:
        # Four digits of the standard error: a shift that matters has some of them.
        layout["decimals"] = max(0, 3 - math.floor(math.log10(judged.std_error)))
    title = f"Estimates without one member of {step} at a time"
    return replace(
        result,
        scalars={
            **result.scalars,
            "n_left_out": float(len(table)),
            "left_out_low": low,
            "left_out_high": high,
        },
        frames={**result.frames, "left_out": table},
        plots=(
            *result.plots,
            Plot("ranked", "left_out", title, options),
            Plot("table", "left_out", title, layout),
        ),
        notes=(*result.notes, note),
    )


__all__ = ["LeftOut", "each_left_out", "told"]
