"""The binning estimator of Hainmueller, Mummolo and Xu (2019), eq. 4.

Y = sum_j {mu_j + alpha_j D + eta_j (X - x_j) + beta_j (X - x_j) D} G_j + Z g + e with
G_j = 1 in bin j and x_j the median of X there, so that alpha_j is the effect at x_j.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from estimators._linear.design import (
    FEW_TREATED,
    Regressor,
    build,
    control_regressors,
    label,
    treatment_regressors,
)
from estimators._linear.engine import Fit, fit
from estimators._linear.report import (
    POWER,
    Row,
    covariance_of,
    influence_of,
    joint,
    scalars,
    table,
)
from estimators._math.l_moments import l_kurtosis
from estimators._math.projection import Flags, Floats
from framework.errors import (
    DataError,
    EstimandError,
    IdentificationError,
    Problem,
    counted,
)
from framework.result import Plot, Result, Test

if TYPE_CHECKING:
    import pandas as pd

    from estimators._linear.options import SmallSample
    from framework.contract import Request

#: Singular values of the linear effects' design below this share of the largest are
#: rounding.
RANK = 1e-9


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin: `rows` (n,), from `low` to `high`, its median `at`.

    `sloped`: the effect can have a slope inside, so it is read at the median.
    """

    rows: Flags
    low: float
    high: float
    at: float
    sloped: bool
    name: str


def binned(
    request: Request,
    n_bins: int,
    cuts: Sequence[float],
    small_sample: SmallSample,
    *,
    min_clusters: int,
) -> Result:
    """Effects at the bins' medians, tests of one line and of one effect.

    Raises:
        DataError: D03, D05, D06.
        IdentificationError: I01 to I05, I08, I09, E15.
        NumericalError: N01 to N03.
    """
    D, X, name = _columns(request)
    if not len(X):
        raise DataError(
            "D05", "0 rows: there is nothing to estimate from", fix="see the row ledger"
        )
    bins, notes = _bins(D, X, n_bins, cuts)
    _supported(D, bins, name)
    others = _controls(request)
    effects, slopes = _effects(request, D, X, bins)
    levels = _levels(request, X, bins, name)
    design = build(
        request,
        [*effects, *slopes, *levels, *others],
        notes=(*notes, *_notes(request, D, bins, name)),
        min_clusters=min_clusters,
    )
    many = fit(design, request.inference, small_sample)
    at = _places(many, len(effects) + len(slopes))
    rows = [Row(r.term, "by_group", at[j], True) for j, r in enumerate(effects)]
    line = _linear(request, small_sample, min_clusters)
    line = replace(line, df_t=many.df_t)
    groups: list[str | None] = [b.name for b in bins]
    parts = [(many, rows, groups)]
    if "interaction" in request.estimand:
        own = line.design.regressors[0].term
        only = [Row(own, "interaction", np.eye(len(line.estimate))[0], True)]
        place = 0 if request.estimand[0] == "interaction" else 1
        parts.insert(place, (line, only, [None]))
    coefficients, influence = _together(parts, request.confidence)
    return Result(
        coefficients=coefficients,
        influence=influence,
        scalars={
            **scalars(many, rows, range(len(effects))),
            "n_bins": float(len(bins)),
            "moderator_l_kurtosis": l_kurtosis(X),
        },
        tests=(
            _one_line(many, at, bins, name),
            joint(
                many,
                "equality",
                "the effect is the same in all bins",
                [
                    Row("", "by_group", at[j] - at[0], False)
                    for j in range(1, len(effects))
                ],
            ),
        ),
        frames={"bins": _frame(request, D, bins, many, rows, line)},
        plots=(
            Plot(
                "ordered",
                "bins",
                title=f"the effect by bins of {name}",
                options={"label": "bin", "y": "Effect at the bin's median"},
            ),
        ),
        notes=many.design.notes,
    )


def _columns(request: Request) -> tuple[Floats, Floats, str]:
    """Treatment, moderator and its name."""
    treatment = request.treatment
    if treatment is None or treatment.judged == treatment.columns:
        raise IdentificationError(
            "E15",
            "there is no product of treatment and moderator to estimate in bins",
            fix="interact: a column of numbers that is not 1 in every treated row",
        )
    if len(treatment.columns) != 1 or len(treatment.moderators) != 1:
        raise IdentificationError(
            "E15",
            f"bins need one treatment and one moderator of numbers; here are "
            f"{len(treatment.columns)} and {len(treatment.moderators)}",
            why="A text moderator has groups already, and interact.main_effect: false "
            "leaves out the term that the bins are made of.",
            fix="each: {only.column: every} for groups, interact.main_effect: true",
        )
    frame, of = request.frame, treatment.moderators[0]
    D = frame[treatment.columns[0]].to_numpy(dtype=np.float64)
    return D, frame[of].to_numpy(dtype=np.float64), label(request, of)


