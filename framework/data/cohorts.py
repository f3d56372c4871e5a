"""A column of first treated periods, read: which periods, who is never treated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framework.condition import as_dates
from framework.errors import DataError, counted
from framework.panel import Calendar

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from framework.panel import Panel
    from framework.spec.model import TreatmentSpec


_SHOWN = 3
#: Whole numbers that are read as years.
_YEARS = (1500, 2200)


#: Day 0 of spreadsheets (two systems), of Stata and SAS, and of Unix: a cell that holds
#: one is a zero that was read as a date.
_FIRST_DAYS = (
    "1899-12-30",
    "1899-12-31",
    "1900-01-01",
    "1904-01-01",
    "1960-01-01",
    "1970-01-01",
)


@dataclass(frozen=True, slots=True)
class Cohorts:
    """First treated period per row (inf = never), and what must be said of it."""

    values: np.ndarray[Any, Any]
    notes: tuple[str, ...] = ()


def cohort_column(panel: Panel, spec: TreatmentSpec) -> Cohorts:
    """The column `first_treated` in the panel's periods.

    Raises:
        DataError: E03 never treated not marked, or a mark read as a period; E06 units
            that change their first treated period; T03 cells that are no periods.
    """
    import numpy as np

    name = str(spec.first_treated)
    series = panel.frame[name]
    _refuse_unmarked(series, name, spec)
    given, notes = _in_periods(panel, _without_never(series, spec), name)
    cohort: np.ndarray[Any, Any] = np.where(np.isnan(given), np.inf, given)
    finite = cohort[np.isfinite(cohort)]
    if (finite != np.round(finite)).any():
        raise DataError(
            "T03",
            f"'{name}' holds periods that are not whole numbers",
            path="model.treatment.first_treated",
        )
    _refuse_marks(panel, spec, cohort)
    carrier = panel.unit or spec.by
    if carrier is None:
        return Cohorts(cohort, notes)
    changing = panel.frame.assign(_g=cohort).groupby(carrier)["_g"].nunique()
    moving = changing[changing > 1]
    if len(moving):
        shown = ", ".join(map(str, moving.index[:_SHOWN]))
        one, many = carriers(panel, carrier)
        raise DataError(
            "E06",
            f"{counted(len(moving), f'{one} changes', f'{many} change')} their first "
            f"treated period (first: {shown})",
            fix="one first treated period per unit; kind: reversible with the 0/1 column "
            "if treatment comes and goes"
            if panel.unit
            else "treatment.by: the groups that are treated together, or none",
            path="model.treatment.first_treated",
        )
    return Cohorts(cohort, notes)


def _refuse_unmarked(series: pd.Series[Any], name: str, spec: TreatmentSpec) -> None:
    """Missing cells where something else, or nothing, is said to mark never treated."""
    never = spec.never
    if never == "missing" or not series.isna().any():
        return
    marked = "" if never is None else f", and never treated is marked by {never}"
    raise DataError(
        "E03",
        f"'{name}' is missing in {counted(int(series.isna().sum()), 'row')}{marked}",
        why="a missing first treated period may mean never treated, or unknown",
        fix="treatment.never: missing if those units are never treated"
        + ("" if never is None else "; else leave those rows out (model.sample)"),
        path="model.treatment.never",
    )


def _without_never(series: pd.Series[Any], spec: TreatmentSpec) -> pd.Series[Any]:
    """The column with missing cells where it says `never`."""
    import pandas as pd

    never = spec.never
    if never is None or never == "missing":
        return series
    if series.dtype.kind != "M":
        return series.mask(series == never)
    try:
        day = pd.to_datetime(str(never), format="%Y-%m-%d")
    except ValueError:
        raise DataError(
            "T03",
            f"'{series.name}' holds dates, and never treated is marked by {never!r}",
            fix="treatment.never: missing, or the date that marks never-treated units "
            "in quotes: '1900-01-01'",
            path="model.treatment.never",
        ) from None
    return series.mask(series == day)


def _in_periods(
    panel: Panel, series: pd.Series[Any], name: str
) -> tuple[np.ndarray[Any, Any], tuple[str, ...]]:
    """First treated dates or numbers as periods, float64, NaN where missing.

    Dates are counted as the panel's time was; where its time is years, a date is its
    year. A date never becomes a number in another way.
    """
    import numpy as np
    import pandas as pd

    dates = as_dates(series)
    if dates is None:
        kind = series.dtype
        numeric = pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(
            kind
        )
        numbers = series if numeric else pd.to_numeric(series, errors="coerce")
        odd = series.notna() & ~np.isfinite(numbers.astype("float64"))
        if odd.any():
            raise _no_period(panel, series, odd, name)
        return numbers.to_numpy(dtype="float64", na_value=float("nan")), ()
    period = panel.frame[panel.time]
    calendar, said = panel.calendar, ""
    if calendar is None:
        if not period.between(*_YEARS).all():
            raise DataError(
                "T03",
                f"'{name}' holds dates, and '{panel.time}' whole numbers from "
                f"{period.min()} to {period.max()}",
                why="nothing says which date lies in which of these periods",
                fix=f"dates in '{panel.time}' (2015-01-31), or a column with the first "
                f"treated period numbered as '{panel.time}' is",
                path="model.treatment.first_treated",
            )
        calendar = Calendar("years")
        said = f"'{name}' holds dates, and '{panel.time}' is years"
    held = dates.notna().to_numpy()
    found = np.full(len(dates), np.nan)
    found[held] = calendar.count(dates[held]).to_numpy(dtype="float64")
    if panel.calendar:
        known = pd.to_datetime(pd.Series(list(calendar.dates.values()), dtype=object))
        inside = held & (found >= period.min()) & (found <= period.max())
        if not dates[inside].dt.normalize().isin(known).all():
            said = f"'{name}' holds dates other than those of '{panel.time}'"
    note = "a unit counts as treated from the period on in which its date lies"
    return found, (f"{said}: {note}",) if said else ()


def _no_period(
    panel: Panel, series: pd.Series[Any], odd: pd.Series[Any], name: str
) -> DataError:
    """Cells that are no periods; where all are, none of them marks never treated."""
    shown = ", ".join(map(str, series[odd].unique()[:_SHOWN]))
    first = panel.period(panel.frame[panel.time].min())
    if odd.sum() == series.notna().sum() and series[odd].nunique() > 1:
        fix = f"write the first treated period as '{panel.time}' is written ({first})"
    else:
        fix = (
            "treatment.never: the value that marks never-treated units; or "
            f"data.columns: {{{name}: {{missing: {shown}}}}} with never: missing"
        )
    return DataError(
        "T03",
        f"'{name}' is not a period in {counted(int(odd.sum()), 'row')} ({shown})",
        fix=fix,
        path="model.treatment.first_treated",
    )


def _refuse_marks(
    panel: Panel, spec: TreatmentSpec, cohort: np.ndarray[Any, Any]
) -> None:
    """Values that can't be first treated periods: marks, or another way of counting.

    Where the study says what marks never-treated units, a period long before the first
    may be true; zero and negative years and the days that programs count dates from
    may not.
    """
    import numpy as np

    period = panel.frame[panel.time].to_numpy()
    first, last = period.min(), period.max()
    name, never = spec.first_treated, spec.never
    early = np.isfinite(cohort) & (cohort < first - (last - first))
    if never is not None:
        zeros = _zeros(panel.calendar)
        early &= (cohort <= 0) if zeros is None else np.isin(cohort, zeros)
        early &= first > 0
    if early.any():
        values, counts = np.unique(cohort[early], return_counts=True)
        value = panel.period(values[counts.argmax()])
        marked = "" if never is None else f"; never treated is marked by {never}"
        raise DataError(
            "E03",
            f"'{name}' is {value} in {counted(int(counts.max()), 'row')}, far before "
            f"the first period {panel.period(first)}{marked}",
            why="read as a period, those units would be treated in every period",
            fix=f"treatment.never: {value} if it marks units that are never treated",
            path="model.treatment.never",
        )


def refuse_outside(
    panel: Panel, name: str, cohort: np.ndarray[Any, Any], *, far: bool = False
) -> None:
    """First treated periods of which none lies in the data: counted otherwise, likely.

    Args:
        far: only if all are longer before the data than the data are long.
    """
    import numpy as np

    period = panel.frame[panel.time].to_numpy()
    first, last = period.min(), period.max()
    finite = cohort[np.isfinite(cohort)]
    inside = (finite >= first) & (finite <= last)
    if far and (finite >= first - (last - first) - 1).any():
        return
    if not inside.any() and (finite < first).any():
        low, high = panel.period(finite.min()), panel.period(finite.max())
        raise DataError(
            "T03",
            f"no first treated period of '{name}' lies in the data's periods: it goes "
            f"from {low} to {high}, '{panel.time}' from {panel.period(first)} to "
            f"{panel.period(last)}",
            why="no unit would be seen to adopt; a period counted otherwise than "
            f"'{panel.time}' looks like that",
            fix=f"write '{name}' as '{panel.time}' is written; if all adopted before the "
            "data begin, name the 0/1 column as well: treatment.column",
            path="model.treatment.first_treated",
        )


def _zeros(calendar: Calendar | None) -> list[float] | None:
    """Periods of the days that programs count dates from; None without dates."""
    import pandas as pd

    if calendar is None:
        return None
    days = pd.to_datetime(pd.Series(_FIRST_DAYS))
    return [float(period) for period in calendar.count(days)]


def carriers(panel: Panel, carrier: str) -> tuple[str, str]:
    """Who is treated, one and many: units, or groups where no unit is followed."""
    if panel.unit:
        return "unit", "units"
    return f"group of '{carrier}'", f"groups of '{carrier}'"
