"""How near each unit is to treated ones, period by period."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from estimators.steps._columns import as_numbers, has_time
from framework.condition import require
from framework.contract import Step
from framework.errors import DataError, counted
from framework.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

_SHOWN = 3


class Exposed(Step):
    """What `exposure` and `ring` share: a treatment and where the units are."""

    main: ClassVar[str | None] = None
    of: str = Field(description="Column of the treatment, 0/1 or a dose.")
    latitude: str = Field(description="Column with the units' latitude, degrees.")
    longitude: str = Field(description="Column with the units' longitude, degrees.")
    ever: bool = Field(
        default=False,
        description="Units count by their largest value over all periods, not by that "
        "of the same period: what a donut sample needs, which leaves out whole units.",
    )

    def reads(self, name: str) -> tuple[str, ...]:
        """Treatment and coordinates."""
        del name
        return (self.of, self.latitude, self.longitude)


@dataclass(frozen=True, slots=True)
class Period:
    """One period's rows.

    Attributes:
        rows: positions in the panel's frame.
        x: (m,) the treatment of these rows.
        treated: (n,) the treatment of all units, 0 where they have no row.
        km: (m, n) distances; infinite from a unit to itself.
    """

    rows: npt.NDArray[np.intp]
    x: Floats
    treated: Floats
    km: Floats


@dataclass(frozen=True, slots=True)
class Places:
    """Units with their distances and treatment.

    Attributes:
        km: (n, n), infinite on the diagonal.
        absent: unit-periods without a row: they count as untreated.
    """

    codes: npt.NDArray[np.intp]
    times: npt.NDArray[np.int64]
    x: Floats
    km: Floats
    absent: int

    def periods(self) -> Iterator[Period]:
        """Period by period, in time."""
        import numpy as np

        for period in np.unique(self.times):
            rows = np.flatnonzero(self.times == period)
            treated = np.zeros(len(self.km))
            treated[self.codes[rows]] = self.x[rows]
            yield Period(rows, self.x[rows], treated, self.km[self.codes[rows]])


def places_of(step: Exposed, panel: Panel, name: str) -> Places:
    """Units, distances and the treatment that the step is about.

    Raises:
        DataError: D02 a treatment that is missing, D06 nobody is treated, P04 no panel,
            S06 coordinates that are missing, vary within a unit or are no degrees.
    """
    import numpy as np
    import pandas as pd

    from estimators._math.neighbours import great_circle_km

    unit, time = has_time(panel, name)
    frame = panel.frame
    for column in step.reads(name):
        require(frame, column)
    x = as_numbers(frame[step.of], step.of)
    if np.isnan(x).any():
        raise DataError(
            "D02",
            f"step '{name}': '{step.of}' is missing in "
            f"{counted(int(np.isnan(x).sum()), 'row')}",
            why="whether a neighbour is treated would be unknown",
            fix=f"fill '{step.of}', or leave these rows out, before this step",
        )
    if not x.any():
        raise DataError(
            "D06", f"step '{name}': '{step.of}' is 0 everywhere, nobody is exposed"
        )
    codes, ids = pd.factorize(frame[unit])
    where: list[Floats] = []
    for column, limit in ((step.latitude, 90.0), (step.longitude, 180.0)):
        grouped = pd.Series(as_numbers(frame[column], column)).groupby(codes)
        values = grouped.first().set_axis(ids)
        wrong = values.isna() | (grouped.nunique().set_axis(ids) > 1)
        wrong |= values.abs() > limit
        if wrong.any():
            shown = ", ".join(str(i) for i in values.index[wrong][:_SHOWN])
            raise DataError(
                "S06",
                f"step '{name}': '{column}' is missing, varies over time or is no degree "
                f"in {counted(int(wrong.sum()), 'unit')}: {shown}",
                fix="latitude and longitude in degrees, the same in all periods of a "
                "unit",
            )
        where.append(np.asarray(values, dtype=np.float64))
    if step.ever:
        x = pd.Series(x).groupby(codes).transform("max").to_numpy()
    km = great_circle_km(where[0], where[1])
    np.fill_diagonal(km, np.inf)
    times = frame[time].to_numpy(np.int64)
    absent = len(ids) * len(np.unique(times)) - len(frame)
    return Places(codes, times, x, km, absent)


def said_absent(places: Places) -> str:
    """A clause for the ledger where units have no row."""
    if not places.absent:
        return ""
    return f"; {places.absent:,} unit-periods without a row count as untreated"
