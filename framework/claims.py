"""What a paper says beside its tables: the block `claims` of `published`.

Everything is strict: an unknown key, a bare float where a printed number belongs, a
level that is none are problems of the study, each at its path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from framework.errors import Phase, Problem
from framework.spec import wording

#: One star per bound that the p value is below, where a paper says nothing else.
STARS = (0.10, 0.05, 0.01)
KEY = "claims"


def _rounded(text: str) -> str:
    if not re.fullmatch(r"[+-]?(\d+|\d{1,3}(,\d{3})+)?(\.\d+)?", text) or not any(
        c.isdigit() for c in text
    ):
        raise ValueError(f"'{text}' is not a number as a text prints it")
    return text


Level = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
#: Digits count: "0.189" lies between 0.1885 and 0.1895.
Rounded = Annotated[str, AfterValidator(_rounded)]


def _in_order(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    first, last = (
        float(end.replace(",", "")) if isinstance(end, str) else end for end in pair
    )
    if first > last:
        raise ValueError(f"{pair[0]} is above {pair[1]}")
    return pair


def _falling(levels: list[float]) -> list[float]:
    if levels != sorted(set(levels), reverse=True):
        raise ValueError("one star is for the largest level: [0.10, 0.05, 0.01]")
    return levels


class _Strict(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, defer_build=True
    )


Periods = Annotated[tuple[int, int], AfterValidator(_in_order)]
Marks = Annotated[str, Field(pattern=r"^\*+$")]


class Sample(_Strict):
    """The sample as the text describes it.

    Attributes:
        units, treated_units: how many.
        periods: the first and the last.
    """

    units: int | None = Field(default=None, ge=1)
    treated_units: int | None = Field(default=None, ge=0)
    periods: Periods | None = Field(default=None, strict=False)


class Per(_Strict):
    """A quantity per unit of a column: `{per: population}`."""

    per: str


class Preparation(_Strict):
    """What the text says was done to the variables.

    Attributes:
        logged: columns said to be logarithms.
        winsorized: the two limits, as shares.
        interpolated: missing values were filled in.
    """

    logged: list[str] = []
    winsorized: Annotated[tuple[Level, Level], AfterValidator(_in_order)] | None = (
        Field(default=None, strict=False)
    )
    interpolated: bool = False


class TreatedList(_Strict):
    """A list of who is treated, one entry a row, beside what the text says of it.

    Attributes:
        file: beside the study, as `data.source` is written.
        entry, unit: columns with the entry's name, and with that of the unit of the
            panel that it is coded at.
        batch: column with the date of approval; `batches` as the text counts them.
        where, quote: the place in the paper, and its words.
    """

    file: str
    entry: str
    unit: str
    batch: str = ""
    batches: int | None = Field(default=None, ge=1)
    where: str = ""
    quote: str = ""


class Magnitude(_Strict):
    """A printed number in a unit of which the world knows the size.

    Attributes:
        logged: the number is a logarithm; so is `over`.
        over: address of another printed number that it is divided by.
        said: the unit that the text gives; "" = none.
        units: name of a unit the number may be in -> what one of it is of `measure`.
        measure: what `between` is in.
        between: the smallest and largest size that is plausible.
        known: where that is known from.
        where: place in the paper.
    """

    units: dict[str, Positive]
    measure: str
    between: tuple[float, float] = Field(strict=False)
    known: str
    logged: bool = False
    over: str = ""
    said: str = ""
    where: str = ""

    @model_validator(mode="after")
    def _known_unit(self) -> Magnitude:
        if not self.units or (self.said and self.said not in self.units):
            raise ValueError(f"'{self.said}' is none of the units {list(self.units)}")
        if self.between[0] > self.between[1]:
            raise ValueError(f"{self.between[0]} is above {self.between[1]}")
        return self


class Claim(_Strict):
    """What the text says of one number, column or table.

    Attributes:
        where, quote: the place in the paper, and its words.
        value: the number as the text repeats it.
        significant: the claimed level: p is below it.
        range: all printed numbers there lie between these.
        window, base_period, event_times: of an event study; the indicators it has.
        instruments: terms, where the text describes another instrument than the line.
        decomposes: address of the coefficient that a decomposition takes apart.
        matrices: spatial weights for which the text says that numbers are reported.
        moderator: 0/1 column that splits the treated.
        larger_than: address of a number that this one is said to exceed.
        concludes: `no_anticipation`.
        rests_on: names of numbers the conclusion needs, as a table would print them.
    """

    where: str = ""
    quote: str = ""
    value: Rounded | None = None
    significant: Level | None = None
    range: Annotated[tuple[Rounded, Rounded], AfterValidator(_in_order)] | None = Field(
        default=None, strict=False
    )
    window: Periods | None = Field(default=None, strict=False)
    base_period: int | None = None
    event_times: list[int] = []
    instruments: list[str | list[str]] = []
    decomposes: str = ""
    matrices: list[str] = []
    moderator: str = ""
    larger_than: str = ""
    concludes: Literal["no_anticipation"] | None = None
    rests_on: list[str] = []


class Claims(_Strict):
    """The block `claims`.

    Attributes:
        sample: units and periods.
        stars: p values below which one, two, three stars are printed.
        notes: heading -> what the note under that table defines (`{"*": 0.10}`).
        headers: heading -> labels over the table's columns, as printed.
        data: what was done to the variables.
        treated: a list of who is treated, and how the text counts them.
        magnitudes: address of a number -> what is known of its size.
        variables: column -> what it is by definition.
        said: address (of a heading, a column or a number) -> what the text says of it.
    """

    sample: Sample = Sample()
    stars: Annotated[list[Level], Field(min_length=1), AfterValidator(_falling)] = list(
        STARS
    )
    notes: dict[str, dict[Marks, Level]] = {}
    headers: dict[str, list[str]] = {}
    data: Preparation = Preparation()
    treated: TreatedList | None = None
    magnitudes: dict[str, Magnitude] = {}
    variables: dict[str, Literal["share", "binary"] | Per] = {}
    said: dict[str, Claim] = {}


def read_claims(published: Mapping[str, Any] | None) -> tuple[Claims, list[Problem]]:
    """The claims of a `published` block; an empty one where there are none or faults."""
    written = (published or {}).get(KEY)
    if written is None:
        return Claims(), []
    try:
        return Claims.model_validate(written), []
    except ValidationError as error:
        return Claims(), [_problem(e) for e in error.errors()]


def _problem(error: Any) -> Problem:
    path = ".".join(["published", KEY, *map(str, error["loc"])])
    what = wording.say(error)
    return Problem(
        Phase.SPEC,
        "X31",
        what,
        fix="docs/audit.md lists every key; printed numbers are text in quotes",
        path=path,
    )
