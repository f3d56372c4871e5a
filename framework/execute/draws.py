"""`draws`: the same estimation many times, with the treatment or the sample redrawn.

`permute: treatment` moves whole treatment paths between the units of the estimation
sample (within blocks, if asked), so that cohort sizes and timing stay what they were:
the randomization distribution under the sharp null of no effect for any unit.
`permute: column` gives the values of a column to other units: the groups that a line
compares (`regrouped.py`).
`resample: column` draws the groups of a column with replacement.
`resplit: true` leaves data and model as they are and draws what the estimator itself
draws (folds, starting values of learners) from another seed.
`leave_out: step` redoes a step without one of its members at a time (`left_out.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from framework.cache import Job
from framework.condition import parse as parse_condition
from framework.contract import Assignments, Estimator, Request, Step
from framework.data.design import build
from framework.data.prepare import apply_steps
from framework.data.working import plugins_of
from framework.errors import (
    DataError,
    EstimandError,
    NumericalError,
    SpecError,
    counted,
)
from framework.execute import regrouped
from framework.execute.drawn import (
    regroups,
    say_randomization,
    say_regrouped,
    say_resampled,
    say_resplit,
    two_sided,
    what_is_resampled,
)
from framework.execute.left_out import each_left_out, told
from framework.execute.reassigned import (
    Reassignment,
    blocks_within,
    places_drawn,
    reassignments,
    units_in_order,
)
from framework.expect import CannotBeJudged, Judged, Row, judged_row
from framework.panel import LedgerLine, Panel
from framework.result import Result
from framework.spec import choices, terms
from framework.spec.model import Data, Model

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

_COLUMNS = ("draw", "estimate", "std_error", "statistic")
#: Rows times draws of which treatments are held at a time, 8 bytes each.
_CELLS = 40_000_000


def draw_all(
    job: Job,
    panel: Panel,
    data: Data,
    model: Model,
    estimator: Estimator,
    result: Result,
) -> tuple[pd.DataFrame, Result]:
    """All draws, and the result with what they say.

    Returns:
        One row per draw (`draw, estimate, std_error, statistic` of the judged row; for
        permutations `p_value`, and `assignment`, the same where draw b is the same) and
        the result with its randomization test or its resampled standard error.

    Raises:
        SpecError: the draw would not be a redraw of the whole model.
        EstimandError: the first draw's problem, if half of the draws or more fail.
    """
    import pandas as pd

    draws = job.draws or {}
    judged = _judged(result, model, job)
    if "leave_out" in draws:
        return _left_out(job, panel, data, model, estimator, result)
    named: list[str] = []
    rows = _at_once(draws, panel, data, model, estimator, job.seed, named)
    failed: list[EstimandError] = []
    if not rows:
        each = _each_draw(job, panel, data, model, estimator, named)
        rows, failed = _one_by_one(each, estimator, model, job)
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    if draws.get("rebuild"):
        # The same resamples of the data as prepared: what redoing the steps adds.
        given = replace(job, draws={**draws, "rebuild": False})
        each = _each_draw(given, panel, data, model, estimator, named)
        plain, _ = _one_by_one(each, estimator, model, job)
        frame["estimate_as_given"] = [estimate for _, estimate, _, _ in plain]
    if "permute" in draws:
        frame["assignment"] = named[-1]
        frame["p_value"] = two_sided(frame["statistic"], judged.df)
    if regroups(draws) and regrouped.restrictions_reading(model, draws["permute"]):
        said = say_regrouped(result, judged, frame, str(draws["permute"]))
    elif "permute" in draws:
        said = say_randomization(result, judged, frame, draws)
    elif "resplit" in draws:
        said = say_resplit(result, judged, frame, model)
    else:
        said = say_resampled(result, judged, frame, what_is_resampled(draws))
    return frame, _with_failures(said, failed)


def _one_by_one(
    each: Iterable[tuple[int, Callable[[], Request]]],
    estimator: Estimator,
    model: Model,
    job: Job,
) -> tuple[list[tuple[int, float, float, float]], list[EstimandError]]:
    """(draw, estimate, standard error, statistic), and why some draws have none.

    Raises:
        EstimandError: the first draw's problem, if more than half fail.
    """
    rows: list[tuple[int, float, float, float]] = []
    failed: list[EstimandError] = []
    estimator = estimator.for_draws()
    for draw, make in each:
        try:
            found = _judged(estimator.estimate(make()), model, job)
        except EstimandError as error:
            failed.append(error)
            rows.append((draw, math.nan, math.nan, math.nan))
            continue
        rows.append((draw, found.estimate, found.std_error, found.statistic))
    if len(failed) * 2 > len(rows):
        raise failed[0]
    return rows, failed


def _left_out(
    job: Job,
    panel: Panel,
    data: Data,
    model: Model,
    estimator: Estimator,
    result: Result,
) -> tuple[pd.DataFrame, Result]:
    """The estimate without each member of a step."""
    import pandas as pd

    less = each_left_out(job, panel, data, model, estimator)
    about: list[tuple[str, int, float]] = []

    def each() -> Iterator[tuple[int, Callable[[], Request]]]:
        for draw, one in enumerate(less):
            about.append((one.member, one.changed, one.mean_change))
            yield draw, one.make

    rows, failed = _one_by_one(each(), estimator, model, job)
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    columns = ("member", "outcomes_changed", "mean_change")
    for at, column in enumerate(columns):
        frame[column] = [held[at] for held in about]
    said = told(result, _judged(result, model, job), frame, job.draws or {})
    return frame, _with_failures(said, failed)


def _with_failures(said: Result, failed: Sequence[EstimandError]) -> Result:
    if not failed:
        return said
    what = failed[0].problems[0].what
    note = f"{counted(len(failed), 'draw')} gave no number (the first: {what})"
    return replace(said, notes=(*said.notes, note))


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A result where a finished estimation is asked for."""

    result: Result
    labels: Mapping[str, Any] = field(default_factory=dict)
    ledger: tuple[LedgerLine, ...] = ()
    draws: None = None


