"""Do two estimations differ? Answered by influence functions, not by two intervals.

Estimates from overlapping samples are dependent, so neither overlapping intervals nor
independent standard errors answer the question. The influence functions of both, summed
by cluster and aligned on the clusters' ids, give the variance of the difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framework.expect import words
from framework.expect.rows import (
    CannotBeJudged,
    Judged,
    Row,
    judged_row,
    two_sided,
)
from framework.result import influence_variance

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from framework.spec.expectations import Expectation

#: Name of the influence frame's level where rows, not clusters, are independent.
ROW = "row"
#: A standard error computed twice from the same doubles agrees far closer than this.
_REPRODUCES = 1e-6
#: Two estimates of one number differ by rounding only; the error of their difference
#: is then this small beside their own.
_ROUNDING = 1e-9
#: Below it the smallest eigenvalue of a correlation matrix is rounding.
_SINGULAR = 1e-10


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between two estimations, `estimate` = first - second.

    Attributes:
        estimate: None where one of the two has no estimate.
        std_error, p_value: None where `reason` says why.
        df: degrees of freedom of the t distribution, `inf` = normal.
        method: in words, how the standard error came about; "" without one.
        reason: in words, why there is no standard error; "" with one.
        identical: the two are the same number, so there is nothing to test.
        notes: what makes the two numbers hard to compare.
    """

    estimate: float | None
    std_error: float | None = None
    p_value: float | None = None
    df: float = math.inf
    method: str = ""
    reason: str = ""
    identical: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Equality:
    """Wald test that several estimates are equal (or several coefficients zero).

    Attributes:
        df: `(restrictions, denominator)`, the latter `inf` for chi-squared.
    """

    statistic: float
    df: tuple[int, float]
    p_value: float
    method: str

    @property
    def text(self) -> str:
        """`F(3, 49) = 1.2` or `chi2(3) = 3.6`."""
        q, denominator = self.df
        if math.isinf(denominator):
            chi = words.number(self.statistic * q)
            return f"chi2({q}) = {chi}"
        f = words.number(self.statistic)
        return f"F({q}, {words.number(denominator)}) = {f}"


@dataclass(frozen=True, slots=True)
class Pairwise:
    """All differences between k estimations.

    Attributes:
        gaps: k x k, row minus column; exactly 0 where the two are the same number.
        errors: k x k standard errors.
        df: degrees of freedom of the t distribution, `inf` = normal.
        by: the clusters, in words.
    """

    gaps: np.ndarray
    errors: np.ndarray
    df: float
    by: str


def difference(
    first: Judged, second: Judged, options: Expectation | None = None
) -> Difference:
    """First minus second, with the standard error that their dependence gives.

    Two-way clusters: inclusion and exclusion on the difference (Cameron, Gelbach and
    Miller 2011). Clusters that only one of the two has enter with zero for the other,
    so disjoint samples come out independent.

    Args:
        first, second: finished estimations (one that failed gives the reason).
        options: which rows are compared; default: those that are judged.
    """
    try:
        a, b = judged_row(first, options), judged_row(second, options)
    except CannotBeJudged as why:
        return Difference(None, reason=str(why))
    gap = a.estimate - b.estimate
    notes = _notes(first, second, a, b)
    try:
        stacked, by = aligned([(first, a), (second, b)])
    except CannotBeJudged as why:
        same = abs(gap) <= _ROUNDING * max(abs(a.estimate), abs(b.estimate))
        return Difference(gap, reason=str(why), identical=same, notes=notes)
    df = min(a.df, b.df)
    variance = float(influence_variance(_contrasts(stacked)).to_numpy()[0, 0])
    scale = max(a.std_error, b.std_error)
    if abs(variance) <= (_ROUNDING * scale) ** 2:
        if abs(gap) <= _ROUNDING * max(abs(a.estimate), abs(b.estimate), scale):
            return Difference(
                gap, reason="it is the same number", identical=True, notes=notes
            )
        reason = "the two estimates move together exactly, so that no error remains"
        return Difference(gap, reason=reason, notes=notes)
    if variance < 0:
        reason = (
            f"the two-way variance of the difference is negative "
            f"({words.number(variance)}): too few clusters for inclusion and exclusion"
        )
        return Difference(gap, reason=reason, notes=notes)
    error = math.sqrt(variance)
    return Difference(
        gap,
        error,
        two_sided(gap / error, df),
        df,
        f"influence functions by {by}, {_distribution(df)}",
        notes=notes,
    )


