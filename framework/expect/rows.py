"""Which number of an estimation is judged, and its interval at any confidence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from framework.errors import did_you_mean
from framework.expect import words
from framework.panel import LedgerLine
from framework.result import INDEX_COLUMNS, Result

if TYPE_CHECKING:
    import pandas as pd

    from framework.spec.expectations import Expectation

#: Interaction rows are the answer of a model with `interact` (dialect, rule 9).
_INTERACTION = "interaction"
#: Stored doubles reproduce an interval to about 1e-9 of its width.
_SAME_INTERVAL = 1e-6
POWER = 0.8


class CannotBeJudged(Exception):  # noqa: N818 - a reason, not an error
    """Why there is nothing to hold an expectation against."""


class Finished(Protocol):
    """A finished estimation, as far as expectations need it (a `Cell` is one)."""

    @property
    def result(self) -> Result: ...
    @property
    def labels(self) -> Mapping[str, Any]: ...
    @property
    def draws(self) -> pd.DataFrame | None: ...
    @property
    def ledger(self) -> tuple[LedgerLine, ...]: ...


@dataclass(frozen=True, slots=True)
class Judged:
    """One estimation of a run, with what it should show.

    Attributes:
        address: `heading.line[.value]`.
        cell: its numbers; None when it failed or was refused, `problem` says why.
        estimand: `model.estimand`; the first is judged. Empty: the estimator's first.
        confidence: `model.confidence`, that of the intervals in `cell`.
        expect: flat expectations, all of which should hold.
        against: full address of what it is compared with; "" = nothing.
        draws: the `draws` block of the line, if it has one.
        panel: key of the prepared data. Estimations without clusters can be compared
            only on the same rows of the same data.
    """

    address: str
    cell: Finished | None
    estimand: tuple[str, ...] = ()
    confidence: float = 0.95
    expect: tuple[Mapping[str, Any], ...] = ()
    against: str = ""
    problem: str = ""
    draws: Mapping[str, Any] | None = None
    panel: str = ""
    # Not part of what is said: a replaced copy reads its rows anew.
    _rows: list[Row] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    @property
    def heading(self) -> str:
        return self.address.split(".")[0]

    @property
    def line(self) -> str:
        """`heading.line`, which all values of an `each` share."""
        return ".".join(self.address.split(".")[:2])

    @property
    def value(self) -> str:
        return ".".join(self.address.split(".")[2:])

    def finished(self) -> Finished:
        """The cell.

        Raises:
            CannotBeJudged: there is none.
        """
        if self.cell is None:
            why = self.problem or "there is no result"
            raise CannotBeJudged(f"{self.address} was not estimated: {why}")
        return self.cell


@dataclass(frozen=True, slots=True)
class Row:
    """One coefficient.

    Attributes:
        label: its row label in `Result.coefficients` (column of the influence frame).
        index: its index columns, e.g. `{"event_time": -2}`.
        df: degrees of freedom of its t distribution, `inf` = normal.
        choice: in words, which of several candidates it is; "" if there was one.
        equation: `main`, `first_stage`, …
    """

    label: Any
    term: str
    estimand: str
    estimate: float
    std_error: float
    statistic: float
    p_value: float
    low: float
    high: float
    confidence: float
    df: float
    index: Mapping[str, Any] = field(default_factory=dict)
    choice: str = ""
    equation: str = "main"

    @property
    def where(self) -> str:
        return words.whereabouts(self.term, self.index)

    @property
    def has_error(self) -> bool:
        return math.isfinite(self.std_error) and self.std_error > 0

    @property
    def is_t(self) -> bool:
        """The interval is estimate ± critical value × standard error, or not given."""
        if not self.has_error:
            return False
        if math.isnan(self.low) or math.isnan(self.high):
            return True
        half = critical(1 - (1 - self.confidence) / 2, self.df) * self.std_error
        off = max(
            abs(self.estimate - self.low - half), abs(self.high - self.estimate - half)
        )
        return off <= _SAME_INTERVAL * half

    def detectable(self, level: float) -> float:
        """Effect that a two-sided test at `level` finds with 80% probability."""
        if not self.has_error:
            return math.nan
        multiple = critical(1 - level / 2, self.df) + critical(POWER, self.df)
        return multiple * self.std_error


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval and what it is called."""

    low: float
    high: float
    name: str

    def inside(self, bound: float) -> bool:
        return -bound < self.low and self.high < bound

    def reach(self) -> float:
        """Smallest symmetric bound that the interval respects."""
        return max(abs(self.low), abs(self.high))


