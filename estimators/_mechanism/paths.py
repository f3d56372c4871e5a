"""A coefficient taken apart by the regressors that carry it.

Regressions on the same rows, by least squares with the same controls X and effects:
    Y   = c  D + X e             (short)
    Y   = c' D + sum_k b_k M_k + X g   (long)
    M_k = a_k D + X h_k          (one per carrier)
so that c = c' + sum_k a_k b_k in every sample. Influence functions of all of them are
held side by side, cluster by cluster, and the delta method does the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._linear.design import Regressor, build, control_regressors, label
from estimators._linear.engine import Fit, fit
from estimators._linear.report import influence_of, rows_of
from estimators._math.projection import Floats
from framework.errors import IdentificationError, NumericalError, counted
from framework.result import COEFFICIENT_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

    from estimators._linear.options import SmallSample
    from framework.contract import Request

#: Difference of short and long coefficient against the sum of products, relative to
#: the largest of them: rounding of three regressions.
EXACT = 1e-8


@dataclass(frozen=True, slots=True)
class Number:
    """An estimate and its influence rows (G,), by cluster."""

    value: float
    psi: Floats

    def __add__(self, other: Number) -> Number:
        return Number(self.value + other.value, self.psi + other.psi)

    def __mul__(self, other: Number | float) -> Number:
        if not isinstance(other, Number):
            return Number(self.value * other, self.psi * other)
        psi = self.value * other.psi + other.value * self.psi
        return Number(self.value * other.value, psi)

    __rmul__ = __mul__

    @property
    def std_error(self) -> float:
        """Root of the sum of squares of the influence rows."""
        return float(np.sqrt(self.psi @ self.psi))


def total(numbers: Sequence[Number]) -> Number:
    """Their sum."""
    found = numbers[0]
    for more in numbers[1:]:
        found = found + more
    return found


@dataclass(frozen=True, slots=True)
class Paths:
    """The regressions.

    Attributes:
        short, direct: c and c'.
        first: a_k. second: b_k.
        moderated: coefficient of D (M_k - mean of M_k), none unless asked for.
        names: of the carriers. index: clusters (or rows) of the influence rows.
        long, base: the fits behind `direct` and `short`; firsts: those of the carriers.
    """

    short: Number
    direct: Number
    first: tuple[Number, ...]
    second: tuple[Number, ...]
    moderated: tuple[Number, ...]
    names: tuple[str, ...]
    index: Any
    base: Fit
    long: Fit
    firsts: tuple[Fit, ...]


def paths(
    request: Request,
    carriers: Sequence[str],
    controls: Sequence[str],
    small_sample: SmallSample,
    *,
    moderated: bool = False,
    min_clusters: int = 10,
) -> Paths:
    """Fit short, long and first equations.

    Args:
        request: the estimation; one treatment column.
        carriers: aliases of M_k.
        controls: aliases of X.
        small_sample: convention of the covariances, one factor per regression.
        moderated: whether D x M_k stands in the long regression.
        min_clusters: as in `build`.

    Raises:
        DataError: D03, D05, D06.
        IdentificationError: I01 to I05, I08, I09, E15.
        NumericalError: N01 to N03.
    """
    treatment = request.treatment
    if treatment is None or len(treatment.columns) != 1:
        raise IdentificationError(
            "E15",
            "one treatment's coefficient is taken apart, and the model has "
            f"{0 if treatment is None else len(treatment.columns)}",
            fix="treatment: one column; the others among the controls",
        )
    frame, names = request.frame, tuple(label(request, c) for c in carriers)
    D = frame[treatment.columns[0]].to_numpy(dtype=np.float64)
    own = Regressor(D, label(request, treatment.columns[0]), "coefficient", wanted=True)
    rest = control_regressors(replace(request, controls=tuple(controls)))
    M = [frame[c].to_numpy(dtype=np.float64) for c in carriers]
    between = [Regressor(m, n, wanted=True) for m, n in zip(M, names, strict=True)]
    both = [
        Regressor(D * (m - m.mean()), f"{own.term} × {n}", wanted=True)
        for m, n in zip(M, names, strict=True)
        if moderated
    ]

    def fitted(outcome: str, regressors: Sequence[Regressor]) -> Fit:
        design = build(
            replace(request, outcome=outcome),
            [own, *regressors, *rest],
            min_clusters=min_clusters,
        )
        found = fit(design, request.inference, small_sample)
        if len(found.levels) != 1 or not found.exact:
            raise IdentificationError(
                "E15",
                f"inference {request.inference.name} with "
                f"{counted(len(found.levels), 'cluster column')} gives no covariance between "
                "regressions",
                fix="inference: hetero, or {cluster: one column}",
            )
        return found

    long = fitted(request.outcome, [*between, *both])
    base = fitted(request.outcome, [])
    firsts = tuple(fitted(c, []) for c in carriers)
    k = len(carriers)
    picked = _numbers(long, 1 + k + len(both))
    found = Paths(
        short=_numbers(base, 1)[0],
        direct=picked[0],
        first=tuple(_numbers(f, 1)[0] for f in firsts),
        second=tuple(picked[1 : 1 + k]),
        moderated=tuple(picked[1 + k :]),
        names=names,
        index=_index(long),
        base=base,
        long=long,
        firsts=firsts,
    )
    if not moderated:
        _adds_up(found)
    return found


def _numbers(fitted: Fit, n: int) -> list[Number]:
    psi = fitted.influence(range(n))
    return [Number(float(fitted.estimate[j]), psi[:, j]) for j in range(n)]


def _index(fitted: Fit) -> Any:
    made = influence_of(fitted, rows_of(fitted)[:1])
    return None if made is None else made.index


def _adds_up(found: Paths) -> None:
    """The identity c = c' + sum a b of least squares on the same rows and columns."""
    parts = [a.value * b.value for a, b in zip(found.first, found.second, strict=True)]
    gap = found.short.value - found.direct.value - sum(parts)
    size = max(map(abs, [found.short.value, found.direct.value, *parts]))
    if abs(gap) > EXACT * size:
        raise NumericalError(
            "N03",
            "the parts do not add up to the change of the coefficient "
            f"(gap {gap:.3g}, largest part {size:.3g})",
            why="A column that is collinear in one regression was left out there and "
            "not in the others.",
            fix="drop the control that the notes of a plain regression name",
        )


