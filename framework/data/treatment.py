"""The treatment: its kind, its timing, leads of it, and what can't be one.

Made on the whole prepared panel, before `model.sample` restricts rows, so that a
restriction never changes who is treated when.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from framework.data.cohorts import carriers, cohort_column, refuse_outside
from framework.errors import DataError, IdentificationError, counted

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from framework.panel import Panel
    from framework.spec.model import TreatmentSpec

Kind = str
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Assigned:
    """The treatment of every row of the panel.

    Attributes:
        kind: as said, or found: a 0/1 column that never switches off is `absorbing`
            (`cross_section` where there are neither units nor groups).
        columns: label -> values, float64, the main one first; NaN where a shift asks
            for a period that is not observed.
        cohort: first treated period per row, inf = never (absorbing only).
        gaps: units without a row just before they are first seen treated, whose first
            treated period is therefore only a bound.
    """

    kind: Kind
    columns: dict[str, np.ndarray[Any, Any]]
    cohort: np.ndarray[Any, Any] | None = None
    notes: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()


def assign(
    panel: Panel, spec: TreatmentSpec, values: dict[str, pd.Series[Any]]
) -> Assigned:
    """The treatment as the study says it.

    Args:
        panel: the prepared panel.
        spec: `model.treatment`.
        values: label -> column for every term of `treatment.column`.

    Raises:
        DataError: T01 text, T02 coded otherwise than 0/1 without a kind, or several
            columns of kind absorbing, E03 never treated not marked, E06 a switch that
            is not absorbing, D04 rows without a group.
        IdentificationError: E06 absorbing treatment without periods, or without units
            and groups; groups beside units.
    """
    _groups_fit(panel, spec)
    if spec.first_treated and not values:
        return _from_cohort(panel, spec)
    if spec.kind == "levels":
        (label, series), *more = values.items()
        if more:
            raise DataError("T02", "kind: levels takes one column")
        return _levels(panel, spec, label, series)
    columns = {label: _numbers(label, series) for label, series in values.items()}
    main = next(iter(columns))
    kind = spec.kind or _found_kind(
        panel, spec, main, columns[main], several=len(columns) > 1
    )
    if kind == "dose" and spec.first_treated:
        columns, notes = _from_then_on(panel, spec, columns)
        moved = _shifted(panel, spec, kind, columns)
        return replace(moved, notes=(*notes, *moved.notes))
    if kind != "absorbing":
        return _shifted(panel, spec, kind, columns)
    if len(columns) > 1:
        raise DataError(
            "T02",
            f"{counted(len(columns), 'treatment')} ({', '.join(map(repr, columns))}) of kind "
            "absorbing",
            why="cohorts and event times belong to one treatment: the others would be "
            "left out",
            fix="kind: reversible takes several, those that never switch off too; or "
            "one treatment and the others among the controls",
            path="model.treatment.kind",
        )
    return _absorbing(panel, spec, main, columns)


def _numbers(label: str, series: pd.Series[Any]) -> np.ndarray[Any, Any]:
    import pandas as pd

    if pd.api.types.is_bool_dtype(series.dtype):
        series = series.astype("float64")
    if series.dtype.kind == "M":
        raise DataError(
            "T01",
            f"treatment '{label}' holds dates",
            why="a date is no dose, and no switch",
            fix=f"treatment: {{first_treated: {label}, never: …}} if units are treated "
            "from that date on",
            path="model.treatment",
        )
    if not pd.api.types.is_numeric_dtype(series.dtype):
        found = sorted(map(str, series.dropna().unique()))
        shown = ", ".join(repr(f) for f in found[:_SHOWN])
        raise DataError(
            "T01",
            f"treatment '{label}' is text: {{{shown}{', …' if len(found) > _SHOWN else ''}}}",
            why="an engine would make one dummy for every word of it",
            fix=f"data.columns: {{{label}: {{map: {{{_map(found)}}}}}}}, or "
            "treatment: {column, kind: levels, reference}",
            path="model.treatment",
        )
    return series.to_numpy(dtype="float64", na_value=float("nan"))


def _map(words: list[str]) -> str:
    """`no: 0, yes: 1`: a 0/1 map of two words, of more the beginning of one."""
    two = 2
    return f"{words[0]}: 0, {words[1] if len(words) == two else '…'}: 1"


def _found_kind(
    panel: Panel,
    spec: TreatmentSpec,
    label: str,
    values: np.ndarray[Any, Any],
    *,
    several: bool,
) -> Kind:
    import numpy as np

    seen = np.unique(values[~np.isnan(values)])
    if not np.isin(seen, (0.0, 1.0)).all():
        shown = ", ".join(f"{v:g}" for v in seen[:4]) + (", …" if len(seen) > 4 else "")  # noqa: PLR2004 - as many as fit a line
        raise DataError(
            "T02",
            f"treatment '{label}' is not 0/1: it takes {shown}",
            why="its coefficient means something else for a dose than for a switch",
            fix="say the kind: treatment: {column: "
            f"{label}, kind: dose}} (or levels, with a reference)",
            path="model.treatment.kind",
        )
    if several:
        raise DataError(
            "T02",
            "several treatments need their kind said",
            fix="treatment: {column: [a, b], kind: dose|reversible|cross_section}",
            path="model.treatment.kind",
        )
    lasting = panel.kind == "panel" or spec.by is not None
    return "absorbing" if lasting else "cross_section"


def _groups_fit(panel: Panel, spec: TreatmentSpec) -> None:
    """Refuse groups of treatment where they say nothing, or leave rows out."""
    if spec.by is None:
        return
    if panel.kind != "repeated_cross_sections":
        raise IdentificationError(
            "E06",
            f"treatment.by: {spec.by} needs repeated cross-sections",
            why="In a panel the units say when treatment starts; one cross-section has "
            "no periods.",
            fix="data.panel: {time: …} if no unit is followed over time; else leave "
            "`by` out",
            path="model.treatment.by",
        )
    if spec.by == panel.time:
        raise IdentificationError(
            "E06",
            f"treatment.by: {spec.by} is the time of the data",
            why="Whoever is treated together is treated in some periods and not in others.",
            fix="the column of the groups that are treated together: a county, a state",
            path="model.treatment.by",
        )
    missing = panel.frame[spec.by].isna()
    if missing.any():
        raise DataError(
            "D04",
            f"'{spec.by}' is missing in {int(missing.sum())} of {len(missing)} rows",
            why="treatment belongs to its groups, and these rows have none",
            fix="leave those rows out with a `keep` step",
            path="model.treatment.by",
        )
    seen = panel.frame[[spec.by, str(panel.time)]].drop_duplicates()
    if not seen[spec.by].duplicated().any():
        raise IdentificationError(
            "E06",
            f"no group of '{spec.by}' is seen in two periods",
            why="Groups whose treatment starts have to be seen before and after it.",
            fix="the column of the groups that are treated together: a county, a state",
            path="model.treatment.by",
        )


def _absorbing(
    panel: Panel,
    spec: TreatmentSpec,
    label: str,
    columns: dict[str, np.ndarray[Any, Any]],
) -> Assigned:
    import numpy as np

    carrier = panel.unit or spec.by
    if carrier is None or panel.time is None:
        raise IdentificationError(
            "E06",
            "an absorbing treatment needs units or groups that have a first treated "
            "period",
            fix="data.panel: {unit, time}; in repeated cross-sections treatment: "
            "{column, by: the group whose rows are treated together}, or "
            "{first_treated: column}; else kind: cross_section",
            path="model.treatment.kind",
        )
    values = columns[label]
    if np.isnan(values).any():
        raise DataError(
            "D01",
            f"treatment '{label}' missing in {int(np.isnan(values).sum())} of "
            f"{counted(len(values), 'row')}",
            fix="say what a missing treatment means: data.columns map, or drop the rows "
            "with a `keep` step",
            path="model.treatment",
        )
    unit, period = _keys(panel, carrier)
    cells = _cells(panel, carrier)
    if spec.by:
        _check_same_in_cells(panel, spec.by, label, values)
    on = values[cells]
    _check_no_switch_off(panel, carrier, label, values, cells)
    cohort = _first_period(values, unit, period)
    if spec.first_treated:
        told = cohort_column(panel, spec)
        given = told.values
        wrong = (period >= given) != (values > 0)
        if wrong.any():
            refuse_outside(panel, spec.first_treated, given)
            raise DataError(
                "E06",
                f"'{label}' and '{spec.first_treated}' disagree in "
                f"{counted(int(wrong.sum()), 'row')}"
                f" (first: {panel.row(int(np.argmax(wrong)))})",
                fix="keep one of them: treatment.first_treated: null, or "
                f"treatment.column: null; or treatment.never, if units that "
                f"'{spec.first_treated}' does not mark as never treated are",
                path="model.treatment",
            )
        return _finish(panel, spec, label, given, told.notes)
    names = panel.frame[carrier].to_numpy()[cells]
    gaps = _gaps(names, on, unit[cells], period[cells])
    one, many = carriers(panel, carrier)
    note = (
        f"{counted(len(gaps), f'{one} has', f'{many} have')} no row just before they are "
        "first seen treated "
        f"({', '.join(gaps[:_SHOWN])}{', …' * (len(gaps) > _SHOWN)}): "
        f"their first treated period is the first "
        "observed one; give treatment.first_treated to be exact"
    )
    finished = _finish(panel, spec, label, cohort, (note,) if gaps else ())
    return replace(finished, gaps=gaps)


def _from_cohort(panel: Panel, spec: TreatmentSpec) -> Assigned:
    if panel.time is None:
        raise IdentificationError(
            "E06",
            "first_treated needs data with periods",
            fix="data.panel: {unit: …, time: …}, or {time: …} for repeated "
            "cross-sections",
            path="model.treatment.first_treated",
        )
    told = cohort_column(panel, spec)
    refuse_outside(panel, str(spec.first_treated), told.values)
    return _finish(panel, spec, "treated", told.values, told.notes)


def _finish(
    panel: Panel,
    spec: TreatmentSpec,
    label: str,
    cohort: np.ndarray[Any, Any],
    notes: tuple[str, ...],
) -> Assigned:
    """0/1 from the cohort, after `shift`."""
    import numpy as np

    period = panel.frame[panel.time].to_numpy()
    if spec.shift:
        before = period >= cohort
        cohort = cohort + spec.shift
        changed = int((before != (period >= cohort)).sum())
        if not changed and np.isfinite(cohort).any():
            raise DataError(
                "T03",
                f"treatment.shift: {spec.shift} changes no row",
                why="shift counts calendar periods; the line would repeat the model "
                "under another name",
                fix="as many periods as lie between two rows of a unit (2 in biennial "
                "data)",
                path="model.treatment.shift",
            )
        open_end = (
            ""
            if spec.first_treated or spec.shift > 0
            else (
                "; units untreated to the end of the data count as untreated after it"
            )
        )
        notes = (
            *notes,
            f"treatment moved by {spec.shift:+d} periods: {changed} rows change{open_end}",
        )
        if spec.shift > 0:
            first = np.isin(cohort - spec.shift, period.min())
            if first.any():
                notes = (
                    *notes,
                    "units already treated in the first period count as starting then",
                )
    values = (period >= cohort).astype("float64")
    return Assigned("absorbing", {label: values}, cohort, notes)


def _from_then_on(
    panel: Panel, spec: TreatmentSpec, columns: dict[str, np.ndarray[Any, Any]]
) -> tuple[dict[str, np.ndarray[Any, Any]], tuple[str, ...]]:
    """Doses as they are from the first treated period on, 0 before and where never."""
    import numpy as np

    if panel.kind != "panel":
        raise IdentificationError(
            "E06",
            "first_treated needs a panel with unit and time",
            path="model.treatment.first_treated",
        )
    told = cohort_column(panel, spec)
    # Doses may all have started before the data, but hardly long before.
    refuse_outside(panel, str(spec.first_treated), told.values, far=True)
    on = panel.frame[panel.time].to_numpy() >= told.values
    found = {label: np.where(on, values, 0.0) for label, values in columns.items()}
    units = panel.frame[panel.unit].to_numpy()
    notes = told.notes + tuple(
        f"'{label}' is 0 in {counted(count, 'unit')} from their first treated period on: "
        "they count as without a dose"
        for label, values in found.items()
        if (count := len(set(units[on & (values == 0)])))
    )
    return found, notes


def _levels(
    panel: Panel, spec: TreatmentSpec, label: str, series: pd.Series[Any]
) -> Assigned:
    import numpy as np

    levels = sorted(series.dropna().unique(), key=str)
    if spec.reference is None or spec.reference not in levels:
        shown = ", ".join(map(str, levels[:8]))
        raise DataError(
            "T02",
            f"kind: levels needs the reference level of '{label}'"
            if spec.reference is None
            else f"'{label}' has no level {spec.reference!r}",
            fix=f"treatment.reference: one of {shown}",
            path="model.treatment.reference",
        )
    missing = series.isna().to_numpy()
    columns = {
        f"{label}={level}": np.where(missing, np.nan, (series == level).astype(float))
        for level in levels
        if level != spec.reference
    }
    return _shifted(panel, spec, "levels", columns)


def _shifted(
    panel: Panel,
    spec: TreatmentSpec,
    kind: Kind,
    columns: dict[str, np.ndarray[Any, Any]],
) -> Assigned:
    """`shift` of a treatment that comes and goes: the value of another period."""
    import numpy as np

    plain = Assigned(kind, columns)
    if not spec.shift:
        return plain
    if panel.kind != "panel":
        raise IdentificationError(
            "E06",
            "treatment.shift needs a panel with unit and time",
            path="model.treatment.shift",
        )
    moved = {
        label: at_period(panel, values, -spec.shift)
        for label, values in columns.items()
    }
    gone = sum(int(np.isnan(values).sum()) for values in list(moved.values())[:1])
    note = (
        f"treatment moved by {spec.shift:+d} periods: {gone} rows of the data have no "
        "observed treatment there and are left out"
    )
    return replace(plain, columns=moved, notes=(note,))


def at_period(
    panel: Panel, values: np.ndarray[Any, Any], ahead: int
) -> np.ndarray[Any, Any]:
    """The unit's value `ahead` periods later (by the calendar); NaN if unobserved."""
    import pandas as pd

    unit, period = _keys(panel, str(panel.unit))
    held = pd.Series(values, index=pd.MultiIndex.from_arrays([unit, period]))
    wanted = pd.MultiIndex.from_arrays([unit, period + ahead])
    moved: np.ndarray[Any, Any] = held.reindex(wanted).to_numpy(dtype="float64")
    return moved