def critical(probability: float, df: float) -> float:
    """Quantile of the t distribution (normal for infinite `df`)."""
    from scipy.special import ndtri, stdtrit

    return float(ndtri(probability) if math.isinf(df) else stdtrit(df, probability))


def two_sided(statistic: float, df: float) -> float:
    """Two-sided p value of a t statistic (normal for infinite `df`)."""
    from scipy.special import ndtr, stdtr

    tail = ndtr(-abs(statistic)) if math.isinf(df) else stdtr(df, -abs(statistic))
    return 2 * float(tail)


def interval(row: Row, confidence: float) -> Interval:
    """The row's interval at `confidence`.

    Where the estimator's own interval is not estimate ± t × standard error (bootstrap,
    test inversion, simultaneous bands) it is taken as it is, if it is wide enough.

    Raises:
        CannotBeJudged: neither a standard error nor an interval that is wide enough.
    """
    if row.is_t:
        half = critical(1 - (1 - confidence) / 2, row.df) * row.std_error
        name = f"{words.percent(confidence)} interval"
        return Interval(row.estimate - half, row.estimate + half, name)
    if math.isnan(row.low) or math.isnan(row.high):
        raise CannotBeJudged(f"{row.where} has no standard error and no interval")
    if row.confidence < confidence - 1e-12:
        raise CannotBeJudged(
            f"{row.where} has an interval of its own kind at "
            f"{words.percent(row.confidence)} only, {words.percent(confidence)} is "
            "needed"
        )
    name = f"estimator's own {words.percent(row.confidence)} interval"
    return Interval(row.low, row.high, name)


def judged_row(judged: Judged, options: Expectation | None = None) -> Row:
    """The number that an expectation is about.

    The interaction where the model has one, otherwise the first estimand asked for;
    of its rows the treatment's, and of these the first (by event time: the first from
    0 on). `options` name a term, an estimand or an index instead.

    Raises:
        CannotBeJudged: no estimate, no such row.
    """
    rows = _candidates(judged, options)
    asked = options.index() if options else {}
    row = rows[0]
    if "event_time" in row.index and "event_time" not in asked:
        after = [r for r in rows if float(r.index["event_time"]) >= 0 and r.has_error]
        row = after[0] if after else row
    said = [f"{row.where}, of {len(rows)} {row.estimand} rows"] if rows[1:] else []
    if options is None or options.estimand is None:
        said += _first_of(row, judged)
    return _finite(row, "; ".join(said))


def _first_of(row: Row, judged: Judged) -> Iterator[str]:
    """`att, the first of att and by_event_time`, where several are shown."""
    shown = _shown(row, judged)
    if not shown - {row.estimand}:
        return
    asked = [e for e in judged.estimand if e in shown] or list(
        dict.fromkeys(r.estimand for r in all_rows(judged) if r.estimand in shown)
    )
    which = "first" if asked[0] == row.estimand else "one"
    yield f"{row.estimand}, the {which} of {words.listed(asked)}"


def one_of_several(judged: Judged, options: Expectation | None = None) -> str:
    """The estimand that is judged, where the table shows others beside it; else ""."""
    try:
        row = judged_row(judged, options)
    except CannotBeJudged:
        return ""
    return row.estimand if _shown(row, judged) - {row.estimand} else ""