def _bins(
    D: Floats, X: Floats, n_bins: int, cuts: Sequence[float]
) -> tuple[list[Bin], list[str]]:
    """Bins (low, high], those without a row left out."""
    inner = np.asarray(cuts, dtype=np.float64)
    if not len(inner):
        inner = np.unique(np.quantile(X, np.arange(1, n_bins) / n_bins))
    code = np.searchsorted(inner, X, side="left")
    found, notes = [], []
    for j in np.unique(code):
        rows = code == j
        inside = X[rows]
        at = float(np.median(inside))
        sloped = all(np.ptp(inside[D[rows] == d]) > 0 for d in _sides(D[rows]))
        low, high = float(inside.min()), float(inside.max())
        name = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
        found.append(Bin(rows, low, high, at, sloped, name))
    if len({b.name for b in found}) < len(found):  # limits that differ further on
        found = [replace(b, name=f"{j + 1}: {b.name}") for j, b in enumerate(found)]
    asked = len(cuts) + 1 if cuts else n_bins
    if len(found) < 2:  # noqa: PLR2004 - one bin is no comparison
        raise IdentificationError(
            "E15",
            f"all {len(X)} rows are in one bin of the moderator "
            f"({X.min():.6g} to {X.max():.6g})",
            fix="other cuts, or more bins",
        )
    if len(found) < asked:
        notes.append(f"{asked} bins were asked for; the moderator's values fill "
                     f"{len(found)}")  # fmt: skip
    return found, notes


def _sides(D: Floats) -> Floats:
    """Values of a 0/1 treatment, each of which needs its spread of the moderator."""
    values = np.unique(D)
    return values if len(values) <= 2 else values[:0]  # noqa: PLR2004 - 0 and 1


def _supported(D: Floats, bins: Sequence[Bin], name: str) -> None:
    problems: list[Problem] = []
    for b in bins:
        inside = D[b.rows]
        if np.ptp(inside) == 0:
            problems += IdentificationError(
                "I01",
                f"the treatment is {inside[0]:.6g} in all {len(inside)} rows where "
                f"{name} is {b.name}",
                why="An effect there would be extrapolated from other values of the "
                "moderator.",
                fix="fewer bins, other cuts, or a sample with overlap",
            ).problems
    if problems:
        raise EstimandError(problems)


def _notes(
    request: Request, D: Floats, bins: Sequence[Bin], name: str
) -> Iterator[str]:
    flat = [b.name for b in bins if not b.sloped and b.low < b.high]
    if flat:
        yield (
            f"where {name} is {', '.join(flat)}, treated or untreated rows have one "
            "value of it: the effect there has no slope"
        )
    if not np.isin(D, (0.0, 1.0)).all() or request.unit is None:
        return
    unit = request.frame[request.unit].to_numpy()
    for b in bins:
        treated = len(np.unique(unit[b.rows & (D == 1)]))
        if treated < FEW_TREATED:
            yield (
                f"{counted(treated, 'treated unit')} where {name} is {b.name}: an "
                f"interval from fewer than {FEW_TREATED} is too short"
            )


def _effects(
    request: Request, D: Floats, X: Floats, bins: Sequence[Bin]
) -> tuple[list[Regressor], list[Regressor]]:
    """alpha_j of every bin, then beta_j of those with a slope."""
    term = label(request, request.treatment.judged[0])  # type: ignore[union-attr]  # `_columns` saw it
    alpha = [
        Regressor(D * b.rows, f"{term}, {b.name}", "by_group", wanted=True)
        for b in bins
    ]
    beta = [
        Regressor(
            D * (X - b.at) * b.rows, f"slope in {term}, {b.name}",
            wanted=True, shown=False,
        )
        for b in bins
        if b.sloped
    ]  # fmt: skip
    return [replace(r, term=term) for r in alpha], beta


def _levels(
    request: Request, X: Floats, bins: Sequence[Bin], name: str
) -> Iterator[Regressor]:
    """mu_j of every bin but the first and eta_j; what fixed effects absorb is left out."""
    groups = [request.frame[c].to_numpy() for c in request.fixed_effects]
    for j, b in enumerate(bins):
        columns = [(b.rows.astype(np.float64), "level")] if j else []
        if b.low < b.high:
            columns.append(((X - b.at) * b.rows, "slope"))
        for values, what in columns:
            if not any(_constant_within(values, g) for g in groups):
                term = f"{what} of {name}, {b.name}"
                yield Regressor(values, term, shown=False)


