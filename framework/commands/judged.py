"""What the columns of a study say together: verdicts, families, shifts, multiverses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from framework.cache import Cell
from framework.commands.causes import problems_of
from framework.contract import Estimator
from framework.data.changes import outcome_change
from framework.expect import Beside, Judged, Shift, flags, judge, pooled
from framework.families import adjust
from framework.multiverse import Multiverse, Universe, multiverse
from framework.plan import Estimation, trees
from framework.record import Column
from framework.spec import choices
from framework.spec.study import Study

if TYPE_CHECKING:
    from framework.expect import Adjusted
    from framework.panel import Panel


def judged_of(columns: Sequence[Column], keys: Mapping[str, str]) -> list[Judged]:
    """Columns as expectations are judged on; `keys` maps an address to its panel."""
    found: list[Judged] = []
    for column in columns:
        e = column.estimation
        asked = e.model.get("estimand")
        estimand = (asked,) if isinstance(asked, str) else tuple(asked or ())
        problem = "; ".join(p.what for p in problems_of(column)[:1])
        found.append(
            Judged(
                address=e.address,
                cell=column.outcome if isinstance(column.outcome, Cell) else None,
                estimand=estimand,
                confidence=float(e.model.get("confidence", 0.95)),
                expect=e.expect,
                against=e.against if e.against != e.address else "",
                problem=problem,
                draws=e.draws,
                panel=keys.get(e.address, ""),
            )
        )
    return found


def with_verdicts(
    columns: Sequence[Column],
    judged: Sequence[Judged],
    adjusted: Mapping[str, Adjusted],
) -> tuple[Column, ...]:
    """Columns with their verdicts and with what other columns say against them."""
    verdicts = judge(judged, adjusted)
    owned = {c.estimation.address for c in columns if _is_own_effect(c.estimation)}
    against = flags(judged, owned)
    by_cohort = {c.estimation.address for c in columns if _is_by_cohort(c.estimation)}
    companions = pooled(judged, by_cohort)
    filled = []
    for column in columns:
        address = column.estimation.address
        other = companions.get(address, Beside())
        flag = "; ".join(filter(None, (against.get(address), other.flag)))
        said = tuple(replace(v, flag=flag) for v in verdicts.get(address, ()))
        filled.append(
            replace(
                column,
                verdicts=said,
                adjusted=adjusted.get(address),
                flag=flag,
                beside=other.note,
            )
        )
    return tuple(filled)


def _is_own_effect(estimation: Estimation) -> bool:
    """Whether it takes a unit's outcome to depend on the unit's own treatment alone."""
    if not estimation.runs:
        return False
    plugin = choices.build("estimator", estimation.model["estimator"])
    return (
        isinstance(plugin, Estimator)
        and type(plugin).estimates == "treatment"
        and "spatial_weights" not in plugin.demands().uses
    )


def _is_by_cohort(estimation: Estimation) -> bool:
    """Whether it averages effects by cohort and period."""
    if not estimation.runs:
        return False
    plugin = choices.build("estimator", estimation.model["estimator"])
    if not isinstance(plugin, Estimator) or type(plugin).estimates != "treatment":
        return False
    return {"att", "by_cohort"} <= set(plugin.gives())


def compared_with_others(
    columns: Sequence[Column], panels: Mapping[str, Panel], found: Mapping[str, Shift]
) -> tuple[Column, ...]:
    """Columns with their shift; where the data differ, with the outcome's, too."""
    at = {c.estimation.address: c for c in columns}
    filled: list[Column] = []
    for column in columns:
        shift = found.get(column.estimation.address)
        if shift is None:
            filled.append(column)
            continue
        other, change = at[shift.against], None
        outcome = column.estimation.model.get("outcome")
        same = outcome == other.estimation.model.get("outcome")
        if same and column.panel != other.panel:
            now, before = (panels[c.panel] for c in (column, other))
            _, model = trees(other.estimation)
            change = outcome_change(now, before, outcome, model.treatment)
        filled.append(replace(column, shift=shift, change=change))
    return tuple(filled)


def adjusted_of(study: Study, judged: Sequence[Judged]) -> dict[str, Any]:
    """Address -> p-values adjusted within the families of the study."""
    found: dict[str, Any] = {}
    for name, choice in study.families.items():
        family = [
            j for j in judged if j.address == name or j.address.startswith(f"{name}.")
        ]
        found |= adjust(family, choice, name=name, seed=study.seed)
    return found


def multiverses_of(
    columns: Sequence[Column], judged: Sequence[Judged]
) -> tuple[Multiverse, ...]:
    """Every line whose `each` has several paths, summed up."""
    lines: dict[tuple[str, str], list[Universe]] = {}
    for column, number in zip(columns, judged, strict=True):
        e = column.estimation
        if e.hidden or len(e.choices) < 2:  # noqa: PLR2004 - one choice is a table
            continue
        universe = Universe(
            number, e.choices, e.excluded, column.status, column.same_as
        )
        lines.setdefault((e.heading, e.line), []).append(universe)
    found = (multiverse(h, line, held) for (h, line), held in lines.items())
    return tuple(m for m in found if m is not None)
