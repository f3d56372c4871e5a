"""Rows: restrictions, missing values, and what no estimate survives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from framework.data.restrictions import kept_rows
from framework.data.selecting import Selected, choose, resolve
from framework.data.treatment import Assigned
from framework.data.working import COHORT, HIDDEN, Roles, Working, where
from framework.errors import EstimandError, Phase, Problem, counted
from framework.panel import LedgerLine, Panel
from framework.spec.model import Data, Model

#: Beyond these the fourth power of a value overflows or vanishes in a double.
_SMALLEST, _LARGEST = 1e-75, 1e75


def restrict(
    work: Working, model: Model, roles: Roles, assigned: Assigned | None
) -> tuple[list[LedgerLine], Selected]:
    """Apply `model.sample` in order; one ledger line each."""
    import numpy as np
    import pandas as pd

    before = len(work.panel.ledger)
    selected = Selected()
    faults = len(work.problems)
    asked = resolve(work, model, roles)
    for name, flat in model.sample.items():
        if name in asked:
            # A model that is refused anyway is not matched: its faults come first.
            if len(work.problems) > faults or (model.treatment and assigned is None):
                continue
            try:
                choose(work, roles, asked[name], selected)
            except EstimandError as error:
                path = f"model.sample.{name}"
                work.problems += [p.at(path=path) for p in error.problems]
            continue
        options = {k: v for k, v in flat.items() if k != "name"}
        cohort = None
        if assigned is not None and assigned.cohort is not None:
            cohort = pd.Series(work.held[work.hidden[COHORT]])
        try:
            kept, line = kept_rows(work.panel, name, flat["name"], options, cohort)
        except EstimandError as error:
            work.problems += [p.at(path=f"model.sample.{name}") for p in error.problems]
            continue
        rows = np.flatnonzero(kept)
        frame = work.panel.frame.take(rows).reset_index(drop=True)
        work.keep(work.panel.with_frame(frame, line), rows)
    return list(work.panel.ledger[before:]), selected


def complete(
    work: Working,
    data: Data,
    roles: Roles,
    *,
    moved: bool = False,
    unseen: bool = False,
) -> list[LedgerLine]:
    """Apply `data.missing` to the columns that are used, one ledger line each.

    A treatment that was `moved` (by `shift`, or to other units in a draw) is not observed
    in every row; those rows are left out whatever the study says of missing cells. Where
    the outcome may be `unseen`, its empty cells cost no row.
    """
    import numpy as np
    import pandas as pd

    ledger: list[LedgerLine] = []
    problems: list[Problem] = []
    keep = np.ones(work.n, dtype=bool)
    columns = [*roles.numbers(), *roles.groups()]
    if roles.moderator:
        columns.append(roles.moderator)
    for name in dict.fromkeys(columns):
        label = roles.names[name].rstrip(HIDDEN)
        values = work.held[name]
        missing = np.asarray(pd.isna(values))
        if values.dtype.kind == "f":
            infinite = np.isinf(values)
            if infinite.any():
                problems.append(
                    Problem(
                        Phase.DATA,
                        "D08",
                        f"'{label}' is infinite in {counted(int(infinite.sum()), 'row')} "
                        f"(first: {where(work.panel, int(np.argmax(infinite)))})",
                        fix="log1p or asinh in place of a log of zero, or a filter",
                    )
                )
        if not missing.any() or (unseen and name == roles.outcome):
            continue
        shifted = moved and name in roles.treatment
        if data.missing == "error" and not shifted:
            code = "D02" if name in roles.clusters else "D01"
            code = "D03" if name == roles.weights else code
            code = "D04" if name in roles.effects else code
            problems.append(
                Problem(
                    Phase.DATA,
                    code,
                    f"'{label}' missing in {int(missing.sum())} of {work.n} rows "
                    f"(first: {where(work.panel, int(np.argmax(missing)))})",
                    why="dropping them in silence would change the sample",
                    fix="data.missing: drop, an interpolate step, or a sample "
                    "restriction",
                    path="data.missing",
                )
            )
            continue
        lost = int((keep & missing).sum())
        kept = int(keep.sum())
        keep &= ~missing
        reason = "not observed that many periods away" if shifted else "missing"
        ledger.append(LedgerLine("estimation", label, kept, kept - lost, detail=reason))
    work.problems += problems
    if not keep.all():
        frame = work.panel.frame.loc[keep].reset_index(drop=True)
        work.keep(replace(work.panel, frame=frame), np.flatnonzero(keep))
    return ledger


def balance_asked(work: Working, model: Model) -> str:
    """The restriction `balanced` that the rows satisfy now; "" where there is none."""
    asked = [name for name, flat in model.sample.items() if flat["name"] == "balanced"]
    panel = work.panel
    if not asked or panel.unit is None or panel.time is None or not work.n:
        return ""
    periods = panel.frame[panel.time].nunique()
    seen = panel.frame.groupby(panel.unit, sort=False)[panel.time].size()
    return asked[-1] if (seen == periods).all() else ""


def stay_balanced(work: Working, name: str) -> list[LedgerLine]:
    """Leave out whole the units that lost a row to a missing cell, one ledger line.

    A panel that is said to be balanced under the table is balanced in the rows that are
    used. Periods that all units lost (to a lag) are no loss.

    Args:
        work: its rows after `complete`.
        name: of the restriction, from `balance_asked` before `complete`; "" for none.
    """
    import numpy as np

    if not name or not work.n:
        return []
    try:
        kept, line = kept_rows(work.panel, name, "balanced", {})
    except EstimandError as error:
        work.problems += [p.at(path=f"model.sample.{name}") for p in error.problems]
        return []
    if kept.all():
        return []
    rows = np.flatnonzero(kept)
    frame = work.panel.frame.take(rows).reset_index(drop=True)
    work.keep(replace(work.panel, frame=frame), rows)
    said = f"after missing cells {line.detail}"
    return [LedgerLine("estimation", name, line.rows_in, line.rows_out, detail=said)]


def filled_near_adoption(work: Working, roles: Roles) -> list[str]:
    """Cells that a step filled within a period of a unit's first treatment.

    A line drawn across the adoption date carries the effect into the time before it.
    """
    import numpy as np
    import pandas as pd

    panel = work.panel
    frames = [f for name, f in panel.frames.items() if name.endswith(".filled")]
    if not frames or roles.cohort is None or panel.unit is None or panel.time is None:
        return []
    used = {roles.names[n] for n in roles.numbers()}
    cells = pd.concat(frames, ignore_index=True)
    cells = cells[cells["column"].isin(used)]
    first = pd.Series(work.held[roles.cohort], index=panel.frame[panel.unit])
    first = first.groupby(level=0).first()
    cohort = cells[panel.unit].map(first).to_numpy(dtype="float64")
    near = np.abs(cells[panel.time].to_numpy(dtype="float64") - cohort) <= 1
    count = int(near.sum())
    if not count:
        return []
    note = (
        f"{counted(count, 'filled cell')} of treated units within a period of their first "
        "treatment: interpolation there carries the effect into the time before it"
    )
    return [note]


def finer_than_treatment(work: Working, roles: Roles, model: Model) -> list[str]:
    """Errors that take rows of a group treated together as separate assignments.

    Clusters should be no finer than the level at which treatment is assigned (Abadie,
    Athey, Imbens and Wooldridge 2023).
    """
    import numpy as np
    import pandas as pd

    by = model.treatment.by if model.treatment else None
    if by is None or by not in work.panel.frame:
        return []
    groups = work.panel.frame[by].factorize()[0]
    for name in roles.clusters:
        held = pd.Series(np.asarray(work.held[name])).groupby(groups).nunique()
        if (held <= 1).all():
            return []
    finer = ", ".join(f"'{roles.names[n].rstrip(HIDDEN)}'" for n in roles.clusters)
    taken = f"clusters {finer} lie inside of them" if finer else "rows count one by one"
    note = (
        f"Treatment is that of groups '{by}', and {taken} in the standard errors, which "
        f"are too small where errors of a group are alike: inference: {{cluster: {by}}}"
    )
    return [note]


def no_rows(panel: Panel, ledger: Sequence[LedgerLine]) -> Problem:
    """Nothing is left: where the rows went."""
    start = panel.frame.shape[0]
    story = "; ".join(
        f"{line.name} {line.rows_in} -> {line.rows_out}" for line in ledger
    )
    return Problem(
        Phase.DATA,
        "D05",
        f"0 of {start} rows left after: {story or 'the source'}",
        fix="see the row ledger: estimand plan STUDY",
    )


def _out_of_scale(work: Working, roles: Roles) -> list[Problem]:
    """Columns so large or so small that their fourth powers are no numbers any more."""
    import numpy as np

    problems: list[Problem] = []
    for name in roles.numbers():
        values = np.abs(work.held[name].astype(np.float64))
        values = values[np.isfinite(values)]
        largest = float(values.max(initial=0.0))
        if not largest or _SMALLEST <= largest <= _LARGEST:
            continue
        reach = "reach" if largest > 1 else "are at most"
        label = roles.names[name]
        problems.append(
            Problem(
                Phase.NUMERICAL,
                "N01",
                f"values of '{label}' {reach} {largest:.0e}",
                why="standard errors multiply four such values: beyond "
                f"{_LARGEST:.0e} or below {_SMALLEST:.0e} that is no number any more",
                fix="another unit of measure, `standardize`, or a missing-value code: "
                f"data.columns.{label}.missing",
                path=f"model.{_role(roles, name)}",
            )
        )
    return problems


def _role(roles: Roles, name: str) -> str:
    single = ("outcome", "weights")
    several = ("treatment", "controls", "instruments", "mediators")
    roles_of = {role: [getattr(roles, role)] for role in single}
    roles_of |= {role: getattr(roles, role) for role in several}
    return next((r for r, names in roles_of.items() if name in names), "inference")


def check_values(
    work: Working, model: Model, roles: Roles, assigned: Assigned | None
) -> None:
    """Faults that would make a number wrong or meaningless, before any engine."""
    import numpy as np

    work.problems += _out_of_scale(work, roles)
    if assigned and work.n == 1:
        work.problems.append(
            Problem(
                Phase.DATA,
                "D05",
                "1 row left in the sample: there is nothing to compare it with",
                fix="see the row ledger: estimand plan STUDY",
            )
        )
    for role, held in (("treatment", roles.treatment), ("controls", roles.controls)):
        if assigned and roles.outcome in held:
            work.problems.append(
                Problem(
                    Phase.DESIGN,
                    "I03",
                    f"'{roles.names[roles.outcome]}' is the outcome and stands in "
                    f"{role} too",
                    why="it would explain itself completely",
                    fix="another outcome, or controls without it on this line: "
                    f"remove: {{controls: [{roles.names[roles.outcome]}]}}"
                    if role == "controls"
                    else "another treatment",
                    path=f"model.{role}",
                )
            )
    if assigned and not model.interact:
        for name in roles.treatment:
            values = work.held[name]
            if not np.ptp(values):
                work.problems.append(
                    Problem(
                        Phase.DESIGN,
                        "I01",
                        f"treatment '{roles.names[name]}' does not vary in the "
                        f"estimation sample (all {values[0]:g})",
                        fix="see the row ledger: a restriction may have removed the "
                        "treated or the untreated rows",
                        path="model.treatment",
                    )
                )
    if roles.weights:
        values = work.held[roles.weights]
        for bad, word in ((values < 0, "negative"), (values == 0, "0")):
            if bad.any():
                work.problems.append(
                    Problem(
                        Phase.DATA,
                        "D03",
                        f"weight '{roles.names[roles.weights]}' is {word} in "
                        f"{counted(int(bad.sum()), 'row')} (first: "
                        f"{where(work.panel, int(np.argmax(bad)))})",
                        fix=f"sample.weighted: {roles.names[roles.weights]} > 0",
                        path="model.weights",
                    )
                )