def _constant_within(values: Floats, codes: Any) -> bool:
    order = np.argsort(codes, kind="stable")
    same = codes[order][1:] == codes[order][:-1]
    return bool(np.all(values[order][1:][same] == values[order][:-1][same]))


def _controls(request: Request) -> list[Regressor]:
    """Controls without the moderator, which stands in every bin."""
    moderators = request.treatment.moderators if request.treatment else ()
    rest = [c for c in request.controls if c not in moderators]
    return control_regressors(replace(request, controls=tuple(rest)))


def _places(fitted: Fit, n: int) -> Floats:
    return np.eye(len(fitted.estimate))[:n]


def _linear(request: Request, small_sample: SmallSample, min_clusters: int) -> Fit:
    """The usual interaction on the same rows, the product first."""
    design = build(
        request,
        [*treatment_regressors(request), *control_regressors(request)],
        min_clusters=min_clusters,
    )
    return fit(design, request.inference, small_sample)


def _one_line(fitted: Fit, at: Floats, bins: Sequence[Bin], name: str) -> Test:
    """alpha_j = a + b x_j and beta_j = b for one a and b: Wald test of the rest."""
    null = f"the effect is one line in {name}"
    M = np.array([[1.0, b.at] for b in bins] + [[0.0, 1.0] for b in bins if b.sloped])
    size = np.max(np.abs(M), axis=0)
    left, values, _ = np.linalg.svd(M / np.where(size > 0, size, 1.0))
    rank = int(np.sum(values > RANK * values[0]))
    free = left[:, rank:].T
    if not len(free):
        return Test(
            "linear_interaction", null, reason="two points are always on a line"
        )
    rows = [Row("", "by_group", w @ at, False) for w in free]
    return joint(fitted, "linear_interaction", null, rows)


def _together(
    parts: Sequence[tuple[Fit, Sequence[Row], Sequence[str | None]]], confidence: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    import pandas as pd

    frames, influences, start = [], [], 0
    for fitted, rows, groups in parts:
        frame = table(fitted, rows, confidence)
        frames.append(frame.assign(group=pd.array(groups, dtype="string")))
        psi = influence_of(fitted, rows)
        if psi is not None:
            influences.append(psi.set_axis(range(start, start + psi.shape[1]), axis=1))
        start += len(rows)
    return pd.concat(frames, ignore_index=True), pd.concat(influences, axis=1)


def _frame(
    request: Request,
    D: Floats,
    bins: Sequence[Bin],
    fitted: Fit,
    rows: Sequence[Row],
    line: Fit,
) -> pd.DataFrame:
    """A row per bin: limits, support, both models' effects, what could be seen."""
    import pandas as pd
    from scipy.special import stdtrit

    used = np.zeros(len(D), dtype=bool)
    used[fitted.design.rows] = True
    bins = [replace(b, rows=b.rows & used) for b in bins]
    found = table(fitted, rows, request.confidence)
    k = len(line.estimate)
    names = [r.term for r in line.design.regressors]
    own = label(request, request.treatment.columns[0])  # type: ignore[union-attr]  # `_columns` saw it
    straight = []
    for b in bins:
        weights = np.zeros(k)
        weights[0] = b.at
        if own in names:
            weights[names.index(own)] = 1.0
        straight.append(Row("", "by_group", weights, False))
    value, V = covariance_of(line, straight)
    reach = stdtrit(fitted.df_t, 0.975) + stdtrit(fitted.df_t, POWER)
    columns: dict[str, Any] = {
        "bin": [b.name for b in bins],
        "from": [b.low for b in bins],
        "to": [b.high for b in bins],
        "median": [b.at for b in bins],
        "n_obs": [int(b.rows.sum()) for b in bins],
        "n_treated_obs": [int((D[b.rows] != 0).sum()) for b in bins],
    }
    if request.unit is not None:
        unit = request.frame[request.unit].to_numpy()
        columns["n_treated_units"] = [
            len(np.unique(unit[b.rows & (D != 0)])) for b in bins
        ]
    for name in ("estimate", "std_error", "conf_low", "conf_high"):
        columns[name] = found[name].to_numpy()
    columns["mde"] = reach * found["std_error"].to_numpy()
    columns["linear_estimate"] = value
    columns["linear_std_error"] = np.sqrt(np.maximum(np.diag(V), 0.0))
    return pd.DataFrame(columns)