def equality(values: Sequence[Judged], options: Expectation | None = None) -> Equality:
    """Test that the judged numbers of two or more estimations are all equal.

    Raises:
        CannotBeJudged: one is missing, or the variance can't be computed.
    """
    rows = [judged_row(v, options) for v in values]
    stacked, by = aligned(list(zip(values, rows, strict=True)))
    gaps = [r.estimate - rows[0].estimate for r in rows[1:]]
    return _wald(gaps, -_contrasts(stacked), min(r.df for r in rows), by)


def pairwise(values: Sequence[Judged], options: Expectation | None = None) -> Pairwise:
    """Every difference between the judged numbers of several estimations.

    Raises:
        CannotBeJudged: one is missing, or a variance can't be computed.
    """
    import numpy as np

    rows = [judged_row(v, options) for v in values]
    stacked, by = aligned(list(zip(values, rows, strict=True)))
    estimates = np.array([r.estimate for r in rows])
    gaps = estimates[:, None] - estimates
    V = np.zeros_like(gaps)
    for sign, frame in _terms(stacked):
        psi = frame.to_numpy()
        for i in range(len(rows)):
            V[i] += sign * ((psi - psi[:, [i]]) ** 2).sum(axis=0)
    scale = max(r.std_error for r in rows)
    nothing = (_ROUNDING * scale) ** 2
    if (-nothing > V).any():
        raise CannotBeJudged(
            "the two-way variance of a difference is negative: too few clusters"
        )
    errors = np.where(nothing >= V, 0.0, np.sqrt(np.maximum(V, 0.0)))
    same = (errors == 0) & (abs(gaps) <= _ROUNDING * max(scale, abs(estimates).max()))
    return Pairwise(np.where(same, 0.0, gaps), errors, min(r.df for r in rows), by)


def _terms(stacked: pd.DataFrame) -> list[tuple[int, pd.DataFrame]]:
    """Sums of squares that make the variance: one, or inclusion and exclusion."""
    if stacked.index.nlevels == 1:
        return [(1, stacked)]
    first, second = (stacked.groupby(level=k, sort=False).sum() for k in (0, 1))
    return [(1, first), (1, second), (-1, stacked)]


def joint_zero(judged: Judged, rows: Sequence[Row]) -> Equality:
    """Test that several coefficients of one estimation are all zero.

    Raises:
        CannotBeJudged: no influence functions, or a singular variance.
    """
    stacked, by = aligned([(judged, row) for row in rows])
    return _wald([r.estimate for r in rows], stacked, min(r.df for r in rows), by)


def _contrasts(stacked: pd.DataFrame) -> pd.DataFrame:
    """First column minus each of the others: n x k -> n x (k - 1)."""
    return stacked.iloc[:, 1:].rsub(stacked.iloc[:, 0], axis=0)


def _wald(
    estimates: list[float], influence: pd.DataFrame, df: float, by: str
) -> Equality:
    import numpy as np
    from scipy.special import chdtrc, fdtrc

    b = np.asarray(estimates)
    V = influence_variance(influence).to_numpy()
    inverse = _inverse(V)
    q = len(b)
    statistic = float(b @ inverse @ b) / q
    p = chdtrc(q, q * statistic) if math.isinf(df) else fdtrc(q, df, statistic)
    method = f"influence functions by {by}, Wald test"
    return Equality(statistic, (q, df), float(p), method)


def _inverse(V: np.ndarray) -> np.ndarray:
    import numpy as np

    variances = np.diag(V)
    if (variances > 0).all():
        scale = np.sqrt(variances)
        correlation = V / np.outer(scale, scale)
        if float(np.linalg.eigvalsh(correlation)[0]) > _SINGULAR:
            inverse: np.ndarray = np.linalg.inv(correlation) / np.outer(scale, scale)
            return inverse
    raise CannotBeJudged(
        f"the covariance matrix of the {len(V)} differences is singular: there are too "
        "few clusters, or one estimate follows from the others"
    )


def _distribution(df: float) -> str:
    return "normal" if math.isinf(df) else f"t({words.number(df)})"


def aligned(pairs: Sequence[tuple[Judged, Row]]) -> tuple[pd.DataFrame, str]:
    """Influence functions side by side on the union of clusters; absent is zero.

    Returns:
        Frame clusters x estimations, and the clusters in words.
    """
    import pandas as pd

    columns = [_influence(judged, row) for judged, row in pairs]
    names = [tuple(str(n) for n in c.index.names) for c in columns]
    for other, (judged, _) in zip(names, pairs, strict=True):
        if set(other) != set(names[0]):
            raise CannotBeJudged(
                f"clustered differently: {pairs[0][0].address} by {_named(names[0])}, "
                f"{judged.address} by {_named(other)}"
            )
    if len(names[0]) > 1:
        columns = [_in_order(c, names[0]) for c in columns]
    _same_kind([judged for judged, _ in pairs], columns)
    _same_ids(columns)
    stacked = pd.concat(columns, axis=1, keys=range(len(columns))).fillna(0.0)
    stacked.index.names = list(names[0])
    # Sums in the order of ids, so that the order of rows moves no number.
    stacked = stacked.sort_index(key=_sortable)
    apart = _apart(columns)
    return stacked, _named(names[0]) + (" (no cluster in common)" if apart else "")


