"""Restrictions that are plugins: what they see of the rows, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from framework.contract import Candidates, Restriction, Selection
from framework.data.working import (
    HIDDEN,
    Roles,
    Working,
    caught,
    column_of,
    named,
    numbers_of,
    plugins_of,
)
from framework.errors import DataError, IdentificationError, SpecError, counted
from framework.panel import LedgerLine
from framework.result import Plot
from framework.spec import terms
from framework.spec.model import Model

if TYPE_CHECKING:
    import pandas as pd


@dataclass(slots=True)
class Selected:
    """What the restrictions that are plugins leave behind.

    Attributes:
        weights: what the rows' weights are called, "" if there are none.
        frames: tables by `restriction.table`.
    """

    weights: str = ""
    frames: dict[str, pd.DataFrame] = field(default_factory=dict)
    plots: list[Plot] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asked:
    """A restriction and the working columns of its covariates."""

    name: str
    plugin: Restriction
    covariates: Mapping[str, str]
    anticipation: int


def resolve(work: Working, model: Model, roles: Roles) -> dict[str, Asked]:
    """Covariates of every restriction, on all rows: no lag is cut by a restriction."""
    asked: dict[str, Asked] = {}
    for name, plugin in plugins_of(model).items():
        path = f"model.sample.{name}"
        written = plugin.terms()
        listed = list(model.controls if written is None else written)
        mine = Roles()
        found: list[str] = []
        for term in terms.parse_list(listed, work.groups):
            found += caught(work, path, partial(numbers_of, work, term, mine))
        for column in plugin.groups():
            caught(work, path, partial(_present, work, column))
        labels = {mine.names[held]: held for held in dict.fromkeys(found)}
        treated = {roles.names[t] for t in roles.treatment}
        if both := sorted(treated & set(labels)):
            work.problems += [
                p.at(path=path)
                for p in IdentificationError(
                    "I03",
                    f"'{both[0]}' is the treatment and a covariate of '{name}'",
                    why="it would tell treated from untreated completely",
                    fix="covariates: the columns that treatment was decided on",
                ).problems
            ]
            continue
        early = model.treatment.anticipation if model.treatment else 0
        asked[name] = Asked(name, plugin, labels, early)
    return asked


def _present(work: Working, column: str) -> list[str]:
    return [str(column_of(work, column).name)]


def choose(work: Working, roles: Roles, asked: Asked, selected: Selected) -> LedgerLine:
    """Apply one restriction to the rows that are left.

    Raises:
        EstimandError: what the restriction refuses, or D05 no row is left.
    """
    import numpy as np

    given = _candidates(work, roles, asked)
    found = asked.plugin.select(given)
    rows = np.flatnonzero(found.rows)
    line = LedgerLine(
        "sample", asked.name, work.n, len(rows), 0, _said(found, work.n - len(rows))
    )
    if not len(rows):
        raise DataError(
            "D05",
            f"0 rows left after restriction '{asked.name}' of {work.n:,} "
            f"({found.detail})",
            fix="weaken the restriction, or take out another one",
            path=f"model.sample.{asked.name}",
        )
    if found.weights is not None:
        if roles.weights is not None:
            raise SpecError(
                "X23",
                f"'{asked.name}' gives weights, and there are others already",
                why="two sets of weights have no meaning together without a reason",
                fix=f"sample.{asked.name}.weighted: false, or weights: null",
                path=f"model.sample.{asked.name}",
            )
        selected.weights = f"weights of {asked.name}"
        roles.weights = named(work, roles, selected.weights, found.weights)
    if asked.name in roles.sets:
        if found.sets is None:
            raise SpecError(
                "I09",
                f"errors can't be clustered by '{asked.name}': its pairs are rows of a "
                "panel",
                why="the rows of a unit would lie in several of them",
                fix="level: unit, or cluster by the unit",
                path="model.inference",
            )
        work.held[roles.sets[asked.name]] = found.sets
    _leave(asked.name, found, selected)
    panel = work.panel.with_frame(
        work.panel.frame.take(rows).reset_index(drop=True), line
    )
    work.keep(panel, rows)
    return line


def _said(found: Selection, lost: int) -> str:
    out = lost - found.unknown
    missing = f", {found.unknown:,} more because it is unknown there"
    rows = f"{counted(out, 'row')} out" + (missing if found.unknown else "")
    return f"{found.detail}: {rows}"


def _leave(name: str, found: Selection, selected: Selected) -> None:
    selected.frames |= {f"{name}.{k}": v for k, v in found.frames.items()}
    selected.plots += [replace(p, frame=f"{name}.{p.frame}") for p in found.plots]
    selected.notes += found.notes


def _candidates(work: Working, roles: Roles, asked: Asked) -> Candidates:
    import numpy as np
    import pandas as pd

    if not roles.treatment:
        raise SpecError(
            "X20",
            f"'{asked.name}' compares treated and untreated rows: it needs a treatment",
            fix="model.treatment, or the line without this restriction",
        )
    panel = work.panel
    cohort = work.held[roles.cohort] if roles.cohort else None
    unit = time = None
    if panel.time:
        time = panel.frame[panel.time].to_numpy(dtype=np.int64)
    if panel.unit:
        unit, units = pd.factorize(panel.frame[panel.unit], sort=False)
        text = pd.Series(np.asarray(units)).astype(str)
        keys = pd.util.hash_pandas_object(text, index=False).to_numpy()[unit]
        names = text.to_numpy()[unit]
    else:
        # Whole rows: equal ones can change places without moving a number.
        visible = [c for c in panel.frame.columns if HIDDEN not in str(c)]
        whole = panel.frame[visible].astype(str)
        keys = pd.util.hash_pandas_object(whole, index=False).to_numpy()
        names = (work.rows + 1).astype(str)
    covariates = {label: work.held[held] for label, held in asked.covariates.items()}
    groups = {c: column_of(work, c).to_numpy() for c in asked.plugin.groups()}
    index = pd.RangeIndex(work.n)
    return Candidates(
        treatment=work.held[roles.treatment[0]].astype(np.float64),
        covariates=pd.DataFrame(covariates, index=index).astype("float64"),
        groups=pd.DataFrame(groups, index=index),
        cohort=None if cohort is None else cohort.astype(np.float64),
        unit=unit,
        time=time,
        names=names,
        keys=keys,
        called=(panel.unit or "", panel.time or ""),
        anticipation=asked.anticipation,
    )


__all__ = [
    "Asked",
    "Selected",
    "choose",
    "resolve",
]