def _judged(result: Result, model: Model, job: Job) -> Row:
    """The number that verdicts are about, in the true estimation and in every draw."""
    asked = model.estimand
    estimand = (asked,) if isinstance(asked, str) else tuple(asked or ())
    try:
        return judged_row(Judged(job.address, _Drawn(result), estimand))
    except CannotBeJudged as why:
        raise NumericalError("N03", f"nothing to draw: {why}") from why


def _at_once(
    draws: Mapping[str, Any],
    panel: Panel,
    data: Data,
    model: Model,
    estimator: Estimator,
    seed: int,
    named: list[str],
) -> list[tuple[int, float, float, float]]:
    """All permutations in closed form, where the estimator has one; else nothing.

    Only where the rows, and every column but the treatment, are the same in each draw.
    """
    import numpy as np

    if draws.get("permute") != "treatment":
        return []
    if any(flat["name"] == "event_window" for flat in model.sample.values()):
        return []
    _refuse_if_treatment_is_used_elsewhere(data, model)
    request = build(panel, data, model, estimator, seed).request
    treatment = request.treatment
    if treatment is None or treatment.cohort is None or len(treatment.columns) != 1:
        return []
    if request.unit is None or request.time is None:
        return []
    units, cohort = units_in_order(panel, request, None)
    if cohort is None:
        return []
    code = {u: i for i, u in enumerate(request.ids[request.unit])}
    at = np.argsort([code[u] for u in units])
    first, path = np.unique(cohort, return_inverse=True)
    path = path.astype(np.int16)  # there are fewer periods than that
    found: list[tuple[float, float]] = []
    for source in places_drawn(draws, panel, units, cohort, seed, named):
        assignments = Assignments(first, path[source][:, at])
        numbers = _numbers(estimator, request, assignments)
        if numbers is None:
            return []
        found += numbers.tolist()
    return [(i, b, se, b / se) for i, (b, se) in enumerate(found)]