def tidy(
    rows: Sequence[tuple[str, str, str, str | None, Number]],
    index: Any,
    df: float,
    confidence: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Coefficients and influence of (equation, estimand, term, variable, number)."""
    import pandas as pd
    from scipy.special import stdtr, stdtrit

    value = np.array([n.value for *_, n in rows])
    error = np.array([n.std_error for *_, n in rows])
    names = [(e, q, t) for e, q, t, _, _ in rows]
    if not (
        np.isfinite(value).all() and np.isfinite(error).all() and (error > 0).all()
    ):
        raise NumericalError(
            "N01",
            "a standard error is zero or not finite",
            why="An indirect effect has none where both of its paths are zero, or "
            "where a regression fits perfectly.",
            fix="check that no regressor is a function of others",
        )
    t = value / error
    reach = float(stdtrit(df, 0.5 + confidence / 2)) * error
    cells = (
        [e for e, _, _ in names],
        [q for _, q, _ in names],
        [t for _, _, t in names],
        value,
        error,
        t,
        2.0 * stdtr(df, -np.abs(t)),
        value - reach,
        value + reach,
    )
    frame = pd.DataFrame(dict(zip(COEFFICIENT_COLUMNS, cells, strict=True)))
    frame["variable"] = pd.array([v for *_, v, _ in rows], dtype="string")
    psi = np.column_stack([n.psi for *_, n in rows])
    return frame, pd.DataFrame(psi, index=index, columns=range(len(rows)))


def detectable(number: Number, df: float) -> float:
    """Minimum detectable effect, 80% power at 5%."""
    from scipy.special import stdtrit

    from estimators._linear.report import POWER

    return float((stdtrit(df, 0.975) + stdtrit(df, POWER)) * number.std_error)