def _same_kind(judged: list[Judged], columns: list[pd.Series]) -> None:
    """Influence functions must mean the same: one kind of errors, matching ids."""
    kinds = {tuple(sorted(_inference(j).split())): _inference(j) for j in judged}
    if len(kinds) > 1:
        raise CannotBeJudged(
            f"standard errors of different kinds: {'; '.join(kinds.values())}"
        )
    by_row = columns[0].index.names == [ROW]
    if by_row and len({j.panel for j in judged}) > 1:
        # Rows are named by their place in the prepared data.
        raise CannotBeJudged(
            "not clustered, and the prepared data differ, so that rows can't be "
            "matched; with clusters they could"
        )
    (kind,) = kinds.values()
    # A row's (cluster's) own term: samples may overlap in part, or not at all. Other
    # errors mix the terms of several rows, so that only independent samples compare.
    own = not kind or kind.startswith(("clustered", "heteroskedasticity-robust"))
    apart = kind.startswith("homoskedastic") and _apart(columns)
    ids = columns[0].index
    mixed = not own and not (by_row and apart)
    if mixed and any(len(ids.symmetric_difference(c.index)) for c in columns):
        raise CannotBeJudged(
            f"{kind} errors over periods or rows that are not the same"
        )


def _inference(judged: Judged) -> str:
    """`clustered by a and b`; the order of the two clusterings is nothing."""
    return str(judged.finished().labels.get("inference", ""))


def _in_order(column: pd.Series, names: tuple[str, ...]) -> pd.Series:
    have = [str(name) for name in column.index.names]
    return column.reorder_levels([have.index(name) for name in names])


def _sortable(ids: pd.Index) -> pd.Index:
    return ids.map(str) if ids.dtype == object else ids


def _apart(columns: list[pd.Series]) -> bool:
    return len(columns) > 1 and all(
        a.index.intersection(b.index).empty
        for i, a in enumerate(columns)
        for b in columns[i + 1 :]
    )


def _same_ids(columns: list[pd.Series]) -> None:
    """Ids of one column must be of one type, or the same cluster would count twice."""
    from pandas.api.types import is_numeric_dtype

    for level in range(columns[0].index.nlevels):
        kinds = {is_numeric_dtype(c.index.get_level_values(level)) for c in columns}
        if len(kinds) > 1:
            raise CannotBeJudged(
                f"the ids of {columns[0].index.names[level]} are numbers in one "
                "estimation and text in another"
            )


def _influence(judged: Judged, row: Row) -> pd.Series:
    """The influence function of a row, one value per cluster.

    Raises:
        CannotBeJudged: there is none, its clusters have no name, or it does not give
            the standard error that is printed.
    """
    frame = judged.finished().result.influence
    # Labels that went through a file may have become text.
    found = (
        [c for c in frame.columns if str(c) == str(row.label)]
        if frame is not None
        else []
    )
    if frame is None or not found:
        raise CannotBeJudged(
            f"{judged.address} has no influence function of {row.where}"
        )
    if any(name is None for name in frame.index.names):
        raise CannotBeJudged(
            f"{judged.address} does not name the clusters of its influence functions"
        )
    one = frame[[found[0]]].astype(float)
    implied = float(influence_variance(one).to_numpy()[0, 0])
    if not row.has_error or not math.isclose(
        math.sqrt(max(implied, 0.0)), row.std_error, rel_tol=_REPRODUCES
    ):
        raise CannotBeJudged(
            f"the influence functions of {judged.address} give a standard error of "
            f"{words.number(math.sqrt(max(implied, 0.0)))}, printed is "
            f"{words.number(row.std_error)}"
        )
    levels = list(range(one.index.nlevels))
    return one.groupby(level=levels, sort=False).sum().iloc[:, 0]


def _named(names: tuple[str, ...]) -> str:
    return words.listed(names)


def _notes(first: Judged, second: Judged, a: Row, b: Row) -> tuple[str, ...]:
    notes = []
    if a.estimand != b.estimand:
        notes.append(f"the estimands differ ({a.estimand}; {b.estimand})")
    here, there = (
        str(judged.finished().labels.get("outcome", "")) for judged in (first, second)
    )
    if here != there:
        notes.append(f"the outcomes differ ({here}; {there})")
    return tuple(notes)
