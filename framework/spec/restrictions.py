"""Options of the named restrictions in `model.sample`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from framework.contract import Plugin

Scalar = str | int | float | bool


class Where(Plugin):
    """Keep the rows that satisfy a condition; unknown is dropped and counted."""

    main: ClassVar[str | None] = "where"
    where: str

    @field_validator("where")
    @classmethod
    def _readable(cls, value: str) -> str:
        from framework.condition import parse  # only a study with a condition pays

        parse(value)
        return value


class _Rows(Plugin):
    column: str
    values: Scalar | list[Scalar]


class Only(_Rows):
    """Keep the rows with these values of a column."""


class Without(_Rows):
    """Leave out the rows with these values of a column."""


class Balanced(Plugin):
    """Keep the units that are observed in every period."""


class EventWindow(Plugin):
    """Keep event times in a window; never-treated units stay."""

    main: ClassVar[str | None] = "window"
    window: tuple[int, int] = Field(description="[first, last] event time")


class Complete(Plugin):
    """Keep the rows without a missing value in these columns."""

    main: ClassVar[str | None] = "columns"
    columns: list[str]


RESTRICTIONS: dict[str, type[Plugin]] = {
    "where": Where,
    "only": Only,
    "without": Without,
    "balanced": Balanced,
    "event_window": EventWindow,
    "complete": Complete,
}