def _keys(
    panel: Panel, carrier: str
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Codes of what carries the treatment (units or groups), and periods."""
    codes = panel.frame[carrier].factorize()[0]
    return codes, panel.frame[panel.time].to_numpy()


def _cells(panel: Panel, carrier: str) -> np.ndarray[Any, Any]:
    """Positions of one row per carrier and period, in their order."""
    import numpy as np

    if panel.unit:  # a row each, and sorted
        return np.arange(len(panel.frame))
    unit, period = _keys(panel, carrier)
    order = np.lexsort((period, unit))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(unit[order]) != 0) | (np.diff(period[order]) != 0)
    cells: np.ndarray[Any, Any] = order[new]
    return cells


def _check_same_in_cells(
    panel: Panel, by: str, label: str, values: np.ndarray[Any, Any]
) -> None:
    """Refuse a treatment that differs between rows of a group in a period."""
    import numpy as np

    held = panel.frame[[by, panel.time]].assign(_d=values)
    spread = held.groupby([by, panel.time], sort=True)["_d"].agg(np.ptp)
    mixed = spread[spread > 0]
    if len(mixed):
        group, period = mixed.index[0]
        raise DataError(
            "E06",
            f"treatment '{label}' differs between rows of one '{by}' in one "
            f"'{panel.time}' in {len(mixed)} of {len(spread)} cells (first: {group}, "
            f"{period})",
            why="the first treated period would be that of some rows only, and the "
            "others would count as treated",
            fix="treatment.by: the groups that are treated together",
            path="model.treatment.by",
        )


def _check_no_switch_off(
    panel: Panel,
    carrier: str,
    label: str,
    values: np.ndarray[Any, Any],
    cells: np.ndarray[Any, Any],
) -> None:
    import numpy as np

    names, on = panel.frame[carrier].to_numpy()[cells], values[cells]
    off = (names[1:] == names[:-1]) & (on[1:] < on[:-1])
    if off.any():
        units = list(dict.fromkeys(map(str, names[1:][off])))
        where = ", ".join(units[:_SHOWN])
        at = panel.period(panel.frame[panel.time].iloc[cells[int(np.argmax(off)) + 1]])
        one, many = carriers(panel, carrier)
        raise DataError(
            "E06",
            f"treatment '{label}' switches off in {counted(len(units), one, many)} "
            f"(first: {where}; {units[0]}, {at})",
            why=f"estimators of a lasting treatment would count the {many} as treated "
            "still",
            fix=f"treatment: {{column: {label}, kind: reversible}}",
            path="model.treatment.kind",
        )


def _first_period(
    values: np.ndarray[Any, Any],
    unit: np.ndarray[Any, Any],
    period: np.ndarray[Any, Any],
) -> np.ndarray[Any, Any]:
    """First treated period of the row's unit or group."""
    import numpy as np

    first = np.full(int(unit.max()) + 1 if len(unit) else 0, np.inf)
    np.minimum.at(first, unit[values > 0], period[values > 0])
    cohort: np.ndarray[Any, Any] = first[unit]
    return cohort


def _gaps(
    names: np.ndarray[Any, Any],
    on: np.ndarray[Any, Any],
    unit: np.ndarray[Any, Any],
    period: np.ndarray[Any, Any],
) -> tuple[str, ...]:
    """Units or groups whose onset falls in a gap of their rows."""
    import numpy as np

    periods = np.unique(period)
    step = np.diff(periods).min() if len(periods) > 1 else 1
    onset = (unit[1:] == unit[:-1]) & (on[1:] > on[:-1])
    gap = onset & (np.diff(period) > step)
    return tuple(dict.fromkeys(map(str, names[1:][gap])))