def _numbers(
    estimator: Estimator, request: Request, assignments: Assignments
) -> np.ndarray[Any, Any] | None:
    """(draws, 2), by units if the estimator can, else by rows; None if by neither."""
    import numpy as np

    found = estimator.estimate_assignments(request, assignments)
    if found is not None:
        return found
    rows = request.frame[request.unit].to_numpy()
    period = request.frame[request.time].to_numpy()[:, None]
    step = max(1, _CELLS // max(1, len(rows)))
    parts = []
    for start in range(0, len(assignments.of_unit), step):
        some = assignments.first[assignments.of_unit[start : start + step].T]
        drawn = (period >= some[rows]).astype("float64")
        part = estimator.estimate_draws(request, drawn)
        if part is None:
            return None
        parts.append(part)
    return np.concatenate(parts)


def _each_draw(
    job: Job,
    panel: Panel,
    data: Data,
    model: Model,
    estimator: Estimator,
    named: list[str],
) -> Iterator[tuple[int, Callable[[], Request]]]:
    """(number, how to make that draw's request): a draw that can't be made fails alone."""
    import numpy as np

    draws, seed = job.draws or {}, job.seed

    def rebuilt(again: Panel) -> Request:
        """A resample of the data before their steps, which are then redone on it."""
        keys = {k for k in (again.unit, again.time) if k}
        steps = apply_steps(again, data, frozenset(job.protected) | keys)
        return build(steps, data, model, estimator, seed).request

    def redrawn(panel: Panel, seed: int = seed) -> Callable[[], Request]:
        return lambda: build(panel, data, model, estimator, seed).request

    def permuted(panel: Panel, reassign: Reassignment | None = None) -> Request:
        # A draw in which few are treated, by chance, is one of the law like all others.
        drawn = build(panel, data, model, estimator, seed, reassign=reassign).request
        return replace(drawn, acknowledge=drawn.acknowledge | {"few_treated"})

    if regroups(draws):
        column = str(draws["permute"])
        regrouped.check(data, model, column)
        blocks = blocks_within(draws.get("within"), panel, regrouped.units_of(panel))
        panels = regrouped.regrouped(panel, column, draws, blocks, seed, named)
        for draw, moved in enumerate(panels):
            yield draw, partial(permuted, moved)
        return
    if "permute" in draws:
        _refuse_if_treatment_is_used_elsewhere(data, model)
        plain = build(panel, data, model, estimator, seed)
        for draw, reassign in enumerate(
            reassignments(draws, panel, plain.request, seed, named, model)
        ):
            yield draw, partial(permuted, panel, reassign)
        return
    if "resplit" in draws:
        for draw in range(_times(draws, "splits")):
            # 63 bits: another seed of the study is never hit by chance.
            drawn = np.random.SeedSequence([seed, draw]).generate_state(1, np.uint64)
            yield draw, redrawn(panel, seed=int(drawn[0] >> 1))
        return
    column = str(draws["resample"])
    source = panel.source if draws.get("rebuild") else None
    drawn_from = source or panel
    if column not in drawn_from.frame.columns:
        raise DataError("X51", f"no column '{column}'", path="draws.resample")
    # Of the data before the steps if these are redone: the same with and without that.
    names = sorted((panel.source or panel).frame[column].dropna().unique(), key=str)
    rows = {
        value: np.asarray(held, dtype=np.intp)
        for value, held in drawn_from.frame.groupby(column).indices.items()
    }
    for draw in range(_times(draws, "resamples")):
        generator = np.random.default_rng([seed, draw])
        chosen = generator.integers(0, len(names), size=len(names))
        resampled = _resample(drawn_from, column, [rows.get(names[c]) for c in chosen])
        yield draw, partial(rebuilt, resampled) if source else redrawn(resampled)


def _times(draws: Mapping[str, Any], what: str) -> int:
    """How many of what can't be enumerated."""
    if draws.get("times") == "every":
        raise SpecError("X22", f"{what} can't be enumerated: draws.times is a number")
    return int(draws["times"])


# -- permuting the treatment ----------------------------------------------------------


def _refuse_if_treatment_is_used_elsewhere(data: Data, model: Model) -> None:
    """A column made from the treatment would keep the true assignment in every draw."""
    spec = model.treatment
    if spec is None:
        raise SpecError("X20", "permute: treatment needs model.treatment")
    written = [spec.first_treated] if spec.first_treated else []
    column = spec.column if isinstance(spec.column, list) else [spec.column]
    written += [c for c in column if c is not None]
    treated = {
        c for term in terms.parse_list(written, data.groups) for c in term.columns()
    }
    for name, flat in data.steps.items():
        step = choices.build("step", flat)
        if isinstance(step, Step) and treated & set(step.reads(name)):
            treated |= {name, *(step.makes(name) or ())}
    used: dict[str, list[Any]] = {
        "outcome": [model.outcome],
        "controls": model.controls,
        "instruments": model.instruments,
        "fixed_effects": model.fixed_effects,
        "interact": [model.interact.with_ if model.interact else None],
    }
    for where, held in used.items():
        for term in terms.parse_list(
            [h for h in held if h is not None], data.groups, slopes=True
        ):
            if treated & set(term.columns()):
                raise SpecError(
                    "X24",
                    f"'{term.label}' in {where} is made from the treatment",
                    why="it would keep the true assignment while the treatment is "
                    "permuted",
                    fix=f"leave it out on this line: remove: {{{where}: [...]}}",
                    path=f"model.{where}",
                )
    matched = plugins_of(model)
    for name, flat in model.sample.items():
        columns = [flat["column"]] if "column" in flat else []
        if "where" in flat:
            columns += parse_condition(flat["where"]).columns()
        if treated & set(columns) or name in matched:
            raise SpecError(
                "X24",
                f"the restriction '{name}' reads the treatment",
                why="it would select on the true assignment while the treatment is "
                "permuted",
                fix=f"leave it out on this line: sample.{name}: null",
                path=f"model.sample.{name}",
            )


# -- resampling -----------------------------------------------------------------------


def _resample(
    panel: Panel, column: str, chosen: Sequence[npt.NDArray[np.intp] | None]
) -> Panel:
    """Groups of `column`, drawn; copies are units and groups of their own.

    Args:
        panel: the data.
        column: of the groups.
        chosen: positions of each drawn group's rows; None = the steps left it without.
    """
    import numpy as np
    import pandas as pd

    frame = panel.frame
    some = [(k, rows) for k, rows in enumerate(chosen) if rows is not None]
    rows = np.concatenate([held for _, held in some])
    copy = np.repeat([k for k, _ in some], [len(held) for _, held in some])
    drawn = frame.iloc[rows].reset_index(drop=True)
    for key in dict.fromkeys(k for k in (column, panel.unit) if k):
        labels = drawn[key].astype(str) + "#" + pd.Series(copy).astype(str)
        drawn[key] = labels
    keys = [k for k in (panel.unit, panel.time) if k]
    if keys:
        drawn = drawn.sort_values(keys, kind="stable").reset_index(drop=True)
    return replace(panel, frame=drawn)


# -- redrawing what the estimator draws ------------------------------------------------
