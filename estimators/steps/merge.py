"""Columns from a second file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from estimators.steps._columns import kind_of, not_there
from framework.condition import as_dates, require
from framework.contract import Step, StepOutput
from framework.errors import DataError, EstimandError, Problem, counted
from framework.panel import LedgerLine, Panel

if TYPE_CHECKING:
    import pandas as pd


class Merge(Step):
    """Look up each row in a second file by its keys.

    A step opens no files: the framework reads what `files` names and hands it over as
    `panel.frames["NAME.source"]`.
    """

    source: str | dict[str, Any] = Field(
        description="the second file, written as data.source is"
    )
    on: str | list[str] | dict[str, str] = Field(
        description="key columns; {ours: theirs} where the names differ"
    )
    columns: str | list[str] | dict[str, str] | None = Field(
        None, description="which columns to take, {ours: theirs} to rename; default all"
    )
    how: Literal["left", "inner"] = Field(
        "left", description="rows without a match stay (missing cells) or go"
    )
    validate_: Literal["m:1", "1:1"] = Field(
        "m:1",
        alias="validate",
        description="1:1 also refuses two rows of ours with the same keys",
    )

    @field_validator("on", "columns")
    @classmethod
    def _some(cls, value: Any) -> Any:
        if value is not None and not value:
            raise ValueError("names no column")
        return value

    def files(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        """What the framework must read: key of `panel.frames` -> source."""
        source = {"path": self.source} if isinstance(self.source, str) else self.source
        return {f"{name}.source": source}

    def reads(self, name: str) -> tuple[str, ...]:
        """Our keys."""
        del name
        return tuple(_renamed(self.on))

    def makes(self, name: str) -> tuple[str, ...] | None:
        """The columns taken, if the study lists them."""
        del name
        return tuple(_renamed(self.columns)) if self.columns is not None else None

    def apply(self, panel: Panel, name: str, protected: frozenset[str]) -> StepOutput:
        """Look up.

        Raises:
            EstimandError: X01 no such column, X13 a column exists already, P01 keys
                that stand twice, D07 keys of different types, D20 nothing matches.
        """
        keys = _renamed(self.on)
        ours, other, dated = _dated(panel, panel.frames[f"{name}.source"], keys)
        self._check(panel, ours, other, name)
        taken = self._taken(other)
        import pandas as pd

        right = other[[*keys.values(), *taken.values()]].copy()
        right.columns = pd.Index([*keys, *taken])
        right = right.dropna(subset=list(keys))
        left = ours[list(keys)]
        merged = left.merge(right, on=list(keys), how="left", indicator="_found_")
        found = (merged["_found_"] == "both").to_numpy()
        if not found.any():
            raise DataError(
                "D20",
                f"step '{name}': no row of the data finds its keys in the second file",
                fix=f"look at how {', '.join(keys)} are written in both",
            )
        frame = panel.frame.assign(**{c: merged[c].to_numpy() for c in taken})
        frame = frame.astype({c: merged[c].dtype for c in taken})
        rows = len(frame)
        if self.how == "inner":
            frame = frame.loc[found].reset_index(drop=True)
        unused = len(right) - len(right.merge(left.drop_duplicates(), on=list(keys)))
        detail = (
            f"{counted(int(found.sum()), 'row')} matched, {int((~found).sum()):,} not; "
        )
        detail += f"{counted(unused, 'row')} of the second file unused"
        detail += f"; {dated}" if dated else ""
        cells = int(frame[list(taken)].notna().sum().sum())
        line = LedgerLine("step", name, rows, len(frame), cells, detail)
        kept = {k: v for k, v in panel.frames.items() if k != f"{name}.source"}
        return StepOutput(replace(panel, frames=kept).with_frame(frame, line))

    def _taken(self, other: pd.DataFrame) -> dict[str, str]:
        if self.columns is not None:
            return _renamed(self.columns)
        keys = set(_renamed(self.on).values())
        return {str(c): str(c) for c in other.columns if c not in keys}

    def _check(
        self, panel: Panel, ours: pd.DataFrame, other: pd.DataFrame, name: str
    ) -> None:
        keys = _renamed(self.on)
        problems: list[Problem] = []

        def collect(check: Any, *given: Any) -> None:
            try:
                check(*given)
            except EstimandError as error:
                problems.extend(error.problems)

        for mine, theirs in keys.items():
            collect(require, ours, mine)
            collect(require, other, theirs)
        for mine, theirs in self._taken(other).items():
            collect(require, other, theirs)
            collect(not_there, panel, mine, name)
        if not problems:
            for mine, theirs in keys.items():
                dates = panel.calendar is not None and mine == panel.time
                collect(
                    partial(_same_type, dates=dates), ours[mine], other[theirs], name
                )
            collect(_once, other, list(keys.values()), "the second file")
            if self.validate_ == "1:1":
                collect(_once, ours, list(keys), "the data")
        if problems:
            raise EstimandError(problems)


def _renamed(columns: str | list[str] | dict[str, str] | None) -> dict[str, str]:
    """{ours: theirs}."""
    if isinstance(columns, str):
        return {columns: columns}
    if isinstance(columns, dict):
        return dict(columns)
    return {column: column for column in columns or ()}


def _dated(
    panel: Panel, other: pd.DataFrame, keys: Mapping[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Both tables with keys that are dates in one of them as dates in both.

    The panel's time counts dates: theirs are counted in the same way, which the third
    value says.
    """
    ours, said = panel.frame, ""
    for mine, theirs in keys.items():
        if mine not in ours.columns or theirs not in other.columns:
            continue
        dates = as_dates(other[theirs])
        if dates is None:
            continue
        if panel.calendar is not None and mine == panel.time:
            periods = panel.calendar.count(dates.dropna()).reindex(other.index)
            other = other.assign(**{theirs: periods})
            said = f"'{theirs}' counted in {panel.calendar.frequency}"
        elif kind_of(ours[mine]) != kind_of(other[theirs]):
            own = as_dates(ours[mine])
            if own is not None:
                ours = ours.assign(**{mine: own})
                other = other.assign(**{theirs: dates})
    return ours, other, said


def _same_type(
    ours: pd.Series[Any], theirs: pd.Series[Any], name: str, *, dates: bool
) -> None:
    kinds = kind_of(ours), kind_of(theirs)
    if kinds[0] != kinds[1]:
        raise DataError(
            "D07",
            f"step '{name}': key '{ours.name}' is {kinds[0]} in the data and "
            f"{kinds[1]} in the second file",
            why="no row would find its match",
            fix="write its dates as 2015-01-31"
            if dates
            else f"data.columns.{ours.name}: {{type: {kinds[1]}}}",
        )


def _once(frame: pd.DataFrame, keys: list[str], where: str) -> None:
    complete = frame.dropna(subset=keys)
    twice = complete.duplicated(keys, keep=False)
    if twice.any():
        first = complete.loc[twice, keys].drop_duplicates().head(3)
        shown = ", ".join(
            "(" + ", ".join(map(str, row)) + ")" for row in first.to_numpy().tolist()
        )
        raise DataError(
            "P01",
            f"{counted(int(twice.sum()), 'row')} of {where} with keys that stand "
            f"twice: {shown}",
            why="rows would be multiplied",
            fix="name keys that tell the rows apart",
        )