def _shown(row: Row, judged: Judged) -> set[str]:
    """Estimands that a table shows beside the judged row, its own included."""
    return {
        r.estimand
        for r in all_rows(judged)
        if (
            r.estimand in judged.estimand
            if judged.estimand
            # Not a curve, whose rows have an index, nor another column's coefficient.
            else (r.term, r.equation) == (row.term, row.equation) and not r.index
        )
    }


def _finite(row: Row, choice: str) -> Row:
    from dataclasses import replace

    if not math.isfinite(row.estimate):
        raise CannotBeJudged(f"{row.where} has no estimate")
    return replace(row, choice=choice)


def _candidates(judged: Judged, options: Expectation | None) -> list[Row]:
    cell = judged.finished()
    rows = all_rows(judged)
    rows = _of_estimand(rows, judged, options.estimand if options else None)
    if options and options.term is not None:
        named = [r for r in rows if r.term == options.term]
        if not named:
            terms = list(dict.fromkeys(r.term for r in rows))
            raise CannotBeJudged(
                f"{judged.address} has no {rows[0].estimand} of '{options.term}', "
                f"{did_you_mean(options.term, terms)}"
            )
        rows = named
    else:
        treated = [str(t) for t in cell.labels.get("treatment") or ()]
        rows = [r for r in rows if r.term in treated] or rows
    for column, value in (options.index() if options else {}).items():
        at = [r for r in rows if same_index(r.index.get(column), value)]
        if not at:
            known = [str(r.index[column]) for r in rows if column in r.index]
            there = f"there is: {', '.join(known)}" if known else "no row has one"
            raise CannotBeJudged(
                f"{judged.address} has no row with {column.replace('_', ' ')} "
                f"{value}; {there}"
            )
        rows = at
    return rows


def _of_estimand(rows: list[Row], judged: Judged, asked: str | None) -> list[Row]:
    present = list(dict.fromkeys(r.estimand for r in rows))
    if asked is not None:
        wanted: list[str] = [asked]
    else:
        wanted = [e for e in (_INTERACTION, *judged.estimand) if e in present][:1]
        wanted = wanted or list(judged.estimand[:1]) or present[:1]
    found = [r for r in rows if r.estimand in wanted]
    if not found:
        raise CannotBeJudged(
            f"{judged.address} gives no {wanted[0]}; it gives {words.listed(present)}"
        )
    return found


def same_index(have: Any, want: Any) -> bool:
    """`2015`, `2015.0` and `"2015"` are the same index."""
    if have is None:
        return False
    try:
        return float(have) == float(want)
    except (TypeError, ValueError):
        return str(have) == str(want)


def all_rows(judged: Judged) -> list[Row]:
    """Every coefficient of an estimation, in its order.

    Raises:
        CannotBeJudged: no result, or one without coefficients.
    """
    if judged._rows:
        return list(judged._rows)
    cell = judged.finished()
    frame = cell.result.coefficients
    df = float(cell.result.scalars.get("df_t", math.inf))
    present = [c for c in INDEX_COLUMNS if c in frame.columns]
    rows = []
    for label, values in zip(frame.index, frame.to_dict("records"), strict=True):
        index = {c: values[c] for c in present if not _missing(values[c])}
        rows.append(
            Row(
                label=label,
                term=str(values["term"]),
                estimand=str(values["estimand"]),
                estimate=_float(values["estimate"]),
                std_error=_float(values["std_error"]),
                statistic=_float(values["statistic"]),
                p_value=_float(values["p_value"]),
                low=_float(values["conf_low"]),
                high=_float(values["conf_high"]),
                confidence=judged.confidence,
                df=math.inf if math.isnan(df) else df,
                index=index,
                equation=str(values["equation"]),
            )
        )
    if not rows:
        raise CannotBeJudged(f"{judged.address} has no coefficients")
    judged._rows.extend(rows)
    return rows


def _missing(value: Any) -> bool:
    # NaN, NaT and pandas' NA are the only values that are not equal to themselves.
    return value is None or value != value or str(value) == "<NA>"  # noqa: PLR0124 - see above


def _float(value: Any) -> float:
    return math.nan if _missing(value) else float(value)
